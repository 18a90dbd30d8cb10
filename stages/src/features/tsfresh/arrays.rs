//! Quantiles, bins and entropies with the rounding that NumPy's have.

use crate::numeric::pairwise::sum;

/// Returns a quantile of ascending values by linear interpolation, as `numpy.quantile` rounds it.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let last = sorted.len() - 1;
    let at = last as f64 * q;
    if at >= last as f64 {
        return sorted[last];
    }
    let below = at.floor();
    let (a, b) = (sorted[below as usize], sorted[below as usize + 1]);
    let (part, step) = (at - below, b - a);
    if part >= 0.5 {
        b - step * (1.0 - part)
    } else {
        a + step * part
    }
}

/// Returns the median of ascending values.
pub fn median(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        return sorted[half];
    }
    (sorted[half - 1] + sorted[half]) / 2.0
}

/// Returns bounds of `bins` equal parts from `low` to `high`, one more than there are parts, as `numpy.linspace` rounds them.
pub fn equal_parts(low: f64, high: f64, bins: usize) -> Vec<f64> {
    let step = (high - low) / bins as f64;
    let mut bounds: Vec<f64> = (0..=bins).map(|k| k as f64 * step + low).collect();
    bounds[bins] = high;
    bounds
}

/// Returns minus the sum of p ln p, where p are the shares of `counts` in `total`.
pub fn entropy(counts: &[usize], total: usize) -> f64 {
    let term = |count: &usize| {
        let share = *count as f64 / total as f64;
        share * libm::log(share)
    };
    let terms: Vec<f64> = counts.iter().filter(|c| **c > 0).map(term).collect();
    -sum(&terms)
}
