//! The linear learners: `logistic` (logistic regression) and `ridge` (ridge regression of classes).
//!
//! Both fit on columns that are made comparable within the fit: a missing value is replaced by the column's
//! median (0 if all are missing), and the columns are shifted and scaled to mean 0 and standard deviation 1
//! over the training rows. A column that is constant there counts for nothing.
//!
//! - `logistic`: L2-regularised, as scikit-learn's `LogisticRegression`; with more than two classes all are
//!   fitted together (multinomial), not one against the rest.
//! - `ridge`: a ridge regression of +1 and -1 for each class against the rest, as scikit-learn's
//!   `RidgeClassifierCV`. Its values are no probabilities. They become some by a logistic regression of the
//!   class on the values that rows get from fits without them (Platt 1999, "Probabilistic outputs for support
//!   vector machines"). With more than two classes the probabilities are divided by their sum.
//!
//! Nothing is drawn at random, so the seed does not matter.

use serde::{Deserialize, Serialize};

use super::objective::{sigmoid, softmax};
use super::standard::StandardColumns;
use super::{
    Explainer, FitJob, LearnError, Learner, LearnerParams, Matrix, Model, check_width,
    class_counts, shares,
};
use crate::numeric::linear::FitError;
use crate::numeric::ridge::{Ridge, RidgeRows};
use crate::numeric::softmax::{Softmax, SoftmaxRows};

/// The learner `logistic`; see the module's documentation.
pub struct LogisticLearner;

/// The learner `ridge`; see the module's documentation.
pub struct RidgeLearner;

/// The penalties that a ridge regression chooses from.
const ALPHAS: [f64; 9] = [1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5];
/// The most rows and columns, whichever are fewer, of a ridge regression. It has some square matrices of this
/// size, of 0.8 GB each.
const MOST_UNKNOWNS: usize = 10_000;

impl Learner for LogisticLearner {
    fn name(&self) -> &'static str {
        "logistic"
    }

    /// `c` 1.
    fn defaults(&self) -> LearnerParams {
        LearnerParams {
            c: Some(1.0),
            ..LearnerParams::default()
        }
    }

    fn fit(&self, job: &FitJob<'_>) -> Result<Box<dyn Model>, LearnError> {
        let (params, weights) = prepared(self, job)?;
        let c = params.c.unwrap_or(1.0);
        let columns = StandardColumns::of(job.x);
        let rows = SoftmaxRows {
            features: &columns.apply(job.x),
            dimension: job.x.cols(),
            labels: job.y,
            weights: &weights.iter().map(|w| c * w).collect::<Vec<f64>>(),
        };
        let fitted = Softmax::fit(rows, job.stop).map_err(refused)?;
        let fitted = fitted.ok_or(LearnError::Stopped)?;
        Ok(Box::new(LinearModel {
            columns,
            n_classes: job.n_classes,
            one_by_one: false,
            coefficients: fitted.coefficients,
            intercepts: fitted.intercepts,
        }))
    }

    fn load(&self, bytes: &[u8]) -> Result<Box<dyn Model>, LearnError> {
        load(bytes)
    }
}

impl Learner for RidgeLearner {
    fn name(&self) -> &'static str {
        "ridge"
    }

    /// `alpha` is the one of .001, .01, ..., 100,000 that is best for left-out rows.
    fn defaults(&self) -> LearnerParams {
        LearnerParams {
            alpha: Some(0.0),
            ..LearnerParams::default()
        }
    }

    fn fit(&self, job: &FitJob<'_>) -> Result<Box<dyn Model>, LearnError> {
        let (params, weights) = prepared(self, job)?;
        let (rows, cols) = (job.x.rows(), job.x.cols());
        if rows.min(cols) > MOST_UNKNOWNS {
            return Err(LearnError::Data(format!(
                "learner `ridge` takes at most {MOST_UNKNOWNS} rows or as many columns and got {rows} rows \
                 of {cols} columns; select fewer features, or use learner `logistic`"
            )));
        }
        let columns = StandardColumns::of(job.x);
        let row_weights: Vec<f64> = job.y.iter().map(|&class| weights[class]).collect();
        let ridge_rows = RidgeRows {
            features: &columns.apply(job.x),
            dimension: cols,
            weights: &row_weights,
        };
        let classes = if job.n_classes == 2 {
            1..2
        } else {
            0..job.n_classes
        };
        let sign = |class: usize, y: usize| if y == class { 1.0 } else { -1.0 };
        let target = |class| job.y.iter().map(|&y| sign(class, y)).collect();
        let targets: Vec<Vec<f64>> = classes.clone().map(target).collect();
        let alphas = match params.alpha {
            Some(alpha) if alpha > 0.0 => &[alpha][..],
            _ => &ALPHAS,
        };
        let fitted = Ridge::fit(ridge_rows, &targets, alphas, job.stop).map_err(refused)?;
        let mut fitted = fitted.ok_or(LearnError::Stopped)?;
        for (margin, class) in classes.enumerate() {
            let is: Vec<usize> = job.y.iter().map(|&y| usize::from(y == class)).collect();
            let (slope, shift) = platt(&fitted.left_out[margin], &is, &row_weights)?;
            let coefficients = &mut fitted.coefficients[margin];
            coefficients.iter_mut().for_each(|b| *b *= slope);
            fitted.intercepts[margin] = slope * fitted.intercepts[margin] + shift;
        }
        Ok(Box::new(LinearModel {
            columns,
            n_classes: job.n_classes,
            one_by_one: true,
            coefficients: fitted.coefficients,
            intercepts: fitted.intercepts,
        }))
    }

    fn load(&self, bytes: &[u8]) -> Result<Box<dyn Model>, LearnError> {
        load(bytes)
    }
}

/// The parameters with their defaults, and the weights of the classes, after the checks of all learners.
fn prepared(
    learner: &dyn Learner,
    job: &FitJob<'_>,
) -> Result<(LearnerParams, Vec<f64>), LearnError> {
    let params = job.params.resolve(learner)?;
    let counts = class_counts(job)?;
    let weights = params.class_weight.resolve(&counts)?;
    Ok((params, weights))
}

fn refused(error: FitError) -> LearnError {
    LearnError::Data(error.to_string())
}

/// The slope and intercept of the log-odds of `is` over left-out values. A class without rows, or with all of
/// them, gets the log-odds of one row of the other kind in n + 2.
fn platt(left_out: &[f64], is: &[usize], weights: &[f64]) -> Result<(f64, f64), LearnError> {
    let of = |side: usize| is.iter().zip(weights).filter(move |(is, _)| **is == side);
    let count = |side| of(side).count() as f64;
    if count(0) == 0.0 || count(1) == 0.0 {
        return Ok((0.0, libm::log((count(1) + 1.0) / (count(0) + 1.0))));
    }
    // Rows of several other classes may weigh differently; their mean weight stands for all.
    let mean = |side| of(side).map(|(_, w)| w).sum::<f64>() / count(side);
    let rows = SoftmaxRows {
        features: left_out,
        dimension: 1,
        labels: is,
        weights: &[mean(0), mean(1)],
    };
    let fitted = Softmax::fit(rows, &|| false).map_err(refused)?;
    let fitted = fitted.ok_or(LearnError::Stopped)?;
    Ok((fitted.coefficients[0][0], fitted.intercepts[0]))
}

/// A fitted model: margins are linear in the columns.
#[derive(Debug, Serialize, Deserialize)]
struct LinearModel {
    columns: StandardColumns,
    n_classes: usize,
    /// Each class is told from the rest by itself, so that the probabilities have to be divided by their sum.
    one_by_one: bool,
    /// For each margin (one with two classes, else one a class), a number for each column.
    coefficients: Vec<Vec<f64>>,
    intercepts: Vec<f64>,
}

fn load(bytes: &[u8]) -> Result<Box<dyn Model>, LearnError> {
    let model: LinearModel =
        serde_json::from_slice(bytes).map_err(|e| LearnError::Model(e.into()))?;
    let cols = model.columns.len();
    let margins = if model.n_classes == 2 {
        1
    } else {
        model.n_classes
    };
    let even = model.columns.is_even()
        && model.coefficients.iter().all(|c| c.len() == cols)
        && [model.coefficients.len(), model.intercepts.len()] == [margins; 2];
    match even && model.n_classes >= 2 {
        true => Ok(Box::new(model)),
        false => Err(LearnError::Model("its parts do not fit together".into())),
    }
}

impl LinearModel {
    fn margins<'a>(&'a self, row: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        let parts = self.coefficients.iter().zip(&self.intercepts);
        parts.map(move |(w, b)| b + w.iter().zip(row).map(|(w, x)| w * x).sum::<f64>())
    }
}

impl Model for LinearModel {
    fn predict(&self, x: &Matrix) -> Result<Vec<f64>, LearnError> {
        check_width(x, self.columns.len())?;
        let mut p = Vec::with_capacity(x.rows() * self.n_classes);
        let mut row = Vec::with_capacity(x.cols());
        for i in 0..x.rows() {
            row.clear();
            row.extend(self.columns.row(x.row(i)));
            let margins: Vec<f64> = self.margins(&row).collect();
            let from = p.len();
            match margins[..] {
                [margin] => p.extend([sigmoid(-margin), sigmoid(margin)]),
                _ if self.one_by_one => {
                    p.extend(margins.iter().map(|&margin| sigmoid(margin)));
                    let sum: f64 = p[from..].iter().sum();
                    let equal = 1.0 / self.n_classes as f64;
                    for p in &mut p[from..] {
                        *p = if sum > 0.0 { *p / sum } else { equal };
                    }
                }
                _ => {
                    p.resize(from + margins.len(), 0.0);
                    softmax(&margins, &mut p[from..]);
                }
            }
        }
        Ok(p)
    }

    fn to_bytes(&self) -> Result<Vec<u8>, LearnError> {
        serde_json::to_vec(self).map_err(|e| LearnError::Library(e.into()))
    }

    fn importance(&self) -> Vec<f64> {
        let mut sizes = vec![0.0; self.columns.len()];
        for (column, size) in sizes.iter_mut().enumerate() {
            let used = if self.columns.varies(column) {
                1.0
            } else {
                0.0
            };
            *size = self
                .coefficients
                .iter()
                .map(|w| w[column].abs() * used)
                .sum();
        }
        shares(sizes)
    }

    fn rounds(&self) -> usize {
        0
    }

    fn n_classes(&self) -> usize {
        self.n_classes
    }

    fn explainer(&self) -> Option<Box<dyn Explainer + '_>> {
        Some(Box::new(self))
    }
}

/// The Shapley values of a linear margin, with columns taken as independent, are its terms less their means
/// (Lundberg and Lee 2017, arXiv:1705.07874, corollary 1). The means of standardised columns are 0.
impl Explainer for &LinearModel {
    fn add(&self, row: &[f32], class: usize, phi: &mut [f64]) {
        let (margin, sign) = match (self.coefficients.len(), class) {
            (1, 0) => (0, -1.0),
            (1, _) => (0, 1.0),
            (_, class) => (class, 1.0),
        };
        let terms = self.columns.row(row).zip(&self.coefficients[margin]);
        for (phi, (x, w)) in phi.iter_mut().zip(terms) {
            *phi += sign * w * x;
        }
    }
}
