//! The whole study: the search, the best configuration once more, and searches within outer folds.

use std::path::PathBuf;

use flow_engine::Diag;
use flow_stages::comparison::{Arm, ComparisonOptions, Estimate, summarise};
use flow_stages::evaluation::Metric;
use flow_stages::tuning::{Best, TrialOutcome};

use super::bench::{Bench, Evaluated};
use super::findings::{Findings, Searched};
use super::nested::nested;
use super::problem::Coverage;
use super::search::{record, search};
use crate::commands::run::Setup;
use crate::error::{CliError, Exit};
use crate::record::{Status, tried};

/// Makes the study. The run record is saved after each generation.
pub fn study(bench: &mut Bench<'_>, setup: &Setup) -> Result<Findings, CliError> {
    let searched = search(bench, None, &mut |bench, searched| {
        bench.save(Status::Interrupted, record(bench, searched))
    })?;
    let mut trials = searched.study.trials().iter();
    if !trials.any(|trial| trial.outcome.value().is_some()) {
        bench.save(Status::Failed, record(bench, &searched))?;
        return Err(all_failed(&searched));
    }
    let found = evaluate_best(bench, &searched)?;
    let best = found.last();
    let interval = best.and_then(|best| interval(best, bench.problem.metric));
    let folds = found.iter().rev().find_map(|found| found.folds.clone());
    let nested = match &folds {
        Some((_, table)) if bench.problem.tune.nested => Some(nested(bench, table)?),
        _ => None,
    };
    bench.save(Status::Ok, record(bench, &searched))?;
    let tried = match &folds {
        Some(_) => Some(tried(&setup.state.runs(), &searched.folds)?),
        None => None,
    };
    let inner = nested.iter().flat_map(|nested| &nested.folds);
    let saved_s = searched.saved_s + inner.map(|fold| fold.searched.saved_s).sum::<f64>();
    Ok(Findings {
        searched,
        interval,
        nested,
        tried,
        saved_s,
    })
}

fn all_failed(searched: &Searched) -> CliError {
    let diag = Diag::new("flow::tune::all_failed", "no trial could be evaluated");
    let mut trials = searched.study.trials().iter();
    let reason = trials.find_map(|trial| match &trial.outcome {
        TrialOutcome::Failed(message) => Some(format!("the first: {message}")),
        _ => None,
    });
    CliError::new(Exit::Stage, reason.into_iter().fold(diag, Diag::help))
}

/// Evaluates the pipeline as it is and, unless that is the best, the best configuration, with their
/// bytes.
fn evaluate_best(bench: &mut Bench<'_>, searched: &Searched) -> Result<Vec<Evaluated>, CliError> {
    let mut arms = vec![bench.problem.base()];
    if let Some((Best::Trial(_), _)) = searched.study.best() {
        arms.extend(searched.best(bench));
    }
    bench.evaluate(&arms, None, Coverage::Crossed, true)
}

/// The value of a configuration with its interval, or `None` for metrics that the statistics do not
/// know.
fn interval(found: &Evaluated, metric: Metric) -> Option<Estimate> {
    if !Metric::COMPARED.contains(&metric) {
        return None;
    }
    let folds: Option<&PathBuf> = found.folds.as_ref().map(|(_, path)| path);
    let arm = Arm::read(
        "best",
        found.predictions.as_ref()?,
        folds.map(PathBuf::as_path),
    )
    .ok()?;
    let summary = summarise(&arm, &ComparisonOptions::default()).ok()?;
    summary.metrics.get(&metric).copied()
}
