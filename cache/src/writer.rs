//! Staging: bytes on their way into the store, invisible until they are committed.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::digest::Digest;
use crate::disk;
use crate::error::StoreError;
use crate::layout::{Layout, file_name, list_dir, open_lock_file};
use crate::lock::{self, Reach, Tried};

const BUFFER: usize = 256 << 10;

/// This process as a writer of a store: its directory of unfinished work, which is removed when
/// nothing uses it any more.
#[derive(Debug)]
pub(crate) struct Session {
    dir: PathBuf,
    /// Held while alive, so that others can tell debris from work.
    _lock: File,
    counter: AtomicU64,
}

impl Session {
    /// Registers this process. Registering and sweeping exclude each other, so a directory whose
    /// lock is free belongs to the dead.
    pub(crate) fn register(layout: &Layout) -> Result<Arc<Self>, StoreError> {
        let _guard = lock::exclusive(&layout.commit_lock())?;
        let dir = layout.tmp.join(Reach::of(&layout.tmp).name());
        disk::mkdir("writer.register", &dir)?;
        let lock_path = dir.join("lock");
        let file = open_lock_file(&lock_path)?;
        lock::try_exclusive(&file, &lock_path)?;
        Ok(Arc::new(Self {
            dir,
            _lock: file,
            counter: AtomicU64::new(0),
        }))
    }

    /// Removes what dead writers left. Debris is harmless, so failures are left to the next sweep.
    pub(crate) fn sweep(layout: &Layout) -> Result<(), StoreError> {
        let dirs = list_dir(&layout.tmp)?;
        if dirs.is_empty() {
            return Ok(());
        }
        let commit = layout.commit_lock();
        let guard = open_lock_file(&commit)?;
        if lock::try_exclusive(&guard, &commit)? != Tried::Taken {
            return Ok(());
        }
        let reach = Reach::of(&layout.tmp);
        for dir in dirs.into_iter().filter(|dir| reach.covers(dir)) {
            let lock_path = dir.join("lock");
            let dead = match File::open(&lock_path) {
                Ok(file) => lock::try_exclusive(&file, &lock_path)? == Tried::Taken,
                Err(e) => e.kind() == io::ErrorKind::NotFound,
            };
            if dead {
                let _ = std::fs::remove_dir_all(&dir);
            }
        }
        Ok(())
    }

    fn fresh_path(&self) -> PathBuf {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        self.dir.join(number.to_string())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// An artifact being written; its bytes are hashed on their way.
///
/// Dropped unfinished, it leaves nothing.
#[derive(Debug)]
pub struct ArtifactWriter {
    file: File,
    buffer: Vec<u8>,
    hasher: blake3::Hasher,
    staged: TempFile,
}

/// A finished artifact that is not in the store yet. Dropped uncommitted, it leaves nothing.
#[derive(Debug)]
pub struct Staged {
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    file: TempFile,
}

/// A fresh directory on the store's file system, removed with all it holds when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    _session: Arc<Session>,
}

#[derive(Debug)]
struct TempFile {
    path: PathBuf,
    _session: Arc<Session>,
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Scratch {
    pub(crate) fn new(session: Arc<Session>) -> Result<Self, StoreError> {
        let path = session.fresh_path();
        disk::mkdir("stage.create", &path)?;
        Ok(Self {
            path,
            _session: session,
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

impl ArtifactWriter {
    pub(crate) fn new(session: Arc<Session>) -> Result<Self, StoreError> {
        let path = session.fresh_path();
        let file = disk::create("stage.create", &path)?;
        Ok(Self {
            file,
            buffer: Vec::new(),
            hasher: blake3::Hasher::new(),
            staged: TempFile {
                path,
                _session: session,
            },
        })
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        let path = &self.staged.path;
        disk::append("stage.write", path, &mut self.file, bytes).map_err(io::Error::from)
    }

    fn flush_buffer(&mut self) -> io::Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let result = if buffer.is_empty() {
            Ok(())
        } else {
            self.put(&buffer)
        };
        self.buffer = buffer;
        self.buffer.clear();
        result
    }

    /// Ends the artifact: all is written (made durable by the commit), read-only and hashed.
    pub fn finish(mut self) -> Result<Staged, StoreError> {
        self.flush_buffer()
            .map_err(|e| StoreError::env("stage.write", &self.staged.path, e))?;
        disk::seal("stage.seal", &self.staged.path, &self.file)?;
        Ok(Staged {
            digest: Digest::finish(&self.hasher),
            size: self.hasher.count(),
            file: self.staged,
        })
    }
}

impl Write for ArtifactWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush_buffer()?;
        }
        if bytes.len() > BUFFER {
            self.put(bytes)?;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flush_buffer()
    }
}

/// A step's failure inside an `io::Write`: the kind (disk full or not) stays visible.
impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Environment { source, .. } => source,
            other => Self::other(other),
        }
    }
}

impl Staged {
    /// Where its bytes are until the commit.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Takes over a file that another program has finished.
    ///
    /// It is moved where that is possible and safe, else copied: from another file system, through
    /// a symbolic link, or with a second name under which it could still be changed.
    pub(crate) fn adopt(session: Arc<Session>, from: &Path) -> Result<Self, StoreError> {
        let env = |e| StoreError::env("stage.adopt", from, e);
        let temp = TempFile {
            path: session.fresh_path(),
            _session: session,
        };
        let meta = std::fs::symlink_metadata(from).map_err(env)?;
        let movable = meta.is_file() && meta.nlink() == 1;
        if !(movable && std::fs::rename(from, &temp.path).is_ok()) {
            if !std::fs::metadata(from).map_err(env)?.is_file() {
                return Err(env(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("{} is not a regular file", file_name(from)),
                )));
            }
            disk::create("stage.create", &temp.path)?;
            std::fs::copy(from, &temp.path)
                .map_err(|e| StoreError::env("stage.write", &temp.path, e))?;
        }
        let env = |e| StoreError::env("stage.adopt", &temp.path, e);
        let file = File::open(&temp.path).map_err(env)?;
        disk::seal("stage.seal", &temp.path, &file)?;
        let (digest, size) = Digest::of_open_file(&file).map_err(env)?;
        Ok(Self {
            digest,
            size,
            file: temp,
        })
    }
}
