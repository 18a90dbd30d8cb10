//! The findings of a check as data. The table, the files and the last event are all made from it.

use std::collections::BTreeMap;

use flow_engine::Diag;
use flow_stages::comparison::gate::{
    GateOptions, Judged, Judgement, Noise, POWER, judge, metrics_of,
};
use flow_stages::comparison::{Arm, KeptScores, Pair};
use flow_stages::evaluation::MACRO_AVERAGE;

use super::baseline::{Baseline, BaselineFile, Evaluation};
use super::recipes::{StageState, Standing, standings};
use crate::error::CliError;
use crate::evaluation::Artifacts;
use crate::event::{CheckFinished, CheckedEvaluation, CheckedOutput, CheckedStage};
use crate::record::StageMetrics;
use crate::wording::count;

/// A drop of average precision that a check should catch.
const WANTED: f64 = 0.05;

/// An evaluation after a run.
pub struct Scored {
    /// Its name.
    pub name: String,
    /// What goes into a baseline, except for the metrics.
    pub kept: Evaluation,
    /// Its scores.
    pub arm: Arm,
    /// Its metrics, as it reports them.
    metrics: StageMetrics,
}

/// Reads the scores of evaluations.
pub fn scored(artifacts: &Artifacts<'_>, evaluations: &[usize]) -> Result<Vec<Scored>, CliError> {
    let mut all = Vec::new();
    for &stage in evaluations {
        let name = artifacts.plan.pipeline.stages[stage].name.clone();
        let inputs = artifacts.inputs(stage);
        let Some(arm) = inputs.arm(&name)? else {
            let message = format!("evaluation `{name}` has no predictions to compare");
            return Err(CliError::usage(Diag::new(UNMEASURED, message)));
        };
        all.push(Scored {
            kept: Evaluation {
                folds: inputs.folds.and_then(|port| port.digest()),
                metrics: BTreeMap::new(),
                positive: arm.parts().class.clone(),
                noise: Some(Noise::of(&arm)),
                scores: Some(KeptScores::of(&arm)),
            },
            name,
            arm,
            metrics: StageMetrics::reported(artifacts, stage).unwrap_or_default(),
        });
    }
    Ok(all)
}

/// What is compared after a run.
pub struct Taken {
    /// Stages by name, in the order of the pipeline.
    pub stages: Vec<(String, StageState)>,
    /// Evaluations with their scores.
    pub scored: Vec<Scored>,
}

impl Taken {
    /// Makes a baseline of it.
    pub fn baseline(self, pipeline: &str) -> Baseline {
        let six = |value: f64| (value * 1e6).round() / 1e6;
        let evaluations = self.scored.into_iter().map(|scored| {
            let mut kept = scored.kept;
            let pooled = scored.metrics.iter().filter_map(|(name, metric)| {
                let value = metric.pooled?;
                Some((name.to_owned(), six(value)))
            });
            kept.metrics.extend(pooled);
            if let Some(noise) = &mut kept.noise {
                noise.sd.values_mut().for_each(|sd| *sd = six(*sd));
            }
            (scored.name, kept)
        });
        let stages = self.stages.into_iter().collect();
        Baseline::new(pipeline, evaluations.collect(), stages)
    }
}

/// The findings of a check.
pub struct CheckResults {
    /// Name of the pipeline.
    pub pipeline: String,
    /// The baseline, as it was named.
    pub baseline: String,
    /// Stages with their standing.
    pub stages: Vec<(String, Standing)>,
    /// Evaluations, in the order of the pipeline.
    pub evaluations: Vec<Compared>,
    /// The declared rate of false alarms.
    pub false_alarms: f64,
}

/// One evaluation against the baseline.
pub struct Compared {
    /// Its name.
    pub name: String,
    /// The number of objects that both have, and how many of them are positive.
    pub objects: Option<(usize, Option<usize>)>,
    /// How figures are averaged, if they are macro averages.
    pub average: Option<&'static str>,
    /// Repeats that differ, now and in the baseline.
    pub repeats: Option<(usize, usize)>,
    /// The judged metrics. Empty where there is nothing to compare.
    pub metrics: Vec<Judged>,
    /// What people should know of the comparison.
    pub notes: Vec<String>,
}

impl CheckResults {
    /// Compares what was taken with the baseline.
    ///
    /// # Errors
    /// Too few objects are left in common, or the baseline measures what the run does not.
    pub fn new(
        earlier: &Baseline,
        place: &BaselineFile,
        taken: &Taken,
        options: GateOptions,
    ) -> Result<Self, CliError> {
        let tests = taken.scored.iter().map(|s| metrics_of(&s.arm).len());
        let options = GateOptions {
            tests: tests.sum(),
            ..options
        };
        let mut evaluations = Vec::new();
        for scored in &taken.scored {
            let earlier = earlier.evaluations.get(&scored.name);
            if let Some(why) = earlier.and_then(|earlier| unmeasured(earlier, scored)) {
                let message = format!("evaluation `{}` is not measured: {why}", scored.name);
                return Err(CliError::usage(place.diag(UNMEASURED, message)));
            }
            evaluations.push(compared(earlier, scored, &options)?);
        }
        Ok(Self {
            pipeline: earlier.pipeline.clone(),
            baseline: place.shown.clone(),
            stages: standings(&earlier.stages, &taken.stages),
            evaluations,
            false_alarms: options.false_alarms,
        })
    }

    /// Stages that gave other results although their recipe is the same.
    pub fn nondeterministic(&self) -> Vec<&str> {
        let stages = self.stages.iter();
        let found = stages.filter(|(_, s)| matches!(s, Standing::Nondeterministic(_)));
        found.map(|(name, _)| name.as_str()).collect()
    }

    /// Metrics that are worse, as `evaluation.metric`.
    pub fn worse(&self) -> Vec<(&Compared, &Judged)> {
        let all = self.evaluations.iter();
        all.flat_map(|e| e.metrics.iter().map(move |m| (e, m)))
            .filter(|(_, metric)| metric.verdict == Judgement::Worse)
            .collect()
    }

    /// The verdict in one word.
    pub fn verdict(&self) -> &'static str {
        match (self.nondeterministic().is_empty(), self.worse().is_empty()) {
            (false, _) => "nondeterminism",
            (true, false) => "regression",
            (true, true) => "ok",
        }
    }

    /// The last event of a check.
    pub fn event(&self, run: &str) -> CheckFinished {
        let evaluations = self.evaluations.iter();
        let stages = self.stages.iter();
        CheckFinished {
            verdict: self.verdict().to_owned(),
            pipeline: self.pipeline.clone(),
            run: run.to_owned(),
            baseline: self.baseline.clone(),
            false_alarms: self.false_alarms,
            evaluations: evaluations.map(|e| (e.name.clone(), e.event())).collect(),
            stages: stages.map(|(name, s)| (name.clone(), s.into())).collect(),
        }
    }
}

impl Compared {
    fn event(&self) -> CheckedEvaluation {
        let metrics = self.metrics.iter();
        CheckedEvaluation {
            objects: self.objects.map(|(all, _)| all),
            positives: self.objects.and_then(|(_, positives)| positives),
            average: self.average.map(str::to_owned),
            repeats: self.repeats.map(|(now, _)| now),
            baseline_repeats: self.repeats.map(|(_, then)| then),
            metrics: metrics
                .map(|judged| (judged.metric.key().to_owned(), judged.clone()))
                .collect(),
            notes: self.notes.clone(),
        }
    }
}

impl From<&Standing> for CheckedStage {
    fn from(standing: &Standing) -> Self {
        match standing {
            Standing::Same => Self::Same,
            Standing::Changed(changes) => Self::Changed {
                changes: changes.clone(),
            },
            Standing::New => Self::New,
            Standing::Gone => Self::Gone,
            Standing::Nondeterministic(outputs) => {
                let outputs = outputs.iter().map(|(name, was, is)| {
                    let (baseline, now) = (was.to_string(), is.to_string());
                    (name.clone(), CheckedOutput { baseline, now })
                });
                Self::Nondeterministic {
                    outputs: outputs.collect(),
                }
            }
        }
    }
}

/// Code of the error for what the baseline measures and the run does not.
const UNMEASURED: &str = "flow::check::unmeasured";

/// Says why an evaluation cannot be compared with the baseline.
fn unmeasured(earlier: &Evaluation, now: &Scored) -> Option<String> {
    let Some(scores) = &earlier.scores else {
        return Some("the baseline has no scores of it".to_owned());
    };
    let of = |class: Option<&String>, columns: &[String]| match class {
        _ if !columns.is_empty() => format!("macro averages over {}", columns.join(", ")),
        Some(class) => format!("figures of the class `{class}`"),
        None => "figures of a positive class".to_owned(),
    };
    let parts = now.arm.parts();
    let columns = parts
        .classes
        .as_ref()
        .map_or(&[][..], |c| c.names.as_slice());
    // The first format does not say which class the metrics are of.
    let same = earlier.positive == parts.class || earlier.positive.is_none();
    if scores.columns != columns || !same {
        return Some(format!(
            "the baseline has {}, and the run {}",
            of(earlier.positive.as_ref(), &scores.columns),
            of(parts.class.as_ref(), columns)
        ));
    }
    let undefined = |name: &&String| {
        let metric = now.metrics.get(name);
        metric.and_then(|metric| metric.pooled).is_none()
    };
    let lost: Vec<&str> = earlier
        .metrics
        .keys()
        .filter(undefined)
        .map(String::as_str)
        .collect();
    let lost = (!lost.is_empty()).then(|| lost.join(", "))?;
    Some(format!(
        "the baseline has {lost}, which the run leaves undefined"
    ))
}

fn compared(
    earlier: Option<&Evaluation>,
    scored: &Scored,
    options: &GateOptions,
) -> Result<Compared, CliError> {
    let mut compared = Compared {
        name: scored.name.clone(),
        objects: None,
        average: None,
        repeats: None,
        metrics: Vec::new(),
        notes: Vec::new(),
    };
    let before = earlier.and_then(|e| Some((e, e.scores.as_ref()?, e.noise.as_ref()?)));
    let (Some((earlier, scores, before)), Some(noise)) = (before, &scored.kept.noise) else {
        let note = "not compared: the baseline does not have it; `--update` takes it in";
        compared.notes.push(note.to_owned());
        return Ok(compared);
    };
    let pair = Pair::new(scores, &scored.arm)?;
    compared.metrics = judge(&pair, before, noise, options)?;
    compared.notes = notes(&pair, earlier.folds == scored.kept.folds, [noise, before]);
    compared.notes.extend(blind(&compared.metrics));
    let classes = pair.now.parts().classes.as_ref();
    compared.average = classes.map(|_| MACRO_AVERAGE);
    compared.objects = Some((pair.now.len(), pair.now.positives()));
    compared.repeats = Some((noise.repeats, before.repeats));
    Ok(compared)
}

/// What people should know of the objects, folds and repeats that are compared.
fn notes(pair: &Pair, same_folds: bool, noise: [&Noise; 2]) -> Vec<String> {
    let mut notes = Vec::new();
    let mut left_out = |n: usize, what: &str| {
        if n > 0 {
            notes.push(format!("{} {what}: left out", count(n, "object")));
        }
    };
    left_out(pair.appeared, "not in the baseline");
    left_out(pair.gone, "only in the baseline");
    left_out(pair.relabelled, "of another class than in the baseline");
    if !same_folds {
        notes.push(
            "the folds are not those of the baseline, so part of the difference is the luck of the deal"
                .to_owned(),
        );
    }
    if noise.iter().all(|noise| noise.repeats < 2) {
        notes.push(
            "one repeat does not show how much seeds matter (nor do repeats that are dealt alike), so that is taken to be as much as objects do: set `repeats = 5` in the `folds` stage"
                .to_owned(),
        );
    }
    notes
}

/// Says that a drop of the first metric would hardly be caught.
fn blind(metrics: &[Judged]) -> Option<String> {
    let ap = metrics.first()?;
    (ap.verdict == Judgement::Ok && ap.detectable > WANTED).then(|| {
        format!(
            "only a drop of {} by {:.3} would be caught with a chance of {:.0} %, not one by {WANTED}: set more `repeats` in the `folds` stage",
            ap.metric.title(),
            ap.detectable,
            100.0 * POWER
        )
    })
}
