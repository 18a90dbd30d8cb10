//! What an evaluation makes of each object, and the lists of objects that are worth looking at.

use std::collections::{BTreeMap, BTreeSet};

use flow_engine::StageError;

use crate::evaluation::{Repeat, final_threshold, out_of_fold};
use crate::numeric::metrics::cross_fitted_threshold;
use crate::table::Predictions;

/// The word for all classes but the positive one.
pub const REST: &str = "rest";

/// An object as an evaluation judges it, all repeats of the cross-validation together.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Its name.
    pub id: String,
    /// Its class, if it is known.
    pub label: Option<String>,
    /// The mean probabilities over repeats, in the order of [`Judgement::classes`].
    pub probabilities: Vec<f64>,
    /// The probability of the positive class, or of the predicted class if no class is positive.
    pub score: f64,
    /// The threshold from which the score counts as positive: the mean over repeats of the one that the other
    /// folds chose, or for an object that was in no fold, the one that all folds choose. `None` if no class is
    /// positive or there is no such threshold.
    pub threshold: Option<f64>,
    /// The class that is predicted: [`REST`] if only the positive class has a probability.
    pub predicted: String,
    /// Whether that is right; `None` if nobody knows, or there is no threshold.
    pub right: Option<bool>,
    /// How far the prediction is from another one: from the threshold, or from the second class.
    pub margin: Option<f64>,
    /// The number of repeats that held the object out; 0 if only the final fit predicts it.
    pub repeats: usize,
    /// In how many of these it is predicted wrongly.
    pub wrong: usize,
}

/// All objects of an evaluation, in the order of the bytes of their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    /// The classes that have probabilities.
    pub classes: Vec<String>,
    /// The class that is scored, if there is one.
    pub positive: Option<String>,
    /// The objects.
    pub objects: Vec<Judged>,
    /// Those that are not among them.
    pub unshown: Unshown,
}

/// Objects without a label that are in no list and no sample, because there are too many.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unshown {
    /// How many there are.
    pub objects: usize,
    /// The names of the objects that are a sample of them and of all others without a label.
    pub sample: BTreeSet<String>,
}

/// A list of objects that are worth looking at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListKind {
    /// Taken for the positive class and of another, the highest score first.
    FalsePositives,
    /// Of the positive class and taken for another, the lowest score first.
    FalseNegatives,
    /// Taken for another class, the most probable first, if no class is positive.
    WrongClass,
    /// Labelled objects whose prediction is closest to another one.
    LeastCertain,
    /// Labelled objects of the highest scores.
    MostCertain,
    /// Objects without a label, the highest score first.
    Candidates,
}

/// The first objects of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectList {
    /// Which list it is.
    pub kind: ListKind,
    /// The objects, as places in [`Judgement::objects`].
    pub objects: Vec<usize>,
    /// How many objects the whole list has.
    pub of: usize,
}

/// Sums over the rows of an object.
#[derive(Default)]
struct Pooled {
    label: Option<String>,
    probabilities: Vec<f64>,
    /// The sum of the thresholds; `None` if a row has none.
    threshold: Option<f64>,
    rows: usize,
    repeats: usize,
    wrong: usize,
}

impl Judgement {
    /// Judges the objects of some predictions as `evaluate` does. Out-of-fold rows come first: a row of the final
    /// fit counts only for an object that no fold holds out.
    ///
    /// # Errors
    /// If the positive class has no column, or no row has a fold.
    pub fn of(predictions: &Predictions) -> Result<Self, StageError> {
        let positive = predictions.positive_column()?;
        let repeats = out_of_fold(predictions)?;
        let mut pooled: BTreeMap<&str, Pooled> = BTreeMap::new();
        for repeat in &repeats {
            let thresholds = thresholds(predictions, positive, repeat);
            for &(row, fold) in &repeat.rows {
                let threshold = thresholds.get(fold as usize).copied().flatten();
                let object = pooled.entry(&predictions.object_id[row]).or_default();
                object.add(predictions, row, threshold);
                object.repeats += 1;
                let wrong = is_wrong(predictions, positive, row, threshold);
                object.wrong += usize::from(wrong == Some(true));
            }
        }
        let last = final_threshold(predictions, &repeats);
        for row in (0..predictions.len()).filter(|&row| predictions.fold[row].is_none()) {
            let object = pooled.entry(&predictions.object_id[row]).or_default();
            if object.repeats == 0 {
                object.add(predictions, row, last);
            }
        }
        let column = positive.map(|(column, _)| column);
        let objects = pooled.into_iter();
        Ok(Self {
            classes: predictions.classes.clone(),
            positive: predictions.positive.clone(),
            objects: objects
                .map(|(id, object)| object.judged(id, &predictions.classes, column))
                .collect(),
            unshown: Unshown::default(),
        })
    }

    /// The lists that these objects have, in the order in which they are shown.
    pub fn kinds(&self) -> Vec<ListKind> {
        use ListKind::{
            Candidates, FalseNegatives, FalsePositives, LeastCertain, MostCertain, WrongClass,
        };
        let mut kinds = match self.positive {
            Some(_) => vec![FalsePositives, FalseNegatives],
            None => vec![WrongClass],
        };
        kinds.extend([LeastCertain, MostCertain]);
        if self.objects.iter().any(|object| object.label.is_none()) {
            kinds.push(Candidates);
        }
        kinds
    }

    /// The first `most` objects of a list. Objects that tie are in the order of their names.
    pub fn list(&self, kind: ListKind, most: usize) -> ObjectList {
        let belongs = |&i: &usize| self.belongs(kind, &self.objects[i]);
        let mut objects: Vec<usize> = (0..self.objects.len()).filter(belongs).collect();
        let key = |&i: &usize| {
            let object = &self.objects[i];
            match kind {
                ListKind::FalseNegatives => object.score,
                ListKind::LeastCertain => object.margin.unwrap_or(f64::INFINITY),
                _ => -object.score,
            }
        };
        objects.sort_by(|a, b| key(a).total_cmp(&key(b)));
        let unshown = match kind {
            ListKind::Candidates => self.unshown.objects,
            _ => 0,
        };
        let of = objects.len() + unshown;
        objects.truncate(most);
        ObjectList { kind, objects, of }
    }

    fn belongs(&self, kind: ListKind, object: &Judged) -> bool {
        let positive = object.label == self.positive;
        let wrong = object.right == Some(false);
        match kind {
            ListKind::FalsePositives => wrong && !positive,
            ListKind::FalseNegatives => wrong && positive,
            ListKind::WrongClass => wrong,
            ListKind::LeastCertain => object.label.is_some() && object.margin.is_some(),
            ListKind::MostCertain => object.label.is_some(),
            ListKind::Candidates => object.label.is_none(),
        }
    }

    /// Some objects of each class and of those without a label, at even steps of their scores.
    pub fn sample(&self, of_each: usize) -> Vec<usize> {
        let mut classes: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
        for (i, object) in self.objects.iter().enumerate() {
            classes.entry(object.label.as_deref()).or_default().push(i);
        }
        let mut sample = Vec::new();
        if self.unshown.objects > 0 {
            classes.remove(&None);
            sample.extend(self.unshown.sample.iter().filter_map(|id| self.place(id)));
        }
        for mut class in classes.into_values() {
            class.sort_by(|&a, &b| self.objects[a].score.total_cmp(&self.objects[b].score));
            let n = of_each.min(class.len());
            sample.extend((0..n).map(|k| class[(2 * k + 1) * class.len() / (2 * n)]));
        }
        sample.sort_unstable();
        sample
    }

    /// The place of an object, if it is there.
    pub fn place(&self, id: &str) -> Option<usize> {
        let place = self
            .objects
            .binary_search_by(|object| object.id.as_str().cmp(id));
        place.ok()
    }
}

impl Pooled {
    fn add(&mut self, predictions: &Predictions, row: usize, threshold: Option<f64>) {
        let first = self.rows == 0;
        if first {
            self.label.clone_from(&predictions.label[row]);
            self.probabilities = vec![0.0; predictions.classes.len()];
        }
        let before = if first { Some(0.0) } else { self.threshold };
        self.threshold = before
            .zip(threshold)
            .map(|(sum, threshold)| sum + threshold);
        for (sum, column) in self.probabilities.iter_mut().zip(&predictions.probability) {
            *sum += column[row];
        }
        self.rows += 1;
    }

    fn judged(self, id: &str, classes: &[String], positive: Option<usize>) -> Judged {
        let rows = self.rows as f64;
        let probabilities: Vec<f64> = self.probabilities.iter().map(|sum| sum / rows).collect();
        let threshold = self.threshold.map(|sum| sum / rows);
        let (score, predicted, margin) = match positive {
            Some(column) => {
                let score = probabilities[column];
                let is_positive = threshold.is_some_and(|threshold| score >= threshold);
                let predicted = match is_positive {
                    true => Some(column),
                    false => highest(&probabilities, Some(column)),
                };
                let margin = threshold.map(|threshold| (score - threshold).abs());
                (score, predicted, margin)
            }
            None => {
                let first = highest(&probabilities, None);
                let at = |place: Option<usize>| place.map_or(0.0, |place| probabilities[place]);
                let second = at(highest(&probabilities, first));
                (at(first), first, Some(at(first) - second))
            }
        };
        let predicted = predicted.map_or(REST, |place| &classes[place]);
        let label = self.label.as_deref().filter(|_| margin.is_some());
        let right = label.map(|label| match positive {
            Some(column) => (label == classes[column]) == (predicted == classes[column]),
            None => label == predicted,
        });
        Judged {
            id: id.into(),
            predicted: predicted.into(),
            right,
            label: self.label,
            probabilities,
            score,
            threshold,
            margin,
            repeats: self.repeats,
            wrong: self.wrong,
        }
    }
}

/// The place of the highest probability other than `but`, the first one if several tie.
fn highest(probabilities: &[f64], but: Option<usize>) -> Option<usize> {
    let places = (0..probabilities.len()).filter(|place| Some(*place) != but);
    places.fold(None, |best, place| match best {
        Some(best) if probabilities[best] >= probabilities[place] => Some(best),
        _ => Some(place),
    })
}

/// The threshold of each fold of a repeat, chosen on the other folds.
fn thresholds(
    predictions: &Predictions,
    positive: Option<(usize, &str)>,
    repeat: &Repeat,
) -> Vec<Option<f64>> {
    let Some((column, class)) = positive else {
        return Vec::new();
    };
    let (scores, labels) = repeat.scores(predictions, column, class);
    cross_fitted_threshold(&scores, &labels, &repeat.places()).thresholds
}

/// Whether a row is predicted wrongly; `None` if there is no threshold for it.
fn is_wrong(
    predictions: &Predictions,
    positive: Option<(usize, &str)>,
    row: usize,
    threshold: Option<f64>,
) -> Option<bool> {
    let label = predictions.label[row].as_deref();
    match positive {
        Some((column, class)) => {
            let score = predictions.probability[column][row];
            Some((score >= threshold?) != (label == Some(class)))
        }
        None => {
            let columns = predictions.probability.iter();
            let of_row: Vec<f64> = columns.map(|column| column[row]).collect();
            let predicted = highest(&of_row, None)?;
            Some(label != Some(&predictions.classes[predicted]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::{MetricReport, ScoreSettings};

    /// Rows of `(id, repeat, fold, label, P(A), P(T))`.
    type Row<'a> = (&'a str, i32, Option<i32>, Option<&'a str>, f64, f64);

    fn predictions(positive: Option<&str>, rows: &[Row<'_>]) -> Predictions {
        Predictions {
            classes: vec!["A".into(), "T".into()],
            positive: positive.map(String::from),
            object_id: rows.iter().map(|row| row.0.into()).collect(),
            repeat: rows.iter().map(|row| row.1).collect(),
            fold: rows.iter().map(|row| row.2).collect(),
            label: rows.iter().map(|row| row.3.map(String::from)).collect(),
            probability: vec![
                rows.iter().map(|row| row.4).collect(),
                rows.iter().map(|row| row.5).collect(),
            ],
        }
    }

    /// Two folds of four objects; the threshold of each fold is the best of the other.
    fn crossed() -> Predictions {
        predictions(
            Some("T"),
            &[
                ("a", 0, Some(0), Some("T"), 0.1, 0.9),
                ("b", 0, Some(0), Some("T"), 0.7, 0.3),
                ("c", 0, Some(0), Some("A"), 0.3, 0.7),
                ("d", 0, Some(0), Some("A"), 0.9, 0.1),
                ("e", 0, Some(1), Some("T"), 0.4, 0.6),
                ("f", 0, Some(1), Some("T"), 0.2, 0.8),
                ("g", 0, Some(1), Some("A"), 0.9, 0.1),
                ("h", 0, Some(1), Some("A"), 0.8, 0.2),
                ("x", 0, None, None, 0.2, 0.8),
                ("y", 0, None, None, 0.5, 0.5),
            ],
        )
    }

    fn names(judgement: &Judgement, kind: ListKind) -> Vec<&str> {
        let list = judgement.list(kind, 10);
        assert_eq!(list.of, list.objects.len());
        let ids = list.objects.iter();
        ids.map(|&i| judgement.objects[i].id.as_str()).collect()
    }

    #[test]
    fn objects_are_judged_at_the_threshold_of_the_other_folds() {
        let judgement = Judgement::of(&crossed()).unwrap();
        let of = |id: &str| &judgement.objects[judgement.place(id).unwrap()];
        // On fold 1 alone, .6 is the best threshold, on fold 0 it is .3.
        assert_eq!(
            (of("a").threshold, of("e").threshold),
            (Some(0.6), Some(0.3))
        );
        assert_eq!(names(&judgement, ListKind::FalsePositives), ["c"]);
        assert_eq!(names(&judgement, ListKind::FalseNegatives), ["b"]);
        assert_eq!((of("b").predicted.as_str(), of("b").wrong), ("A", 1));
        assert_eq!(
            (of("c").predicted.as_str(), of("c").right),
            ("T", Some(false))
        );
        assert_eq!(names(&judgement, ListKind::LeastCertain)[0], "c");
        assert_eq!(
            names(&judgement, ListKind::MostCertain)[..3],
            ["a", "f", "c"]
        );
        assert_eq!(names(&judgement, ListKind::Candidates), ["x", "y"]);
        assert_eq!((of("x").repeats, of("x").right), (0, None));
        // The best threshold on all rows is .3: four of five are right.
        assert_eq!(
            (of("x").threshold, of("x").predicted.as_str()),
            (Some(0.3), "T")
        );
        assert_eq!(judgement.list(ListKind::MostCertain, 2).of, 8);
    }

    #[test]
    fn the_lists_have_as_many_objects_as_the_confusion_matrix() {
        let all = crossed();
        let judgement = Judgement::of(&all).unwrap();
        let repeats = out_of_fold(&all).unwrap();
        let settings = ScoreSettings::default();
        let report = MetricReport::of(&all, &repeats, &settings, None).unwrap();
        let count = |kind| judgement.list(kind, 0).of as u64;
        let counts = report.confusion.unwrap();
        assert_eq!(counts[0][1], count(ListKind::FalsePositives));
        assert_eq!(counts[1][0], count(ListKind::FalseNegatives));
    }

    #[test]
    fn repeats_are_pooled() {
        let mut all = crossed();
        let mut second = crossed();
        second.repeat = vec![1; second.len()];
        second.probability[1][1] = 0.95;
        all.append(&second).unwrap();
        let judgement = Judgement::of(&all).unwrap();
        let b = &judgement.objects[1];
        assert_eq!((b.id.as_str(), b.repeats, b.wrong), ("b", 2, 1));
        assert!((b.score - 0.625).abs() < 1e-15);
        assert_eq!(b.right, Some(true));
        // The rows of the final fit of both repeats are averaged as well.
        assert!((judgement.objects[8].score - 0.8).abs() < 1e-15);
    }

    #[test]
    fn without_a_positive_class_the_wrong_predictions_are_listed() {
        let mut all = crossed();
        all.positive = None;
        let judgement = Judgement::of(&all).unwrap();
        assert_eq!(
            judgement.kinds()[..2],
            [ListKind::WrongClass, ListKind::LeastCertain]
        );
        assert_eq!(names(&judgement, ListKind::WrongClass), ["b", "c"]);
        let b = &judgement.objects[1];
        assert_eq!(
            (b.score, b.threshold, b.predicted.as_str()),
            (0.7, None, "A")
        );
        assert!((b.margin.unwrap() - 0.4).abs() < 1e-15);
    }

    #[test]
    fn what_cannot_be_judged_is_in_no_list_of_errors() {
        // No other fold has a positive object, so there is no threshold.
        let all = predictions(
            Some("T"),
            &[
                ("a", 0, Some(0), Some("T"), 0.1, 0.9),
                ("b", 0, Some(1), Some("A"), 0.1, 0.9),
            ],
        );
        let judgement = Judgement::of(&all).unwrap();
        assert_eq!(judgement.objects[0].threshold, None);
        assert_eq!(judgement.objects[0].right, None);
        assert!(names(&judgement, ListKind::FalseNegatives).is_empty());
        assert_eq!(names(&judgement, ListKind::FalsePositives), ["b"]);
        let nothing = predictions(None, &[("a", 0, None, Some("T"), 0.5, 0.5)]);
        assert!(Judgement::of(&nothing).is_err());
        // A model of the positive class alone calls all others the rest.
        let mut one = crossed();
        one.classes.remove(0);
        one.probability.remove(0);
        assert_eq!(Judgement::of(&one).unwrap().objects[1].predicted, REST);
    }

    #[test]
    fn a_sample_has_each_class_at_even_steps() {
        let judgement = Judgement::of(&crossed()).unwrap();
        let ids = |n| -> Vec<&str> {
            let sample = judgement.sample(n);
            sample
                .iter()
                .map(|&i| judgement.objects[i].id.as_str())
                .collect()
        };
        // Of A: d and g at .1, h, c; of T: b, e, f, a; without a label: y, x.
        assert_eq!(ids(1), ["f", "h", "x"]);
        assert_eq!(ids(2), ["a", "c", "e", "g", "x", "y"]);
        assert_eq!(ids(99).len(), 10);
    }
}
