//! The points that statistics are taken of, with what several statistics need of them.

use std::borrow::Cow;
use std::cell::OnceCell;

use super::line::FittedLine;
use super::split::Split;

/// Points in the order of time. What several statistics need is computed once.
pub struct Measurements<'a> {
    /// Times in days.
    pub time: Cow<'a, [f64]>,
    /// Values, in any unit.
    pub value: Cow<'a, [f64]>,
    /// Standard errors of the values, if they have any.
    pub err: Option<Cow<'a, [f64]>>,
    mean: OnceCell<f64>,
    std: OnceCell<f64>,
    sorted: OnceCell<Vec<f64>>,
    weighted_mean: OnceCell<f64>,
    split: OnceCell<Option<Split>>,
    trend: OnceCell<FittedLine>,
    fit: OnceCell<FittedLine>,
}

impl<'a> Measurements<'a> {
    /// Returns the points of slices that have equal lengths.
    pub fn new(
        time: impl Into<Cow<'a, [f64]>>,
        value: impl Into<Cow<'a, [f64]>>,
        err: Option<Cow<'a, [f64]>>,
    ) -> Self {
        Measurements {
            time: time.into(),
            value: value.into(),
            err,
            mean: OnceCell::new(),
            std: OnceCell::new(),
            sorted: OnceCell::new(),
            weighted_mean: OnceCell::new(),
            split: OnceCell::new(),
            trend: OnceCell::new(),
            fit: OnceCell::new(),
        }
    }

    /// The number of points, as a number to compute with.
    pub(super) fn n(&self) -> f64 {
        self.value.len() as f64
    }

    /// The mean of the values.
    pub(super) fn mean(&self) -> f64 {
        *self
            .mean
            .get_or_init(|| self.value.iter().sum::<f64>() / self.n())
    }

    /// The sample standard deviation of the values, over n - 1. It is exactly 0 if all values are equal, however
    /// their mean is rounded.
    pub(super) fn std(&self) -> f64 {
        *self.std.get_or_init(|| {
            if self.minimum() == self.maximum() {
                return 0.0;
            }
            (self.central(2) / (self.n() - 1.0)).sqrt()
        })
    }

    /// The sum of a power of the deviations from the mean; `power` is 2, 3 or 4.
    pub(super) fn central(&self, power: u32) -> f64 {
        let mean = self.mean();
        let deviations = self.value.iter().map(|v| v - mean);
        let powers = deviations.map(|d| match power {
            2 => d * d,
            3 => d * d * d,
            _ => d * d * (d * d),
        });
        powers.sum()
    }

    /// The least value; NaN without points.
    pub(super) fn minimum(&self) -> f64 {
        self.value.iter().copied().fold(f64::NAN, f64::min)
    }

    /// The largest value; NaN without points.
    pub(super) fn maximum(&self) -> f64 {
        self.value.iter().copied().fold(f64::NAN, f64::max)
    }

    /// The largest value minus the least.
    pub(super) fn range(&self) -> f64 {
        self.maximum() - self.minimum()
    }

    /// The values in ascending order.
    pub(super) fn sorted(&self) -> &[f64] {
        self.sorted.get_or_init(|| {
            let mut sorted = self.value.to_vec();
            sorted.sort_unstable_by(f64::total_cmp);
            sorted
        })
    }

    /// The values with their weights, one over the square of the error. It is empty without errors.
    pub(super) fn weighted(&self) -> impl Iterator<Item = (f64, f64)> + Clone {
        let errors = self.err.as_deref().unwrap_or_default();
        let pairs = self.value.iter().zip(errors);
        pairs.map(|(&value, &err)| (value, 1.0 / (err * err)))
    }

    /// The mean of the values, weighted by the inverse squares of their errors.
    pub(super) fn weighted_mean(&self) -> f64 {
        *self.weighted_mean.get_or_init(|| {
            let (mut sum, mut weights) = (0.0, 0.0);
            for (value, weight) in self.weighted() {
                sum += value * weight;
                weights += weight;
            }
            sum / weights
        })
    }

    /// Otsu's division of the values; none if they are all equal.
    pub(super) fn split(&self) -> Option<&Split> {
        let split = || Split::of(self.sorted());
        self.split.get_or_init(split).as_ref()
    }

    /// The line through the points, all of which weigh the same.
    pub(super) fn trend(&self) -> &FittedLine {
        let each = self.time.iter().zip(self.value.iter());
        self.trend
            .get_or_init(|| FittedLine::through(each.map(|(&t, &v)| (t, v, 1.0))))
    }

    /// The line through the points, weighted by the inverse squares of their errors.
    pub(super) fn fit(&self) -> &FittedLine {
        let each = self.time.iter().zip(self.weighted());
        self.fit
            .get_or_init(|| FittedLine::through(each.map(|(&t, (v, w))| (t, v, w))))
    }
}
