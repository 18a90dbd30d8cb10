//! Locks of the kernel: they are released by the holder's death, so there is nothing to unlock by
//! hand. They make concurrent runs efficient; what is stored is right without them.
//!
//! A file system that has no locks grants every one, but then nobody is taken for dead.

use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::digest::ActionKey;
use crate::error::StoreError;
use crate::layout::{open_lock_file, unique_name};

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

/// A whole-file lock, held until dropped.
pub(crate) struct Exclusive {
    _file: File,
    /// Whether it keeps anyone out: the file system has locks.
    pub(crate) is_real: bool,
}

/// Takes a whole-file lock and waits for it.
pub(crate) fn exclusive(path: &Path) -> Result<Exclusive, StoreError> {
    let file = open_lock_file(path)?;
    let is_real = match file.lock() {
        Ok(()) => true,
        Err(e) if unsupported(&e) => false,
        Err(e) => return Err(StoreError::env("lock.file", path, e)),
    };
    Ok(Exclusive {
        _file: file,
        is_real,
    })
}

/// Whom the locks in a directory keep out for sure.
///
/// Everyone, if the file system is known to be local. Of others nobody can tell, as their locks may
/// end at the machine: there it is only this machine since it started, by which files are named.
/// Containers on one kernel are one machine.
pub(crate) struct Reach {
    everyone: bool,
    machine: Option<String>,
}

impl Reach {
    pub(crate) fn of(dir: &Path) -> Self {
        let boot = std::fs::read("/proc/sys/kernel/random/boot_id").ok();
        Self {
            everyone: is_local(dir),
            machine: boot.map(|id| blake3::hash(&id).to_hex()[..16].to_owned()),
        }
    }

    /// A new name for a file or directory that is guarded by a lock.
    pub(crate) fn name(&self) -> String {
        let machine = self.machine.as_deref().unwrap_or("unknown");
        format!("{}-{machine}", unique_name())
    }

    /// Whether locks keep out those who may be at work on this file or directory.
    pub(crate) fn covers(&self, path: &Path) -> bool {
        let made_by = |machine: &String| {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            stem.ends_with(&format!("-{machine}"))
        };
        self.everyone || self.machine.as_ref().is_some_and(made_by)
    }
}

/// Whether only one machine can see the file system of a directory.
#[cfg(target_os = "linux")]
fn is_local(dir: &Path) -> bool {
    use std::os::fd::AsRawFd;
    const LOCAL: [i64; 9] = [
        0xef53,      // ext2, ext3, ext4
        0x5846_5342, // xfs
        0x9123_683e, // btrfs
        0x0102_1994, // tmpfs
        0x794c_7630, // overlayfs
        0xf2f5_2010, // f2fs
        0x2fc1_2fc1, // zfs
        0xca45_1a4e, // bcachefs
        0x8584_58f6, // ramfs
    ];
    let Ok(file) = File::open(dir) else {
        return false;
    };
    // SAFETY: `statfs` is plain data for which zeros are valid.
    let mut found: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open and `found` outlives the call.
    let known = unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut found) } == 0;
    known && LOCAL.contains(&(found.f_type as i64))
}

/// Not known here.
#[cfg(not(target_os = "linux"))]
fn is_local(_dir: &Path) -> bool {
    false
}

/// What came of trying to take a lock.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Tried {
    Taken,
    /// Someone else has it.
    Held,
    /// The file system has no locks.
    NoLocks,
}

/// Takes a whole-file lock on an open file if it is free.
pub(crate) fn try_exclusive(file: &File, path: &Path) -> Result<Tried, StoreError> {
    match file.try_lock() {
        Ok(()) => Ok(Tried::Taken),
        Err(TryLockError::WouldBlock) => Ok(Tried::Held),
        Err(TryLockError::Error(e)) if unsupported(&e) => Ok(Tried::NoLocks),
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
    fn only_who_must_wait_for_a_lock_is_taken_for_dead() {
        let reach = |everyone, machine: Option<&str>| Reach {
            everyone,
            machine: machine.map(str::to_owned),
        };
        let here = reach(false, Some("a1"));
        let named = |reach: &Reach| std::path::PathBuf::from(format!("{}.seg", reach.name()));
        assert!(here.covers(&named(&here)));
        assert!(!here.covers(&named(&reach(false, Some("ba1")))));
        assert!(reach(true, None).covers(Path::new("old.seg")));
        // Two machines that do not know their names are not the same one.
        let nameless = reach(false, None);
        assert!(!nameless.covers(&named(&nameless)));
    }

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
