//! Folders for unfinished work. Each belongs to the process that made it, which holds a lock in it.
//! Other processes remove it once that lock is free.
//!
//! Names are random and a folder is only made if its name is free, so two processes never share
//! one, even in different containers. Only the lock tells who is alive. Between the moment a folder
//! is made and the moment it is locked, another process may take its maker for dead and remove it.
//! The maker then makes another one.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::lock::{self, LockTry};
use super::look::{give_back, list_dir, read_own_dir, require_no_link};
use super::names::{Reach, is_unique_name};
use super::steps;
use crate::error::StoreError;

const LOCK: &str = "lock";

/// How often other processes may remove a new folder or file before its maker gives up.
pub(crate) const TRIES: u32 = 100;

/// A folder of this process, removed with everything in it when it is dropped.
#[derive(Debug)]
pub struct WorkDir {
    path: PathBuf,
    /// Held while the process lives, so that others can tell debris from work.
    lock: Option<File>,
}

impl WorkDir {
    /// Makes a folder in `parent`, which is made too if it is not there. Removes what dead
    /// processes have left in `parent`.
    pub fn create(parent: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(parent)
            .map_err(|e| StoreError::env("scratch.create", parent, e))?;
        require_no_link(parent)?;
        sweep(parent)?;
        Self::new("scratch.create", parent)
    }

    /// Makes a folder in one that is there.
    pub(crate) fn new(step: &'static str, parent: &Path) -> Result<Self, StoreError> {
        let reach = Reach::of(parent);
        for _ in 0..TRIES {
            let path = parent.join(reach.name());
            steps::make_dir(step, &path)?;
            if let Some(lock) = hold(&path.join(LOCK))? {
                let lock = Some(lock);
                return Ok(Self { path, lock });
            }
        }
        let error = io::Error::other("other processes remove every new directory");
        Err(StoreError::env(step, parent, error))
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        // If it cannot be removed now, another process sweeps it later.
        if let Ok(parent) = Handle::open(self.path.parent().unwrap_or(&self.path)) {
            let name = self.path.file_name().unwrap_or_default();
            let _ = parent.remove(name, self.lock.take());
        }
    }
}

/// Makes the lock file and takes the lock. Returns `None` if the folder was swept meanwhile.
fn hold(path: &Path) -> Result<Option<File>, StoreError> {
    let file = match File::create_new(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StoreError::env("lock.file", path, e)),
    };
    Ok(lock::take_new(&file, path)?.then_some(file))
}

/// Removes what dead processes have left in `parent`. Debris does no harm, so failures are left to
/// the next sweep.
pub(crate) fn sweep(parent: &Path) -> Result<(), StoreError> {
    sweep_if(parent, |reach, name| reach.covers(name))
}

/// Does the same with what other machines have left. The caller knows that none of them is at work,
/// as far as locks can tell.
pub(crate) fn sweep_all(parent: &Path) -> Result<(), StoreError> {
    sweep_if(parent, |_, _| true)
}

fn sweep_if(parent: &Path, wanted: fn(&Reach, &Path) -> bool) -> Result<(), StoreError> {
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
    for name in names.iter().filter(|name| wanted(&reach, name)) {
        let _ = parent.sweep(name.file_name().unwrap_or_default());
    }
    Ok(())
}

/// An open directory. Names below it are resolved in it, whatever became of its path meanwhile.
struct Handle {
    path: PathBuf,
    file: File,
}

impl Handle {
    /// Opens a directory. A link is an error.
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

    /// The path of an entry, by the open descriptor if the system has such paths.
    fn at(&self, name: &OsStr) -> PathBuf {
        let open = PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()));
        match open.symlink_metadata() {
            Ok(_) => open.join(name),
            Err(_) => self.path.join(name),
        }
    }

    /// Removes a folder of work if its maker is dead.
    fn sweep(&self, name: &OsStr) -> io::Result<()> {
        let path = self.at(name);
        match lock::open_others(&path.join(LOCK)) {
            Ok(lock) => match lock::try_exclusive(&lock, &path) {
                Ok(LockTry::Taken) => self.remove(name, Some(lock)),
                _ => Ok(()),
            },
            // Its maker died or is about to lock it, so it is empty. Otherwise it is not one of
            // ours.
            Err(e) if e.kind() == io::ErrorKind::NotFound => std::fs::remove_dir(path),
            Err(e) => Err(e),
        }
    }

    /// Removes a folder of work, its lock last. If the process dies on the way, the rest is swept
    /// later.
    fn remove(&self, name: &OsStr, lock: Option<File>) -> io::Result<()> {
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
        // On NFS, an open file leaves another name in its folder when it is removed.
        drop(lock);
        std::fs::remove_file(room.at(OsStr::new(LOCK)))?;
        std::fs::remove_dir(self.at(name))
    }
}

/// Removes a folder with everything in it, even what a program has closed to its owner.
pub(crate) fn remove_tree(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {}
        removed => return removed,
    }
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in read_own_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
        give_back(&folder, 0o700);
    }
    std::fs::remove_dir_all(folder)
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
    fn work_of_another_machine_goes_only_if_all_are_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let alive = WorkDir::create(dir.path()).unwrap();
        let far = dir
            .path()
            .join("18ec0408a6eea78a-c37ada8489f6586b-28af18a42e9c9629");
        std::fs::create_dir(&far).unwrap();
        std::fs::write(far.join(LOCK), "").unwrap();
        let others = |_: &Reach, name: &Path| !name.to_string_lossy().ends_with("9c9629");
        sweep_if(dir.path(), others).unwrap();
        assert!(far.exists());
        sweep_all(dir.path()).unwrap();
        assert!(alive.path().exists() && !far.exists());
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
}
