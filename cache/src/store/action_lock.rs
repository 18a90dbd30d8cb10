//! The right to run an action.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::content::ActionKey;
use crate::disk::lock::{Byte, LockTry, set_lock};
use crate::error::StoreError;

/// The locks of actions. Each key locks one byte of the same file, so that 100,000 actions leave no
/// lock files behind.
#[derive(Debug)]
pub(crate) struct ActionLocks {
    /// Open for writing. `None` in a read-only store, which has no other writers to wait for.
    file: Option<File>,
    /// The locks that this process holds. The kernel's locks belong to the open file, so they do
    /// not exclude other threads of the process.
    held: Mutex<HashSet<i64>>,
}

/// The right to run an action. It is released when it is dropped.
#[derive(Debug)]
pub struct ActionLock {
    locks: Arc<ActionLocks>,
    offset: i64,
}

impl ActionLocks {
    pub(crate) fn new(file: Option<File>) -> Arc<Self> {
        Arc::new(Self {
            file,
            held: Mutex::default(),
        })
    }

    /// Takes the lock of an action. Returns `None` if another process or thread holds it.
    pub(crate) fn try_lock(
        self: &Arc<Self>,
        key: &ActionKey,
        path: &Path,
    ) -> Result<Option<ActionLock>, StoreError> {
        let mut first = [0; 8];
        first.copy_from_slice(&key.0.as_bytes()[..8]);
        // The last byte that a file can have is at i64::MAX - 1. Two keys with the same offset wait
        // for each other, which is slow but right.
        let offset = i64::from_le_bytes(first) & (i64::MAX - 1);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.contains(&offset) {
            return Ok(None);
        }
        if let Some(file) = &self.file {
            match set_lock(file, offset, Byte::Lock) {
                Ok(LockTry::Taken | LockTry::NoLocks) => {}
                Ok(LockTry::Held) => return Ok(None),
                Err(e) => return Err(StoreError::env("lock.action", path, e)),
            }
        }
        held.insert(offset);
        Ok(Some(ActionLock {
            locks: Arc::clone(self),
            offset,
        }))
    }
}

impl Drop for ActionLock {
    fn drop(&mut self) {
        let mut held = self
            .locks
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &self.locks.file {
            // Unlocking fails only for a bad descriptor, whose locks the kernel has released.
            let _ = set_lock(file, self.offset, Byte::Unlock);
        }
        held.remove(&self.offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Digest;
    use crate::disk::lock::open_private;

    #[test]
    fn one_holder_at_a_time_across_descriptors_and_threads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("actions");
        let open = || ActionLocks::new(Some(open_private(&path).unwrap()));
        let (mine, other) = (open(), open());
        let (a, b) = (ActionKey(Digest::of(b"a")), ActionKey(Digest::of(b"b")));
        let lock = mine.try_lock(&a, &path).unwrap().unwrap();
        assert!(mine.try_lock(&a, &path).unwrap().is_none());
        if cfg!(target_os = "linux") {
            assert!(other.try_lock(&a, &path).unwrap().is_none());
        }
        assert!(other.try_lock(&b, &path).unwrap().is_some());
        drop(lock);
        assert!(other.try_lock(&a, &path).unwrap().is_some());
    }
}
