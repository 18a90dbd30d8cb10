//! A folder of its own for what an action leaves while it runs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::folder::{open_up, remove};
use crate::kind::action::HOME;
use crate::kind::error::StageError;

/// A directory that is empty before and after an attempt: debris is of no use to anybody.
pub(crate) struct Scratch {
    path: PathBuf,
    /// It is there, and was cleared.
    is_clear: AtomicBool,
}

impl Scratch {
    /// The one at `path`, of which nothing is known.
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            is_clear: AtomicBool::new(false),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Readies it for an attempt, which is over when the result is dropped.
    pub(crate) fn enter(&self) -> Result<Entered<'_>, StageError> {
        if !self.is_clear.swap(false, Ordering::Relaxed) {
            std::fs::create_dir_all(&self.path)?;
            clear(&self.path)?;
        }
        Ok(Entered(self))
    }
}

pub(crate) struct Entered<'s>(&'s Scratch);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        // What cannot be removed now is in the way of the next attempt, which says so.
        let is_clear = clear(&self.0.path).is_ok();
        self.0.is_clear.store(is_clear, Ordering::Relaxed);
    }
}

/// Clears a worker's scratch folder, but for the folders directly in it and [`HOME`]: to make and remove
/// some for every action is slow, on ext4 without a journal very much so.
pub(crate) fn clear(scratch: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(scratch)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_dir() {
            if name != HOME {
                empty(&entry.path())?;
            }
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn empty(folder: &Path) -> std::io::Result<()> {
    open_up(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
