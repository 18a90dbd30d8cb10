//! Curves of the classes, with the bands that draws of the bootstrap give.

use serde::Serialize;

use super::sweep::{Knots, Sweep};
use crate::evaluation::{LEVEL, drawn};

/// A curve, and the interval that holds its true value with 95 % confidence at each place by itself. NaN where
/// it is undefined, or nothing can be said of noise.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CurveBand {
    /// The places.
    pub x: Vec<f64>,
    /// The values, averaged over repeats.
    pub y: Vec<f64>,
    /// The lower ends.
    pub low: Vec<f64>,
    /// The upper ends.
    pub high: Vec<f64>,
}

/// The curves of one class against the rest, or their averages over classes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassCurves {
    /// Precision by recall.
    pub precision: CurveBand,
    /// Recall by false-positive rate.
    pub roc: CurveBand,
    /// Precision by threshold, thresholds descending.
    pub purity: CurveBand,
    /// Recall by threshold.
    pub completeness: CurveBand,
    /// Precision by the number of rows that rank highest.
    pub top_purity: CurveBand,
    /// Recall by the same number.
    pub top_completeness: CurveBand,
}

/// The rows of all repeats, for each class in the order of its scores.
pub(super) struct Ranked {
    /// By class and repeat.
    pub sweeps: Vec<Vec<Sweep>>,
    /// Where curves are read off.
    pub knots: Knots,
    /// The rows of a repeat, of which [`Knots::shares`] are shares.
    pub rows: usize,
}

impl Ranked {
    /// The curves of the classes one after the other, then the average over classes if there are several; see
    /// [`Sweep::values`]. Row i of each repeat counts `counts[i]` times. A curve is the mean over repeats, and
    /// NaN if it is undefined in one of them.
    pub fn values(&self, counts: &[u32]) -> Vec<f64> {
        let of_class = |repeats: &Vec<Sweep>| mean(repeats.iter().map(|s| self.one(s, counts)));
        let classes: Vec<Option<Vec<f64>>> = self.sweeps.iter().map(of_class).collect();
        let average = (classes.len() > 1).then(|| {
            let defined: Vec<&Vec<f64>> = classes.iter().flatten().collect();
            mean(defined.into_iter().map(|values| Some(values.clone())))
        });
        let undefined = || vec![f64::NAN; self.knots.lengths().iter().sum()];
        let all = classes.into_iter().chain(average);
        all.flat_map(|values| values.unwrap_or_else(undefined))
            .collect()
    }

    fn one(&self, sweep: &Sweep, counts: &[u32]) -> Option<Vec<f64>> {
        sweep.values(&counts[..sweep.len()], &self.knots)
    }

    /// The curves whose [`Ranked::values`] are these, with bands from the values on draws of `units`.
    pub fn curves(&self, values: &[f64], draws: &[Vec<f64>], units: usize) -> Vec<ClassCurves> {
        let length: usize = self.knots.lengths().iter().sum();
        let mut tail = None;
        let mut ends = |at: usize| {
            let on_draws = draws
                .iter()
                .map(|draw| Some(draw[at]).filter(|v| !v.is_nan()));
            let interval = drawn(on_draws.collect(), units).map(|draws| {
                let tail = *tail.get_or_insert_with(|| draws.tail(LEVEL));
                draws.without_tails(tail)
            });
            interval.unwrap_or((f64::NAN, f64::NAN))
        };
        let starts = (0..values.len()).step_by(length.max(1));
        starts
            .map(|start| {
                let mut at = start;
                let mut bands = self.places().map(|x| {
                    let here = at..at + x.len();
                    at = here.end;
                    let (low, high) = here.clone().map(&mut ends).unzip();
                    let y = values[here].to_vec();
                    CurveBand { x, y, low, high }
                });
                let mut next = || bands.next().unwrap_or_default();
                ClassCurves {
                    precision: next(),
                    roc: next(),
                    purity: next(),
                    completeness: next(),
                    top_purity: next(),
                    top_completeness: next(),
                }
            })
            .collect()
    }

    /// The places of each curve.
    fn places(&self) -> impl Iterator<Item = Vec<f64>> {
        let knots = &self.knots;
        let recalls = (1..=knots.recalls).map(|k| k as f64 / knots.recalls as f64);
        let budget = |share: &f64| libm::round(share * self.rows as f64);
        let budgets: Vec<f64> = knots.shares.iter().map(budget).collect();
        [
            recalls.collect(),
            knots.false_positive_rates.clone(),
            knots.thresholds.clone(),
            knots.thresholds.clone(),
            budgets.clone(),
            budgets,
        ]
        .into_iter()
    }
}

/// The mean of equally long lists, item by item; `None` if one of them is, or there are none.
fn mean(lists: impl ExactSizeIterator<Item = Option<Vec<f64>>>) -> Option<Vec<f64>> {
    let n = lists.len() as f64;
    let sum = lists.reduce(|sum, list| {
        let (mut sum, list) = (sum?, list?);
        sum.iter_mut().zip(&list).for_each(|(sum, v)| *sum += v);
        Some(sum)
    })?;
    sum.map(|sum| sum.into_iter().map(|value| value / n).collect())
}
