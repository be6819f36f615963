//! Writing many slices in few system calls, without gathering them in a buffer first.

use std::io::{self, IoSlice, Write};

/// Slices of one call. The kernel takes at most 1024.
const AT_ONCE: usize = 512;

/// Writes all of `slices`, in order.
pub fn write_all_slices<'a>(
    out: &mut (impl Write + ?Sized),
    slices: impl IntoIterator<Item = &'a [u8]>,
) -> io::Result<()> {
    let mut waiting: Vec<IoSlice<'a>> = Vec::new();
    for slice in slices.into_iter().filter(|slice| !slice.is_empty()) {
        waiting.push(IoSlice::new(slice));
        if waiting.len() == AT_ONCE {
            flush(out, &mut waiting)?;
        }
    }
    flush(out, &mut waiting)
}

fn flush(out: &mut (impl Write + ?Sized), waiting: &mut Vec<IoSlice<'_>>) -> io::Result<()> {
    let mut rest = waiting.as_mut_slice();
    while !rest.is_empty() {
        match out.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    waiting.clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a few bytes at a time and is interrupted in between.
    struct Slow {
        got: Vec<u8>,
        calls: usize,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.calls += 1;
            if self.calls.is_multiple_of(3) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let taken = bytes.len().min(5);
            self.got.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn short_and_interrupted_writes_lose_nothing() {
        let parts: Vec<Vec<u8>> = (0..2000_u32)
            .map(|part| vec![part as u8; part as usize % 9])
            .collect();
        let mut slow = Slow {
            got: Vec::new(),
            calls: 0,
        };
        write_all_slices(&mut slow, parts.iter().map(Vec::as_slice)).unwrap();
        assert_eq!(slow.got, parts.concat());
    }

    #[test]
    fn a_writer_that_takes_nothing_is_an_error() {
        let error = write_all_slices(&mut [0_u8; 2].as_mut_slice(), [&b"abc"[..]]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }
}
