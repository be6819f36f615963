//! Asking the user for a secret, on the terminal and nowhere else.

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal, Read, Write},
    os::fd::AsFd,
};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use zeroize::Zeroizing;

use crate::{Cancel, Secret, cancel::Woken, secret::leave_no_core_file};

/// A terminal keeps no more of one line, its end included, and drops the rest without a word.
const LINE_BYTES: usize = 4096;

/// What the interrupt key sends.
const INTERRUPT: u8 = 3;

/// Asks a question and returns the answer; `None` when nobody can be asked.
pub(crate) type Ask = dyn Fn(&str, &Cancel) -> io::Result<Option<Secret>> + Send + Sync;

/// Asks `question` on the terminal and reads the answer, which is not shown. `None` when there is
/// no terminal: where stderr is not one, nobody reads what the program says, and a question would
/// wait for ever.
///
/// # Errors
/// When the terminal cannot be read or the answer is longer than a terminal takes, and
/// [`io::ErrorKind::Interrupted`] when the user pressed the interrupt key or ended the input instead
/// of answering, or `cancel` was fired. The terminal is as before then, too.
pub fn ask_hidden(question: &str, cancel: &Cancel) -> io::Result<Option<Secret>> {
    if !io::stderr().is_terminal() {
        return Ok(None);
    }
    leave_no_core_file();
    // Stdin may be the answer to something else, such as `--params -`.
    let Ok(terminal) = OpenOptions::new().read(true).write(true).open("/dev/tty") else {
        return Ok(None);
    };
    let answer = {
        let _hidden = Hidden::start(&terminal)?;
        // Asked when nothing is shown any more, so that not even a quick answer is.
        (&terminal).write_all(question.as_bytes())?;
        read_line(&terminal, cancel)
    };
    // The line end that was typed was not shown either.
    (&terminal).write_all(b"\n")?;
    answer.map(Some)
}

fn read_line(mut terminal: &File, cancel: &Cancel) -> io::Result<Secret> {
    let interrupted = || io::Error::new(io::ErrorKind::Interrupted, "nothing was entered");
    loop {
        match cancel.wait(terminal.as_fd(), None)? {
            Woken::Readable => break,
            Woken::Cancelled => return Err(interrupted()),
            Woken::Neither => {}
        }
    }
    let mut line = Zeroizing::new(vec![0; LINE_BYTES]);
    let length = terminal.read(&mut line)?;
    let line = &line[..length];
    // What was pasted may have been longer than what is left of it.
    if length >= LINE_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is longer than a terminal takes in one line (4094 bytes); give it on stdin",
        ));
    }
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
