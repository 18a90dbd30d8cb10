//! Straight lines through a series, or through what its chunks come to.

use crate::numeric::pairwise::{mean, sum_of, variance};
use crate::numeric::stats::distribution::student_two_sided;

use super::arrays::median;
use super::series::Series;

/// The lengths of the chunks of `agg_linear_trend`.
pub const CHUNKS: [usize; 3] = [5, 10, 50];
/// What `agg_linear_trend` makes of each chunk.
pub const AGGREGATES: [&str; 4] = ["max", "min", "mean", "var"];
/// What is reported of each of its lines.
pub const LINE: [&str; 4] = ["rvalue", "intercept", "slope", "stderr"];

/// A straight line fitted to values at 0, 1, 2 and so on.
struct Line {
    slope: f64,
    intercept: f64,
    correlation: f64,
    /// The standard error of the slope.
    error: f64,
    /// The chance of at least such a correlation without a trend.
    chance: f64,
}

/// Fits a line as `scipy.stats.linregress` does. Everything is NaN for fewer than two values.
fn line(y: &[f64]) -> Line {
    let n = y.len() as f64;
    let (x_mean, y_mean) = ((n - 1.0) / 2.0, mean(y));
    let x = |i: usize| i as f64 - x_mean;
    let xx = sum_of(y.len(), |i| x(i) * x(i)) / n;
    let xy = sum_of(y.len(), |i| x(i) * (y[i] - y_mean)) / n;
    let yy = sum_of(y.len(), |i| (y[i] - y_mean) * (y[i] - y_mean)) / n;
    let correlation = match xx == 0.0 || yy == 0.0 {
        true if xy == 0.0 => f64::NAN,
        true => 0.0,
        false => (xy / (xx * yy).sqrt()).clamp(-1.0, 1.0),
    };
    let slope = xy / xx;
    let (error, chance) = match y {
        [a, b] => (0.0, f64::from(a == b)),
        _ => {
            let rest = 1.0 - correlation * correlation;
            (
                (rest * yy / xx / (n - 2.0)).sqrt(),
                chance(correlation, n - 2.0),
            )
        }
    };
    Line {
        slope,
        intercept: y_mean - slope * x_mean,
        correlation,
        error,
        chance,
    }
}

/// Returns the two-sided p-value of a correlation with `freedom` degrees of freedom.
fn chance(correlation: f64, freedom: f64) -> f64 {
    // Keeps a perfect correlation from a division by 0.
    const TINY: f64 = 1e-20;
    let sides = (1.0 - correlation + TINY) * (1.0 + correlation + TINY);
    let t = correlation * (freedom / sides).sqrt();
    if t.is_finite() {
        student_two_sided(t, freedom)
    } else {
        f64::NAN
    }
}

pub fn linear_trend(s: &Series<'_>, out: &mut [f64]) {
    let line = line(s.x);
    out.copy_from_slice(&[
        line.chance,
        line.correlation,
        line.intercept,
        line.slope,
        line.error,
    ]);
}

/// Columns are by what is reported, then by chunks, then by aggregates.
pub fn agg_linear_trend(s: &Series<'_>, out: &mut [f64]) {
    out.fill(f64::NAN);
    for (c, size) in CHUNKS.iter().enumerate() {
        if *size >= s.x.len() {
            continue;
        }
        for (a, values) in aggregates(s.x, *size).iter().enumerate() {
            let line = line(values);
            let reported = [line.correlation, line.intercept, line.slope, line.error];
            for (k, value) in reported.into_iter().enumerate() {
                out[(k * CHUNKS.len() + c) * AGGREGATES.len() + a] = value;
            }
        }
    }
}

/// Returns the maxima, minima, means and variances of chunks of a size, the last of which may be shorter.
fn aggregates(x: &[f64], size: usize) -> [Vec<f64>; 4] {
    let of = |what: fn(&[f64]) -> f64| x.chunks(size).map(what).collect();
    [
        of(|chunk| chunk.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
        of(|chunk| chunk.iter().copied().fold(f64::INFINITY, f64::min)),
        of(mean),
        of(|chunk| variance(chunk, mean(chunk))),
    ]
}

/// The mean, median and variance of the autocorrelations at up to so many lags.
const LAGS: usize = 40;
/// The lags of `autocorrelation` and `partial_autocorrelation`: from 0 to one less than this.
pub const SHORT_LAGS: usize = 10;

/// The name of the parameter of `agg_autocorrelation`, with the number of lags.
pub const LAGS_NAMED: &str = "maxlag_40";
/// What `agg_autocorrelation` makes of them.
pub const LAG_AGGREGATES: [&str; 3] = ["mean", "median", "var"];

/// Returns the mean product of values `lag` apart, less the mean of all.
fn covariance(s: &Series<'_>, lag: usize) -> f64 {
    let n = s.x.len() - lag;
    sum_of(n, |i| (s.x[i] - s.mean) * (s.x[i + lag] - s.mean)) / n as f64
}

pub fn autocorrelation(s: &Series<'_>, out: &mut [f64]) {
    for (lag, out) in out.iter_mut().enumerate() {
        // A variance within 1e-8 counts as 0, whatever the unit of the values.
        let constant = s.variance <= 1e-8;
        *out = match lag < s.x.len() && !constant {
            true => covariance(s, lag) / s.variance,
            false => f64::NAN,
        };
    }
}

pub fn agg_autocorrelation(s: &Series<'_>, out: &mut [f64]) {
    // With hardly any variance the autocorrelations count as 0.
    if s.variance < 1e-10 || s.x.len() == 1 {
        out.fill(0.0);
        return;
    }
    let zero = covariance(s, 0);
    let lags = 1..s.x.len().min(LAGS + 1);
    let mut all: Vec<f64> = lags.map(|lag| covariance(s, lag) / zero).collect();
    out[0] = mean(&all);
    out[2] = variance(&all, out[0]);
    all.sort_unstable_by(f64::total_cmp);
    out[1] = median(&all);
}

/// By the recursion of Levinson and Durbin on the covariances, for lags below half of the length.
pub fn partial_autocorrelation(s: &Series<'_>, out: &mut [f64]) {
    out.fill(f64::NAN);
    let half = s.x.len() / 2;
    let most = if half < SHORT_LAGS {
        half.saturating_sub(1)
    } else {
        SHORT_LAGS - 1
    };
    if most == 0 {
        return;
    }
    let cov: Vec<f64> = (0..=most).map(|lag| covariance(s, lag)).collect();
    out[0] = 1.0;
    let mut phi = vec![cov[1] / cov[0]];
    out[1] = phi[0];
    let mut left = cov[0] - phi[0] * cov[1];
    for k in 2..=most {
        let explained: f64 = (0..k - 1).map(|j| phi[j] * cov[k - 1 - j]).sum();
        let next = (cov[k] - explained) / left;
        let turned: Vec<f64> = (0..k - 1).map(|j| phi[j] - next * phi[k - 2 - j]).collect();
        phi = turned;
        phi.push(next);
        left *= 1.0 - next * next;
        out[k] = next;
    }
}
