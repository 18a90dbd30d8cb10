//! L2-regularised logistic regression over two or more classes and any number of columns.
//!
//! [`linear`](super::linear) has the same regression for two classes and a few columns, solved by matrices.
//! Here nothing is larger than the data.

use super::linear::{FitError, sigmoid};

/// The rows of a fit.
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxRows<'a> {
    /// Row-major, `dimension` finite values a row.
    pub features: &'a [f64],
    /// The number of columns.
    pub dimension: usize,
    /// The class of each row, below the number of classes.
    pub labels: &'a [usize],
    /// For each class, how much the loss of its rows counts against the penalty, above 0: scikit-learn's C
    /// times the weight of the class. Its length is the number of classes.
    pub weights: &'a [f64],
}

/// A fitted model. With two classes it has one margin a row, the log-odds of class 1, else one a class.
#[derive(Clone, Debug, PartialEq)]
pub struct Softmax {
    /// For each margin, a coefficient for each column.
    pub coefficients: Vec<Vec<f64>>,
    /// For each margin, its value where all columns are 0.
    pub intercepts: Vec<f64>,
}

/// The most Newton steps.
const MAX_STEPS: usize = 200;
/// The most steps of conjugate gradients for one Newton step.
const MAX_INNER: usize = 500;
/// The most halvings of a Newton step, after which it counts as not improvable.
const MAX_HALVINGS: usize = 50;
/// A fit has converged when the predicted gain of a Newton step falls below this share of the loss.
const TOLERANCE: f64 = 1e-14;

impl Softmax {
    /// Minimises `|w|^2 / 2 + sum_i weight(class_i) * -ln p(class_i | x_i)` with free intercepts:
    /// scikit-learn's `LogisticRegression`, multinomial with more than two classes. `stop` is asked between
    /// steps.
    ///
    /// The method is Newton's, whose linear equations are solved by conjugate gradients (Nocedal and Wright
    /// 2006, "Numerical Optimization", algorithm 7.1) and whose steps are halved until the loss falls. It
    /// starts from zero, so the intercepts of several classes sum to 0.
    ///
    /// # Errors
    /// [`FitError::OneClass`] if only one class has rows, [`FitError::NotFinite`] if a value is not finite
    /// or a weight not positive, [`FitError::Overflow`] if the features are too large. `Ok(None)` if it was
    /// stopped.
    ///
    /// # Panics
    /// If the lengths do not fit together.
    pub fn fit(
        rows: SoftmaxRows<'_>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Softmax>, FitError> {
        assert_eq!(rows.features.len(), rows.dimension * rows.labels.len());
        let first = rows.labels.first();
        if rows.labels.iter().all(|label| Some(label) == first) {
            return Err(FitError::OneClass);
        }
        let usable = |w: &f64| *w > 0.0 && w.is_finite();
        if !rows.weights.iter().all(usable) || !rows.features.iter().all(|x| x.is_finite()) {
            return Err(FitError::NotFinite);
        }
        let mut beta = vec![0.0; rows.margins() * rows.width()];
        let mut at = rows.at(&beta);
        for _ in 0..MAX_STEPS {
            if stop() {
                return Ok(None);
            }
            let square = dot(&at.gradient, &at.gradient);
            if !square.is_finite() || !at.loss.is_finite() {
                return Err(FitError::Overflow);
            }
            let step = rows.newton(&at);
            let gain = dot(&at.gradient, &step);
            let Some(next) = rows.descend(&beta, &step, at.loss) else {
                break;
            };
            beta = next;
            at = rows.at(&beta);
            if gain <= TOLERANCE * (1.0 + at.loss) {
                break;
            }
        }
        let margins = beta.chunks(rows.width());
        Ok(Some(Softmax {
            intercepts: margins.clone().map(|part| part[rows.dimension]).collect(),
            coefficients: margins
                .map(|part| part[..rows.dimension].to_vec())
                .collect(),
        }))
    }

    /// The margins of a row.
    pub fn margins(&self, row: &[f64]) -> Vec<f64> {
        let parts = self.coefficients.iter().zip(&self.intercepts);
        parts.map(|(w, b)| dot(w, row) + b).collect()
    }
}

/// The probabilities at some coefficients, and what follows from them.
struct Point {
    loss: f64,
    gradient: Vec<f64>,
    /// By row and margin.
    probabilities: Vec<f64>,
}

impl SoftmaxRows<'_> {
    fn margins(&self) -> usize {
        match self.weights.len() {
            2 => 1,
            classes => classes,
        }
    }

    /// The unknowns of a margin: its coefficients, then its intercept.
    fn width(&self) -> usize {
        self.dimension + 1
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.features[i * self.dimension..][..self.dimension]
    }

    fn weight(&self, i: usize) -> f64 {
        self.weights[self.labels[i]]
    }

    /// Writes the margins of row `i` at `beta`.
    fn margins_at(&self, beta: &[f64], i: usize, out: &mut [f64]) {
        for (out, part) in out.iter_mut().zip(beta.chunks(self.width())) {
            *out = dot(&part[..self.dimension], self.row(i)) + part[self.dimension];
        }
    }

    /// Turns the margins of row `i` into probabilities. Returns the loss of the row.
    fn settle(&self, i: usize, margins: &mut [f64]) -> f64 {
        let label = self.labels[i];
        if let [margin] = margins {
            let z = *margin;
            *margin = sigmoid(z);
            let z = if label == 1 { -z } else { z };
            return self.weight(i) * (z.max(0.0) + libm::log1p(libm::exp(-z.abs())));
        }
        let top = margins.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let own = margins[label] - top;
        let mut sum = 0.0;
        for margin in margins.iter_mut() {
            *margin = libm::exp(*margin - top);
            sum += *margin;
        }
        margins.iter_mut().for_each(|p| *p /= sum);
        self.weight(i) * (libm::log(sum) - own)
    }

    fn penalty(&self, beta: &[f64]) -> f64 {
        let parts = beta.chunks(self.width());
        let square = |part: &[f64]| dot(&part[..self.dimension], &part[..self.dimension]);
        parts.map(square).sum::<f64>() / 2.0
    }

    fn at(&self, beta: &[f64]) -> Point {
        let (k, n) = (self.margins(), self.labels.len());
        let mut probabilities = vec![0.0; n * k];
        let mut gradient = self.penalty_gradient(beta);
        let mut loss = self.penalty(beta);
        let mut errors = vec![0.0; k];
        for (i, p) in probabilities.chunks_mut(k).enumerate() {
            self.margins_at(beta, i, p);
            loss += self.settle(i, p);
            for (c, (error, p)) in errors.iter_mut().zip(&*p).enumerate() {
                let class = if k == 1 { 1 } else { c };
                let target = if self.labels[i] == class { 1.0 } else { 0.0 };
                *error = self.weight(i) * (p - target);
            }
            self.add_row(i, &errors, &mut gradient);
        }
        Point {
            loss,
            gradient,
            probabilities,
        }
    }

    fn penalty_gradient(&self, beta: &[f64]) -> Vec<f64> {
        let mut gradient = beta.to_vec();
        for part in gradient.chunks_mut(self.width()) {
            part[self.dimension] = 0.0;
        }
        gradient
    }

    /// Adds `scales[c] * (x_i, 1)` to the part of each margin `c`.
    fn add_row(&self, i: usize, scales: &[f64], to: &mut [f64]) {
        for (part, &scale) in to.chunks_mut(self.width()).zip(scales) {
            for (to, x) in part.iter_mut().zip(self.row(i)) {
                *to += scale * x;
            }
            part[self.dimension] += scale;
        }
    }

    /// The product of the matrix of second derivatives with `v`.
    fn curvature(&self, at: &Point, v: &[f64]) -> Vec<f64> {
        let k = self.margins();
        let mut product = self.penalty_gradient(v);
        let mut z = vec![0.0; k];
        for (i, p) in at.probabilities.chunks(k).enumerate() {
            self.margins_at(v, i, &mut z);
            let weight = self.weight(i);
            match (&mut z[..], p) {
                ([z], [p]) => *z *= weight * p * (1.0 - p),
                (z, p) => {
                    let mean = dot(p, z);
                    for (z, p) in z.iter_mut().zip(p) {
                        *z = weight * p * (*z - mean);
                    }
                }
            }
            self.add_row(i, &z, &mut product);
        }
        product
    }

    /// The Newton step, by conjugate gradients from zero, as exactly as the gradient is small.
    fn newton(&self, at: &Point) -> Vec<f64> {
        let mut step = vec![0.0; at.gradient.len()];
        let mut residual = at.gradient.clone();
        let mut direction = residual.clone();
        let mut square = dot(&residual, &residual);
        let norm = square.sqrt();
        let enough = norm * norm.sqrt().min(0.1);
        for _ in 0..MAX_INNER {
            if square.sqrt() <= enough.max(f64::MIN_POSITIVE) {
                break;
            }
            let product = self.curvature(at, &direction);
            let bend = dot(&direction, &product);
            // The loss is flat along a shift of all intercepts, where no step is needed.
            if bend.is_nan() || bend <= 0.0 {
                break;
            }
            let length = square / bend;
            for ((step, residual), (direction, product)) in step
                .iter_mut()
                .zip(&mut residual)
                .zip(direction.iter().zip(&product))
            {
                *step += length * direction;
                *residual -= length * product;
            }
            let next = dot(&residual, &residual);
            let ratio = next / square;
            square = next;
            for (direction, residual) in direction.iter_mut().zip(&residual) {
                *direction = residual + ratio * *direction;
            }
        }
        step
    }

    /// The longest of `beta - step / 2^h` that lowers the loss; `None` if none does.
    fn descend(&self, beta: &[f64], step: &[f64], loss: f64) -> Option<Vec<f64>> {
        let mut scale = 1.0;
        let mut margins = vec![0.0; self.margins()];
        for _ in 0..MAX_HALVINGS {
            let next: Vec<f64> = beta.iter().zip(step).map(|(b, s)| b - scale * s).collect();
            let mut next_loss = self.penalty(&next);
            for i in 0..self.labels.len() {
                self.margins_at(&next, i, &mut margins);
                next_loss += self.settle(i, &mut margins);
            }
            if next_loss < loss {
                return Some(next);
            }
            scale /= 2.0;
        }
        None
    }
}

/// Terms that are summed side by side, so that the sum vectorizes in a fixed order.
const LANES: usize = 8;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (mut x, mut y) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let mut sums = [0.0; LANES];
    for (x, y) in x.by_ref().zip(y.by_ref()) {
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += x[lane] * y[lane];
        }
    }
    let rest = x.remainder().iter().zip(y.remainder());
    sums.iter().sum::<f64>() + rest.map(|(x, y)| x * y).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn numbers(value: &Value) -> Vec<f64> {
        match value {
            Value::Array(items) => items.iter().flat_map(numbers).collect(),
            other => vec![other.as_f64().unwrap()],
        }
    }

    fn near(ours: &[f64], theirs: &[f64], tolerance: f64) {
        assert_eq!(ours.len(), theirs.len());
        for (a, b) in ours.iter().zip(theirs) {
            assert!((a - b).abs() < tolerance, "{a} is not {b}");
        }
    }

    fn labels(oracle: &Value) -> Vec<usize> {
        numbers(&oracle["y"]).iter().map(|&y| y as usize).collect()
    }

    fn fit(rows: SoftmaxRows<'_>) -> Result<Softmax, FitError> {
        Softmax::fit(rows, &|| false).map(Option::unwrap)
    }

    #[test]
    fn two_classes_equal_scikit_learn() {
        let oracle: Value =
            serde_json::from_str(include_str!("../../tests/fixtures/linear.json")).unwrap();
        let (features, labels) = (numbers(&oracle["X"]), labels(&oracle));
        let count = |class| labels.iter().filter(|&&label| label == class).count() as f64;
        let share = |class| 0.3 * labels.len() as f64 / (2.0 * count(class));
        for (name, weights) in [("lr", [1.0, 1.0]), ("lrb", [share(0), share(1)])] {
            let rows = SoftmaxRows {
                features: &features,
                dimension: 4,
                labels: &labels,
                weights: &weights,
            };
            let model = fit(rows).unwrap();
            near(
                &model.coefficients[0],
                &numbers(&oracle[format!("{name}_coef")]),
                1e-7,
            );
            near(
                &model.intercepts,
                &numbers(&oracle[format!("{name}_intercept")]),
                1e-7,
            );
        }
    }

    #[test]
    fn three_classes_equal_scikit_learn() {
        let oracle: Value =
            serde_json::from_str(include_str!("../../tests/fixtures/softmax.json")).unwrap();
        let (features, labels) = (numbers(&oracle["X"]), labels(&oracle));
        let count = |class| labels.iter().filter(|&&label| label == class).count() as f64;
        let share = |class| 0.3 * labels.len() as f64 / (3.0 * count(class));
        for (name, weights) in [("plain", [1.0; 3]), ("balanced", [0, 1, 2].map(share))] {
            let rows = SoftmaxRows {
                features: &features,
                dimension: 4,
                labels: &labels,
                weights: &weights,
            };
            let model = fit(rows).unwrap();
            near(
                &model.coefficients.concat(),
                &numbers(&oracle[name]["coef"]),
                1e-6,
            );
            near(
                &model.intercepts,
                &numbers(&oracle[name]["intercept"]),
                1e-6,
            );
            assert!(model.intercepts.iter().sum::<f64>().abs() < 1e-9);
        }
    }

    #[test]
    fn more_columns_than_rows_and_separable_classes_have_a_fit() {
        let features: Vec<f64> = (0..40).map(|i| libm::sin(f64::from(i * i))).collect();
        let rows = SoftmaxRows {
            features: &features,
            dimension: 10,
            labels: &[0, 1, 0, 1],
            weights: &[1e4; 2],
        };
        let model = fit(rows).unwrap();
        for (i, label) in rows.labels.iter().enumerate() {
            let p = sigmoid(model.margins(rows.row(i))[0]);
            assert!((p - *label as f64).abs() < 0.01, "{p}");
        }
        let at = rows.at(&[model.coefficients[0].clone(), model.intercepts].concat());
        assert!(
            at.gradient.iter().all(|g| g.abs() < 1e-5),
            "{:?}",
            at.gradient
        );
    }

    #[test]
    fn unusable_rows_are_refused_and_a_fit_can_be_stopped() {
        let fit = |x: f64, labels: &[usize; 2], weight: f64, stop| {
            let rows = SoftmaxRows {
                features: &[x, 1.0],
                dimension: 1,
                labels,
                weights: &[weight; 2],
            };
            Softmax::fit(rows, &|| stop)
        };
        assert_eq!(fit(0.0, &[1, 1], 1.0, false), Err(FitError::OneClass));
        assert_eq!(fit(f64::NAN, &[0, 1], 1.0, false), Err(FitError::NotFinite));
        assert_eq!(fit(0.0, &[0, 1], 0.0, false), Err(FitError::NotFinite));
        assert_eq!(fit(1e200, &[0, 1], 1.0, false), Err(FitError::Overflow));
        assert_eq!(fit(0.0, &[0, 1], 1.0, true), Ok(None));
    }
}
