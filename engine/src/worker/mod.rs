//! What happens to one action: lock, check of what it reads, the stage's own code, check of the
//! sources afterwards, commit.

mod attempt;
mod commit;
mod perform;
mod pool;

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use flow_cache::{ActionKey, Digest, Record, StatCache, Store};

use crate::exec::Options;
use crate::explain::Reason;
use crate::keys::Prepared;
use crate::plan::Plan;
use crate::stage::{Fault, StageError};
use crate::trace::Track;

use attempt::{Attempt, attempt};
pub(crate) use commit::commit_one;
pub use commit::{Finished, commit};
pub(crate) use perform::{
    HOME, Performed, Place, Scratch, clear, is_whole, perform, remove, verify,
};
pub use pool::Pool;

/// What every worker shares.
#[derive(Clone)]
pub struct Shared<'a> {
    /// The plan.
    pub plan: &'a Plan<'a>,
    /// The store.
    pub store: &'a Store,
    /// Digests of source files.
    pub stat: &'a StatCache,
    /// How to run.
    pub options: &'a Options<'a>,
    /// Threads for the loops inside stages.
    pub pool: &'a Pool,
}

/// An action to run.
pub struct Job {
    /// Its index.
    pub action: usize,
    /// What it reads.
    pub prepared: Prepared,
    /// Its key.
    pub key: ActionKey,
    /// It runs even if a record is there: its bytes are wanted.
    pub forced: bool,
    /// Why it runs.
    pub reason: Reason,
    /// Threads it may start besides the shared ones.
    pub threads: usize,
    /// GPUs that are its own while it runs.
    pub gpus: Vec<usize>,
}

/// What comes back.
pub enum Message {
    /// It has the lock and all that it reads, and runs.
    Started {
        /// Index of the action.
        action: usize,
        /// Why it runs.
        reason: Reason,
    },
    /// It got on.
    Progress {
        /// Index of the action.
        action: usize,
        /// Units done.
        done: u64,
        /// Units in all.
        total: u64,
    },
    /// Something that a user should know.
    Warning(String),
    /// It has run and only waits to be committed: what it occupied is free.
    Ran {
        /// Index of the action.
        action: usize,
    },
    /// It is over.
    Done {
        /// Index of the action.
        action: usize,
        /// Its key.
        key: ActionKey,
        /// How.
        done: Done,
    },
}

/// How an attempt ended.
pub enum Done {
    /// Another run made it meanwhile.
    Hit(Arc<Record>),
    /// It ran, with these outputs.
    Ran(Arc<Record>),
    /// It ran, and gave other bytes than its record says: the record now holds the new ones.
    Different {
        /// The record from now on.
        record: Arc<Record>,
        /// Names of the outputs that differ.
        outputs: Vec<String>,
    },
    /// Bytes that it reads are gone (or corrupt: true), with the action that makes them.
    Lost(Vec<(Digest, usize, bool)>),
    /// These source files changed while it ran.
    Tainted(Vec<PathBuf>),
    /// It failed.
    Failed(StageError),
}

impl Done {
    /// The word for it in a trace.
    fn word(&self) -> &'static str {
        match self {
            Self::Hit(_) => "hit",
            Self::Ran(_) => "ran",
            Self::Different { .. } => "different",
            Self::Lost(_) => "lost",
            Self::Tainted(_) => "tainted",
            Self::Failed(error) if error.fault == Fault::Interrupted => "interrupted",
            Self::Failed(_) => "failed",
        }
    }
}

/// Takes jobs until there are no more, each with the worker's own scratch folder.
pub fn work<'t>(
    shared: &Shared<'t>,
    track: Track<'t>,
    scratch: &Path,
    jobs: &Mutex<mpsc::Receiver<Job>>,
    to_committer: &mpsc::Sender<Finished<'t>>,
    to_coordinator: &mpsc::Sender<Message>,
) {
    let scratch = Scratch::new(scratch);
    loop {
        let job = match jobs.lock() {
            Ok(jobs) => jobs.recv(),
            Err(_) => return,
        };
        let Ok(job) = job else { return };
        let (action, key) = (job.action, job.key);
        let done = match attempt(shared, track, &scratch, &job, to_coordinator) {
            Attempt::Finished(finished) => {
                let ran = Message::Ran { action };
                if to_committer.send(*finished).is_ok() && to_coordinator.send(ran).is_ok() {
                    continue;
                }
                Done::Failed(StageError::new(
                    Fault::Bug,
                    "flow::bug::committer",
                    "the committer is gone",
                ))
            }
            Attempt::Over(done) => done,
        };
        if to_coordinator
            .send(Message::Done { action, key, done })
            .is_err()
        {
            return;
        }
    }
}
