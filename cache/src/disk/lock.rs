//! Locks of the kernel: they are released by the holder's death, so there is nothing to unlock by
//! hand. They make concurrent runs efficient; what is stored is right without them.
//!
//! A file system that has no locks grants every one, but then nobody is taken for dead.
//!
//! Whoever can open a file can lock it. So lock files can be opened only by those who may write to
//! them, but for `in-use`: readers lock it shared, in the way of those locks for which a reader can
//! get no exclusive one (locks of a byte, which need a file that is open for writing).

use std::fs::{File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::wait::wait;
use crate::error::StoreError;

/// Opens a lock file, creating it if need be; never through a link.
pub(crate) fn open_file(path: &Path) -> Result<File, StoreError> {
    File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
        .map_err(|e| match e.raw_os_error() {
            Some(libc::ELOOP) => StoreError::link(path),
            _ => StoreError::env("open.lock", path, e),
        })
}

/// The same, for a file that none shall be able to lock who may not write to it.
pub(crate) fn open_private(path: &Path) -> Result<File, StoreError> {
    let file = open_file(path)?;
    restrict(&file);
    Ok(file)
}

/// Takes the right to read from those who may not write.
fn restrict(file: &File) {
    let Ok(meta) = file.metadata() else { return };
    let mode = meta.mode() & 0o777;
    let writers = mode & 0o222;
    let restricted = (mode & !0o444) | (writers << 1);
    if restricted != mode {
        // Of another owner's file it is for the owner to do.
        let _ = file.set_permissions(Permissions::from_mode(restricted));
    }
}

/// Locks a file that was just made to tell others that its maker is alive. False: one of them has
/// taken it for a dead one's.
pub(crate) fn take_new(file: &File, path: &Path) -> Result<bool, StoreError> {
    match try_exclusive(file, path)? {
        LockTry::Held => Ok(false),
        LockTry::Taken | LockTry::NoLocks => {
            let meta = file.metadata();
            let meta = meta.map_err(|e| StoreError::env("lock.file", path, e))?;
            Ok(meta.nlink() > 0)
        }
    }
}

/// What is done to the lock of a byte.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Byte {
    Lock,
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    Share,
    Unlock,
}

/// Locks or unlocks one byte for this open file.
#[cfg(target_os = "linux")]
pub(crate) fn set_lock(file: &File, offset: i64, what: Byte) -> io::Result<LockTry> {
    use std::os::fd::AsRawFd;
    let kind = match what {
        Byte::Lock => libc::F_WRLCK,
        Byte::Share => libc::F_RDLCK,
        Byte::Unlock => libc::F_UNLCK,
    };
    // SAFETY: `flock` is plain data for which zeros are valid.
    let mut range: libc::flock = unsafe { std::mem::zeroed() };
    range.l_type = kind as libc::c_short;
    range.l_whence = libc::SEEK_SET as libc::c_short;
    range.l_start = offset;
    range.l_len = 1;
    // SAFETY: the descriptor is open and `range` outlives the call.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &range) } == 0 {
        return Ok(LockTry::Taken);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(LockTry::Held),
        Some(libc::ENOLCK | libc::EINVAL | libc::EOPNOTSUPP | libc::ENOSYS) => Ok(LockTry::NoLocks),
        _ => Err(error),
    }
}

/// Without open-file-description locks, only the threads of one process keep each other out.
#[cfg(not(target_os = "linux"))]
pub(crate) fn set_lock(_file: &File, _offset: i64, _what: Byte) -> io::Result<LockTry> {
    Ok(LockTry::NoLocks)
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
    let file = open_private(path)?;
    let tried = wait(path, || match try_exclusive(&file, path)? {
        LockTry::Held => Ok(None),
        tried => Ok(Some(tried)),
    })?;
    Ok(Exclusive {
        _file: file,
        is_real: tried == LockTry::Taken,
    })
}

/// What came of trying to take a lock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum LockTry {
    Taken,
    /// Someone else has it.
    Held,
    /// The file system has no locks.
    NoLocks,
}

/// Takes a whole-file lock on an open file if it is free.
pub(crate) fn try_exclusive(file: &File, path: &Path) -> Result<LockTry, StoreError> {
    match file.try_lock() {
        Ok(()) => Ok(LockTry::Taken),
        Err(TryLockError::WouldBlock) => Ok(LockTry::Held),
        Err(TryLockError::Error(e)) if unsupported(&e) => Ok(LockTry::NoLocks),
        Err(TryLockError::Error(e)) => Err(StoreError::env("lock.file", path, e)),
    }
}

/// The lock of all who have a store open: shared by them, exclusive for gc.
#[derive(Debug)]
pub(crate) struct InUse {
    file: File,
    path: PathBuf,
}

impl InUse {
    /// Opens it to share it, and waits while gc has it. A reader may be given a file that it can only
    /// read.
    pub(crate) fn share(file: File, path: &Path) -> Result<Self, StoreError> {
        let in_use = Self {
            file,
            path: path.to_path_buf(),
        };
        wait(path, || match in_use.set(Byte::Share)? {
            LockTry::Held => Ok(None),
            _ => Ok(Some(())),
        })?;
        Ok(in_use)
    }

    /// Runs `collect` while nobody else has the store open; nothing where somebody has.
    pub(crate) fn alone<T>(&self, collect: impl FnOnce() -> T) -> Result<Option<T>, StoreError> {
        let done = match self.set(Byte::Lock)? {
            LockTry::Held => None,
            LockTry::Taken | LockTry::NoLocks => Some(collect()),
        };
        self.set(Byte::Share)?;
        Ok(done)
    }

    #[cfg(target_os = "linux")]
    fn set(&self, what: Byte) -> Result<LockTry, StoreError> {
        set_lock(&self.file, 0, what).map_err(|e| StoreError::env("lock.file", &self.path, e))
    }

    #[cfg(not(target_os = "linux"))]
    fn set(&self, what: Byte) -> Result<LockTry, StoreError> {
        let set = match what {
            Byte::Lock => return try_exclusive(&self.file, &self.path),
            Byte::Share => self.file.try_lock_shared(),
            Byte::Unlock => return Ok(LockTry::Taken),
        };
        match set {
            Ok(()) => Ok(LockTry::Taken),
            Err(TryLockError::WouldBlock) => Ok(LockTry::Held),
            Err(TryLockError::Error(e)) if unsupported(&e) => Ok(LockTry::NoLocks),
            Err(TryLockError::Error(e)) => Err(StoreError::env("lock.file", &self.path, e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_write_cannot_open_a_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        for (before, after) in [
            (0o644, 0o600),
            (0o664, 0o660),
            (0o666, 0o666),
            (0o600, 0o600),
        ] {
            File::create(&path).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(before)).unwrap();
            let file = open_private(&path).unwrap();
            assert_eq!(file.metadata().unwrap().mode() & 0o777, after, "{before:o}");
        }
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path().join("victim"), &link).unwrap();
        assert!(matches!(open_private(&link), Err(StoreError::Link { .. })));
        assert!(!dir.path().join("victim").exists());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_reader_cannot_have_a_store_to_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in-use");
        let owner = InUse::share(open_file(&path).unwrap(), &path).unwrap();
        // What tools take on a file that they may only read, and the lock of a byte.
        let reader = File::open(&path).unwrap();
        reader.lock().unwrap();
        assert!(set_lock(&reader, 0, Byte::Lock).is_err());
        InUse::share(open_file(&path).unwrap(), &path).unwrap();
        assert_eq!(owner.alone(|| 1).unwrap(), Some(1));
        let reading = InUse::share(File::open(&path).unwrap(), &path).unwrap();
        assert_eq!(owner.alone(|| 1).unwrap(), None);
        drop(reading);
        assert_eq!(owner.alone(|| 1).unwrap(), Some(1));
    }
}
