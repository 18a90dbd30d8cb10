//! The directories of a store, its format version, and the names of what lies in it.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::digest::Digest;
use crate::disk;
use crate::error::StoreError;
use crate::lock::Reach;

/// The format that this program writes; it reads the earlier ones. The first one lacked logs and
/// split rows.
const FORMAT: u32 = 2;
const FORMAT_PREFIX: &str = "flow-store ";

/// The paths of a store.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
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

impl Layout {
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
            disk::mkdir("open.layout", part)?;
        }
        if !known {
            let text = format!("{FORMAT_PREFIX}{FORMAT}\n");
            let path = self.format_file();
            disk::replace("open.format", "open.publish-format", &path, text.as_bytes())?;
        }
        // All names at once. One that is lost before costs what another process has put below it by
        // then, which is made again.
        disk::sync_dir("open.sync-layout", &self.root)
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

/// The entries of a directory in order of name; none if it is gone.
pub(crate) fn list_dir(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = match disk::read_own_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StoreError::env("store.list", dir, e)),
    };
    let mut paths = entries
        .map(|entry| entry.map(|e| e.path()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(|e| StoreError::env("store.list", dir, e))?;
    paths.sort();
    Ok(paths)
}

/// The last part of a path as text.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Whether a directory is there, and no link to one.
pub(crate) fn is_dir(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir())
}

/// An error if a path is a link: what flow keeps for itself lies where it put it. Someone else may have
/// left the link, and what is behind it is not flow's to change.
pub fn require_no_link(path: &Path) -> Result<(), StoreError> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.is_symlink() => Err(StoreError::link(path)),
        // What else is wrong with it shows where it is used.
        _ => Ok(()),
    }
}

/// Nanoseconds since 1970; 0 for a clock before that.
pub(crate) fn now_nanos() -> u64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

/// The modification time of a file in nanoseconds since 1970.
pub(crate) fn mtime_nanos(meta: &std::fs::Metadata) -> i64 {
    nanos(meta.mtime(), meta.mtime_nsec())
}

/// Seconds and nanoseconds as one number.
pub(crate) fn nanos(seconds: i64, nanos: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// Whether a change after the look `at` must show in a file's `time`, both in nanoseconds: the time
/// is older than the look by more than the granularity of file times.
pub(crate) fn is_settled(time: i64, at: u64) -> bool {
    /// Kernels stamp files with the time of the last tick, which is up to 10 ms old.
    const TICK: i64 = 20_000_000;
    /// File systems that keep whole or even seconds only.
    const COARSE: i64 = 2_000_000_000;
    let granule = if time % 1_000_000_000 == 0 {
        COARSE
    } else {
        TICK
    };
    time.saturating_add(granule) < i64::try_from(at).unwrap_or(i64::MAX)
}

/// A name that no other process will choose, on whatever machine or in whatever container: time and
/// randomness.
pub fn unique_name() -> String {
    use std::hash::{BuildHasher, RandomState};
    let nanos = now_nanos();
    let random = RandomState::new().hash_one(nanos);
    format!("{nanos:016x}-{random:016x}")
}

/// Whether this is [`unique_name`], with the name of a machine; that of a process, which earlier versions
/// put between time and randomness, may be there. What has another name, flow did not make.
pub(crate) fn is_unique_name(name: &str) -> bool {
    let is_hex = |part: &&str| {
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        !part.is_empty() && part.bytes().all(digit)
    };
    let parts: Vec<&str> = name.split('-').collect();
    let Some((machine, parts)) = parts.split_last() else {
        return false;
    };
    (2..=3).contains(&parts.len())
        && parts[0].len() == 16
        && parts.iter().all(is_hex)
        && (*machine == "unknown" || machine.len() == 16 && is_hex(machine))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_flow_makes_has_such_a_name() {
        for ours in [
            Reach::of(Path::new("/")).name(),
            "18ec0408a6eea78a-c37ada8489f6586b-unknown".to_owned(),
            "18ec0408a6eea78a-78b-c37ada8489f6586b-28af18a42e9c9629".to_owned(),
        ] {
            assert!(is_unique_name(&ours), "{ours}");
        }
        for other in [
            "",
            "lock",
            "thesis",
            "2026-11-28-notes",
            "18ec0408a6eea78a-x-unknown",
        ] {
            assert!(!is_unique_name(other), "{other}");
        }
    }
}
