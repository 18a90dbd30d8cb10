//! Metrics of predictions, per fold and pooled: what `evaluate` reports.

use flow_cache::Value;
use flow_engine::StageError;

use crate::math::metrics::{
    self as m, Confusion, best_f1_threshold, cross_fitted_threshold, multiclass,
};
use crate::table::Predictions;

/// The out-of-fold rows of one repeat: row of the predictions, fold.
#[derive(Default)]
pub struct Repeat {
    /// In the order of object_id.
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
    /// Counts over all repeats, by true and predicted class.
    pub confusion: Vec<Vec<u64>>,
}

/// The rows of each repeat that have a fold.
///
/// # Errors
/// There are none, one has no label, or an object comes twice in a repeat.
pub fn out_of_fold(predictions: &Predictions) -> Result<Vec<Repeat>, StageError> {
    let mut repeats: Vec<Repeat> = Vec::new();
    for i in 0..predictions.len() {
        let Some(fold) = predictions.fold[i] else {
            continue;
        };
        let repeat = predictions.repeat[i] as usize;
        if predictions.label[i].is_none() {
            return Err(StageError::data(
                "flow::data::no_label",
                format!(
                    "object `{}` has a fold but no label",
                    predictions.object_id[i]
                ),
            ));
        }
        if repeats.len() <= repeat {
            repeats.resize_with(repeat + 1, Repeat::default);
        }
        let rows = &mut repeats[repeat].rows;
        if let Some((last, _)) = rows.last()
            && predictions.object_id[*last] == predictions.object_id[i]
        {
            return Err(StageError::data(
                "flow::data::object_twice",
                format!(
                    "object `{}` is held out twice in repeat {repeat}",
                    predictions.object_id[i]
                ),
            ));
        }
        rows.push((i, fold as u32));
    }
    repeats.retain(|r| !r.rows.is_empty());
    if repeats.is_empty() {
        return Err(StageError::data(
            "flow::data::no_rows",
            "no prediction has a fold: there is nothing to score",
        ));
    }
    Ok(repeats)
}

impl Repeat {
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

    fn folds(&self) -> Vec<u32> {
        self.rows.iter().map(|&(_, fold)| fold).collect()
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

    fn to_value(&self) -> Value {
        let number = |v: Option<f64>| v.map_or(Value::Null, Value::Float);
        let undefined = self.folds.iter().filter(|f| f.is_none()).count();
        Value::Map(vec![
            (
                "folds".into(),
                Value::List(self.folds.iter().map(|&f| number(f)).collect()),
            ),
            ("mean".into(), number(self.mean())),
            ("pooled".into(), number(self.pooled)),
            ("std".into(), number(self.std())),
            ("undefined_folds".into(), Value::Int(undefined as i64)),
        ])
    }
}

impl Figures {
    /// As a map by metric, with `confusion`.
    pub fn to_value(&self) -> Value {
        let mut entries: Vec<(String, Value)> = self
            .metrics
            .iter()
            .map(|metric| (metric.name.to_owned(), metric.to_value()))
            .collect();
        let counts = self
            .confusion
            .iter()
            .map(|row| Value::List(row.iter().map(|&n| Value::Int(n as i64)).collect()));
        let classes = self.confusion_classes.iter().cloned().map(Value::Str);
        entries.push((
            "confusion".into(),
            Value::Map(vec![
                ("classes".into(), Value::List(classes.collect())),
                ("counts".into(), Value::List(counts.collect())),
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

const BINARY: [&str; 14] = [
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

/// Metrics of one class against the rest. A fold without positives (or negatives) has no values.
pub fn binary(
    predictions: &Predictions,
    positive: &str,
    repeats: &[Repeat],
    fixed: f64,
) -> Figures {
    let column = predictions
        .classes
        .iter()
        .position(|c| c == positive)
        .unwrap_or(0);
    let mut all = Collector::new(&BINARY, repeats.len());
    let mut confusion = vec![vec![0; 2]; 2];
    for (index, repeat) in repeats.iter().enumerate() {
        let (scores, labels) = repeat.scores(predictions, column, positive);
        let folds = repeat.folds();
        let nested = cross_fitted_threshold(&scores, &labels, &folds);
        let first = index == 0;
        let total = Confusion::of(&nested.predicted, &labels);
        confusion[0][0] += total.tn;
        confusion[0][1] += total.fp;
        confusion[1][0] += total.fn_;
        confusion[1][1] += total.tp;
        let at_fixed = Confusion::at(&scores, &labels, fixed);
        let oracle = best_f1_threshold(&scores, &labels);
        let chosen: Vec<f64> = nested.thresholds.iter().copied().flatten().collect();
        let mean_threshold = chosen.iter().sum::<f64>() / chosen.len().max(1) as f64;
        let pooled = [
            ("f1", Some(total.f1())),
            ("precision", Some(total.precision())),
            ("recall", Some(total.recall())),
            ("mcc", Some(total.mcc())),
            ("f1_fixed", Some(at_fixed.f1())),
            ("precision_fixed", Some(at_fixed.precision())),
            ("recall_fixed", Some(at_fixed.recall())),
            (
                "f1_oracle",
                oracle.map(|t| Confusion::at(&scores, &labels, t).f1()),
            ),
            ("roc_auc", m::roc_auc(&scores, &labels, None)),
            ("pr_auc", m::average_precision(&scores, &labels, None)),
            ("log_loss", m::log_loss(&scores, &labels)),
            ("brier", m::brier(&scores, &labels)),
            ("threshold", (!chosen.is_empty()).then_some(mean_threshold)),
            ("threshold_oracle", oracle),
        ];
        for (name, value) in pooled {
            all.pooled(name, first, value);
        }
        for (fold, threshold) in nested.thresholds.iter().enumerate() {
            let here: Vec<usize> = (0..folds.len())
                .filter(|&i| folds[i] as usize == fold)
                .collect();
            let scores: Vec<f64> = here.iter().map(|&i| scores[i]).collect();
            let truth: Vec<bool> = here.iter().map(|&i| labels[i]).collect();
            let predicted: Vec<bool> = here.iter().map(|&i| nested.predicted[i]).collect();
            let defined = truth.contains(&true);
            let nested = Confusion::of(&predicted, &truth);
            let at_fixed = Confusion::at(&scores, &truth, fixed);
            let oracle = best_f1_threshold(&scores, &truth);
            let some = |v: f64| defined.then_some(v);
            let values = [
                ("f1", some(nested.f1())),
                ("precision", some(nested.precision())),
                ("recall", some(nested.recall())),
                ("mcc", some(nested.mcc())),
                ("f1_fixed", some(at_fixed.f1())),
                ("precision_fixed", some(at_fixed.precision())),
                ("recall_fixed", some(at_fixed.recall())),
                (
                    "f1_oracle",
                    oracle.map(|t| Confusion::at(&scores, &truth, t).f1()),
                ),
                ("roc_auc", m::roc_auc(&scores, &truth, None)),
                ("pr_auc", m::average_precision(&scores, &truth, None)),
                ("log_loss", m::log_loss(&scores, &truth)),
                ("brier", m::brier(&scores, &truth)),
                ("threshold", *threshold),
                ("threshold_oracle", oracle),
            ];
            for (name, value) in values {
                all.fold(name, value);
            }
        }
    }
    Figures {
        metrics: all.metrics,
        confusion_classes: vec!["rest".into(), positive.into()],
        confusion,
    }
}

const MACRO: [&str; 7] = [
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
pub fn macro_average(predictions: &Predictions, repeats: &[Repeat]) -> Result<Figures, StageError> {
    let n_classes = predictions.classes.len();
    let mut all = Collector::new(&MACRO, repeats.len());
    let mut confusion = vec![vec![0; n_classes]; n_classes];
    for (index, repeat) in repeats.iter().enumerate() {
        let labels: Vec<usize> = repeat
            .rows
            .iter()
            .map(|&(i, _)| class_index(predictions, i))
            .collect::<Result<_, _>>()?;
        let folds = repeat.folds();
        let probabilities = |rows: &[usize]| -> Vec<f64> {
            rows.iter()
                .flat_map(|&r| (0..n_classes).map(move |c| (r, c)))
                .map(|(r, c)| predictions.probability[c][repeat.rows[r].0])
                .collect()
        };
        let everyone: Vec<usize> = (0..labels.len()).collect();
        let n_folds = folds.iter().max().map_or(0, |&f| f as usize + 1);
        for fold in std::iter::once(None).chain((0..n_folds).map(Some)) {
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
                    Some(_) => all.fold(name, if rows.is_empty() { None } else { value }),
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
        confusion,
    })
}

fn class_index(predictions: &Predictions, row: usize) -> Result<usize, StageError> {
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
