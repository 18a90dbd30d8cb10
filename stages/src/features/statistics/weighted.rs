//! Statistics that need the errors of the values.

use super::measurements::Measurements;
use super::statistic::{Statistic, statistic};

#[rustfmt::skip]
pub(super) const WEIGHTED: &[Statistic] = &[
    statistic("weighted_mean", "value", "w = (sum of v / e^2) / (sum of 1 / e^2)", 1, |s| s.weighted_mean()).with_errors(),
    statistic("chi2", "", "sum of ((v - w) / e)^2 / (N - 1)", 2, |s| chi2(s) / (s.n() - 1.0)).with_errors(),
    statistic("stetson_K", "", "(sum of abs((v - w) / e)) / sqrt(N sum of ((v - w) / e)^2)", 2, stetson).with_errors().from("[Stetson 1996](https://doi.org/10.1086/133808)"),
    statistic("excess_variance", "", "(s^2 - (sum of e^2) / N) / m^2", 2, excess_variance).with_errors().from("[Sanchez et al. 2017](https://doi.org/10.3847/1538-4357/aa9188), with s^2 in place of their variance"),
    statistic("snr_weighted_mean", "value", "q = (sum of v (v / e)^2) / (sum of (v / e)^2)", 1, snr_weighted_mean).with_errors(),
    statistic("range_over_snr_weighted_mean", "", "(max(v) - min(v)) / q", 1, |s| s.range() / snr_weighted_mean(s)).with_errors(),
];

fn chi2(s: &Measurements<'_>) -> f64 {
    let mean = s.weighted_mean();
    s.weighted()
        .map(|(v, w)| w * ((v - mean) * (v - mean)))
        .sum()
}

fn stetson(s: &Measurements<'_>) -> f64 {
    // Equal values leave rounding errors of their mean, which are no scatter.
    if s.minimum() == s.maximum() {
        return f64::NAN;
    }
    let mean = s.weighted_mean();
    let off: f64 = s.weighted().map(|(v, w)| (v - mean).abs() * w.sqrt()).sum();
    off / (s.n() * chi2(s)).sqrt()
}

fn excess_variance(s: &Measurements<'_>) -> f64 {
    let errors = s.err.as_deref().unwrap_or_default();
    let squares: f64 = errors.iter().map(|e| e * e).sum();
    (s.std() * s.std() - squares / s.n()) / (s.mean() * s.mean())
}

fn snr_weighted_mean(s: &Measurements<'_>) -> f64 {
    let (mut sum, mut weights) = (0.0, 0.0);
    for (value, weight) in s.weighted() {
        let weight = value * value * weight;
        sum += value * weight;
        weights += weight;
    }
    sum / weights
}
