//! Learners, which turn a feature matrix and class labels into a model that gives probabilities.
//!
//! A [`Learner`] fits a [`Model`] on the rows that it is given, all of which are training rows: the
//! caller slices folds, so nothing here can see a held-out row. These are built in, see [`learner`]:
//!
//! | name | crate | notes |
//! |---|---|---|
//! | `hessboost` | hessboost | histogram trees, missing values learned per split, the default |
//! | `gbdt` | gbdt | exact splits, one thread, at most 2,000 columns, missing values imputed |
//! | `logistic` | - | logistic regression, multinomial with more than two classes, on standardised columns |
//! | `ridge` | - | ridge regression of classes, one against the rest, on standardised columns |
//!
//! [`ensemble`] has trees as plain data: those of a model that a user brings ([`lightgbm`], [`xgboost`]), and
//! ours where they are explained ([`shap`]) or written for others ([`xgboost`]).
//!
//! Equal arguments give equal bytes for any number of threads and on any processor: gradients, losses
//! and probabilities are computed here with `libm` ([`objective`]), random draws come from a
//! counter-based generator, and both crates sum in an order fixed by the data, as do the
//! linear learners.

pub mod bag;
pub mod ensemble;
pub mod gbdt;
pub mod hessboost;
pub mod lightgbm;
pub mod linear;
pub mod objective;
pub mod params;
pub mod saved;
pub mod shap;
pub mod split;
pub mod standard;
#[cfg(test)]
mod tests;
pub mod xgboost;

pub use ensemble::TreeEnsemble;
pub use params::{ClassWeight, EarlyStopping, LearnerParams};

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// A dense row-major matrix of `rows` x `cols` features; NaN marks a missing value.
///
/// The values are shared, not copied: cloning is free, and training and prediction read them in place.
#[derive(Clone, Debug)]
pub struct Matrix {
    rows: usize,
    cols: usize,
    values: Arc<Vec<f32>>,
}

impl Matrix {
    /// Returns a matrix over `values`, where row `r`, column `c` is `values[r * cols + c]`.
    ///
    /// # Errors
    /// [`LearnError::Data`] if a dimension is zero, the length is not `rows * cols`, or a value is
    /// infinite (it names the first one).
    pub fn new(rows: usize, cols: usize, values: Arc<Vec<f32>>) -> Result<Matrix, LearnError> {
        if rows == 0 || cols == 0 {
            return Err(LearnError::Data(format!(
                "the feature matrix is empty: {rows} rows, {cols} columns"
            )));
        }
        if rows.checked_mul(cols) != Some(values.len()) {
            return Err(LearnError::Data(format!(
                "a feature matrix of {rows} rows and {cols} columns cannot hold {} values",
                values.len()
            )));
        }
        if let Some(at) = values.iter().position(|v| v.is_infinite()) {
            return Err(LearnError::Data(format!(
                "the feature matrix holds an infinite value in row {}, column {}; \
                 a missing value is NaN",
                at / cols,
                at % cols
            )));
        }
        Ok(Matrix { rows, cols, values })
    }

    /// The number of rows, at least 1.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns, at least 1.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// All values, row after row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The values of one row, which must be below [`Matrix::rows`].
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.cols..][..self.cols]
    }

    /// The shared buffer itself.
    pub(crate) fn shared(&self) -> Arc<Vec<f32>> {
        Arc::clone(&self.values)
    }
}

/// Says whether a fit has to end before it is done.
pub type Stop<'a> = &'a (dyn Fn() -> bool + Sync);

/// The data that a learner fits a model on, and the settings of the fit.
#[derive(Clone, Copy)]
pub struct FitJob<'a> {
    /// The training rows.
    pub x: &'a Matrix,
    /// The class of each row, as an index below `n_classes`.
    pub y: &'a [usize],
    /// The number of classes.
    pub n_classes: usize,
    /// The parameters of the learner.
    pub params: &'a LearnerParams,
    /// The most threads that run, in a pool of their own; 0 counts as 1. Their number never changes the
    /// model.
    pub threads: usize,
    /// Called at least after every round. The fit ends as soon as it returns true.
    pub stop: Stop<'a>,
}

/// A way to fit a model.
pub trait Learner: Sync {
    /// The name by which a pipeline chooses it.
    fn name(&self) -> &'static str;

    /// The defaults of the optional parameters. A field that stays `None` does not apply to this
    /// learner, and setting it is an error.
    fn defaults(&self) -> LearnerParams;

    /// Fits on all rows of a job.
    ///
    /// # Errors
    /// [`LearnError::Unsupported`] and [`LearnError::Parameter`] for parameters, [`LearnError::Data`]
    /// when rows and classes do not fit together, fewer than two classes occur, or the matrix is
    /// beyond the learner; [`LearnError::Library`] when the crate behind it fails;
    /// [`LearnError::Stopped`].
    fn fit(&self, job: &FitJob<'_>) -> Result<Box<dyn Model>, LearnError>;

    /// Reads the model that [`Model::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`LearnError::Model`] when the bytes are not a model of this learner.
    fn load(&self, bytes: &[u8]) -> Result<Box<dyn Model>, LearnError>;
}

/// A fitted model.
pub trait Model: Send + Sync {
    /// Class probabilities, row-major `x.rows()` x `n_classes`; each row sums to 1. With two classes
    /// the second column is the probability of class 1.
    ///
    /// # Errors
    /// [`LearnError::Data`] when `x` has another number of columns than the training matrix.
    fn predict(&self, x: &Matrix) -> Result<Vec<f64>, LearnError>;

    /// The model as bytes: equal models give equal bytes.
    ///
    /// # Errors
    /// [`LearnError::Library`] when the crate behind it cannot write the model.
    fn to_bytes(&self) -> Result<Vec<u8>, LearnError>;

    /// The importance of each column: its share of the total gain of all splits, or of the sizes of all
    /// coefficients of standardised columns, so the values sum to 1; all zero when nothing is used.
    fn importance(&self) -> Vec<f64>;

    /// The number of boosting rounds in the model (with early stopping, the number that it chose); 0 for a
    /// linear one.
    fn rounds(&self) -> usize;

    /// The number of classes.
    fn n_classes(&self) -> usize;

    /// The trees of the model as plain data, if it consists of such trees.
    fn ensemble(&self) -> Option<TreeEnsemble> {
        None
    }

    /// What says why the model predicts what it does, if something can.
    fn explainer(&self) -> Option<Box<dyn Explainer + '_>> {
        let ensemble = self.ensemble()?;
        Some(Box::new(ensemble))
    }
}

/// Says how far each column moved a prediction.
pub trait Explainer: Sync {
    /// Adds to `phi` the Shapley value of each column for the margin of class `class`: how far it moves
    /// that margin (with two classes, the log-odds of the class) from its mean over the training rows.
    /// `row` and `phi` have a value for each column.
    fn add(&self, row: &[f32], class: usize, phi: &mut [f64]);
}

/// The names that [`learner`] knows, the default first.
pub const LEARNERS: [&str; 4] = ["hessboost", "gbdt", "logistic", "ridge"];

/// The learner called `name`.
pub fn learner(name: &str) -> Option<&'static dyn Learner> {
    match name {
        "hessboost" => Some(&hessboost::HessBoost),
        "gbdt" => Some(&gbdt::Gbdt),
        "logistic" => Some(&linear::LogisticLearner),
        "ridge" => Some(&linear::RidgeLearner),
        _ => None,
    }
}

/// The reason why fitting, predicting or loading failed.
#[derive(Debug)]
pub enum LearnError {
    /// A parameter is out of range.
    Parameter {
        /// The name of the parameter.
        name: &'static str,
        /// What is wrong with the parameter.
        reason: String,
    },
    /// A parameter was set that does not apply to this learner.
    Unsupported {
        /// The learner.
        learner: &'static str,
        /// The parameter.
        name: &'static str,
        /// The parameters that the learner does support.
        supported: Vec<&'static str>,
    },
    /// The matrix or the labels cannot be learned from.
    Data(String),
    /// The bytes are not a model of this learner.
    Model(Box<dyn Error + Send + Sync>),
    /// The crate behind the learner failed.
    Library(Box<dyn Error + Send + Sync>),
    /// The fit was told to stop.
    Stopped,
}

impl fmt::Display for LearnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LearnError::Parameter { name, reason } => write!(f, "`{name}` {reason}"),
            LearnError::Unsupported {
                learner,
                name,
                supported,
            } => write!(
                f,
                "learner `{learner}` has no parameter `{name}`; it supports {}",
                supported.join(", ")
            ),
            LearnError::Data(reason) => f.write_str(reason),
            LearnError::Model(reason) => write!(f, "not a model of this learner: {reason}"),
            LearnError::Library(reason) => write!(f, "the learner failed: {reason}"),
            LearnError::Stopped => f.write_str("the fit was told to stop"),
        }
    }
}

impl Error for LearnError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            LearnError::Model(error) | LearnError::Library(error) => Some(&**error),
            _ => None,
        }
    }
}

/// The most margins of a fit. With their gradients, they take some twenty gigabytes.
const MOST_MARGINS: usize = 1 << 30;

/// Counts the rows of each class, after checking that the classes fit the matrix and can be learned from.
fn class_counts(job: &FitJob<'_>) -> Result<Vec<usize>, LearnError> {
    let (x, y, n_classes) = (job.x, job.y, job.n_classes);
    if y.len() != x.rows() {
        return Err(LearnError::Data(format!(
            "{} labels for {} rows",
            y.len(),
            x.rows()
        )));
    }
    if x.rows().saturating_mul(n_classes) > MOST_MARGINS {
        return Err(LearnError::Data(format!(
            "{} training rows of {n_classes} classes are too many to be fitted at once; group the classes",
            x.rows()
        )));
    }
    let mut counts = vec![0usize; n_classes];
    for (row, &class) in y.iter().enumerate() {
        *counts.get_mut(class).ok_or_else(|| {
            LearnError::Data(format!("row {row} has class {class} of {n_classes}"))
        })? += 1;
    }
    let present: Vec<usize> = (0..n_classes).filter(|&c| counts[c] > 0).collect();
    match present[..] {
        [] => Err(LearnError::Data("there are no classes to learn".into())),
        [only] => Err(LearnError::Data(format!(
            "all {} training rows are of class {only}; a classifier needs rows of two classes",
            y.len()
        ))),
        _ => Ok(counts),
    }
}

/// Refuses a matrix whose width is not the model's.
fn check_width(x: &Matrix, cols: usize) -> Result<(), LearnError> {
    if x.cols() == cols {
        return Ok(());
    }
    Err(LearnError::Data(format!(
        "the model was fitted on {cols} columns and the matrix has {}",
        x.cols()
    )))
}

/// Scales `gain` to sum to 1; all zero if there is none.
fn shares(mut gain: Vec<f64>) -> Vec<f64> {
    let total: f64 = gain.iter().sum();
    if total > 0.0 {
        gain.iter_mut().for_each(|g| *g /= total);
    }
    gain
}
