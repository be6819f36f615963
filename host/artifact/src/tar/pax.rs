//! Extended headers: lines of `LENGTH KEY=VALUE`.

/// What extension records say about the next entry.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    pub(super) path: Option<Vec<u8>>,
    pub(super) target: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) sparse: bool,
}

impl Overrides {
    /// Whether nothing is overridden.
    pub(super) fn is_empty(&self) -> bool {
        self.path.is_none() && self.target.is_none() && self.size.is_none() && !self.sparse
    }

    /// Reads the records of one extended header; the last of one key wins.
    pub(super) fn read(&mut self, mut records: &[u8]) -> Result<(), String> {
        while !records.is_empty() {
            let (key, value, rest) =
                record(records).ok_or("a pax record is not `LENGTH KEY=VALUE`")?;
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.target = Some(value.to_vec()),
                b"size" => {
                    let size = number(value).ok_or("a pax size is no number")?;
                    self.size = Some(size);
                }
                _ if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                _ => {}
            }
            records = rest;
        }
        Ok(())
    }
}

/// The first record and what follows it. The length counts itself, the space and the line feed.
fn record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().position(|byte| *byte == b' ')?;
    let length = usize::try_from(number(&records[..space])?).ok()?;
    let (line, rest) = records.split_at_checked(length)?;
    let line = line.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = line.iter().position(|byte| *byte == b'=')?;
    Some((&line[..equals], &line[equals + 1..], rest))
}

/// A decimal number that a signed 64-bit integer can hold.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: i64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    u64::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_by_their_length_so_that_values_may_hold_anything() {
        let mut overrides = Overrides::default();
        overrides
            .read(b"16 path=a\nb=c\xff\n\n12 size=123\n13 comment=x\n")
            .unwrap();
        assert_eq!(overrides.path.as_deref(), Some(&b"a\nb=c\xff\n"[..]));
        assert_eq!(overrides.size, Some(123));
    }

    #[test]
    fn records_that_lie_about_their_length_are_refused() {
        for bad in [
            &b"x"[..],
            b" path=a\n",
            b"10 path=a",
            b"99 path=a\n",
            b"2 \n",
            b"1 path=a\n",
            b"0 path=a\n",
            b"+9 path=a\n",
            b"18446744073709551616 path=a\n",
            b"19 size=9999999999999999999\n",
        ] {
            assert!(
                Overrides::default().read(bad).is_err(),
                "{}",
                bad.escape_ascii()
            );
        }
    }
}
