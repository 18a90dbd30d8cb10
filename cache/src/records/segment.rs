//! Segments: append-only files of checksummed rows.
//!
//! ```text
//! file    = "flowseg1" row*
//! row     = header(72) payload
//! header  = "flow-rw2" | length u32 | generation u32 | stamp u64 | key [32]
//!         | payload check [8] | header check [8]          (numbers little-endian)
//! payload = head length u32 | head | recipe
//! ```
//!
//! The checks are truncated BLAKE3. The header has its own check, so that opening a store reads
//! only headers and a damaged length cannot mislead the scan. The check of the payload covers the
//! head and its length, and is used when the payload is read. The recipe needs no check, because
//! the key is its digest. A hit therefore neither hashes nor decodes its recipe. Stores of format 1
//! have rows that start with "flow-row", whose payload is all head.
//!
//! A row that ends beyond the file is a torn tail: its writer died or is still writing. It is left
//! for the next scan without a word. A damaged row before others is skipped by a search for the
//! next header.
//!
//! # Who appends where
//!
//! Rows are appended under the commit lock. All writers that are sure to wait for that lock share
//! one segment, so the number of segments does not grow with the number of runs. Which writers are
//! sure to wait depends on the file system:
//!
//! - all writers, if it is known to be local;
//! - the writers of one machine since it started, on any other file system that has locks, because
//!   a lock may or may not reach other machines; the name of a segment ends with the name of the
//!   machine;
//! - none, if there are no locks; then each writer makes a segment.
//!
//! Before a writer appends, it cuts off a torn tail that a dead writer left. A segment never
//! becomes shorter in any other way. A whole row stays where it is, so what other processes know of
//! it holds, and a scan continues where it ended. A row of a batch that failed may come to count:
//! it is whole, and its outputs were durable before it was written. Nobody appends to a segment in
//! which damage was found, because the disk may be failing there. gc rewrites it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::content::{ActionKey, Digest};

/// The first bytes of a segment.
pub(crate) const FILE_MAGIC: &[u8; 8] = b"flowseg1";
const ROW_MAGIC: &[u8; 8] = b"flow-rw2";
/// The first bytes of a row whose payload is all head.
const OLD_ROW_MAGIC: &[u8; 8] = b"flow-row";
/// Bytes of a row before its payload.
pub(crate) const HEADER: usize = 72;
const LEAST_WINDOW: usize = 4 << 10;
const WINDOW: usize = 64 << 10;

/// The header of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SegmentRow {
    /// Bytes of payload.
    pub(crate) length: u32,
    /// Decides which of several rows of a key counts: the highest generation, then
    /// [`SegmentRow::stamp`].
    pub(crate) generation: u32,
    /// When it was appended, in nanoseconds since 1970. Of one generation, the earliest row counts.
    pub(crate) stamp: u64,
    /// The record's key.
    pub(crate) key: ActionKey,
    check: [u8; 8],
    /// True if the payload has a recipe after its head.
    split: bool,
}

/// What a row holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Payload<'a> {
    /// The bytes that the check of the row covers.
    pub(crate) head: &'a [u8],
    /// The bytes that the key covers. `None` in an old row, where they are the end of the head.
    pub(crate) recipe: Option<&'a [u8]>,
}

fn check(bytes: &[u8]) -> [u8; 8] {
    let mut check = [0; 8];
    check.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
    check
}

/// The identity of a row: its key, and its rank among the rows of that key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowId {
    /// The record's key.
    pub(crate) key: ActionKey,
    /// [`SegmentRow::generation`].
    pub(crate) generation: u32,
    /// [`SegmentRow::stamp`].
    pub(crate) stamp: u64,
}

/// Appends a row to `out`. Returns `None` if it is too long for a row.
pub(crate) fn put_row(out: &mut Vec<u8>, id: RowId, head: &[u8], recipe: &[u8]) -> Option<()> {
    let length = u32::try_from(4 + head.len() + recipe.len()).ok()?;
    let mut checked = Vec::with_capacity(4 + head.len());
    checked.extend_from_slice(&(head.len() as u32).to_le_bytes());
    checked.extend_from_slice(head);
    let start = out.len();
    out.extend_from_slice(ROW_MAGIC);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&id.generation.to_le_bytes());
    out.extend_from_slice(&id.stamp.to_le_bytes());
    out.extend_from_slice(id.key.0.as_bytes());
    out.extend_from_slice(&check(&checked));
    let header_check = check(&out[start..]);
    out.extend_from_slice(&header_check);
    out.extend_from_slice(&checked);
    out.extend_from_slice(recipe);
    Some(())
}

/// The header at the start of `bytes` (at least [`HEADER`] long), if its check holds.
fn parse_header(bytes: &[u8]) -> Option<SegmentRow> {
    let header = bytes.get(..HEADER)?;
    let split = &header[..8] == ROW_MAGIC;
    let known = split || &header[..8] == OLD_ROW_MAGIC;
    if !known || check(&header[..64]) != header[64..] {
        return None;
    }
    let mut key = [0; 32];
    key.copy_from_slice(&header[24..56]);
    let mut row_check = [0; 8];
    row_check.copy_from_slice(&header[56..64]);
    Some(SegmentRow {
        length: u32::from_le_bytes(header[8..12].try_into().ok()?),
        generation: u32::from_le_bytes(header[12..16].try_into().ok()?),
        stamp: u64::from_le_bytes(header[16..24].try_into().ok()?),
        key: ActionKey(Digest::from_bytes(key)),
        check: row_check,
        split,
    })
}

impl SegmentRow {
    /// What `bytes` hold, if the check of the head holds.
    fn payload<'a>(&self, bytes: &'a [u8]) -> Option<Payload<'a>> {
        let checked = if self.split {
            let length = u32::from_le_bytes(*bytes.first_chunk()?);
            4 + usize::try_from(length).ok()?
        } else {
            bytes.len()
        };
        let (checked, rest) = bytes.split_at_checked(checked)?;
        (check(checked) == self.check).then(|| Payload {
            head: if self.split { &checked[4..] } else { checked },
            recipe: self.split.then_some(rest),
        })
    }
}

/// A window onto a file. It makes sequential small reads cost few system calls, and the pages of
/// the file are not charged to this process. It is small while reads jump and grows while they
/// follow each other.
#[derive(Default)]
pub(crate) struct FileWindow {
    start: u64,
    bytes: Vec<u8>,
    size: usize,
}

impl FileWindow {
    /// Reads up to `length` bytes at `offset`, or fewer at the end of the file.
    pub(crate) fn read(&mut self, file: &File, offset: u64, length: usize) -> io::Result<&[u8]> {
        let inside =
            offset >= self.start && offset + length as u64 <= self.start + self.bytes.len() as u64;
        if !inside {
            let end = self.start + self.bytes.len() as u64;
            // A scan of headers jumps over payloads, and so a little out of the window.
            let near = self.size as u64;
            let goes_on = offset + near >= self.start && offset <= end + near;
            self.size = if goes_on {
                (self.size * 2).clamp(LEAST_WINDOW, WINDOW)
            } else {
                LEAST_WINDOW
            };
            // Records of actions that ran side by side are in nearly the order in which they are
            // asked for.
            let behind = offset.min(self.size as u64 / 4);
            self.fill(
                file,
                offset - behind,
                self.size.max(length + behind as usize),
            )?;
        }
        let from = ((offset - self.start) as usize).min(self.bytes.len());
        let to = (from + length).min(self.bytes.len());
        Ok(&self.bytes[from..to])
    }

    fn fill(&mut self, file: &File, offset: u64, mut length: usize) -> io::Result<()> {
        if length > WINDOW {
            // A wrong length must not allocate more than the file holds.
            let available = file.metadata()?.len().saturating_sub(offset);
            length = length.min(usize::try_from(available).unwrap_or(usize::MAX));
        }
        self.start = offset;
        self.bytes.resize(length, 0);
        let mut filled = 0;
        while filled < length {
            match file.read_at(&mut self.bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.bytes.clear();
                    return Err(e);
                }
            }
        }
        self.bytes.truncate(filled);
        Ok(())
    }

    /// The row at `offset` and its payload, if the checks of both hold.
    pub(crate) fn row(
        &mut self,
        file: &File,
        offset: u64,
    ) -> io::Result<Option<(SegmentRow, Payload<'_>)>> {
        let Some(row) = parse_header(self.read(file, offset, HEADER)?) else {
            return Ok(None);
        };
        let length = row.length as usize;
        let bytes = self.read(file, offset + HEADER as u64, length)?;
        let payload = (bytes.len() == length)
            .then(|| row.payload(bytes))
            .flatten();
        Ok(payload.map(|payload| (row, payload)))
    }

    /// The bytes of the row at `offset`.
    pub(crate) fn raw(&mut self, file: &File, offset: u64, row: &SegmentRow) -> io::Result<&[u8]> {
        self.read(file, offset, HEADER + row.length as usize)
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
    /// Damaged ranges that were skipped, each from its start to its end.
    pub(crate) damaged: Vec<(u64, u64)>,
}

/// Scans the headers of `file` from `start` to `length`. Calls `found` with each row and its
/// offset.
pub(crate) fn scan(
    file: &File,
    start: u64,
    length: u64,
    window: &mut FileWindow,
    mut found: impl FnMut(u64, SegmentRow),
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
                    // It is torn, or damaged by truncation. No whole row can follow.
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

/// The offset of the next header whose check holds.
fn next_header(
    file: &File,
    mut at: u64,
    length: u64,
    window: &mut FileWindow,
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
                let head = vec![i as u8; 10 + i as usize];
                let id = RowId {
                    key: key(i),
                    generation: 0,
                    stamp: u64::from(i),
                };
                put_row(&mut bytes, id, &head, b"recipe").unwrap();
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
        let scan = scan(
            &file,
            start,
            length,
            &mut FileWindow::default(),
            |_, row| {
                keys.push(row.key);
            },
        )
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

    #[test]
    fn the_payload_is_what_was_written_also_in_old_rows() {
        let (bytes, starts) = segment(5);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        // As the first format wrote it: another magic, and the check is of all.
        let mut old = bytes[starts[4]..starts[4] + HEADER].to_vec();
        old[..8].copy_from_slice(OLD_ROW_MAGIC);
        old[8..12].copy_from_slice(&3u32.to_le_bytes());
        old[56..64].copy_from_slice(&check(b"all"));
        let header_check = check(&old[..64]);
        old[64..].copy_from_slice(&header_check);
        file.write_all(&old).unwrap();
        file.write_all(b"all").unwrap();

        let mut window = FileWindow::default();
        let mut row = |at: usize| {
            let (row, payload) = window.row(&file, at as u64).unwrap().unwrap();
            let recipe = payload.recipe.map(<[u8]>::to_vec);
            (row.key, payload.head.to_vec(), recipe)
        };
        assert_eq!(
            row(starts[3]),
            (key(3), vec![3; 13], Some(b"recipe".to_vec()))
        );
        assert_eq!(row(bytes.len()), (key(4), b"all".to_vec(), None));
        assert_eq!(
            row(starts[0]),
            (key(0), vec![0; 10], Some(b"recipe".to_vec()))
        );
    }
}
