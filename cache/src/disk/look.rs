//! Reads what is there without changing it: entries of folders, links, and files that are opened.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::StoreError;

/// The entries of a directory in order of their names. A directory that is gone has none.
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

/// Returns true if a directory is there. A link to one does not count.
pub(crate) fn is_dir(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir())
}

/// Returns an error if a path is a link. What flow keeps for itself is where flow put it, so
/// somebody else has made the link, and flow must not change what is behind it.
pub fn require_no_link(path: &Path) -> Result<(), StoreError> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.is_symlink() => Err(StoreError::link(path)),
        // Anything else that is wrong with the path shows when it is used.
        _ => Ok(()),
    }
}

/// The permission of the owner to read.
pub(crate) const OWNER: u32 = 0o400;

/// Opens a file of the store. A program can take away its owner's permission to read the file or to
/// enter its folder. That permission is given back.
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

/// Lists a directory of the store, and gives back permissions in the same way.
pub(crate) fn read_own_dir(path: &Path) -> io::Result<std::fs::ReadDir> {
    match std::fs::read_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied && give_back(path, 0o700) => {
            std::fs::read_dir(path)
        }
        listed => listed,
    }
}

/// Gives the owner the permissions that are missing. Returns true if that changed anything.
pub(crate) fn give_back(path: &Path, rights: u32) -> bool {
    let Ok(meta) = std::fs::symlink_metadata(path) else {
        return false;
    };
    let mode = meta.permissions().mode() & 0o777;
    !meta.is_symlink()
        && mode & rights != rights
        // The system refuses this for files of another owner.
        && std::fs::set_permissions(path, Permissions::from_mode(mode | rights)).is_ok()
}
