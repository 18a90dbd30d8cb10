//! A series, and what several calculators need of it.

use std::cell::OnceCell;

use crate::numeric::fourier::{Complex, Fourier};
use crate::numeric::pairwise::{mean, sum, variance};

use super::arrays::quantile;
use super::drift::{self, Cubic};
use super::welch;

/// A series of at least one value, all of them finite.
pub struct Series<'a> {
    /// The values, in the order of their times.
    pub x: &'a [f64],
    /// The values in ascending order.
    pub sorted: Vec<f64>,
    /// Each value but the first, minus the one before it.
    pub changes: Vec<f64>,
    /// The sum of the values.
    pub sum: f64,
    /// Their mean.
    pub mean: f64,
    /// Their mean square distance from the mean.
    pub variance: f64,
    /// The root of `variance`.
    pub deviation: f64,
    transform: OnceCell<Vec<Complex>>,
    density: OnceCell<Vec<f64>>,
    drift: OnceCell<Cubic>,
}

impl<'a> Series<'a> {
    /// Returns a series, or none if there is no value.
    pub fn new(x: &'a [f64]) -> Option<Series<'a>> {
        if x.is_empty() {
            return None;
        }
        let mut sorted = x.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let mean = mean(x);
        let variance = variance(x, mean);
        Some(Series {
            x,
            sorted,
            changes: x.windows(2).map(|pair| pair[1] - pair[0]).collect(),
            sum: sum(x),
            mean,
            variance,
            deviation: variance.sqrt(),
            transform: OnceCell::new(),
            density: OnceCell::new(),
            drift: OnceCell::new(),
        })
    }

    /// Returns the number of values as a number to divide by.
    pub fn n(&self) -> f64 {
        self.x.len() as f64
    }

    /// Returns the least value.
    pub fn min(&self) -> f64 {
        self.sorted[0]
    }

    /// Returns the largest value.
    pub fn max(&self) -> f64 {
        self.sorted[self.sorted.len() - 1]
    }

    /// Returns the coefficients of the Fourier transform, from frequency 0 up. Those of a constant series are exactly 0
    /// but the first, and not a rounding error.
    pub fn transform(&self) -> &[Complex] {
        self.transform.get_or_init(|| {
            let mut found = Fourier::new(self.x.len()).real(self.x);
            if self.min() == self.max() {
                found[1..].fill(Complex::default());
            }
            found
        })
    }

    /// Returns the spectral density by Welch's method. That of a constant series is exactly 0.
    pub fn density(&self) -> &[f64] {
        self.density.get_or_init(|| {
            let mut found = welch::density(self.x);
            if self.min() == self.max() {
                found.fill(0.0);
            }
            found
        })
    }

    /// Returns the coefficients of the drift, see [`drift::drift`].
    pub fn drift(&self) -> Cubic {
        *self
            .drift
            .get_or_init(|| drift::drift(self.x, &self.changes))
    }

    /// Calls `each` with every distinct value and how often it occurs, in ascending order.
    pub fn distinct(&self, mut each: impl FnMut(f64, usize)) {
        for run in self.sorted.chunk_by(|a, b| a == b) {
            each(run[0], run.len());
        }
    }

    /// Returns a quantile of the values, see [`quantile`].
    pub fn quantile(&self, q: f64) -> f64 {
        quantile(&self.sorted, q)
    }
}
