//! Calculators that look at the order of the values: changes, runs, peaks, places.

use crate::numeric::pairwise::{mean, sum, sum_of, variance};

use super::series::Series;

/// The bounds of the corridors of `change_quantiles`, lower and upper.
pub const CORRIDORS: ([f64; 5], [f64; 5]) = ([0.0, 0.2, 0.4, 0.6, 0.8], [0.2, 0.4, 0.6, 0.8, 1.0]);
/// On how many sides each of them must be lower for `number_peaks`.
pub const SUPPORTS: [usize; 5] = [1, 3, 5, 10, 50];
/// The shares of `index_mass_quantile`.
pub const MASSES: [f64; 8] = [0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9];
/// The levels of `number_crossing_m`.
pub const LEVELS: [i32; 3] = [0, -1, 1];
/// The parts of `energy_ratio_by_chunks`.
pub const PARTS: usize = 10;

/// The corridors of `change_quantiles` in the order of their columns.
pub fn corridors() -> impl Iterator<Item = (f64, f64)> {
    let (lower, upper) = CORRIDORS;
    let pairs = lower.into_iter().flat_map(move |l| upper.map(|u| (l, u)));
    pairs.filter(|(lower, upper)| lower < upper)
}

pub fn mean_abs_change(s: &Series<'_>) -> f64 {
    absolute_sum_of_changes(s) / s.changes.len() as f64
}

pub fn mean_change(s: &Series<'_>) -> f64 {
    match s.x {
        [first, .., last] => (last - first) / (s.n() - 1.0),
        _ => f64::NAN,
    }
}

pub fn mean_second_derivative_central(s: &Series<'_>) -> f64 {
    match s.x {
        [a, b, .., y, z] => (z - y - b + a) / (2.0 * (s.n() - 2.0)),
        [a, b, c] => (c - b - b + a) / 2.0,
        _ => f64::NAN,
    }
}

pub fn absolute_sum_of_changes(s: &Series<'_>) -> f64 {
    sum_of(s.changes.len(), |i| s.changes[i].abs())
}

pub fn longest_strike_below_mean(s: &Series<'_>) -> f64 {
    longest(s, |x| x < s.mean)
}

pub fn longest_strike_above_mean(s: &Series<'_>) -> f64 {
    longest(s, |x| x > s.mean)
}

fn longest(s: &Series<'_>, which: impl Fn(f64) -> bool) -> f64 {
    let runs = s.x.chunk_by(|a, b| which(*a) == which(*b));
    let lengths = runs.filter(|run| which(run[0])).map(<[f64]>::len);
    lengths.max().unwrap_or(0) as f64
}

/// Returns the first and the last place of a value.
fn places(s: &Series<'_>, value: f64) -> (f64, f64) {
    let first = s.x.iter().position(|x| *x == value).unwrap_or(0);
    let after = s.x.iter().rev().position(|x| *x == value).unwrap_or(0);
    (first as f64 / s.n(), 1.0 - after as f64 / s.n())
}

pub fn last_location_of_maximum(s: &Series<'_>) -> f64 {
    places(s, s.max()).1
}

pub fn first_location_of_maximum(s: &Series<'_>) -> f64 {
    places(s, s.max()).0
}

pub fn last_location_of_minimum(s: &Series<'_>) -> f64 {
    places(s, s.min()).1
}

pub fn first_location_of_minimum(s: &Series<'_>) -> f64 {
    places(s, s.min()).0
}

/// Calls `term` with every three values that are `lag` apart, and writes the means for lags from 1 up, or 0 if there are
/// no such values.
fn lagged(s: &Series<'_>, out: &mut [f64], term: impl Fn(f64, f64, f64) -> f64) {
    for (k, out) in out.iter_mut().enumerate() {
        let lag = k + 1;
        let Some(n) = s.x.len().checked_sub(2 * lag).filter(|n| *n > 0) else {
            *out = 0.0;
            continue;
        };
        let total = sum_of(n, |i| term(s.x[i], s.x[i + lag], s.x[i + 2 * lag]));
        *out = total / n as f64;
    }
}

pub fn time_reversal_asymmetry_statistic(s: &Series<'_>, out: &mut [f64]) {
    lagged(s, out, |x, one, two| two * two * one - one * x * x);
}

pub fn c3(s: &Series<'_>, out: &mut [f64]) {
    lagged(s, out, |x, one, two| two * one * x);
}

pub fn cid_ce(s: &Series<'_>, out: &mut [f64]) {
    let scaled = |i: usize| (s.x[i] - s.mean) / s.deviation;
    let square = |i: usize| {
        let change = scaled(i + 1) - scaled(i);
        change * change
    };
    out[0] = match s.deviation == 0.0 {
        true => 0.0,
        false => sum_of(s.changes.len(), square).sqrt(),
    };
    out[1] = sum_of(s.changes.len(), |i| s.changes[i] * s.changes[i]).sqrt();
}

pub fn number_peaks(s: &Series<'_>, out: &mut [f64]) {
    // For each value, how many neighbors on either side are lower, up to the largest support.
    let most = SUPPORTS[SUPPORTS.len() - 1];
    let lower = |i: usize, x: f64| {
        let right = s.x[i + 1..].iter().take(most);
        let left = s.x[..i].iter().rev().take(most);
        let right = right.take_while(|y| **y < x).count();
        right.min(left.take_while(|y| **y < x).count())
    };
    out.fill(0.0);
    for (i, x) in s.x.iter().enumerate() {
        let reach = lower(i, *x);
        for (support, out) in SUPPORTS.iter().zip(&mut *out) {
            *out += f64::from(reach >= *support);
        }
    }
}

pub fn index_mass_quantile(s: &Series<'_>, out: &mut [f64]) {
    let total = sum_of(s.x.len(), |i| s.x[i].abs());
    if total == 0.0 {
        out.fill(f64::NAN);
        return;
    }
    let mut mass = 0.0;
    let shares: Vec<f64> =
        s.x.iter()
            .map(|x| {
                mass += x.abs();
                mass / total
            })
            .collect();
    for (q, out) in MASSES.iter().zip(out) {
        let place = shares.iter().position(|share| share >= q).unwrap_or(0);
        *out = (place + 1) as f64 / s.n();
    }
}

pub fn number_crossing_m(s: &Series<'_>, out: &mut [f64]) {
    for (level, out) in LEVELS.iter().zip(out) {
        let above = |x: f64| x > f64::from(*level);
        let crosses = |pair: &&[f64]| above(pair[0]) != above(pair[1]);
        *out = s.x.windows(2).filter(crosses).count() as f64;
    }
}

pub fn energy_ratio_by_chunks(s: &Series<'_>, out: &mut [f64]) {
    let square = |i: usize| s.x[i] * s.x[i];
    let total = sum_of(s.x.len(), square);
    let (least, longer) = (s.x.len() / PARTS, s.x.len() % PARTS);
    let mut start = 0;
    for (part, out) in out.iter_mut().enumerate() {
        let n = least + usize::from(part < longer);
        *out = match total == 0.0 {
            true => f64::NAN,
            false => sum_of(n, |i| square(start + i)) / total,
        };
        start += n;
    }
}

/// For each corridor the mean and variance of the changes within it, then those of their magnitudes.
pub fn change_quantiles(s: &Series<'_>, out: &mut [f64]) {
    let mut inside = Vec::with_capacity(s.changes.len());
    for ((lower, upper), out) in corridors().zip(out.chunks_exact_mut(4)) {
        let (low, high) = (s.quantile(lower), s.quantile(upper));
        let within = |x: f64| x == low || (x > low && x <= high);
        let both = |i: &usize| within(s.x[*i]) && within(s.x[*i + 1]);
        inside.clear();
        inside.extend((0..s.changes.len()).filter(both).map(|i| s.changes[i]));
        if inside.is_empty() {
            out.fill(0.0);
            continue;
        }
        for out in out.chunks_exact_mut(2) {
            out[0] = sum(&inside) / inside.len() as f64;
            out[1] = variance(&inside, mean(&inside));
            inside.iter_mut().for_each(|x| *x = x.abs());
        }
    }
}
