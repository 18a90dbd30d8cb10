//! Platt's scaling: a logistic curve through scores.

use super::super::linear::sigmoid;

/// A curve `p = 1 / (1 + exp(a s + b))`. It rises with the score s if a is negative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Platt {
    /// The slope, with the sign that Platt gives it.
    pub a: f64,
    /// The offset.
    pub b: f64,
}

/// The most Newton steps, and the most halvings of one. About ten steps are enough.
const STEPS: usize = 100;
const HALVINGS: usize = 50;
/// Added to the diagonal of the Hessian, so that equal scores have a fit too (Lin, Lin and Weng 2007).
const RIDGE: f64 = 1e-12;
/// The fit has converged when a step is predicted to improve the loss by less than this share of it.
const TOLERANCE: f64 = 1e-18;

impl Platt {
    /// Fits the curve by maximum likelihood. So that few rows give no certainty, a positive row counts
    /// as (n_+ + 1) / (n_+ + 2) and a negative one as 1 / (n_- + 2) (Platt 1999, section 2.2). Newton's
    /// method with step halving finds the one minimum (Lin, Lin and Weng 2007, "A note on Platt's
    /// probabilistic outputs for support vector machines", algorithm 1). Without rows, the curve is 1/2.
    ///
    /// # Panics
    /// If lengths differ.
    pub fn fit(scores: &[f64], labels: &[bool]) -> Self {
        assert_eq!(scores.len(), labels.len());
        let positives = labels.iter().filter(|&&label| label).count() as f64;
        let negatives = labels.len() as f64 - positives;
        let high = (positives + 1.0) / (positives + 2.0);
        let low = 1.0 / (negatives + 2.0);
        let rows: Vec<(f64, f64)> = scores
            .iter()
            .zip(labels)
            .map(|(&score, &label)| (score, if label { high } else { low }))
            .collect();
        let mut curve = Self {
            a: 0.0,
            b: libm::log((negatives + 1.0) / (positives + 1.0)),
        };
        let mut loss = curve.loss(&rows);
        for _ in 0..STEPS {
            let (step_a, step_b, gain) = curve.newton(&rows);
            let Some((next, next_loss)) = curve.descend(&rows, (step_a, step_b), loss) else {
                break;
            };
            (curve, loss) = (next, next_loss);
            if gain <= TOLERANCE * (1.0 + loss) {
                break;
            }
        }
        curve
    }

    /// The probability of the positive class.
    pub fn probability(&self, score: f64) -> f64 {
        sigmoid(-(self.a * score + self.b))
    }

    /// The sum of the cross-entropies of rows (score, target).
    fn loss(&self, rows: &[(f64, f64)]) -> f64 {
        let entropy = |&(score, target): &(f64, f64)| {
            let z = self.a * score + self.b;
            let softplus = (-z).max(0.0) + libm::log1p(libm::exp(-z.abs()));
            target * z + softplus
        };
        rows.iter().map(entropy).sum()
    }

    /// The step that Newton's method takes from here, and twice the gain that it predicts.
    fn newton(&self, rows: &[(f64, f64)]) -> (f64, f64, f64) {
        let (mut aa, mut ab, mut bb, mut ga, mut gb) = (RIDGE, 0.0, RIDGE, 0.0, 0.0);
        for &(score, target) in rows {
            let p = self.probability(score);
            let curvature = p * (1.0 - p);
            aa += score * score * curvature;
            ab += score * curvature;
            bb += curvature;
            ga += score * (target - p);
            gb += target - p;
        }
        let determinant = aa * bb - ab * ab;
        let a = -(bb * ga - ab * gb) / determinant;
        let b = -(aa * gb - ab * ga) / determinant;
        (a, b, -(ga * a + gb * b))
    }

    /// Halves a step until it lowers the loss; `None` if no part of it does.
    fn descend(
        &self,
        rows: &[(f64, f64)],
        (step_a, step_b): (f64, f64),
        loss: f64,
    ) -> Option<(Self, f64)> {
        let mut size = 1.0;
        for _ in 0..HALVINGS {
            let next = Self {
                a: self.a + size * step_a,
                b: self.b + size * step_b,
            };
            let next_loss = next.loss(rows);
            if next_loss < loss && next.a.is_finite() && next.b.is_finite() {
                return Some((next, next_loss));
            }
            size *= 0.5;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{labels, numbers, oracle};
    use super::*;

    #[test]
    fn the_curve_equals_scikit_learn() {
        let oracle = oracle();
        let scores = numbers(&oracle["isotonic"]["x"]);
        let curve = Platt::fit(&scores, &labels(&oracle["isotonic"]["y"]));
        let [a, b] = ["a", "b"].map(|name| oracle["platt"][name].as_f64().unwrap());
        assert!((curve.a - a).abs() < 1e-5 * a.abs(), "{curve:?}");
        assert!((curve.b - b).abs() < 1e-5 * b.abs(), "{curve:?}");
    }

    #[test]
    fn separable_rows_have_a_finite_curve() {
        let scores = [-2.0, -1.0, 1.0, 2.0];
        let curve = Platt::fit(&scores, &[false, false, true, true]);
        assert!(curve.a.is_finite() && curve.a < -0.5, "{curve:?}");
        assert!((curve.probability(0.0) - 0.5).abs() < 1e-9);
        // Both classes have the targets 3/4 and 1/4, which the curve cannot pass.
        assert!(curve.probability(2.0) < 0.9, "{curve:?}");
    }

    #[test]
    fn odd_rows_do_no_harm() {
        assert_eq!(Platt::fit(&[], &[]).probability(3.0), 0.5);
        // Equal scores: the share of positives, drawn to 1/2.
        let equal = Platt::fit(&[0.7; 4], &[true, false, false, false]);
        let (high, low) = (2.0 / 3.0, 1.0 / 5.0);
        assert!((equal.probability(0.7) - (high + 3.0 * low) / 4.0).abs() < 1e-6);
        let one_class = Platt::fit(&[0.1, 0.9, 0.4], &[false; 3]);
        for score in [0.1, 0.4, 0.9] {
            assert!(
                (one_class.probability(score) - 0.2).abs() < 1e-6,
                "{one_class:?}"
            );
        }
        for extreme in [f64::MAX, f64::NAN, f64::INFINITY] {
            let curve = Platt::fit(&[extreme, 0.0, 1.0], &[true, false, true]);
            assert!(curve.a.is_finite() && curve.b.is_finite(), "{curve:?}");
        }
    }
}
