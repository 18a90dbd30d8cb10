//! Makes artifacts of files that programs wrote: exactly those files, on an inode that nobody else
//! can still write to.

use std::ffi::{CString, OsStr};
use std::fmt;
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path};
use std::sync::Arc;

use crate::content::Digest;
use crate::disk::steps;
use crate::error::StoreError;
use crate::store::staging::{Session, Staged, TempFile};

/// The bytes that are copied before `go_on` is asked again.
const PART: u64 = 64 << 20;

/// Opens a file only to see what it is.
#[cfg(target_os = "linux")]
const LOOK: libc::c_int = libc::O_PATH;
#[cfg(not(target_os = "linux"))]
const LOOK: libc::c_int = libc::O_RDONLY | libc::O_NONBLOCK;

/// The reason why a file does not become an artifact.
#[derive(Debug)]
pub enum NotAdopted {
    /// It is not there.
    Missing,
    /// It is no file, or a folder on the way to it is a link or no folder.
    Unfit(String),
    /// The caller does not want it any more.
    Stopped,
    /// The store failed.
    Store(StoreError),
}

impl fmt::Display for NotAdopted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it is not there"),
            Self::Unfit(what) => f.write_str(what),
            Self::Stopped => f.write_str("it is not wanted any more"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl From<StoreError> for NotAdopted {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Takes over the file `path` below `folder`. It is moved if that is possible and safe, and copied
/// otherwise. No link below `folder` is followed. `go_on` is asked now and then, and if it returns
/// false, the result is [`NotAdopted::Stopped`].
pub(crate) fn adopt(
    session: &Arc<Session>,
    folder: &Path,
    path: &Path,
    go_on: &(dyn Fn() -> bool + Sync),
) -> Result<Staged, NotAdopted> {
    let failed = |error| StoreError::env("stage.adopt", &folder.join(path), error);
    let (parent, name) = parent_of(folder, path)?;
    let found = match open_at(&parent, &name, LOOK | libc::O_NOFOLLOW) {
        Ok(found) => found,
        Err(error) => return Err(reason(path, error, failed)),
    };
    let meta = found.metadata().map_err(failed)?;
    require_own(folder, path, &meta)?;
    let temp = session.temp();
    let moved = meta.nlink() == 1 && rename(&parent, &name, &temp.path).is_ok();
    if !moved {
        make_readable(&parent, &name, &meta);
        let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let from = open_at(&parent, &name, flags).map_err(failed)?;
        same(&meta, &from).map_err(failed)?;
        copy(&from, &temp, go_on)?;
    }
    let from = moved.then_some(&meta);
    seal(session, temp, from, go_on)
}

/// Returns an error unless this is a file, and all of its names are below its folder.
fn require_own(folder: &Path, path: &Path, meta: &Metadata) -> Result<(), NotAdopted> {
    if !meta.is_file() {
        return Err(NotAdopted::Unfit(format!(
            "{} is {}, not a file",
            path.display(),
            what(meta)
        )));
    }
    let names = match meta.nlink() {
        0 | 1 => 1,
        _ => names_below(folder, meta),
    };
    if names < meta.nlink() {
        return Err(NotAdopted::Unfit(format!(
            "{} is a second name of a file elsewhere",
            path.display()
        )));
    }
    Ok(())
}

/// Makes an artifact of a file under its temporary name. A file that was `moved` there may be open
/// elsewhere, and is copied unless that can be ruled out.
fn seal(
    session: &Arc<Session>,
    mut temp: TempFile,
    moved: Option<&Metadata>,
    go_on: &(dyn Fn() -> bool + Sync),
) -> Result<Staged, NotAdopted> {
    let failed = |temp: &TempFile, error| StoreError::env("stage.adopt", &temp.path, error);
    if moved.is_some_and(|meta| meta.mode() & 0o400 == 0) {
        // Programs cannot reach it under this name.
        std::fs::set_permissions(&temp.path, Permissions::from_mode(0o400))
            .map_err(|e| failed(&temp, e))?;
    }
    let mut file = open_temp(&temp.path).map_err(|e| failed(&temp, e))?;
    if let Some(meta) = moved {
        same(meta, &file).map_err(|e| failed(&temp, e))?;
    }
    steps::seal("stage.seal", &temp.path, &file)?;
    if moved.is_some() && !is_written_by_nobody(&file) {
        let copied = session.temp();
        copy(&file, &copied, go_on)?;
        temp = copied;
        file = open_temp(&temp.path).map_err(|e| failed(&temp, e))?;
        steps::seal("stage.seal", &temp.path, &file)?;
    }
    let hashed = Digest::of_open_file_while(&file, go_on).map_err(|e| failed(&temp, e))?;
    let (digest, size) = hashed.ok_or(NotAdopted::Stopped)?;
    Ok(Staged::new(digest, size, temp))
}

/// The folder that holds a file, and the file's name in it.
fn parent_of(folder: &Path, path: &Path) -> Result<(File, CString), NotAdopted> {
    let failed = |error| StoreError::env("stage.adopt", &folder.join(path), error);
    let plain = |part| match part {
        Component::Normal(name) => c_name(name),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    };
    let names = path.components().map(plain).collect::<io::Result<Vec<_>>>();
    let mut names = names.map_err(failed)?;
    let name = names
        .pop()
        .ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let mut parent = File::options()
        .read(true)
        .custom_flags(flags)
        .open(folder)
        .map_err(failed)?;
    for (depth, folder) in names.iter().enumerate() {
        parent = open_at(&parent, folder, flags | libc::O_RDONLY).map_err(|error| {
            let here: std::path::PathBuf = path.components().take(depth + 1).collect();
            reason(&here, error, failed)
        })?;
    }
    Ok((parent, name))
}

/// What an error on opening a path means.
fn reason(path: &Path, error: io::Error, failed: impl Fn(io::Error) -> StoreError) -> NotAdopted {
    match error.raw_os_error() {
        Some(libc::ENOENT) => NotAdopted::Missing,
        Some(libc::ELOOP) => NotAdopted::Unfit(format!("{} is a link", path.display())),
        Some(libc::ENOTDIR) => NotAdopted::Unfit(format!(
            "{} is a link or a file, not a folder",
            path.display()
        )),
        Some(libc::ENXIO) => NotAdopted::Unfit(format!("{} is not a file", path.display())),
        _ => NotAdopted::Store(failed(error)),
    }
}

fn what(meta: &Metadata) -> &'static str {
    let ty = meta.file_type();
    if ty.is_dir() {
        "a folder"
    } else if ty.is_symlink() {
        "a link"
    } else if ty.is_fifo() {
        "a pipe"
    } else if ty.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// The number of names that a file has below a folder.
fn names_below(folder: &Path, meta: &Metadata) -> u64 {
    let mut names = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            // Neither call follows links.
            match entry.metadata() {
                Ok(found) if found.is_dir() => folders.push(entry.path()),
                Ok(found) => names += u64::from(is_same(meta, &found)),
                Err(_) => {}
            }
        }
    }
    names
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Returns an error if an open file is not the one that was looked at.
fn same(meta: &Metadata, file: &File) -> io::Result<()> {
    match is_same(meta, &file.metadata()?) {
        true => Ok(()),
        false => Err(io::Error::other("it was replaced meanwhile")),
    }
}

fn open_temp(path: &Path) -> io::Result<File> {
    File::options()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
}

/// Copies a file to one that is not there yet.
fn copy(from: &File, to: &TempFile, go_on: &(dyn Fn() -> bool + Sync)) -> Result<(), NotAdopted> {
    let mut into = steps::create("stage.create", &to.path)?;
    let failed = |error| StoreError::env("stage.write", &to.path, error);
    // Whoever may read the one may read the other.
    let mode = from.metadata().map_err(failed)?.mode() & 0o444 | 0o600;
    into.set_permissions(Permissions::from_mode(mode))
        .map_err(failed)?;
    let mut from = from;
    loop {
        if !go_on() {
            return Err(NotAdopted::Stopped);
        }
        let mut part = io::Read::take(from, PART);
        let copied = io::copy(&mut part, &mut into).map_err(failed)?;
        from = part.into_inner();
        if copied == 0 {
            return Ok(());
        }
    }
}

/// Returns true if it is certain that nobody has a file open for writing or mapped. Then nobody
/// ever will, because its mode forbids it.
fn is_written_by_nobody(file: &File) -> bool {
    #[cfg(target_os = "linux")]
    {
        // A lease for reading is only given if there is no writer. If one comes while the lease
        // lasts, the kernel sends a signal, and this signal is ignored.
        const F_SETSIG: libc::c_int = 10;
        // SAFETY: plain system calls on a descriptor that is open.
        unsafe {
            let fd = file.as_raw_fd();
            libc::fcntl(fd, F_SETSIG, libc::SIGURG);
            if libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK) == 0 {
                libc::fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK);
                return true;
            }
        }
    }
    let _ = file;
    false
}

fn c_name(name: &OsStr) -> io::Result<CString> {
    CString::new(name.as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn open_at(folder: &File, name: &CString, flags: libc::c_int) -> io::Result<File> {
    // SAFETY: the name ends in a zero and outlives the call; what it gives is a descriptor of our own.
    unsafe {
        let fd = libc::openat(folder.as_raw_fd(), name.as_ptr(), flags | libc::O_CLOEXEC);
        match fd {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(File::from_raw_fd(fd)),
        }
    }
}

fn rename(folder: &File, name: &CString, to: &Path) -> io::Result<()> {
    let to = c_name(to.as_os_str())?;
    // SAFETY: both names end in a zero and outlive the call.
    let renamed = unsafe {
        libc::renameat(
            folder.as_raw_fd(),
            name.as_ptr(),
            libc::AT_FDCWD,
            to.as_ptr(),
        )
    };
    match renamed {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Lets this user read a file to which a program has closed access.
fn make_readable(folder: &File, name: &CString, meta: &Metadata) {
    if meta.mode() & 0o400 == 0 {
        // If this fails, opening the file gives the reason.
        // SAFETY: the name ends in a zero and outlives the call.
        unsafe { libc::fchmodat(folder.as_raw_fd(), name.as_ptr(), 0o400, 0) };
    }
}
