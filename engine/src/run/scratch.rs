//! A folder of its own for what an action leaves while it runs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::folder::{open_up, remove};
use crate::kind::action::HOME;
use crate::kind::error::StageError;

/// A directory that is empty before and after an attempt.
pub(crate) struct Scratch {
    path: PathBuf,
    /// The directory exists and was cleared.
    is_clear: AtomicBool,
}

impl Scratch {
    /// Makes a scratch folder at `path`, about which nothing is known yet.
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            is_clear: AtomicBool::new(false),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Prepares it for an attempt, which is over when the result is dropped.
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
        // If something cannot be removed now, the next attempt fails on it and says so.
        let is_clear = clear(&self.0.path).is_ok();
        self.0.is_clear.store(is_clear, Ordering::Relaxed);
    }
}

/// Clears a worker's scratch folder, except the folders directly in it and [`HOME`]. Making and removing
/// folders for every action is slow, and very slow on ext4 without a journal.
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
