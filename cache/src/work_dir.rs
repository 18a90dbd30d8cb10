//! Directories of unfinished work. Each belongs to the process that made it, which holds a lock in
//! it; others remove it once that lock is free.
//!
//! Names are random and made exclusively, so two processes never share one, whatever numbers their
//! systems or containers give them. Who is alive tells the lock alone. Between making a directory
//! and locking it another process may take it for a dead one's; it is then gone, and another is made.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::disk;
use crate::error::StoreError;
use crate::layout::{is_unique_name, list_dir, require_no_link};
use crate::lock::{self, Reach, Tried};

const LOCK: &str = "lock";

/// So often another process may take a new directory for a dead one's.
const TRIES: u32 = 100;

/// A directory of this process's own, removed with all it holds when dropped.
#[derive(Debug)]
pub struct WorkDir {
    path: PathBuf,
    /// Held while alive, so that others can tell debris from work.
    _lock: File,
}

impl WorkDir {
    /// Makes one in `parent`, which is made as well where it is not there, and removes what dead
    /// processes left there.
    pub fn create(parent: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(parent)
            .map_err(|e| StoreError::env("scratch.create", parent, e))?;
        require_no_link(parent)?;
        sweep(parent)?;
        Self::new("scratch.create", parent)
    }

    /// Makes one in a directory that is there.
    pub(crate) fn new(step: &'static str, parent: &Path) -> Result<Self, StoreError> {
        let reach = Reach::of(parent);
        for _ in 0..TRIES {
            let path = parent.join(reach.name());
            disk::make_dir(step, &path)?;
            if let Some(lock) = hold(&path.join(LOCK))? {
                return Ok(Self { path, _lock: lock });
            }
        }
        let error = io::Error::other("other processes remove every new directory");
        Err(StoreError::env(step, parent, error))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        // What cannot be removed now, others sweep.
        if let Ok(parent) = Handle::open(self.path.parent().unwrap_or(&self.path)) {
            let _ = parent.remove(self.path.file_name().unwrap_or_default());
        }
    }
}

/// Makes the lock file and takes the lock; nothing if the directory was swept meanwhile.
fn hold(path: &Path) -> Result<Option<File>, StoreError> {
    let file = match File::create_new(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StoreError::env("lock.file", path, e)),
    };
    lock::take_new(file, path)
}

/// Removes what dead processes left in `parent`. Debris is harmless, so what goes wrong is left to the
/// next sweep.
pub(crate) fn sweep(parent: &Path) -> Result<(), StoreError> {
    let mut names = list_dir(parent)?;
    names.retain(|path| {
        let name = path.file_name().and_then(OsStr::to_str);
        name.is_some_and(is_unique_name)
    });
    if names.is_empty() {
        return Ok(());
    }
    let reach = Reach::of(parent);
    let Ok(parent) = Handle::open(parent) else {
        return Ok(());
    };
    for name in names.iter().filter(|name| reach.covers(name)) {
        let _ = parent.sweep(name.file_name().unwrap_or_default());
    }
    Ok(())
}

/// An open directory. What is named below it lies in it, whatever became of its path meanwhile.
struct Handle {
    path: PathBuf,
    file: File,
}

impl Handle {
    /// Opens a directory; a link is none.
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
            .open(path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// The way to something in it, by its descriptor where the system has such ways.
    fn at(&self, name: &OsStr) -> PathBuf {
        let open = PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()));
        match open.symlink_metadata() {
            Ok(_) => open.join(name),
            Err(_) => self.path.join(name),
        }
    }

    /// Removes a directory of work if who made it is dead.
    fn sweep(&self, name: &OsStr) -> io::Result<()> {
        let path = self.at(name);
        let lock = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path.join(LOCK));
        match lock {
            Ok(lock) => match lock::try_exclusive(&lock, &path) {
                // The lock is held until all is gone.
                Ok(Tried::Taken) => self.remove(name),
                _ => Ok(()),
            },
            // Its maker died, or is about to lock it: it is empty, or none of ours.
            Err(e) if e.kind() == io::ErrorKind::NotFound => std::fs::remove_dir(path),
            Err(e) => Err(e),
        }
    }

    /// Removes a directory of work, its lock last: what a death on the way leaves is swept later.
    fn remove(&self, name: &OsStr) -> io::Result<()> {
        let room = Self::open(&self.at(name))?;
        let inside = room.at(OsStr::new(""));
        for entry in std::fs::read_dir(&inside)? {
            let entry = entry?;
            if entry.file_name() == LOCK {
                continue;
            }
            let path = room.at(&entry.file_name());
            if entry.file_type()?.is_dir() {
                remove_tree(&path)?;
            } else {
                std::fs::remove_file(path)?;
            }
        }
        std::fs::remove_file(room.at(OsStr::new(LOCK)))?;
        std::fs::remove_dir(self.at(name))
    }
}

/// Removes a folder with all that is in it, also what a program closed to its owner.
fn remove_tree(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {}
        removed => return removed,
    }
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in disk::read_own_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
        disk::give_back(&folder, 0o700);
    }
    std::fs::remove_dir_all(folder)
}

/// A file on its way to a name, under a hidden name beside it that no other process uses. Dropped
/// before it is published, it is removed; what dead processes left is removed by the next one.
#[derive(Debug)]
pub struct Beside {
    /// What is written.
    pub file: File,
    path: PathBuf,
    to: PathBuf,
}

impl Beside {
    /// Starts a file that is to become `to`, with at most the permissions `mode`.
    pub fn create(to: &Path, mode: u32) -> io::Result<Self> {
        let name = to.file_name().unwrap_or_default().to_string_lossy();
        let prefix = format!(".{name}.flow-");
        let folder = to.parent().unwrap_or(Path::new("."));
        sweep_files(folder, &prefix);
        let reach = Reach::of(folder);
        for _ in 0..TRIES {
            let path = folder.join(format!("{prefix}{}", reach.name()));
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(&path)?;
            if let Some(file) = lock::take_new(file, &path).map_err(io::Error::from)? {
                return Ok(Self {
                    file,
                    path,
                    to: to.to_owned(),
                });
            }
        }
        Err(io::Error::other("other processes remove every new file"))
    }

    /// Writes a whole file in this way; it is durable before it has its name.
    pub fn write(to: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut beside = Self::create(to, 0o666)?;
        beside.file.write_all(bytes)?;
        beside.file.sync_all()?;
        beside.publish()
    }

    /// Gives the file its name, in place of what has that.
    pub fn publish(self) -> io::Result<()> {
        std::fs::rename(&self.path, &self.to)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Once published, it is there no more.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Removes the files of dead processes whose names start with `prefix`.
fn sweep_files(folder: &Path, prefix: &str) {
    let reach = Reach::of(folder);
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(prefix));
        if !rest.is_some_and(|rest| is_unique_name(rest) && reach.covers(Path::new(rest))) {
            continue;
        }
        let path = entry.path();
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&path);
        if let Ok(file) = file
            && file
                .metadata()
                .is_ok_and(|meta| meta.is_file() && meta.nlink() == 1)
            && matches!(lock::try_exclusive(&file, &path), Ok(Tried::Taken))
        {
            // Another process may sweep at the same time; the file is gone either way.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(dir: &Path) -> Vec<PathBuf> {
        list_dir(dir).unwrap()
    }

    #[test]
    fn work_of_the_living_stays_and_that_of_the_dead_goes() {
        let dir = tempfile::tempdir().unwrap();
        let alive = WorkDir::create(dir.path()).unwrap();
        let dead = WorkDir::create(dir.path()).unwrap();
        for room in [&alive, &dead] {
            std::fs::create_dir(room.path().join("0")).unwrap();
            std::fs::write(room.path().join("0/x"), "").unwrap();
        }
        let place = dead.path().to_owned();
        // As when its process is killed: the lock goes, the directory stays.
        std::fs::rename(&place, dir.path().join("kept")).unwrap();
        drop(dead);
        std::fs::rename(dir.path().join("kept"), &place).unwrap();
        let another = WorkDir::create(dir.path()).unwrap();
        assert!(alive.path().join("0/x").exists());
        assert!(!place.exists());
        drop((alive, another));
        assert_eq!(names(dir.path()), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_sweep_in_the_middle_of_making_one_is_survived() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let room = WorkDir::create(dir.path()).unwrap();
                        std::fs::write(room.path().join("x"), "").unwrap();
                        std::thread::yield_now();
                        assert!(room.path().join("x").exists());
                    }
                });
            }
        });
        sweep(dir.path()).unwrap();
        assert_eq!(names(dir.path()), Vec::<PathBuf>::new());
    }

    #[test]
    fn links_and_what_others_put_there_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let victim = tempfile::tempdir().unwrap();
        std::fs::write(victim.path().join("lock"), "").unwrap();
        let link = dir.path().join("18ec0408a6eea78a-c37ada8489f6586b-unknown");
        symlink(victim.path(), link).unwrap();
        // Without a lock it is not known to be one of flow's.
        let foreign = dir.path().join("18ec0408a6eea78a-c37ada8489f6586c-unknown");
        std::fs::create_dir(&foreign).unwrap();
        std::fs::write(foreign.join("x"), "").unwrap();
        std::fs::write(dir.path().join("note"), "").unwrap();
        sweep(dir.path()).unwrap();
        assert_eq!(names(dir.path()).len(), 3);
        assert!(victim.path().join("lock").exists() && foreign.join("x").exists());
    }

    #[test]
    fn a_file_beside_another_is_whole_or_gone() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("out.csv");
        let mut half = Beside::create(&to, 0o600).unwrap();
        half.file.write_all(b"half").unwrap();
        Beside::write(&to, b"whole").unwrap();
        assert!(half.path.exists(), "whoever writes it is alive");
        let dead = half.path.clone();
        std::fs::rename(&dead, dir.path().join("kept")).unwrap();
        drop(half);
        std::fs::rename(dir.path().join("kept"), &dead).unwrap();
        std::fs::write(dir.path().join(".out.csv.flow-1-0"), "another's").unwrap();
        Beside::write(&to, b"again").unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"again");
        assert_eq!(names(dir.path()).len(), 2);
    }
}
