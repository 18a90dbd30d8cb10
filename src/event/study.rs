//! What `flow ablate` and `flow tune` say. The first part of each last event is also what the study leaves as a
//! file: `ablation.json`, `study.json`.

use flow_stages::comparison::{ArmSummary, Comparison, Estimate, PairedDifference};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::record::ByName;
use crate::record::{StageMetrics, Status};

/// The last event of `flow ablate`, unless the run was stopped.
#[derive(Serialize, JsonSchema)]
pub struct AblationFinished {
    /// What the study found.
    #[serde(flatten)]
    pub found: AblationFigures,
    /// Id of the run.
    pub run: String,
    /// How it ended.
    pub status: Status,
    /// How long it took, in seconds.
    pub wall_s: f64,
    /// The folder with its files.
    pub directory: String,
}

/// What an ablation found: also the contents of `ablation.json`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct AblationFigures {
    /// Name of the pipeline.
    pub pipeline: String,
    /// How variants were compared.
    pub options: AblationOptions,
    /// The variants, the base first.
    pub variants: Vec<AblatedVariant>,
    /// The evaluations, each with all variants that have it.
    pub schemes: Vec<AblatedScheme>,
    /// What it all cost.
    pub cost: AblationCost,
}

/// How variants are compared; `docs/statistics.md` says what it means.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct AblationOptions {
    /// Draws of the bootstrap.
    pub draws: usize,
    /// Confidence of intervals, 0 to 1.
    pub level: f64,
    /// The smallest difference of interest.
    pub margin: f64,
    /// Seed of the draws.
    pub seed: u64,
}

/// A variant.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct AblatedVariant {
    /// Its name; `base` is the pipeline as it is.
    pub name: String,
    /// What it changes: the path in the pipeline, and the value as TOML.
    pub changes: ByName<String>,
    /// What it cost.
    pub cost: VariantCost,
}

/// What a variant cost.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct VariantCost {
    /// Its actions, equal ones once.
    pub actions: usize,
    /// Those that an earlier variant has too.
    pub shared_actions: usize,
    /// What a run of this variant alone with nothing in the store takes of processors, in seconds.
    pub cpu_cold_s: f64,
    /// What this run spent of processors on what no earlier variant has, in seconds.
    pub cpu_now_s: f64,
    /// The part of the cold cost that the store and earlier variants saved, 0 to 1.
    pub saved: f64,
}

/// What all variants cost together; their actions are counted once.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct AblationCost {
    /// The sums.
    #[serde(flatten)]
    pub together: VariantCost,
    /// What runs of all variants, each by itself with nothing in the store, take of processors, in seconds.
    pub cpu_separate_s: f64,
    /// The cold cost of the study in parts of that. Null where nothing took any time.
    pub ratio: Option<f64>,
    /// Stages of all variants together, equal ones once.
    pub stages: usize,
    /// Stages that a variant has in common with an earlier one.
    pub shared_stages: usize,
}

/// One evaluation of all variants.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct AblatedScheme {
    /// The stage that evaluates.
    pub name: String,
    /// The digest of the table of folds.
    pub folds: Option<String>,
    /// How many configurations were ever evaluated on these folds in this project.
    pub configurations_tried: Option<usize>,
    /// The variants that have it, in order.
    pub rows: Vec<AblatedRow>,
}

/// One variant in one evaluation.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct AblatedRow {
    /// The variant.
    pub variant: String,
    /// `ok`, `failed`, or `skipped` where the run was stopped before.
    #[schemars(extend("enum" = ["ok", "failed", "skipped"]))]
    pub status: String,
    /// Why something is missing.
    pub note: Option<String>,
    /// Its metrics, with intervals.
    pub summary: Option<ArmSummary>,
    /// Its differences to the base.
    pub comparison: Option<Comparison>,
    /// The metrics as its stage reports them. Null where it reports none.
    #[schemars(with = "Option<StageMetrics>")]
    pub metrics: StageMetrics,
}

/// `flow tune` begins.
#[derive(Serialize, JsonSchema)]
pub struct StudyStarted {
    /// Id of the run.
    pub run: String,
    /// Name of the pipeline.
    pub pipeline: String,
    /// The metric to improve, as `stage.metric`.
    pub objective: String,
    /// `maximise` or `minimise`.
    #[schemars(extend("enum" = ["maximise", "minimise"]))]
    pub direction: String,
    /// `tpe`, `random` or `grid`.
    #[schemars(extend("enum" = ["tpe", "random", "grid"]))]
    pub sampler: String,
    /// How many trials there are to be.
    pub trials: usize,
    /// How many of them at a time.
    pub parallel: usize,
    /// The parameters that are searched, as `stage.param`.
    pub space: Vec<String>,
}

/// `flow tune` has evaluated the pipeline as it is.
#[derive(Serialize, JsonSchema)]
pub struct BaseFinished {
    /// The outer fold that the study is within. Null unless it is one of a nested cross-validation.
    pub within: Option<usize>,
    /// The value of the objective. Null if it failed.
    pub value: Option<f64>,
}

/// `flow tune` has finished a trial. Those that run at a time are told together.
#[derive(Serialize, JsonSchema)]
pub struct TrialFinished {
    /// The trial.
    #[serde(flatten)]
    pub trial: TrialFigures,
    /// The name of the event.
    pub event: TrialFinishedWord,
    /// The outer fold that the study is within. Null unless it is one of a nested cross-validation.
    pub within: Option<usize>,
    /// What a run of this trial alone with nothing in the store takes of processors, in seconds.
    pub cpu_s: f64,
    /// The best value so far, of the pipeline as it is or of a trial. Null if there is none.
    pub best: Option<f64>,
}

/// The field `event` of `trial-finished`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum TrialFinishedWord {
    TrialFinished,
}

/// A trial of a study.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct TrialFigures {
    /// Its number, counted from 0.
    pub trial: usize,
    /// The number of its generation, the trials that are chosen at a time, counted from 0.
    pub generation: usize,
    /// `complete`, `pruned` (it fell behind and was stopped) or `failed`.
    #[schemars(extend("enum" = ["complete", "pruned", "failed"]))]
    pub state: String,
    /// The values that it tries.
    pub values: ByName<Json>,
    /// For `complete`: the value of the objective.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Folds that it was evaluated on. Null without a cross-validation; absent for `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "folds")]
    pub folds: Option<Option<usize>>,
    /// For `pruned`: it is no better than this, by the rule that stopped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<f64>,
    /// For `failed`: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

fn folds(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"oneOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]})
}

/// `flow tune` has finished the study within an outer fold of a nested cross-validation.
#[derive(Serialize, JsonSchema)]
pub struct OuterFoldFinished {
    /// The outer fold, counted from 0.
    pub fold: usize,
    /// The value of what won, in the inner folds.
    pub inner: f64,
    /// The values that won. Empty where the pipeline as it is did.
    pub values: ByName<Json>,
}

/// The last event of `flow tune` if it failed or was stopped.
#[derive(Serialize, JsonSchema)]
pub struct StudyStopped {
    /// How it ended.
    #[schemars(extend("enum" = ["failed", "interrupted"]))]
    pub status: Status,
    /// Name of the pipeline.
    pub pipeline: String,
    /// Id of the run.
    pub run: String,
}

/// The last event of `flow tune`.
#[derive(Serialize, JsonSchema)]
pub struct StudyFinished {
    /// What the study found.
    #[serde(flatten)]
    pub found: StudyFigures,
    /// The name of the event.
    pub event: StudyFinishedWord,
    /// How it ended.
    #[schemars(extend("enum" = ["ok"]))]
    pub status: Status,
    /// Id of the run.
    pub run: String,
    /// How long it took, in seconds.
    pub wall_s: f64,
    /// What it cost.
    #[serde(flatten)]
    pub cost: StudyCost,
}

/// What a study cost.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct StudyCost {
    /// Actions that ran.
    pub ran: usize,
    /// What they took of processors, in seconds.
    pub cpu_s: f64,
    /// What pruning saved of processors, in seconds: an estimate.
    pub saved_cpu_s: f64,
    /// How many configurations were ever evaluated on these objects and folds. Null without folds.
    pub configurations: Option<usize>,
    /// What a run of each trial alone with nothing in the store takes of processors, in seconds.
    pub trials_cpu_s: Vec<f64>,
}

/// The field `event` of `study-finished`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum StudyFinishedWord {
    StudyFinished,
}

/// What a study found, without what it cost: also the contents of `study.json`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct StudyFigures {
    /// Name of the pipeline.
    pub pipeline: String,
    /// The metric to improve, as `stage.metric`.
    pub objective: String,
    /// `maximise` or `minimise`.
    #[schemars(extend("enum" = ["maximise", "minimise"]))]
    pub direction: String,
    /// `tpe`, `random` or `grid`.
    #[schemars(extend("enum" = ["tpe", "random", "grid"]))]
    pub sampler: String,
    /// Seed of the sampler.
    pub seed: u64,
    /// How many trials at a time.
    pub parallel: usize,
    /// Whether trials that fall behind are stopped.
    pub prune: bool,
    /// The value of the pipeline as it is. Null if it failed.
    pub base: Option<f64>,
    /// What won. Null if nothing could be evaluated.
    pub best: Option<BestTrial>,
    /// All trials, in order.
    pub trials: Vec<TrialFigures>,
    /// What the nested cross-validation says. Absent unless `nested = true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nested: Option<NestedFigures>,
    /// What is searched, by the path of the parameter.
    #[serde(default)]
    pub space: ByName<SearchedRange>,
    /// How much each parameter matters. Null for fewer than eight complete trials.
    #[serde(default)]
    pub importance: ByName<Option<ParameterImportance>>,
}

/// The values that a study searches for one parameter.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SearchedRange {
    /// Numbers.
    Numbers {
        /// The smallest value.
        low: f64,
        /// The largest value.
        high: f64,
        /// Whether only whole numbers are tried.
        whole: bool,
        /// Whether values are spread evenly by logarithm.
        log: bool,
        /// The number of values, evenly spaced. Null if any number may be tried.
        steps: Option<usize>,
    },
    /// Some values.
    Choice {
        /// The values.
        choice: Vec<Json>,
    },
}

/// How much a parameter matters, by PED-ANOVA.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub struct ParameterImportance {
    /// How far the values of the best quarter of the trials lie from those of all trials: the Pearson divergence of
    /// their densities, 0 or more.
    pub divergence: f64,
    /// The divergence that 95 % of random choices of as many trials stay below.
    pub chance: f64,
}

/// What won a study.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct BestTrial {
    /// The number of the trial. Null where the pipeline as it is won.
    pub trial: Option<usize>,
    /// The value of the objective.
    pub value: f64,
    /// The value with the interval of its objects. Null for metrics that have no such statistics.
    pub interval: Option<Estimate>,
    /// The values that won.
    pub values: Option<ByName<Json>>,
}

/// What a nested cross-validation says.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct NestedFigures {
    /// The mean over outer folds of the best value in the inner folds.
    pub inner: f64,
    /// The value of what the studies chose, on objects that they never saw.
    pub outer: Option<f64>,
    /// That of the pipeline as it is, on the same objects.
    pub outer_base: Option<f64>,
    /// `inner` less `outer`: by how much the best of many values is too good.
    pub optimism: Option<f64>,
    /// What tuning gains: the paired difference of `outer` and `outer_base`. Null for metrics that have no such
    /// statistics.
    pub difference: Option<PairedDifference>,
    /// The outer folds.
    pub folds: Vec<NestedFold>,
}

/// An outer fold.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct NestedFold {
    /// The values that won within it.
    pub values: ByName<Json>,
    /// Their value in the inner folds.
    pub inner: f64,
    /// Their value on the objects that the fold holds out.
    pub outer: Option<f64>,
}
