//! Takes the `stat` of many files of one folder.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::disk::look::look_at;
use crate::disk::names::is_local;
use crate::disk::stat::Stat;
use crate::disk::stat::nanos;

/// A folder whose files are looked at one after the other. From the second file on, the path to the
/// folder is not resolved again, which saves a good part of each look. It must not be kept for
/// long, because a folder may be replaced.
#[derive(Debug, Default)]
pub struct Folder {
    path: Vec<u8>,
    open: Option<File>,
    /// True if only this machine can see the open folder.
    local: bool,
}

impl Folder {
    /// What shows whether a file changed.
    pub(crate) fn stat(&mut self, path: &Path) -> io::Result<Stat> {
        let bytes = path.as_os_str().as_bytes();
        let slash = bytes.iter().rposition(|byte| *byte == b'/');
        let (folder, name) = bytes.split_at(slash.map_or(0, |at| at + 1));
        if folder != self.path || folder.is_empty() {
            *self = Self {
                path: folder.to_vec(),
                ..Self::default()
            };
            return stat_now(path);
        }
        if self.open.is_none() {
            let folder = OsStr::from_bytes(folder);
            self.open = File::open(folder).ok();
            self.local = is_local(Path::new(folder));
        }
        match &self.open {
            Some(open) if self.local => stat_at(open, name),
            // The folder may be closed to listing while its files are not, or files must be opened.
            _ => stat_now(path),
        }
    }
}

/// What shows whether a file changed, as it is now.
pub(crate) fn stat_now(path: &Path) -> io::Result<Stat> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let local = is_local(folder.unwrap_or(Path::new(".")));
    look_at(path, local).map(|meta| Stat::of(&meta))
}

/// The file `name` in an open folder.
fn stat_at(folder: &File, name: &[u8]) -> io::Result<Stat> {
    let name = CString::new(name)?;
    // SAFETY: all-zero is a valid `stat`.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open, the name ends with a zero, and the result is written to `stat`.
    match unsafe { libc::fstatat(folder.as_raw_fd(), name.as_ptr(), &raw mut stat, 0) } {
        0 => Ok(Stat {
            size: stat.st_size.cast_unsigned(),
            mtime: nanos(stat.st_mtime, stat.st_mtime_nsec),
            ctime: nanos(stat.st_ctime, stat.st_ctime_nsec),
            inode: stat.st_ino,
        }),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_by_way_of_an_open_folder_tell_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let files = ["a", "b", "c"].map(|name| dir.path().join(name));
        for (size, file) in files.iter().enumerate() {
            std::fs::write(file, vec![b'x'; size]).unwrap();
        }
        std::os::unix::fs::symlink("c", dir.path().join("link")).unwrap();
        let mut folder = Folder::default();
        let elsewhere = Path::new("/proc/self/stat");
        let link = dir.path().join("link");
        for path in [&files[0], &files[1], &files[2], &link, &files[0]] {
            assert_eq!(folder.stat(path).unwrap(), stat_now(path).unwrap());
        }
        assert!(folder.open.is_some());
        assert!(folder.stat(elsewhere).is_ok() && folder.open.is_none());
        for name in ["none", "none", "none"] {
            let error = folder.stat(&dir.path().join(name)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
        }
        assert!(folder.stat(Path::new("relative")).is_err());
        assert!(folder.stat(Path::new("")).is_err());
    }
}
