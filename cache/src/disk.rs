//! The only place where the store changes the disk: each function is one step of a protocol.
//!
//! A step has a name, which is its fault point and what an error says. Steps can be recorded, so
//! that a test can replay what a power loss may have left of them.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::StoreError;
use crate::fault;
use crate::layout::{is_dir, require_no_link, unique_name};

type Result<T> = std::result::Result<T, StoreError>;

/// A step that changed the disk, as recorded for power-loss tests.
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

fn note(path: &Path, op: impl FnOnce() -> Op) {
    if !RECORDING.load(Ordering::Relaxed) {
        return;
    }
    let mut records = RECORDS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, ops)) = records.iter_mut().find(|(root, _)| path.starts_with(root)) {
        ops.push(op());
    }
}

/// Runs one step: passes its fault point, acts, and names the step in the error.
fn step<T>(name: &'static str, path: &Path, act: impl FnOnce() -> io::Result<T>) -> Result<T> {
    fault::point(name, path)
        .and_then(|()| act())
        .map_err(|source| StoreError::env(name, path, source))
}

/// Creates a directory if it is not there; a link to one is none.
pub(crate) fn mkdir(name: &'static str, path: &Path) -> Result<()> {
    match make_dir(name, path) {
        Err(StoreError::Environment { source, .. })
            if source.kind() == io::ErrorKind::AlreadyExists && is_dir(path) =>
        {
            Ok(())
        }
        Err(error) => Err(require_no_link(path).err().unwrap_or(error)),
        made => made,
    }
}

/// Creates a directory that must not be there.
pub(crate) fn make_dir(name: &'static str, path: &Path) -> Result<()> {
    step(name, path, || std::fs::create_dir(path))?;
    note(path, || Op::Mkdir(path.to_path_buf()));
    Ok(())
}

/// Creates a file that must not be there, for appending.
pub(crate) fn create(name: &'static str, path: &Path) -> Result<File> {
    let file = step(name, path, || {
        File::options().append(true).create_new(true).open(path)
    })?;
    note(path, || Op::Create(path.to_path_buf()));
    Ok(file)
}

/// Appends to an open file.
pub(crate) fn append(name: &'static str, path: &Path, file: &mut File, bytes: &[u8]) -> Result<()> {
    step(name, path, || file.write_all(bytes))?;
    note(path, || Op::Append(path.to_path_buf(), bytes.to_vec()));
    Ok(())
}

/// Cuts an open file off after its first `length` bytes.
pub(crate) fn truncate(name: &'static str, path: &Path, file: &File, length: u64) -> Result<()> {
    step(name, path, || file.set_len(length))?;
    note(path, || Op::Truncate(path.to_path_buf(), length));
    Ok(())
}

/// Makes a file immutable for well-behaved programs. Nobody may read it who could not before.
pub(crate) fn seal(name: &'static str, path: &Path, file: &File) -> Result<()> {
    step(name, path, || {
        let readers = file.metadata()?.permissions().mode() & 0o444;
        file.set_permissions(Permissions::from_mode(OWNER | readers))
    })
}

const OWNER: u32 = 0o400;

/// Takes the right to read a sealed file from those who are not in `readers`.
pub(crate) fn narrow(name: &'static str, path: &Path, readers: u32) -> Result<()> {
    step(name, path, || {
        let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
        match OWNER | mode & readers {
            narrow if narrow == mode => Ok(()),
            narrow => std::fs::set_permissions(path, Permissions::from_mode(narrow)),
        }
    })
}

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

/// From this many files or directories on, one sync of the file system is cheaper than one each,
/// unless others have much to write there.
const SYNC_ALL_FROM: usize = 4;

/// So long one file may take in a sync of the file system. Where it takes longer, others write to
/// it, and this process goes over to syncing files one by one.
const SYNC_ALL_WITHIN: Duration = Duration::from_millis(4);

static OTHERS_WRITE: AtomicBool = AtomicBool::new(false);

/// Waits until the contents of files are durable.
pub(crate) fn sync_files(name: &'static str, paths: &[&Path]) -> Result<()> {
    sync_each(name, paths)?;
    paths
        .iter()
        .for_each(|p| note(p, || Op::Sync(p.to_path_buf())));
    Ok(())
}

/// Waits until the names in directories are durable.
pub(crate) fn sync_dirs(name: &'static str, dirs: &[&Path]) -> Result<()> {
    sync_each(name, dirs)?;
    dirs.iter()
        .for_each(|d| note(d, || Op::SyncDir(d.to_path_buf())));
    Ok(())
}

/// Syncs files or directories that lie on one file system.
fn sync_each(name: &'static str, paths: &[&Path]) -> Result<()> {
    if paths.len() >= SYNC_ALL_FROM && !OTHERS_WRITE.load(Ordering::Relaxed) {
        let started = Instant::now();
        if step(name, paths[0], || sync_file_system(paths[0]))? {
            let slow = started.elapsed() > SYNC_ALL_WITHIN * paths.len() as u32;
            OTHERS_WRITE.store(slow, Ordering::Relaxed);
            return Ok(());
        }
    }
    for path in paths {
        step(name, path, || File::open(path)?.sync_all())?;
    }
    Ok(())
}

/// Waits until all that was written to the file system of `path` is durable. `false` if this
/// platform has no such call. (Linux reports write errors here since 5.8.)
fn sync_file_system(path: &Path) -> io::Result<bool> {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        let file = File::open(path)?;
        // SAFETY: the descriptor is open for the call, which has no memory effects.
        match unsafe { libc::syncfs(file.as_raw_fd()) } {
            0 => Ok(true),
            _ => Err(io::Error::last_os_error()),
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = path;
        Ok(false)
    }
}

/// Waits until an open file's contents are durable.
pub(crate) fn sync_open(name: &'static str, path: &Path, file: &File) -> Result<()> {
    step(name, path, || file.sync_data())?;
    note(path, || Op::Sync(path.to_path_buf()));
    Ok(())
}

/// Waits until the names in a directory are durable.
pub(crate) fn sync_dir(name: &'static str, path: &Path) -> Result<()> {
    sync_dirs(name, &[path])
}

/// Gives a file a second name unless that name is taken. Returns whether it was free.
///
/// File systems without hard links get a rename, which may replace an equal file.
pub(crate) fn link(name: &'static str, from: &Path, to: &Path) -> Result<bool> {
    use io::ErrorKind::{AlreadyExists, PermissionDenied, TooManyLinks, Unsupported};
    let linked = step(name, to, || match std::fs::hard_link(from, to) {
        Ok(()) => Ok(Some(true)),
        Err(e) if e.kind() == AlreadyExists => Ok(Some(false)),
        Err(e) if matches!(e.kind(), PermissionDenied | Unsupported | TooManyLinks) => {
            std::fs::rename(from, to).map(|()| None)
        }
        Err(e) => Err(e),
    })?;
    match linked {
        Some(true) => note(to, || Op::Link(from.to_path_buf(), to.to_path_buf())),
        Some(false) => {}
        None => note(to, || Op::Rename(from.to_path_buf(), to.to_path_buf())),
    }
    Ok(linked != Some(false))
}

/// Renames, replacing what is there.
pub(crate) fn rename(name: &'static str, from: &Path, to: &Path) -> Result<()> {
    step(name, to, || std::fs::rename(from, to))?;
    note(to, || Op::Rename(from.to_path_buf(), to.to_path_buf()));
    Ok(())
}

/// Removes a file; one that is gone already is fine.
pub(crate) fn remove(name: &'static str, path: &Path) -> Result<()> {
    step(name, path, || match std::fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    })?;
    note(path, || Op::Remove(path.to_path_buf()));
    Ok(())
}

/// Writes a whole file by way of a temporary one: readers see the old contents or the new ones, also
/// after a power loss.
pub(crate) fn replace(
    write: &'static str,
    publish: &'static str,
    path: &Path,
    bytes: &[u8],
) -> Result<()> {
    replace_with(write, publish, path, bytes, true)
}

/// The same without waiting for the disk: a power loss within the next seconds may leave the old
/// contents, the new ones, some of them, or none.
pub(crate) fn replace_soon(
    write: &'static str,
    publish: &'static str,
    path: &Path,
    bytes: &[u8],
) -> Result<()> {
    replace_with(write, publish, path, bytes, false)
}

fn replace_with(
    write: &'static str,
    publish: &'static str,
    path: &Path,
    bytes: &[u8],
    sync: bool,
) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", unique_name()));
    let temporary = path.with_file_name(name);
    let written = create(write, &temporary)
        .and_then(|mut file| {
            append(write, &temporary, &mut file, bytes)?;
            match sync {
                true => sync_open(write, &temporary, &file),
                false => Ok(()),
            }
        })
        .and_then(|()| rename(publish, &temporary, path));
    if written.is_err() {
        // The failure that matters is the first one; what is left is only debris.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}
