//! `nested = true`: makes the study within each fold of an outer cross-validation, and measures the
//! configurations that won there on objects that they never saw.

use std::path::{Path, PathBuf};

use flow_engine::Diag;
use flow_stages::comparison::{ComparisonOptions, PairedDifference, compare};
use flow_stages::evaluation::Metric;
use flow_stages::tuning::{Outer, outer};

use super::bench::Bench;
use super::findings::{Nested, OuterFold};
use super::problem::Coverage;
use super::progress;
use super::search::search;
use crate::error::{CliError, Exit};

/// Makes the studies and joins their findings. `folds` is the table of the outer folds.
pub fn nested(bench: &mut Bench<'_>, folds: &Path) -> Result<Nested, CliError> {
    let problem = bench.problem;
    let number = problem.folds.as_ref().map_or(0, |folds| folds.first);
    let mut done = Vec::with_capacity(number);
    let mut tuned: Vec<PathBuf> = Vec::with_capacity(number);
    let mut base: Vec<PathBuf> = Vec::with_capacity(number);
    for fold in 0..number {
        let searched = search(bench, Some(fold), &mut |_, _| Ok(()))?;
        let (Some(chosen), Some((_, scores))) = (searched.best(bench), searched.study.best())
        else {
            return Err(nothing(fold));
        };
        let inner = scores.pooled;
        let arms = [problem.base(), chosen.clone()];
        let mut found = bench.evaluate(&arms, Some(fold), Coverage::Whole, true)?;
        let (of_chosen, of_base) = (found.pop(), found.pop());
        let path = of_chosen.and_then(|found| found.predictions);
        tuned.push(path.ok_or_else(|| nothing(fold))?);
        base.extend(of_base.and_then(|found| found.predictions));
        let outer_fold = OuterFold {
            searched,
            chosen,
            inner,
            outer: None,
        };
        progress::outer_fold(bench, fold, &outer_fold);
        done.push(outer_fold);
    }
    let join = |parts: &[PathBuf]| -> Result<Outer, CliError> {
        let parts: Vec<&Path> = parts.iter().map(PathBuf::as_path).collect();
        Ok(outer(folds, &parts, problem.fixed)?)
    };
    let tuned = join(&tuned)?;
    let base = match base.len() == number {
        true => Some(join(&base)?),
        false => None,
    };
    let by_fold = tuned.evaluation.metric(problem.metric);
    let by_fold = by_fold.into_iter().flat_map(|values| &values.folds);
    for (fold, value) in done.iter_mut().zip(by_fold) {
        fold.outer = *value;
    }
    let value = |outer: &Outer| outer.evaluation.metric(problem.metric)?.pooled;
    Ok(Nested {
        folds: done,
        tuned: value(&tuned),
        base: base.as_ref().and_then(value),
        difference: base.and_then(|base| difference(&base, &tuned, problem.metric)),
    })
}

fn nothing(fold: usize) -> CliError {
    let message = format!("within outer fold {fold} no configuration could be evaluated");
    CliError::new(Exit::Stage, Diag::new("flow::tune::all_failed", message))
}

/// The paired difference, or `None` for metrics that the statistics do not know.
fn difference(base: &Outer, tuned: &Outer, metric: Metric) -> Option<PairedDifference> {
    if !Metric::COMPARED.contains(&metric) {
        return None;
    }
    let (base, tuned) = (base.arm("base").ok()?, tuned.arm("tuned").ok()?);
    let compared = compare(&base, &[tuned], &ComparisonOptions::default()).ok()?;
    compared.first()?.metrics.get(&metric).cloned()
}
