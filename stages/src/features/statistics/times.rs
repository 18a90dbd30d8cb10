//! Statistics of times, of changes over time, and of straight lines.
//!
//! A change between two points at the same time has no slope, so such pairs are left out.

use super::measurements::Measurements;
use super::statistic::{Statistic, statistic};

#[rustfmt::skip]
pub(super) const TIMES: &[Statistic] = &[
    statistic("duration", "d", "t_N - t_1", 1, duration),
    statistic("time_mean", "d", "(sum of t) / N", 1, time_mean),
    statistic("time_standard_deviation", "d", "sqrt(sum of (t - mean(t))^2 / (N - 1))", 2, time_std),
    statistic("maximum_time_interval", "d", "max(t_(i+1) - t_i)", 2, |s| intervals(s).fold(f64::NAN, f64::max)),
    statistic("minimum_time_interval", "d", "min(t_(i+1) - t_i)", 2, |s| intervals(s).fold(f64::NAN, f64::min)),
    statistic("maximum_slope", "value/d", "max(abs((v_(i+1) - v_i) / (t_(i+1) - t_i))); pairs at one time are left out", 2, |s| slopes(s).map(f64::abs).fold(f64::NAN, f64::max)).from("[D'Isanto et al. 2016](https://doi.org/10.1093/mnras/stw157)"),
    statistic("eta_e", "", "(t_N - t_1)^2 / (N - 1)^3 sum of ((v_(i+1) - v_i) / (t_(i+1) - t_i))^2 / s^2; pairs at one time are left out", 2, eta_e).from("[Kim et al. 2014](https://doi.org/10.1051/0004-6361/201323252), with another normalization"),
    statistic("linear_trend", "value/d", "slope b of the line a + b t with the least sum of (v - a - b t)^2", 3, |s| s.trend().slope),
    statistic("linear_trend_sigma", "value/d", "standard error of that slope: noise / sqrt(sum of (t - mean(t))^2)", 3, |s| (s.trend().chi2 / (s.n() - 2.0) / s.trend().spread).sqrt()),
    statistic("linear_trend_noise", "value", "noise = sqrt(sum of (v - a - b t)^2 / (N - 2))", 3, |s| (s.trend().chi2 / (s.n() - 2.0)).sqrt()),
    statistic("linear_fit_slope", "value/d", "slope b of the line a + b t with the least sum of ((v - a - b t) / e)^2", 3, |s| s.fit().slope).with_errors(),
    statistic("linear_fit_slope_sigma", "value/d", "standard error of that slope: 1 / sqrt(sum of ((t - t0) / e)^2) with the weighted mean time t0", 3, slope_sigma).with_errors(),
    statistic("linear_fit_reduced_chi2", "", "sum of ((v - a - b t) / e)^2 / (N - 2)", 3, |s| s.fit().chi2 / (s.n() - 2.0)).with_errors(),
];

fn duration(s: &Measurements<'_>) -> f64 {
    match (s.time.first(), s.time.last()) {
        (Some(first), Some(last)) => last - first,
        _ => f64::NAN,
    }
}

fn time_mean(s: &Measurements<'_>) -> f64 {
    s.time.iter().sum::<f64>() / s.n()
}

fn time_std(s: &Measurements<'_>) -> f64 {
    let mean = time_mean(s);
    let squares: f64 = s.time.iter().map(|t| (t - mean) * (t - mean)).sum();
    (squares / (s.n() - 1.0)).sqrt()
}

fn intervals(s: &Measurements<'_>) -> impl Iterator<Item = f64> {
    s.time.windows(2).map(|pair| pair[1] - pair[0])
}

/// The slopes between points that follow each other at different times.
fn slopes(s: &Measurements<'_>) -> impl Iterator<Item = f64> {
    let steps = s.value.windows(2).map(|pair| pair[1] - pair[0]);
    let steps = intervals(s).zip(steps).filter(|(time, _)| *time > 0.0);
    steps.map(|(time, step)| step / time)
}

fn eta_e(s: &Measurements<'_>) -> f64 {
    let between = s.n() - 1.0;
    let mut squares = slopes(s).map(|slope| slope * slope).peekable();
    if squares.peek().is_none() {
        return f64::NAN;
    }
    let sum: f64 = squares.sum();
    let (duration, std) = (duration(s), s.std());
    duration * duration / (between * between * between) * sum / (std * std)
}

/// The standard error of the slope of the weighted line.
fn slope_sigma(s: &Measurements<'_>) -> f64 {
    let line = s.fit();
    if line.slope.is_nan() {
        return f64::NAN;
    }
    1.0 / line.spread.sqrt()
}
