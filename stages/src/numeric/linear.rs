//! L2-regularised logistic regression, for a few dozen features.
//!
//! There are two classes; more are learned one-vs-rest, with one fit for each class.

use std::fmt;

/// Parameters of a fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogisticOptions {
    /// The weight of the data against the penalty, positive. A smaller value gives a smoother model.
    pub c: f64,
    /// Whether each class is weighted by n / (2 n_class), so that both count the same.
    pub balanced: bool,
}

impl Default for LogisticOptions {
    fn default() -> Self {
        LogisticOptions {
            c: 1.0,
            balanced: false,
        }
    }
}

/// The reason why there is no fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FitError {
    /// The labels hold one class only.
    OneClass,
    /// A feature is not finite, or `c` is not a positive number.
    NotFinite,
    /// The features are so large that arithmetic overflowed.
    Overflow,
}

impl fmt::Display for FitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FitError::OneClass => "logistic regression needs rows of both classes",
            FitError::NotFinite => "logistic regression needs finite features and a positive c",
            FitError::Overflow => "logistic regression overflowed: scale the features",
        })
    }
}

impl std::error::Error for FitError {}

/// A fitted model: `P(positive | x) = sigmoid(intercept + coefficients . x)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Logistic {
    /// The coefficients, one for each feature.
    pub coefficients: Vec<f64>,
    /// The log-odds at x = 0.
    pub intercept: f64,
}

/// The most Newton steps. Convergence is quadratic and takes about ten steps.
const MAX_STEPS: usize = 100;
/// The most halvings of a Newton step, after which it counts as not improvable.
const MAX_HALVINGS: usize = 50;
/// A fit has converged when the predicted gain of a Newton step falls below this share of the loss. The
/// gain is quadratic in the step, so the step itself is then about 1e-9.
const TOLERANCE: f64 = 1e-18;

impl Logistic {
    /// Minimises `|w|^2 / 2 + c * sum_i s_i ln(1 + exp(-y_i (w . x_i + b)))` with y = +-1, class
    /// weights s and a free intercept b: scikit-learn's `LogisticRegression` objective. `features`
    /// is row-major, `dimension` values per row.
    ///
    /// The objective is strictly convex, so that Newton's method with step halving (iteratively
    /// reweighted least squares; Hastie et al. 2009, section 4.4.1) finds its one minimum.
    ///
    /// # Panics
    /// If `features` does not have `dimension` values per label.
    pub fn fit(
        features: &[f64],
        dimension: usize,
        labels: &[bool],
        options: LogisticOptions,
    ) -> Result<Logistic, FitError> {
        let problem = LogisticProblem::new(features, dimension, labels, options)?;
        let mut beta = vec![0.0; dimension + 1];
        let mut loss = problem.loss(&beta);
        for _ in 0..MAX_STEPS {
            let (gradient, mut hessian) = problem.derivatives(&beta);
            let mut step = gradient.clone();
            if !solve_in_place(&mut hessian, &mut step) {
                return Err(FitError::Overflow);
            }
            let gain = dot(&gradient, &step);
            let Some((next, next_loss)) = problem.descend(&beta, &step, loss) else {
                break;
            };
            (beta, loss) = (next, next_loss);
            if gain <= TOLERANCE * (1.0 + loss) {
                break;
            }
        }
        let intercept = beta.pop().unwrap_or(0.0);
        Ok(Logistic {
            coefficients: beta,
            intercept,
        })
    }

    /// The probability of the positive class for one row of features.
    pub fn probability(&self, row: &[f64]) -> f64 {
        let z = dot(&self.coefficients, row) + self.intercept;
        sigmoid(z)
    }
}

/// Computes `1 / (1 + exp(-z))` without overflow.
pub fn sigmoid(z: f64) -> f64 {
    if z >= 0.0 {
        1.0 / (1.0 + libm::exp(-z))
    } else {
        let e = libm::exp(z);
        e / (1.0 + e)
    }
}

/// Computes `ln(1 + exp(z))` without overflow.
fn softplus(z: f64) -> f64 {
    z.max(0.0) + libm::log1p(libm::exp(-z.abs()))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The data of a fit. Parameters are the coefficients followed by the intercept.
struct LogisticProblem<'a> {
    features: &'a [f64],
    dimension: usize,
    labels: &'a [bool],
    /// `c` times the class weight, for negatives and positives.
    weights: [f64; 2],
}

impl<'a> LogisticProblem<'a> {
    fn new(
        features: &'a [f64],
        dimension: usize,
        labels: &'a [bool],
        options: LogisticOptions,
    ) -> Result<LogisticProblem<'a>, FitError> {
        assert_eq!(features.len(), dimension * labels.len());
        let positives = labels.iter().filter(|&&label| label).count();
        let counts = [labels.len() - positives, positives];
        if counts.contains(&0) {
            return Err(FitError::OneClass);
        }
        let usable_c = options.c > 0.0 && options.c.is_finite();
        if !usable_c || features.iter().any(|x| !x.is_finite()) {
            return Err(FitError::NotFinite);
        }
        let weight = |count: usize| match options.balanced {
            true => options.c * labels.len() as f64 / (2.0 * count as f64),
            false => options.c,
        };
        Ok(LogisticProblem {
            features,
            dimension,
            labels,
            weights: counts.map(weight),
        })
    }

    /// The rows as (features, label, weight).
    fn rows(&self) -> impl Iterator<Item = (&[f64], bool, f64)> {
        self.labels.iter().enumerate().map(|(i, &label)| {
            let row = &self.features[i * self.dimension..][..self.dimension];
            (row, label, self.weights[usize::from(label)])
        })
    }

    fn logit(&self, beta: &[f64], row: &[f64]) -> f64 {
        dot(beta, row) + beta[self.dimension]
    }

    fn loss(&self, beta: &[f64]) -> f64 {
        let coefficients = &beta[..self.dimension];
        let data: f64 = self
            .rows()
            .map(|(row, label, weight)| {
                let z = self.logit(beta, row);
                weight * softplus(if label { -z } else { z })
            })
            .sum();
        dot(coefficients, coefficients) / 2.0 + data
    }

    /// The gradient, and the Hessian's lower triangle (row-major, square).
    fn derivatives(&self, beta: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (d, n) = (self.dimension, self.dimension + 1);
        let mut gradient = beta.to_vec();
        gradient[d] = 0.0;
        let mut hessian = vec![0.0; n * n];
        for i in 0..d {
            hessian[i * n + i] = 1.0;
        }
        for (row, label, weight) in self.rows() {
            let z = self.logit(beta, row);
            let error = weight * if label { -sigmoid(-z) } else { sigmoid(z) };
            let curvature = weight * sigmoid(z) * sigmoid(-z);
            let at = |i: usize| if i == d { 1.0 } else { row[i] };
            for i in 0..n {
                gradient[i] += error * at(i);
                let scaled = curvature * at(i);
                for j in 0..=i {
                    hessian[i * n + j] += scaled * at(j);
                }
            }
        }
        (gradient, hessian)
    }

    /// The longest of `beta - step / 2^h` that lowers the loss, and its loss; `None` if none does.
    fn descend(&self, beta: &[f64], step: &[f64], loss: f64) -> Option<(Vec<f64>, f64)> {
        let mut scale = 1.0;
        for _ in 0..MAX_HALVINGS {
            let next: Vec<f64> = beta.iter().zip(step).map(|(b, s)| b - scale * s).collect();
            let next_loss = self.loss(&next);
            if next_loss < loss {
                return Some((next, next_loss));
            }
            scale /= 2.0;
        }
        None
    }
}

/// Solves `A x = b` for symmetric positive definite A, given as its lower triangle (row-major, square),
/// by Cholesky's decomposition (Golub and Van Loan, Matrix Computations, 4.2). Overwrites A with its
/// factor and b with x; false if A is not numerically positive definite.
pub(crate) fn solve_in_place(a: &mut [f64], b: &mut [f64]) -> bool {
    let n = b.len();
    for i in 0..n {
        for j in 0..=i {
            let sum = a[i * n + j] - dot(&a[i * n..][..j], &a[j * n..][..j]);
            if i != j {
                a[i * n + j] = sum / a[j * n + j];
            } else if sum > 0.0 && sum.is_finite() {
                a[i * n + i] = sum.sqrt();
            } else {
                return false;
            }
        }
    }
    for i in 0..n {
        b[i] = (b[i] - dot(&a[i * n..][..i], &b[..i])) / a[i * n + i];
    }
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|j| a[j * n + i] * b[j]).sum();
        b[i] = (b[i] - known) / a[i * n + i];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const FIXTURE: &str = include_str!("../../tests/fixtures/linear.json");

    fn numbers(value: &Value) -> Vec<f64> {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap())
            .collect()
    }

    /// The oracle with its features (four per row) and labels.
    fn oracle() -> (Value, Vec<f64>, Vec<bool>) {
        let oracle: Value = serde_json::from_str(FIXTURE).unwrap();
        let rows = oracle["X"].as_array().unwrap().iter();
        let features = rows.flat_map(numbers).collect();
        let labels = numbers(&oracle["y"]).iter().map(|&y| y == 1.0).collect();
        (oracle, features, labels)
    }

    #[test]
    fn fits_equal_scikit_learn() {
        let (oracle, features, labels) = oracle();
        let smooth = LogisticOptions {
            c: 0.3,
            balanced: true,
        };
        for (options, name) in [(LogisticOptions::default(), "lr"), (smooth, "lrb")] {
            let model = Logistic::fit(&features, 4, &labels, options).unwrap();
            let expected = numbers(&oracle[format!("{name}_coef")]);
            for (ours, theirs) in model.coefficients.iter().zip(&expected) {
                assert!((ours - theirs).abs() < 1e-6, "{ours} is not {theirs}");
            }
            let intercept = oracle[format!("{name}_intercept")].as_f64().unwrap();
            assert!((model.intercept - intercept).abs() < 1e-6);
        }
        let model = Logistic::fit(&features, 4, &labels, LogisticOptions::default()).unwrap();
        for (row, expected) in features.chunks(4).zip(numbers(&oracle["lr_proba"])) {
            assert!((model.probability(row) - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn the_gradient_vanishes_at_the_fit() {
        let (_, features, labels) = oracle();
        for c in [1e-6, 1.0, 1e6] {
            let options = LogisticOptions { c, balanced: false };
            let model = Logistic::fit(&features, 4, &labels, options).unwrap();
            let mut beta = model.coefficients;
            beta.push(model.intercept);
            let problem = LogisticProblem::new(&features, 4, &labels, options).unwrap();
            let (gradient, _) = problem.derivatives(&beta);
            assert!(
                gradient.iter().all(|g| g.abs() < 1e-7 * c.max(1.0)),
                "{c}: {gradient:?}"
            );
        }
    }

    #[test]
    fn separable_classes_and_equal_features_have_a_fit() {
        let features = [-2.0, -2.0, -1.0, -1.0, 1.0, 1.0, 2.0, 2.0];
        let labels = [false, false, true, true];
        let options = LogisticOptions {
            c: 1e4,
            balanced: true,
        };
        let model = Logistic::fit(&features, 2, &labels, options).unwrap();
        assert!((model.coefficients[0] - model.coefficients[1]).abs() < 1e-6);
        assert!(model.intercept.abs() < 1e-6);
        assert!(model.probability(&[1.0, 1.0]) > 0.99);
    }

    #[test]
    fn without_features_the_intercept_is_the_log_odds() {
        let labels = [true, false, false, false];
        let model = Logistic::fit(&[], 0, &labels, LogisticOptions::default()).unwrap();
        assert!((model.intercept - libm::log(1.0 / 3.0)).abs() < 1e-9);
    }

    #[test]
    fn unusable_data_is_refused() {
        let fit = |x: f64, labels: [bool; 2], c| {
            let options = LogisticOptions { c, balanced: false };
            Logistic::fit(&[x, 1.0], 1, &labels, options)
        };
        assert_eq!(fit(0.0, [true, true], 1.0), Err(FitError::OneClass));
        assert_eq!(fit(f64::NAN, [true, false], 1.0), Err(FitError::NotFinite));
        assert_eq!(fit(0.0, [true, false], 0.0), Err(FitError::NotFinite));
        assert_eq!(fit(1e200, [true, false], 1.0), Err(FitError::Overflow));
    }

    #[test]
    fn sigmoid_and_softplus_do_not_overflow() {
        assert_eq!((sigmoid(1e3), sigmoid(-1e3)), (1.0, 0.0));
        assert_eq!((softplus(1e3), softplus(-1e3)), (1e3, 0.0));
        assert!((sigmoid(-0.3) + sigmoid(0.3) - 1.0).abs() < 1e-15);
    }
}
