//! All metrics of some predictions, as `evaluate` reports them.

use std::collections::BTreeMap;

use flow_cache::Value;
use flow_engine::StageError;

use super::interval::Draws;
use super::{Metric, Repeat, Sample, ScoreSettings, ScoredRepeat, ScoredRows};
use crate::numeric::metrics::reliability::{BINS, Reliability};
use crate::numeric::stats::bootstrap::Units;
use crate::table::Predictions;

/// The word for macro averages.
pub const MACRO_AVERAGE: &str = "macro";

/// The values of one metric.
pub struct MetricValues {
    /// The metric.
    pub metric: Metric,
    /// The value over all rows of a repeat, averaged over repeats; `None` if undefined.
    pub pooled: Option<f64>,
    /// The ends of the 95 % interval of `pooled`; `None` if the data say nothing of noise.
    pub interval: Option<(f64, f64)>,
    /// The values by repeat and fold; `None` if undefined.
    pub folds: Vec<Option<f64>>,
}

/// All metrics of some predictions: of the positive class against the rest, or macro averages over
/// classes if the survey names none.
pub struct MetricReport {
    /// The metrics.
    pub metrics: Vec<MetricValues>,
    /// The classes of the confusion matrix.
    pub confusion_classes: Vec<String>,
    /// Counts over all repeats, by true and predicted class; `None` if a row has no prediction.
    pub confusion: Option<Vec<Vec<u64>>>,
    /// The reason why a metric is undefined.
    pub notes: Vec<String>,
    /// The kind of average, if the values are not of one class: `macro`.
    pub average: Option<&'static str>,
    /// The reliability curve over the rows of all repeats: the bins that have rows.
    pub reliability: Vec<BinEstimate>,
    /// The rows of a repeat, the mean if repeats differ.
    pub rows: usize,
}

/// A bin of a reliability curve.
pub struct BinEstimate {
    /// Its place in the curve.
    bin: usize,
    /// The least probability of the bin, and the one at which the next begins.
    pub range: (f64, f64),
    /// How many rows it has.
    pub rows: u64,
    /// Their mean probability.
    pub predicted: f64,
    /// The share of them that came true.
    pub observed: f64,
    /// The 95 % interval of that share.
    pub interval: Option<(f64, f64)>,
}

impl MetricValues {
    fn defined(&self) -> Vec<f64> {
        self.folds.iter().copied().flatten().collect()
    }

    /// The mean over the folds that have a value.
    pub fn mean(&self) -> Option<f64> {
        let values = self.defined();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }

    /// The standard deviation over the folds that have a value (over n - 1).
    pub fn std(&self) -> Option<f64> {
        let values = self.defined();
        let mean = self.mean()?;
        let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
        (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
    }

    /// The values as a map; `average` says of what they are an average, if they are not of one class.
    pub fn to_value(&self, average: Option<&str>) -> Value {
        let number = |v: Option<f64>| v.map_or(Value::Null, Value::Float);
        let undefined = self.folds.iter().filter(|f| f.is_none()).count();
        let average = average.map(|average| ("average".to_owned(), Value::Str(average.into())));
        let fields = [
            (
                "folds".into(),
                Value::List(self.folds.iter().map(|&f| number(f)).collect()),
            ),
            ("high".into(), number(self.interval.map(|ends| ends.1))),
            ("low".into(), number(self.interval.map(|ends| ends.0))),
            ("mean".into(), number(self.mean())),
            ("pooled".into(), number(self.pooled)),
            ("std".into(), number(self.std())),
            ("undefined_folds".into(), Value::Int(undefined as i64)),
        ];
        Value::Map(average.into_iter().chain(fields).collect())
    }
}

impl MetricReport {
    /// Computes the metrics of the out-of-fold rows `repeats`, with intervals. `groups` has the group of each
    /// row of a repeat, if objects that are copies of one source are known.
    ///
    /// # Errors
    /// If a class that is named, or that is a label, has no column of probabilities.
    pub fn of(
        predictions: &Predictions,
        repeats: &[Repeat],
        settings: &ScoreSettings,
        groups: Option<&[String]>,
    ) -> Result<Self, StageError> {
        let mut report = Self::without_intervals(predictions, repeats, settings)?;
        let samples = samples(predictions, repeats, settings)?;
        let ids = |repeat: &Repeat| -> Vec<&str> {
            let rows = repeat.rows.iter();
            rows.map(|&(row, _)| predictions.object_id[row].as_str())
                .collect()
        };
        // Draws are of objects, so they need repeats of the same ones.
        if repeats[1..].iter().any(|r| ids(r) != ids(&repeats[0])) {
            return Ok(report);
        }
        let units = match groups {
            Some(groups) => Units::named(groups),
            None => Units::rows(repeats[0].rows.len()),
        };
        let draws = Draws::new(&samples, &units);
        for values in &mut report.metrics {
            values.interval = values.pooled.and_then(|v| draws.interval(values.metric, v));
        }
        for bin in &mut report.reliability {
            bin.interval = draws.observed(bin.bin);
        }
        Ok(report)
    }

    /// Computes the same without intervals.
    ///
    /// # Errors
    /// As [`MetricReport::of`].
    pub fn without_intervals(
        predictions: &Predictions,
        repeats: &[Repeat],
        settings: &ScoreSettings,
    ) -> Result<Self, StageError> {
        let positive = predictions.positive_column()?;
        let scored: Vec<ScoredRepeat> = repeats
            .iter()
            .map(|repeat| score(predictions, positive, repeat))
            .collect::<Result<_, _>>()?;
        let sampled: Vec<SampledRepeat> = samples(predictions, repeats, settings)?
            .iter()
            .zip(repeats)
            .map(|(sample, repeat)| SampledRepeat::new(sample, repeat))
            .collect();
        let of = |metric: Metric| MetricValues {
            metric,
            pooled: over_repeats((scored.iter().zip(&sampled)).map(|(scored, sampled)| {
                value(&scored.pooled, &sampled.pooled, metric, settings.threshold)
            })),
            interval: None,
            folds: (scored.iter().zip(&sampled))
                .flat_map(|(scored, sampled)| scored.folds.iter().zip(&sampled.folds))
                .map(|(scored, sampled)| value(scored, sampled, metric, settings.threshold))
                .collect(),
        };
        let confusion = scored.iter().map(|repeat| repeat.pooled.confusion());
        let confusion = confusion.reduce(|sum, counts| Some(plus(sum?, &counts?)));
        let note = positive.and_then(|(_, class)| {
            let mut repeats = repeats.iter().zip(&scored);
            repeats.find_map(|(repeat, scored)| no_threshold(repeat, scored, class))
        });
        let mut curve = Reliability::default();
        sampled.iter().for_each(|s| curve.extend(&s.reliability));
        let mut metrics: Vec<MetricValues> = match positive {
            Some(_) => Metric::BINARY.map(of).into(),
            None => Metric::MACRO.map(of).into(),
        };
        // It needs the probabilities of all classes, which a model of one class does not give.
        metrics.retain(|v| v.metric != Metric::WeightedLogLoss || v.pooled.is_some());
        Ok(Self {
            metrics,
            confusion_classes: match positive {
                Some((_, class)) => vec!["rest".into(), class.into()],
                None => predictions.classes.clone(),
            },
            confusion: confusion.flatten(),
            notes: note.into_iter().collect(),
            average: positive.is_none().then_some(MACRO_AVERAGE),
            reliability: BinEstimate::of_curve(&curve),
            rows: repeats.iter().map(|r| r.rows.len()).sum::<usize>() / repeats.len().max(1),
        })
    }

    /// The values of a metric, if the report has it.
    pub fn metric(&self, metric: Metric) -> Option<&MetricValues> {
        self.metrics.iter().find(|values| values.metric == metric)
    }

    /// The report as a map by metric, with `confusion`.
    pub fn to_value(&self) -> Value {
        let mut entries: Vec<(String, Value)> = self
            .metrics
            .iter()
            .map(|values| {
                let key = values.metric.key().to_owned();
                (key, values.to_value(self.average))
            })
            .collect();
        let row = |row: &Vec<u64>| Value::List(row.iter().map(|&n| Value::Int(n as i64)).collect());
        let counts = self.confusion.as_ref().map_or(Value::Null, |counts| {
            Value::List(counts.iter().map(row).collect())
        });
        let classes = self.confusion_classes.iter().cloned().map(Value::Str);
        entries.push((
            "confusion".into(),
            Value::Map(vec![
                ("classes".into(), Value::List(classes.collect())),
                ("counts".into(), counts),
            ]),
        ));
        let bins = self.reliability.iter().map(BinEstimate::to_value);
        let bins = vec![("bins".into(), Value::List(bins.collect()))];
        entries.push(("reliability".into(), Value::Map(bins)));
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        Value::Map(entries)
    }
}

impl BinEstimate {
    /// The bins of a curve that have rows.
    fn of_curve(curve: &Reliability) -> Vec<Self> {
        let bins = curve.bins.iter().enumerate();
        let filled = bins.filter(|(_, bin)| bin.rows > 0);
        filled
            .map(|(i, bin)| Self {
                bin: i,
                range: (i as f64 / BINS as f64, (i + 1) as f64 / BINS as f64),
                rows: bin.rows,
                predicted: bin.predicted / bin.rows as f64,
                observed: bin.observed as f64 / bin.rows as f64,
                interval: None,
            })
            .collect()
    }

    fn to_value(&self) -> Value {
        let number = |v: Option<f64>| v.map_or(Value::Null, Value::Float);
        Value::Map(vec![
            ("from".into(), Value::Float(self.range.0)),
            ("high".into(), number(self.interval.map(|ends| ends.1))),
            ("low".into(), number(self.interval.map(|ends| ends.0))),
            ("observed".into(), Value::Float(self.observed)),
            ("predicted".into(), Value::Float(self.predicted)),
            ("rows".into(), Value::Int(self.rows as i64)),
            ("to".into(), Value::Float(self.range.1)),
        ])
    }
}

/// The metrics of a repeat and of its folds that [`Sample`] computes.
struct SampledRepeat {
    pooled: BTreeMap<Metric, f64>,
    folds: Vec<BTreeMap<Metric, f64>>,
    reliability: Reliability,
}

impl SampledRepeat {
    fn new(sample: &Sample, repeat: &Repeat) -> Self {
        let all = vec![1; repeat.rows.len()];
        let of_fold = |fold: usize| {
            let here = |&(_, at): &(usize, u32)| u32::from(at as usize == fold);
            let counts: Vec<u32> = repeat.rows.iter().map(here).collect();
            sample.metrics(&counts)
        };
        Self {
            pooled: sample.metrics(&all),
            folds: (0..repeat.folds.len()).map(of_fold).collect(),
            reliability: sample.reliability(&all),
        }
    }
}

fn samples(
    predictions: &Predictions,
    repeats: &[Repeat],
    settings: &ScoreSettings,
) -> Result<Vec<Sample>, StageError> {
    let positive = predictions.positive_column()?;
    let repeats = repeats.iter();
    repeats
        .map(|repeat| Sample::new(predictions, positive, repeat, settings))
        .collect()
}

/// A metric of some rows, by whichever computes it.
fn value(
    scored: &ScoredRows,
    sampled: &BTreeMap<Metric, f64>,
    metric: Metric,
    fixed: f64,
) -> Option<f64> {
    match metric {
        Metric::PrecisionTop
        | Metric::RecallAt50
        | Metric::RecallAt80
        | Metric::RecallAt90
        | Metric::WeightedLogLoss
        | Metric::Ece => sampled.get(&metric).copied(),
        _ => scored.value(metric, fixed),
    }
}

/// Scores a repeat for the class with this column, or for all classes.
fn score(
    predictions: &Predictions,
    positive: Option<(usize, &str)>,
    repeat: &Repeat,
) -> Result<ScoredRepeat, StageError> {
    let folds = repeat.places();
    if let Some((column, class)) = positive {
        let (scores, labels) = repeat.scores(predictions, column, class);
        return Ok(ScoredRepeat::binary(&scores, &labels, &folds));
    }
    let (probabilities, labels) = repeat.probabilities(predictions)?;
    let n_classes = predictions.classes.len();
    Ok(ScoredRepeat::classes(
        &probabilities,
        &labels,
        n_classes,
        &folds,
    ))
}

/// The mean over repeats; undefined if it is undefined in one of them.
fn over_repeats(values: impl ExactSizeIterator<Item = Option<f64>>) -> Option<f64> {
    let n = values.len() as f64;
    let shares = values.map(|value| value.map(|value| value / n));
    shares.reduce(|sum, share| Some(sum? + share?)).flatten()
}

fn plus(mut sum: Vec<Vec<u64>>, counts: &[Vec<u64>]) -> Vec<Vec<u64>> {
    let cells = sum.iter_mut().flatten().zip(counts.iter().flatten());
    cells.for_each(|(sum, count)| *sum += count);
    sum
}

/// The reason why a fold has no threshold, if one of the repeat has none.
fn no_threshold(repeat: &Repeat, scored: &ScoredRepeat, positive: &str) -> Option<String> {
    let fold = repeat.name(scored.without_threshold()?);
    let cause = if !scored.pooled.has_positives() {
        format!("no object that is scored is a `{positive}`")
    } else if repeat.folds.len() == 1 {
        format!("{fold} is the only fold that is scored")
    } else {
        format!("all objects of `{positive}` are in fold {fold}")
    };
    Some(format!(
        "f1, precision, recall, mcc and threshold are undefined: a fold's threshold is chosen on the other folds, and {cause}"
    ))
}

#[cfg(test)]
mod tests;
