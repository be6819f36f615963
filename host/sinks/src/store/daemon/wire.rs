//! How the worker protocol writes numbers and texts.
//!
//! Everything that Nix sends is parsed out of a buffer by a [`Reader`], which either has all that it
//! needs, or says that more must arrive, or that no more would help.
//!
//! | on the wire | |
//! |---|---|
//! | a number | 8 bytes, little end first |
//! | a text | its length, its bytes, zeros up to a multiple of 8 |
//! | a list | how many, and each of them |
//! | a text beyond [`MAX_TEXT`], padding that is not zero | refused: that is not Nix |

/// Longest text that is taken from the other side, in bytes. Nix sends paths, hashes and messages.
pub(super) const MAX_TEXT: usize = 1024 * 1024;

/// Everything is padded to a multiple of this.
pub(super) const ALIGNMENT: usize = 8;

/// Why a reader has nothing to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The buffer ends too early.
    Incomplete,
    /// Nix would not send this.
    Malformed(&'static str),
}

/// Reads from what has arrived so far.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// How many bytes were read.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Stop> {
        let taken = self.rest().get(..length).ok_or(Stop::Incomplete)?;
        self.position += length;
        Ok(taken)
    }

    pub(super) fn number(&mut self) -> Result<u64, Stop> {
        let mut number = [0; ALIGNMENT];
        number.copy_from_slice(self.take(ALIGNMENT)?);
        Ok(u64::from_le_bytes(number))
    }

    /// 0 or anything else, as Nix reads it.
    pub(super) fn truth(&mut self) -> Result<bool, Stop> {
        Ok(self.number()? != 0)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Stop> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if length > MAX_TEXT {
            return Err(Stop::Malformed("a text that is too long"));
        }
        let bytes = self.take(length)?;
        let padding = self.take(padding(length))?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(Stop::Malformed("padding that is not zero"));
        }
        Ok(bytes)
    }

    /// A text, with a mark in the place of what is no UTF-8.
    pub(super) fn text(&mut self) -> Result<String, Stop> {
        Ok(String::from_utf8_lossy(self.bytes()?).into_owned())
    }

    /// A list of texts. Nothing is held before all of them have arrived.
    pub(super) fn texts(&mut self) -> Result<Vec<String>, Stop> {
        let mut ahead = *self;
        for _ in 0..ahead.number()? {
            ahead.bytes()?;
        }
        (0..self.number()?).map(|_| self.text()).collect()
    }

    /// Whatever has arrived and was not read, without reading it.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    /// Passes over up to `length` bytes of what has arrived, and says how many those were.
    pub(super) fn pass(&mut self, length: u64) -> u64 {
        let rest = self.rest().len();
        let passed = usize::try_from(length).map_or(rest, |length| length.min(rest));
        self.position += passed;
        passed as u64
    }
}

/// Something to send.
#[derive(Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn number(mut self, number: u64) -> Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend((bytes.len() as u64).to_le_bytes());
        self.0.extend(bytes);
        self.0.extend(&[0; ALIGNMENT][..padding(bytes.len())]);
        self
    }

    pub(super) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

const fn padding(length: usize) -> usize {
    length.next_multiple_of(ALIGNMENT) - length
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_is_its_length_its_bytes_and_zeros() {
        let message = Message::new().text("abc").text("").text("12345678");
        let expected = b"\x03\0\0\0\0\0\0\0abc\0\0\0\0\0\
            \0\0\0\0\0\0\0\0\
            \x08\0\0\0\0\0\0\x0012345678";
        assert_eq!(message.as_slice(), expected);
    }

    #[test]
    fn padding_must_be_zero() {
        let mut bytes = Message::new().text("abc").as_slice().to_vec();
        bytes[15] = 1;
        assert_eq!(
            Reader::new(&bytes).text(),
            Err(Stop::Malformed("padding that is not zero"))
        );
    }

    #[test]
    fn a_length_that_nothing_can_have_is_refused_before_anything_is_held() {
        for length in [MAX_TEXT as u64 + 1, u64::MAX, u64::MAX - 7, 1 << 63] {
            let bytes = length.to_le_bytes();
            let refused = Err(Stop::Malformed("a text that is too long"));
            assert_eq!(Reader::new(&bytes).text(), refused, "{length}");
        }
    }

    #[test]
    fn a_list_of_countless_texts_waits_for_more_and_holds_nothing() {
        let bytes = Message::new().number(u64::MAX).text("one");
        let read = Reader::new(bytes.as_slice()).texts();
        assert_eq!(read, Err(Stop::Incomplete));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_no_prefix_is_enough(number: u64, bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let message = Message::new().number(number).bytes(&bytes);
            let whole = message.as_slice();
            let mut reader = Reader::new(whole);
            prop_assert_eq!(reader.number(), Ok(number));
            prop_assert_eq!(reader.bytes(), Ok(bytes.as_slice()));
            prop_assert_eq!(reader.position(), whole.len());
            for end in 0..whole.len() {
                let mut reader = Reader::new(&whole[..end]);
                let read = reader.number().and_then(|_| reader.bytes());
                prop_assert_eq!(read, Err(Stop::Incomplete));
            }
        }

        #[test]
        fn no_bytes_make_a_reader_fail_otherwise(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::new(&bytes);
            while reader.bytes().is_ok() {}
            prop_assert!(reader.position() <= bytes.len());
        }
    }
}
