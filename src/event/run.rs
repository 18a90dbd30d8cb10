//! What a run says, and what any command may say.

#[cfg(feature = "remote")]
use flow_cache::Traffic;
use schemars::JsonSchema;
use serde::Serialize;

use super::RunReason;
use crate::record::{ByName, Headline, Metrics, StageFigures, Status};

/// The plan of a run is made, and actions may start.
#[derive(Serialize, JsonSchema)]
pub struct RunStarted {
    /// Id of the run.
    pub run: String,
    /// Name of the pipeline.
    pub pipeline: String,
    /// Actions by stage, in the order of the pipeline, as far as they can be counted before anything has run.
    pub stages: ByName<usize>,
}

/// An action runs, because the store could not answer it.
#[derive(Serialize, JsonSchema)]
pub struct ActionStarted {
    /// Name of the stage.
    pub stage: String,
    /// The action within the stage.
    pub action: String,
    /// Why the store could not answer it.
    pub reason: RunReason,
}

/// A running action has made progress. It sends at most five of these a second, and one when all is done. Short
/// actions, and kinds that do not report progress, send none.
#[derive(Serialize, JsonSchema)]
pub struct ActionProgress {
    /// Name of the stage.
    pub stage: String,
    /// The action within the stage.
    pub action: String,
    /// Units done, such as epochs of a fit or rows of a table.
    pub done: u64,
    /// Units in all.
    pub total: u64,
    /// Figures that the action has reached, such as the loss of the last epoch. One that is not finite is null.
    /// Absent if the action reports none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figures: Option<ByName<Option<f64>>>,
}

/// An action is settled. Actions whose shard or fold turns out to have no rows send none.
#[derive(Serialize, JsonSchema)]
pub struct ActionFinished {
    /// Name of the stage.
    pub stage: String,
    /// The action within the stage.
    pub action: String,
    /// How it ended.
    pub outcome: ActionOutcome,
    /// What is recorded of it, where the outcome is `hit` or `ran`.
    #[serde(flatten)]
    pub record: Option<ActionResult>,
}

/// How an action ended.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ActionOutcome {
    /// The store had its result.
    Hit,
    /// It ran.
    Ran,
    /// It failed; a `diagnostic` says why.
    Failed,
    /// It was not tried: something that it needs failed, or the run was stopped.
    Skipped,
}

/// What the store has recorded of an action. Its costs are those of the time when it ran.
#[derive(Serialize, JsonSchema)]
pub struct ActionResult {
    /// The key of its recipe.
    pub key: String,
    /// How long it took, in seconds.
    pub wall_s: f64,
    /// What it took of processors, in seconds. Actions that run side by side in one process share its time.
    pub cpu_s: f64,
    /// The most memory that its process held at once, in bytes; 0 if that is not known.
    pub peak_rss: u64,
    /// Artifacts and source files that it read, in bytes; 0 if that is not known.
    pub read_bytes: u64,
    /// The digest of each output.
    pub outputs: ByName<String>,
    /// The digest of what its program printed. Absent where it printed nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

/// The run was asked to stop. Nothing starts any more; what runs is waited for.
#[derive(Serialize, JsonSchema)]
pub struct RunStopping {
    /// Actions that are still running.
    pub running: usize,
}

/// The run is at its end: what it came to.
#[derive(Serialize, JsonSchema)]
pub struct RunFinished {
    /// How it ended.
    pub status: Status,
    /// Name of the pipeline.
    pub pipeline: String,
    /// Id of the run.
    pub run: String,
    /// How long it took, in seconds.
    pub wall_s: f64,
    /// What became of the stages, in the order of the pipeline.
    pub stages: ByName<StageFigures>,
    /// The metric to quote. Absent if the pipeline names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headline: Option<Headline>,
    /// The metrics that evaluations report, by stage and by metric. Most have `pooled`, `mean`, `std` and `folds`.
    pub metrics: Metrics,
    /// What has gone on with the remote. Absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteFigures>,
}

/// What has gone on with a remote.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RemoteFigures {
    /// Its URL.
    pub url: String,
    /// Actions whose record it had, and the store had not.
    pub hits: u64,
    /// Artifacts that were fetched.
    pub fetched: u64,
    /// Their bytes as they were sent, where they may be compressed.
    pub fetched_bytes: u64,
    /// Records that it has of what ran here.
    pub written: u64,
    /// The bytes of records and artifacts that were sent.
    pub written_bytes: u64,
    /// Records that could not be written.
    pub failed_writes: u64,
    /// Requests for something that failed.
    pub failed_reads: u64,
    /// Objects that were damaged and not used.
    pub damaged: u64,
    /// Records that were not used because nobody who is trusted has signed them.
    pub refused: u64,
    /// Records that name other outputs than what ran here.
    pub different: u64,
}

impl RemoteFigures {
    /// The figures of a remote.
    #[cfg(feature = "remote")]
    pub fn new(url: &str, traffic: &Traffic) -> Self {
        Self {
            url: url.to_owned(),
            hits: traffic.hits,
            fetched: traffic.fetched,
            fetched_bytes: traffic.fetched_bytes,
            written: traffic.written,
            written_bytes: traffic.written_bytes,
            failed_writes: traffic.failed_writes + traffic.waiting,
            failed_reads: traffic.failed_reads,
            damaged: traffic.damaged,
            refused: traffic.refused,
            different: traffic.different,
        }
    }
}

/// Bytes are on their way from the remote, or to it. It comes at most five times a second.
#[derive(Serialize, JsonSchema)]
pub struct RemoteProgress {
    /// Bytes that were fetched.
    pub fetched_bytes: u64,
    /// Bytes that are to be fetched, as far as they are known by now.
    pub wanted_bytes: u64,
    /// Bytes that were written.
    pub written_bytes: u64,
    /// Records that are still to be written.
    pub waiting: u64,
}

/// A file was written: one of `[outputs]`, or of those that a study leaves.
#[derive(Serialize, JsonSchema)]
pub struct OutputWritten {
    /// Its path.
    pub path: String,
    /// The pipeline file that declares it. Absent unless that is one that the pipeline extends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
}

/// `--audit` ran actions again and compared the results.
#[derive(Serialize, JsonSchema)]
pub struct AuditFinished {
    /// Actions that were compared.
    pub actions: usize,
    /// What was found, by stage, in the order of the pipeline.
    pub stages: ByName<AuditedStage>,
    /// What was warned of during the audit, such as corrupt artifacts.
    pub problems: Vec<String>,
}

/// What an audit found of one stage.
#[derive(Serialize, JsonSchema)]
pub struct AuditedStage {
    /// Actions that were compared.
    pub actions: usize,
    /// The worst verdict on an output of theirs: `bitwise` (the same bytes), `ulp` (tables that differ in
    /// floating-point numbers only), `metric` (JSON that differs in numbers only) or `different`.
    #[schemars(extend("enum" = ["bitwise", "ulp", "metric", "different"]))]
    pub verdict: String,
    /// For `ulp`: how many representable numbers lie between the two at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ulps: Option<u64>,
    /// For `metric`: the largest difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest: Option<f64>,
    /// The action and the output of the worst verdict. Absent for `bitwise`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst: Option<String>,
    /// The worst difference in words. Absent for `bitwise`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// What the stage computes with, if machines that compute with something else get other bytes and results of their
    /// own. The verdict holds for such machines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arithmetic: Option<String>,
}

/// Something that a user should know, but that is no failure.
#[derive(Serialize, JsonSchema)]
pub struct WarningEvent {
    /// In one sentence.
    pub message: String,
}

/// Something is wrong, and the command fails.
#[derive(Serialize, JsonSchema)]
pub struct DiagnosticEvent {
    /// Its code; `docs/errors.md` has a section for each.
    pub code: String,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What can be done about it.
    pub help: Vec<String>,
    /// Places in the pipeline, the first being the cause.
    pub labels: Vec<DiagnosticLabel>,
}

/// A place in a pipeline file.
#[derive(Serialize, JsonSchema)]
pub struct DiagnosticLabel {
    /// The file.
    pub file: Option<String>,
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1 in bytes.
    pub column: usize,
    /// What is wrong there.
    pub text: Option<String>,
}

/// `flow init` made a project.
#[derive(Serialize, JsonSchema)]
pub struct ProjectCreated {
    /// The pipeline file that runs as it is.
    pub pipeline: String,
    /// All files that it wrote.
    pub written: Vec<String>,
    /// Files that were there and are as they were.
    pub kept: Vec<String>,
}

/// `flow stages` describes a kind: one event for each, or one for the kind that was named.
#[derive(Serialize, JsonSchema)]
pub struct KindEvent {
    /// Its name.
    pub name: String,
    /// Its whole reference, as Markdown. Absent unless a kind was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What it does, in a sentence. Absent if a kind was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// The version of what it writes, a part of every recipe. Absent if a kind was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
}
