//! SSH's way to write values one after the other (RFC 4251, section 5).

use std::fmt;

/// There is less than what should be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Short;

/// Reads values from the front of bytes.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Short> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Short)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Short> {
        self.take(1).map(|taken| taken[0])
    }

    pub(crate) fn number(&mut self) -> Result<u32, Short> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Short)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*taken))
    }

    pub(crate) fn string(&mut self) -> Result<&'a [u8], Short> {
        let length = self.number()? as usize;
        self.take(length)
    }

    /// A whole number without the zeros before it. Negative ones are refused.
    pub(crate) fn positive(&mut self) -> Result<&'a [u8], Short> {
        let bytes = self.string()?;
        if bytes.first().is_some_and(|byte| byte & 0x80 != 0) {
            return Err(Short);
        }
        Ok(without_zeros(bytes))
    }
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

/// Writes `bytes` with their length before them. What is written here is shorter than 4 GiB.
pub(crate) fn put_string(into: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    into.extend_from_slice(&length.to_be_bytes());
    into.extend_from_slice(bytes);
}

/// Writes a positive whole number, given from its most significant byte on.
pub(crate) fn put_positive(into: &mut Vec<u8>, number: &[u8]) {
    let number = without_zeros(number);
    let sign: &[u8] = match number.first() {
        Some(first) if first & 0x80 != 0 => &[0],
        _ => &[],
    };
    put_string(into, &[sign, number].concat());
}

/// The same number without leading zeros.
pub(crate) fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_says_and_read_again() {
        // The examples of RFC 4251.
        for (number, wire) in [
            (&[][..], &[0, 0, 0, 0][..]),
            (&[0x80], &[0, 0, 0, 2, 0, 0x80]),
            (&[0, 0, 9, 0xa3], &[0, 0, 0, 2, 9, 0xa3]),
        ] {
            let mut written = Vec::new();
            put_positive(&mut written, number);
            assert_eq!(written, wire);
            let mut reader = Reader::new(wire);
            assert_eq!(reader.positive(), Ok(without_zeros(number)));
            assert!(reader.rest().is_empty());
        }
        assert_eq!(
            Reader::new(&[0, 0, 0, 2, 0xed, 0xcc]).positive(),
            Err(Short)
        );
        assert_eq!(Reader::new(&[0, 0, 0, 2, 1]).string(), Err(Short));
        assert_eq!(Reader::new(&[0xff; 4]).string(), Err(Short));
    }
}
