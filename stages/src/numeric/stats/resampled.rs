//! T tests on differences by fold of repeated cross-validation.
//!
//! Fold differences are not independent: any two folds share training rows, so the naive variance of
//! their mean is too small. Nadeau and Bengio ("Inference for the generalization error", Machine
//! Learning 52, 2003, section 4) replace the factor 1/J of J differences by 1/J + n_test/n_train.
//! Benavoli, Corani, Demsar and Zaffalon ("Time for a change", JMLR 18, 2017, section 4.1) give the
//! posterior of the mean difference under the same correlation, rho = n_test / (n_test + n_train):
//! with their prior it is a t distribution of the same centre, scale and degrees of freedom.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::distribution::{student_cdf, student_quantile, student_two_sided};

/// The corrected t statistic of some differences.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResampledT {
    /// Mean of the differences.
    pub mean: f64,
    /// Standard error of the mean, corrected for shared training rows.
    pub se: f64,
    /// `mean / se`; 0 if all differences are 0.
    pub t: f64,
    /// Degrees of freedom: differences less one.
    pub df: f64,
    /// Two-sided p-value of no difference.
    pub p: f64,
}

/// Posterior chances of where the true difference lies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rope {
    /// Below `-margin`.
    pub below: f64,
    /// Within the region of practical equivalence, `-margin` to `margin`.
    pub within: f64,
    /// Above `margin`.
    pub above: f64,
}

impl ResampledT {
    /// Computes the test from one difference for each fold (and repeat), with `test_over_train` =
    /// n_test / n_train, which is 1 / (k - 1) for k folds. `None` for fewer than two differences.
    pub fn of(differences: &[f64], test_over_train: f64) -> Option<ResampledT> {
        let n = differences.len() as f64;
        if differences.len() < 2 {
            return None;
        }
        let mean = differences.iter().sum::<f64>() / n;
        let squares: f64 = differences.iter().map(|d| (d - mean) * (d - mean)).sum();
        let se = ((1.0 / n + test_over_train) * squares / (n - 1.0)).sqrt();
        let t = if mean == 0.0 { 0.0 } else { mean / se };
        Some(ResampledT {
            mean,
            se,
            t,
            df: n - 1.0,
            p: student_two_sided(t, n - 1.0),
        })
    }

    /// The interval that holds the true difference with confidence `level`.
    pub fn interval(&self, level: f64) -> (f64, f64) {
        let half = student_quantile(0.5 + 0.5 * level, self.df) * self.se;
        (self.mean - half, self.mean + half)
    }

    /// The Bayesian correlated t test with a region of practical equivalence.
    pub fn rope(&self, margin: f64) -> Rope {
        let at = |x: f64| match self.se {
            0.0 => f64::from(u8::from(x >= self.mean)),
            se => student_cdf((x - self.mean) / se, self.df),
        };
        let (below, above) = (at(-margin), 1.0 - at(margin));
        Rope {
            below,
            within: (1.0 - below - above).max(0.0),
            above,
        }
    }
}
