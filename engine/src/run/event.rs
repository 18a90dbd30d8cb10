//! What happens in a run, as data. The console, the JSON lines and the run record are made from these
//! events. They name actions by number; [`Plan::label`](crate::plan::Plan::label) is for people.

use std::sync::Arc;

use flow_cache::{Record, Traffic};

use crate::explain::Reason;
use crate::kind::error::StageError;
use crate::kind::progress::Progress;

/// One event.
#[derive(Clone, Debug)]
pub enum Event {
    /// The plan is made. The actions of each stage that could be counted beforehand follow, in the order of
    /// the stages.
    Started {
        /// Actions by stage index.
        actions: Vec<usize>,
    },
    /// An action runs.
    ActionStarted {
        /// Index of the action.
        action: usize,
        /// Index of the stage.
        stage: usize,
        /// Why it could not be answered from the store.
        reason: Reason,
    },
    /// A running action has made progress.
    Progress {
        /// Index of the action.
        action: usize,
        /// Index of the stage.
        stage: usize,
        /// How far it is.
        progress: Progress,
    },
    /// An action is settled.
    ActionFinished {
        /// Index of the action.
        action: usize,
        /// Index of the stage.
        stage: usize,
        /// How.
        outcome: Outcome,
        /// Its record, for a hit or a run.
        record: Option<Arc<Record>>,
    },
    /// Something was read from the remote, or written to it.
    Traffic(Traffic),
    /// The run was asked to stop, and starts nothing more.
    Stopping {
        /// Actions that are still running.
        running: usize,
    },
    /// Actions were given to a scheduler, or were found to be with it.
    BatchSubmitted(SubmittedBatch),
    /// Something a user should know that does not fail the run, such as a corrupt artifact that
    /// was set aside.
    Warning {
        /// In one sentence.
        message: String,
    },
}

/// A batch of actions that a scheduler has.
#[derive(Clone, Debug)]
pub struct SubmittedBatch {
    /// Name of the batch.
    pub batch: String,
    /// The scheduler, as `--executor` takes it.
    pub scheduler: &'static str,
    /// The scheduler's id, if it is known.
    pub id: Option<String>,
    /// Number of its tasks.
    pub tasks: usize,
    /// Number of its actions that this run waits for.
    pub actions: usize,
    /// An earlier run has submitted it.
    pub attached: bool,
}

/// How an action ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The store had it.
    Hit,
    /// It ran.
    Ran,
    /// It failed.
    Failed(StageError),
    /// It was not attempted: something it needs failed, or the run was stopped.
    Skipped,
    /// It turned out to have no rows, and does not count.
    Vacant,
}
