//! The steps by which anything on disk changes.
//!
//! Every step has a name, which errors show. Tests use the same names: with the feature `testing`
//! they can make a step fail, kill the process at a step, and record the steps to replay what a
//! power loss may have left.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use super::lock::is_at;
use super::look::{OWNER, is_dir, require_no_link};
use super::names::is_local;
use crate::error::StoreError;
#[cfg(feature = "testing")]
use crate::testing::{fault, recorder};

type Result<T> = std::result::Result<T, StoreError>;

/// Tells a test that records steps what a step did. The product has no recorder.
macro_rules! note {
    ($path:expr, $op:ident $of:tt) => {{
        #[cfg(feature = "testing")]
        recorder::note($path, || recorder::Op::$op $of);
        #[cfg(not(feature = "testing"))]
        let _: &Path = $path;
    }};
}

/// Runs one step, and names it in the error.
fn step<T>(name: &'static str, path: &Path, act: impl FnOnce() -> io::Result<T>) -> Result<T> {
    #[cfg(feature = "testing")]
    fault::point(name, path)?;
    act().map_err(|source| StoreError::env(name, path, source))
}

/// Creates a directory if it is not there. A link to a directory is an error.
pub(crate) fn mkdir(name: &'static str, path: &Path) -> Result<()> {
    mkdir_with(name, path, 0o777)
}

/// The same for a directory that only its owner may enter.
pub(crate) fn mkdir_private(name: &'static str, path: &Path) -> Result<()> {
    mkdir_with(name, path, 0o700)
}

fn mkdir_with(name: &'static str, path: &Path, mode: u32) -> Result<()> {
    match make_dir_with(name, path, mode) {
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
    make_dir_with(name, path, 0o777)
}

fn make_dir_with(name: &'static str, path: &Path, mode: u32) -> Result<()> {
    step(name, path, || DirBuilder::new().mode(mode).create(path))?;
    note!(path, Mkdir(path.to_path_buf()));
    Ok(())
}

/// Creates a file that must not be there, for appending.
pub(crate) fn create(name: &'static str, path: &Path) -> Result<File> {
    create_with(name, path, 0o666)
}

/// The same with at most the permissions `mode`.
pub(crate) fn create_with(name: &'static str, path: &Path, mode: u32) -> Result<File> {
    let file = step(name, path, || {
        let mut options = File::options();
        options.append(true).create_new(true).mode(mode).open(path)
    })?;
    note!(path, Create(path.to_path_buf()));
    Ok(file)
}

/// Appends to an open file.
pub(crate) fn append(name: &'static str, path: &Path, mut file: &File, bytes: &[u8]) -> Result<()> {
    step(name, path, || file.write_all(bytes))?;
    note!(path, Append(path.to_path_buf(), bytes.to_vec()));
    Ok(())
}

/// Cuts an open file off after its first `length` bytes.
pub(crate) fn truncate(name: &'static str, path: &Path, file: &File, length: u64) -> Result<()> {
    step(name, path, || file.set_len(length))?;
    note!(path, Truncate(path.to_path_buf(), length));
    Ok(())
}

/// Makes a file immutable for well-behaved programs. Nobody may read it who could not read it
/// before.
pub(crate) fn seal(name: &'static str, path: &Path, file: &File) -> Result<()> {
    step(name, path, || {
        let readers = file.metadata()?.permissions().mode() & 0o444;
        file.set_permissions(Permissions::from_mode(OWNER | readers))
    })
}

/// Takes the permission to read a sealed file from everyone who is not in `readers`.
pub(crate) fn narrow(name: &'static str, path: &Path, readers: u32) -> Result<()> {
    step(name, path, || {
        let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
        match OWNER | mode & readers {
            narrow if narrow == mode => Ok(()),
            narrow => std::fs::set_permissions(path, Permissions::from_mode(narrow)),
        }
    })
}

/// The number of files or directories from which on one sync of the file system is cheaper than a
/// sync of each, unless other processes have much to write.
const SYNC_ALL_FROM: usize = 4;

/// The time that each file may take in a sync of the file system. If it takes longer, other
/// processes write much, and this process syncs files one by one from then on.
const SYNC_ALL_WITHIN: Duration = Duration::from_millis(4);

static OTHERS_WRITE: AtomicBool = AtomicBool::new(false);

/// Waits until the contents of files are durable.
pub(crate) fn sync_files(name: &'static str, paths: &[&Path]) -> Result<()> {
    sync_each(name, paths)?;
    for path in paths {
        note!(path, Sync(path.to_path_buf()));
    }
    Ok(())
}

/// Waits until the names in directories are durable.
pub(crate) fn sync_dirs(name: &'static str, dirs: &[&Path]) -> Result<()> {
    sync_each(name, dirs)?;
    for dir in dirs {
        note!(dir, SyncDir(dir.to_path_buf()));
    }
    Ok(())
}

/// Syncs files or directories that lie on one file system.
///
/// They are synced together only on a local one. On NFS, a full disk shows in the sync, and the sync
/// of a file system tells that to whoever comes first, whosever file it was.
fn sync_each(name: &'static str, paths: &[&Path]) -> Result<()> {
    let together = paths.len() >= SYNC_ALL_FROM && !OTHERS_WRITE.load(Ordering::Relaxed);
    if together && paths[0].parent().is_some_and(is_local) {
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

/// Waits until everything that was written to the file system of `path` is durable. Returns false
/// if this platform has no such call. Linux reports write errors here since 5.8.
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
    note!(path, Sync(path.to_path_buf()));
    Ok(())
}

/// Waits until the names in a directory are durable.
pub(crate) fn sync_dir(name: &'static str, path: &Path) -> Result<()> {
    sync_dirs(name, &[path])
}

/// Gives a file a second name unless something has that name. Returns true if it was free.
///
/// On file systems without hard links the file is renamed, which may replace an equal file.
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
        Some(true) => note!(to, Link(from.to_path_buf(), to.to_path_buf())),
        Some(false) => {}
        None => note!(to, Rename(from.to_path_buf(), to.to_path_buf())),
    }
    Ok(linked != Some(false))
}

/// Gives a temporary file its name. What has the name is replaced, or else is an error.
pub(crate) fn persist(
    name: &'static str,
    file: NamedTempFile,
    to: &Path,
    replace: bool,
) -> Result<()> {
    #[cfg(feature = "testing")]
    let from = file.path().to_path_buf();
    step(name, to, || {
        let kept = match replace {
            true => file.persist(to),
            false => file.persist_noclobber(to),
        };
        match kept {
            Err(failed) if !is_at(failed.file.as_file(), to).unwrap_or_default() => {
                Err(failed.error)
            }
            // If the answer of a server is lost, it is asked again, and then the old name is not
            // there any more, or the new one is there already.
            _ => Ok(()),
        }
    })?;
    note!(to, Rename(from, to.to_path_buf()));
    Ok(())
}

/// Renames a file, and replaces what has the name.
pub(crate) fn rename(name: &'static str, from: &Path, to: &Path) -> Result<()> {
    step(name, to, || std::fs::rename(from, to))?;
    note!(to, Rename(from.to_path_buf(), to.to_path_buf()));
    Ok(())
}

/// Removes a file, unless it is gone already.
pub(crate) fn remove(name: &'static str, path: &Path) -> Result<()> {
    step(name, path, || match std::fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    })?;
    note!(path, Remove(path.to_path_buf()));
    Ok(())
}
