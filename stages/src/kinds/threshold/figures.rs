//! What decisions are worth on rows that had no say in their thresholds.

use flow_cache::Value;
use flow_engine::StageError;

use super::choose::{Chosen, Fit, RuleAt, Unlabelled};
use super::{METRICS, Rule, ThresholdParams};
use crate::evaluation::{Estimate, Metric, MetricValues, Repeat, SEED, interval, out_of_fold};
use crate::numeric::metrics::rules::Decided;
use crate::numeric::stats::bootstrap::Units;
use crate::rows::CrossFit;
use crate::table::Predictions;

/// The values of [`METRICS`].
type Figures = [Option<f64>; METRICS.len()];

/// The metrics as [`METRICS`] has them, with intervals of this many draws. `groups` has the group of each row of a
/// repeat, if objects that are copies of one source are known.
pub(super) fn metrics(
    predictions: &Predictions,
    chosen: &Chosen,
    draws: usize,
    groups: Option<&[String]>,
) -> Result<Vec<MetricValues>, StageError> {
    let repeats: Vec<RepeatRows> = out_of_fold(predictions)?
        .iter()
        .map(|repeat| RepeatRows::new(predictions, chosen, repeat))
        .collect();
    let n = repeats
        .iter()
        .map(|repeat| repeat.objects.len())
        .max()
        .unwrap_or(0);
    let counts = vec![1; n];
    let by_fold = repeats.iter().flat_map(|repeat| repeat.decided(&counts));
    let by_fold: Vec<Figures> = by_fold.map(|(decided, at)| figures(decided, at)).collect();
    let pooled = pooled(&repeats, &counts);
    let units = groups.map_or_else(|| Units::rows(n), Units::named);
    // Draws are of objects, so they need repeats of the same ones.
    let same = repeats
        .iter()
        .all(|repeat| repeat.objects == repeats[0].objects);
    let draws = match same {
        true => units.draws(draws, SEED, |counts| self::pooled(&repeats, counts)),
        false => Vec::new(),
    };
    let values = METRICS.iter().enumerate().map(|(at, &(_, metric))| {
        let on_draws = draws.iter().map(|figures| figures[at]).collect();
        let ends = metric.direction().and(pooled[at]);
        MetricValues {
            metric,
            pooled: pooled[at],
            interval: ends.and_then(|value| interval(metric, value, on_draws, units.len())),
            folds: by_fold.iter().map(|figures| figures[at]).collect(),
        }
    });
    Ok(values.collect())
}

/// The metrics as a map by name.
pub(super) fn to_value(metrics: &[MetricValues]) -> Value {
    let named = METRICS.iter().zip(metrics);
    Value::map(named.map(|((name, _), values)| (*name, values.to_value(None))))
}

/// The precision with its interval, for what is made of the threshold.
pub(super) fn precision(metrics: &[MetricValues]) -> Option<Estimate> {
    let values = metrics
        .iter()
        .find(|values| values.metric == Metric::Precision)?;
    let (low, high) = values.interval?;
    let value = values.pooled?;
    Some(Estimate { value, low, high })
}

/// The rows of a repeat, as each of its folds sees them.
struct RepeatRows {
    objects: Vec<String>,
    folds: Vec<Vec<FoldRow>>,
    rule: RuleAt,
}

/// A row of a repeat for a fold.
struct FoldRow {
    /// Its place in the repeat.
    place: usize,
    score: f64,
    positive: bool,
    weight: f64,
    held_out: bool,
}

impl RepeatRows {
    fn new(predictions: &Predictions, chosen: &Chosen, repeat: &Repeat) -> Self {
        let class = &predictions.classes[chosen.column];
        let of_fold = |fit: &CrossFit<Fit>| {
            let rows = repeat.rows.iter().enumerate();
            let mut rows: Vec<FoldRow> = rows
                .map(|(place, &(i, _))| FoldRow {
                    place,
                    score: fit.fitted.shift.probabilities(predictions, i)[chosen.column],
                    positive: predictions.label[i].as_ref() == Some(class),
                    weight: fit.fitted.shift.weight(predictions, i),
                    held_out: predictions.fold[i] == fit.fold,
                })
                .collect();
            // Draws choose thresholds faster among rows that are in order.
            rows.sort_by(|a, b| a.score.total_cmp(&b.score));
            rows
        };
        let fits = chosen.fits.0.iter();
        let fits = fits.filter(|fit| fit.fold.is_some() && fit.repeat == repeat.number);
        let ids = repeat
            .rows
            .iter()
            .map(|&(i, _)| predictions.object_id[i].clone());
        Self {
            objects: ids.collect(),
            folds: fits.map(of_fold).collect(),
            rule: chosen.rule,
        }
    }

    /// By fold, what is decided, and at which threshold, if each row comes as often as `counts` says.
    fn decided(&self, counts: &[u32]) -> Vec<(Decided, Option<f64>)> {
        let of_fold = |rows: &Vec<FoldRow>| {
            let weigh = |row: &FoldRow| row.weight * f64::from(counts[row.place]);
            let others = rows
                .iter()
                .filter(|row| !row.held_out && counts[row.place] > 0);
            let (mut scores, mut labels, mut weights) = (Vec::new(), Vec::new(), Vec::new());
            for row in others {
                scores.push(row.score);
                labels.push(row.positive);
                weights.push(weigh(row));
            }
            let threshold = self.rule.threshold(&scores, &labels, &weights);
            let mut decided = Decided::default();
            for row in rows.iter().filter(|row| row.held_out) {
                let predicted = threshold.is_some_and(|threshold| row.score >= threshold);
                decided.add(predicted, row.positive, weigh(row));
            }
            (decided, threshold)
        };
        self.folds.iter().map(of_fold).collect()
    }
}

/// The figures over all folds, averaged over repeats, if each row comes as often as `counts` says.
fn pooled(repeats: &[RepeatRows], counts: &[u32]) -> Figures {
    let all: Vec<Figures> = repeats
        .iter()
        .map(|repeat| pool(&repeat.decided(counts)))
        .collect();
    std::array::from_fn(|at| {
        let values = all.iter().map(|figures| figures[at]);
        let sum = values.reduce(|sum, value| Some(sum? + value?)).flatten();
        sum.map(|sum| sum / all.len() as f64)
    })
}

/// Without a threshold, nothing is defined; without positives, their share and the threshold alone.
fn figures(decided: Decided, threshold: Option<f64>) -> Figures {
    let known = threshold.map(|_| decided);
    let known_positives = known.filter(|decided| decided.positives > 0.0);
    [
        known_positives.map(|decided| decided.f1()),
        known_positives.map(|decided| decided.precision()),
        known_positives.map(|decided| decided.recall()),
        known.map(|decided| decided.share()),
        threshold,
    ]
}

/// The figures over all folds of a repeat, which are undefined if a fold has no threshold.
fn pool(folds: &[(Decided, Option<f64>)]) -> Figures {
    let thresholds: Option<Vec<f64>> = folds.iter().map(|fold| fold.1).collect();
    let mean = thresholds.map(|all| all.iter().sum::<f64>() / all.len() as f64);
    let mut sum = Decided::default();
    for (decided, _) in folds {
        sum.rows += decided.rows;
        sum.predicted += decided.predicted;
        sum.positives += decided.positives;
        sum.found += decided.found;
    }
    figures(sum, mean)
}

/// What is said at the end of a run, of as many unlabelled objects.
pub(super) fn notes(
    params: &ThresholdParams<'_>,
    chosen: &Chosen,
    unlabelled: Unlabelled,
) -> Vec<String> {
    let rule = match params.rule {
        Rule::F1 => "highest F1".to_owned(),
        Rule::Precision => format!("precision of at least {}", params.floor),
        Rule::Recall => format!("recall of at least {}", params.floor),
        Rule::TopN => format!("at most {} positives", params.budget),
    };
    let of = match unlabelled {
        Unlabelled { rows: 0, .. } => String::new(),
        Unlabelled { rows, positive } => {
            format!(": {positive} of {rows} unlabelled objects are predicted positive")
        }
    };
    let mut notes = vec![format!("threshold {:.4} ({rule}){of}", chosen.threshold)];
    let folds = chosen.fits.0.iter().filter(|fit| fit.fold.is_some());
    let none = folds.filter(|fit| fit.fitted.threshold.is_none()).count();
    if none > 0 {
        notes.push(format!(
            "in {none} folds, no threshold fulfills the rule on the other folds: their objects are predicted negative, and pooled metrics are undefined"
        ));
    }
    notes
}
