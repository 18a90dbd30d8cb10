//! Remembers which records gc removed, so that a miss can be told from an action that never ran.
//!
//! The file is a list of entries: the first half of a key, then the time when it was removed, in
//! seconds since 1970 (u64, little-endian). Only explanations read it, so it may be lost, and an
//! entry that is not whole is ignored.

use std::collections::HashMap;
use std::io;

use crate::content::ActionKey;
use crate::disk::file::{self, FileSteps, Lasting};
use crate::disk::stat::now_nanos;
use crate::error::StoreError;
use crate::records::index::{Half, half};
use crate::store::Store;
use crate::store::layout::StoreLayout;

const STEPS: FileSteps = ["gc.write-pruned", "gc.publish-pruned"];

const ENTRY: usize = 16 + 8;

/// The most entries that are kept. The newest ones stay.
const MOST: usize = 500_000;

/// The times when records of keys were removed, in seconds since 1970.
pub(crate) type Pruned = HashMap<Half, u64>;

/// Adds keys to the list, before their records are removed.
pub(crate) fn note(layout: &StoreLayout, keys: &[ActionKey]) -> Result<(), StoreError> {
    if keys.is_empty() {
        return Ok(());
    }
    let mut entries = read(layout)?;
    entries.truncate(entries.len() / ENTRY * ENTRY);
    let now = now_nanos() / 1_000_000_000;
    for key in keys {
        entries.extend_from_slice(&half(key));
        entries.extend_from_slice(&now.to_le_bytes());
    }
    let surplus = entries.len().saturating_sub(MOST * ENTRY);
    let path = layout.pruned();
    file::replace(STEPS, &path, &entries[surplus..], Lasting::Now)
}

fn read(layout: &StoreLayout) -> Result<Vec<u8>, StoreError> {
    let path = layout.pruned();
    match std::fs::read(&path) {
        Ok(bytes) => Ok(bytes),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(StoreError::env("store.pruned", &path, e)),
    }
}

impl Store {
    /// When gc removed the record of an action that had one, in seconds since 1970 (UTC).
    pub fn pruned(&self, key: &ActionKey) -> Result<Option<u64>, StoreError> {
        let pruned = match self.pruned.get() {
            Some(pruned) => pruned,
            None => {
                let entries = read(&self.layout)?;
                let entries = entries.chunks_exact(ENTRY).map(|entry| {
                    let (mut half, mut when) = ([0; 16], [0; 8]);
                    half.copy_from_slice(&entry[..16]);
                    when.copy_from_slice(&entry[16..]);
                    (half, u64::from_le_bytes(when))
                });
                let read = entries.collect();
                self.pruned.get_or_init(|| read)
            }
        };
        Ok(pruned.get(&half(key)).copied())
    }
}
