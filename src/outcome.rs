//! Takes stock of a run. The last event, the run record and the tables for people are all made from
//! this one account.

use std::collections::BTreeMap;

use flow_cache::{ActionKey, Digest, Output, Value};
use flow_engine::outputs::ports::Shown;
use flow_engine::plan::keys::Slot;
use flow_engine::run::summary::Summary;
use flow_engine::{Diag, Pipeline};

use crate::evaluation::{Artifacts, METRICS};
use crate::event::{RemoteFigures, RunFinished};
use crate::record::{
    Headline, MetricFigures, Metrics, RunRecord, StageFigures, StageMetrics, StageRecord, Status,
};

/// What is known at the end of a run.
pub struct RunAccount<'a> {
    /// What is known of the plan.
    pub artifacts: Artifacts<'a>,
    /// The figures of the run.
    pub summary: &'a Summary,
    /// The run's id.
    pub run: &'a str,
    /// How it ended.
    pub status: Status,
    /// Elapsed seconds.
    pub wall_s: f64,
    /// What has gone on with the remote.
    pub remote: Option<RemoteFigures>,
}

/// What became of one stage.
pub struct StageOutcome {
    /// Its name.
    pub name: String,
    /// Its kind.
    kind: &'static str,
    /// What feeds each of its input ports: outputs, as `stage.port`.
    inputs: BTreeMap<String, Vec<String>>,
    /// Its actions, time, and the digests of its ports.
    pub figures: StageFigures,
    /// The total bytes of its outputs.
    pub size: u64,
    /// Rows of its first output, if that has rows.
    pub rows: Option<i64>,
    /// What it wants people to know.
    pub notes: Vec<String>,
    /// The programs and packages that decide its results, with their versions.
    versions: BTreeMap<String, String>,
    /// Of an evaluation, the digest of the table of folds that it stems from, and the keys of its
    /// actions, as far as they are known.
    folds: Option<(Digest, Vec<ActionKey>)>,
}

/// What a run came to.
pub struct RunOutcome {
    /// The run's id.
    pub run: String,
    /// Name of the pipeline.
    pipeline: String,
    /// How it ended.
    pub status: Status,
    /// Elapsed seconds.
    pub wall_s: f64,
    /// The stages in order.
    pub stages: Vec<StageOutcome>,
    /// Metrics by stage.
    pub metrics: Metrics,
    /// The metric to quote.
    pub headline: Option<Headline>,
    /// What has gone on with the remote.
    pub remote: Option<RemoteFigures>,
}

impl RunOutcome {
    /// Takes stock after a run.
    pub fn new(account: &RunAccount<'_>) -> Self {
        let pipeline = account.artifacts.plan.pipeline;
        let stages = 0..pipeline.stages.len();
        let metrics = Metrics::new(
            stages
                .clone()
                .filter_map(|stage| {
                    let reported = StageMetrics::reported(&account.artifacts, stage)?;
                    Some((pipeline.stages[stage].name.clone(), reported))
                })
                .collect(),
        );
        let headline = pipeline.headline.as_ref().map(|(stage, metric)| {
            let stage = &pipeline.stages[*stage].name;
            Headline {
                metric: format!("{stage}.{metric}"),
                value: quoted(&metrics, stage, metric).and_then(|figures| figures.pooled),
            }
        });
        Self {
            run: account.run.to_owned(),
            pipeline: pipeline.name.clone(),
            status: account.status,
            wall_s: account.wall_s,
            stages: stages
                .map(|stage| StageOutcome::new(account, stage))
                .collect(),
            metrics,
            headline,
            remote: account.remote.clone(),
        }
    }

    /// The metric to quote, as its stage reported it.
    pub fn headline_metric(&self) -> Option<MetricFigures> {
        let (stage, metric) = self.headline.as_ref()?.metric.split_once('.')?;
        quoted(&self.metrics, stage, metric)
    }

    /// What is wrong with the metric to quote, if its stage has metrics and it is none of them.
    pub fn lost_headline(&self) -> Option<Diag> {
        let (stage, metric) = self.headline.as_ref()?.metric.split_once('.')?;
        let known = self.metrics.of(stage).filter(|known| known.is_known())?;
        if known.get(metric).is_some() {
            return None;
        }
        let message =
            format!("the headline is `{stage}.{metric}`, and `{stage}` gives no `{metric}` here");
        let quotable = known.iter().filter(|(_, metric)| metric.folds.is_some());
        let names: Vec<&str> = quotable.map(|(name, _)| name).collect();
        let diag = Diag::new("flow::metrics::unknown", message);
        let class = known.first_class().unwrap_or("CLASS");
        let diag = match known.iter().find_map(|(_, metric)| metric.average) {
            Some(average) => diag.help(format!(
                "without a positive class its figures are {average} averages: name one in the `ingest` stage, positive = {class:?}"
            )),
            None => diag,
        };
        Some(diag.help(format!("it gives {}", names.join(", "))))
    }

    /// The last event of a run.
    pub fn event(&self) -> RunFinished {
        let stages = self.stages.iter();
        RunFinished {
            status: self.status,
            pipeline: self.pipeline.clone(),
            run: self.run.clone(),
            wall_s: self.wall_s,
            stages: stages
                .map(|s| (s.name.clone(), s.figures.clone()))
                .collect(),
            headline: self.headline.clone(),
            metrics: self.metrics.clone(),
            remote: self.remote.clone(),
        }
    }

    /// The record of the run: what is recorded of how it came about, with what it came to.
    pub fn record(&self, pipeline: &Pipeline, begun: RunRecord) -> RunRecord {
        let stages = self.stages.iter();
        let outputs = pipeline.outputs.iter();
        RunRecord {
            metrics: self.metrics.clone(),
            status: Some(self.status),
            run: Some(self.run.clone()),
            wall_s: self.wall_s,
            stages: stages.map(|s| (s.name.clone(), s.record())).collect(),
            headline: self.headline.clone(),
            outputs: outputs.map(|o| o.path.display().to_string()).collect(),
            ..begun
        }
    }
}

impl StageOutcome {
    fn new(account: &RunAccount<'_>, stage: usize) -> Self {
        let artifacts = account.artifacts;
        let decl = &artifacts.plan.pipeline.stages[stage];
        let summary = account.summary.stage(stage);
        let mut rows_of_first = None;
        let mut outputs = Vec::new();
        for (at, (output, port)) in artifacts.outputs(stage).enumerate() {
            if at == 0 {
                rows_of_first = port.as_ref().and_then(rows);
            }
            let digest = port.as_ref().and_then(Shown::digest);
            outputs.extend(digest.map(|digest| (output.name.clone(), digest)));
        }
        let mut notes = Vec::new();
        for action in artifacts.plan.of_stage(stage) {
            if let Slot::Done(record) = &artifacts.slots[action] {
                notes.extend(record.outputs.iter().flat_map(notes_of));
            }
        }
        let mut ports = decl.ports.outputs.iter();
        let folds = match ports.any(|output| output.ty == METRICS) {
            true => artifacts.folds(stage).and_then(|port| port.digest()),
            false => None,
        };
        let pipeline = artifacts.plan.pipeline;
        let inputs = decl.inputs.iter().map(|input| {
            let from = input.from.iter().map(|from| {
                let stage = &pipeline.stages[from.stage];
                format!("{}.{}", stage.name, stage.ports.outputs[from.port].name)
            });
            (input.port.clone(), from.collect())
        });
        Self {
            name: decl.name.clone(),
            kind: decl.spec.name,
            inputs: inputs.collect(),
            figures: StageFigures::new(&summary, outputs.into_iter().collect()),
            size: summary.size,
            rows: rows_of_first,
            notes,
            versions: versions(&artifacts, stage),
            folds: folds.map(|folds| (folds, artifacts.keys(stage))),
        }
    }

    /// What the record of the run says of it.
    pub fn record(&self) -> StageRecord {
        let (folds, keys) = self.folds.clone().unzip();
        StageRecord {
            figures: self.figures.clone(),
            kind: Some(self.kind.to_owned()),
            inputs: self.inputs.clone(),
            rows: self.rows,
            size: Some(self.size),
            notes: self.notes.clone(),
            keys,
            folds,
            artifacts: None,
            versions: self.versions.clone(),
        }
    }
}

fn quoted(metrics: &Metrics, stage: &str, metric: &str) -> Option<MetricFigures> {
    metrics.of(stage)?.get(metric)
}

/// The rows of a port: those of its shards together, in one fold, of the first stage it shows.
fn rows(port: &Shown<'_>) -> Option<i64> {
    let (_, first) = port.parts().next()?;
    let parts = port
        .parts()
        .filter(|(reference, part)| part.fold == first.fold && *reference == 0);
    parts
        .map(|(_, part)| part.output.attrs.get("rows").and_then(Value::as_int))
        .sum()
}

/// What a program of a stage says of its version, as its recipe has it: lines with a name and a version,
/// such as `numpy 2.1.0`, by name. Other lines are under the name of the kind, the first of them alone.
fn versions(artifacts: &Artifacts<'_>, stage: usize) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    let mut slots = artifacts.plan.of_stage(stage);
    let record = slots.find_map(|action| match &artifacts.slots[action] {
        Slot::Done(record) => Some(record),
        _ => None,
    });
    let host = record.and_then(|record| record.recipe().get("host"));
    let told = host.as_ref().and_then(|host| host.get("version")?.as_str());
    for line in told.into_iter().flat_map(str::lines) {
        let pair = line.split_once(' ').filter(|(_, version)| {
            let digit = version.starts_with(|c: char| c.is_ascii_digit());
            digit && !version.contains(' ')
        });
        let kind = artifacts.plan.pipeline.stages[stage].spec.name;
        let (name, version) = pair.unwrap_or((kind, line));
        let known = versions.entry(name.to_owned());
        known.or_insert_with(|| version.to_owned());
    }
    versions
}

fn notes_of(output: &Output) -> Vec<String> {
    match output.attrs.get("notes") {
        Some(Value::List(notes)) => notes
            .iter()
            .filter_map(|note| note.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    }
}
