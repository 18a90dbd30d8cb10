//! Looks at what is there: whether it is a link, a folder, what is in it, and how it is opened.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::StoreError;

/// The entries of a directory in order of name; none if it is gone.
pub(crate) fn list_dir(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = match read_own_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StoreError::env("store.list", dir, e)),
    };
    let mut paths = entries
        .map(|entry| entry.map(|e| e.path()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(|e| StoreError::env("store.list", dir, e))?;
    paths.sort();
    Ok(paths)
}

/// The last part of a path as text.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Whether a directory is there, and no link to one.
pub(crate) fn is_dir(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir())
}

/// An error if a path is a link: what flow keeps for itself lies where it put it. Someone else may have
/// left the link, and what is behind it is not flow's to change.
pub fn require_no_link(path: &Path) -> Result<(), StoreError> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.is_symlink() => Err(StoreError::link(path)),
        // What else is wrong with it shows where it is used.
        _ => Ok(()),
    }
}

/// The right of the owner to read.
pub(crate) const OWNER: u32 = 0o400;

/// Opens a file of the store. A program can take away its owner's right to read it, or to enter its
/// folder, though not to write to it: that is given back.
pub(crate) fn open_own(path: &Path) -> io::Result<File> {
    let open = || {
        let mut options = File::options();
        options.read(true).custom_flags(libc::O_NOFOLLOW).open(path)
    };
    match open() {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            let folder = path.parent().is_some_and(|folder| give_back(folder, 0o700));
            if give_back(path, OWNER) || folder {
                open()
            } else {
                Err(e)
            }
        }
        opened => opened,
    }
}

/// The entries of a directory of the store, likewise.
pub(crate) fn read_own_dir(path: &Path) -> io::Result<std::fs::ReadDir> {
    match std::fs::read_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied && give_back(path, 0o700) => {
            std::fs::read_dir(path)
        }
        listed => listed,
    }
}

/// Gives the owner of something rights that are missing. Whether that changed anything.
pub(crate) fn give_back(path: &Path, rights: u32) -> bool {
    let Ok(meta) = std::fs::symlink_metadata(path) else {
        return false;
    };
    let mode = meta.permissions().mode() & 0o777;
    !meta.is_symlink()
        && mode & rights != rights
        // Of another owner it is refused.
        && std::fs::set_permissions(path, Permissions::from_mode(mode | rights)).is_ok()
}
