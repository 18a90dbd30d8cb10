//! A remote in a folder, where a write that was killed leaves a file behind. A file system over a network may hang for
//! ever, so everything has a time limit here; a thread that hangs is left behind.

use std::fs::{self, DirEntry};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use object_store::local::LocalFileSystem;

use super::error::{RemoteError, RemoteFault};
use super::http::Limits;
use crate::content::Digest;

/// The folder of a remote.
pub(super) struct Folder {
    path: PathBuf,
    limits: Limits,
}

/// A file of a write that has not ended, or never will.
pub(super) struct Unfinished {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    pub(super) modified: SystemTime,
}

impl Folder {
    /// Opens a folder, which has to exist, or is made if `create`.
    pub(super) fn open(
        path: &Path,
        create: bool,
        limits: Limits,
    ) -> Result<(Self, LocalFileSystem), RemoteError> {
        let folder = path.to_owned();
        let store = within(limits.answer, move || {
            if create {
                fs::create_dir_all(&folder).map_err(|e| failed(&folder, &e))?;
            }
            fs::metadata(&folder).map_err(|e| failed(&folder, &e))?;
            Ok(LocalFileSystem::new_with_prefix(&folder)?.with_fsync(true))
        })?;
        let path = path.to_owned();
        Ok((Self { path, limits }, store))
    }

    /// The files of writes that have not ended.
    pub(super) fn unfinished(
        &self,
        folders: [&'static str; 2],
    ) -> Result<Vec<Unfinished>, RemoteError> {
        let path = self.path.clone();
        within(self.limits.answer * 6, move || {
            let mut found = Vec::new();
            for place in folders.map(|folder| path.join(folder)) {
                for shard in listed(&place).map_err(|e| failed(&place, &e))? {
                    let shard = shard.path();
                    for file in listed(&shard).map_err(|e| failed(&shard, &e))? {
                        found.extend(unfinished(&shard, &file));
                    }
                }
            }
            Ok(found)
        })
    }

    /// Removes such files. It is no error if they are not there.
    pub(super) fn remove(&self, files: Vec<Unfinished>) -> Result<(), RemoteError> {
        within(self.limits.answer * 6, move || {
            for file in files {
                match fs::remove_file(&file.path) {
                    Err(e) if e.kind() != ErrorKind::NotFound => {
                        return Err(failed(&file.path, &e));
                    }
                    _ => {}
                }
            }
            Ok(())
        })
    }
}

/// The entries of a folder. A file has none, nor has a folder that is not there.
fn listed(folder: &Path) -> io::Result<Vec<DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(e) => Err(e),
    }
}

/// The file of a write to an object, by its name: that of the object, `#` and a number.
fn unfinished(shard: &Path, file: &DirEntry) -> Option<Unfinished> {
    let (name, shard) = (file.file_name(), shard.file_name()?);
    let (object, number) = name.to_str()?.split_once('#')?;
    Digest::from_hex(&format!("{}{object}", shard.to_str()?)).ok()?;
    number.parse::<u32>().ok()?;
    let meta = file.metadata().ok()?;
    Some(Unfinished {
        path: file.path(),
        bytes: meta.len(),
        modified: meta.modified().ok()?,
    })
}

fn failed(path: &Path, error: &io::Error) -> RemoteError {
    let shown = path.display();
    let (fault, message) = match error.kind() {
        ErrorKind::NotFound => (RemoteFault::Absent, format!("there is no folder {shown}")),
        ErrorKind::PermissionDenied => (RemoteFault::Refused, format!("{shown}: {error}")),
        _ => (RemoteFault::Unavailable, format!("{shown}: {error}")),
    };
    RemoteError::new(fault, message)
}

/// Does work on a thread of its own, which is left behind if it takes longer than the limit.
fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> Result<T, RemoteError> + Send + 'static,
) -> Result<T, RemoteError> {
    let (done, is_done) = mpsc::channel();
    let thread = std::thread::Builder::new().spawn(move || {
        // If nobody waits for it any more, the result is of no use.
        let _ = done.send(work());
    });
    thread.map_err(|e| RemoteError::new(RemoteFault::Store, format!("no threads: {e}")))?;
    match is_done.recv_timeout(limit) {
        Ok(result) => result,
        Err(_) => Err(RemoteError::slow(limit.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_left_behind() {
        let (hangs, until) = mpsc::channel::<()>();
        let slow = within(Duration::from_millis(20), move || {
            let _ = until.recv();
            Ok(())
        });
        assert_eq!(slow.unwrap_err().fault, RemoteFault::Unavailable);
        drop(hangs);
        assert_eq!(within(Duration::from_secs(60), || Ok(7)).unwrap(), 7);
    }
}
