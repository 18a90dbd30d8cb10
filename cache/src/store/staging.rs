//! Staging: bytes on their way into the store, invisible until they are committed.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::content::Digest;
use crate::disk::steps;
use crate::disk::work_dir::WorkDir;
use crate::error::StoreError;
use crate::store::layout::StoreLayout;

const BUFFER: usize = 256 << 10;

/// This process as a writer: its folder for unfinished work, which is removed when nothing uses it
/// any more.
#[derive(Debug)]
pub(crate) struct Session {
    dir: WorkDir,
    counter: AtomicU64,
}

impl Session {
    /// Registers this process.
    pub(crate) fn register(layout: &StoreLayout) -> Result<Arc<Self>, StoreError> {
        Ok(Arc::new(Self {
            dir: WorkDir::new("writer.register", &layout.tmp)?,
            counter: AtomicU64::new(0),
        }))
    }

    /// Makes a name for a file.
    pub(crate) fn temp(self: &Arc<Self>) -> TempFile {
        TempFile {
            path: self.fresh_path(),
            _session: Arc::clone(self),
        }
    }

    fn fresh_path(&self) -> PathBuf {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        self.dir.path().join(number.to_string())
    }
}

/// An artifact that is being written. Its bytes are hashed on their way. If it is dropped before it
/// is finished, it leaves nothing.
#[derive(Debug)]
pub struct ArtifactWriter {
    file: File,
    buffer: Vec<u8>,
    hasher: blake3::Hasher,
    staged: TempFile,
    /// The bytes that may still come.
    left: u64,
}

/// A finished artifact that is not in the store yet. If it is dropped before it is committed, it
/// leaves nothing.
#[derive(Debug)]
pub struct Staged {
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    file: TempFile,
}

/// A folder on the file system of the store, removed with everything in it when it is dropped.
#[derive(Debug)]
pub struct AttemptDir {
    path: PathBuf,
    _session: Arc<Session>,
}

/// A file of this writer, or only a name for one. It is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct TempFile {
    pub(crate) path: PathBuf,
    _session: Arc<Session>,
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl AttemptDir {
    pub(crate) fn new(session: Arc<Session>) -> Result<Self, StoreError> {
        let path = session.fresh_path();
        steps::mkdir("stage.create", &path)?;
        Ok(Self {
            path,
            _session: session,
        })
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for AttemptDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

impl ArtifactWriter {
    pub(crate) fn new(session: Arc<Session>) -> Result<Self, StoreError> {
        let staged = session.temp();
        Ok(Self {
            file: steps::create("stage.create", &staged.path)?,
            buffer: Vec::new(),
            hasher: blake3::Hasher::new(),
            staged,
            left: u64::MAX,
        })
    }

    /// The same, for no more bytes than these. More are refused as data that is wrong.
    pub(crate) fn up_to(self, most: u64) -> Self {
        Self { left: most, ..self }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        let path = &self.staged.path;
        steps::append("stage.write", path, &self.file, bytes).map_err(io::Error::from)
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

    /// Finishes the artifact: everything is written, it is read-only, and it has its digest. The
    /// commit makes it durable.
    pub fn finish(mut self) -> Result<Staged, StoreError> {
        self.flush_buffer()
            .map_err(|e| StoreError::env("stage.write", &self.staged.path, e))?;
        steps::seal("stage.seal", &self.staged.path, &self.file)?;
        Ok(Staged {
            digest: Digest::finish(&self.hasher),
            size: self.hasher.count(),
            file: self.staged,
        })
    }
}

impl Write for ArtifactWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or(io::ErrorKind::InvalidData)?;
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

impl Staged {
    pub(crate) fn new(digest: Digest, size: u64, file: TempFile) -> Self {
        Self { digest, size, file }
    }

    /// Where the bytes are until the commit.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Takes the permission to read from everyone who is not in `readers`, a set of permissions.
    pub fn narrow(&self, readers: u32) -> Result<(), StoreError> {
        steps::narrow("stage.seal", self.path(), readers)
    }
}
