//! What has gone on with a remote, and whether it is still worth asking.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::error::{RemoteError, RemoteFault};
use crate::records::index::Warning;
use crate::store::guard;
use crate::store::tier::Traffic;

/// After this many failures in a row, a remote is not asked any more.
const PATIENCE: u64 = 3;

/// The account of one direction: what is read, or what is written.
#[derive(Default)]
pub(super) struct Direction {
    failed: AtomicU64,
    in_a_row: AtomicU64,
    over: AtomicBool,
}

/// The account of a remote.
pub(super) struct Account {
    url: PathBuf,
    counts: Mutex<Traffic>,
    warnings: Mutex<Vec<Warning>>,
    /// Records that were not used, by what is wrong with them, and whether that was said.
    refused: Mutex<BTreeMap<&'static str, bool>>,
    /// The names of objects that were found damaged. They are replaced if we write them.
    pub(super) damaged: Mutex<HashSet<String>>,
    /// The names of artifacts that are sure to be there.
    pub(super) present: Mutex<HashSet<String>>,
    pub(super) reads: Direction,
    pub(super) writes: Direction,
}

impl Account {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: PathBuf::from(url),
            counts: Mutex::default(),
            warnings: Mutex::default(),
            refused: Mutex::default(),
            damaged: Mutex::default(),
            present: Mutex::default(),
            reads: Direction::default(),
            writes: Direction::default(),
        }
    }

    pub(super) fn traffic(&self) -> Traffic {
        Traffic {
            failed_reads: self.reads.failed.load(Ordering::Relaxed),
            failed_writes: self.writes.failed.load(Ordering::Relaxed),
            ..*guard(&self.counts)
        }
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Traffic)) {
        change(&mut guard(&self.counts));
    }

    pub(super) fn warn(&self, detail: String) {
        guard(&self.warnings).push(Warning {
            path: self.url.clone(),
            detail,
        });
    }

    pub(super) fn take_warnings(&self) -> Vec<Warning> {
        std::mem::take(&mut guard(&self.warnings))
    }

    /// Notes a record that is not used because of who signed it. Each reason is said once.
    pub(super) fn refuse(&self, name: &str, why: &'static str) {
        self.count(|counts| counts.refused += 1);
        if guard(&self.refused).insert(why, true).is_none() {
            self.warn(format!(
                "{name} is {why}, so it is not used; others like it are only counted"
            ));
        }
    }

    /// Notes an object whose bytes are not what they should be.
    pub(super) fn damage(&self, name: &str) {
        if guard(&self.damaged).insert(name.to_owned()) {
            self.count(|counts| counts.damaged += 1);
            self.warn(format!("{name} is damaged there; it is not used"));
        }
    }

    /// Returns what was asked for. A failure counts, and the one with which the remote is given up
    /// is said.
    pub(super) fn judge<T>(
        &self,
        direction: &Direction,
        result: Result<T, RemoteError>,
    ) -> Option<T> {
        let error = match result {
            Ok(value) => {
                direction.in_a_row.store(0, Ordering::Relaxed);
                return Some(value);
            }
            Err(error) => error,
        };
        direction.failed.fetch_add(1, Ordering::Relaxed);
        let row = direction.in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
        let hopeless = !matches!(error.fault, RemoteFault::Unavailable | RemoteFault::Store);
        if hopeless || row >= PATIENCE {
            self.give_up(direction, &error);
        }
        None
    }

    /// Asks the remote no more, and says why.
    pub(super) fn give_up(&self, direction: &Direction, error: &RemoteError) {
        if direction.over.swap(true, Ordering::Relaxed) {
            return;
        }
        let what = match std::ptr::eq(direction, &self.reads) {
            true => "nothing more is read from it",
            false => "nothing more is written to it",
        };
        self.warn(format!("{what} in this run: {error}"));
    }
}

impl Direction {
    /// Returns true if the remote was given up.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Counts something that was not even tried.
    pub(super) fn skip(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}
