//! Locks of the kernel: they are released by the holder's death, so there is nothing to unlock by
//! hand. They make concurrent runs efficient; what is stored is right without them.
//!
//! A file system that has no locks grants every one, but then nobody is taken for dead.
//!
//! Whoever can open a file can lock it. So lock files can be opened only by those who may write to
//! them, but for `in-use`: readers lock it shared, in the way of those locks for which a reader can
//! get no exclusive one (locks of a byte, which need a file that is open for writing).

use std::collections::HashSet;
use std::fs::{File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::digest::ActionKey;
use crate::error::StoreError;
use crate::layout::unique_name;

/// Who is told of waits for other processes, and can end them.
#[derive(Clone, Copy, Debug)]
pub struct Watcher {
    /// Is told, once in a wait, what the other process does or has.
    pub say: fn(&str),
    /// Whether this process is to stop.
    pub stop: fn() -> bool,
}

static WATCHER: OnceLock<Watcher> = OnceLock::new();

/// Has waits watched. Without that, they last as long as it takes, in silence.
pub fn watch_waits(watcher: Watcher) {
    // The first one stays.
    let _ = WATCHER.set(watcher);
}

/// A wait for another process.
#[derive(Debug)]
pub struct Wait {
    since: Instant,
    pause: Duration,
    said: bool,
}

impl Default for Wait {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            pause: Duration::from_micros(100),
            said: false,
        }
    }
}

impl Wait {
    /// From when on a wait is worth a word.
    const LONG: Duration = Duration::from_secs(1);

    /// Waits for a moment. False: this process is to stop.
    pub fn a_moment(&mut self, what: impl FnOnce() -> String) -> bool {
        const LONGEST: Duration = Duration::from_millis(20);
        if let Some(watcher) = WATCHER.get() {
            if (watcher.stop)() {
                return false;
            }
            if !self.said && self.since.elapsed() > Self::LONG {
                self.said = true;
                (watcher.say)(&what());
            }
        }
        std::thread::sleep(self.pause);
        self.pause = (self.pause * 2).min(LONGEST);
        true
    }
}

/// Tries until something comes of it, or this process is to stop.
pub(crate) fn wait<T>(
    path: &Path,
    mut attempt: impl FnMut() -> Result<Option<T>, StoreError>,
) -> Result<T, StoreError> {
    let mut wait = Wait::default();
    loop {
        if let Some(done) = attempt()? {
            return Ok(done);
        }
        if !wait.a_moment(|| format!("has {}", path.display())) {
            return Err(StoreError::Stopped {
                path: path.to_path_buf(),
            });
        }
    }
}

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

/// Locks a file that was just made to tell others that its maker is alive. Nothing if one of them has
/// taken it for a dead one's.
pub(crate) fn take_new(file: File, path: &Path) -> Result<Option<File>, StoreError> {
    match try_exclusive(&file, path)? {
        Tried::Held => Ok(None),
        Tried::Taken | Tried::NoLocks => {
            let meta = file.metadata();
            let meta = meta.map_err(|e| StoreError::env("lock.file", path, e))?;
            Ok((meta.nlink() > 0).then_some(file))
        }
    }
}

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
            match set_lock(file, offset, Byte::Lock) {
                Ok(Tried::Taken | Tried::NoLocks) => {}
                Ok(Tried::Held) => return Ok(None),
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
            let _ = set_lock(file, self.offset, Byte::Unlock);
        }
        held.remove(&self.offset);
    }
}

/// What is done to the lock of a byte.
#[derive(Clone, Copy, PartialEq)]
enum Byte {
    Lock,
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    Share,
    Unlock,
}

/// Locks or unlocks one byte for this open file.
#[cfg(target_os = "linux")]
fn set_lock(file: &File, offset: i64, what: Byte) -> io::Result<Tried> {
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
        return Ok(Tried::Taken);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(Tried::Held),
        Some(libc::ENOLCK | libc::EINVAL | libc::EOPNOTSUPP | libc::ENOSYS) => Ok(Tried::NoLocks),
        _ => Err(error),
    }
}

/// Without open-file-description locks, only the threads of one process keep each other out.
#[cfg(not(target_os = "linux"))]
fn set_lock(_file: &File, _offset: i64, _what: Byte) -> io::Result<Tried> {
    Ok(Tried::NoLocks)
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
        Tried::Held => Ok(None),
        tried => Ok(Some(tried)),
    })?;
    Ok(Exclusive {
        _file: file,
        is_real: tried == Tried::Taken,
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
#[derive(Clone, Copy, Debug, PartialEq)]
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

/// The lock of all who have a store open: shared by them, exclusive for gc.
#[derive(Debug)]
pub(crate) struct InUse {
    file: File,
    path: std::path::PathBuf,
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
            Tried::Held => Ok(None),
            _ => Ok(Some(())),
        })?;
        Ok(in_use)
    }

    /// Runs `collect` while nobody else has the store open; nothing where somebody has.
    pub(crate) fn alone<T>(&self, collect: impl FnOnce() -> T) -> Result<Option<T>, StoreError> {
        let done = match self.set(Byte::Lock)? {
            Tried::Held => None,
            Tried::Taken | Tried::NoLocks => Some(collect()),
        };
        self.set(Byte::Share)?;
        Ok(done)
    }

    #[cfg(target_os = "linux")]
    fn set(&self, what: Byte) -> Result<Tried, StoreError> {
        set_lock(&self.file, 0, what).map_err(|e| StoreError::env("lock.file", &self.path, e))
    }

    #[cfg(not(target_os = "linux"))]
    fn set(&self, what: Byte) -> Result<Tried, StoreError> {
        let set = match what {
            Byte::Lock => return try_exclusive(&self.file, &self.path),
            Byte::Share => self.file.try_lock_shared(),
            Byte::Unlock => return Ok(Tried::Taken),
        };
        match set {
            Ok(()) => Ok(Tried::Taken),
            Err(TryLockError::WouldBlock) => Ok(Tried::Held),
            Err(TryLockError::Error(e)) if unsupported(&e) => Ok(Tried::NoLocks),
            Err(TryLockError::Error(e)) => Err(StoreError::env("lock.file", &self.path, e)),
        }
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
