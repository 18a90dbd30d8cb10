//! The predictions of objects whose classes are known elsewhere.

use std::path::Path;

use flow_engine::StageError;

use super::Repeat;
use super::repeat::out_of_fold;
use crate::table::{Predictions, Truth};

/// The predictions of unlabelled objects whose classes a [`Truth`] has.
pub struct HiddenRows {
    /// Their predictions by the final fit, with their true classes as labels, as if one fold held all of them out.
    /// Classes without probabilities have probability 0.
    pub predictions: Predictions,
    /// The same rows as the only repeat.
    pub repeats: Vec<Repeat>,
    /// The classes of scored objects for which there are no probabilities, with the number of these objects.
    pub unknown: Vec<(String, usize)>,
    /// The number of unlabelled objects that were predicted, and whose class is not known.
    pub without_truth: usize,
}

impl HiddenRows {
    /// Reads a table of predictions. Only the rows that are scored are held.
    ///
    /// # Errors
    /// If it is unreadable, or as for [`HiddenRows::of`].
    pub fn read(predictions: &Path, truth: &Truth) -> Result<Self, StageError> {
        let mut without_truth = 0;
        let known = Predictions::read_where(predictions, |rows, row| {
            let is_new = rows.fold[row].is_none() && rows.label[row].is_none();
            let is_known = truth.class.contains_key(&rows.object_id[row]);
            without_truth += usize::from(is_new && !is_known);
            is_new && is_known
        })?;
        Ok(Self {
            without_truth,
            ..Self::of(&known, truth)?
        })
    }

    /// Takes the rows of the final fit that have neither a fold nor a label.
    ///
    /// # Errors
    /// If there are none whose class is known, or an object has two of them.
    pub fn of(all: &Predictions, truth: &Truth) -> Result<Self, StageError> {
        let new = (0..all.len()).filter(|&row| all.fold[row].is_none() && all.label[row].is_none());
        let (mut rows, mut without_truth) = (Vec::new(), 0);
        for row in new {
            match truth.class.get(&all.object_id[row]) {
                Some(class) => rows.push((row, class)),
                None => without_truth += 1,
            }
        }
        if rows.is_empty() {
            return Err(StageError::data(
                "flow::data::no_rows",
                "no object that was predicted without a label has a true class: there is nothing to score",
            )
            .help("the truth is that of unlabelled objects, which the final fit of a `model` stage predicts too"));
        }
        let column = |values: &Vec<f64>| rows.iter().map(|&(row, _)| values[row]).collect();
        let mut predictions = Predictions {
            classes: all.classes.clone(),
            positive: all.positive.clone(),
            object_id: rows
                .iter()
                .map(|&(row, _)| all.object_id[row].clone())
                .collect(),
            repeat: vec![0; rows.len()],
            fold: vec![Some(0); rows.len()],
            label: rows.iter().map(|&(_, class)| Some(class.clone())).collect(),
            probability: all.probability.iter().map(column).collect(),
        };
        let unknown = add_unknown(&mut predictions);
        let repeats = out_of_fold(&predictions)?;
        Ok(Self {
            predictions,
            repeats,
            unknown,
            without_truth,
        })
    }
}

/// Adds a column of zeros for each class that rows have and predictions lack, if all classes have probabilities, which
/// those of a positive class alone do not. Returns the classes with the number of their rows.
fn add_unknown(predictions: &mut Predictions) -> Vec<(String, usize)> {
    let positive = predictions.positive.as_ref();
    if predictions.classes.len() < 2 && positive.is_some() {
        return Vec::new();
    }
    let mut unknown: Vec<(String, usize)> = Vec::new();
    for class in predictions.label.iter().flatten() {
        if predictions.classes.contains(class) {
            continue;
        }
        match unknown.iter_mut().find(|(known, _)| known == class) {
            Some((_, count)) => *count += 1,
            None => unknown.push((class.clone(), 1)),
        }
    }
    unknown.sort();
    let zeros = vec![0.0; predictions.len()];
    for (class, _) in &unknown {
        predictions.classes.push(class.clone());
        predictions.probability.push(zeros.clone());
    }
    unknown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::{Metric, MetricReport, ScoreSettings};

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    /// Two classes; object `a` is labelled, `b` to `e` are not.
    fn predictions() -> Predictions {
        Predictions {
            classes: vec!["42".into(), "90".into()],
            positive: None,
            object_id: ["a", "b", "c", "d", "e"].map(String::from).into(),
            repeat: vec![0; 5],
            fold: vec![Some(2), None, None, None, None],
            label: vec![text("42"), None, None, None, None],
            probability: vec![vec![0.1, 0.9, 0.2, 0.6, 0.5], vec![0.9, 0.1, 0.8, 0.4, 0.5]],
        }
    }

    fn truth(classes: &[(&str, &str)]) -> Truth {
        let pairs = classes.iter();
        Truth {
            class: pairs
                .map(|&(id, class)| (id.to_owned(), class.to_owned()))
                .collect(),
        }
    }

    #[test]
    fn unlabelled_objects_are_scored_and_no_others() {
        let truth = truth(&[
            ("a", "90"),
            ("b", "42"),
            ("c", "90"),
            ("d", "90"),
            ("x", "42"),
        ]);
        let hidden = HiddenRows::of(&predictions(), &truth).unwrap();
        assert_eq!(hidden.predictions.object_id, ["b", "c", "d"]);
        assert_eq!((hidden.without_truth, hidden.unknown.len()), (1, 0));
        let mut bytes = Vec::new();
        predictions().write(&mut bytes).unwrap();
        let file = flow_testkit::files::file_of(&bytes);
        let read = HiddenRows::read(file.path(), &truth).unwrap();
        assert_eq!(read.predictions, hidden.predictions);
        assert_eq!((read.without_truth, read.unknown.len()), (1, 0));
        assert!(HiddenRows::read(file.path(), &Truth::default()).is_err());
        let settings = ScoreSettings::default();
        let report =
            MetricReport::of(&hidden.predictions, &hidden.repeats, &settings, None).unwrap();
        let value = |metric| report.metric(metric).unwrap().pooled.unwrap();
        assert!((value(Metric::Accuracy) - 2.0 / 3.0).abs() < 1e-15);
        assert_eq!(report.confusion, Some(vec![vec![1, 0], vec![1, 1]]));
        // Mean log-loss of each class, averaged.
        let of_90 = -(libm::log(0.8) + libm::log(0.4)) / 2.0;
        let expected = (of_90 - libm::log(0.9)) / 2.0;
        assert!((value(Metric::WeightedLogLoss) - expected).abs() < 1e-12);
    }

    #[test]
    fn a_class_that_no_training_row_had_counts_as_impossible() {
        let truth = truth(&[("b", "42"), ("c", "99"), ("d", "99"), ("e", "7")]);
        let hidden = HiddenRows::of(&predictions(), &truth).unwrap();
        assert_eq!(hidden.unknown, [("7".to_owned(), 1), ("99".to_owned(), 2)]);
        assert_eq!(hidden.predictions.classes, ["42", "90", "7", "99"]);
        let settings = |weight| ScoreSettings {
            class_weights: [("99".to_owned(), weight), ("7".to_owned(), 0.0)].into(),
            ..ScoreSettings::default()
        };
        // The interval knows that three of four rows are impossible.
        let report = MetricReport::of(
            &hidden.predictions,
            &hidden.repeats,
            &ScoreSettings::default(),
            None,
        );
        let report = report.unwrap();
        let plain = report.metric(Metric::LogLoss).unwrap();
        let (low, high) = plain.interval.unwrap();
        assert!(
            plain
                .pooled
                .is_some_and(|v| low < v && v < high && high > 30.0)
        );
        let loss = |weight| {
            let (rows, settings) = (&hidden.predictions, settings(weight));
            let report = MetricReport::without_intervals(rows, &hidden.repeats, &settings).unwrap();
            report
                .metric(Metric::WeightedLogLoss)
                .unwrap()
                .pooled
                .unwrap()
        };
        let (known, impossible) = (-libm::log(0.9), -libm::log(1e-15));
        assert!((loss(0.0) - known).abs() < 1e-12);
        assert!((loss(2.0) - (known + 2.0 * impossible) / 3.0).abs() < 1e-12);
    }

    #[test]
    fn predictions_of_one_class_need_no_others() {
        let mut one = predictions();
        one.classes.truncate(1);
        one.probability.truncate(1);
        one.positive = text("42");
        let truth = truth(&[("b", "42"), ("c", "99")]);
        let hidden = HiddenRows::of(&one, &truth).unwrap();
        assert_eq!(hidden.predictions.classes, ["42"]);
        assert!(hidden.unknown.is_empty());
        assert!(HiddenRows::of(&one, &Truth::default()).is_err());
    }

    /// 90 objects of PLAsTiCC's 15 classes. The weighted log-loss is that of the challenge, the other figures are
    /// scikit-learn's (1.9.1) at the most probable class, with and without the four objects of class 99.
    #[test]
    fn figures_of_fifteen_classes_are_those_of_scikit_learn() {
        const ORACLE: &str = include_str!("../../tests/fixtures/plasticc_logloss.json");
        let oracle: serde_json::Value = serde_json::from_str(ORACLE).unwrap();
        let list = |name: &str| oracle[name].as_array().unwrap().clone();
        let (classes, labels, p) = (list("classes"), list("y"), list("p"));
        let n = labels.len();
        let column = |c: usize| p.iter().map(|row| row[c].as_f64().unwrap()).collect();
        let predictions = Predictions {
            classes: classes.iter().map(ToString::to_string).collect(),
            positive: None,
            object_id: (0..n).map(|i| format!("o{i:02}")).collect(),
            repeat: vec![0; n],
            fold: vec![None; n],
            label: vec![None; n],
            probability: (0..classes.len()).map(column).collect(),
        };
        let pairs = predictions.object_id.iter().cloned();
        let mut truth = Truth {
            class: pairs.zip(labels.iter().map(ToString::to_string)).collect(),
        };
        let weights = classes.iter().map(ToString::to_string).zip(list("weights"));
        let settings = ScoreSettings {
            class_weights: weights
                .map(|(class, w)| (class, w.as_f64().unwrap()))
                .collect(),
            ..ScoreSettings::default()
        };
        let figures = |truth: &Truth| {
            let rows = HiddenRows::of(&predictions, truth).unwrap();
            let report =
                MetricReport::without_intervals(&rows.predictions, &rows.repeats, &settings);
            let report = report.unwrap();
            assert_eq!(report.confusion_classes.len(), 15);
            let metrics = [
                Metric::Accuracy,
                Metric::Precision,
                Metric::Recall,
                Metric::F1,
                Metric::WeightedLogLoss,
            ];
            metrics.map(|metric| report.metric(metric).unwrap().pooled.unwrap())
        };
        let close = |found: [f64; 5], expected: [f64; 5]| {
            for (found, expected) in found.into_iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-12,
                    "{found} is not {expected}"
                );
            }
        };
        let loss = oracle["logloss_15"].as_f64().unwrap();
        close(
            figures(&truth),
            [
                0.8222222222222222,
                0.7505555555555555,
                0.8231016731016731,
                0.7601440129798339,
                loss,
            ],
        );
        // The probabilities have a class that none of the rows is of.
        truth.class.retain(|_, class| class != "99");
        close(
            figures(&truth),
            [
                0.813953488372093,
                0.7327380952380952,
                0.8104660783232213,
                0.7430114424783935,
                1.1874427651481951,
            ],
        );
    }
}
