//! The directories of a store, its format version, and the names of what lies in it.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::content::Digest;
use crate::disk::file::{self, Lasting};
use crate::disk::look::{file_name, is_dir, list_dir, require_no_link};
use crate::disk::names::Reach;
use crate::disk::steps;
use crate::error::StoreError;

/// The format that this program writes; it reads the earlier ones. The first one lacked logs and
/// split rows.
const FORMAT: u32 = 2;
const FORMAT_PREFIX: &str = "flow-store ";

/// The paths of a store.
#[derive(Clone, Debug)]
pub(crate) struct StoreLayout {
    pub(crate) root: PathBuf,
    pub(crate) artifacts: PathBuf,
    pub(crate) records: PathBuf,
    pub(crate) tmp: PathBuf,
    pub(crate) locks: PathBuf,
    pub(crate) quarantine: PathBuf,
    /// Made at the first need.
    pub(crate) manifests: PathBuf,
}

/// Artifacts with their sizes in order of digest, and files that are none.
type Listing = (Vec<(Digest, u64)>, Vec<PathBuf>);

impl StoreLayout {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
            artifacts: root.join("artifacts"),
            records: root.join("records"),
            tmp: root.join("tmp"),
            locks: root.join("locks"),
            quarantine: root.join("quarantine"),
            manifests: root.join("manifests"),
        }
    }

    /// Whether all folders that a store has from the start are there. An error if one is a link: what
    /// lies behind it may be anybody's.
    pub(crate) fn is_whole(&self) -> Result<bool, StoreError> {
        let mut whole = true;
        for part in self.parts() {
            match std::fs::symlink_metadata(part) {
                Ok(meta) if meta.is_symlink() => return Err(StoreError::link(part)),
                found => whole &= found.is_ok_and(|meta| meta.is_dir()),
            }
        }
        require_no_link(&self.manifests)?;
        Ok(whole)
    }

    fn parts(&self) -> [&PathBuf; 5] {
        [
            &self.artifacts,
            &self.records,
            &self.tmp,
            &self.locks,
            &self.quarantine,
        ]
    }

    /// Keys of records that gc removed.
    pub(crate) fn pruned(&self) -> PathBuf {
        self.root.join("pruned")
    }

    fn format_file(&self) -> PathBuf {
        self.root.join("format")
    }

    /// Locked shared by every process that has the store open, exclusively by gc.
    pub(crate) fn in_use_lock(&self) -> PathBuf {
        self.locks.join("in-use")
    }

    /// Locked exclusively for the moment of appending records, registering and sweeping.
    pub(crate) fn commit_lock(&self) -> PathBuf {
        self.locks.join("commit")
    }

    /// One byte of it is locked for each running action.
    pub(crate) fn actions_lock(&self) -> PathBuf {
        self.locks.join("actions")
    }

    /// Creates what is missing. The format file comes last: a directory without one is a store
    /// whose creation was interrupted, and is completed; so is one that lacks a directory. Each step
    /// is one that another process may have taken already. One of an
    /// earlier format gets this one, since what is appended from now on an earlier program could not
    /// read.
    pub(crate) fn create(&self) -> Result<(), StoreError> {
        let found = self.check_format()?;
        let known = found == Some(FORMAT);
        let parts = self.parts();
        if self.is_whole()? && known {
            return Ok(());
        }
        if found.is_none() {
            self.require_free()?;
        }
        std::fs::create_dir_all(&self.root)
            .map_err(|e| StoreError::env("open.layout", &self.root, e))?;
        for part in parts {
            steps::mkdir("open.layout", part)?;
        }
        if !known {
            let text = format!("{FORMAT_PREFIX}{FORMAT}\n");
            let path = self.format_file();
            let steps = ["open.format", "open.publish-format"];
            file::replace(steps, &path, text.as_bytes(), Lasting::Now)?;
        }
        // All names at once. One that is lost before costs what another process has put below it by
        // then, which is made again.
        steps::sync_dir("open.sync-layout", &self.root)
    }

    /// An error if the directory holds anything but what an interrupted creation leaves: it is
    /// someone else's, and a store is not to be mixed with it.
    pub(crate) fn require_free(&self) -> Result<(), StoreError> {
        // Another process may finish creating the store between our look for `format` and this one,
        // and start to work.
        let parts = self.parts().into_iter().chain([&self.manifests]);
        let parts: Vec<&PathBuf> = parts.collect();
        let stranger = list_dir(&self.root)?.into_iter().find(|path| {
            let name = file_name(path);
            let ours = parts.contains(&path) || name == "format" || name.starts_with("format.");
            !ours
        });
        match stranger {
            None => Ok(()),
            Some(stranger) => Err(StoreError::NotAStore {
                path: self.root.clone(),
                detail: format!("it holds `{}`", file_name(&stranger)),
            }),
        }
    }

    /// The store's format if this program understands it; an error if it has another one, `None`
    /// if there is no store.
    pub(crate) fn check_format(&self) -> Result<Option<u32>, StoreError> {
        let path = self.format_file();
        let text = match std::fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => {
                return Err(StoreError::NotAStore {
                    path: self.root.clone(),
                    detail: "it is no directory".to_owned(),
                });
            }
            Err(e) => return Err(StoreError::env("open.format", &path, e)),
        };
        let number = text.trim_end().strip_prefix(FORMAT_PREFIX);
        match number.and_then(|n| n.parse::<u32>().ok()) {
            Some(found @ 1..=FORMAT) => Ok(Some(found)),
            Some(found) if found > FORMAT => Err(StoreError::NewerFormat {
                path: self.root.clone(),
                found,
                supported: FORMAT,
            }),
            _ => Err(StoreError::NotAStore {
                path: self.root.clone(),
                detail: "its file `format` is not that of a store".to_owned(),
            }),
        }
    }

    /// Where a new segment is to lie.
    pub(crate) fn new_segment(&self, reach: &Reach) -> PathBuf {
        self.records.join(format!("{}.seg", reach.name()))
    }

    /// Where an artifact lies.
    pub(crate) fn artifact(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        // One is made for every action, so in one piece.
        let mut path = OsString::with_capacity(self.artifacts.as_os_str().len() + 2 + hex.len());
        for part in [self.artifacts.as_os_str(), "/".as_ref(), hex[..2].as_ref()] {
            path.push(part);
        }
        path.push("/");
        path.push(&hex[2..]);
        path.into()
    }

    /// Every artifact with its size in order of digest, and every file that is none.
    pub(crate) fn list_artifacts(&self) -> Result<Listing, StoreError> {
        let (mut artifacts, mut strays) = (Vec::new(), Vec::new());
        for shard in list_dir(&self.artifacts)? {
            if !is_dir(&shard) {
                strays.push(shard);
                continue;
            }
            let prefix = file_name(&shard);
            for path in list_dir(&shard)? {
                let size = match std::fs::symlink_metadata(&path) {
                    Ok(meta) if meta.is_file() => meta.len(),
                    Ok(_) => {
                        strays.push(path);
                        continue;
                    }
                    Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                    Err(e) => return Err(StoreError::env("store.list", &path, e)),
                };
                match Digest::from_hex(&format!("{prefix}{}", file_name(&path))) {
                    Ok(digest) => artifacts.push((digest, size)),
                    Err(_) => strays.push(path),
                }
            }
        }
        Ok((artifacts, strays))
    }
}
