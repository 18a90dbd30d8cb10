//! The run record: what `.flow/runs` keeps of a run, as typed structs.
//!
//! Here are the fields of a record and of its long part (action by action), the code that writes them,
//! and the code that reads them. No other module names a field of the JSON. Other modules take stock of
//! a run (`crate::outcome`), find the run that somebody means (`crate::history`) and show it to people.
//!
//! A record that an older version wrote must still be readable: a new field has a default, and no field
//! changes its name or its meaning. Unknown fields are ignored, so that an older version can read newer
//! records too. `tests.rs` holds one record of each layout.
//!
//! Begin with [`RunRecord`]; `read.rs` answers questions about records.

mod by_name;
mod difference;
mod host;
mod long;
mod metrics;
mod read;
#[cfg(test)]
mod tests;
mod times;

use std::collections::{BTreeMap, HashSet};

use flow_cache::{ActionKey, Digest};
use flow_engine::run::summary::StageSummary;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use by_name::ByName;
pub use difference::{About, RecordDifference, differences};
pub use host::Host;
pub use long::{ActionRecord, Long, LongRecord, PartRecord, PortRecord, StageActions};
pub use metrics::{MetricFigures, Metrics, StageMetrics};
pub use read::{as_written, pin, tag, tried};
pub use times::{ActionTime, RunTimes};

use crate::wording::quoted;

/// The version of the format. It is raised when a field is added. A record that does not say its
/// version has version 0.
pub const FORMAT: u32 = 2;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All is up to date.
    Ok,
    /// Something failed.
    Failed,
    /// It was stopped.
    Interrupted,
}

impl Status {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The record of a run. A field that an earlier version did not write is missing or empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunRecord {
    /// The version of the format, see [`FORMAT`].
    pub format: u32,
    /// What the evaluations reported.
    pub metrics: Metrics,
    /// How the run ended.
    pub status: Option<Status>,
    /// The name of the pipeline.
    pub pipeline: Option<String>,
    /// The id of the run.
    pub run: Option<String>,
    /// Elapsed seconds.
    pub wall_s: f64,
    /// The stages by name, in the order of the pipeline.
    pub stages: ByName<StageRecord>,
    /// The metric to quote, if the pipeline names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headline: Option<Headline>,
    /// The version of flow.
    pub flow: Option<String>,
    /// The file of the pipeline.
    pub file: Option<String>,
    /// The files under `[outputs]`.
    pub outputs: Vec<String>,
    /// Values that were set.
    pub set: Vec<String>,
    /// The variant that was asked for.
    pub variant: Option<String>,
    /// The stage that was asked for.
    pub to: Option<String>,
    /// The working directory.
    pub cwd: Option<String>,
    /// The words of the command line after the name of the program.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// What git said of the project, if git tracks it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git: Option<GitState>,
    /// The folder of the store.
    pub store: Option<String>,
    /// Names that people gave the run.
    pub tags: Vec<String>,
    /// True if gc leaves the results of the run alone.
    pub pinned: bool,
    /// The digest of the long part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actions: Option<Digest>,
    /// What a search by `flow tune` found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tune: Option<TuneRecord>,
    /// The digest of what an ablation, a study or a check found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub findings: Option<Digest>,
    /// The machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// The warnings that the run showed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What failed, in a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// The whole pipeline as TOML, with what its file extends and all that was set in place. It loads from
    /// the project root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved: Option<String>,
}

/// What a record says of a stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StageRecord {
    /// Its figures.
    #[serde(flatten)]
    pub figures: StageFigures,
    /// Its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What feeds each of its input ports: outputs, as `stage.port`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, Vec<String>>,
    /// Rows of its first output, if that has rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<i64>,
    /// The total bytes of its outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// What it wants people to know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The keys of its actions, as far as they are known. Evaluations have them, and so do all stages
    /// in the records of `flow tune` and of the first version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<ActionKey>>,
    /// The digest of the table of folds that an evaluation comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folds: Option<Digest>,
    /// Its ports, in records without a long part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<BTreeMap<String, PortRecord>>,
    /// The programs and packages that decide its results, with their versions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<String, String>,
}

/// The figures of a stage in a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StageFigures {
    /// All its actions.
    pub actions: usize,
    /// Those that the store answered, or another run.
    pub hit: usize,
    /// Those that ran.
    pub ran: usize,
    /// Those that failed.
    pub failed: usize,
    /// Those that were not attempted.
    pub skipped: usize,
    /// Wall seconds of the actions that ran, added up.
    pub wall_s: f64,
    /// CPU seconds of the actions that ran, added up.
    pub cpu_s: f64,
    /// The most memory that one of the actions that ran held, in bytes.
    pub peak_rss: u64,
    /// Bytes that the actions that ran read.
    pub read_bytes: u64,
    /// The digests of its output ports, as far as they are known.
    #[schemars(with = "BTreeMap<String, String>")]
    pub outputs: ByName<Digest>,
}

/// The metric to quote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Headline {
    /// Its name, `stage.metric`.
    pub metric: String,
    /// Its pooled value, if it has one.
    #[serde(default)]
    pub value: Option<f64>,
}

/// The state of the project in git.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GitState {
    /// The commit that was checked out.
    pub commit: String,
    /// Files that git keeps differed from it. Where nothing ran, nobody asked.
    #[serde(default)]
    pub dirty: Option<bool>,
}

/// What a search by `flow tune` found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TuneRecord {
    /// The metric that was to be improved, `stage.metric`.
    pub objective: String,
    /// Trials that were made.
    pub trials: usize,
    /// The best value, if there is one.
    pub best: Option<f64>,
}

impl RunRecord {
    /// The value of the metric to quote.
    pub fn headline_value(&self) -> Option<f64> {
        self.headline.as_ref()?.value
    }

    /// A figure of all stages together.
    pub fn sum(&self, figure: impl Fn(&StageFigures) -> usize) -> usize {
        let stages = self.stages.iter();
        stages.map(|(_, stage)| figure(&stage.figures)).sum()
    }

    /// What the run was asked for besides its file: as the options that ask for it again, or shorter.
    pub fn asked(&self, options: bool) -> String {
        let known = |name: &str, value: &Option<String>| {
            let value = value.as_deref()?;
            Some(format!("--{name} {}", quoted(value)))
        };
        let words = [known("variant", &self.variant), known("to", &self.to)];
        let sets = self.set.iter().map(|set| match options {
            true => format!("--set {}", quoted(set)),
            false => set.clone(),
        });
        let words = words.into_iter().flatten().chain(sets);
        words.collect::<Vec<_>>().join(" ")
    }
}

impl StageRecord {
    /// Adds what a later pass says of the stage: what ran, and the keys.
    pub fn merge(&mut self, later: Self) {
        let (known, more) = (&mut self.figures, later.figures);
        known.ran += more.ran;
        known.failed += more.failed;
        known.wall_s += more.wall_s;
        known.cpu_s += more.cpu_s;
        if let Some(keys) = &mut self.keys {
            let mut there: HashSet<ActionKey> = keys.iter().copied().collect();
            let later = later.keys.into_iter().flatten();
            keys.extend(later.filter(|key| there.insert(*key)));
        }
    }
}

impl StageFigures {
    /// The figures of a summary, together with the digests of output ports.
    pub fn new(summary: &StageSummary, outputs: ByName<Digest>) -> Self {
        Self {
            actions: summary.actions(),
            hit: summary.hit,
            ran: summary.ran,
            failed: summary.failed,
            skipped: summary.skipped,
            wall_s: summary.wall_s,
            cpu_s: summary.cpu_s,
            peak_rss: summary.peak_rss,
            read_bytes: summary.read_bytes,
            outputs,
        }
    }
}

impl GitState {
    /// The start of the commit, with a `+` if files differed from it.
    pub fn short(&self) -> String {
        let start = self.commit.get(..8).unwrap_or(&self.commit);
        let mark = if self.dirty == Some(true) { "+" } else { "" };
        format!("{start}{mark}")
    }

    /// The commit, and whether files differed from it.
    pub fn long(&self) -> String {
        let state = match self.dirty {
            Some(true) => ", with changes that were not committed",
            Some(false) => ", without changes",
            None => "",
        };
        format!("{}{state}", self.commit)
    }
}
