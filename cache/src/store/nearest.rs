//! Earlier records to compare with: the one that best explains why an action misses, and the one
//! that made some bytes.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};

use crate::content::Recipe;
use crate::content::{ActionKey, Digest};
use crate::error::StoreError;
use crate::records::index::Index;
use crate::records::record::{Record, RecordLabels};
use crate::store::{Store, guard};

/// The number of recent records of a kind from which the most similar one is chosen, and of a label
/// that are searched for bytes.
const CANDIDATES: usize = 64;

/// How a record is related to an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nearness {
    /// It has the same labels of stage and action: it is an earlier form of the action, or its form
    /// in another pipeline.
    SameAction,
    /// It has the same kind and the same label of the action, and another name of the stage.
    SameKindAndAction,
    /// It has the same kind, and the fewest differences among the records of that kind.
    SameKind,
}

/// All records by their labels, in the order in which they were made. Labels are kept as hashes. If
/// two of them collide, an explanation may be odd, and nothing else happens.
pub(crate) struct Neighbours {
    keys: Vec<ActionKey>,
    by_label: Lists,
    by_kind_and_action: Lists,
    by_kind: Lists,
    /// The nearest record that was found for a kind, stage and step.
    nearest: Mutex<HashMap<u64, Option<ActionKey>>>,
}

/// Lists of records by hash. An entry is the hash, the time when the record was made, and its place
/// among the keys. Entries are sorted, so that a list is a range.
#[derive(Default)]
struct Lists(Vec<(u64, u64, u32)>);

impl Lists {
    fn get(&self, hash: u64) -> impl DoubleEndedIterator<Item = usize> {
        let start = self.0.partition_point(|entry| entry.0 < hash);
        let end = self.0.partition_point(|entry| entry.0 <= hash);
        self.0[start..end].iter().map(|entry| entry.2 as usize)
    }
}

fn hash(parts: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

impl Neighbours {
    fn scan(index: &mut Index) -> Result<Self, StoreError> {
        let mut keys = Vec::new();
        let [mut by_label, mut by_kind_and_action, mut by_kind] =
            [(); 3].map(|()| Lists::default());
        index.for_each_row(|_, row, payload| {
            let labels = RecordLabels::decode(payload)?;
            let entry = |hash: u64| (hash, row.stamp, keys.len() as u32);
            by_label.0.push(entry(hash(&[labels.stage, labels.action])));
            if !labels.kind.is_empty() {
                by_kind_and_action
                    .0
                    .push(entry(hash(&[labels.kind, labels.action])));
                by_kind.0.push(entry(hash(&[labels.kind])));
            }
            keys.push(row.key);
            Ok(())
        })?;
        for lists in [&mut by_label, &mut by_kind_and_action, &mut by_kind] {
            lists.0.sort_unstable();
        }
        Ok(Self {
            keys,
            by_label,
            by_kind_and_action,
            by_kind,
            nearest: Mutex::default(),
        })
    }

    /// The keys of a list, newest first.
    fn newest(&self, lists: &Lists, hash: u64) -> Vec<ActionKey> {
        let places = lists.get(hash).rev().take(CANDIDATES);
        places.map(|place| self.keys[place]).collect()
    }
}

impl Store {
    /// The record to compare a missing action with.
    ///
    /// It is the one that differs least among the latest records with the same labels of stage and
    /// action, or with the same kind and label of the action, whichever pipeline made it. Of
    /// several, a record of the same stage is preferred, then the newest. If there are none, it is
    /// one of the latest of the same kind that differs least; this is searched for once for all
    /// actions of a step of a stage.
    ///
    /// It considers the records that the store held at the first call, because that is what
    /// "earlier" means to a run. It finds nothing if no record of the kind is readable.
    pub fn nearest(
        &self,
        stage: &str,
        action: &str,
        recipe: &Recipe,
    ) -> Result<Option<(Nearness, Arc<Record>)>, StoreError> {
        let neighbours = self.neighbours()?;
        let key = recipe.key();
        let kind = recipe.get("kind");
        let kind = kind.as_ref().and_then(|kind| kind.as_str());
        let mut candidates = neighbours.newest(&neighbours.by_label, hash(&[stage, action]));
        if let Some(kind) = kind {
            let list = hash(&[kind, action]);
            let others = neighbours.newest(&neighbours.by_kind_and_action, list);
            let known = HashSet::<ActionKey>::from_iter(candidates.iter().copied());
            candidates.extend(others.into_iter().filter(|key| !known.contains(key)));
        }
        if let Some(record) = self.least_different(recipe, &key, &candidates)? {
            let same = record.stage() == stage && record.action() == action;
            let nearness = match same {
                true => Nearness::SameAction,
                false => Nearness::SameKindAndAction,
            };
            return Ok(Some((nearness, record)));
        }
        let Some(kind) = kind else {
            return Ok(None);
        };
        let step = recipe.get("step");
        let step = step.as_ref().and_then(|step| step.as_str());
        let step = hash(&[kind, stage, step.unwrap_or_default()]);
        let known = guard(&neighbours.nearest).get(&step).copied();
        let found = match known {
            Some(found) => found,
            None => {
                let candidates = neighbours.newest(&neighbours.by_kind, hash(&[kind]));
                let found = self.least_different(recipe, &key, &candidates)?;
                let found = found.map(|record| record.key);
                guard(&neighbours.nearest).insert(step, found);
                found
            }
        };
        let record = match found.filter(|found| *found != key) {
            Some(found) => self.lookup(&found)?,
            None => None,
        };
        Ok(record.map(|record| (Nearness::SameKind, record)))
    }

    /// The record whose recipe differs in the fewest fields. Of several, the first one.
    fn least_different(
        &self,
        recipe: &Recipe,
        key: &ActionKey,
        candidates: &[ActionKey],
    ) -> Result<Option<Arc<Record>>, StoreError> {
        let mut best: Option<(usize, Arc<Record>)> = None;
        for candidate in candidates.iter().filter(|candidate| *candidate != key) {
            let Some(record) = self.lookup(candidate)? else {
                continue;
            };
            let distance = recipe.diff(record.recipe()).len();
            if best.as_ref().is_none_or(|(least, _)| distance < *least) {
                best = Some((distance, record));
            }
            // Only the record of its own key has no difference, so no record is nearer than one
            // difference. After most edits, the first record has just one.
            if distance <= 1 {
                break;
            }
        }
        Ok(best.map(|(_, record)| record))
    }

    /// The number of records at the first call of [`nearest`](Self::nearest): all, or those of a
    /// kind.
    pub fn earlier_records(&self, kind: Option<&str>) -> Result<usize, StoreError> {
        let neighbours = self.neighbours()?;
        Ok(match kind {
            Some(kind) => neighbours.by_kind.get(hash(&[kind])).count(),
            None => neighbours.keys.len(),
        })
    }

    /// The last of the latest records of an action that has an output with wanted bytes, and the
    /// digest of that output. Records are found by the action's labels, or else by its kind and
    /// label.
    pub fn maker(
        &self,
        labels: [&str; 3],
        wanted: impl Fn(&Digest) -> bool,
    ) -> Result<Option<(Digest, Arc<Record>)>, StoreError> {
        let made = |record: &Record| {
            let mut digests = record.outputs.iter().map(|output| output.digest);
            digests.find(&wanted)
        };
        let record = self.latest(labels, |record| made(record).is_some())?;
        Ok(record.and_then(|record| Some((made(&record)?, record))))
    }

    /// The last of the latest records of an action that is as wanted. Records are found by its
    /// labels (stage, kind, action), or else by its kind and label.
    pub fn latest(
        &self,
        [stage, kind, action]: [&str; 3],
        wanted: impl Fn(&Record) -> bool,
    ) -> Result<Option<Arc<Record>>, StoreError> {
        let neighbours = self.neighbours()?;
        let lists = [
            (&neighbours.by_label, stage),
            (&neighbours.by_kind_and_action, kind),
        ];
        for (lists, name) in lists {
            for key in neighbours.newest(lists, hash(&[name, action])) {
                if self.find(&key)?.is_some_and(|record| wanted(&record)) {
                    return self.lookup(&key);
                }
            }
        }
        Ok(None)
    }

    /// The earliest record that has these bytes among its outputs, whatever its labels. The first
    /// call reads the results of all records.
    pub fn origin(&self, digest: &Digest) -> Result<Option<Arc<Record>>, StoreError> {
        let origins = match self.origins.get() {
            Some(origins) => origins,
            None => {
                let mut found: HashMap<Digest, (u64, ActionKey)> = HashMap::new();
                guard(&self.index).for_each_row(|_, row, payload| {
                    for output in Record::decode_result(row.key, payload)?.outputs {
                        let entry = found.entry(output.digest).or_insert((row.stamp, row.key));
                        *entry = (*entry).min((row.stamp, row.key));
                    }
                    Ok(())
                })?;
                let found = found.into_iter().map(|(digest, (_, key))| (digest, key));
                let found = found.collect();
                self.origins.get_or_init(|| found)
            }
        };
        match origins.get(digest) {
            Some(key) => self.lookup(key),
            None => Ok(None),
        }
    }

    fn neighbours(&self) -> Result<&Neighbours, StoreError> {
        if let Some(neighbours) = self.neighbours.get() {
            return Ok(neighbours);
        }
        let scanned = Neighbours::scan(&mut guard(&self.index))?;
        Ok(self.neighbours.get_or_init(|| scanned))
    }
}
