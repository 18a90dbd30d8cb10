//! The commit protocol: first the outputs are made durable, then the records, with one sync for a
//! batch.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::content::{ActionKey, Digest};
use crate::disk::lock::{self, Exclusive};
use crate::disk::names::Reach;
use crate::disk::stat::now_nanos;
use crate::disk::steps;
use crate::error::{StoreError, is_refused};
use crate::records::index::Index;
use crate::records::record::Record;
use crate::records::segment::{FILE_MAGIC, RowId, put_row};
use crate::store::layout::StoreLayout;
use crate::store::staging::Staged;
use crate::store::{Health, Store, guard};
#[cfg(feature = "testing")]
use crate::testing::fault;

/// What happened to a record that was committed.
#[derive(Clone, Debug)]
pub enum Committed {
    /// It is the action's record now.
    New(Arc<Record>),
    /// The action had a record of the same outputs, and that record stays.
    Existing(Arc<Record>),
    /// The action had a record of other outputs, and that record stays: the action is not
    /// deterministic. The store has the bytes of both. [`Store::supersede`] makes the new ones
    /// count.
    Nondeterministic {
        /// The record that stays.
        kept: Arc<Record>,
        /// The names of the outputs that differ.
        differing: Vec<String>,
    },
}

/// Finished actions whose outputs are durable and whose records do not count yet.
pub struct Published(Vec<Record>);

/// The segment that this process appends to.
pub(crate) struct SegmentWriter {
    path: PathBuf,
    file: File,
}

impl SegmentWriter {
    /// Opens a segment that other processes write to as well, if they are sure to wait for `lock`.
    /// Otherwise creates one.
    fn open(layout: &StoreLayout, index: &mut Index, lock: &Exclusive) -> Result<Self, StoreError> {
        let reach = Reach::of(&layout.records);
        let mut shared = index.sound_segments();
        shared.retain(|path| lock.is_real && reach.covers(path));
        for path in shared {
            match File::options().append(true).open(&path) {
                Ok(file) => return Ok(Self { path, file }),
                // It belongs to another user or is gone. A segment of our own will do.
                Err(e) if is_refused(&e) || e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(StoreError::env("commit.append", &path, e)),
            }
        }
        let path = layout.new_segment(&reach);
        let file = steps::create("commit.create-segment", &path)?;
        steps::append("commit.create-segment", &path, &file, FILE_MAGIC)?;
        steps::sync_dir("commit.sync-records-dir", &layout.records)?;
        index.appended(&path)?;
        Ok(Self { path, file })
    }

    /// Appends whole rows after the last one that the index knows. The index must be up to date.
    fn append(&self, index: &Index, rows: &[u8]) -> Result<(), StoreError> {
        let end = index.end_of(&self.path);
        let meta = self.file.metadata();
        let length = meta
            .map_err(|e| StoreError::env("commit.append", &self.path, e))?
            .len();
        if length > end {
            steps::truncate("commit.cut-tail", &self.path, &self.file, end)?;
        }
        if end == 0 {
            // Its creator died before it had written the magic.
            steps::append("commit.append", &self.path, &self.file, FILE_MAGIC)?;
        }
        #[cfg(feature = "testing")]
        let rows = self.append_half(rows)?;
        steps::append("commit.append", &self.path, &self.file, rows)?;
        steps::sync_open("commit.sync-records", &self.path, &self.file)
    }

    /// Appends half of the rows if a fault is armed, so that a test can end the process between two
    /// writes. Returns the rows that are still to be appended.
    #[cfg(feature = "testing")]
    fn append_half<'r>(&self, rows: &'r [u8]) -> Result<&'r [u8], StoreError> {
        if !fault::any_armed() {
            return Ok(rows);
        }
        let (first, rest) = rows.split_at(rows.len() / 2);
        steps::append("commit.append", &self.path, &self.file, first)?;
        fault::point("commit.append-half", &self.path)?;
        Ok(rest)
    }
}

/// What a batch does with a record of an action that has one.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Policy {
    FirstWins,
    Supersede,
}

impl Store {
    /// Publishes finished actions. First all outputs of the batch become durable, then its records,
    /// in one append and one sync. The result has one entry for each record, in order.
    ///
    /// After an error, some of the records may be committed, whole and with their outputs. The call
    /// may be repeated with new artifacts.
    pub fn commit(&self, batch: Vec<(Record, Vec<Staged>)>) -> Result<Vec<Committed>, StoreError> {
        self.commit_with(batch, Policy::FirstWins)
    }

    /// Makes a record count in place of the one that its action has. This is for an action that ran
    /// again because its bytes were evicted, and gave other bytes.
    pub fn supersede(
        &self,
        record: Record,
        staged: Vec<Staged>,
    ) -> Result<Arc<Record>, StoreError> {
        let shared = Arc::new(record.clone());
        self.commit_with(vec![(record, staged)], Policy::Supersede)?;
        Ok(shared)
    }

    fn commit_with(
        &self,
        batch: Vec<(Record, Vec<Staged>)>,
        policy: Policy,
    ) -> Result<Vec<Committed>, StoreError> {
        let published = self.publish(batch)?;
        self.conclude(published, policy)
    }

    /// The first half of [`Store::commit`]. It makes all outputs durable, and none of the records
    /// counts yet.
    pub fn publish(&self, batch: Vec<(Record, Vec<Staged>)>) -> Result<Published, StoreError> {
        self.require_writable("commit.append")?;
        if batch.is_empty() {
            return Ok(Published(Vec::new()));
        }
        let (records, staged): (Vec<Record>, Vec<Vec<Staged>>) = batch.into_iter().unzip();
        let staged: Vec<Staged> = staged.into_iter().flatten().collect();
        let fresh = self.publish_artifacts(&staged)?;
        self.require_outputs(&records, &staged)?;
        self.unstage(&staged, &fresh)?;
        Ok(Published(records))
    }

    /// Publishes artifacts of records that are here already.
    pub(crate) fn publish_fetched(&self, staged: &[Staged]) -> Result<(), StoreError> {
        let fresh = self.publish_artifacts(staged)?;
        self.unstage(staged, &fresh)
    }

    fn unstage(&self, staged: &[Staged], fresh: &[Digest]) -> Result<(), StoreError> {
        for file in staged {
            steps::remove("commit.unstage", file.path())?;
        }
        // Removing a name changes the times of a file, so they are noted again.
        fresh
            .iter()
            .try_for_each(|digest| self.assume_healthy(digest))
    }

    /// The second half of [`Store::commit`]. It appends the records.
    pub fn record(&self, published: Published) -> Result<Vec<Committed>, StoreError> {
        self.conclude(published, Policy::FirstWins)
    }

    /// Appends the records, and then removes what earlier attempts at these actions have left.
    fn conclude(&self, published: Published, policy: Policy) -> Result<Vec<Committed>, StoreError> {
        let keys = Vec::from_iter(published.0.iter().map(|record| record.key));
        let committed = self.append(published.0, policy)?;
        keys.iter().for_each(|key| self.remove_unfinished(key));
        Ok(committed)
    }

    /// Makes the bytes of all artifacts durable under their names. Returns those that were not
    /// there yet.
    fn publish_artifacts(&self, staged: &[Staged]) -> Result<Vec<Digest>, StoreError> {
        let files: Vec<&Path> = staged.iter().map(Staged::path).collect();
        steps::sync_files("commit.sync-output", &files)?;
        let names = Vec::from_iter(staged.iter().map(|file| self.path(&file.digest)));
        let mut dirs: BTreeSet<&Path> = names.iter().filter_map(|name| name.parent()).collect();
        // A directory that is there is made durable too, once in the life of this process, because
        // the process that made it may have died before that.
        let mut fresh = Vec::from_iter(dirs.iter().map(|dir| dir.to_path_buf()));
        let durable = guard(&self.durable_dirs);
        fresh.retain(|dir| !durable.contains(dir));
        drop(durable);
        for dir in &fresh {
            steps::mkdir("commit.mkdir", dir)?;
        }
        let mut linked = Vec::new();
        for file in staged {
            if self.link(file)? {
                linked.push(file.digest);
            }
        }
        if !fresh.is_empty() {
            dirs.insert(&self.layout.artifacts);
        }
        // Names are made durable each time, for the same reason.
        steps::sync_dirs("commit.sync-dir", &Vec::from_iter(dirs))?;
        guard(&self.durable_dirs).extend(fresh);
        Ok(linked)
    }

    /// Gives an artifact its name. Returns false if it was there.
    fn link(&self, staged: &Staged) -> Result<bool, StoreError> {
        let path = self.path(&staged.digest);
        // A second round is needed after a quarantine, or if an artifact was removed in between.
        for _ in 0..3 {
            if let Some(dir) = path.parent()
                && !dir.is_dir()
            {
                // Somebody has removed the directory.
                steps::mkdir("commit.mkdir", dir)?;
                steps::sync_dir("commit.sync-dir", &self.layout.artifacts)?;
            }
            if steps::link("commit.link", staged.path(), &path)? {
                return Ok(true);
            }
            match self.check(&staged.digest)? {
                Health::Ok => return Ok(false),
                Health::Corrupt => drop(self.quarantine(&staged.digest)?),
                Health::Missing => {}
            }
        }
        Err(StoreError::Corrupt {
            path,
            detail: "the artifact is damaged again and again; the disk may be failing".to_owned(),
            source: None,
        })
    }

    fn require_outputs(&self, records: &[Record], staged: &[Staged]) -> Result<(), StoreError> {
        let fresh: BTreeSet<Digest> = staged.iter().map(|file| file.digest).collect();
        for record in records {
            for output in record.artifacts() {
                if !fresh.contains(&output.digest) && !self.has(&output.digest) {
                    return Err(StoreError::MissingOutput {
                        stage: record.stage().to_owned(),
                        output: output.name.clone(),
                        digest: output.digest,
                    });
                }
            }
        }
        Ok(())
    }

    /// Appends the records of those actions that have none.
    ///
    /// The lock is held while the records are looked up and appended, so that the first record wins
    /// on one machine. Where locks do not work, both are appended, and every reader decides for the
    /// same one.
    pub(crate) fn append(
        &self,
        records: Vec<Record>,
        policy: Policy,
    ) -> Result<Vec<Committed>, StoreError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let mut writer = guard(&self.segment);
        let lock = lock::exclusive(&self.layout.commit_lock())?;
        let mut index = guard(&self.index);
        index.refresh(&self.layout.records)?;

        let mut rows = Vec::new();
        let mut fresh: HashMap<ActionKey, Arc<Record>> = HashMap::new();
        let mut results = Vec::with_capacity(records.len());
        for record in records {
            let record = Arc::new(record);
            let existing = match fresh.get(&record.key) {
                Some(earlier) => Some(Arc::clone(earlier)),
                None => index.lookup(&record.key)?.map(Arc::new),
            };
            match existing {
                Some(kept) if policy == Policy::FirstWins => {
                    let differing = kept.differing_outputs(&record);
                    results.push(if differing.is_empty() {
                        Committed::Existing(kept)
                    } else {
                        Committed::Nondeterministic { kept, differing }
                    });
                }
                _ => {
                    put_record(&mut rows, &record, &index, policy)?;
                    fresh.insert(record.key, Arc::clone(&record));
                    results.push(Committed::New(record));
                }
            }
        }
        if rows.is_empty() {
            return Ok(results);
        }

        let segment = match &mut *writer {
            Some(segment) => segment,
            none => none.insert(SegmentWriter::open(&self.layout, &mut index, &lock)?),
        };
        if let Err(error) = segment.append(&index, &rows) {
            // The next append may succeed on another segment.
            *writer = None;
            return Err(error);
        }
        index.appended(&segment.path)?;
        Ok(results)
    }
}

fn put_record(
    rows: &mut Vec<u8>,
    record: &Record,
    index: &Index,
    policy: Policy,
) -> Result<(), StoreError> {
    let generation = match policy {
        Policy::FirstWins => index.first_generation(&record.key),
        Policy::Supersede => index.next_generation(&record.key),
    };
    let (head, recipe) = (record.encode_head(), record.recipe().encode());
    let id = RowId {
        key: record.key,
        generation,
        stamp: now_nanos(),
    };
    let row = put_row(rows, id, &head, &recipe);
    row.ok_or_else(|| StoreError::Corrupt {
        path: PathBuf::from(record.stage()),
        detail: "the record is larger than 4 GiB".to_owned(),
        source: None,
    })
}
