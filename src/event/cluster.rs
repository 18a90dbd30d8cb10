//! What a run on a cluster and `flow jobs` say.

use schemars::JsonSchema;
use serde::Serialize;

/// Actions were given to a scheduler, or were found to be with it.
#[derive(Serialize, JsonSchema)]
pub struct BatchSubmitted {
    /// Name of the batch.
    pub batch: String,
    /// The scheduler: `slurm`, `hq` or `command`.
    pub scheduler: String,
    /// The scheduler's id. Null if it is not known.
    pub id: Option<String>,
    /// Number of its tasks.
    pub tasks: usize,
    /// Number of its actions that this run waits for.
    pub actions: usize,
    /// True if an earlier run has submitted it, and this one waits for its results.
    pub attached: bool,
}

/// What a run has used of a cluster. It comes before the end of the run.
#[derive(Serialize, JsonSchema)]
pub struct ClusterUsed {
    /// Batches that were submitted.
    pub batches: usize,
    /// Their tasks.
    pub tasks: usize,
    /// Calls of the scheduler's commands.
    pub calls: usize,
    /// Seconds that tasks waited until they started, added up.
    pub waiting_s: f64,
    /// Seconds that tasks took besides the actions that they ran, added up.
    pub overhead_s: f64,
}

/// `flow jobs` lists a batch, those that were made first at the beginning.
#[derive(Serialize, JsonSchema)]
pub struct BatchListed {
    /// Name of the batch.
    pub batch: String,
    /// The scheduler: `slurm`, `hq` or `command`.
    pub scheduler: String,
    /// The scheduler's id. Null if it is not known.
    pub id: Option<String>,
    /// Name of the pipeline.
    pub pipeline: String,
    /// Names of the stages.
    pub stages: Vec<String>,
    /// When it was made, as `2026-01-31 09:30:00` (UTC).
    pub made: String,
    /// Tasks that have not started.
    pub waiting: usize,
    /// Tasks that run.
    pub running: usize,
    /// Tasks that are over, or that the scheduler does not know.
    pub over: usize,
    /// Actions that have a record.
    pub done: usize,
    /// All its actions.
    pub actions: usize,
}

/// `flow jobs --cancel` has cancelled a batch.
#[derive(Serialize, JsonSchema)]
pub struct BatchCancelled {
    /// Name of the batch.
    pub batch: String,
}
