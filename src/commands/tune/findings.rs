//! The findings of a study as data. All that is shown is made from it.

use std::collections::BTreeSet;

use flow_cache::Digest;
use flow_stages::comparison::{Estimate, PairedDifference};
use flow_stages::tuning::{Best, TuningStudy};

use super::bench::Bench;
use super::problem::Candidate;

/// The findings of a study.
pub struct Findings {
    /// The study.
    pub searched: Searched,
    /// The value of the best configuration with the interval over its objects, if the statistics know
    /// the metric.
    pub interval: Option<Estimate>,
    /// Nested cross-validation, if asked for.
    pub nested: Option<Nested>,
    /// Configurations that were ever evaluated on these objects and folds, by the history of runs.
    pub tried: Option<usize>,
    /// An estimate of the CPU seconds that pruning saved, including in nested studies.
    pub saved_s: f64,
}

/// A search that was made.
pub struct Searched {
    /// Points and outcomes.
    pub study: TuningStudy,
    /// The configuration of each trial.
    pub candidates: Vec<Candidate>,
    /// For each trial, the CPU seconds of a run of it alone with an empty store.
    pub cpu_s: Vec<f64>,
    /// An estimate of the CPU seconds that pruned trials would have cost on the folds that were left
    /// out, at the rate of those that were not.
    pub saved_s: f64,
    /// The tables of folds that it was scored on. They differ in nothing but classes.
    pub folds: BTreeSet<Digest>,
}

impl Searched {
    /// The best configuration, if anything could be evaluated.
    pub fn best(&self, bench: &Bench<'_>) -> Option<Candidate> {
        Some(match self.study.best()?.0 {
            Best::Base => bench.problem.base(),
            Best::Trial(number) => self.candidates[number].clone(),
        })
    }
}

/// What nested cross-validation says.
pub struct Nested {
    /// The findings for each outer fold.
    pub folds: Vec<OuterFold>,
    /// The value of the objective for what the studies chose, over all outer folds.
    pub tuned: Option<f64>,
    /// The value for the pipeline as it is, on the same objects.
    pub base: Option<f64>,
    /// The paired difference between the two, if the statistics know the metric.
    pub difference: Option<PairedDifference>,
}

/// One outer fold.
pub struct OuterFold {
    /// The study within the fold.
    pub searched: Searched,
    /// The configuration that won.
    pub chosen: Candidate,
    /// Its score in the inner folds.
    pub inner: f64,
    /// The value of the objective on the objects that the outer fold holds out.
    pub outer: Option<f64>,
}

impl Nested {
    /// The mean of the inner scores.
    pub fn inner(&self) -> f64 {
        let sum: f64 = self.folds.iter().map(|fold| fold.inner).sum();
        sum / self.folds.len().max(1) as f64
    }
}
