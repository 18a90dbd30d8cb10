//! The findings of a study, for programs: in its events and in `study.json`.
//!
//! Nothing here depends on the machine or on what the store knew: a study that was killed and resumed
//! leaves the same bytes as one that was not. Costs are only in events and text.

use flow_engine::pipeline::file::Replace;
use flow_engine::pipeline::study::Range;
use flow_stages::tuning::{Best, TrialOutcome, importance};
use serde_json::Value as Json;

use super::bench::Bench;
use super::findings::{Findings, Nested, Searched};
use crate::event::{
    BestTrial, NestedFigures, NestedFold, ParameterImportance, SearchedRange, StudyCost,
    StudyFigures, TrialFigures,
};
use crate::record::ByName;

/// The values by the paths of what they replace.
pub fn by_path(values: &[Replace]) -> ByName<Json> {
    let values = values.iter();
    values.map(|v| (v.path.clone(), json(&v.value))).collect()
}

fn json(value: &toml::Value) -> Json {
    serde_json::to_value(value).unwrap_or(Json::Null)
}

/// What is known of a trial.
pub fn trial_figures(bench: &Bench<'_>, searched: &Searched, number: usize) -> TrialFigures {
    let trial = &searched.study.trials()[number];
    let all = bench.problem.folds.as_ref().map(|folds| folds.names.len());
    let (folds, bound, error) = match &trial.outcome {
        TrialOutcome::Complete(_) => (Some(all), None, None),
        TrialOutcome::Pruned { folds, bound } => (Some(Some(*folds)), Some(*bound), None),
        TrialOutcome::Failed(message) => (None, None, Some(message.clone())),
    };
    TrialFigures {
        trial: number,
        generation: trial.generation,
        state: trial.outcome.name().to_owned(),
        values: by_path(&searched.candidates[number].values),
        value: trial.outcome.value(),
        folds,
        bound,
        error,
    }
}

/// The findings of a study, without what it cost.
pub fn study_figures(bench: &Bench<'_>, findings: &Findings) -> StudyFigures {
    let problem = bench.problem;
    let searched = &findings.searched;
    let trials = 0..searched.study.trials().len();
    StudyFigures {
        pipeline: problem.name.clone(),
        objective: bench.problem.objective(),
        direction: problem.design.direction.name().to_owned(),
        sampler: bench.problem.tune.sampler.name().to_owned(),
        seed: problem.design.seed,
        parallel: problem.design.parallel,
        prune: problem.tune.prune,
        base: searched.study.base().map(|scores| scores.pooled),
        best: best_trial(bench, findings),
        trials: trials
            .map(|number| trial_figures(bench, searched, number))
            .collect(),
        nested: findings.nested.as_ref().map(nested_figures),
        space: space(bench),
        importance: importances(bench, searched),
    }
}

/// What the study cost.
pub fn study_cost(bench: &Bench<'_>, findings: &Findings) -> StudyCost {
    StudyCost {
        ran: bench.spent.ran,
        cpu_s: bench.spent.cpu_s,
        saved_cpu_s: findings.saved_s,
        configurations: findings.tried,
        trials_cpu_s: findings.searched.cpu_s.clone(),
    }
}

fn space(bench: &Bench<'_>) -> ByName<SearchedRange> {
    let axes = bench.problem.axes.iter().map(|axis| {
        let range = match &axis.range {
            Range::Numbers {
                low,
                high,
                whole,
                log,
                steps,
            } => SearchedRange::Numbers {
                low: *low,
                high: *high,
                whole: *whole,
                log: *log,
                steps: *steps,
            },
            Range::Choice(values) => SearchedRange::Choice {
                choice: values.iter().map(json).collect(),
            },
        };
        (axis.path.clone(), range)
    });
    axes.collect()
}

/// How much each parameter matters, by the trials that have it.
fn importances(bench: &Bench<'_>, searched: &Searched) -> ByName<Option<ParameterImportance>> {
    let design = &bench.problem.design;
    let axes = bench.problem.axes.iter().zip(&design.space).enumerate();
    let found = axes.map(|(number, (axis, dimension))| {
        let trials = searched.study.trials().iter().zip(&searched.candidates);
        let has = |values: &[Replace]| values.iter().any(|value| value.path == axis.path);
        let trials: Vec<(f64, Option<f64>)> = trials
            .filter(|(_, candidate)| has(&candidate.values))
            .map(|(trial, _)| {
                let value = trial.outcome.value();
                let loss = value.map(|value| design.direction.loss(value));
                (trial.point[number], loss)
            })
            .collect();
        let found = importance(dimension, &trials, number as u64);
        let found = found.map(|found| ParameterImportance {
            divergence: found.divergence,
            chance: found.chance,
        });
        (axis.path.clone(), found)
    });
    found.collect()
}

fn best_trial(bench: &Bench<'_>, findings: &Findings) -> Option<BestTrial> {
    let searched = &findings.searched;
    let (best, scores) = searched.study.best()?;
    let values = searched.best(bench).map(|best| by_path(&best.values));
    Some(BestTrial {
        trial: match best {
            Best::Base => None,
            Best::Trial(number) => Some(number),
        },
        value: scores.pooled,
        interval: findings.interval,
        values,
    })
}

fn nested_figures(nested: &Nested) -> NestedFigures {
    let folds = nested.folds.iter().map(|fold| NestedFold {
        values: by_path(&fold.chosen.values),
        inner: fold.inner,
        outer: fold.outer,
    });
    NestedFigures {
        inner: nested.inner(),
        outer: nested.tuned,
        outer_base: nested.base,
        optimism: nested.tuned.map(|outer| nested.inner() - outer),
        difference: nested.difference.clone(),
        folds: folds.collect(),
    }
}
