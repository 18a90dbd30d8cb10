//! Periods: the generalized Lomb-Scargle periodogram of all bands together.
//!
//! At each frequency, every band gets a sinusoid with a mean, an amplitude and a phase of its own (Zechmeister and
//! Kurster 2009, equations 4 to 15). The power is the share of chi^2 that the sinusoids of all bands explain
//! together: the multi-band periodogram of VanderPlas and Ivezic (2015), section 4, with one Fourier term for
//! each band and none in common. In one band it is the standard normalization.
//!
//! - `periodogram`: the power at all frequencies of a grid;
//! - `false_alarm`: how likely noise has as large a power.

mod false_alarm;
mod periodogram;
#[cfg(test)]
mod tests;

use libm::log;

use crate::features::columns::{Column, column};
use false_alarm::log10_false_alarm;
use periodogram::{Band, Grid, powers};

/// The observations of an object: slices of equal length, in any order.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// Days.
    pub time: &'a [f64],
    /// The place of the band in the survey's list.
    pub band: &'a [u16],
    /// Flux, in any unit.
    pub flux: &'a [f64],
    /// One standard deviation of the flux. Points without a positive error are dropped.
    pub err: &'a [f64],
}

/// Settings of the periodogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PeriodOptions {
    /// The shortest period in days.
    pub min_period: f64,
    /// Frequencies for each width of a peak, which is one over the length of the light curve.
    pub oversampling: f64,
    /// The most frequencies, from the lowest up.
    pub frequencies: usize,
}

impl Default for PeriodOptions {
    fn default() -> Self {
        PeriodOptions {
            min_period: 10.0,
            oversampling: 5.0,
            frequencies: 20_000,
        }
    }
}

/// The number of features that no band has of its own.
const SHARED: usize = 5;

/// Every feature. The computing code fills values in this order.
#[rustfmt::skip]
pub const COLUMNS: [Column; SHARED + 1] = [
    column("ls_ln_period", "ln d", "period with the largest power, in the frame of the observer"),
    column("ls_power", "", "the power: the share of chi^2 that sinusoids with this period explain, 0 to 1"),
    column("ls_log_fap", "", "decimal logarithm of the probability that noise alone has as large a power at any of the frequencies"),
    column("ls_second", "", "the largest power that is more than a peak's width away from the best period and its half, over `ls_power`"),
    column("ls_cycles", "", "length of the light curve over the period"),
    column("ls_{}_power", "", "power of the band by itself at the period"),
];

/// A band with fewer points is left out: a sinusoid with a mean would fit any three.
const LEAST_POINTS: usize = 4;

/// Computes the features of one object into `out`, in the order of [`COLUMNS`] for a survey of `bands` bands.
///
/// All are NaN if no band has at least four points that differ, or if the light curve is shorter than the
/// shortest period.
///
/// # Panics
/// If `out` is not as long as there are features.
pub fn features(curve: &Observed<'_>, bands: usize, options: &PeriodOptions, out: &mut [f64]) {
    out.fill(f64::NAN);
    let (shared, per_band) = out.split_at_mut(SHARED);
    let series: Vec<(usize, Band)> = (0..bands)
        .filter_map(|band| Some((band, Band::of(curve, band)?)))
        .collect();
    let Some(grid) = Grid::new(series.iter().map(|(_, band)| band), options) else {
        return;
    };
    let by_band: Vec<Vec<f64>> = series.iter().map(|(_, band)| powers(band, &grid)).collect();
    let total: f64 = series.iter().map(|(_, band)| band.chi2).sum();
    let all: Vec<f64> = (0..grid.count)
        .map(|k| {
            let explained = series.iter().zip(&by_band);
            let explained = explained.map(|((_, band), powers)| band.chi2 * powers[k]);
            (explained.sum::<f64>() / total).clamp(0.0, 1.0)
        })
        .collect();
    let Some(best) = largest(&all, |_| true) else {
        return;
    };
    let frequency = grid.frequency(best);
    let near = |k: usize, center: f64| (grid.frequency(k) - center).abs() <= grid.width;
    let second = largest(&all, |k| !near(k, frequency) && !near(k, 2.0 * frequency));
    let points = series.iter().map(|(_, band)| band.time.len()).sum();
    shared[0] = -log(frequency);
    shared[1] = all[best];
    shared[2] = log10_false_alarm(all[best], points, series.len(), bandwidth(&series, &grid));
    shared[3] = second.map_or(f64::NAN, |second| all[second] / all[best]);
    shared[4] = frequency / grid.width;
    for ((band, _), powers) in series.iter().zip(&by_band) {
        per_band[*band] = powers[best];
    }
}

/// Returns the place of the largest value among those that `counts` lets through.
fn largest(values: &[f64], counts: impl Fn(usize) -> bool) -> Option<usize> {
    let places = (0..values.len()).filter(|&k| counts(k) && values[k] > 0.0);
    places.reduce(|best, k| if values[k] > values[best] { k } else { best })
}

/// The effective number of independent frequencies, W in Baluev (2008), equation 5: the highest frequency times
/// `sqrt(4 pi var(t))`, weighted by the points of the bands.
fn bandwidth(series: &[(usize, Band)], grid: &Grid) -> f64 {
    let points: usize = series.iter().map(|(_, band)| band.time.len()).sum();
    let variance: f64 = series
        .iter()
        .map(|(_, band)| band.time_variance() * band.time.len() as f64 / points as f64)
        .sum();
    grid.frequency(grid.count - 1) * (4.0 * std::f64::consts::PI * variance).sqrt()
}
