//! The folders of a store, the version of its format, and the names in it.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::content::Digest;
use crate::disk::file::{self, Lasting};
use crate::disk::look::{file_name, is_dir, list_dir, require_no_link};
use crate::disk::names::Reach;
use crate::disk::steps;
use crate::error::StoreError;

/// The format that this program writes. It reads the earlier ones too. The first one had no logs,
/// and its rows were not split.
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
    /// Made when it is first needed.
    pub(crate) manifests: PathBuf,
    /// Made when it is first needed.
    pub(crate) unfinished: PathBuf,
    /// Made when it is first needed.
    pub(crate) jobs: PathBuf,
}

/// Artifacts with their sizes in order of digest, then files that are not artifacts.
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
            unfinished: root.join("unfinished"),
            jobs: root.join("jobs"),
        }
    }

    /// Returns true if all folders that a store has from the start are there. A link is an error,
    /// because anything may be behind it.
    pub(crate) fn is_whole(&self) -> Result<bool, StoreError> {
        let mut whole = true;
        for part in self.parts() {
            match std::fs::symlink_metadata(part) {
                Ok(meta) if meta.is_symlink() => return Err(StoreError::link(part)),
                found => whole &= found.is_ok_and(|meta| meta.is_dir()),
            }
        }
        require_no_link(&self.manifests)?;
        require_no_link(&self.unfinished)?;
        require_no_link(&self.jobs)?;
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

    /// The keys of records that gc removed.
    pub(crate) fn pruned(&self) -> PathBuf {
        self.root.join("pruned")
    }

    fn format_file(&self) -> PathBuf {
        self.root.join("format")
    }

    /// Every process that has the store open shares this lock, and gc takes it exclusively.
    pub(crate) fn in_use_lock(&self) -> PathBuf {
        self.locks.join("in-use")
    }

    /// Held while records are appended.
    pub(crate) fn commit_lock(&self) -> PathBuf {
        self.locks.join("commit")
    }

    /// One byte of it is locked for each running action.
    pub(crate) fn actions_lock(&self) -> PathBuf {
        self.locks.join("actions")
    }

    /// Creates what is missing. The format file comes last, so a directory without one is a store
    /// whose creation was interrupted, and it is completed. A store that lacks a folder is
    /// completed too. Another process may have taken any of the steps already. A store of an
    /// earlier format gets the current one, since an earlier program could not read what is
    /// appended from now on.
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
        // All names are synced at once. If a power loss takes one before, it takes what other
        // processes have put below it by then, and that is made again.
        steps::sync_dir("open.sync-layout", &self.root)
    }

    /// Returns an error if the directory holds anything that an interrupted creation does not
    /// leave. It then belongs to somebody else, and a store must not be mixed with it.
    pub(crate) fn require_free(&self) -> Result<(), StoreError> {
        // Another process may finish creating the store between our look for `format` and this one,
        // and may have started to work.
        let later = [&self.manifests, &self.unfinished, &self.jobs];
        let parts = self.parts().into_iter().chain(later);
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

    /// The format of the store, or `None` if there is no store. A format that this program does not
    /// understand is an error.
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

    /// The path for a new segment.
    pub(crate) fn new_segment(&self, reach: &Reach) -> PathBuf {
        self.records.join(format!("{}.seg", reach.name()))
    }

    /// The path of an artifact.
    pub(crate) fn artifact(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        // Every action makes such a path, so it is made with one allocation.
        let mut path = OsString::with_capacity(self.artifacts.as_os_str().len() + 2 + hex.len());
        for part in [self.artifacts.as_os_str(), "/".as_ref(), hex[..2].as_ref()] {
            path.push(part);
        }
        path.push("/");
        path.push(&hex[2..]);
        path.into()
    }

    /// Every artifact with its size in order of digest, then every file that is not one.
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
