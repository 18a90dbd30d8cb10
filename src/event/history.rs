//! What `flow runs`, `flow compare`, `flow errors` and `flow export` say.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::FieldChange;
use crate::record::{ByName, GitState, Headline, Status};

/// `flow runs` lists a run, the newest first.
#[derive(Serialize, JsonSchema)]
pub struct RunListed {
    /// Id of the run.
    pub run: String,
    /// When it began, as `2026-01-31 09:30:00` (UTC).
    pub started: String,
    /// Name of the pipeline.
    pub pipeline: Option<String>,
    /// How it ended.
    pub status: Option<Status>,
    /// The metric to quote, with its name and its value. Null if the pipeline names none.
    pub headline: Option<Headline>,
    /// Actions that ran.
    pub ran: usize,
    /// Actions that the store answered.
    pub hit: usize,
    /// Actions that failed.
    pub failed: usize,
    /// How long it took, in seconds.
    pub wall_s: f64,
    /// Its tags.
    pub tags: Vec<String>,
    /// Whether it is pinned: gc keeps what it made.
    pub pinned: bool,
    /// What was set with `--set`, as `path=value`.
    pub set: Vec<String>,
    /// The variant that ran instead of the pipeline.
    pub variant: Option<String>,
    /// The stage that it stopped at.
    pub to: Option<String>,
    /// The commit of the project's files, and whether they differed from it. Null outside of a repository.
    pub git: Option<GitState>,
    /// The command that made it: `run`, `ablate`, `tune` or `check`. Null if an earlier version recorded it.
    pub by: Option<String>,
    /// How many warnings it showed.
    pub warnings: usize,
}

/// `flow runs show` gives all that is recorded of a run, but for its single actions.
#[derive(Serialize, JsonSchema)]
pub struct RunShown {
    /// Id of the run.
    pub run: String,
    /// When it began, as `2026-01-31 09:30:00` (UTC).
    pub started: String,
    /// The record of the run, with the fields that the version of flow wrote that made it: those of
    /// `run-finished`, how the run was asked for, its machine, its warnings, and in `resolved` its pipeline.
    #[serde(flatten)]
    pub record: Map<String, Json>,
}

/// `flow runs tag`, `untag`, `pin`, `unpin` or `rm` is done.
#[derive(Serialize, JsonSchema)]
pub struct RunChanged {
    /// Id of the run.
    pub run: String,
    /// Whether its record was removed.
    pub removed: bool,
    /// The tags that it has now.
    pub tags: Vec<String>,
    /// Whether it is pinned now.
    pub pinned: bool,
}

/// `flow export` wrote an artifact of a run as a file.
#[derive(Serialize, JsonSchema)]
pub struct Exported {
    /// Id of the run.
    pub run: String,
    /// The port, as `stage.port`.
    pub port: String,
    /// The file, as it was named.
    pub path: String,
}

/// `flow report` wrote a page.
#[derive(Serialize, JsonSchema)]
pub struct ReportWritten {
    /// Ids of the runs that it shows.
    pub runs: Vec<String>,
    /// The file, as it was named.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// `flow errors` lists the objects that an evaluation has wrong, all repeats together.
#[derive(Serialize, JsonSchema)]
pub struct ErrorsListed {
    /// Id of the run.
    pub run: String,
    /// The stage that evaluates.
    pub evaluation: String,
    /// The stage whose predictions it scores.
    pub predictions: String,
    /// The stage whose light curves say where a peak is. Null if none has any.
    pub curves: Option<String>,
    /// The positive class. Null if the survey names none.
    pub positive: Option<String>,
    /// How many objects are judged.
    pub objects: usize,
    /// False positives and false negatives, or without a positive class all that is wrong.
    pub lists: Vec<ListOfErrors>,
}

/// A list of objects that an evaluation has wrong.
#[derive(Serialize, JsonSchema)]
pub struct ListOfErrors {
    /// Its name: `false_positives`, `false_negatives` or `wrong`.
    pub list: String,
    /// How many objects it has.
    pub of: usize,
    /// The first of them, the worst first.
    pub objects: Vec<WrongObject>,
}

/// An object that is taken for another class.
#[derive(Serialize, JsonSchema)]
pub struct WrongObject {
    /// Its name.
    pub object_id: String,
    /// Its class.
    pub class: Option<String>,
    /// The class that is predicted.
    pub predicted: String,
    /// The probability of the positive class, or of the one that is predicted: the mean over repeats.
    pub score: f64,
    /// The score from which objects are taken for positive, as the other folds chose it: the mean over repeats.
    /// Null without a positive class.
    pub threshold: Option<f64>,
    /// Repeats of the cross-validation.
    pub repeats: usize,
    /// In how many of them it is wrong.
    pub wrong: usize,
    /// Redshift. Null if it is unknown.
    pub redshift: Option<f64>,
    /// Number of observations. Null if there are no light curves.
    pub points: Option<usize>,
    /// The brightest observation of at least three standard errors. Null if there is none.
    pub peak: Option<PeakFigures>,
}

/// The brightest observation of an object.
#[derive(Serialize, JsonSchema)]
pub struct PeakFigures {
    /// When, in days as the survey counts them.
    pub time: f64,
    /// The band.
    pub band: String,
    /// Flux, in the unit of the survey.
    pub flux: f64,
    /// The same as an AB magnitude, if that unit is the microjansky.
    pub magnitude: f64,
}

/// `flow compare` shows two runs side by side.
#[derive(Serialize, JsonSchema)]
pub struct RunsCompared {
    /// The first run.
    pub old: ComparedRun,
    /// The second run.
    pub new: ComparedRun,
    /// What they were asked for, their pipelines, versions and machines, where these differ. What an
    /// earlier version did not record is not compared.
    pub circumstances: Vec<ComparedCircumstance>,
    /// The metrics of both, as `stage.metric`.
    pub metrics: ByName<ComparedMetric>,
    /// The stages of the second run in order, then those that only the first has. Empty where one of them was
    /// recorded without its actions.
    pub stages: ByName<ComparedStage>,
    /// The first action, in the order of the second run's plan, that came to other bytes. Null if none did.
    pub first_divergence: Option<FirstDivergence>,
}

/// One of two runs.
#[derive(Serialize, JsonSchema)]
pub struct ComparedRun {
    /// Its id.
    pub run: String,
    /// Name of the pipeline.
    pub pipeline: Option<String>,
    /// How it ended.
    pub status: Option<Status>,
}

/// Something that two runs did not have in common.
#[derive(Serialize, JsonSchema)]
pub struct ComparedCircumstance {
    /// What it is about: `asked` (how the run was started), `pipeline` (a value of the resolved pipeline),
    /// `version` (of flow, a program or a package) or `host` (the machine).
    #[schemars(extend("enum" = ["asked", "pipeline", "version", "host"]))]
    pub about: &'static str,
    /// Its name, such as `set`, `rocket.kernels`, `numpy` or `cpu`.
    pub name: String,
    /// Its value in the first run. Null where there is none.
    pub old: Option<String>,
    /// Its value in the second run.
    pub new: Option<String>,
}

/// A metric in two runs: the pooled value, or the mean over folds where there is none.
#[derive(Serialize, JsonSchema)]
pub struct ComparedMetric {
    /// In the first run. Null if that has no such value.
    pub old: Option<f64>,
    /// In the second run.
    pub new: Option<f64>,
    /// The second less the first. Null unless both have it.
    pub difference: Option<f64>,
}

/// A stage in two runs.
#[derive(Serialize, JsonSchema)]
pub struct ComparedStage {
    /// Whether all its actions have the same recipes and the same outputs.
    pub equal: bool,
    /// How many actions it has in the first run and in the second; null where it is not there.
    pub actions: [Option<usize>; 2],
    /// Actions with the same recipe in both.
    pub same_recipe: usize,
    /// Actions with the same outputs in both.
    pub same_outputs: usize,
    /// What differs in the recipes, and of how many actions.
    pub fields: Vec<ComparedField>,
    /// Actions whose recipes cannot be compared, since a record is gone.
    pub without_record: usize,
}

/// A difference that some actions have in common.
#[derive(Serialize, JsonSchema)]
pub struct ComparedField {
    /// The difference, alone in its list. Of inputs it only says that they differ.
    pub changes: Vec<FieldChange>,
    /// How many actions have it.
    pub actions: usize,
}

/// Where two runs part.
#[derive(Serialize, JsonSchema)]
pub struct FirstDivergence {
    /// Why.
    #[serde(flatten)]
    pub why: DivergenceReason,
    /// Name of the stage.
    pub stage: String,
    /// The action within the stage.
    pub action: String,
    /// The outputs that differ.
    pub outputs: ByName<ComparedOutput>,
}

/// Why two actions of the same name came to other bytes. The field `why` says it.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum DivergenceReason {
    /// Their recipes differ.
    Recipe {
        /// In what.
        changes: Vec<FieldChange>,
    },
    /// Their recipes are equal: the action is not deterministic.
    Nondeterminism,
    /// Their recipes differ, and a record is gone, so that nobody knows in what.
    NoRecord {
        /// The runs whose record is gone.
        runs: Vec<String>,
    },
    /// Only one run has the action.
    Only {
        /// That run.
        run: String,
    },
}

/// An output in two runs.
#[derive(Serialize, JsonSchema)]
pub struct ComparedOutput {
    /// Its digest in the first run. Null where it is not there.
    pub old: Option<String>,
    /// Its digest in the second run.
    pub new: Option<String>,
}
