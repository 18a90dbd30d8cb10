//! Folders of batches: what a run gives to a scheduler, and what the tasks of a batch say. They are
//! notes between processes. What counts is the records, so nothing here needs to be durable for long.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::disk::file::{self, Lasting};
use crate::disk::look::{file_name, is_dir, list_dir, open_own};
use crate::disk::names::unique_name;
use crate::disk::stat::{mtime_nanos, now_nanos};
use crate::disk::steps;
use crate::disk::work_dir::{TRIES, remove_tree};
use crate::error::StoreError;
use crate::store::Store;
use crate::store::layout::StoreLayout;

const MAKE: &str = "jobs.make";
const WRITE: [&str; 2] = ["jobs.write", "jobs.publish"];
const APPEND: &str = "jobs.append";
const READ: &str = "jobs.read";

/// The number of hexadecimal digits of a name.
const DIGITS: usize = 10;

/// The days after which gc removes the folder of a batch in which nothing has changed.
const STALE_DAYS: u64 = 7;

/// The folder of a batch.
#[derive(Clone, Debug)]
pub struct JobDir {
    path: PathBuf,
}

impl JobDir {
    /// The folder at a path, which another process has made.
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the batch.
    pub fn name(&self) -> String {
        file_name(&self.path)
    }

    /// Writes a file as a whole, so that a reader on another machine sees all of it or none.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        file::replace(WRITE, &self.path.join(name), bytes, Lasting::Now)
    }

    /// Appends to a file, which is made if it is not there. Only one process appends to it at a time.
    pub fn append(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path.join(name);
        let file = File::options().append(true).create(true).open(&path);
        let file = file.map_err(|e| StoreError::env(APPEND, &path, e))?;
        steps::append(APPEND, &path, &file, bytes)
    }

    /// The bytes of a file from an offset on. A file that is not there is empty.
    pub fn read(&self, name: &str, from: u64) -> Result<Vec<u8>, StoreError> {
        let path = self.path.join(name);
        let mut bytes = Vec::new();
        let read = open_own(&path).and_then(|mut file| {
            file.seek(SeekFrom::Start(from))?;
            file.read_to_end(&mut bytes)
        });
        match read {
            Ok(_) => Ok(bytes),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(StoreError::env(READ, &path, e)),
        }
    }

    /// Returns true if the folder is there.
    pub fn is_there(&self) -> bool {
        is_dir(&self.path)
    }

    /// Removes the folder. What cannot be removed is left to gc.
    pub fn remove(&self) {
        let _ = remove_tree(&self.path);
    }
}

impl Store {
    /// Makes the folder of a new batch, with a name that no other batch of the store has.
    pub fn new_job(&self) -> Result<JobDir, StoreError> {
        self.require_writable(MAKE)?;
        steps::mkdir(MAKE, &self.layout.jobs)?;
        for _ in 0..TRIES {
            let name = unique_name();
            let path = self.layout.jobs.join(&name[name.len() - DIGITS..]);
            match steps::make_dir(MAKE, &path) {
                Ok(()) => return Ok(JobDir { path }),
                Err(StoreError::Environment { source, .. })
                    if source.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        let error = io::Error::other("every name is taken");
        Err(StoreError::env(MAKE, &self.layout.jobs, error))
    }

    /// The folders of all batches, in order of their names.
    pub fn jobs(&self) -> Result<Vec<JobDir>, StoreError> {
        listed(&self.layout)
    }
}

fn listed(layout: &StoreLayout) -> Result<Vec<JobDir>, StoreError> {
    let ours = |path: &PathBuf| {
        let name = file_name(path);
        name.len() == DIGITS && name.bytes().all(|b| b.is_ascii_hexdigit()) && is_dir(path)
    };
    let folders = list_dir(&layout.jobs)?.into_iter().filter(ours);
    Ok(folders.map(|path| JobDir { path }).collect())
}

/// Finds the folders of batches in which nothing has changed for a while, and then the others. Tasks of the others may
/// be about to run, even if no process has the store open.
pub(crate) fn stale_and_live(
    layout: &StoreLayout,
) -> Result<(Vec<JobDir>, Vec<JobDir>), StoreError> {
    let oldest = now_nanos().saturating_sub(STALE_DAYS * 86_400 * 1_000_000_000);
    let oldest = i64::try_from(oldest).unwrap_or(i64::MAX);
    let is_stale = |job: &JobDir| {
        let inside = list_dir(&job.path).unwrap_or_default();
        let newest = inside.iter().chain([&job.path]).filter_map(|path| {
            let meta = std::fs::symlink_metadata(path).ok()?;
            Some(mtime_nanos(&meta))
        });
        newest.max().is_none_or(|newest| newest < oldest)
    };
    Ok(listed(layout)?.into_iter().partition(is_stale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_batch_are_whole_or_grow() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert!(store.jobs().unwrap().is_empty());
        let job = store.new_job().unwrap();
        assert_eq!(job.read("batch", 0).unwrap(), b"");
        job.write("batch", b"one").unwrap();
        job.write("batch", b"two").unwrap();
        job.append("0.jsonl", b"a\n").unwrap();
        job.append("0.jsonl", b"b\n").unwrap();
        let seen = store.jobs().unwrap().remove(0);
        assert_eq!(seen.name(), job.name());
        assert_eq!(seen.read("batch", 0).unwrap(), b"two");
        assert_eq!(seen.read("0.jsonl", 2).unwrap(), b"b\n");
        std::fs::create_dir(dir.path().join("jobs/of-somebody-else")).unwrap();
        assert_eq!(store.jobs().unwrap().len(), 1);
        let counts = || {
            let (stale, live) = stale_and_live(&store.layout).unwrap();
            (stale.len(), live.len())
        };
        assert_eq!(counts(), (0, 1));
        let old = File::open(job.path()).unwrap();
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        for name in ["batch", "0.jsonl"] {
            let file = File::options().append(true).open(job.path().join(name));
            file.unwrap().set_modified(long_ago).unwrap();
        }
        old.set_modified(long_ago).unwrap();
        assert_eq!(counts(), (1, 0));
        job.remove();
        assert!(!job.is_there() && store.jobs().unwrap().is_empty());
    }
}
