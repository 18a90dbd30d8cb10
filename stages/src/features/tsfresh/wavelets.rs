//! Calculators on the continuous wavelet transform.

use std::sync::OnceLock;

use crate::numeric::pairwise::sum_of;

use super::ridges;
use super::series::Series;

/// The widths of the wavelets of `cwt_coefficients`.
pub const WIDTHS: [usize; 4] = [2, 5, 10, 20];
/// The coefficients of each: from 0 to one less than this.
pub const COEFFICIENTS: usize = 15;
/// The largest widths of `number_cwt_peaks`.
pub const PEAK_WIDTHS: [usize; 2] = [1, 5];

/// The integral of the wavelet is tabulated at so many points from -8 to 8.
const TABULATED: usize = 4096;

/// Returns the integral of the Mexican hat at each width, as PyWavelets samples it: reversed, a value for each step of the
/// series.
fn filters() -> &'static [Vec<f64>; 4] {
    static FILTERS: OnceLock<[Vec<f64>; 4]> = OnceLock::new();
    FILTERS.get_or_init(|| {
        let spacing = 16.0 / (TABULATED - 1) as f64;
        let at = |i: usize| i as f64 * spacing - 8.0;
        let step = at(1) - at(0);
        let norm = 2.0 / (3f64.sqrt() * std::f64::consts::PI.sqrt().sqrt());
        let mut sum = 0.0;
        let integral: Vec<f64> = (0..TABULATED)
            .map(|i| {
                let square = at(i) * at(i);
                sum += (1.0 - square) * libm::exp(-square / 2.0) * norm;
                sum * step
            })
            .collect();
        WIDTHS.map(|width| {
            let scale = width as f64;
            let places = (0..=16 * width).map(|j| (j as f64 / (scale * step)) as usize);
            let inside: Vec<usize> = places.filter(|place| *place < TABULATED).collect();
            inside.iter().rev().map(|place| integral[*place]).collect()
        })
    })
}

/// Columns are by coefficient, then by width.
pub fn cwt_coefficients(s: &Series<'_>, out: &mut [f64]) {
    out.fill(f64::NAN);
    for (w, (width, filter)) in WIDTHS.iter().zip(filters()).enumerate() {
        let scale = -(*width as f64).sqrt();
        // The coefficients are the differences of the convolution with the integral, without the margins.
        let first = (filter.len() - 2) / 2;
        let mut before = convolved(s.x, filter, first);
        for k in 0..COEFFICIENTS.min(s.x.len()) {
            let here = convolved(s.x, filter, first + k + 1);
            out[k * WIDTHS.len() + w] = scale * (here - before);
            before = here;
        }
    }
}

/// Returns one value of the full convolution of a series with a filter.
fn convolved(x: &[f64], filter: &[f64], at: usize) -> f64 {
    let from = (at + 1).saturating_sub(filter.len());
    let to = (at + 1).min(x.len());
    sum_of(to.saturating_sub(from), |i| {
        x[from + i] * filter[at - from - i]
    })
}

pub fn number_cwt_peaks(s: &Series<'_>, out: &mut [f64]) {
    let most = PEAK_WIDTHS[PEAK_WIDTHS.len() - 1];
    let rows: Vec<Vec<f64>> = (1..=most).map(|width| ricker_row(s.x, width)).collect();
    for (widths, out) in PEAK_WIDTHS.iter().zip(out) {
        *out = ridges::count(&rows[..*widths]) as f64;
    }
}

/// Returns the series convolved with the Ricker wavelet of a width, as long as the series.
fn ricker_row(x: &[f64], width: usize) -> Vec<f64> {
    let wavelet = ricker((10 * width).min(x.len()), width as f64);
    let first = (wavelet.len() - 1) / 2;
    (0..x.len())
        .map(|i| convolved(x, &wavelet, first + i))
        .collect()
}

fn ricker(points: usize, width: f64) -> Vec<f64> {
    let norm = 2.0 / ((3.0 * width).sqrt() * std::f64::consts::PI.sqrt().sqrt());
    let square = width * width;
    let value = |i: usize| {
        let at = i as f64 - (points as f64 - 1.0) / 2.0;
        norm * (1.0 - at * at / square) * libm::exp(-(at * at) / (2.0 * square))
    };
    (0..points).map(value).collect()
}
