//! All of an evaluation.

use std::collections::BTreeMap;

use flow_engine::StageError;
use serde::Serialize;

use super::ObjectFacts;
use super::band::{ClassCurves, Ranked};
use super::slices::{SliceSet, Sliced};
use super::slicing::Slicing;
use super::sweep::{Knots, Sweep};
use super::tally::{ByLabel, Histogram, MostProbable, round_end};
use crate::evaluation::{Repeat, SEED, out_of_fold};
use crate::numeric::metrics::Confusion;
use crate::numeric::stats::bootstrap::Units;
use crate::table::{Folds, Predictions};

/// What an evaluation is looked at with.
#[derive(Clone, Copy)]
pub struct Inspected<'a> {
    /// The predictions that it scored.
    pub predictions: &'a Predictions,
    /// The table of folds that they come from, if it is known.
    pub folds: Option<&'a Folds>,
    /// The threshold that it chose for new objects.
    pub threshold: Option<f64>,
    /// What is known of the objects, by name; those without facts are in no slice.
    pub facts: &'a BTreeMap<String, ObjectFacts>,
}

/// An evaluation, looked at in detail.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The class that is scored; `None` if all classes are.
    pub positive: Option<String>,
    /// The rows of a repeat, the mean if repeats differ.
    pub rows: usize,
    /// The number of repeats.
    pub repeats: usize,
    /// The number of groups that are drawn as a whole, if objects that are copies of one source are known.
    pub groups: Option<usize>,
    /// The draws of the bootstrap behind the intervals; 0 if repeats have different objects, so that there are
    /// none.
    pub draws: usize,
    /// The positive class, or each class against the rest.
    pub classes: Vec<InspectedClass>,
    /// The averages over classes of their curves, if there are several.
    pub average: Option<ClassCurves>,
    /// How the evaluation's threshold does on the rows, which it was chosen on.
    pub operating: Option<Operating>,
    /// The predictions by true class; empty unless one class is scored.
    pub by_label: ByLabel,
    /// The most probable class by true class, if one class of several is scored and all have probabilities.
    pub most_probable: Option<MostProbable>,
    /// Metrics of slices.
    pub slices: Vec<SliceSet>,
}

/// One class against the rest.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedClass {
    /// The name of the class.
    pub name: String,
    /// The rows of a repeat that belong to it, the mean if repeats differ.
    pub positives: u64,
    /// Its curves; `None` if fewer than five rows belong to it, or fewer than five do not: they would be noise.
    pub curves: Option<ClassCurves>,
    /// How many rows score how high.
    pub histogram: Histogram,
}

/// What a threshold does, averaged over repeats.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Operating {
    /// The threshold.
    pub threshold: f64,
    /// Precision at the threshold.
    pub precision: f64,
    /// Recall at the threshold.
    pub recall: f64,
    /// The share of the negative rows that score as high.
    pub false_positive_rate: f64,
    /// F1 at the threshold.
    pub f1: f64,
}

/// A class needs as many rows, and the rest too, for curves.
const LEAST: u64 = 5;
/// Fewer positives than this do not decide where slices begin.
const FEW: usize = 20;
/// The most draws of a bootstrap. Intervals of metrics in `evaluate` take twice as many: a band is a picture.
const MOST_DRAWS: usize = 1000;
/// The fewest draws.
const FEWEST_DRAWS: usize = 40;
/// The rows that all draws may go through together.
const MOST_ROWS: usize = 12_000_000;
/// How often a draw goes through all rows for a class: once for its curves, and once for each slicing.
const PASSES: usize = 6;

impl Inspection {
    /// Looks at the out-of-fold rows of predictions. Intervals are at 95 %, from the draws that `evaluate` begins
    /// with too: 1,000 of them, or fewer where there are many rows or classes, so that 100,000 objects take hardly
    /// longer than some thousand, but at least 40, of which about two lie outside the interval. Several repeats are pooled as in `evaluate`: a figure is
    /// the mean over repeats, also in each draw, which has the same objects in all of them.
    ///
    /// # Errors
    /// If there are no out-of-fold rows, one has no label, or a class that is scored has no column of
    /// probabilities.
    pub fn of(inspected: &Inspected<'_>) -> Result<Self, StageError> {
        let predictions = inspected.predictions;
        let positive = predictions.positive_column()?;
        let repeats = out_of_fold(predictions)?;
        let columns: Vec<usize> = match positive {
            Some((column, _)) => vec![column],
            None => (0..predictions.classes.len()).collect(),
        };
        let ranked = ranked(inspected, &repeats, &columns);
        let slicings = slicings(inspected, &repeats, positive);
        let sliced = Sliced::new(predictions, positive, &repeats, slicings)?;
        let groups = (inspected.folds).and_then(|folds| repeats[0].groups(predictions, folds));
        let units = match &groups {
            Some(groups) => Units::named(groups),
            None => Units::rows(repeats[0].rows.len()),
        };
        let n_draws = match same_objects(predictions, &repeats) {
            true => n_draws(ranked.rows * repeats.len() * columns.len() * PASSES),
            false => 0,
        };
        let values = |counts: &[u32]| (ranked.values(counts), sliced.values(counts));
        let draws = units.draws(n_draws, SEED, values);
        let (of_curves, of_slices): (Vec<_>, Vec<_>) = draws.into_iter().unzip();
        let most = repeats.iter().map(|repeat| repeat.rows.len()).max();
        let (curves, slices) = values(&vec![1; most.unwrap_or(0)]);
        let mut curves = ranked.curves(&curves, &of_curves, units.len());
        let average = (columns.len() > 1).then(|| curves.pop()).flatten();
        let classes = columns
            .iter()
            .zip(curves)
            .map(|(&column, curves)| InspectedClass::new(predictions, &repeats, column, curves));
        Ok(Self {
            positive: positive.map(|(_, class)| class.to_owned()),
            rows: repeats.iter().map(|r| r.rows.len()).sum::<usize>() / repeats.len(),
            repeats: repeats.len(),
            groups: groups.as_ref().map(|_| units.len()),
            draws: n_draws,
            classes: classes.collect(),
            average,
            operating: Operating::new(inspected, &repeats, positive),
            by_label: positive.map_or_else(ByLabel::default, |(column, class)| {
                ByLabel::new(predictions, &repeats, column, class)
            }),
            most_probable: positive.and_then(|_| MostProbable::new(predictions, &repeats)),
            slices: sliced.finish(&slices, &of_slices, groups.as_deref()),
        })
    }
}

impl InspectedClass {
    fn new(
        predictions: &Predictions,
        repeats: &[Repeat],
        column: usize,
        curves: ClassCurves,
    ) -> Self {
        let name = &predictions.classes[column];
        let rows = || repeats.iter().flat_map(|repeat| &repeat.rows);
        let own = |&&(row, _): &&(usize, u32)| predictions.label[row].as_ref() == Some(name);
        let n = repeats.len() as u64;
        let (all, positives) = (
            rows().count() as u64 / n,
            rows().filter(own).count() as u64 / n,
        );
        let one = predictions.positive.is_some();
        Self {
            name: name.clone(),
            positives,
            curves: (positives.min(all - positives) >= LEAST).then_some(curves),
            histogram: Histogram::new(predictions, repeats, column, one),
        }
    }
}

impl Operating {
    fn new(
        inspected: &Inspected<'_>,
        repeats: &[Repeat],
        positive: Option<(usize, &str)>,
    ) -> Option<Self> {
        let (threshold, (column, class)) = (inspected.threshold?, positive?);
        let counts = repeats.iter().map(|repeat| {
            let (scores, labels) = repeat.scores(inspected.predictions, column, class);
            Confusion::at(&scores, &labels, threshold)
        });
        let counts: Vec<Confusion> = counts.collect();
        let mean = |figure: fn(&Confusion) -> f64| {
            counts.iter().map(figure).sum::<f64>() / counts.len() as f64
        };
        Some(Self {
            threshold,
            precision: mean(Confusion::precision),
            recall: mean(Confusion::recall),
            false_positive_rate: mean(|c| match c.fp + c.tn {
                0 => 0.0,
                negatives => c.fp as f64 / negatives as f64,
            }),
            f1: mean(Confusion::f1),
        })
    }
}

/// How many draws there are if each goes through so many rows.
fn n_draws(rows: usize) -> usize {
    (MOST_ROWS / rows.max(1)).clamp(FEWEST_DRAWS, MOST_DRAWS)
}

/// Returns whether all repeats have the same objects, so that draws of them can be made.
fn same_objects(predictions: &Predictions, repeats: &[Repeat]) -> bool {
    let ids = |repeat: &Repeat| -> Vec<&str> {
        let rows = repeat.rows.iter();
        rows.map(|&(row, _)| predictions.object_id[row].as_str())
            .collect()
    };
    let first = ids(&repeats[0]);
    repeats[1..].iter().all(|repeat| ids(repeat) == first)
}

/// The rows in the order of the scores of each class, and the places at which curves are read off.
fn ranked(inspected: &Inspected<'_>, repeats: &[Repeat], columns: &[usize]) -> Ranked {
    let predictions = inspected.predictions;
    let rows = repeats
        .iter()
        .map(|repeat| repeat.rows.len())
        .sum::<usize>()
        / repeats.len();
    let of_class = |&column: &usize| -> Vec<Sweep> {
        let class = &predictions.classes[column];
        let repeats = repeats.iter();
        repeats
            .map(|repeat| {
                let (scores, labels) = repeat.scores(predictions, column, class);
                Sweep::new(&scores, &labels)
            })
            .collect()
    };
    let scored = repeats.iter().flat_map(|repeat| &repeat.rows);
    let highest = scored.flat_map(|&(row, _)| {
        let columns = columns.iter();
        columns.map(move |&column| predictions.probability[column][row])
    });
    let end = round_end(highest.fold(0.0, f64::max));
    let sweeps: Vec<Vec<Sweep>> = columns.iter().map(of_class).collect();
    let positives = sweeps.iter().flatten().map(Sweep::positives).max();
    let mut knots = match columns.len() {
        1 => knots(200, end, rows),
        _ => knots(60, end, rows),
    };
    knots.recalls = knots.recalls.min(positives.unwrap_or(1).max(1));
    knots.thresholds.extend(inspected.threshold);
    knots.thresholds.sort_by(|a, b| b.total_cmp(a));
    knots.thresholds.dedup();
    Ranked {
        sweeps,
        knots,
        rows,
    }
}

/// The places at which curves are read off: `most` recalls, and fewer places on the other curves. Scores reach up
/// to `end`.
fn knots(most: u64, end: f64, rows: usize) -> Knots {
    let steps = most / 2;
    let share = |i: u64| i as f64 / steps as f64;
    // As many places from 1 row to 10 as from 10 to 100.
    let budgets = (0..=steps).map(|i| libm::round(libm::pow(rows as f64, share(i))));
    let mut budgets: Vec<f64> = budgets.collect();
    // Numbers that people ask for.
    let round = (0..9).flat_map(|power| [1.0, 2.0, 5.0].map(|n| n * libm::pow(10.0, power.into())));
    budgets.extend(round.filter(|budget| (10.0..=rows as f64).contains(budget)));
    budgets.sort_by(f64::total_cmp);
    budgets.dedup();
    Knots {
        recalls: most,
        // Few negatives matter most if positives are rare.
        false_positive_rates: (0..=steps).map(|i| share(i) * share(i)).collect(),
        thresholds: (0..=steps).rev().map(|i| share(i) * end).collect(),
        shares: budgets.into_iter().map(|n| n / rows as f64).collect(),
    }
}

/// The slices of the rows by what is known of the objects, by fold and by repeat.
fn slicings(
    inspected: &Inspected<'_>,
    repeats: &[Repeat],
    positive: Option<(usize, &str)>,
) -> Vec<Slicing> {
    let predictions = inspected.predictions;
    let by_value = |by: &'static str, of: fn(&ObjectFacts) -> Option<f64>| {
        let value = |&(row, _): &(usize, u32)| {
            let facts = inspected.facts.get(&predictions.object_id[row])?;
            of(facts).filter(|value| value.is_finite())
        };
        let of_repeat = |repeat: &Repeat| repeat.rows.iter().map(value).collect();
        let values: Vec<Vec<Option<f64>>> = repeats.iter().map(of_repeat).collect();
        // Slices with as many positives each say most if positives are rare.
        let is_positive = |row: usize| {
            positive.is_none_or(|(_, class)| predictions.label[row].as_deref() == Some(class))
        };
        let rows = || repeats[0].rows.iter().zip(&values[0]);
        let own = rows().filter(|((row, _), _)| is_positive(*row));
        let mut typical: Vec<f64> = own.filter_map(|(_, value)| *value).collect();
        if typical.len() < FEW {
            typical = rows().filter_map(|(_, value)| *value).collect();
        }
        Slicing::by_value(by, &values, &typical)
    };
    [
        by_value("redshift", |facts| facts.redshift),
        by_value("magnitude", |facts| facts.magnitude),
        by_value("points", |facts| facts.points.map(|points| points as f64)),
        Slicing::by_fold(repeats),
        Slicing::by_repeat(repeats),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests;
