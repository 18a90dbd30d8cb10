//! The findings of a study, for programs: in its events and in `study.json`.
//!
//! Nothing here depends on the machine or on what the store knew: a study that was killed and resumed
//! leaves the same bytes as one that was not. Costs are only in events and text.

use flow_engine::pipeline::file::Replace;
use flow_stages::tuning::{Best, TrialOutcome};
use serde_json::Value as Json;

use super::bench::Bench;
use super::findings::{Findings, Nested, Searched};
use crate::event::{BestTrial, NestedFigures, NestedFold, StudyFigures, TrialFigures};
use crate::record::ByName;

/// The values by the paths of what they replace.
pub fn by_path(values: &[Replace]) -> ByName<Json> {
    let json = |value: &toml::Value| serde_json::to_value(value).unwrap_or(Json::Null);
    let values = values.iter();
    values.map(|v| (v.path.clone(), json(&v.value))).collect()
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
    }
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
