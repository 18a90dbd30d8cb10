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
        read(&self.path.join(name), from)
    }

    /// A file of the batch beside its folder. It can be made on a machine that does not see the folder yet.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.path.with_file_name(format!("{}.{name}", self.name()))
    }

    /// The bytes of a file beside the folder. A file that is not there is empty.
    pub fn read_beside(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        read(&self.beside(name), 0)
    }

    /// Returns true if the folder is there.
    pub fn is_there(&self) -> bool {
        is_dir(&self.path)
    }

    /// Removes the folder, and the files beside it. What cannot be removed is left to gc.
    pub fn remove(&self) {
        let begin = format!("{}.", self.name());
        let jobs = self.path.parent().map(list_dir);
        let all = jobs.into_iter().flatten().flatten();
        for file in all.filter(|path| file_name(path).starts_with(&begin)) {
            let _ = std::fs::remove_file(file);
        }
        let _ = remove_tree(&self.path);
    }
}

fn read(path: &Path, from: u64) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    let read = open_own(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(from))?;
        file.read_to_end(&mut bytes)
    });
    match read {
        Ok(_) => Ok(bytes),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(StoreError::env(READ, path, e)),
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
    let ours = |path: &PathBuf| is_name(&file_name(path)) && is_dir(path);
    let folders = list_dir(&layout.jobs)?.into_iter().filter(ours);
    Ok(folders.map(|path| JobDir { path }).collect())
}

fn is_name(name: &str) -> bool {
    name.len() == DIGITS && name.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Batches of which only files beside the folder are left: a scheduler made one after the batch was removed.
fn strays(layout: &StoreLayout) -> Result<Vec<JobDir>, StoreError> {
    let batch = |path: PathBuf| {
        let name = file_name(&path);
        let (batch, _) = name.split_once('.')?;
        let path = layout.jobs.join(batch);
        (is_name(batch) && !is_dir(&path)).then_some(JobDir { path })
    };
    let files = list_dir(&layout.jobs)?.into_iter();
    Ok(files.filter_map(batch).collect())
}

/// Finds the batches in which nothing has changed for a while or whose folders are gone, and then the others. Tasks of the others may
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
    let (mut stale, live): (Vec<_>, Vec<_>) = listed(layout)?.into_iter().partition(is_stale);
    stale.extend(strays(layout)?);
    Ok((stale, live))
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
        assert_eq!(seen.read_beside("0.out").unwrap(), b"");
        std::fs::write(job.beside("0.out"), "c").unwrap();
        assert_eq!(seen.read_beside("0.out").unwrap(), b"c");
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
        assert!(!job.beside("0.out").exists());
        std::fs::write(job.beside("1.out"), "late").unwrap();
        assert_eq!(counts(), (1, 0), "a file that came after the end");
        stale_and_live(&store.layout).unwrap().0[0].remove();
        assert_eq!(counts(), (0, 0));
    }
}
