//! Work that an action leaves if its process is ended, so that the next attempt at the same action can
//! go on with it.
//!
//! An action that asks for it has a folder under its key. Only the process that has the right to run
//! the action uses the folder (see [`Store::lock`]), and only the user who made it. The commit of the
//! record removes it. Nothing depends on it: it may be gone at any time, and it need not be durable.

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::content::{ActionKey, Digest};
use crate::disk::file::{FileSteps, Lasting, NewFile};
use crate::disk::look::{is_dir, list_dir, open_own, read_own_dir};
use crate::disk::stat::{mtime_nanos, now_nanos};
use crate::disk::steps;
use crate::disk::work_dir::remove_tree;
use crate::error::StoreError;
use crate::records::index::Index;
use crate::store::Store;
use crate::store::layout::StoreLayout;

const MAKE: &str = "unfinished.make";
const FILE: FileSteps = ["unfinished.write", "unfinished.publish"];

/// The days after which gc removes what no attempt has gone on with.
const STALE_DAYS: u64 = 7;

/// The bytes of a digest, which are the first ones of a file.
const HEAD: usize = 32;

impl Store {
    /// Makes the folder for what an action leaves, unless an earlier attempt has made it. The caller
    /// has the right to run the action. The result is `None` if the folder belongs to another user,
    /// whose work this user cannot go on with.
    pub fn unfinished(&self, key: &ActionKey) -> Result<Option<PathBuf>, StoreError> {
        self.require_writable(MAKE)?;
        steps::mkdir(MAKE, &self.layout.unfinished)?;
        let path = self.unfinished_path(key);
        steps::mkdir_private(MAKE, &path)?;
        let meta = std::fs::symlink_metadata(&path).map_err(|e| StoreError::env(MAKE, &path, e))?;
        // SAFETY: a plain system call that always succeeds.
        let own = meta.uid() == unsafe { libc::geteuid() };
        Ok(own.then_some(path))
    }

    /// Removes what an action has left. What cannot be removed is left to gc.
    pub fn remove_unfinished(&self, key: &ActionKey) {
        if is_dir(&self.layout.unfinished) {
            let _ = remove_tree(&self.unfinished_path(key));
        }
    }

    fn unfinished_path(&self, key: &ActionKey) -> PathBuf {
        self.layout.unfinished.join(key.to_string())
    }
}

/// Writes a file of unfinished work as a whole. A power loss may tear it, which
/// [`read_unfinished`] notices.
pub fn write_unfinished(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut file = NewFile::create_own(FILE, path, 0o600)?;
    let head = *Digest::of(bytes).as_bytes();
    let written = file.write_all(&head).and_then(|()| file.write_all(bytes));
    written.map_err(|e| StoreError::env(FILE[0], path, e))?;
    file.publish(Lasting::Soon)
}

/// Reads such a file. A file that is not there, is torn or cannot be read gives `None`, since the
/// work can begin anew.
pub fn read_unfinished(path: &Path) -> Option<Vec<u8>> {
    let mut file = open_own(path).ok()?;
    let mut head = [0; HEAD];
    file.read_exact(&mut head).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    (*Digest::of(&bytes).as_bytes() == head).then_some(bytes)
}

/// A folder of unfinished work that gc removes.
pub(crate) struct Stale {
    path: PathBuf,
    /// The bytes of its files.
    pub(crate) size: u64,
}

impl Stale {
    /// Finds the folders of actions that have a record, and those that nobody has used for a while.
    pub(crate) fn find(layout: &StoreLayout, index: &Index) -> Result<Vec<Self>, StoreError> {
        let oldest = now_nanos().saturating_sub(STALE_DAYS * 86_400 * 1_000_000_000);
        let oldest = i64::try_from(oldest).unwrap_or(i64::MAX);
        let mut stale = Vec::new();
        for path in list_dir(&layout.unfinished)? {
            let name = path.file_name().and_then(|name| name.to_str());
            let Some(key) = name.and_then(|name| name.parse::<ActionKey>().ok()) else {
                continue;
            };
            if !is_dir(&path) {
                continue;
            }
            let (size, newest) = look(&path);
            if index.place(&key).is_some() || newest < oldest {
                stale.push(Self { path, size });
            }
        }
        Ok(stale)
    }

    /// Removes it. What cannot be removed, such as the folder of another user, stays.
    pub(crate) fn remove(&self) {
        let _ = remove_tree(&self.path);
    }
}

/// Returns the bytes of all files in a folder, and the time of the last change in it, in
/// nanoseconds. What cannot be read does not count.
fn look(folder: &Path) -> (u64, i64) {
    let (mut size, mut newest) = (0, 0);
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(meta) = std::fs::symlink_metadata(&folder) else {
            continue;
        };
        newest = newest.max(mtime_nanos(&meta));
        let entries = read_own_dir(&folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            match std::fs::symlink_metadata(&path) {
                Ok(meta) if meta.is_dir() => folders.push(path),
                Ok(meta) => {
                    newest = newest.max(mtime_nanos(&meta));
                    size += meta.len();
                }
                Err(_) => {}
            }
        }
    }
    (size, newest)
}
