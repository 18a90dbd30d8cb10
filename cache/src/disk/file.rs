//! The one writer of whole files that outlive the process.
//!
//! A file is written beside its place and then gets its name. A reader, a full disk or a kill
//! therefore leaves the old contents or the new ones, never a part. If anything fails, the
//! temporary file is removed. A link that has the name is replaced and not followed.
//!
//! Three things are not written here: artifacts, which get their names in the commit protocol
//! (`store/commit.rs`); segments, which grow; and the `.gitignore` of a user, to which `flow init`
//! appends lines.

use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

use super::lock::{self, LockTry};
use super::names::{Reach, is_local, is_unique_name, unique_name};
use super::steps;
use super::work_dir::TRIES;
use crate::error::StoreError;

/// The names of the two steps of a file in errors and fault points: writing it, and giving it its
/// name.
pub type FileSteps = [&'static str; 2];

/// The steps of a file that no protocol depends on.
pub const PLAIN: FileSteps = ["file.write", "file.publish"];

/// What a power loss can take of a file that was just published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lasting {
    /// Nothing: the bytes are synced before the file gets its name. Only a sync of the folder makes
    /// the name itself durable.
    Now,
    /// All of the file or a part of it, if it was written in the last few seconds. This is for
    /// files that show by themselves whether they are whole, or that cost little to make again.
    Soon,
}

/// A file on its way to its name. If it is dropped before it is published, it leaves nothing.
#[derive(Debug)]
pub struct NewFile {
    temp: NamedTempFile,
    to: PathBuf,
    steps: FileSteps,
}

impl NewFile {
    /// Starts a file in a folder of the user, with at most the permissions `mode`.
    ///
    /// The temporary name is hidden, and it is locked while the writer lives. What killed writers
    /// of the same file have left is removed.
    pub fn create(steps: FileSteps, to: &Path, mode: u32) -> Result<Self, StoreError> {
        let name = to.file_name().unwrap_or_default().to_string_lossy();
        let prefix = format!(".{name}.flow-");
        let folder = to.parent().unwrap_or(Path::new("."));
        sweep(folder, &prefix);
        let reach = Reach::of(folder);
        for _ in 0..TRIES {
            let path = folder.join(format!("{prefix}{}", reach.name()));
            let new = Self::start(steps, to, path, mode)?;
            if lock::take_new(new.temp.as_file(), new.path())? {
                return Ok(new);
            }
        }
        let error = io::Error::other("other processes remove every new file");
        Err(StoreError::env(steps[0], to, error))
    }

    /// Starts a file in one of flow's own folders. The temporary name has no lock, which saves a
    /// look at the other files of the folder. gc removes what killed writers have left in a store.
    pub fn create_own(steps: FileSteps, to: &Path, mode: u32) -> Result<Self, StoreError> {
        let mut name = to.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}.tmp", unique_name()));
        Self::start(steps, to, to.with_file_name(name), mode)
    }

    fn start(steps: FileSteps, to: &Path, path: PathBuf, mode: u32) -> Result<Self, StoreError> {
        let file = steps::create_with(steps[0], &path, mode)?;
        let temp = TempPath::try_from_path(path).map_err(|e| StoreError::env(steps[0], to, e))?;
        Ok(Self {
            temp: NamedTempFile::from_parts(file, temp),
            to: to.to_owned(),
            steps,
        })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        steps::append(self.steps[0], self.path(), self.temp.as_file(), bytes)
    }

    /// Where the bytes are until the file is published.
    pub fn path(&self) -> &Path {
        self.temp.path()
    }

    /// Gives the file its name, and replaces the file that has it.
    pub fn publish(self, lasting: Lasting) -> Result<(), StoreError> {
        self.persist(lasting, true)
    }

    /// Gives the file its name, or fails with `AlreadyExists` if something has it.
    pub fn publish_new(self, lasting: Lasting) -> Result<(), StoreError> {
        self.persist(lasting, false)
    }

    fn persist(self, lasting: Lasting, replace: bool) -> Result<(), StoreError> {
        let [write, publish] = self.steps;
        // A network file system may have no room for the bytes and say so only when the file is
        // closed, which is after it has its name. Closing it syncs it there anyway.
        let folder = self.to.parent().unwrap_or(Path::new("."));
        if lasting == Lasting::Now || !is_local(folder) {
            steps::sync_open(write, self.temp.path(), self.temp.as_file())?;
        }
        steps::persist(publish, self.temp, &self.to, replace)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a whole file into a folder of the user and syncs it.
pub fn write_file(to: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = NewFile::create(PLAIN, to, 0o666)?;
    new.append(bytes)?;
    Ok(new.publish(Lasting::Now)?)
}

/// Does the same for a name that must be free. Otherwise it fails with `AlreadyExists` and changes
/// nothing.
pub fn write_new_file(to: &Path, bytes: &[u8]) -> io::Result<()> {
    if to.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let mut new = NewFile::create(PLAIN, to, 0o666)?;
    new.append(bytes)?;
    Ok(new.publish_new(Lasting::Now)?)
}

/// Writes a whole file into one of flow's own folders.
pub(crate) fn replace(
    steps: FileSteps,
    to: &Path,
    bytes: &[u8],
    lasting: Lasting,
) -> Result<(), StoreError> {
    let mut new = NewFile::create_own(steps, to, 0o666)?;
    new.append(bytes)?;
    new.publish(lasting)
}

/// Removes the files of dead processes whose names start with `prefix`.
fn sweep(folder: &Path, prefix: &str) {
    let reach = Reach::of(folder);
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(prefix));
        if !rest.is_some_and(|rest| is_unique_name(rest) && reach.covers(Path::new(rest))) {
            continue;
        }
        let path = entry.path();
        if let Ok(file) = lock::open_others(&path)
            && file
                .metadata()
                .is_ok_and(|meta| meta.is_file() && meta.nlink() == 1)
            && matches!(lock::try_exclusive(&file, &path), Ok(LockTry::Taken))
        {
            // Another process may sweep at the same time, and then the file is gone already.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::look::list_dir;
    use super::*;

    #[test]
    fn a_file_beside_another_is_whole_or_gone() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("out.csv");
        let mut half = NewFile::create(PLAIN, &to, 0o600).unwrap();
        half.write_all(b"half").unwrap();
        write_file(&to, b"whole").unwrap();
        assert!(half.path().exists(), "whoever writes it is alive");
        let dead = half.path().to_owned();
        std::fs::rename(&dead, dir.path().join("kept")).unwrap();
        drop(half);
        std::fs::rename(dir.path().join("kept"), &dead).unwrap();
        std::fs::write(dir.path().join(".out.csv.flow-1-0"), "another's").unwrap();
        write_file(&to, b"again").unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"again");
        assert_eq!(list_dir(dir.path()).unwrap().len(), 2);
    }

    #[test]
    fn a_file_of_flows_own_leaves_nothing_where_it_fails() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("taken");
        std::fs::create_dir(&to).unwrap();
        assert!(replace(PLAIN, &to, b"bytes", Lasting::Soon).is_err());
        let new = write_new_file(&to, b"bytes").unwrap_err();
        assert_eq!(new.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(list_dir(dir.path()).unwrap(), [to]);
    }

    #[test]
    fn a_name_whose_answer_was_lost_is_given() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("manifest");
        let start = || {
            let mut new = NewFile::create_own(PLAIN, &to, 0o666).unwrap();
            new.write_all(b"bytes").unwrap();
            new
        };
        // As when a server has renamed the file, was stopped, and is asked again.
        let renamed = start();
        std::fs::rename(renamed.path(), &to).unwrap();
        renamed.publish(Lasting::Soon).unwrap();
        std::fs::remove_file(&to).unwrap();
        let linked = start();
        std::fs::hard_link(linked.path(), &to).unwrap();
        linked.publish_new(Lasting::Soon).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"bytes");
        assert_eq!(list_dir(dir.path()).unwrap().len(), 1);
        // Somebody else's file is not taken for ours.
        assert!(start().publish_new(Lasting::Soon).is_err());
        let gone = start();
        std::fs::remove_file(gone.path()).unwrap();
        assert!(gone.publish(Lasting::Soon).is_err());
    }
}
