//! The local store: opening it, looking records up, and the health of artifacts. There is a file
//! for everything else that is done to a store.
//!
//! `layout.rs` has the paths. `staging.rs` and `adopt.rs` bring bytes in, and `commit.rs` publishes
//! them with their records. `gc.rs` removes them, and `pruned.rs` remembers that. `verify.rs`
//! checks everything, `nearest.rs` finds records that are like a recipe, `manifests.rs` serves
//! child processes, `jobs.rs` has the folders of batches, `unfinished.rs` has what killed actions
//! leave, `tier.rs` asks a remote for what is not here, and `action_lock.rs` keeps two runs from
//! running the same action. Nothing here knows what an action does. Begin with [`Store::open`], then
//! read the commit protocol in the documentation of the crate.

pub(crate) mod action_lock;
pub(crate) mod adopt;
pub(crate) mod commit;
pub(crate) mod gc;
pub(crate) mod jobs;
mod layout;
mod manifests;
pub(crate) mod nearest;
mod pruned;
pub(crate) mod staging;
pub(crate) mod tier;
pub(crate) mod unfinished;
pub(crate) mod verify;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use self::action_lock::{ActionLock, ActionLocks};
use self::adopt::{NotAdopted, adopt};
use self::commit::SegmentWriter;
use self::layout::StoreLayout;
use self::nearest::Neighbours;
use self::pruned::Pruned;
use self::staging::{ArtifactWriter, AttemptDir, Session, Staged};
use self::tier::Behind;
use crate::content::{ActionKey, Digest};
use crate::disk::lock::{self, InUse};
use crate::disk::look::{is_file, open_own};
use crate::disk::stat::Stat;
use crate::disk::stat::now_nanos;
use crate::disk::steps;
use crate::disk::work_dir;
use crate::error::StoreError;
use crate::records::index::{Index, RecordPlace, Warning};
use crate::records::record::Record;

/// A store in a local directory. Threads share it, and processes that open the same directory share
/// it too. The layout and the protocol are in the documentation of the crate.
pub struct Store {
    pub(crate) layout: StoreLayout,
    read_only: bool,
    /// Shared while the store is open. gc takes it exclusively.
    pub(crate) in_use: Option<InUse>,
    locks: Arc<ActionLocks>,
    pub(crate) index: Arc<Mutex<Index>>,
    session: Mutex<Option<Arc<Session>>>,
    pub(crate) segment: Mutex<Option<SegmentWriter>>,
    health: Mutex<HashMap<Digest, Stamp>>,
    /// The directories of artifacts whose own names this process has made durable.
    pub(crate) durable_dirs: Mutex<HashSet<PathBuf>>,
    pub(crate) neighbours: OnceLock<Neighbours>,
    /// The action that made each artifact first.
    pub(crate) origins: OnceLock<HashMap<Digest, ActionKey>>,
    pub(crate) pruned: OnceLock<Pruned>,
    /// Where records and artifacts may be that are not here.
    pub(crate) behind: OnceLock<Behind>,
}

/// The state of an artifact's bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Health {
    /// It is there, and its digest is right.
    Ok,
    /// It is not there: it was evicted, or never made here.
    Missing,
    /// It is there, but its digest is wrong, or this user may not read it.
    Corrupt,
}

/// What shows that a verified file was not touched since.
type Stamp = Stat;

/// A poisoned lock means that another thread panicked between two steps. Every step leaves the
/// guarded data whole, so the data are still good.
pub(crate) fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Opens the store in `dir`, and creates it if there is none. If the directory cannot be
    /// written to but holds a store, it is opened for lookups.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let layout = StoreLayout::new(dir);
        let writable = layout.create().and_then(|()| {
            let in_use = lock::open_file(&layout.in_use_lock())?;
            let actions = lock::open_private(&layout.actions_lock())?;
            Ok((in_use, actions))
        });
        match writable {
            Ok((in_use, actions)) => {
                let in_use = InUse::share(in_use, &layout.in_use_lock())?;
                work_dir::sweep(&layout.tmp)?;
                Self::with(layout, false, Some(in_use), Some(actions))
            }
            Err(e) if e.is_refused() && matches!(layout.check_format(), Ok(Some(_))) => {
                Self::open_read_only(dir)
            }
            Err(e) => Err(e),
        }
    }

    /// Opens the store in `dir` for lookups and reads. Nothing is created or changed.
    pub fn open_read_only(dir: &Path) -> Result<Self, StoreError> {
        let layout = StoreLayout::new(dir);
        layout.is_whole()?;
        if layout.check_format()?.is_none() {
            let none = io::Error::new(io::ErrorKind::NotFound, "there is no store");
            return Err(StoreError::env("open.format", dir, none));
        }
        // Sharing a lock needs no permission to write. Without the file, there is no gc to keep
        // out.
        let path = layout.in_use_lock();
        let in_use = File::open(&path).ok();
        let in_use = in_use.map(|file| InUse::share(file, &path)).transpose()?;
        Self::with(layout, true, in_use, None)
    }

    /// Opens the store in `dir` as [`open_read_only`](Self::open_read_only) does. If there is none,
    /// it counts as an empty one. This is for callers that only want to know what is there.
    pub fn open_for_reading(dir: &Path) -> Result<Self, StoreError> {
        let layout = StoreLayout::new(dir);
        if layout.check_format()?.is_some() {
            return Self::open_read_only(dir);
        }
        layout.require_free()?;
        Self::with(layout, true, None, None)
    }

    fn with(
        layout: StoreLayout,
        read_only: bool,
        in_use: Option<InUse>,
        actions: Option<File>,
    ) -> Result<Self, StoreError> {
        let mut index = Index::default();
        index.refresh(&layout.records)?;
        Ok(Self {
            layout,
            read_only,
            in_use,
            locks: ActionLocks::new(actions),
            index: Arc::new(Mutex::new(index)),
            session: Mutex::default(),
            segment: Mutex::default(),
            health: Mutex::default(),
            durable_dirs: Mutex::default(),
            neighbours: OnceLock::new(),
            origins: OnceLock::new(),
            pruned: OnceLock::new(),
            behind: OnceLock::new(),
        })
    }

    /// The store's directory.
    pub fn dir(&self) -> &Path {
        &self.layout.root
    }

    /// Returns true if the store can only be read.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// The record of an action, if it has a readable one. The store keeps no copy of it, so memory
    /// does not grow with the number of actions.
    pub fn lookup(&self, key: &ActionKey) -> Result<Option<Arc<Record>>, StoreError> {
        let found = guard(&self.index).lookup(key)?.map(Arc::new);
        Ok(self.with_tier(key, found))
    }

    /// The same without the recipe and the labels, which the caller knows, as it made the key. This
    /// is for runs of many actions: it takes a fraction of the time and memory of
    /// [`lookup`](Self::lookup).
    pub fn find(&self, key: &ActionKey) -> Result<Option<Arc<Record>>, StoreError> {
        let found = guard(&self.index).result(key)?.map(Arc::new);
        Ok(self.with_tier(key, found))
    }

    /// Where the record of an action is.
    pub fn place(&self, key: &ActionKey) -> Option<RecordPlace> {
        guard(&self.index).place(key)
    }

    /// Returns true if the action has a record that was read and is damaged.
    pub fn is_damaged(&self, key: &ActionKey) -> bool {
        guard(&self.index).is_damaged(key)
    }

    /// Takes in the records that other processes have appended since.
    pub fn refresh(&self) -> Result<(), StoreError> {
        guard(&self.index).refresh(&self.layout.records)
    }

    /// The number of actions that have a record.
    pub fn len(&self) -> usize {
        guard(&self.index).len()
    }

    /// Returns true if no action has a record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `each` with every record that counts, in the order of the records on disk.
    pub fn for_each_record(&self, mut each: impl FnMut(&Record)) -> Result<(), StoreError> {
        guard(&self.index).for_each(|_, record| each(&record))
    }

    /// The damage that was found and skipped since the last call.
    pub fn take_warnings(&self) -> Vec<Warning> {
        let mut warnings = guard(&self.index).take_warnings();
        let behind = self.behind.get().map(Behind::take_warnings);
        warnings.extend(behind.unwrap_or_default());
        warnings
    }

    pub(crate) fn require_writable(&self, step: &'static str) -> Result<(), StoreError> {
        if self.read_only {
            return Err(StoreError::read_only(step, &self.layout.root));
        }
        Ok(())
    }

    /// This process as a writer. It is registered when it is first needed.
    pub(crate) fn session(&self) -> Result<Arc<Session>, StoreError> {
        self.require_writable("writer.register")?;
        let mut session = guard(&self.session);
        if let Some(session) = &*session {
            return Ok(Arc::clone(session));
        }
        let registered = Session::register(&self.layout)?;
        *session = Some(Arc::clone(&registered));
        Ok(registered)
    }

    /// Starts an artifact.
    pub fn create(&self) -> Result<ArtifactWriter, StoreError> {
        ArtifactWriter::new(self.session()?)
    }

    /// Takes over the file `path` below `folder`, which a program has finished. It is moved if
    /// possible, and copied otherwise. No link is followed, and nobody can write to the file any
    /// more. `go_on` is asked now and then.
    pub fn adopt(
        &self,
        folder: &Path,
        path: &Path,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Staged, NotAdopted> {
        adopt(&self.session()?, folder, path, go_on)
    }

    /// Makes a folder for an attempt. It is on the file system of the store, so that files in it
    /// can be adopted without a copy.
    pub fn scratch(&self) -> Result<AttemptDir, StoreError> {
        AttemptDir::new(self.session()?)
    }

    /// The folder of all artifacts.
    pub fn artifacts_dir(&self) -> &Path {
        &self.layout.artifacts
    }

    /// The path of an artifact, whether or not it is there.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.layout.artifact(digest)
    }

    /// Returns true if the bytes of an artifact are there. This costs one `stat` and says nothing
    /// about their health.
    pub fn has(&self, digest: &Digest) -> bool {
        is_file(&self.path(digest))
    }

    /// Checks an artifact against its digest. This process hashes it once, and again only if the
    /// size, inode or times of the file have changed.
    pub fn check(&self, digest: &Digest) -> Result<Health, StoreError> {
        let path = self.path(digest);
        let (file, stamp) = match open_stamped(&path)? {
            Opened::Yes(file, stamp) => (file, stamp),
            Opened::Gone => return Ok(Health::Missing),
            Opened::Refused => return Ok(Health::Corrupt),
        };
        if guard(&self.health).get(digest) == Some(&stamp) {
            return Ok(Health::Ok);
        }
        let (actual, _) =
            Digest::of_open_file(&file).map_err(|e| StoreError::env("store.check", &path, e))?;
        if actual != *digest {
            return Ok(Health::Corrupt);
        }
        guard(&self.health).insert(*digest, stamp);
        Ok(Health::Ok)
    }

    /// Notes that an artifact was hashed while this process wrote it.
    pub(crate) fn assume_healthy(&self, digest: &Digest) -> Result<(), StoreError> {
        if let Opened::Yes(_, stamp) = open_stamped(&self.path(digest))? {
            guard(&self.health).insert(*digest, stamp);
        }
        Ok(())
    }

    /// Moves a corrupt artifact out of the way, so that it is made again and never used. Returns
    /// where it went, or `None` if another process has already replaced or removed it.
    pub fn quarantine(&self, digest: &Digest) -> Result<Option<PathBuf>, StoreError> {
        self.require_writable("store.quarantine")?;
        // This is decided under the lock on a fresh look, so that a good replacement is not taken
        // for the bad artifact.
        let _guard = lock::exclusive(&self.layout.commit_lock())?;
        guard(&self.health).remove(digest);
        if self.check(digest)? != Health::Corrupt {
            return Ok(None);
        }
        let name = format!("{}.{:016x}", digest.hex(), now_nanos());
        let to = self.layout.quarantine.join(name);
        steps::rename("store.quarantine", &self.path(digest), &to)?;
        Ok(Some(to))
    }

    /// Takes the right to run an action, so that concurrent runs do it once. `None` means that
    /// another run has it: wait, then [`refresh`](Self::refresh) and look the record up. The right
    /// is released when it is dropped or the process dies.
    pub fn lock(&self, key: &ActionKey) -> Result<Option<ActionLock>, StoreError> {
        self.locks.try_lock(key, &self.layout.actions_lock())
    }
}

/// What came of opening an artifact.
enum Opened {
    Yes(File, Stamp),
    Gone,
    /// It is there, but this user may not read it.
    Refused,
}

/// Opens a file and takes its stamp.
fn open_stamped(path: &Path) -> Result<Opened, StoreError> {
    let opened = open_own(path).and_then(|file| {
        let meta = file.metadata()?;
        let stamp = Stat::of(&meta);
        Ok(Opened::Yes(file, stamp))
    });
    match opened {
        Ok(found) => Ok(found),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Opened::Gone),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(Opened::Refused),
        Err(e) => Err(StoreError::env("store.check", path, e)),
    }
}
