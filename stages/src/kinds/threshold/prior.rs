//! Probabilities and weights of rows if classes are more or less frequent than among the labelled objects.
//!
//! A model learns the frequency pi_c of each class c among its training rows. Where class c has the frequency
//! pi'_c, and objects of one class look as they did, the probabilities are
//!
//! ```text
//! p'_c = p_c (pi'_c / pi_c) / sum_j p_j (pi'_j / pi_j)
//! ```
//!
//! (Saerens, Latinne and Decaestecker 2002, equation 2.4; for two classes Elkan 2001, theorem 2). A labelled row
//! of class c stands for pi'_c / pi_c rows.

use flow_engine::StageError;

use crate::table::{Predictions, listed};

/// Sums of frequencies may miss 1 by this much.
pub(super) const ROUNDING: f64 = 1e-6;

/// The ratios of new to old frequency.
pub(super) struct PriorShift {
    /// By column of the predictions.
    columns: Vec<f64>,
    /// Of every class without a column or a frequency of its own.
    rest: f64,
}

impl PriorShift {
    /// Compares the frequencies `prior` with those among some rows. Classes that `prior` does not name share what it
    /// leaves as they do among the rows. Without `prior`, nothing shifts.
    ///
    /// # Errors
    /// If it names a class without a column, no row is of a class that it names, or the frequencies of
    /// all classes do not sum to 1.
    pub(super) fn new(
        predictions: &Predictions,
        rows: &[usize],
        prior: &[(&str, f64)],
    ) -> Result<Self, StageError> {
        let mut shift = Self {
            columns: vec![1.0; predictions.classes.len()],
            rest: 1.0,
        };
        if prior.is_empty() {
            return Ok(shift);
        }
        let is = |class: &str| {
            let of_class = |&&i: &&usize| predictions.label[i].as_deref() == Some(class);
            rows.iter().filter(of_class).count() as f64 / rows.len() as f64
        };
        let (mut new, mut old) = (1.0, 1.0);
        let mut named = vec![None; predictions.classes.len()];
        for &(class, share) in prior {
            let column = predictions.classes.iter().position(|c| c == class);
            let column = column.ok_or_else(|| no_column(class, predictions))?;
            let before = is(class);
            if before == 0.0 {
                return Err(no_rows(&format!("of `{class}`")));
            }
            named[column] = Some(share / before);
            (new, old) = (new - share, old - before);
        }
        let one_column = predictions.classes.len() == 1;
        if !one_column && named.iter().all(Option::is_some) {
            if new.abs() > ROUNDING {
                return Err(StageError::data(
                    "flow::threshold::prior",
                    format!(
                        "`prior` names all classes, and their frequencies sum to {}",
                        1.0 - new
                    ),
                )
                .help("let them sum to 1, or leave one class out, which then gets the rest"));
            }
        } else if old < 0.5 / rows.len() as f64 {
            return Err(no_rows("of any class that `prior` does not name"));
        } else {
            shift.rest = new.max(0.0) / old;
        }
        for (factor, named) in shift.columns.iter_mut().zip(named) {
            *factor = named.unwrap_or(shift.rest);
        }
        Ok(shift)
    }

    /// The number of rows that a row of this class stands for.
    pub(super) fn weight(&self, predictions: &Predictions, row: usize) -> f64 {
        let label = predictions.label[row].as_ref();
        let column = predictions.classes.iter().position(|c| Some(c) == label);
        column.map_or(self.rest, |column| self.columns[column])
    }

    /// The probabilities of a row. One column stands for two classes.
    pub(super) fn probabilities(&self, predictions: &Predictions, row: usize) -> Vec<f64> {
        let columns = predictions.probability.iter();
        let before: Vec<f64> = columns.map(|column| column[row]).collect();
        let shifted = before
            .iter()
            .zip(&self.columns)
            .map(|(p, factor)| p * factor);
        let shifted: Vec<f64> = shifted.collect();
        let sum = match before.as_slice() {
            [p] => shifted[0] + (1.0 - p) * self.rest,
            _ => shifted.iter().sum(),
        };
        let unchanged = self.rest == 1.0 && self.columns.iter().all(|&factor| factor == 1.0);
        if unchanged || sum <= 0.0 {
            return before;
        }
        shifted
            .into_iter()
            .map(|p| (p / sum).clamp(0.0, 1.0))
            .collect()
    }
}

fn no_column(class: &str, predictions: &Predictions) -> StageError {
    StageError::data(
        "flow::threshold::prior",
        format!("`prior` names the class `{class}`, and the predictions have no such class"),
    )
    .help(format!(
        "the predictions are of: {}",
        listed(predictions.classes.iter().map(String::as_str))
    ))
    .help("with target = \"classes\" in the `model` stage, every class can be named")
}

fn no_rows(of_what: &str) -> StageError {
    StageError::data(
        "flow::threshold::prior",
        format!("the frequency that `prior` changes is unknown: in some fold, no labelled object of the other folds is {of_what}"),
    )
    .help("name classes of which every fold has some objects, or deal fewer folds: `k` in the `folds` stage")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::testing::doubtful;

    /// Elkan 2001, theorem 2.
    fn elkan(p: f64, old: f64, new: f64) -> f64 {
        new * (p - p * old) / (old - p * old + new * p - old * new)
    }

    #[test]
    fn two_classes_are_elkans() {
        for classes in [1, 2] {
            let predictions = doubtful(200, classes);
            let rows: Vec<usize> = (0..200).collect();
            let shift = PriorShift::new(&predictions, &rows, &[("A", 0.01)]).unwrap();
            let positives = rows
                .iter()
                .filter(|&&i| predictions.label[i].as_deref() == Some("A"));
            let old = positives.count() as f64 / 200.0;
            for i in 0..predictions.len() {
                let p = shift.probabilities(&predictions, i)[0];
                let expected = elkan(predictions.probability[0][i], old, 0.01);
                assert!((p - expected).abs() < 1e-12, "{p} is not {expected}");
            }
            let weights: f64 = rows.iter().map(|&i| shift.weight(&predictions, i)).sum();
            assert!((weights - 200.0).abs() < 1e-9, "{weights}");
        }
    }

    #[test]
    fn other_classes_keep_their_proportions() {
        let predictions = doubtful(300, 3);
        let rows: Vec<usize> = (0..300).collect();
        let shift = PriorShift::new(&predictions, &rows, &[("A", 0.01)]).unwrap();
        for i in 0..300 {
            let p = shift.probabilities(&predictions, i);
            let before = predictions.probability[1][i] / predictions.probability[2][i];
            assert!((p[1] / p[2] / before - 1.0).abs() < 1e-9);
            assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
        // All classes by name, with what the first call gave them, are the same.
        let share = |class| {
            let weigh = |&&i: &&usize| predictions.label[i].as_deref() == Some(class);
            let weights = rows
                .iter()
                .filter(weigh)
                .map(|&i| shift.weight(&predictions, i));
            weights.sum::<f64>() / 300.0
        };
        let all = [("A", 0.01), ("B", share("B")), ("C", share("C"))];
        let same = PriorShift::new(&predictions, &rows, &all).unwrap();
        for (a, b) in shift.columns.iter().zip(&same.columns) {
            assert!((a - b).abs() < 1e-9);
        }
    }

    #[test]
    fn without_a_prior_nothing_changes() {
        let predictions = doubtful(50, 3);
        let shift = PriorShift::new(&predictions, &[], &[]).unwrap();
        for i in 0..50 {
            let columns = predictions.probability.iter().map(|column| column[i]);
            assert_eq!(
                shift.probabilities(&predictions, i),
                columns.collect::<Vec<_>>()
            );
            assert_eq!(shift.weight(&predictions, i), 1.0);
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let predictions = doubtful(100, 2);
        let rows: Vec<usize> = (0..100).collect();
        let none: Vec<usize> = rows
            .iter()
            .copied()
            .filter(|&i| predictions.label[i].as_deref() == Some("B"))
            .collect();
        let refused = |rows: &[usize], prior: &[(&str, f64)]| {
            let error = PriorShift::new(&predictions, rows, prior).err().unwrap();
            assert_eq!(error.code.as_str(), "flow::threshold::prior");
            assert!(!error.help.is_empty());
            error.message
        };
        assert!(refused(&rows, &[("Z", 0.1)]).contains("`Z`"));
        assert!(refused(&none, &[("A", 0.1)]).contains("of `A`"));
        assert!(refused(&none, &[("B", 0.1)]).contains("does not name"));
        assert!(refused(&rows, &[("A", 0.1), ("B", 0.2)]).contains("sum to"));
    }
}
