//! The index: where the record of each key is, found by a scan of the headers in all segments.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::fs::File;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use crate::content::ActionKey;
use crate::content::codec::DecodeError;
use crate::disk::look::{list_dir, look_at, open_own};
use crate::disk::names::is_local;
use crate::disk::stat::{is_settled, mtime_nanos, now_nanos};
use crate::error::StoreError;
use crate::records::record::Record;
use crate::records::segment::{self, FileWindow, Payload, SegmentRow};

/// Something in the store that was damaged and passed over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Warning {
    /// The file.
    pub path: PathBuf,
    /// What was wrong, and what it means.
    pub detail: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.detail)
    }
}

/// Where a row is, and how it ranks among the rows of its key. The rest of its header is read again
/// with the row, which keeps the index of a large store small.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowSlot {
    offset: u64,
    stamp: u64,
    segment: u32,
    generation: u32,
}

/// Returns true if a row counts rather than another one of its key. The row of the higher
/// generation counts, then the earlier one. If both are equal, the names of the segments decide, in
/// the same way for every process.
fn beats(segments: &[KnownSegment], slot: &RowSlot, other: &RowSlot) -> bool {
    let rank = |slot: &RowSlot| {
        let path = &segments[slot.segment as usize].path;
        (Reverse(slot.generation), slot.stamp, path, slot.offset)
    };
    rank(slot) < rank(other)
}

/// Where the record of an action is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPlace {
    /// The segment.
    pub segment: PathBuf,
    /// Where its row starts, in bytes.
    pub offset: u64,
    /// How often the record was replaced, because its outputs differed or it was damaged.
    pub generation: u32,
    /// When it was appended, in nanoseconds since 1970 (UTC).
    pub stamp: u64,
}

/// The first half of a key. It finds the row, and the row holds the whole key.
pub(crate) type Half = [u8; 16];

/// Keys are digests, so eight bytes of a key are as good as a hash of it.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

pub(crate) fn half(key: &ActionKey) -> Half {
    let mut half = [0; 16];
    half.copy_from_slice(&key.0.as_bytes()[..16]);
    half
}

struct KnownSegment {
    path: PathBuf,
    /// Where its last whole row ends.
    scanned: u64,
    /// True if no damage was found in it.
    sound: bool,
}

/// The index of all records. One file is kept open, because most lookups follow each other in one
/// segment.
#[derive(Default)]
pub(crate) struct Index {
    segments: Vec<KnownSegment>,
    /// The time of the directory of segments when it was listed, if a later change must show in
    /// that time.
    listed: Option<i64>,
    /// True if only this machine can see the segments.
    local: Option<bool>,
    slots: HashMap<Half, RowSlot, BuildHasherDefault<AsItIs>>,
    /// The keys whose row is damaged, with the generation that replaces it.
    replaced_by: HashMap<Half, u32>,
    open: Option<(u32, File)>,
    window: FileWindow,
    warnings: Vec<Warning>,
}

impl Index {
    /// Takes in what was appended since the last call. If there was nothing, this costs a `stat` of
    /// the directory and one of each segment.
    pub(crate) fn refresh(&mut self, records: &Path) -> Result<(), StoreError> {
        self.refresh_if(records, is_local)
    }

    /// Does the same. `is_local` says whether no other machine writes to the directory.
    fn refresh_if(
        &mut self,
        records: &Path,
        is_local: fn(&Path) -> bool,
    ) -> Result<(), StoreError> {
        let listed_at = now_nanos();
        let changed = match std::fs::metadata(records) {
            Ok(meta) => mtime_nanos(&meta),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(StoreError::env("records.scan", records, e)),
        };
        let local = *self.local.get_or_insert_with(|| is_local(records));
        if self.listed != Some(changed) {
            for path in list_dir(records)? {
                let is_segment = path.extension().is_some_and(|e| e == "seg");
                // We must not append to what is behind a link, or cut it.
                if is_segment && self.number(&path).is_none() && !path.is_symlink() {
                    self.add(path);
                }
            }
            // Where other machines write, their clocks may differ, and a segment may be seen later than the time of
            // the directory that it has changed.
            let settled = is_settled(changed, listed_at) && local;
            self.listed = settled.then_some(changed);
        }
        (0..self.segments.len()).try_for_each(|number| self.refresh_segment(number))
    }

    fn number(&self, path: &Path) -> Option<usize> {
        self.segments.iter().position(|s| s.path == path)
    }

    fn add(&mut self, path: PathBuf) -> usize {
        self.segments.push(KnownSegment {
            path,
            scanned: 0,
            sound: true,
        });
        self.segments.len() - 1
    }

    /// Takes in what this process appended to a segment.
    pub(crate) fn appended(&mut self, path: &Path) -> Result<(), StoreError> {
        let number = self.number(path);
        let number = number.unwrap_or_else(|| self.add(path.to_path_buf()));
        self.refresh_segment(number)
    }

    fn refresh_segment(&mut self, number: usize) -> Result<(), StoreError> {
        let segments = &self.segments;
        let KnownSegment { path, scanned, .. } = &segments[number];
        let env = |e| StoreError::env("records.scan", path, e);
        let length = match look_at(path, self.local.unwrap_or_default()) {
            Ok(meta) => meta.len(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(env(e)),
        };
        if *scanned == length {
            return Ok(());
        }
        // A segment that is shorter now is another file, or somebody cut it. Only a scan can tell.
        let start = if *scanned > length { 0 } else { *scanned };
        let file = open_own(path).map_err(env)?;
        let slots = &mut self.slots;
        let scan = segment::scan(&file, start, length, &mut self.window, |offset, row| {
            let slot = RowSlot {
                offset,
                stamp: row.stamp,
                segment: number as u32,
                generation: row.generation,
            };
            match slots.entry(half(&row.key)) {
                Entry::Vacant(entry) => {
                    entry.insert(slot);
                }
                Entry::Occupied(mut entry) => {
                    if beats(segments, &slot, entry.get()) {
                        entry.insert(slot);
                    }
                }
            }
        })
        .map_err(env)?;
        self.warnings
            .extend(scan.damaged.iter().map(|(from, to)| Warning {
                path: path.clone(),
                detail: format!("bytes {from} to {to} are damaged; their records are recomputed"),
            }));
        let segment = &mut self.segments[number];
        segment.scanned = scan.end;
        segment.sound &= scan.damaged.is_empty();
        // The window now holds this segment's bytes.
        self.open = Some((number as u32, file));
        Ok(())
    }

    /// The record of a key. A damaged one is reported and forgotten.
    pub(crate) fn lookup(&mut self, key: &ActionKey) -> Result<Option<Record>, StoreError> {
        self.find(key, Record::decode)
    }

    /// The record of a key without its recipe.
    pub(crate) fn result(&mut self, key: &ActionKey) -> Result<Option<Record>, StoreError> {
        self.find(key, Record::decode_result)
    }

    fn find(
        &mut self,
        key: &ActionKey,
        decode: fn(ActionKey, Payload<'_>) -> Result<Record, DecodeError>,
    ) -> Result<Option<Record>, StoreError> {
        let Some(slot) = self.slots.get(&half(key)).copied() else {
            return Ok(None);
        };
        let decoded = match self.row(&slot)? {
            Some((row, payload)) if row.key == *key => decode(*key, payload).ok(),
            _ => None,
        };
        if decoded.is_none() {
            self.forget_damaged(half(key), &slot);
        }
        Ok(decoded)
    }

    /// A row and its payload, if the checks of both hold.
    pub(crate) fn row(
        &mut self,
        slot: &RowSlot,
    ) -> Result<Option<(SegmentRow, Payload<'_>)>, StoreError> {
        let path = &self.segments[slot.segment as usize].path;
        let env = |e| StoreError::env("records.read", path, e);
        if self.open.as_ref().is_none_or(|(n, _)| *n != slot.segment) {
            self.window.clear();
            self.open = match open_own(path) {
                Ok(file) => Some((slot.segment, file)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => None,
                Err(e) => return Err(env(e)),
            };
        }
        match &self.open {
            Some((_, file)) => self.window.row(file, slot.offset).map_err(env),
            None => Ok(None),
        }
    }

    /// Appends the bytes of a row to `out`, if its checks hold.
    pub(crate) fn copy_row(&mut self, slot: &RowSlot, out: &mut Vec<u8>) -> Result<(), StoreError> {
        let Some((row, _)) = self.row(slot)? else {
            return Ok(());
        };
        let path = &self.segments[slot.segment as usize].path;
        if let Some((_, file)) = &self.open {
            let raw = self.window.raw(file, slot.offset, &row);
            out.extend_from_slice(raw.map_err(|e| StoreError::env("records.read", path, e))?);
        }
        Ok(())
    }

    /// Drops a damaged row, and makes sure that its successor outranks it. Otherwise the next
    /// process would meet the same damage.
    fn forget_damaged(&mut self, half: Half, slot: &RowSlot) {
        self.slots.remove(&half);
        self.replaced_by
            .insert(half, slot.generation.saturating_add(1));
        let segment = &mut self.segments[slot.segment as usize];
        segment.sound = false;
        self.warnings.push(Warning {
            path: segment.path.clone(),
            detail: format!(
                "the record at byte {} is damaged; its action is recomputed",
                slot.offset
            ),
        });
    }

    /// Where the row of a key is.
    pub(crate) fn place(&self, key: &ActionKey) -> Option<RecordPlace> {
        let slot = self.slots.get(&half(key))?;
        Some(RecordPlace {
            segment: self.segments[slot.segment as usize].path.clone(),
            offset: slot.offset,
            generation: slot.generation,
            stamp: slot.stamp,
        })
    }

    /// Returns true if the row of a key was read and is damaged.
    pub(crate) fn is_damaged(&self, key: &ActionKey) -> bool {
        self.replaced_by.contains_key(&half(key)) && !self.slots.contains_key(&half(key))
    }

    /// The generation of the next row of a key that has no readable row.
    pub(crate) fn first_generation(&self, key: &ActionKey) -> u32 {
        self.replaced_by.get(&half(key)).copied().unwrap_or(0)
    }

    /// The generation of a row that supersedes the current one.
    pub(crate) fn next_generation(&self, key: &ActionKey) -> u32 {
        match self.slots.get(&half(key)) {
            Some(slot) => slot.generation.saturating_add(1),
            None => self.first_generation(key),
        }
    }

    /// Calls `each` with every row that counts, in the order of the rows on disk. Rows that are
    /// damaged or cannot be decoded are reported and forgotten.
    pub(crate) fn for_each_row(
        &mut self,
        mut each: impl FnMut(RowSlot, &SegmentRow, Payload<'_>) -> Result<(), DecodeError>,
    ) -> Result<(), StoreError> {
        let mut slots: Vec<(Half, RowSlot)> = self.slots.iter().map(|(h, s)| (*h, *s)).collect();
        slots.sort_unstable_by_key(|(_, slot)| (slot.segment, slot.offset));
        for (half, slot) in slots {
            let sound = match self.row(&slot)? {
                Some((row, payload)) => each(slot, &row, payload).is_ok(),
                None => false,
            };
            if !sound {
                self.forget_damaged(half, &slot);
            }
        }
        Ok(())
    }

    /// Calls `each` with every readable record.
    pub(crate) fn for_each(
        &mut self,
        mut each: impl FnMut(RowSlot, Record),
    ) -> Result<(), StoreError> {
        self.for_each_row(|slot, row, payload| {
            each(slot, Record::decode(row.key, payload)?);
            Ok(())
        })
    }

    /// Where the last whole row of a segment ends.
    pub(crate) fn end_of(&self, path: &Path) -> u64 {
        self.number(path).map_or(0, |n| self.segments[n].scanned)
    }

    /// The number of keys that have a record.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The segments' files, in order of name.
    pub(crate) fn segment_paths(&self) -> Vec<PathBuf> {
        self.paths(|_| true)
    }

    /// The segments in which no damage was found.
    pub(crate) fn sound_segments(&self) -> Vec<PathBuf> {
        self.paths(|segment| segment.sound)
    }

    fn paths(&self, want: impl Fn(&KnownSegment) -> bool) -> Vec<PathBuf> {
        let wanted = self.segments.iter().filter(|segment| want(segment));
        let mut paths: Vec<PathBuf> = wanted.map(|segment| segment.path.clone()).collect();
        paths.sort();
        paths
    }

    /// Puts back warnings that were taken before the index was rebuilt.
    pub(crate) fn restore_warnings(&mut self, warnings: Vec<Warning>) {
        self.warnings = warnings;
    }

    /// The damage that was found since the last call.
    pub(crate) fn take_warnings(&mut self) -> Vec<Warning> {
        std::mem::take(&mut self.warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::beats as wins;
    use super::*;
    use crate::content::Digest;
    use crate::records::segment::RowId;
    use std::time::Duration;

    #[test]
    fn the_earliest_row_of_the_highest_generation_counts() {
        let segment = |name: &str| KnownSegment {
            path: PathBuf::from(name),
            scanned: 0,
            sound: true,
        };
        let segments = [segment("b"), segment("a")];
        let slot = |generation, stamp, segment| RowSlot {
            offset: 8,
            stamp,
            segment,
            generation,
        };
        let beats = |a, b| wins(&segments, &a, &b);
        assert!(beats(slot(0, 1, 0), slot(0, 2, 0)));
        assert!(!beats(slot(0, 2, 0), slot(0, 1, 0)));
        assert!(!beats(slot(0, 1, 0), slot(0, 1, 0)));
        assert!(beats(slot(1, 9, 0), slot(0, 1, 0)));
        assert!(!beats(slot(0, 1, 0), slot(1, 9, 0)));
        assert!(beats(slot(0, 1, 1), slot(0, 1, 0)));
        assert!(!beats(slot(0, 1, 0), slot(0, 1, 1)));
    }

    /// Writes a segment with one row, and sets the time of its directory to long ago, as if the directory had changed
    /// before this machine saw the segment.
    fn appears_late(records: &Path, name: &str) -> ActionKey {
        let key = ActionKey(Digest::of(name.as_bytes()));
        let id = RowId {
            key,
            generation: 0,
            stamp: 1,
        };
        let mut bytes = segment::FILE_MAGIC.to_vec();
        segment::put_row(&mut bytes, id, b"head", b"recipe").unwrap();
        std::fs::write(records.join(format!("{name}.seg")), bytes).unwrap();
        let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 7);
        File::open(records).unwrap().set_modified(long_ago).unwrap();
        key
    }

    #[test]
    fn segments_on_a_shared_file_system_are_listed_each_time() {
        for (is_local, seen) in [
            ((|_| false) as fn(&Path) -> bool, true),
            // The time of a local directory tells that nothing was added to it.
            (|_| true, false),
        ] {
            let temp = tempfile::tempdir().unwrap();
            let mut index = Index::default();
            let early = appears_late(temp.path(), "a");
            index.refresh_if(temp.path(), is_local).unwrap();
            let late = appears_late(temp.path(), "b");
            index.refresh_if(temp.path(), is_local).unwrap();
            assert!(index.place(&early).is_some());
            assert_eq!(index.place(&late).is_some(), seen);
        }
    }

    #[test]
    fn an_entry_takes_less_than_a_hundred_bytes() {
        // A hash table is at least 7/16 full and has a byte of its own for each place.
        let place = size_of::<(Half, RowSlot)>() + 1;
        assert!(place * 16 / 7 < 100);
    }
}
