//! The recorder of steps: what the program did to the disk, in order. A test replays what a power
//! loss may have left of it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// A step that changed the disk.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// A new directory.
    Mkdir(PathBuf),
    /// A new empty file.
    Create(PathBuf),
    /// Bytes added to the end of a file.
    Append(PathBuf, Vec<u8>),
    /// A file cut to this length.
    Truncate(PathBuf, u64),
    /// A file's contents made durable.
    Sync(PathBuf),
    /// A directory's entries made durable.
    SyncDir(PathBuf),
    /// A second name for a file: from, to.
    Link(PathBuf, PathBuf),
    /// Another name for a file: from, to.
    Rename(PathBuf, PathBuf),
    /// A name gone.
    Remove(PathBuf),
}

static RECORDING: AtomicBool = AtomicBool::new(false);
static RECORDS: Mutex<Vec<(PathBuf, Vec<Op>)>> = Mutex::new(Vec::new());

/// Starts recording the steps on paths below `under`.
pub fn record(under: &Path) {
    let mut records = RECORDS.lock().unwrap_or_else(PoisonError::into_inner);
    records.push((under.to_path_buf(), Vec::new()));
    RECORDING.store(true, Ordering::Release);
}

/// Ends the recording below `under` and returns its steps in order.
pub fn recorded(under: &Path) -> Vec<Op> {
    let mut records = RECORDS.lock().unwrap_or_else(PoisonError::into_inner);
    match records.iter().position(|(root, _)| root == under) {
        Some(index) => records.swap_remove(index).1,
        None => Vec::new(),
    }
}

/// Records what a step on `path` did.
pub(crate) fn note(path: &Path, op: impl FnOnce() -> Op) {
    if !RECORDING.load(Ordering::Relaxed) {
        return;
    }
    let mut records = RECORDS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, ops)) = records.iter_mut().find(|(root, _)| path.starts_with(root)) {
        ops.push(op());
    }
}
