//! Locks of the kernel: they are released by the holder's death, so there is nothing to unlock by
//! hand. They make concurrent runs efficient; what is stored is right without them.
//!
//! A file system that has no locks grants every one.

use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::digest::ActionKey;
use crate::error::StoreError;
use crate::layout::open_lock_file;

/// The locks of actions: one byte of one file for each key, so that a hundred thousand actions
/// leave no lock files behind.
#[derive(Debug)]
pub(crate) struct ActionLocks {
    /// Open for writing; `None` in a read-only store, which has no other writers to wait for.
    file: Option<File>,
    /// Locks of this process: those of the kernel belong to the open file, so that they do not
    /// keep out other threads.
    held: Mutex<HashSet<i64>>,
}

/// The right to run an action, until dropped.
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

    /// Takes the lock of an action; `None` if another process or thread holds it.
    pub(crate) fn try_lock(
        self: &Arc<Self>,
        key: &ActionKey,
        path: &Path,
    ) -> Result<Option<ActionLock>, StoreError> {
        let mut first = [0; 8];
        first.copy_from_slice(&key.0.as_bytes()[..8]);
        // The last byte a file can have is at i64::MAX - 1. Two keys that share an offset wait for
        // each other, which is slow but right.
        let offset = i64::from_le_bytes(first) & (i64::MAX - 1);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.contains(&offset) {
            return Ok(None);
        }
        if let Some(file) = &self.file {
            match set_lock(file, offset, true) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
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
            // Unlocking fails only for a bad descriptor; the kernel would have released it then.
            let _ = set_lock(file, self.offset, false);
        }
        held.remove(&self.offset);
    }
}

/// Locks or unlocks one byte for this open file. `Ok(false)`: someone else holds it.
#[cfg(target_os = "linux")]
fn set_lock(file: &File, offset: i64, lock: bool) -> io::Result<bool> {
    use std::os::fd::AsRawFd;
    // SAFETY: `flock` is plain data for which zeros are valid.
    let mut range: libc::flock = unsafe { std::mem::zeroed() };
    range.l_type = if lock { libc::F_WRLCK } else { libc::F_UNLCK } as libc::c_short;
    range.l_whence = libc::SEEK_SET as libc::c_short;
    range.l_start = offset;
    range.l_len = 1;
    // SAFETY: the descriptor is open and `range` outlives the call.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &range) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        Some(libc::ENOLCK | libc::EINVAL | libc::EOPNOTSUPP | libc::ENOSYS) => Ok(true),
        _ => Err(error),
    }
}

/// Without open-file-description locks, only the threads of one process keep each other out.
#[cfg(not(target_os = "linux"))]
fn set_lock(_file: &File, _offset: i64, _lock: bool) -> io::Result<bool> {
    Ok(true)
}

fn unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(libc::ENOLCK)
}

/// Takes a whole-file lock and waits for it.
pub(crate) fn exclusive(path: &Path) -> Result<File, StoreError> {
    let file = open_lock_file(path)?;
    match file.lock() {
        Err(e) if !unsupported(&e) => Err(StoreError::env("lock.file", path, e)),
        _ => Ok(file),
    }
}

/// Takes a whole-file lock on an open file if it is free.
pub(crate) fn try_exclusive(file: &File, path: &Path) -> Result<bool, StoreError> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(e)) if unsupported(&e) => Ok(true),
        Err(TryLockError::Error(e)) => Err(StoreError::env("lock.file", path, e)),
    }
}

/// Takes a shared whole-file lock on an open file, and waits while someone holds it exclusively.
pub(crate) fn shared(file: &File, path: &Path) -> Result<(), StoreError> {
    match file.lock_shared() {
        Err(e) if !unsupported(&e) => Err(StoreError::env("lock.file", path, e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn one_holder_at_a_time_across_descriptors_and_threads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("actions");
        let open = || ActionLocks::new(Some(open_lock_file(&path).unwrap()));
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
