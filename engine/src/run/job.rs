//! What goes to the workers and what comes back.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;

use flow_cache::{ActionKey, Digest, Record, Store};

use crate::explain::Reason;
use crate::kind::error::{Fault, StageError};
use crate::kind::progress::Progress;
use crate::plan::keys::Prepared;
use crate::run::cluster::options::OnStop;
use crate::run::event::SubmittedBatch;

/// An action to run.
pub struct Job {
    /// Its index.
    pub action: usize,
    /// What it reads.
    pub prepared: Prepared,
    /// It runs even if a record is there: its bytes are wanted.
    pub forced: bool,
    /// Why it runs.
    pub reason: Reason,
    /// Number of threads that it may start besides the shared ones.
    pub threads: usize,
    /// GPUs that are its own while it runs.
    pub gpus: Vec<usize>,
}

impl Job {
    /// Returns lost bytes with the actions that make them.
    pub(crate) fn lost(&self, lost: &[Gone]) -> Done {
        let makers = self.prepared.needs.iter().zip(&self.prepared.makers);
        let lost = makers.filter_map(|(digest, maker)| {
            let (_, corrupt) = lost.iter().find(|(gone, _)| gone == digest)?;
            Some((*digest, *maker, *corrupt))
        });
        Done::Lost(lost.collect())
    }

    /// Returns the bytes that it reads and that are plainly not there. The process that runs it checks the others.
    pub(crate) fn gone(&self, store: &Store) -> Vec<Gone> {
        let needs = self.prepared.needs.iter();
        let gone = needs.filter(|digest| !store.has(digest));
        gone.map(|digest| (*digest, false)).collect()
    }
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
    /// It has made progress.
    Progress {
        /// Index of the action.
        action: usize,
        /// How far it is.
        progress: Progress,
    },
    /// Something that a user should know.
    Warning(String),
    /// Actions were given to a scheduler, or were found to be with it.
    Submitted(SubmittedBatch),
    /// The run is to stop, and somebody has to say what becomes of the tasks that were submitted.
    Stop {
        /// How many there are.
        tasks: usize,
        /// Where the answer goes.
        answer: mpsc::Sender<OnStop>,
    },
    /// It has run and only waits to be committed. What it occupied is free.
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
    /// Another run made it in the meantime.
    Hit(Arc<Record>),
    /// It ran, with these outputs.
    Ran(Arc<Record>),
    /// It ran, and gave other bytes than its record says. The record now names the new ones.
    Different {
        /// The record from now on.
        record: Arc<Record>,
        /// Names of the outputs that differ.
        outputs: Vec<String>,
    },
    /// Bytes that it reads are gone (true: corrupt), with the action that makes them.
    Lost(Vec<(Digest, usize, bool)>),
    /// These source files changed while it ran.
    Tainted(Vec<PathBuf>),
    /// It failed.
    Failed(StageError),
}

impl Done {
    /// The word for it in a trace.
    pub(crate) fn word(&self) -> &'static str {
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

/// An artifact that is gone; true if it was corrupt, and is set aside.
pub(crate) type Gone = (Digest, bool);
