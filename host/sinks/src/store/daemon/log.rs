//! What Nix says while it works: lines, activities, and at the end that it is done or has failed.

use super::wire::{Reader, Stop};
use crate::store::error::told;

/// The work is done; its result follows.
const LAST: u64 = 0x616c_7473;
/// A line of text.
const LINE: u64 = 0x6f6c_6d67;
/// An activity begins.
const START: u64 = 0x5354_5254;
/// An activity ends.
const STOP: u64 = 0x5354_4f50;
/// Something came of an activity: progress, a line of a build.
const RESULT: u64 = 0x5253_4c54;
/// The work has failed.
const ERROR: u64 = 0x6378_7470;

/// The kinds of an activity's field.
const NUMBER: u64 = 0;
const TEXT: u64 = 1;

/// One thing that Nix said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The work is done.
    Done,
    /// The work has failed, and why.
    Failed(String),
    /// What it is doing.
    Doing(String),
    /// Something that only a progress bar wants to know.
    Progress,
}

impl Said {
    /// Reads one message. Versions from 1.26 on write them like this.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Stop> {
        Ok(match reader.number()? {
            LAST => Self::Done,
            LINE => Self::Doing(told(&reader.text()?)),
            START => {
                let (_id, _level, _kind) = (reader.number()?, reader.number()?, reader.number()?);
                let text = reader.text()?;
                skip_fields(reader)?;
                let _parent = reader.number()?;
                if text.is_empty() {
                    Self::Progress
                } else {
                    Self::Doing(told(&text))
                }
            }
            STOP => {
                reader.number()?;
                Self::Progress
            }
            RESULT => {
                let (_id, _kind) = (reader.number()?, reader.number()?);
                skip_fields(reader)?;
                Self::Progress
            }
            ERROR => Self::Failed(read_error(reader)?),
            _ => return Err(Stop::Malformed("a message of an unknown kind")),
        })
    }
}

/// An activity's fields are for progress bars.
fn skip_fields(reader: &mut Reader<'_>) -> Result<(), Stop> {
    for _ in 0..reader.number()? {
        match reader.number()? {
            NUMBER => {
                reader.number()?;
            }
            TEXT => {
                reader.bytes()?;
            }
            _ => return Err(Stop::Malformed("a field of an unknown kind")),
        }
    }
    Ok(())
}

/// An error's message; its trace tells of Nix's own insides.
fn read_error(reader: &mut Reader<'_>) -> Result<String, Stop> {
    let (_kind, _level, _name) = (reader.bytes()?, reader.number()?, reader.bytes()?);
    let message = told(&reader.text()?);
    let _has_position = reader.number()?;
    for _ in 0..reader.number()? {
        let (_has_position, _trace) = (reader.number()?, reader.bytes()?);
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::super::wire::Message;
    use super::*;

    fn read(message: &Message) -> Result<Said, Stop> {
        let mut reader = Reader::new(message.as_slice());
        let said = Said::read(&mut reader)?;
        assert_eq!(reader.position(), message.as_slice().len());
        Ok(said)
    }

    #[test]
    fn every_kind_of_message_is_read_to_its_end() {
        let fields = |message: Message| {
            message
                .number(2)
                .number(NUMBER)
                .number(7)
                .number(TEXT)
                .text("x")
        };
        let start = Message::new()
            .number(START)
            .number(1)
            .number(3)
            .number(104)
            .text("copying");
        let result = Message::new().number(RESULT).number(1).number(105);
        for (message, said) in [
            (Message::new().number(LAST), Said::Done),
            (
                Message::new().number(LINE).text("a line\n"),
                Said::Doing("a line".to_owned()),
            ),
            (fields(start).number(0), Said::Doing("copying".to_owned())),
            (Message::new().number(STOP).number(1), Said::Progress),
            (fields(result), Said::Progress),
        ] {
            assert_eq!(read(&message), Ok(said));
        }
    }

    #[test]
    fn an_error_is_its_message_without_colour_and_trace() {
        let message = Message::new()
            .number(ERROR)
            .text("Error")
            .number(0)
            .text("Error");
        let message = message
            .text("hash '\u{1b}[35;1mx\u{1b}[0m'\nis\u{7} wrong")
            .number(0);
        let message = message
            .number(2)
            .number(0)
            .text("while")
            .number(0)
            .text("building");
        assert_eq!(
            read(&message),
            Ok(Said::Failed("hash 'x' is\\u{7} wrong".to_owned()))
        );
    }

    #[test]
    fn messages_and_fields_of_other_kinds_are_refused() {
        let unknown = Message::new().number(0x6461_7461);
        assert!(matches!(read(&unknown), Err(Stop::Malformed(_))));
        let field = Message::new()
            .number(RESULT)
            .number(1)
            .number(2)
            .number(1)
            .number(9);
        assert!(matches!(read(&field), Err(Stop::Malformed(_))));
    }
}
