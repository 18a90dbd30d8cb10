//! The out-of-fold rows of predictions, repeat by repeat.

use std::collections::BTreeMap;

use flow_engine::StageError;

use crate::numeric::metrics::best_f1_threshold;
use crate::table::{Folds, Predictions};

/// The out-of-fold rows of one repeat. The numbers of repeats and folds are names, so no vector is as
/// long as the largest number.
pub struct Repeat {
    /// The number of the repeat.
    pub number: i32,
    /// The numbers of the folds that hold out rows, ascending.
    pub folds: Vec<i32>,
    /// The rows in the order of `object_id`: the row of the predictions, and the place of its fold in
    /// `folds`.
    pub rows: Vec<(usize, u32)>,
}

/// Returns the rows that have a fold, by repeat.
///
/// # Errors
/// If there are none, one has no label, or an object comes twice in a repeat.
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

/// The threshold for new objects: the one of highest F1 on all out-of-fold rows, averaged over repeats. `None` without
/// a positive class, or if a repeat has no positive rows.
pub fn final_threshold(predictions: &Predictions, repeats: &[Repeat]) -> Option<f64> {
    let positive = predictions.positive.as_ref()?;
    let column = predictions.classes.iter().position(|c| c == positive)?;
    let mut sum = 0.0;
    for repeat in repeats {
        let (scores, labels) = repeat.scores(predictions, column, positive);
        sum += best_f1_threshold(&scores, &labels)?;
    }
    Some(sum / repeats.len() as f64)
}

impl Repeat {
    /// Makes a repeat of rows with the numbers of their folds.
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

    /// Returns the scores of one class, and which rows belong to it.
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

    /// Returns the probabilities of all classes, row after row, and the class of each row.
    ///
    /// # Errors
    /// If a label has no column of probabilities.
    pub fn probabilities(
        &self,
        predictions: &Predictions,
    ) -> Result<(Vec<f64>, Vec<usize>), StageError> {
        let rows = || self.rows.iter().map(|&(row, _)| row);
        let columns = &predictions.probability;
        let probabilities = rows().flat_map(|row| columns.iter().map(move |column| column[row]));
        let classes = rows().map(|row| predictions.class_of(row));
        Ok((probabilities.collect(), classes.collect::<Result<_, _>>()?))
    }

    /// The group of each row, if the folds kept groups together.
    pub fn groups(&self, predictions: &Predictions, folds: &Folds) -> Option<Vec<String>> {
        let group = |&(row, _): &(usize, u32)| {
            let id = &predictions.object_id[row];
            folds.group[folds.object_id.binary_search(id).ok()?].clone()
        };
        self.rows.iter().map(group).collect()
    }

    /// The place of each row's fold.
    pub fn places(&self) -> Vec<u32> {
        self.rows.iter().map(|&(_, fold)| fold).collect()
    }

    /// The name of a fold.
    pub(super) fn name(&self, place: usize) -> String {
        format!("{}.{}", self.number, self.folds[place])
    }
}
