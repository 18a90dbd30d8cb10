//! Calculators on the Fourier transform and on the spectral density.

use crate::numeric::pairwise::{sum, sum_of};

use super::patterns::histogram_entropy;
use super::series::Series;

/// The frequencies of `fft_coefficient`: 0 to one less than this.
pub const FREQUENCIES: usize = 100;
/// What is reported of each coefficient.
pub const ATTRIBUTES: [&str; 4] = ["real", "imag", "abs", "angle"];
/// The moments of `fft_aggregated`.
pub const MOMENTS: [&str; 4] = ["centroid", "variance", "skew", "kurtosis"];
/// The frequencies of `spkt_welch_density`.
pub const DENSITIES: [usize; 3] = [2, 5, 8];
/// The numbers of bins of `fourier_entropy`.
pub const BINS: [usize; 5] = [2, 3, 5, 10, 100];

/// Columns are by attribute, then by frequency. Angles are in degrees.
pub fn fft_coefficient(s: &Series<'_>, out: &mut [f64]) {
    out.fill(f64::NAN);
    for (k, c) in s.transform().iter().take(FREQUENCIES).enumerate() {
        let angle = libm::atan2(c.im, c.re) * (180.0 / std::f64::consts::PI);
        for (a, value) in [c.re, c.im, c.abs(), angle].into_iter().enumerate() {
            out[a * FREQUENCIES + k] = value;
        }
    }
}

/// Moments of the frequency, weighted by the absolute values of the coefficients. The skew and the kurtosis are tsfresh's,
/// whose formulas are not those of the standardized moments.
pub fn fft_aggregated(s: &Series<'_>, out: &mut [f64]) {
    let weights: Vec<f64> = s.transform().iter().map(|c| c.abs()).collect();
    let total = sum(&weights);
    let moment = |power: i32| {
        let term = |i: usize| weights[i] * libm::pow(i as f64, f64::from(power));
        sum_of(weights.len(), term) / total
    };
    let (first, second) = (moment(1), moment(2));
    let variance = second - first * first;
    out.copy_from_slice(&[first, variance, f64::NAN, f64::NAN]);
    // Also false for NaN.
    if variance >= 0.5 {
        let (third, fourth) = (moment(3), moment(4));
        out[2] =
            (third - 3.0 * first * variance - first * first * first) / libm::pow(variance, 1.5);
        let central = fourth - 4.0 * first * third + 6.0 * second * (first * first) - 3.0 * first;
        out[3] = central / (variance * variance);
    }
}

pub fn spkt_welch_density(s: &Series<'_>, out: &mut [f64]) {
    for (k, out) in DENSITIES.iter().zip(out) {
        *out = s.density().get(*k).copied().unwrap_or(f64::NAN);
    }
}

/// The entropy of the density over its largest value, in equal bins.
pub fn fourier_entropy(s: &Series<'_>, out: &mut [f64]) {
    let largest = s.density().iter().copied().fold(0.0, f64::max);
    let shares: Vec<f64> = s.density().iter().map(|d| d / largest).collect();
    for (bins, out) in BINS.iter().zip(out) {
        *out = histogram_entropy(&shares, *bins);
    }
}
