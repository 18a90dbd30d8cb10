//! Folders that hold what programs left.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Removes a folder with all that is in it, even what a program has closed to its own user.
pub(crate) fn remove(folder: &Path) -> std::io::Result<()> {
    if std::fs::remove_dir_all(folder).is_ok() {
        return Ok(());
    }
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        open_up(&folder)?;
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    std::fs::remove_dir_all(folder)
}

/// Lets this user read and change a folder.
pub(crate) fn open_up(folder: &Path) -> std::io::Result<()> {
    let mode = std::fs::symlink_metadata(folder)?.permissions().mode();
    if mode & 0o700 != 0o700 {
        std::fs::set_permissions(folder, Permissions::from_mode(mode | 0o700))?;
    }
    Ok(())
}
