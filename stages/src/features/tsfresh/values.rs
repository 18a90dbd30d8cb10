//! Calculators that look at the values one by one, whatever their order.

use crate::numeric::pairwise::{mean, sum, sum_of};

use super::arrays::median as middle;
use super::series::Series;

/// The quantiles of `quantile`.
pub const QUANTILES: [f64; 8] = [0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9];
/// The distances in standard deviations of `ratio_beyond_r_sigma`, as they are named.
pub const SIGMAS: [&str; 10] = ["0.5", "1", "1.5", "2", "2.5", "3", "5", "6", "7", "10"];
/// The values that `value_count` counts.
pub const COUNTED: [i32; 3] = [0, 1, -1];
/// The ranges of `range_count`, with their names.
pub const RANGES: [(f64, f64, &str); 3] = [
    (-1.0, 1.0, "max_1__min_-1"),
    (-1e12, 0.0, "max_0__min_-1000000000000.0"),
    (0.0, 1e12, "max_1000000000000.0__min_0"),
];

/// Returns k / 20 as tsfresh computes it, which shows in the names.
pub fn twentieth(k: usize) -> f64 {
    k as f64 * 0.05
}

pub fn variance_larger_than_standard_deviation(s: &Series<'_>) -> f64 {
    f64::from(s.variance > s.deviation)
}

pub fn has_duplicate_max(s: &Series<'_>) -> f64 {
    f64::from(s.sorted.len() > 1 && s.sorted[s.sorted.len() - 2] == s.max())
}

pub fn has_duplicate_min(s: &Series<'_>) -> f64 {
    f64::from(s.sorted.len() > 1 && s.sorted[1] == s.min())
}

pub fn has_duplicate(s: &Series<'_>) -> f64 {
    f64::from(s.sorted.windows(2).any(|pair| pair[0] == pair[1]))
}

pub fn sum_values(s: &Series<'_>) -> f64 {
    s.sum
}

pub fn abs_energy(s: &Series<'_>) -> f64 {
    sum_of(s.x.len(), |i| s.x[i] * s.x[i])
}

pub fn median(s: &Series<'_>) -> f64 {
    middle(&s.sorted)
}

pub fn mean_value(s: &Series<'_>) -> f64 {
    s.mean
}

pub fn length(s: &Series<'_>) -> f64 {
    s.n()
}

pub fn standard_deviation(s: &Series<'_>) -> f64 {
    s.deviation
}

pub fn variation_coefficient(s: &Series<'_>) -> f64 {
    match s.mean == 0.0 {
        true => f64::NAN,
        false => s.deviation / s.mean,
    }
}

pub fn variance(s: &Series<'_>) -> f64 {
    s.variance
}

/// Returns the sums of squares and of `power`-th powers of the distances from the mean. Sums that are within the rounding
/// of a constant series are 0, as in pandas.
fn central_sums(s: &Series<'_>, power: impl Fn(f64) -> f64, order: i32) -> (f64, f64) {
    let n = s.x.len();
    let largest = s.max().abs().max(s.min().abs());
    let least = |order: i32| libm::pow(f64::EPSILON * largest, f64::from(order)) * n as f64;
    let clean = |sum: f64, order| if sum.abs() < least(order) { 0.0 } else { sum };
    let square = sum_of(n, |i| (s.x[i] - s.mean) * (s.x[i] - s.mean));
    let higher = sum_of(n, |i| power(s.x[i] - s.mean));
    (clean(square, 2), clean(higher, order))
}

/// The adjusted Fisher-Pearson coefficient.
pub fn skewness(s: &Series<'_>) -> f64 {
    let n = s.n();
    let (m2, m3) = central_sums(s, |d| d * d * d, 3);
    if n < 3.0 {
        return f64::NAN;
    }
    if m2 == 0.0 {
        return 0.0;
    }
    (n * (n - 1.0).sqrt() / (n - 2.0)) * (m3 / libm::pow(m2, 1.5))
}

/// The excess kurtosis, adjusted for the number of values.
pub fn kurtosis(s: &Series<'_>) -> f64 {
    let n = s.n();
    let (m2, m4) = central_sums(s, |d| (d * d) * (d * d), 4);
    if n < 4.0 {
        return f64::NAN;
    }
    let others = (n - 2.0) * (n - 3.0);
    let denominator = others * (m2 * m2);
    if denominator == 0.0 {
        return 0.0;
    }
    n * (n + 1.0) * (n - 1.0) * m4 / denominator - 3.0 * ((n - 1.0) * (n - 1.0)) / others
}

pub fn root_mean_square(s: &Series<'_>) -> f64 {
    (abs_energy(s) / s.n()).sqrt()
}

pub fn count_above_mean(s: &Series<'_>) -> f64 {
    count(s, |x| x > s.mean)
}

pub fn count_below_mean(s: &Series<'_>) -> f64 {
    count(s, |x| x < s.mean)
}

fn count(s: &Series<'_>, which: impl Fn(f64) -> bool) -> f64 {
    s.x.iter().filter(|x| which(**x)).count() as f64
}

/// The share of distinct values that occur more than once.
pub fn reoccurring_values(s: &Series<'_>) -> f64 {
    let (mut repeated, mut all) = (0.0, 0.0);
    s.distinct(|_, times| {
        all += 1.0;
        repeated += f64::from(times > 1);
    });
    repeated / all
}

/// The share of values that occur more than once.
pub fn reoccurring_datapoints(s: &Series<'_>) -> f64 {
    let mut repeated = 0;
    s.distinct(|_, times| repeated += if times > 1 { times } else { 0 });
    repeated as f64 / s.n()
}

pub fn sum_of_reoccurring_values(s: &Series<'_>) -> f64 {
    let mut terms = Vec::new();
    s.distinct(|value, times| terms.push(f64::from(times > 1) * value));
    sum(&terms)
}

pub fn sum_of_reoccurring_data_points(s: &Series<'_>) -> f64 {
    let mut terms = Vec::new();
    s.distinct(|value, times| terms.push(if times > 1 { times as f64 } else { 0.0 } * value));
    sum(&terms)
}

/// The share of distinct values.
pub fn distinct_share(s: &Series<'_>) -> f64 {
    let mut all = 0.0;
    s.distinct(|_, _| all += 1.0);
    all / s.n()
}

pub fn maximum(s: &Series<'_>) -> f64 {
    s.max()
}

pub fn absolute_maximum(s: &Series<'_>) -> f64 {
    s.max().abs().max(s.min().abs())
}

pub fn minimum(s: &Series<'_>) -> f64 {
    s.min()
}

pub fn symmetry_looking(s: &Series<'_>, out: &mut [f64]) {
    let distance = (s.mean - middle(&s.sorted)).abs();
    for (k, out) in out.iter_mut().enumerate() {
        *out = f64::from(distance < twentieth(k) * (s.max() - s.min()));
    }
}

pub fn large_standard_deviation(s: &Series<'_>, out: &mut [f64]) {
    for (k, out) in out.iter_mut().enumerate() {
        *out = f64::from(s.deviation > twentieth(k + 1) * (s.max() - s.min()));
    }
}

pub fn quantile(s: &Series<'_>, out: &mut [f64]) {
    for (q, out) in QUANTILES.iter().zip(out) {
        *out = s.quantile(*q);
    }
}

pub fn value_count(s: &Series<'_>, out: &mut [f64]) {
    for (value, out) in COUNTED.iter().zip(out) {
        *out = count(s, |x| x == f64::from(*value));
    }
}

pub fn range_count(s: &Series<'_>, out: &mut [f64]) {
    for ((low, high, _), out) in RANGES.iter().zip(out) {
        *out = count(s, |x| x >= *low && x < *high);
    }
}

pub fn ratio_beyond_r_sigma(s: &Series<'_>, out: &mut [f64]) {
    for (sigmas, out) in SIGMAS.iter().zip(out) {
        let far = sigmas.parse().unwrap_or(f64::NAN) * s.deviation;
        *out = count(s, |x| (x - s.mean).abs() > far) / s.n();
    }
}

pub fn count_above(s: &Series<'_>) -> f64 {
    count(s, |x| x >= 0.0) / s.n()
}

pub fn count_below(s: &Series<'_>) -> f64 {
    count(s, |x| x <= 0.0) / s.n()
}

/// How many of the values with the largest magnitude `mean_n_absolute_max` averages.
pub const LARGEST: usize = 7;

pub fn mean_n_absolute_max(s: &Series<'_>) -> f64 {
    if s.x.len() <= LARGEST {
        return f64::NAN;
    }
    let mut magnitudes: Vec<f64> = s.x.iter().map(|x| x.abs()).collect();
    magnitudes.sort_unstable_by(f64::total_cmp);
    mean(&magnitudes[magnitudes.len() - LARGEST..])
}

/// The correlation of the first digits with what Benford's law expects of them.
pub fn benford_correlation(s: &Series<'_>) -> f64 {
    use std::fmt::Write as _;
    let mut counts = [0.0; 9];
    let mut text = String::new();
    for x in s.x {
        text.clear();
        let _ = write!(text, "{:e}", x.abs());
        let digit = usize::from(text.as_bytes()[0].saturating_sub(b'0'));
        if (1..=9).contains(&digit) {
            counts[digit - 1] += 1.0;
        }
    }
    let shares = counts.map(|count| count / s.n());
    let law: [f64; 9] = std::array::from_fn(|i| libm::log10(1.0 + 1.0 / (i + 1) as f64));
    let (a, b) = (mean(&shares), mean(&law));
    let product =
        |x: &[f64; 9], mx: f64, y: &[f64; 9], my: f64| sum_of(9, |i| (x[i] - mx) * (y[i] - my));
    let scale = product(&shares, a, &shares, a).sqrt() * product(&law, b, &law, b).sqrt();
    (product(&shares, a, &law, b) / scale).clamp(-1.0, 1.0)
}
