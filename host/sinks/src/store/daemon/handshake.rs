//! Agreeing on a version.

use super::wire::Message;
use super::{Connection, Step, StoreError};

/// What a client begins with.
const CLIENT_MAGIC: u64 = 0x6e69_7863;
/// What Nix answers.
const DAEMON_MAGIC: u64 = 0x6478_696f;

/// The one major version that there has been for long, in the place where it is written.
const MAJOR: u64 = 0x100;
/// The newest minor version that we speak. From 38 on, both sides would exchange lists of features.
const MINOR: u64 = 35;
/// The oldest: errors have parts, and what is added comes in frames.
const OLDEST_MINOR: u64 = 26;
/// From this one on, Nix says which version of Nix it is.
const NAMES_ITSELF: u64 = 33;
/// From this one on, Nix says whether it trusts us. We need no trust.
const SAYS_TRUST: u64 = 35;

pub(super) fn perform(connection: &mut Connection) -> Result<(), StoreError> {
    let step = Step::Greeting;
    let hello = Message::new().number(CLIENT_MAGIC).number(MAJOR | MINOR);
    connection.send(step, &hello)?;
    if connection.receive(step, |reader| reader.number())? != DAEMON_MAGIC {
        return Err(StoreError::Malformed {
            step,
            what: "another greeting",
        });
    }
    let version = connection.receive(step, |reader| reader.number())?;
    if version & !0xff != MAJOR {
        return Err(StoreError::Malformed {
            step,
            what: "a version that does not exist",
        });
    }
    let minor = MINOR.min(version & 0xff);
    if minor < OLDEST_MINOR {
        return Err(StoreError::TooOld { minor });
    }

    // Two settings of old: a processor to run on, and whether to keep space in reserve.
    connection.send(step, &Message::new().number(0).number(0))?;
    if minor >= NAMES_ITSELF {
        connection.receive(step, |reader| reader.bytes().map(|_| ()))?;
    }
    if minor >= SAYS_TRUST {
        connection.receive(step, |reader| reader.number())?;
    }
    connection.until_done(step)
}
