//! What `flow check` says.

use flow_stages::comparison::gate::Judged;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::ByName;

/// The last event of `flow check`, unless the run itself failed or a baseline was written.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct CheckFinished {
    /// `ok`, `nondeterminism` (a stage gave other bytes by the same recipe) or `regression` (a metric is worse by
    /// more than its limit).
    #[schemars(extend("enum" = ["ok", "nondeterminism", "regression"]))]
    pub verdict: String,
    /// Name of the pipeline.
    pub pipeline: String,
    /// Id of the run.
    pub run: String,
    /// The baseline, as it was named.
    pub baseline: String,
    /// The declared chance that a check of an unchanged pipeline fails, 0 to 1.
    pub false_alarms: f64,
    /// The evaluations, in the order of the pipeline.
    pub evaluations: ByName<CheckedEvaluation>,
    /// The stages in the order of the pipeline, then those that are gone.
    pub stages: ByName<CheckedStage>,
}

/// An evaluation against the baseline.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct CheckedEvaluation {
    /// Objects that are compared: those that the run and the baseline have in common. Null where nothing is
    /// compared.
    pub objects: Option<usize>,
    /// Objects of the positive class among them. Null without one.
    pub positives: Option<usize>,
    /// `macro` where figures are averages over classes, else null.
    pub average: Option<String>,
    /// Repeats of the cross-validation that differ.
    pub repeats: Option<usize>,
    /// Those of the baseline.
    pub baseline_repeats: Option<usize>,
    /// The metrics that are judged. Empty where nothing is compared.
    pub metrics: ByName<Judged>,
    /// What people should know of the comparison.
    pub notes: Vec<String>,
}

/// How a stage stands to the baseline. The field `standing` says it.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "standing", rename_all = "kebab-case")]
pub enum CheckedStage {
    /// The same recipe and the same results.
    Same,
    /// Another recipe.
    Changed {
        /// What differs in it, a line each.
        changes: Vec<String>,
    },
    /// The baseline does not have it.
    New,
    /// The pipeline no longer has it.
    Gone,
    /// The same recipe and other results.
    Nondeterministic {
        /// The outputs that differ.
        outputs: ByName<CheckedOutput>,
    },
}

/// An output that differs from the baseline.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct CheckedOutput {
    /// The digest in the baseline.
    pub baseline: String,
    /// The digest now.
    pub now: String,
}

/// `flow check --update` brought a baseline up to date.
#[derive(Serialize, JsonSchema)]
pub struct BaselineUpdated {
    /// The file.
    pub path: String,
    /// Whether it was written; it is not where it says the same already.
    pub changed: bool,
    /// Its size, in bytes.
    pub bytes: u64,
}
