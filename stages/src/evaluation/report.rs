//! All metrics of some predictions, as `evaluate` reports them.

use flow_cache::Value;
use flow_engine::StageError;

use super::{Metric, Repeat, ScoredRepeat};
use crate::table::Predictions;

/// The word for macro averages.
pub const MACRO_AVERAGE: &str = "macro";

/// The values of one metric.
pub struct MetricValues {
    /// The metric.
    pub metric: Metric,
    /// The value over all rows of a repeat, averaged over repeats; `None` if undefined.
    pub pooled: Option<f64>,
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

    fn to_value(&self, average: Option<&str>) -> Value {
        let number = |v: Option<f64>| v.map_or(Value::Null, Value::Float);
        let undefined = self.folds.iter().filter(|f| f.is_none()).count();
        let average = average.map(|average| ("average".to_owned(), Value::Str(average.into())));
        let fields = [
            (
                "folds".into(),
                Value::List(self.folds.iter().map(|&f| number(f)).collect()),
            ),
            ("mean".into(), number(self.mean())),
            ("pooled".into(), number(self.pooled)),
            ("std".into(), number(self.std())),
            ("undefined_folds".into(), Value::Int(undefined as i64)),
        ];
        Value::Map(average.into_iter().chain(fields).collect())
    }
}

impl MetricReport {
    /// Computes the metrics of the out-of-fold rows `repeats`, with `fixed` as the fixed threshold.
    ///
    /// # Errors
    /// If a class that is named, or that is a label, has no column of probabilities.
    pub fn of(
        predictions: &Predictions,
        repeats: &[Repeat],
        fixed: f64,
    ) -> Result<Self, StageError> {
        let positive = predictions.positive_column()?;
        let scored: Vec<ScoredRepeat> = repeats
            .iter()
            .map(|repeat| score(predictions, positive, repeat))
            .collect::<Result<_, _>>()?;
        let of = |metric: Metric| MetricValues {
            metric,
            pooled: over_repeats(
                scored
                    .iter()
                    .map(|repeat| repeat.pooled.value(metric, fixed)),
            ),
            folds: (scored.iter().flat_map(|repeat| &repeat.folds))
                .map(|rows| rows.value(metric, fixed))
                .collect(),
        };
        let confusion = scored.iter().map(|repeat| repeat.pooled.confusion());
        let confusion = confusion.reduce(|sum, counts| Some(plus(sum?, &counts?)));
        let note = positive.and_then(|(_, class)| {
            let mut repeats = repeats.iter().zip(&scored);
            repeats.find_map(|(repeat, scored)| no_threshold(repeat, scored, class))
        });
        Ok(Self {
            metrics: match positive {
                Some(_) => Metric::BINARY.map(of).into(),
                None => Metric::MACRO.map(of).into(),
            },
            confusion_classes: match positive {
                Some((_, class)) => vec!["rest".into(), class.into()],
                None => predictions.classes.clone(),
            },
            confusion: confusion.flatten(),
            notes: note.into_iter().collect(),
            average: positive.is_none().then_some(MACRO_AVERAGE),
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
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        Value::Map(entries)
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
