//! Keeps what a program prints, or if it is long, the beginning and the end of it.

use std::collections::VecDeque;

/// The most bytes that are kept of the beginning, and of the end.
pub const HALF: usize = 8 << 20;

/// A log that is being collected.
#[derive(Default)]
pub struct Log {
    first: Vec<u8>,
    last: VecDeque<u8>,
    /// Bytes between the two.
    dropped: u64,
}

impl Log {
    /// Takes in the next bytes.
    pub fn put(&mut self, bytes: &[u8]) {
        let room = HALF.saturating_sub(self.first.len()).min(bytes.len());
        let (first, rest) = bytes.split_at(room);
        self.first.extend_from_slice(first);
        self.last.extend(rest);
        let over = self.last.len().saturating_sub(HALF);
        self.last.drain(..over);
        self.dropped += over as u64;
    }

    /// How much is kept by now.
    pub fn len(&self) -> usize {
        self.first.len() + self.last.len()
    }

    /// The text, with a line that says how much is missing.
    pub fn finish(self) -> Vec<u8> {
        let mut text = self.first;
        if self.dropped > 0 {
            let line = format!("\n[flow: {} bytes are left out here]\n", self.dropped);
            text.extend_from_slice(line.as_bytes());
        }
        let (one, two) = self.last.as_slices();
        text.extend_from_slice(one);
        text.extend_from_slice(two);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_and_the_end_are_kept_and_the_middle_is_counted() {
        let mut log = Log::default();
        log.put(b"first\n");
        for _ in 0..5 {
            log.put(&[b'x'; HALF / 2]);
        }
        log.put(b"last\n");
        let text = log.finish();
        let dropped = 6 + 5 * (HALF / 2) + 5 - 2 * HALF;
        let line = format!("\n[flow: {dropped} bytes are left out here]\n");
        assert_eq!(text.len(), 2 * HALF + line.len());
        assert!(text.starts_with(b"first\n") && text.ends_with(b"xlast\n"));
        assert!(text[HALF..].starts_with(line.as_bytes()));
    }

    #[test]
    fn what_fits_is_kept_whole() {
        let mut log = Log::default();
        log.put(&[b'x'; HALF]);
        log.put(&[b'y'; HALF]);
        let text = log.finish();
        assert_eq!(text.len(), 2 * HALF);
        assert!(text[..HALF].iter().all(|byte| *byte == b'x'));
    }
}
