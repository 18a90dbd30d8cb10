//! Reads what is there without changing it: entries of folders, links, and files that are opened.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::names::is_local;
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
        Err(e) if e.kind() == io::ErrorKind::NotFound && may_be_there(path) => open(),
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

/// Returns true if a file that was not found deserves a second look.
///
/// A client of a network file system remembers for up to a minute that a file was not there. It asks
/// the server again when a folder is opened, and to learn on what file system the folder is, this
/// opens it.
fn may_be_there(path: &Path) -> bool {
    path.parent().is_some_and(|folder| !is_local(folder))
}

/// Returns true if a file is there, even if another machine has just made it.
pub(crate) fn is_file(path: &Path) -> bool {
    path.is_file() || may_be_there(path) && path.is_file()
}

/// Looks at a file as it is now. `local` tells whether only this machine can change it. Otherwise
/// the file is opened, because a client of a network file system asks the server then, and a mere
/// look may get an answer that is a minute old.
pub(crate) fn look_at(path: &Path, local: bool) -> io::Result<Metadata> {
    if !local {
        let mut options = File::options();
        options.read(true).custom_flags(libc::O_NONBLOCK);
        // A file that may not be read can still be looked at.
        if let Ok(file) = options.open(path) {
            return file.metadata();
        }
    }
    std::fs::metadata(path)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_file_is_looked_at_in_the_same_way_on_all_file_systems() {
        let dir = tempfile::tempdir().unwrap();
        let (path, none) = (dir.path().join("file"), dir.path().join("none"));
        std::fs::write(&path, "abc").unwrap();
        let pipe = dir.path().join("pipe");
        let name = std::ffi::CString::new(pipe.to_str().unwrap()).unwrap();
        // SAFETY: the name ends with a zero and outlives the call.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        for local in [true, false] {
            let seen = look_at(&path, local).unwrap();
            assert_eq!(seen.len(), 3);
            assert_eq!(seen.ino(), std::fs::metadata(&path).unwrap().ino());
            let missing = look_at(&none, local).unwrap_err();
            assert_eq!(missing.kind(), io::ErrorKind::NotFound);
            // Nobody has to write to a pipe for a look at it.
            assert!(!look_at(&pipe, local).unwrap().is_file());
        }
        assert!(is_file(&path) && !is_file(&none) && !is_file(dir.path()));
    }
}
