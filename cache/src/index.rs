//! Where the record of each key lies: all segments, scanned by their headers.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::ActionKey;
use crate::error::StoreError;
use crate::layout::list_dir;
use crate::record::Record;
use crate::segment::{self, HEADER, Row, Window};

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

/// Where a row lies. Ordered by place, so that sorted slots are read sequentially.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    segment: u32,
    offset: u64,
    pub(crate) row: Row,
}

impl Slot {
    fn place(&self) -> (u32, u64) {
        (self.segment, self.offset)
    }
}

struct Segment {
    path: PathBuf,
    scanned: u64,
}

/// The index of all records. One file is kept open, as lookups run along a segment.
#[derive(Default)]
pub(crate) struct Index {
    segments: Vec<Segment>,
    numbers: HashMap<PathBuf, u32>,
    slots: HashMap<ActionKey, Slot>,
    /// Keys whose row turned out damaged, with the generation that replaces it.
    replaced_by: HashMap<ActionKey, u32>,
    open: Option<(u32, File)>,
    window: Window,
    warnings: Vec<Warning>,
}

impl Index {
    /// Takes in what was appended since the last time.
    pub(crate) fn refresh(&mut self, records: &Path) -> Result<(), StoreError> {
        for path in list_dir(records)? {
            if path.extension().is_some_and(|e| e == "seg") {
                self.refresh_segment(&path)?;
            }
        }
        Ok(())
    }

    /// Takes in what was appended to one segment.
    pub(crate) fn refresh_segment(&mut self, path: &Path) -> Result<(), StoreError> {
        let env = |e| StoreError::env("records.scan", path, e);
        let known = self.numbers.get(path).copied();
        let length = match std::fs::metadata(path) {
            Ok(meta) => meta.len(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(env(e)),
        };
        if known.is_some_and(|n| self.segments[n as usize].scanned >= length) {
            return Ok(());
        }
        let number = known.unwrap_or_else(|| {
            let number = self.segments.len() as u32;
            self.numbers.insert(path.to_path_buf(), number);
            self.segments.push(Segment {
                path: path.to_path_buf(),
                scanned: 0,
            });
            number
        });
        let file = File::open(path).map_err(env)?;
        let start = self.segments[number as usize].scanned;
        let slots = &mut self.slots;
        let scan = segment::scan(&file, start, length, &mut self.window, |offset, row| {
            let slot = Slot {
                segment: number,
                offset,
                row,
            };
            match slots.entry(row.key) {
                Entry::Vacant(entry) => {
                    entry.insert(slot);
                }
                Entry::Occupied(mut entry) => {
                    if row.beats(&entry.get().row) {
                        entry.insert(slot);
                    }
                }
            }
        })
        .map_err(env)?;
        self.segments[number as usize].scanned = scan.end;
        // The window now holds this segment's bytes.
        self.open = Some((number, file));
        self.warnings
            .extend(scan.damaged.iter().map(|(from, to)| Warning {
                path: path.to_path_buf(),
                detail: format!("bytes {from} to {to} are damaged; their records are recomputed"),
            }));
        Ok(())
    }

    /// The record of a key. A damaged one is forgotten and reported.
    pub(crate) fn lookup(&mut self, key: &ActionKey) -> Result<Option<Record>, StoreError> {
        let Some(slot) = self.slots.get(key).copied() else {
            return Ok(None);
        };
        let decoded = match self.payload(&slot)? {
            Some(payload) => Record::decode(*key, payload).ok(),
            None => None,
        };
        if decoded.is_none() {
            self.forget_damaged(&slot);
        }
        Ok(decoded)
    }

    /// The payload of a row if its check holds.
    pub(crate) fn payload(&mut self, slot: &Slot) -> Result<Option<&[u8]>, StoreError> {
        let path = &self.segments[slot.segment as usize].path;
        if self.open.as_ref().is_none_or(|(n, _)| *n != slot.segment) {
            self.window.clear();
            self.open = match File::open(path) {
                Ok(file) => Some((slot.segment, file)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => None,
                Err(e) => return Err(StoreError::env("records.read", path, e)),
            };
        }
        let Some((_, file)) = &self.open else {
            return Ok(None);
        };
        let length = slot.row.length as usize;
        let payload = self
            .window
            .read(file, slot.offset + HEADER as u64, length)
            .map_err(|e| StoreError::env("records.read", path, e))?;
        Ok((payload.len() == length && slot.row.fits(payload)).then_some(payload))
    }

    /// Drops a row whose payload is damaged, and sees to it that its successor outranks it, or the
    /// next process would stumble over it again.
    fn forget_damaged(&mut self, slot: &Slot) {
        let key = slot.row.key;
        self.slots.remove(&key);
        self.replaced_by
            .insert(key, slot.row.generation.saturating_add(1));
        self.warnings.push(Warning {
            path: self.segments[slot.segment as usize].path.clone(),
            detail: format!(
                "the record at byte {} is damaged; its action is recomputed",
                slot.offset
            ),
        });
    }

    /// The generation of the next row of a key that has none that is readable.
    pub(crate) fn first_generation(&self, key: &ActionKey) -> u32 {
        self.replaced_by.get(key).copied().unwrap_or(0)
    }

    /// The generation of a row that supersedes what is there.
    pub(crate) fn next_generation(&self, key: &ActionKey) -> u32 {
        match self.slots.get(key) {
            Some(slot) => slot.row.generation.saturating_add(1),
            None => self.first_generation(key),
        }
    }

    /// All rows that count, in the order of their places.
    pub(crate) fn slots(&self) -> Vec<Slot> {
        let mut slots: Vec<Slot> = self.slots.values().copied().collect();
        slots.sort_by_key(Slot::place);
        slots
    }

    /// Calls `each` with every readable record.
    pub(crate) fn for_each(
        &mut self,
        mut each: impl FnMut(Slot, Record),
    ) -> Result<(), StoreError> {
        for slot in self.slots() {
            if let Some(record) = self.lookup(&slot.row.key)? {
                each(slot, record);
            }
        }
        Ok(())
    }

    /// How many keys have a record.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The segments' files.
    pub(crate) fn segment_paths(&self) -> Vec<PathBuf> {
        self.segments.iter().map(|s| s.path.clone()).collect()
    }

    /// Puts warnings back that were taken before the index was rebuilt.
    pub(crate) fn restore_warnings(&mut self, warnings: Vec<Warning>) {
        self.warnings = warnings;
    }

    /// The damage seen since the last call.
    pub(crate) fn take_warnings(&mut self) -> Vec<Warning> {
        std::mem::take(&mut self.warnings)
    }
}
