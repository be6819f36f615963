//! Asking the user for a secret, on the terminal and nowhere else.

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal, Read, Write},
};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use zeroize::Zeroizing;

use crate::Secret;

/// A terminal gives a line of at most 4,095 characters, which UTF-8 cannot make longer than this.
const LINE_BYTES: usize = 16 * 1024;

/// What the interrupt key sends.
const INTERRUPT: u8 = 3;

/// Somebody who can be asked.
pub(crate) trait Terminal: Send + Sync {
    /// The answer to `question`; `None` when nobody can be asked.
    fn ask(&self, question: &str) -> io::Result<Option<Secret>>;
}

/// The terminal that the process was started from.
pub(crate) struct SystemTerminal;

impl Terminal for SystemTerminal {
    fn ask(&self, question: &str) -> io::Result<Option<Secret>> {
        ask_hidden(question)
    }
}

/// Asks `question` on the terminal and reads the answer, which is not shown. `None` when there is
/// no terminal: where stderr is not one, nobody reads what the program says, and a question would
/// wait for ever.
///
/// # Errors
/// When the terminal cannot be read, or [`io::ErrorKind::Interrupted`] when the user pressed the
/// interrupt key or ended the input instead of answering.
pub fn ask_hidden(question: &str) -> io::Result<Option<Secret>> {
    if !io::stderr().is_terminal() {
        return Ok(None);
    }
    // Stdin may be the answer to something else, such as `--params -`.
    let Ok(mut terminal) = OpenOptions::new().read(true).write(true).open("/dev/tty") else {
        return Ok(None);
    };
    write!(terminal, "{question}")?;
    let answer = {
        let _hidden = Hidden::start(&terminal)?;
        read_line(&terminal)
    };
    // The line end that was typed was not shown either.
    writeln!(terminal)?;
    answer.map(Some)
}

fn read_line(mut terminal: &File) -> io::Result<Secret> {
    // Room for all of it at once: a vector that grows leaves unwiped copies behind.
    let mut line = Zeroizing::new(vec![0; LINE_BYTES]);
    let length = terminal.read(&mut line)?;
    let line = &line[..length];
    let interrupted = || io::Error::new(io::ErrorKind::Interrupted, "nothing was entered");
    let line = line.strip_suffix(b"\n").ok_or_else(interrupted)?;
    let text = str::from_utf8(line)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "what was entered is no text"))?;
    Ok(Secret::from(Zeroizing::new(text.to_owned())))
}

/// A terminal that does not show what is typed, until this is dropped.
struct Hidden<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Hidden<'a> {
    fn start(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut quiet = before.clone();
        // The interrupt key ends the line instead of the process, which would leave the terminal mute.
        quiet
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ISIG);
        quiet.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
        tcsetattr(terminal, OptionalActions::Flush, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // Nothing can be done when the terminal is gone.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}
