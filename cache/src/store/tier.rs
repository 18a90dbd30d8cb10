//! What may stand behind a store: a tier that has records and artifacts of other stores.
//!
//! The store stays the only thing that actions read and write. A record of the tier becomes a record
//! here whose bytes are elsewhere, which is the same as one whose bytes were evicted. Bytes are
//! fetched when somebody is about to read them, and are checked while they are written.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::content::{ActionKey, Digest};
use crate::error::StoreError;
use crate::records::index::{Index, Warning};
use crate::records::record::Record;
use crate::store::commit::Policy;
use crate::store::layout::StoreLayout;
use crate::store::staging::{ArtifactWriter, Staged};
use crate::store::{Health, Store, guard};

/// Records and artifacts of other stores. A tier never fails its caller: what it cannot give, it has
/// not, and it keeps an account of its failures.
pub trait Tier: Send + Sync {
    /// The records of those keys that it has one of.
    fn records(&self, keys: &[ActionKey]) -> Vec<Record>;

    /// The sizes, in bytes as they would be fetched, of those artifacts that it has.
    fn sizes(&self, digests: &[Digest]) -> HashMap<Digest, u64>;

    /// Fetches those artifacts that it has, each into a file that `create` gives. The file takes no more
    /// bytes than a record says that the artifact has.
    ///
    /// # Errors
    /// The store failed.
    fn fetch(
        &self,
        digests: &[Digest],
        create: &CreateArtifact<'_>,
    ) -> Result<Vec<Staged>, StoreError>;

    /// Is told that an action ran here. What it makes of that happens in the background.
    fn offer(&self, from: &StoreReader, key: ActionKey);

    /// What has gone on so far.
    fn traffic(&self) -> Traffic;

    /// What users should know, since the last call.
    fn take_warnings(&self) -> Vec<Warning>;
}

/// Gives the file for an artifact.
pub type CreateArtifact<'a> = dyn Fn(&Digest) -> Result<ArtifactWriter, StoreError> + Sync + 'a;

/// What has gone on between a store and its tier.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Traffic {
    /// Actions whose record the tier had.
    pub hits: u64,
    /// Artifacts that were fetched.
    pub fetched: u64,
    /// The bytes of these on their way, and of those that are being fetched.
    pub fetched_bytes: u64,
    /// The bytes that are to be fetched, as far as they are known.
    pub wanted_bytes: u64,
    /// Records that were written.
    pub written: u64,
    /// The bytes of artifacts and records that were written.
    pub written_bytes: u64,
    /// The bytes of artifacts and records that are being written.
    pub sending_bytes: u64,
    /// Records that are still to be written.
    pub waiting: u64,
    /// Reads that failed.
    pub failed_reads: u64,
    /// Records that were not written, with or without their artifacts, because that failed.
    pub failed_writes: u64,
    /// Records that were left out, because their bytes are neither here nor there.
    pub bare: u64,
    /// Objects whose bytes were not what they should be. None of them was used.
    pub damaged: u64,
    /// Records that were not used, because nobody whom we trust has signed them.
    pub refused: u64,
    /// Records that name other outputs than ours: the action is not deterministic.
    pub different: u64,
}

/// Reads records and artifacts of a store while others use it.
#[derive(Clone)]
pub struct StoreReader {
    layout: StoreLayout,
    index: Arc<Mutex<Index>>,
}

impl StoreReader {
    /// The record of an action.
    pub fn record(&self, key: &ActionKey) -> Result<Option<Record>, StoreError> {
        guard(&self.index).lookup(key)
    }

    /// The path of an artifact, whether or not it is there.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.layout.artifact(digest)
    }

    /// The folder for unfinished work, on the file system of the store.
    pub fn folder(&self) -> &std::path::Path {
        &self.layout.tmp
    }
}

/// The most keys that a tier is asked about at a time. It bounds the memory for what it answers.
const MOST_KEYS: usize = 4_096;

/// The tier behind a store, and what was learned from it.
pub(crate) struct Behind {
    tier: Arc<dyn Tier>,
    /// The keys that it was asked about.
    asked: Mutex<HashSet<ActionKey>>,
    /// Its records, if they cannot be kept in the store.
    kept: Mutex<HashMap<ActionKey, Arc<Record>>>,
    /// The artifacts that it was asked for in vain.
    lacking: Mutex<HashSet<Digest>>,
    /// What was found damaged here and is mended.
    mended: Mutex<Vec<Warning>>,
    /// The sizes in bytes of artifacts that records name, by the first bytes of their digests.
    named: Mutex<HashMap<u64, u64>>,
}

impl Behind {
    /// Notes how large the artifacts of a record are to be.
    fn note(&self, record: &Record) {
        let mut named = guard(&self.named);
        for artifact in record.artifacts() {
            let most = named.entry(beginning(&artifact.digest)).or_default();
            *most = artifact.size.max(*most);
        }
    }

    /// The most bytes that an artifact may have.
    fn most(&self, digest: &Digest) -> u64 {
        let named = guard(&self.named);
        named.get(&beginning(digest)).copied().unwrap_or(u64::MAX)
    }

    pub(crate) fn take_warnings(&self) -> Vec<Warning> {
        let mut warnings = std::mem::take(&mut *guard(&self.mended));
        warnings.extend(self.tier.take_warnings());
        warnings
    }
}

fn beginning(digest: &Digest) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&digest.as_bytes()[..8]);
    u64::from_le_bytes(first)
}

impl Store {
    /// Puts a tier behind this store. Only the first one counts.
    pub fn put_behind(&self, tier: Arc<dyn Tier>) {
        let _ = self.behind.set(Behind {
            tier,
            asked: Mutex::default(),
            kept: Mutex::default(),
            lacking: Mutex::default(),
            mended: Mutex::default(),
            named: Mutex::default(),
        });
    }

    /// What was found here of an action, or else what the tier has of it, if that cannot be kept here.
    pub(crate) fn with_tier(
        &self,
        key: &ActionKey,
        found: Option<Arc<Record>>,
    ) -> Option<Arc<Record>> {
        let Some(behind) = self.behind.get() else {
            return found;
        };
        let found = found.or_else(|| guard(&behind.kept).get(key).cloned());
        if let Some(record) = &found {
            behind.note(record);
        }
        found
    }

    /// Returns true if there is a tier behind this store.
    pub fn has_tier(&self) -> bool {
        self.behind.get().is_some()
    }

    /// What has gone on between this store and its tier, if there is one.
    pub fn traffic(&self) -> Option<Traffic> {
        self.behind.get().map(|behind| behind.tier.traffic())
    }

    /// What reads this store in the background.
    pub fn reader(&self) -> StoreReader {
        StoreReader {
            layout: self.layout.clone(),
            index: Arc::clone(&self.index),
        }
    }

    /// Asks the tier about those keys of which there is no record here. It asks about each key once.
    /// What it has counts from then on. A store that is only read keeps that in memory.
    ///
    /// # Errors
    /// The records cannot be appended.
    pub fn learn(&self, keys: &[ActionKey]) -> Result<(), StoreError> {
        let Some(behind) = self.behind.get() else {
            return Ok(());
        };
        let mut wanted = Vec::new();
        {
            let index = guard(&self.index);
            let mut asked = guard(&behind.asked);
            for key in keys {
                if index.place(key).is_none() && asked.insert(*key) {
                    wanted.push(*key);
                }
            }
        }
        for part in wanted.chunks(MOST_KEYS) {
            let found = behind.tier.records(part);
            if self.is_read_only() {
                let found = found.into_iter().map(|r| (r.key, Arc::new(r)));
                guard(&behind.kept).extend(found);
            } else {
                self.append(found, Policy::FirstWins)?;
            }
        }
        Ok(())
    }

    /// Makes sure that the bytes of artifacts are here and sound. Fetches what is missing, and sets
    /// aside what is corrupt. Returns those of which there are no bytes, true for each that was
    /// corrupt and set aside by this call.
    ///
    /// # Errors
    /// The store failed.
    pub fn ensure(
        &self,
        digests: impl IntoIterator<Item = Digest>,
    ) -> Result<Vec<(Digest, bool)>, StoreError> {
        let digests = BTreeSet::from_iter(digests);
        self.fetch(digests.iter())?;
        let mut lost = Vec::new();
        for digest in digests {
            match self.check(&digest)? {
                Health::Ok => continue,
                Health::Missing => lost.push((digest, false)),
                Health::Corrupt if self.is_read_only() => lost.push((digest, false)),
                // Only the process that sets it aside reports that it was corrupt.
                Health::Corrupt => lost.push((digest, self.quarantine(&digest)?.is_some())),
            }
        }
        match self.behind.get() {
            Some(behind) if lost.iter().any(|(_, corrupt)| *corrupt) => {
                self.fetch_again(behind, lost)
            }
            _ => Ok(lost),
        }
    }

    /// Fetches what was set aside. Returns what is still lost.
    fn fetch_again(
        &self,
        behind: &Behind,
        lost: Vec<(Digest, bool)>,
    ) -> Result<Vec<(Digest, bool)>, StoreError> {
        self.fetch(lost.iter().map(|(digest, _)| digest))?;
        let mut still = Vec::new();
        for (digest, corrupt) in lost {
            if self.check(&digest)? != Health::Ok {
                still.push((digest, corrupt));
            } else if corrupt {
                guard(&behind.mended).push(Warning {
                    path: self.path(&digest),
                    detail: "the artifact was corrupt: set aside, fetched again".to_owned(),
                });
            }
        }
        Ok(still)
    }

    /// Fetches those artifacts that are not here and that the tier has. A store that is only read
    /// fetches nothing.
    ///
    /// # Errors
    /// The artifacts cannot be written.
    pub fn fetch<'d>(&self, digests: impl Iterator<Item = &'d Digest>) -> Result<(), StoreError> {
        let Some(behind) = self.behind.get().filter(|_| !self.is_read_only()) else {
            return Ok(());
        };
        let missing = digests.filter(|digest| !self.has(digest));
        let missing: Vec<Digest> = missing.copied().collect();
        let lacking = guard(&behind.lacking);
        let wanted = missing
            .into_iter()
            .filter(|digest| !lacking.contains(digest));
        let wanted: Vec<Digest> = wanted.collect();
        drop(lacking);
        if wanted.is_empty() {
            return Ok(());
        }
        let create = |digest: &Digest| Ok(self.create()?.up_to(behind.most(digest)));
        let fetched = behind.tier.fetch(&wanted, &create)?;
        let came: HashSet<Digest> = fetched.iter().map(|file| file.digest).collect();
        let lacking = wanted.into_iter().filter(|digest| !came.contains(digest));
        guard(&behind.lacking).extend(lacking);
        self.publish_fetched(&fetched)
    }

    /// The sizes, in bytes as they would be fetched, of those artifacts that the tier has.
    pub fn elsewhere(&self, digests: &[Digest]) -> HashMap<Digest, u64> {
        match self.behind.get() {
            Some(behind) if !digests.is_empty() => behind.tier.sizes(digests),
            _ => HashMap::new(),
        }
    }

    /// Tells the tier that an action ran here.
    pub fn offer(&self, key: ActionKey) {
        if let Some(behind) = self.behind.get() {
            behind.tier.offer(&self.reader(), key);
        }
    }
}
