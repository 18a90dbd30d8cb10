//! Locks of the kernel. The death of a holder releases them, so nobody has to unlock anything by
//! hand. They make concurrent runs efficient; what is stored is right without them.
//!
//! On a file system that has no locks, every lock is granted, and no process is taken for dead.
//!
//! A process that can open a file can lock it. Lock files can therefore be opened only by those who
//! may write to them, except `in-use`, which readers share. Its locks are locks of one byte, and a
//! reader cannot get an exclusive one, because that needs a file that is open for writing.

use std::fs::{File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::wait::wait;
use crate::error::StoreError;

/// Opens a lock file, and creates it if it is not there. A link is an error.
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

/// Does the same for a file that only those who may write to it shall be able to lock.
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
        // The owner of the file has to do it otherwise.
        let _ = file.set_permissions(Permissions::from_mode(restricted));
    }
}

/// Locks a file that was just made, to show others that its maker is alive. Returns false if
/// another process took the maker for dead and removed the file.
pub(crate) fn take_new(file: &File, path: &Path) -> Result<bool, StoreError> {
    match try_exclusive(file, path)? {
        LockTry::Held => Ok(false),
        LockTry::Taken | LockTry::NoLocks => {
            is_at(file, path).map_err(|e| StoreError::env("lock.file", path, e))
        }
    }
}

/// Returns true if an open file has this name. Its number of names does not tell: on NFS, a file
/// that is open gets another name when it is removed.
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (open.dev(), open.ino())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Opens the lock file of another process, to see whether that is alive. On NFS, only a file that
/// is open for writing can be locked.
pub(crate) fn open_others(path: &Path) -> io::Result<File> {
    let open = |write| {
        let mut options = File::options();
        options.read(true).write(write);
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        options.open(path)
    };
    open(true).or_else(|_| open(false))
}

/// What to do with the lock of a byte.
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

/// Without locks of open file descriptions, only the threads of one process exclude each other.
#[cfg(not(target_os = "linux"))]
pub(crate) fn set_lock(_file: &File, _offset: i64, _what: Byte) -> io::Result<LockTry> {
    Ok(LockTry::NoLocks)
}

fn unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(libc::ENOLCK)
}

/// A lock of a whole file, held until it is dropped.
pub(crate) struct Exclusive {
    _file: File,
    /// True if the file system has locks, so that this one keeps others out.
    pub(crate) is_real: bool,
}

/// Takes a lock of a whole file, and waits for it.
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

/// The outcome of trying to take a lock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum LockTry {
    Taken,
    /// Another process has it.
    Held,
    /// The file system has no locks.
    NoLocks,
}

/// Takes a lock of a whole file that is open, if the lock is free.
pub(crate) fn try_exclusive(file: &File, path: &Path) -> Result<LockTry, StoreError> {
    match file.try_lock() {
        Ok(()) => Ok(LockTry::Taken),
        Err(TryLockError::WouldBlock) => Ok(LockTry::Held),
        Err(TryLockError::Error(e)) if unsupported(&e) => Ok(LockTry::NoLocks),
        Err(TryLockError::Error(e)) => Err(StoreError::env("lock.file", path, e)),
    }
}

/// The lock of all processes that have a store open. They share it, and gc takes it exclusively.
#[derive(Debug)]
pub(crate) struct InUse {
    file: File,
    path: PathBuf,
}

impl InUse {
    /// Shares the lock, and waits while gc has it. A reader may pass a file that is open only for
    /// reading.
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

    /// Runs `collect` while no other process has the store open. Returns `None` if one has.
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

    #[test]
    fn an_open_file_is_at_its_name_until_that_is_removed_or_given_to_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let file = File::create(&path).unwrap();
        assert!(is_at(&file, &path).unwrap());
        // NFS does this to an open file that is removed.
        std::fs::rename(&path, dir.path().join(".nfs0001")).unwrap();
        assert!(!is_at(&file, &path).unwrap());
        assert!(!take_new(&file, &path).unwrap());
        File::create(&path).unwrap();
        assert!(!is_at(&file, &path).unwrap());
    }

    #[test]
    fn a_lock_of_another_process_is_opened_for_writing_if_that_is_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        std::fs::write(&path, "x").unwrap();
        let mut file = open_others(&path).unwrap();
        io::Write::write_all(&mut file, b"y").unwrap();
        // A folder cannot be opened for writing by anybody.
        assert!(
            open_others(dir.path())
                .unwrap()
                .metadata()
                .unwrap()
                .is_dir()
        );
        assert!(open_others(&dir.path().join("none")).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_reader_cannot_have_a_store_to_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in-use");
        let owner = InUse::share(open_file(&path).unwrap(), &path).unwrap();
        // A tool can lock a file that it may only read, and can try to lock a byte of it.
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
