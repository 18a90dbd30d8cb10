//! What is done to the values of a column, fitted on some of them: scaling to a common size, a power
//! transform, and what stands for missing values.
//!
//! Values that are missing (NaN) or infinite take no part in a fit. [`ColumnMap::apply`] leaves an infinite
//! value as it is, and gives a finite one a finite result.

use serde::{Deserialize, Serialize};

use super::exp;
use super::minimum::minimum;
use super::rank::quantile;
use super::simd::{Kernel, SimdLevel};

/// A function of one value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "map")]
pub enum ColumnMap {
    /// `(x - center) / scale`.
    Linear {
        /// What becomes 0, in the unit of the column.
        center: f64,
        /// What becomes 1 more, in the unit of the column.
        scale: f64,
    },
    /// [`yeo_johnson`], and then `(y - center) / scale`.
    YeoJohnson {
        /// The power.
        lambda: f64,
        /// The transformed value that becomes 0.
        center: f64,
        /// The difference of transformed values that becomes 1.
        scale: f64,
    },
    /// A missing value becomes `value`, and others stay.
    Fill {
        /// In the unit of the column.
        value: f64,
    },
    /// 1 for a missing value, and 0 for others.
    Missing,
    /// Every value becomes missing, since nothing is known of the column.
    Unknown,
}

impl ColumnMap {
    /// Returns what becomes of `x`. A result beyond the range of an f32 is the largest or least f32.
    pub fn apply(&self, x: f32) -> f32 {
        let wide = f64::from(x);
        let to = match *self {
            ColumnMap::Fill { value } if x.is_nan() => value,
            ColumnMap::Missing => return f32::from(u8::from(x.is_nan())),
            ColumnMap::Unknown => return f32::NAN,
            _ if !x.is_finite() => return x,
            ColumnMap::Fill { .. } => return x,
            ColumnMap::Linear { center, scale } => (wide - center) / scale,
            ColumnMap::YeoJohnson {
                lambda,
                center,
                scale,
            } => (yeo_johnson(wide, lambda) - center) / scale,
        };
        let limit = f64::from(f32::MAX);
        to.clamp(-limit, limit) as f32
    }
}

/// The transform of Yeo and Johnson (2000), "A new family of power transformations to improve normality or
/// symmetry", Biometrika 87, equation 2.1: `((x + 1)^lambda - 1) / lambda` for `x >= 0`, and
/// `-((1 - x)^(2 - lambda) - 1) / (2 - lambda)` below, with logarithms where a power is 0.
pub fn yeo_johnson(x: f64, lambda: f64) -> f64 {
    let power = |log: f64, power: f64| {
        if power == 0.0 {
            log
        } else {
            libm::expm1(power * log) / power
        }
    };
    if x >= 0.0 {
        power(libm::log1p(x), lambda)
    } else {
        -power(libm::log1p(-x), 2.0 - lambda)
    }
}

/// Fits mean 0 and standard deviation 1 (over n). The scale of a constant column is 1, so that it becomes
/// 0.
pub fn standard(values: &[f32]) -> ColumnMap {
    match moments(&finite(values)) {
        Some((center, scale)) => ColumnMap::Linear { center, scale },
        None => ColumnMap::Unknown,
    }
}

/// Fits median 0 and distance 1 between the quartiles (by linear interpolation between order statistics).
/// Where the quartiles are equal, the scale is 1.
pub fn robust(values: &[f32]) -> ColumnMap {
    let sorted = sorted(values);
    let (Some(center), Some(low), Some(high)) = (
        quantile(&sorted, 0.5),
        quantile(&sorted, 0.25),
        quantile(&sorted, 0.75),
    ) else {
        return ColumnMap::Unknown;
    };
    let scale = if high > low { high - low } else { 1.0 };
    ColumnMap::Linear { center, scale }
}

/// Fits the power that makes the values most like a normal distribution (the greatest likelihood, Yeo and
/// Johnson 2000, section 3), and then mean 0 and standard deviation 1 (over n) of what it gives. The power of
/// a constant column is 1. The search is that of scipy's `yeojohnson_normmax`: powers that could overflow are
/// left out.
pub fn normal(values: &[f32]) -> ColumnMap {
    let values = finite(values);
    let constant = values.iter().all(|&x| x == values[0]);
    let lambda = if constant { 1.0 } else { best_power(&values) };
    let transformed: Vec<f64> = values.iter().map(|&x| yeo_johnson(x, lambda)).collect();
    match moments(&transformed) {
        Some((center, scale)) => ColumnMap::YeoJohnson {
            lambda,
            center,
            scale,
        },
        None => ColumnMap::Unknown,
    }
}

/// Fits what stands for missing values: the mean, or the median. Returns none without a value.
pub fn mean_fill(values: &[f32]) -> Option<ColumnMap> {
    moments(&finite(values)).map(|(value, _)| ColumnMap::Fill { value })
}

/// [`mean_fill`] with the median.
pub fn median_fill(values: &[f32]) -> Option<ColumnMap> {
    quantile(&sorted(values), 0.5).map(|value| ColumnMap::Fill { value })
}

fn finite(values: &[f32]) -> Vec<f64> {
    let finite = values.iter().filter(|x| x.is_finite());
    finite.map(|&x| f64::from(x)).collect()
}

fn sorted(values: &[f32]) -> Vec<f64> {
    let mut values = finite(values);
    values.sort_by(f64::total_cmp);
    values
}

/// Returns the mean and the standard deviation (over n), which is 1 if all values are equal. Returns none
/// without a value.
fn moments(values: &[f64]) -> Option<(f64, f64)> {
    let n = values.len() as f64;
    let first = *values.first()?;
    let mean = values.iter().sum::<f64>() / n;
    if values.iter().all(|&x| x == first) {
        return Some((first, 1.0));
    }
    let squares: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
    let deviation = (squares / n).sqrt();
    let usable = deviation.is_finite() && deviation > 0.0;
    Some((mean, if usable { deviation } else { 1.0 }))
}

/// The tolerance of the power.
const TOLERANCE: f64 = 1.48e-8;

/// How many times the largest value must be transformed without overflow.
const ROOM: f64 = 20.0;

/// Returns the power of the greatest likelihood.
fn best_power(values: &[f64]) -> f64 {
    let largest = values.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
    let room = libm::log1p(ROOM * largest);
    // Half of the range of exponents, so that squares do not overflow either.
    let epsilon = libm::log(f64::EPSILON);
    let mut low = (libm::log(f64::MIN_POSITIVE) - epsilon) / 2.0 / room;
    let mut high = (libm::log(f64::MAX) + epsilon) / 2.0 / room;
    if values.iter().all(|&x| x < 0.0) {
        (low, high) = (2.0 - high, 2.0 - low);
    } else if values.iter().any(|&x| x < 0.0) {
        (low, high) = (low.max(2.0 - high), high.min(2.0 - low));
    }
    let logs = Logs::of(values);
    let level = SimdLevel::active();
    let scratch = std::cell::RefCell::new(Vec::with_capacity(values.len()));
    minimum(low, high, TOLERANCE, |lambda| {
        let mut scratch = scratch.borrow_mut();
        level.run(Unlikelihood {
            logs: &logs,
            lambda,
            scratch: &mut scratch,
        })
    })
}

/// `ln(1 + |x|)` of the values, those that are not negative apart from those that are.
struct Logs {
    above: Vec<f64>,
    below: Vec<f64>,
    /// The sum of the logarithms with the signs of the values.
    signed: f64,
}

impl Logs {
    fn of(values: &[f64]) -> Logs {
        let (above, below): (Vec<f64>, Vec<f64>) = values.iter().partition(|&&x| x >= 0.0);
        let logs = |of: Vec<f64>| of.iter().map(|x| libm::log1p(x.abs())).collect::<Vec<_>>();
        let (above, below) = (logs(above), logs(below));
        let signed = above.iter().sum::<f64>() - below.iter().sum::<f64>();
        Logs {
            above,
            below,
            signed,
        }
    }
}

/// The negative logarithm of the likelihood of a power, over the number of values and less what does not
/// depend on the power.
struct Unlikelihood<'a> {
    logs: &'a Logs,
    lambda: f64,
    scratch: &'a mut Vec<f64>,
}

impl Kernel for Unlikelihood<'_> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let Logs {
            above,
            below,
            signed,
        } = self.logs;
        let values = self.scratch;
        values.clear();
        push_powers(values, above, self.lambda, 1.0);
        push_powers(values, below, 2.0 - self.lambda, -1.0);
        let n = values.len() as f64;
        let mean = sum(values, |x| x) / n;
        let variance = sum(values, |x| (x - mean) * (x - mean)) / n;
        0.5 * libm::log(variance) - (self.lambda - 1.0) * signed / n
    }
}

/// Appends `sign (exp(power log) - 1) / power` for each logarithm.
#[inline(always)]
fn push_powers(values: &mut Vec<f64>, logs: &[f64], power: f64, sign: f64) {
    let over = if power == 0.0 { 0.0 } else { sign / power };
    if power == 0.0 {
        values.extend(logs.iter().map(|log| sign * log));
    } else {
        values.extend(logs.iter().map(|log| exp::exp_m1(power * log) * over));
    }
}

/// The number of partial sums of [`sum`].
const PARTS: usize = 8;

/// Sums `f` of the values in [`PARTS`] parts, which vectorizes and has one order at every level.
#[inline(always)]
fn sum(values: &[f64], f: impl Fn(f64) -> f64) -> f64 {
    let mut parts = [0.0; PARTS];
    let (chunks, rest) = values.as_chunks::<PARTS>();
    for chunk in chunks {
        for (part, &value) in parts.iter_mut().zip(chunk) {
            *part += f(value);
        }
    }
    for (part, &value) in parts.iter_mut().zip(rest) {
        *part += f(value);
    }
    parts.iter().sum()
}

#[cfg(test)]
mod tests;
