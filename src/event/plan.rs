//! What `flow plan` and `flow explain` say.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::{ActionName, CauseGroup, FirstCause, RunReason};
use crate::record::ByName;

/// `flow plan` says what a run would do with an action. Actions that are hits, or have no rows, send none.
#[derive(Serialize, JsonSchema)]
pub struct ActionPlanned {
    /// The action.
    #[serde(flatten)]
    pub at: ActionName,
    /// The name of the event.
    pub event: ActionPlannedWord,
    /// What a run would do.
    #[serde(flatten)]
    pub decision: Decision,
}

/// The field `event` of `action-planned`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum ActionPlannedWord {
    ActionPlanned,
}

/// `flow explain` says what decides the result of an action, and what a run would do with it.
#[derive(Serialize, JsonSchema)]
pub struct ActionExplained {
    /// The action.
    #[serde(flatten)]
    pub at: ActionName,
    /// The name of the event.
    pub event: ActionExplainedWord,
    /// What a run would do.
    #[serde(flatten)]
    pub decision: Decision,
    /// The key of its recipe. Null where the recipe is not known before something has run.
    pub key: Option<String>,
    /// The fields of its recipe, in order. Null where they are not known before something has run.
    #[schemars(with = "Option<Map<String, Json>>")]
    pub recipe: Option<Json>,
    /// With `--hit`, the proof. Absent unless the action is a hit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<HitProof>,
}

/// The field `event` of `action-explained`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum ActionExplainedWord {
    ActionExplained,
}

/// What a run would do with an action, and why.
#[derive(Serialize, JsonSchema)]
pub struct Decision {
    /// What it would do: `hit`, `run`, `restore` (its result is known, but the bytes are gone and needed),
    /// `pending` (not known before something else has run) or `vacant` (no rows).
    #[schemars(extend("enum" = ["hit", "run", "restore", "pending", "vacant"]))]
    pub verdict: String,
    /// For `run`: why the store cannot answer it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<RunReason>,
    /// For `run`: what that goes back to. For `pending`: what those go back to that it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causes: Option<Vec<FirstCause>>,
    /// Whether there are more causes than `causes` lists. Absent where that is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_causes: Option<bool>,
    /// For `restore`: who needs the bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needed_by: Option<ByteReader>,
    /// For `pending`: an action whose result it reads and that runs first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<ActionName>,
    /// For `pending`: an equal action, which runs first and whose result is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equal_to: Option<ActionName>,
    /// For `pending`: its bytes are gone, and it runs if this turns out to need them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted_if: Option<ByteReader>,
    /// For `pending`: what a run asks first, such as `version`, the command that says which version of a program
    /// it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asks: Option<String>,
}

/// Who needs bytes: an action, or a file under `[outputs]`.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ByteReader {
    /// An action.
    Action(ActionName),
    /// A file.
    File {
        /// Its path.
        file: String,
    },
}

/// What a hit rests on.
#[derive(Serialize, JsonSchema)]
pub struct HitProof {
    /// The segment of the store in which the record lies.
    pub segment: Option<String>,
    /// Where in it the record starts, in bytes.
    pub offset: Option<u64>,
    /// How often the record was replaced.
    pub generation: Option<u32>,
    /// The pipeline that made it.
    pub pipeline: String,
    /// The stage that made it.
    pub stage: String,
    /// The action that made it.
    pub action: String,
    /// When it was made, in seconds since 1970 (UTC).
    pub finished: u64,
    /// How long that took, in seconds.
    pub wall_s: f64,
    /// What that took of processors, in seconds.
    pub cpu_s: f64,
    /// Its outputs.
    pub outputs: ByName<ProvenOutput>,
}

/// An output that a record names, and whether its bytes are there.
#[derive(Serialize, JsonSchema)]
pub struct ProvenOutput {
    /// The digest.
    pub digest: String,
    /// Its size, in bytes.
    pub bytes: u64,
    /// `ok` (there, and the digest is right), `missing` or `corrupt`.
    #[schemars(extend("enum" = ["ok", "missing", "corrupt"]))]
    pub health: String,
}

/// `flow plan` sums up a stage.
#[derive(Serialize, JsonSchema)]
pub struct StagePlanned {
    /// Name of the stage.
    pub stage: String,
    /// What a run would do with the stage: `run`, `restore`, `pending` or `hit`, the first that any of its actions
    /// is.
    #[schemars(extend("enum" = ["run", "restore", "pending", "hit"]))]
    pub verdict: String,
    /// Actions that the store answers.
    pub hit: usize,
    /// Actions that would run.
    pub run: usize,
    /// Actions whose bytes would be made again.
    pub restore: usize,
    /// Actions of which nothing is known before others have run.
    pub pending: usize,
    /// What pending actions wait for: names of stages, paths of files, or `version`.
    pub waits_for: Vec<String>,
    /// Who needs what would be restored: names of stages, or paths of files.
    pub needed_by: Vec<String>,
    /// Hits whose record only the remote has.
    pub remote: usize,
    /// Bytes that a run would fetch from the remote, as they would be sent.
    pub fetch_bytes: u64,
}

/// The last event of `flow plan`.
#[derive(Serialize, JsonSchema)]
pub struct PlanFinished {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Actions that the store answers.
    pub hit: usize,
    /// Actions that would run.
    pub run: usize,
    /// Actions whose bytes would be made again.
    pub restore: usize,
    /// Actions of which nothing is known before others have run.
    pub pending: usize,
    /// Hits whose record only the remote has.
    pub remote: usize,
    /// Bytes that a run would fetch from the remote, as they would be sent.
    pub fetch_bytes: u64,
    /// Stages whose `version` was not asked: the plan takes what the last run was told.
    pub remembered: Vec<String>,
    /// What it all goes back to, equal causes together.
    pub causes: Vec<CauseGroup>,
}
