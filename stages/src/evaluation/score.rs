//! Metrics of predictions, per fold and pooled: what `evaluate` reports.

use std::collections::BTreeMap;

use flow_cache::Value;
use flow_engine::StageError;

use crate::numeric::metrics::{
    self as m, Confusion, best_f1_threshold, cross_fitted_threshold, multiclass,
};
use crate::table::{Predictions, no_positive};

/// The out-of-fold rows of one repeat. Numbers of repeats and folds are names: nothing is as long as the
/// largest of them.
pub struct Repeat {
    /// Its number.
    pub number: i32,
    /// The numbers of the folds that hold out rows, ascending.
    pub folds: Vec<i32>,
    /// In the order of object_id: row of the predictions, place of its fold in `folds`.
    pub rows: Vec<(usize, u32)>,
}

/// One metric.
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Over all rows of a repeat, averaged over repeats; none where undefined.
    pub pooled: Option<f64>,
    /// By repeat and fold; none where undefined.
    pub folds: Vec<Option<f64>>,
}

/// All metrics of some predictions.
pub struct Figures {
    /// The metrics.
    pub metrics: Vec<Metric>,
    /// Classes of the confusion matrix.
    pub confusion_classes: Vec<String>,
    /// Counts over all repeats, by true and predicted class; none where something has no prediction.
    pub confusion: Option<Vec<Vec<u64>>>,
    /// Why something is undefined.
    pub notes: Vec<String>,
    /// What figures are averages of, where they are not of one class: `macro`.
    pub average: Option<&'static str>,
}

/// The column and the name of the class that binary metrics score; none if the survey names none.
///
/// # Errors
/// The class that it names has no column.
pub fn positive_column(predictions: &Predictions) -> Result<Option<(usize, &str)>, StageError> {
    let Some(positive) = &predictions.positive else {
        return Ok(None);
    };
    let column = predictions.classes.iter().position(|c| c == positive);
    let column = column.ok_or_else(|| no_positive(Some(positive), &predictions.classes))?;
    Ok(Some((column, positive)))
}

/// All metrics: of the positive class against the rest, or macro averages where the survey names none.
///
/// # Errors
/// A class that is named, or that a label bears, has no column of probabilities.
pub fn figures(
    predictions: &Predictions,
    repeats: &[Repeat],
    fixed: f64,
) -> Result<Figures, StageError> {
    match positive_column(predictions)? {
        Some((column, positive)) => Ok(binary(predictions, column, positive, repeats, fixed)),
        None => macro_average(predictions, repeats),
    }
}

/// The rows of each repeat that have a fold.
///
/// # Errors
/// There are none, one has no label, or an object comes twice in a repeat.
pub fn out_of_fold(predictions: &Predictions) -> Result<Vec<Repeat>, StageError> {
    let mut repeats: BTreeMap<i32, Vec<(usize, i32)>> = BTreeMap::new();
    for i in 0..predictions.len() {
        let Some(fold) = predictions.fold[i] else {
            continue;
        };
        if predictions.label[i].is_none() {
            return Err(StageError::data(
                "flow::data::no_label",
                format!(
                    "object `{}` has a fold but no label",
                    predictions.object_id[i]
                ),
            ));
        }
        let repeat = repeats.entry(predictions.repeat[i]).or_default();
        repeat.push((i, fold));
    }
    if repeats.is_empty() {
        return Err(StageError::data(
            "flow::data::no_rows",
            "no prediction has a fold: there is nothing to score",
        ));
    }
    let repeats = repeats.into_iter();
    repeats
        .map(|(number, rows)| Repeat::new(predictions, number, rows))
        .collect()
}

impl Repeat {
    /// Of rows with the numbers of their folds.
    fn new(
        predictions: &Predictions,
        number: i32,
        mut rows: Vec<(usize, i32)>,
    ) -> Result<Self, StageError> {
        let id = |row: usize| &predictions.object_id[row];
        rows.sort_by(|a, b| id(a.0).cmp(id(b.0)));
        if let Some(pair) = rows.windows(2).find(|p| id(p[0].0) == id(p[1].0)) {
            return Err(StageError::data(
                "flow::data::object_twice",
                format!(
                    "object `{}` is held out twice in repeat {number}",
                    id(pair[0].0)
                ),
            ));
        }
        let mut folds: Vec<i32> = rows.iter().map(|(_, fold)| *fold).collect();
        folds.sort_unstable();
        folds.dedup();
        let place = |fold: i32| folds.partition_point(|&other| other < fold) as u32;
        Ok(Self {
            number,
            rows: rows.into_iter().map(|(i, fold)| (i, place(fold))).collect(),
            folds,
        })
    }

    /// Scores and truth for one class.
    pub fn scores(
        &self,
        predictions: &Predictions,
        column: usize,
        class: &str,
    ) -> (Vec<f64>, Vec<bool>) {
        self.rows
            .iter()
            .map(|&(i, _)| {
                let truth = predictions.label[i].as_deref() == Some(class);
                (predictions.probability[column][i], truth)
            })
            .unzip()
    }

    /// By row, the place of its fold.
    pub fn places(&self) -> Vec<u32> {
        self.rows.iter().map(|&(_, fold)| fold).collect()
    }

    /// What folds are called.
    fn name(&self, place: usize) -> String {
        format!("{}.{}", self.number, self.folds[place])
    }
}

impl Metric {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            pooled: None,
            folds: Vec::new(),
        }
    }

    fn defined(&self) -> Vec<f64> {
        self.folds.iter().copied().flatten().collect()
    }

    /// Mean over the folds that have a value.
    pub fn mean(&self) -> Option<f64> {
        let values = self.defined();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }

    /// Standard deviation over the folds that have a value (over n - 1).
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

impl Figures {
    /// As a map by metric, with `confusion`.
    pub fn to_value(&self) -> Value {
        let mut entries: Vec<(String, Value)> = self
            .metrics
            .iter()
            .map(|metric| (metric.name.to_owned(), metric.to_value(self.average)))
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

/// Collects the values of several metrics: pooled values are averaged over repeats.
struct Collector {
    metrics: Vec<Metric>,
    repeats: usize,
}

impl Collector {
    fn new(names: &[&'static str], repeats: usize) -> Self {
        Self {
            metrics: names.iter().map(|name| Metric::new(name)).collect(),
            repeats,
        }
    }

    fn metric(&mut self, name: &str) -> &mut Metric {
        let at = self.metrics.iter().position(|m| m.name == name);
        &mut self.metrics[at.unwrap_or(0)]
    }

    /// Adds a repeat's pooled value. Undefined in one repeat is undefined.
    fn pooled(&mut self, name: &str, first: bool, value: Option<f64>) {
        let share = value.map(|v| v / self.repeats as f64);
        let metric = self.metric(name);
        metric.pooled = match (first, metric.pooled, share) {
            (true, _, share) => share,
            (false, Some(sum), Some(share)) => Some(sum + share),
            _ => None,
        };
    }

    fn fold(&mut self, name: &str, value: Option<f64>) {
        self.metric(name).folds.push(value);
    }
}

/// The word for macro averages.
pub const MACRO_AVERAGE: &str = "macro";

/// The metrics of one class against the rest.
pub const BINARY: [&str; 14] = [
    "f1",
    "precision",
    "recall",
    "mcc",
    "f1_fixed",
    "precision_fixed",
    "recall_fixed",
    "f1_oracle",
    "roc_auc",
    "pr_auc",
    "log_loss",
    "brier",
    "threshold",
    "threshold_oracle",
];

/// Metrics of one class against the rest. A fold without positives (or negatives) has no values, and
/// what depends on thresholds has none where there is no other fold to choose one on.
fn binary(
    predictions: &Predictions,
    column: usize,
    positive: &str,
    repeats: &[Repeat],
    fixed: f64,
) -> Figures {
    let mut all = Collector::new(&BINARY, repeats.len());
    let mut confusion = Some(vec![vec![0; 2]; 2]);
    let mut notes = Vec::new();
    for (index, repeat) in repeats.iter().enumerate() {
        let (scores, labels) = repeat.scores(predictions, column, positive);
        let folds = repeat.places();
        let nested = cross_fitted_threshold(&scores, &labels, &folds);
        let without = nested.thresholds.iter().position(Option::is_none);
        if let Some(place) = without
            && notes.is_empty()
        {
            notes.push(no_threshold(repeat, place, &labels, positive));
        }
        let total = Confusion::of(&nested.predicted, &labels);
        confusion = confusion
            .filter(|_| without.is_none())
            .map(|mut counts: Vec<Vec<u64>>| {
                counts[0][0] += total.tn;
                counts[0][1] += total.fp;
                counts[1][0] += total.fn_;
                counts[1][1] += total.tp;
                counts
            });
        let chosen: Option<Vec<f64>> = nested.thresholds.iter().copied().collect();
        let threshold = chosen.map(|chosen| chosen.iter().sum::<f64>() / chosen.len() as f64);
        let pooled = Sample {
            scores: &scores,
            labels: &labels,
            nested: without.is_none().then_some(total),
            threshold,
        };
        for (name, value) in BINARY.into_iter().zip(pooled.values(fixed)) {
            all.pooled(name, index == 0, value);
        }
        for (fold, threshold) in nested.thresholds.iter().enumerate() {
            let here: Vec<usize> = (0..folds.len())
                .filter(|&i| folds[i] as usize == fold)
                .collect();
            let scores: Vec<f64> = here.iter().map(|&i| scores[i]).collect();
            let labels: Vec<bool> = here.iter().map(|&i| labels[i]).collect();
            let predicted: Vec<bool> = here.iter().map(|&i| nested.predicted[i]).collect();
            let sample = Sample {
                scores: &scores,
                labels: &labels,
                nested: threshold.map(|_| Confusion::of(&predicted, &labels)),
                threshold: *threshold,
            };
            for (name, value) in BINARY.into_iter().zip(sample.values(fixed)) {
                all.fold(name, value);
            }
        }
    }
    Figures {
        metrics: all.metrics,
        confusion_classes: vec!["rest".into(), positive.into()],
        confusion,
        notes,
        average: None,
    }
}

/// Why a fold has no threshold.
fn no_threshold(repeat: &Repeat, place: usize, labels: &[bool], positive: &str) -> String {
    let fold = repeat.name(place);
    let cause = if !labels.contains(&true) {
        format!("no object that is scored is a `{positive}`")
    } else if repeat.folds.len() == 1 {
        format!("{fold} is the only fold that is scored")
    } else {
        format!("all objects of `{positive}` are in fold {fold}")
    };
    format!(
        "f1, precision, recall, mcc and threshold are undefined: a fold's threshold is chosen on the other folds, and {cause}"
    )
}

/// Rows that are scored together.
struct Sample<'a> {
    scores: &'a [f64],
    labels: &'a [bool],
    /// Counts at the thresholds of other folds, where there are such.
    nested: Option<Confusion>,
    /// That threshold, or the mean of several.
    threshold: Option<f64>,
}

impl Sample<'_> {
    /// The values of [`BINARY`], in that order.
    fn values(&self, fixed: f64) -> [Option<f64>; BINARY.len()] {
        let (scores, labels) = (self.scores, self.labels);
        let defined = labels.contains(&true);
        let nested = self.nested.filter(|_| defined);
        let fixed = defined.then(|| Confusion::at(scores, labels, fixed));
        let oracle = best_f1_threshold(scores, labels);
        [
            nested.map(|counts| counts.f1()),
            nested.map(|counts| counts.precision()),
            nested.map(|counts| counts.recall()),
            nested.map(|counts| counts.mcc()),
            fixed.map(|counts| counts.f1()),
            fixed.map(|counts| counts.precision()),
            fixed.map(|counts| counts.recall()),
            oracle.map(|t| Confusion::at(scores, labels, t).f1()),
            m::roc_auc(scores, labels, None),
            m::average_precision(scores, labels, None),
            m::log_loss(scores, labels),
            m::brier(scores, labels),
            self.threshold,
            oracle,
        ]
    }
}

/// The metrics over all classes.
pub const MACRO: [&str; 7] = [
    "f1",
    "precision",
    "recall",
    "accuracy",
    "roc_auc",
    "pr_auc",
    "log_loss",
];

/// Macro averages over classes at the most probable class.
///
/// # Errors
/// A label has no column of probabilities.
fn macro_average(predictions: &Predictions, repeats: &[Repeat]) -> Result<Figures, StageError> {
    let n_classes = predictions.classes.len();
    let mut all = Collector::new(&MACRO, repeats.len());
    let mut confusion = vec![vec![0; n_classes]; n_classes];
    for (index, repeat) in repeats.iter().enumerate() {
        let labels: Vec<usize> = repeat
            .rows
            .iter()
            .map(|&(i, _)| class_index(predictions, i))
            .collect::<Result<_, _>>()?;
        let folds = repeat.places();
        let probabilities = |rows: &[usize]| -> Vec<f64> {
            rows.iter()
                .flat_map(|&r| (0..n_classes).map(move |c| (r, c)))
                .map(|(r, c)| predictions.probability[c][repeat.rows[r].0])
                .collect()
        };
        let everyone: Vec<usize> = (0..labels.len()).collect();
        for fold in std::iter::once(None).chain((0..repeat.folds.len()).map(Some)) {
            let rows: Vec<usize> = match fold {
                None => everyone.clone(),
                Some(fold) => everyone
                    .iter()
                    .copied()
                    .filter(|&i| folds[i] as usize == fold)
                    .collect(),
            };
            let truth: Vec<usize> = rows.iter().map(|&r| labels[r]).collect();
            let p = probabilities(&rows);
            let predicted = multiclass::argmax(&p, n_classes);
            let matrix = multiclass::ConfusionMatrix::of(&predicted, &truth, n_classes);
            let values = [
                ("f1", Some(matrix.macro_f1())),
                ("precision", Some(matrix.macro_precision())),
                ("recall", Some(matrix.macro_recall())),
                ("accuracy", Some(matrix.accuracy())),
                ("roc_auc", multiclass::roc_auc_macro(&p, &truth, n_classes)),
                (
                    "pr_auc",
                    multiclass::average_precision_macro(&p, &truth, n_classes),
                ),
                ("log_loss", multiclass::log_loss(&p, &truth, n_classes)),
            ];
            for (name, value) in values {
                match fold {
                    None => all.pooled(name, index == 0, value),
                    Some(_) => all.fold(name, value),
                }
            }
            if fold.is_none() {
                for (c, row) in confusion.iter_mut().enumerate() {
                    for (d, count) in row.iter_mut().enumerate() {
                        *count += matrix.count(c, d);
                    }
                }
            }
        }
    }
    Ok(Figures {
        metrics: all.metrics,
        confusion_classes: predictions.classes.clone(),
        confusion: Some(confusion),
        notes: Vec::new(),
        average: Some(MACRO_AVERAGE),
    })
}

/// The class of a row.
///
/// # Errors
/// There is no column for it.
pub fn class_index(predictions: &Predictions, row: usize) -> Result<usize, StageError> {
    let label = predictions.label[row].as_deref().unwrap_or_default();
    predictions
        .classes
        .iter()
        .position(|class| class == label)
        .ok_or_else(|| {
            StageError::data(
                "flow::data::unknown_class",
                format!("object `{}` is a `{label}`, for which there is no column of probabilities", predictions.object_id[row]),
            )
            .help("learn all classes: target = \"classes\" in the `model` stage, or name a `positive` class")
        })
}

#[cfg(test)]
mod tests;
