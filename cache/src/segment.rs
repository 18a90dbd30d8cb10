//! Segments: append-only files of checksummed rows.
//!
//! ```text
//! file   = "flowseg1" row*
//! row    = header(72) payload
//! header = "flow-row" | length u32 | generation u32 | stamp u64 | key [32]
//!        | payload check [8] | header check [8]          (numbers little-endian)
//! ```
//!
//! The checks are truncated BLAKE3. The header has its own, so that opening a store reads headers
//! only and a damaged length cannot lead astray; the payload's is checked when it is read. A row
//! that ends beyond the file is a torn tail (its writer died, or is still writing) and is silently
//! left for the next scan; a damaged row before others is skipped by searching for the next header.
//!
//! # Who appends where
//!
//! Rows are appended under the commit lock, so all who are sure to wait for that lock share one
//! segment, and their number stays the same however many runs there are. Sure are
//!
//! - all writers, on a file system that is known to be local;
//! - the writers of one machine since it started, on any other one that has locks: a lock there may
//!   reach other machines or not. A segment's name ends with what tells the machine;
//! - nobody, where there are no locks: each writer makes a segment.
//!
//! Before it appends, a writer cuts off a torn tail that a dead one left. That is the only way in
//! which a segment ever becomes shorter: a whole row stays where it is, so what others know of it
//! holds, and a scan goes on from where it ended. A row of a batch that failed may come to count;
//! it is whole and its outputs were durable before it was written. Nobody appends to a segment in
//! which damage was met, as the disk may be failing there; gc rewrites it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::digest::{ActionKey, Digest};

/// The first bytes of a segment.
pub(crate) const FILE_MAGIC: &[u8; 8] = b"flowseg1";
const ROW_MAGIC: &[u8; 8] = b"flow-row";
/// Bytes of a row before its payload.
pub(crate) const HEADER: usize = 72;
const WINDOW: usize = 256 << 10;

/// The header of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Row {
    /// Bytes of payload.
    pub(crate) length: u32,
    /// Which of several rows of a key counts: the highest generation, then [`Row::stamp`].
    pub(crate) generation: u32,
    /// When it was appended, in nanoseconds since 1970: of one generation the earliest row counts.
    pub(crate) stamp: u64,
    /// The record's key.
    pub(crate) key: ActionKey,
    check: [u8; 8],
}

fn check(bytes: &[u8]) -> [u8; 8] {
    let mut check = [0; 8];
    check.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
    check
}

/// Appends a row to `out`. Returns its header, or `None` if the payload is too long for a row.
pub(crate) fn put_row(
    out: &mut Vec<u8>,
    key: ActionKey,
    generation: u32,
    stamp: u64,
    payload: &[u8],
) -> Option<Row> {
    let row = Row {
        length: u32::try_from(payload.len()).ok()?,
        generation,
        stamp,
        key,
        check: check(payload),
    };
    let start = out.len();
    out.extend_from_slice(ROW_MAGIC);
    out.extend_from_slice(&row.length.to_le_bytes());
    out.extend_from_slice(&generation.to_le_bytes());
    out.extend_from_slice(&stamp.to_le_bytes());
    out.extend_from_slice(key.0.as_bytes());
    out.extend_from_slice(&row.check);
    let header_check = check(&out[start..]);
    out.extend_from_slice(&header_check);
    out.extend_from_slice(payload);
    Some(row)
}

/// The header at the start of `bytes` (at least [`HEADER`] long), if its check holds.
fn parse_header(bytes: &[u8]) -> Option<Row> {
    let header = bytes.get(..HEADER)?;
    if &header[..8] != ROW_MAGIC || check(&header[..64]) != header[64..] {
        return None;
    }
    let mut key = [0; 32];
    key.copy_from_slice(&header[24..56]);
    let mut row_check = [0; 8];
    row_check.copy_from_slice(&header[56..64]);
    Some(Row {
        length: u32::from_le_bytes(header[8..12].try_into().ok()?),
        generation: u32::from_le_bytes(header[12..16].try_into().ok()?),
        stamp: u64::from_le_bytes(header[16..24].try_into().ok()?),
        key: ActionKey(Digest::from_bytes(key)),
        check: row_check,
    })
}

impl Row {
    /// Whether `payload` is what was written.
    fn fits(&self, payload: &[u8]) -> bool {
        check(payload) == self.check
    }
}

/// A window onto a file, so that sequential small reads cost few system calls and the file's
/// pages are not charged to this process.
#[derive(Default)]
pub(crate) struct Window {
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// Up to `length` bytes at `offset`; fewer where the file ends.
    pub(crate) fn read(&mut self, file: &File, offset: u64, length: usize) -> io::Result<&[u8]> {
        let inside =
            offset >= self.start && offset + length as u64 <= self.start + self.bytes.len() as u64;
        if !inside {
            self.fill(file, offset, length.max(WINDOW))?;
        }
        let from = ((offset - self.start) as usize).min(self.bytes.len());
        let to = (from + length).min(self.bytes.len());
        Ok(&self.bytes[from..to])
    }

    fn fill(&mut self, file: &File, offset: u64, length: usize) -> io::Result<()> {
        // A damaged length must not allocate more than the file holds.
        let available = file.metadata()?.len().saturating_sub(offset);
        self.start = offset;
        self.bytes.clear();
        self.bytes.resize(
            length.min(usize::try_from(available).unwrap_or(usize::MAX)),
            0,
        );
        let mut filled = 0;
        while filled < self.bytes.len() {
            match file.read_at(&mut self.bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.bytes.truncate(filled);
        Ok(())
    }

    /// The row at `offset` and its payload if the checks of both hold.
    pub(crate) fn row(&mut self, file: &File, offset: u64) -> io::Result<Option<(Row, &[u8])>> {
        let Some(row) = parse_header(self.read(file, offset, HEADER)?) else {
            return Ok(None);
        };
        let length = row.length as usize;
        let payload = self.read(file, offset + HEADER as u64, length)?;
        let whole = payload.len() == length && row.fits(payload);
        Ok(whole.then_some((row, payload)))
    }

    /// Forgets what was read.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }
}

/// What a scan of a segment found.
pub(crate) struct Scan {
    /// Where the next scan starts: after the last whole row.
    pub(crate) end: u64,
    /// Damaged stretches that were skipped: from, to.
    pub(crate) damaged: Vec<(u64, u64)>,
}

/// Scans the headers of `file` from `start` to `length`, and hands each row and its offset to `found`.
pub(crate) fn scan(
    file: &File,
    start: u64,
    length: u64,
    window: &mut Window,
    mut found: impl FnMut(u64, Row),
) -> io::Result<Scan> {
    window.clear();
    let mut at = start;
    let mut damaged = Vec::new();
    if at == 0 {
        if length < FILE_MAGIC.len() as u64 {
            return Ok(Scan { end: 0, damaged });
        }
        at = FILE_MAGIC.len() as u64;
        if window.read(file, 0, FILE_MAGIC.len())? != FILE_MAGIC {
            damaged.push((0, at));
        }
    }
    while at + HEADER as u64 <= length {
        match parse_header(window.read(file, at, HEADER)?) {
            Some(row) => {
                let next = at + HEADER as u64 + u64::from(row.length);
                if next > length {
                    // Torn, or damaged by truncation: whole rows cannot follow.
                    break;
                }
                found(at, row);
                at = next;
            }
            None => match next_header(file, at + 1, length, window)? {
                Some(next) => {
                    damaged.push((at, next));
                    at = next;
                }
                None => break,
            },
        }
    }
    Ok(Scan { end: at, damaged })
}

/// The offset of the next header with a good check.
fn next_header(
    file: &File,
    mut at: u64,
    length: u64,
    window: &mut Window,
) -> io::Result<Option<u64>> {
    const STRIDE: usize = 64 << 10;
    while at + HEADER as u64 <= length {
        let block = window.read(file, at, STRIDE + HEADER)?;
        let starts = block.len().saturating_sub(HEADER - 1).min(STRIDE);
        if starts == 0 {
            return Ok(None);
        }
        let hit = (0..starts).find(|&i| parse_header(&block[i..]).is_some());
        if let Some(i) = hit {
            return Ok(Some(at + i as u64));
        }
        at += starts as u64;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn key(i: u32) -> ActionKey {
        ActionKey(Digest::of(&i.to_le_bytes()))
    }

    /// A segment of `n` rows, and where each starts.
    fn segment(n: u32) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = FILE_MAGIC.to_vec();
        let starts = (0..n)
            .map(|i| {
                let start = bytes.len();
                let payload = vec![i as u8; 10 + i as usize];
                put_row(&mut bytes, key(i), 0, u64::from(i), &payload).unwrap();
                start
            })
            .collect();
        (bytes, starts)
    }

    fn scan_bytes(bytes: &[u8], start: u64) -> (Vec<ActionKey>, Scan) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let mut keys = Vec::new();
        let length = bytes.len() as u64;
        let scan = scan(&file, start, length, &mut Window::default(), |_, row| {
            keys.push(row.key);
        })
        .unwrap();
        (keys, scan)
    }

    #[test]
    fn every_truncation_keeps_the_whole_rows_and_resumes() {
        let (bytes, starts) = segment(5);
        for cut in 0..bytes.len() {
            let (keys, first) = scan_bytes(&bytes[..cut], 0);
            let ends = starts[1..].iter().copied().chain([bytes.len()]);
            let whole = ends.filter(|&end| end <= cut).count();
            assert_eq!(keys.len(), whole, "cut at {cut}");
            assert!(first.damaged.is_empty());
            let (rest, _) = scan_bytes(&bytes, first.end);
            assert_eq!(whole + rest.len(), 5, "cut at {cut}");
        }
    }

    #[test]
    fn every_damaged_byte_costs_at_most_its_row() {
        let (bytes, starts) = segment(5);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            let (keys, scan) = scan_bytes(&damaged, 0);
            let row = starts.partition_point(|&s| s <= at);
            let in_header = row > 0 && at < starts[row - 1] + HEADER;
            assert_eq!(keys.len(), 5 - usize::from(in_header), "byte {at}");
            // The last row's header cannot be told from a torn tail.
            let told = at < FILE_MAGIC.len() || (in_header && row < 5);
            assert_eq!(!scan.damaged.is_empty(), told, "byte {at}");
        }
    }
}
