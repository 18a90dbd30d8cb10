//! The directory that a program starts in: it holds the declared files and nothing else.
//!
//! The copies that one action leaves there are overwritten for the next one of the same worker. Making and
//! removing files for every action is slow, and gets slower the more there were: before ext4 without a
//! journal takes an inode, it looks at all those that were freed within the last minute.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::files::{Copies, SMALL};
use super::sources::is_started;
use crate::base::folder::remove;
use crate::kind::action::Action;
use crate::kind::error::StageError;
use crate::kind::shards::SourceFile;

/// The directories of all workers.
#[derive(Default)]
pub struct Homes {
    copies: Copies,
    /// What lies in the directories that no program uses. One that is not listed may hold anything.
    left: Mutex<HashMap<PathBuf, Laid>>,
}

/// What lies in a directory, by relative path.
#[derive(Default)]
struct Laid {
    files: BTreeSet<PathBuf>,
    folders: BTreeSet<PathBuf>,
}

impl Laid {
    /// The declared files of an action with their folders.
    fn of(action: &Action<'_>) -> Self {
        let files = action.all_sources().iter().map(|(file, _)| file);
        let files: BTreeSet<PathBuf> = files.filter_map(role).map(Path::to_owned).collect();
        let folders = files.iter().flat_map(|file| file.ancestors().skip(1));
        let folders = folders.filter(|folder| !folder.as_os_str().is_empty());
        Self {
            folders: folders.map(Path::to_owned).collect(),
            files,
        }
    }

    /// Returns true if nothing that is a file here is a folder there.
    fn fits(&self, other: &Self) -> bool {
        self.files.is_disjoint(&other.folders) && self.folders.is_disjoint(&other.files)
    }
}

/// Returns where a file is to lie, unless it is a program, which is started from its own place.
fn role(file: &SourceFile) -> Option<&Path> {
    (!is_started(&file.role)).then(|| Path::new(&file.role))
}

impl Homes {
    /// Makes `home` hold an action's files and nothing else.
    pub fn lay_out(&self, action: &Action<'_>, home: &Path) -> Result<(), StageError> {
        let wanted = Laid::of(action);
        let known = self.lock().remove(home);
        let left = match known.filter(|left| wanted.fits(left)) {
            Some(left) => left,
            None => {
                empty(home)?;
                Laid::default()
            }
        };
        for folder in wanted.folders.difference(&left.folders) {
            fs::create_dir(home.join(folder))?;
        }
        let mut spare = left.files.difference(&wanted.files);
        let of_item = action.shard.map_or(0, |shard| shard.files.len());
        let shared = action.all_sources().len().saturating_sub(of_item);
        for (index, (file, digest)) in action.all_sources().iter().enumerate() {
            let Some(role) = role(file) else {
                continue;
            };
            let to = home.join(role);
            if !left.files.contains(role)
                && let Some(spare) = spare.next()
            {
                fs::rename(home.join(spare), &to)?;
            }
            let copied = self
                .copies
                .copy(file, digest, &to, action.stat, index < shared)
                .map_err(|error| {
                    let message = format!("failed to copy {}", file.path.display());
                    StageError::environment(message).because(error)
                })?;
            if !copied {
                let message = format!("{} changed while it was copied", file.path.display());
                return Err(StageError::failed("flow::run::source_changing", message));
            }
        }
        for spare in spare {
            fs::remove_file(home.join(spare))?;
        }
        let unwanted: Vec<&PathBuf> = left.folders.difference(&wanted.folders).collect();
        // Inner folders come first.
        for folder in unwanted.into_iter().rev() {
            fs::remove_dir(home.join(folder))?;
        }
        Ok(())
    }

    /// Clears up after an action's program. Only copies that can be overwritten stay in `home`.
    pub fn clear_up(&self, action: &Action<'_>, home: &Path) {
        // After a failure it is not listed, and the next action makes it anew.
        if let Ok(left) = clear_up(home, &Laid::of(action)) {
            self.lock().insert(home.to_owned(), left);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Laid>> {
        // What a panic may have left is a map with or without an entry.
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn clear_up(home: &Path, laid: &Laid) -> io::Result<Laid> {
    // A program may have replaced anything by anything. Only the folder of all workers is closed to it, so
    // its mode says which mode a new folder has.
    let workers = home.ancestors().nth(2).unwrap_or(home);
    let fresh = fs::metadata(workers)?.mode();
    let is_fresh = |meta: fs::Metadata| meta.is_dir() && meta.mode() == fresh;
    if !is_fresh(fs::symlink_metadata(home)?) {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let mut left = Laid::default();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(home.join(&folder))? {
            let entry = entry?;
            let (path, role) = (entry.path(), folder.join(entry.file_name()));
            if entry.file_type()?.is_dir() {
                if laid.folders.contains(&role) && is_fresh(entry.metadata()?) {
                    left.folders.insert(role.clone());
                    folders.push(role);
                } else {
                    remove(&path)?;
                }
            } else if laid.files.contains(&role) && is_plain(&entry.metadata()?) {
                left.files.insert(role);
            } else {
                fs::remove_file(path)?;
            }
        }
    }
    Ok(left)
}

/// Returns true for a small regular file with no other name. Overwriting it changes nothing elsewhere.
fn is_plain(meta: &fs::Metadata) -> bool {
    meta.is_file() && meta.nlink() == 1 && meta.len() <= SMALL
}

/// Makes an empty directory, whatever was there.
fn empty(home: &Path) -> io::Result<()> {
    match fs::symlink_metadata(home) {
        Ok(meta) if meta.is_dir() => remove(home)?,
        Ok(_) => fs::remove_file(home)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    fs::create_dir(home)
}
