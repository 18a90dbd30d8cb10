//! Intervals of metrics, from draws of a bootstrap.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Metric, Sample};
use crate::numeric::metrics::reliability::Reliability;
use crate::numeric::stats::bootstrap::{Distribution, Units};

/// A value and the interval that holds the true one with the confidence asked for, 95 % unless the options
/// say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// On the data as it is.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Estimate {
    /// The interval of a metric, or of a difference in it, that is `value` on the data as they are.
    pub fn of(metric: Metric, value: f64, draws: &Distribution, level: f64) -> Self {
        let (low, high) = match metric.is_chosen() {
            true => draws.standard(value, level),
            false => draws.percentile(level),
        };
        Self { value, low, high }
    }
}

/// Collects the values of a figure on draws of `units`. Draws that lack a class have no value and are left
/// out. `None` if more than one draw in twenty lacks a class, or there is a single unit: nothing can then be
/// said of noise.
pub fn drawn(values: Vec<Option<f64>>, units: usize) -> Option<Distribution> {
    let draws = values.len();
    let values: Vec<f64> = values.into_iter().flatten().collect();
    let enough = units >= 2 && values.len() >= 2 && 20 * values.len() >= 19 * draws;
    enough.then(|| Distribution::new(values, units))
}

/// The number of draws, as in comparisons of classifiers.
pub const DRAWS: usize = 2000;
/// The confidence of an interval.
pub const LEVEL: f64 = 0.95;
/// The seed of the draws.
pub const SEED: u64 = 0;

/// The 95 % interval of a metric that is `value` on the data as they are, within what the metric can be.
/// `values` has it on draws of `units`, without a value where a class is lacking.
pub fn interval(
    metric: Metric,
    value: f64,
    values: Vec<Option<f64>>,
    units: usize,
) -> Option<(f64, f64)> {
    let draws = drawn(values, units)?;
    let Estimate { low, high, .. } = Estimate::of(metric, value, &draws, LEVEL);
    let (least, most) = match metric {
        Metric::Mcc => (-1.0, 1.0),
        Metric::LogLoss | Metric::WeightedLogLoss => (0.0, f64::INFINITY),
        _ => (0.0, 1.0),
    };
    Some((low.max(least), high.min(most)))
}

/// Draws of the rows of an evaluation, the same rows in every repeat. A figure of a draw is the mean over
/// repeats, as `pooled` is.
pub(super) struct Draws {
    metrics: Vec<BTreeMap<Metric, f64>>,
    curves: Vec<Reliability>,
    units: usize,
}

impl Draws {
    pub(super) fn new(samples: &[Sample], units: &Units) -> Self {
        let draws = units.draws(DRAWS, SEED, |counts| {
            let mut curve = Reliability::default();
            let mut metrics = samples.iter().map(|sample| {
                curve.extend(&sample.reliability(counts));
                sample.metrics(counts)
            });
            let first = metrics.next().unwrap_or_default();
            let sums = metrics.fold(first, |sums, more| {
                let both = sums.into_iter();
                both.filter_map(|(metric, sum)| Some((metric, sum + more.get(&metric)?)))
                    .collect()
            });
            (sums, curve)
        });
        let (mut metrics, curves): (Vec<BTreeMap<Metric, f64>>, _) = draws.into_iter().unzip();
        for value in metrics.iter_mut().flat_map(BTreeMap::values_mut) {
            *value /= samples.len() as f64;
        }
        Self {
            metrics,
            curves,
            units: units.len(),
        }
    }

    /// The interval of a metric whose value is `value`, within what the metric can be.
    pub(super) fn interval(&self, metric: Metric, value: f64) -> Option<(f64, f64)> {
        metric.direction()?;
        let values = self.metrics.iter().map(|draw| draw.get(&metric).copied());
        interval(metric, value, values.collect(), self.units)
    }

    /// The interval of the share that came true in a bin of the reliability curve.
    pub(super) fn observed(&self, bin: usize) -> Option<(f64, f64)> {
        let share = |curve: &Reliability| {
            let bin = curve.bins[bin];
            (bin.rows > 0).then(|| bin.observed as f64 / bin.rows as f64)
        };
        let draws = drawn(self.curves.iter().map(share).collect(), self.units)?;
        Some(draws.percentile(LEVEL))
    }
}
