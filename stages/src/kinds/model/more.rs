//! What a fit sees besides its training rows: their copies, and unlabelled rows with the labels that the model itself
//! gives them.

use std::sync::Arc;

use flow_engine::Params;
use flow_engine::base::diag::Diag;
use flow_engine::kind::{Action, StageError};

use super::params::{ModelParams, ModelTarget};
use crate::learner::bag::Bag;
use crate::learner::{FitJob, LearnError, Learner, Matrix};
use crate::rows::{CopyRows, TrainRows, UnlabelledRows};

/// Rows with the numbers of their classes.
pub struct LabelledRows {
    /// The features.
    pub x: Matrix,
    /// The number of each row's class.
    pub y: Vec<usize>,
    /// How many of the rows, the last ones, are copies.
    pub copies: usize,
}

impl LabelledRows {
    /// Reads the training rows of the fold and behind them their copies.
    ///
    /// # Errors
    /// If a table is unreadable or lacks an object, copies have other columns, or a value is infinite.
    pub fn of(
        action: &Action<'_>,
        rows: &TrainRows,
        (target, y): (ModelTarget, Vec<usize>),
    ) -> Result<Self, StageError> {
        let names = rows.features.names();
        let columns: Vec<usize> = (0..names.len()).collect();
        let alone = Self {
            x: rows.features.matrix(&columns)?,
            y,
            copies: 0,
        };
        let Some(copies) = CopyRows::read(action, ModelParams::read(action.params).sample)? else {
            return Ok(alone);
        };
        let columns = copies.features.indices(names)?;
        let x = copies.features.matrix(&columns)?;
        let y = target.numbers(rows, &copies.label);
        let both = alone.with(x.values(), &y).map_err(|error| {
            StageError::data("flow::data::features", error.to_string()).with_source(error)
        })?;
        Ok(Self {
            copies: x.rows(),
            ..both
        })
    }

    /// Returns these rows and others behind them, the values of which are given row after row.
    fn with(&self, values: &[f32], y: &[usize]) -> Result<Self, LearnError> {
        let values = [self.x.values(), values].concat();
        Ok(Self {
            x: Matrix::new(self.y.len() + y.len(), self.x.cols(), Arc::new(values))?,
            y: [&self.y[..], y].concat(),
            copies: self.copies,
        })
    }
}

/// Self-training (Scudder 1965, IEEE Trans. Inf. Theory 11, 363): the model labels rows, and is fitted anew with
/// those that it is sure of. Each round starts from the rows with labels alone, so a row may change its label or
/// lose it again.
pub struct SelfTraining {
    /// The rows without a label, with the columns of the fit.
    pub x: Matrix,
    /// How often they are labelled.
    pub rounds: usize,
    /// The least probability of a label.
    pub confidence: f64,
}

impl SelfTraining {
    /// Reads the unlabelled rows; none if the stage has no such input.
    ///
    /// # Errors
    /// If a table is unreadable or lacks an object or a column, every object has a label, or a value is infinite.
    pub fn of(
        action: &Action<'_>,
        columns: &[String],
        params: &ModelParams<'_>,
    ) -> Result<Option<Self>, StageError> {
        let Some(rows) = UnlabelledRows::read(action, params.sample)? else {
            return Ok(None);
        };
        let columns = rows.features.indices(columns)?;
        Ok(Some(Self {
            x: rows.features.matrix(&columns)?,
            rounds: params.pseudo_rounds.unwrap_or(1),
            confidence: params.pseudo_confidence.unwrap_or(CONFIDENCE),
        }))
    }

    /// Goes on from a model that was fitted on `known`. Returns the last model, and the number of rows that it was
    /// fitted on with a label of the model before.
    ///
    /// # Errors
    /// As for [`Learner::fit`].
    pub fn go_on(
        &self,
        mut model: Bag,
        known: &LabelledRows,
        (learner, job, bags): (&dyn Learner, FitJob<'_>, usize),
    ) -> Result<(Bag, usize), LearnError> {
        let mut before = Vec::new();
        for _ in 0..self.rounds {
            let sure = self.sure(&model)?;
            if sure == before {
                // The fit would be the same again.
                break;
            }
            let values = sure.iter().flat_map(|(row, _)| self.x.row(*row));
            let values: Vec<f32> = values.copied().collect();
            let labels: Vec<usize> = sure.iter().map(|(_, class)| *class).collect();
            let all = known.with(&values, &labels)?;
            let job = FitJob {
                x: &all.x,
                y: &all.y,
                ..job
            };
            model = Bag::fit(learner, &job, bags)?;
            before = sure;
        }
        Ok((model, before.len()))
    }

    /// The rows that a model is sure of, with the class that it gives them. Of equal probabilities the first counts.
    fn sure(&self, model: &Bag) -> Result<Vec<(usize, usize)>, LearnError> {
        let n_classes = model.n_classes();
        let probability = model.predict(&self.x)?;
        let mut sure = Vec::new();
        for (row, of_row) in probability.chunks_exact(n_classes).enumerate() {
            let mut best = (0, f64::NEG_INFINITY);
            for (class, p) in of_row.iter().enumerate() {
                if *p > best.1 {
                    best = (class, *p);
                }
            }
            if best.1 >= self.confidence {
                sure.push((row, best.0));
            }
        }
        Ok(sure)
    }
}

/// The least probability of a label, unless given.
const CONFIDENCE: f64 = 0.95;

/// Refuses parameters that have no effect, or would deceive, with these inputs.
pub fn check(params: &Params, inputs: &[String]) -> Vec<Diag> {
    let p = ModelParams::read(params);
    let has = |port: &str| inputs.iter().any(|input| input == port);
    let mut diags = Vec::new();
    let mut wrong = |param: &str, message: String, place: &str, help: &str| {
        let diag = Diag::new("flow::params::combination", message).help(help);
        diags.push(match params.span(param) {
            Some(span) => diag.label(span, place),
            None => diag,
        });
    };
    let given = [
        ("pseudo_rounds", p.pseudo_rounds.is_some()),
        ("pseudo_confidence", p.pseudo_confidence.is_some()),
    ];
    for (name, given) in given {
        if given && !has(UnlabelledRows::PORT) {
            wrong(
                name,
                format!("`{name}` has no effect without rows to label"),
                "no effect",
                "add features of objects without a label to the inputs: unlabelled = [\"STAGE\"]",
            );
        }
    }
    let more = [CopyRows::PORT, UnlabelledRows::PORT];
    if let Some(port) = more
        .into_iter()
        .find(|port| has(port) && p.early_stopping > 0)
    {
        wrong(
            "early_stopping",
            format!(
                "early stopping would be judged on rows of `{port}`, which follow from others that the trees see"
            ),
            "judged on copies or on labels of the model",
            "early_stopping = 0",
        );
    }
    diags
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learner::{LEARNERS, LearnerParams, learner};

    /// Points on a line: those below 0 are of class 0. Two of each class have a label.
    fn line(points: &[f32]) -> Matrix {
        Matrix::new(points.len(), 1, Arc::new(points.to_vec())).unwrap()
    }

    fn trained(unlabelled: &[f32], rounds: usize, confidence: f64) -> (Vec<f64>, usize) {
        let known = LabelledRows {
            x: line(&[-3.0, -2.0, 2.0, 3.0]),
            y: vec![0, 0, 1, 1],
            copies: 0,
        };
        let learner = learner(LEARNERS[0]).unwrap();
        let params = LearnerParams {
            rounds: 40,
            learning_rate: 0.3,
            max_depth: 2,
            min_child_weight: Some(0.0),
            ..learner.defaults()
        };
        let job = FitJob {
            x: &known.x,
            y: &known.y,
            n_classes: 2,
            params: &params,
            threads: 1,
            stop: &|| false,
        };
        let first = Bag::fit(learner, &job, 1).unwrap();
        let training = SelfTraining {
            x: line(unlabelled),
            rounds,
            confidence,
        };
        let (model, labelled) = training.go_on(first, &known, (learner, job, 1)).unwrap();
        (model.predict(&line(&[-0.5, 0.5])).unwrap(), labelled)
    }

    #[test]
    fn a_model_learns_from_rows_that_it_is_sure_of() {
        // The middle between the labelled points is 0, but there are unlabelled points on one side of it only.
        let (before, none) = trained(&[-9.0], 1, 1.0);
        assert_eq!(none, 0);
        let crowd: Vec<f32> = (0..40).map(|i| -4.0 - i as f32 / 40.0).collect();
        let (after, labelled) = trained(&crowd, 1, 0.9);
        assert_eq!(labelled, 40);
        assert_ne!(before, after);
        // All of them were taken for class 0, which is now the more frequent one.
        assert!(after[0] > before[0], "{before:?} {after:?}");
    }

    #[test]
    fn nothing_changes_without_a_sure_row() {
        let (one, none) = trained(&[0.0], 1, 1.0);
        let (many, still_none) = trained(&[-1.0, 0.0], 5, 1.0);
        assert_eq!((none, still_none), (0, 0));
        assert_eq!(one, many);
    }
}
