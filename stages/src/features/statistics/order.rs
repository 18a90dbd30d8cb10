//! Statistics of the order of the values: extremes, quantiles and medians, and their division in two.

use super::measurements::Measurements;
use super::statistic::{Statistic, statistic};

const ISANTO: &str = "[D'Isanto et al. 2016](https://doi.org/10.1093/mnras/stw157)";
const OTSU: &str = "[Otsu 1979](https://doi.org/10.1109/tsmc.1979.4310076)";

#[rustfmt::skip]
pub(super) const ORDER: &[Statistic] = &[
    statistic("minimum", "value", "min(v)", 1, |s| s.minimum()),
    statistic("maximum", "value", "max(v)", 1, |s| s.maximum()),
    statistic("range", "value", "max(v) - min(v)", 1, |s| s.range()),
    statistic("range_over_mean", "", "(max(v) - min(v)) / m", 1, |s| s.range() / s.mean()),
    statistic("amplitude", "value", "(max(v) - min(v)) / 2", 1, |s| 0.5 * s.range()),
    statistic("median", "value", "median(v)", 1, |s| median(s.sorted())),
    statistic("quantile_10", "value", "Q(0.1)", 1, |s| quantile(s.sorted(), 0.1)),
    statistic("quantile_25", "value", "Q(0.25)", 1, |s| quantile(s.sorted(), 0.25)),
    statistic("quantile_75", "value", "Q(0.75)", 1, |s| quantile(s.sorted(), 0.75)),
    statistic("quantile_90", "value", "Q(0.9)", 1, |s| quantile(s.sorted(), 0.9)),
    statistic("inter_percentile_range_25", "value", "Q(0.75) - Q(0.25)", 1, |s| between(s, 0.25)),
    statistic("magnitude_percentage_ratio_40_5", "", "(Q(0.6) - Q(0.4)) / (Q(0.95) - Q(0.05))", 1, |s| between(s, 0.4) / between(s, 0.05)).from(ISANTO),
    statistic("percent_difference_magnitude_percentile_5", "", "(Q(0.95) - Q(0.05)) / median(v)", 1, |s| between(s, 0.05) / median(s.sorted())).from(ISANTO),
    statistic("percent_amplitude", "value", "max(abs(v - median(v)))", 1, percent_amplitude).from(ISANTO),
    statistic("median_absolute_deviation", "value", "median(abs(v - median(v)))", 1, median_absolute_deviation).from(ISANTO),
    statistic("median_buffer_range_percentage_10", "", "share of the points with abs(v - median(v)) < 0.1 (max(v) - min(v)) / 2", 1, median_buffer_range).from(ISANTO),
    statistic("otsu_mean_diff", "value", "difference of the means of the upper and the lower part that Otsu's threshold makes", 2, |s| s.split().map_or(f64::NAN, |split| split.difference)).from(OTSU),
    statistic("otsu_std_lower", "value", "standard deviation of the lower part (2 points in it)", 2, |s| s.split().map_or(f64::NAN, |split| split.std_lower)).from(OTSU),
    statistic("otsu_std_upper", "value", "standard deviation of the upper part (2 points in it)", 2, |s| s.split().map_or(f64::NAN, |split| split.std_upper)).from(OTSU),
    statistic("otsu_lower_to_all_ratio", "", "share of the points in the lower part", 2, |s| s.split().map_or(f64::NAN, |split| split.share)).from(OTSU),
];

/// The median of values in ascending order.
fn median(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => 0.5 * (sorted[n / 2 - 1] + sorted[n / 2]),
    }
}

/// The quantile Q(q) of values in ascending order: the value at the rank `q N + 1/2`, counted from 1, on straight
/// lines between ranks, and the extremes beyond them (Hazen 1914; definition 5 of Hyndman and Fan 1996).
///
/// The rank is rounded to single precision, as in light-curve-feature, whose figures the tests compare with.
fn quantile(sorted: &[f64], q: f32) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let place = q * sorted.len() as f32 - 0.5;
    let below = place.floor();
    if below < 0.0 {
        return sorted[0];
    }
    if below as usize >= last {
        return sorted[last];
    }
    let (low, high) = (sorted[below as usize], sorted[below as usize + 1]);
    low + f64::from(place - below) * (high - low)
}

/// Q(1 - q) - Q(q).
fn between(s: &Measurements<'_>, q: f32) -> f64 {
    quantile(s.sorted(), 1.0 - q) - quantile(s.sorted(), q)
}

fn percent_amplitude(s: &Measurements<'_>) -> f64 {
    let median = median(s.sorted());
    f64::max(s.maximum() - median, median - s.minimum())
}

fn median_absolute_deviation(s: &Measurements<'_>) -> f64 {
    let center = median(s.sorted());
    let mut deviations: Vec<f64> = s.value.iter().map(|v| (v - center).abs()).collect();
    deviations.sort_unstable_by(f64::total_cmp);
    median(&deviations)
}

fn median_buffer_range(s: &Measurements<'_>) -> f64 {
    let (center, width) = (median(s.sorted()), f64::from(0.1f32) * 0.5 * s.range());
    let near = |v: &&f64| (**v - center).abs() < width;
    s.value.iter().filter(near).count() as f64 / s.n()
}
