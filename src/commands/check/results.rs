//! What a check found, as data: the table, the files and the last event are all made from it.

use std::collections::{BTreeMap, HashSet};

use flow_cache::{Health, Store};
use flow_engine::deliver::{self, Port};
use flow_engine::keys::Slot;
use flow_engine::plan::Plan;
use flow_stages::study::gate::{GateOptions, JUDGED, Judged, Judgement, Noise, POWER, judge};
use flow_stages::study::{Arm, Pair, Scores};
use serde_json::{Map, Value as Json, json};

use super::baseline::{Baseline, Evaluation};
use super::recipes::{StageState, Standing, standings};
use crate::commands::ablate::study::{PREDICTIONS, evaluations};
use crate::error::CliError;
use crate::render::count;
use crate::report::{self, Report};

/// A drop of average precision that a check should catch.
const WANTED: f64 = 0.05;

/// An evaluation after a run.
pub struct Scored {
    /// Its name.
    pub name: String,
    /// What goes into a baseline, but for the metrics.
    pub kept: Evaluation,
    /// Its scores; why there are none otherwise.
    pub arm: Result<Arm, String>,
}

/// The artifacts that an evaluation reads: predictions, and the table of folds.
struct Reads {
    name: String,
    predictions: Option<Port>,
    folds: Option<Port>,
}

fn reads(plan: &Plan<'_>, slots: &[Slot], store: &Store) -> Vec<Reads> {
    let one = |stage: usize| {
        let decl = &plan.pipeline.stages[stage];
        let input = decl.inputs.iter().find(|input| input.port == PREDICTIONS);
        let from = input.and_then(|input| input.from.first());
        Reads {
            name: decl.name.clone(),
            predictions: from.and_then(|from| deliver::port(plan, slots, store, *from)),
            folds: report::folds(plan, slots, store, stage),
        }
    };
    evaluations(plan.pipeline).into_iter().map(one).collect()
}

/// Actions whose bytes are needed and lost.
pub fn lost(plan: &Plan<'_>, slots: &[Slot], store: &Store) -> Result<HashSet<usize>, CliError> {
    let mut lost = HashSet::new();
    for reads in reads(plan, slots, store) {
        let ports = [&reads.predictions, &reads.folds];
        for (digest, producer) in ports.into_iter().flatten().flat_map(|port| &port.needs) {
            match store.check(digest)? {
                Health::Ok => continue,
                Health::Corrupt => drop(store.quarantine(digest)?),
                Health::Missing => {}
            }
            lost.insert(*producer);
        }
    }
    Ok(lost)
}

/// Reads the scores of all evaluations.
pub fn scored(plan: &Plan<'_>, slots: &[Slot], store: &Store) -> Result<Vec<Scored>, CliError> {
    let mut all = Vec::new();
    for reads in reads(plan, slots, store) {
        let path = |port: &Option<Port>| Some(port.as_ref()?.parts.first()?.path.clone());
        let arm = match path(&reads.predictions) {
            Some(predictions) => {
                match Arm::read(&reads.name, &predictions, path(&reads.folds).as_deref()) {
                    Ok(arm) => Ok(arm),
                    // Macro metrics are not compared; anything else is an error.
                    Err(error) if error.code == "flow::study::positive" => Err(error.message),
                    Err(error) => return Err(error.into()),
                }
            }
            None => Err("it has no predictions".to_owned()),
        };
        let known = arm.as_ref().ok();
        all.push(Scored {
            kept: Evaluation {
                folds: reads.folds.and_then(|port| port.digest()),
                metrics: BTreeMap::new(),
                noise: known.map(Noise::of),
                scores: known.map(Scores::of),
            },
            name: reads.name,
            arm,
        });
    }
    Ok(all)
}

/// A baseline of what a run came to.
pub fn baseline(
    pipeline: &str,
    report: &Report,
    stages: Vec<StageState>,
    scored: &[Scored],
) -> Baseline {
    let six = |value: f64| (value * 1e6).round() / 1e6;
    let evaluations = scored.iter().map(|scored| {
        let mut kept = scored.kept.clone();
        let metrics = report.metrics.get(&scored.name).and_then(Json::as_object);
        for (name, metric) in metrics.into_iter().flatten() {
            if let Some(value) = metric.get("pooled").and_then(Json::as_f64) {
                kept.metrics.insert(name.clone(), six(value));
            }
        }
        if let Some(noise) = &mut kept.noise {
            noise.sd.values_mut().for_each(|sd| *sd = six(*sd));
        }
        (scored.name.clone(), kept)
    });
    let named = named(report, stages);
    Baseline::new(pipeline, evaluations.collect(), named.into_iter().collect())
}

/// Stages with their names and outputs, in the order of the pipeline.
pub fn named(report: &Report, stages: Vec<StageState>) -> Vec<(String, StageState)> {
    let named = report.stages.iter().zip(stages).map(|(stage, mut state)| {
        for (output, digest) in &stage.outputs {
            if let Some(digest) = digest {
                state.outputs.insert(output.clone(), *digest);
            }
        }
        (stage.name.clone(), state)
    });
    named.collect()
}

/// What a check found.
pub struct Results {
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
    /// Objects that both have, and how many of them are positive.
    pub objects: Option<(usize, usize)>,
    /// Repeats that differ, now and in the baseline.
    pub repeats: Option<(usize, usize)>,
    /// Judged metrics; empty where there is nothing to compare.
    pub metrics: Vec<Judged>,
    /// What people should know of the comparison.
    pub notes: Vec<String>,
}

impl Results {
    /// Compares.
    ///
    /// # Errors
    /// Too few objects are left in common.
    pub fn new(
        earlier: &Baseline,
        shown: &str,
        stages: &[(String, StageState)],
        scored: &[Scored],
        options: &GateOptions,
    ) -> Result<Self, CliError> {
        let options = GateOptions {
            tests: scored.len() * JUDGED.len(),
            ..options.clone()
        };
        let mut evaluations = Vec::new();
        for scored in scored {
            evaluations.push(compared(
                earlier.evaluations.get(&scored.name),
                scored,
                &options,
            )?);
        }
        Ok(Self {
            pipeline: earlier.pipeline.clone(),
            baseline: shown.to_owned(),
            stages: standings(&earlier.stages, stages),
            evaluations,
            false_alarms: options.false_alarms,
        })
    }

    /// Stages that gave other results by the same recipe.
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
    pub fn json(&self, run: &str) -> Json {
        let stages: Map<String, Json> = self
            .stages
            .iter()
            .map(|(name, standing)| (name.clone(), standing_json(standing)))
            .collect();
        let evaluations: Map<String, Json> = self
            .evaluations
            .iter()
            .map(|compared| (compared.name.clone(), compared.json()))
            .collect();
        json!({
            "event": "check-finished",
            "verdict": self.verdict(),
            "pipeline": self.pipeline,
            "run": run,
            "baseline": self.baseline,
            "false_alarms": self.false_alarms,
            "evaluations": evaluations,
            "stages": stages,
        })
    }
}

impl Compared {
    fn json(&self) -> Json {
        let metrics: Map<String, Json> = self
            .metrics
            .iter()
            .map(|judged| (judged.metric.key().to_owned(), json!(judged)))
            .collect();
        json!({
            "objects": self.objects.map(|(all, _)| all),
            "positives": self.objects.map(|(_, positives)| positives),
            "repeats": self.repeats.map(|(now, _)| now),
            "baseline_repeats": self.repeats.map(|(_, then)| then),
            "metrics": metrics,
            "notes": self.notes,
        })
    }
}

fn standing_json(standing: &Standing) -> Json {
    match standing {
        Standing::Same => json!({"standing": "same"}),
        Standing::Changed(changes) => json!({"standing": "changed", "changes": changes}),
        Standing::New => json!({"standing": "new"}),
        Standing::Gone => json!({"standing": "gone"}),
        Standing::Nondeterministic(outputs) => {
            let outputs: Map<String, Json> = outputs
                .iter()
                .map(|(name, was, is)| {
                    let both = json!({"baseline": was.to_string(), "now": is.to_string()});
                    (name.clone(), both)
                })
                .collect();
            json!({"standing": "nondeterministic", "outputs": outputs})
        }
    }
}

fn compared(
    earlier: Option<&Evaluation>,
    scored: &Scored,
    options: &GateOptions,
) -> Result<Compared, CliError> {
    let mut compared = Compared {
        name: scored.name.clone(),
        objects: None,
        repeats: None,
        metrics: Vec::new(),
        notes: Vec::new(),
    };
    let parts = (earlier, &scored.arm, &scored.kept.noise);
    let (Some(earlier), Ok(arm), Some(noise)) = parts else {
        compared.notes.push(match &scored.arm {
            Err(why) => format!("not compared: {why}"),
            Ok(_) => "not compared: the baseline does not have it".to_owned(),
        });
        return Ok(compared);
    };
    let (Some(scores), Some(before)) = (&earlier.scores, &earlier.noise) else {
        compared
            .notes
            .push("not compared: the baseline has no scores".to_owned());
        return Ok(compared);
    };
    let pair = Pair::new(scores, arm)?;
    let mut note = |n: usize, what: &str| {
        if n > 0 {
            compared
                .notes
                .push(format!("{} {what}", count(n, "object")));
        }
    };
    note(pair.appeared, "not in the baseline: left out");
    note(pair.gone, "only in the baseline: left out");
    note(
        pair.relabelled,
        "of another class than in the baseline: left out",
    );
    if earlier.folds != scored.kept.folds {
        compared.notes.push(
            "the folds are not those of the baseline, so part of the difference is the luck of the deal"
                .to_owned(),
        );
    }
    if noise.repeats.max(before.repeats) < 2 {
        compared.notes.push(
            "one repeat does not show how much seeds matter (nor do repeats that are dealt alike), so that is taken to be as much as objects do: set `repeats = 5` in the `folds` stage"
                .to_owned(),
        );
    }
    compared.metrics = judge(&pair, before, noise, options)?;
    if let Some(ap) = compared.metrics.first()
        && ap.verdict == Judgement::Ok
        && ap.detectable > WANTED
    {
        compared.notes.push(format!(
            "only a drop of {} by {:.3} would be caught with a chance of {:.0} %, not one by {WANTED}: set more `repeats` in the `folds` stage",
            ap.metric.title(),
            ap.detectable,
            100.0 * POWER
        ));
    }
    compared.objects = Some((pair.now.len(), pair.now.positives()));
    compared.repeats = Some((noise.repeats, before.repeats));
    Ok(compared)
}
