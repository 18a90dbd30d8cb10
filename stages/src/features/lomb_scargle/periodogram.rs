//! The periodogram of one band on an even grid of frequencies.

use std::f64::consts::TAU;

use libm::sincos;

use super::{LEAST_POINTS, Observed, PeriodOptions};
use crate::numeric::simd::{Kernel, SimdLevel};

/// The points of one band, without their mean.
pub struct Band {
    /// Days.
    pub time: Vec<f64>,
    /// Fluxes less their weighted mean, as a share of the largest flux of the object.
    flux: Vec<f64>,
    /// Weights, whose sum is 1.
    weight: Vec<f64>,
    /// The sum of the squares of the fluxes, less their mean, in errors.
    pub chi2: f64,
}

/// The least error of a flux, and the largest of one that counts, as shares of the largest flux of the object.
const ERRORS: [f64; 2] = [1e-6, 1e6];

/// Frequencies that are computed side by side.
const LANES: usize = 8;

impl Band {
    /// Returns the usable points of a band; `None` if there are too few, or all fluxes are equal.
    pub fn of(curve: &Observed<'_>, band: usize) -> Option<Band> {
        let finite = curve.flux.iter().filter(|flux| flux.is_finite());
        let largest = finite.fold(0.0, |most, flux| f64::max(most, flux.abs()));
        let error = |i: usize| (curve.err[i] / largest).max(ERRORS[0]);
        let used: Vec<usize> = (0..curve.time.len())
            .filter(|&i| usize::from(curve.band[i]) == band)
            .filter(|&i| curve.time[i].is_finite() && curve.flux[i].is_finite())
            .filter(|&i| curve.err[i] > 0.0 && error(i) < ERRORS[1])
            .collect();
        if used.len() < LEAST_POINTS {
            return None;
        }
        let mut weight: Vec<f64> = used.iter().map(|&i| 1.0 / (error(i) * error(i))).collect();
        let total: f64 = weight.iter().sum();
        weight.iter_mut().for_each(|w| *w /= total);
        let mut flux: Vec<f64> = used.iter().map(|&i| curve.flux[i] / largest).collect();
        let mean: f64 = flux.iter().zip(&weight).map(|(f, w)| f * w).sum();
        flux.iter_mut().for_each(|f| *f -= mean);
        let square: f64 = flux.iter().zip(&weight).map(|(f, w)| w * f * f).sum();
        let band = Band {
            time: used.iter().map(|&i| curve.time[i]).collect(),
            chi2: square * total,
            flux,
            weight,
        };
        // Less than what rounding leaves of a constant is none.
        (square > 1e-28).then_some(band)
    }

    /// The variance of the times, in days squared.
    pub fn time_variance(&self) -> f64 {
        let n = self.time.len() as f64;
        let first = self.time[0];
        let mean = self.time.iter().map(|t| t - first).sum::<f64>() / n;
        let squares = self
            .time
            .iter()
            .map(|t| (t - first - mean) * (t - first - mean));
        squares.sum::<f64>() / n
    }
}

/// Evenly spaced frequencies.
pub struct Grid {
    /// The time at which all phases are zero, days.
    start: f64,
    lowest: f64,
    step: f64,
    /// The number of frequencies, at least 1.
    pub count: usize,
    /// The width of a peak, per day: one over the length of the light curve.
    pub width: f64,
}

impl Grid {
    /// Returns the grid for some bands: from one period over the light curve up to the shortest period. `None` if
    /// there are no bands, or the light curve is shorter than that.
    pub fn new<'a>(bands: impl Iterator<Item = &'a Band>, options: &PeriodOptions) -> Option<Grid> {
        let (mut start, mut end) = (f64::INFINITY, f64::NEG_INFINITY);
        for time in bands.flat_map(|band| &band.time) {
            (start, end) = (start.min(*time), end.max(*time));
        }
        let span = end - start;
        // Longer than a million years, the frequencies could not be told apart.
        if !(span > options.min_period && span < 4e8) {
            return None;
        }
        let width = 1.0 / span;
        let step = width / options.oversampling;
        let steps = (1.0 / options.min_period - width) / step;
        Some(Grid {
            start,
            lowest: width,
            step,
            count: (steps as usize + 1).min(options.frequencies),
            width,
        })
    }

    /// Returns a grid of any frequencies.
    #[cfg(test)]
    pub fn even(lowest: f64, step: f64, count: usize, start: f64) -> Grid {
        Grid {
            start,
            lowest,
            step,
            count,
            width: step,
        }
    }

    /// Returns a frequency of the grid, per day.
    pub fn frequency(&self, k: usize) -> f64 {
        self.lowest + k as f64 * self.step
    }
}

/// Returns the power of a band at every frequency of the grid, 0 to 1. It is 0 where the points cannot tell a
/// sinusoid from a constant.
pub fn powers(band: &Band, grid: &Grid) -> Vec<f64> {
    SimdLevel::active().run(Periodogram { band, grid })
}

/// The same with the instructions of a level.
#[cfg(test)]
pub fn powers_at(level: SimdLevel, band: &Band, grid: &Grid) -> Vec<f64> {
    level.run(Periodogram { band, grid })
}

struct Periodogram<'a> {
    band: &'a Band,
    grid: &'a Grid,
}

/// Cosine and sine of the phase of a point, at the frequencies that are computed side by side, and of the angle
/// by which they turn from one group of frequencies to the next.
struct Turning {
    cos: [f64; LANES],
    sin: [f64; LANES],
    turn: (f64, f64),
}

/// Weighted sums over the points, at the frequencies that are computed side by side.
#[derive(Default)]
struct Sums {
    cos: [f64; LANES],
    sin: [f64; LANES],
    flux_cos: [f64; LANES],
    flux_sin: [f64; LANES],
    cos_cos: [f64; LANES],
    cos_sin: [f64; LANES],
}

impl Kernel for Periodogram<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run(self) -> Vec<f64> {
        let Periodogram { band, grid } = self;
        let mut turning: Vec<Turning> = band.time.iter().map(|t| Turning::new(*t, grid)).collect();
        let yy: f64 = (band.flux.iter().zip(&band.weight))
            .map(|(f, w)| w * f * f)
            .sum();
        let mut powers = Vec::with_capacity(grid.count + LANES);
        while powers.len() < grid.count {
            let mut sums = Sums::default();
            for (i, point) in turning.iter_mut().enumerate() {
                point.add(band.weight[i], band.flux[i], &mut sums);
                point.step();
            }
            powers.extend((0..LANES).map(|lane| sums.power(lane, yy)));
        }
        powers.truncate(grid.count);
        powers
    }
}

impl Turning {
    fn new(time: f64, grid: &Grid) -> Self {
        let days = time - grid.start;
        let mut turning = Turning {
            cos: [0.0; LANES],
            sin: [0.0; LANES],
            turn: (1.0, 0.0),
        };
        for lane in 0..LANES {
            let (sin, cos) = sincos(TAU * days * grid.frequency(lane));
            (turning.cos[lane], turning.sin[lane]) = (cos, sin);
        }
        let (sin, cos) = sincos(TAU * days * grid.step * LANES as f64);
        turning.turn = (cos, sin);
        turning
    }

    #[inline(always)]
    fn add(&self, weight: f64, flux: f64, sums: &mut Sums) {
        for lane in 0..LANES {
            let (cos, sin) = (self.cos[lane], self.sin[lane]);
            let (weighted_cos, weighted_sin) = (weight * cos, weight * sin);
            sums.cos[lane] += weighted_cos;
            sums.sin[lane] += weighted_sin;
            sums.flux_cos[lane] += weighted_cos * flux;
            sums.flux_sin[lane] += weighted_sin * flux;
            sums.cos_cos[lane] += weighted_cos * cos;
            sums.cos_sin[lane] += weighted_cos * sin;
        }
    }

    /// Turns to the next group of frequencies.
    #[inline(always)]
    fn step(&mut self) {
        let (turn_cos, turn_sin) = self.turn;
        for lane in 0..LANES {
            let (cos, sin) = (self.cos[lane], self.sin[lane]);
            self.cos[lane] = cos * turn_cos - sin * turn_sin;
            self.sin[lane] = sin * turn_cos + cos * turn_sin;
        }
    }
}

impl Sums {
    /// The power at one of the frequencies, for the mean square `yy` of the fluxes (Zechmeister and Kurster 2009,
    /// equation 5).
    #[inline(always)]
    fn power(&self, lane: usize, yy: f64) -> f64 {
        let (c, s) = (self.cos[lane], self.sin[lane]);
        let (yc, ys) = (self.flux_cos[lane], self.flux_sin[lane]);
        let cc = self.cos_cos[lane] - c * c;
        let ss = 1.0 - self.cos_cos[lane] - s * s;
        let cs = self.cos_sin[lane] - c * s;
        let determinant = cc * ss - cs * cs;
        if determinant > 1e-10 {
            let explained = ss * yc * yc + cc * ys * ys - 2.0 * cs * yc * ys;
            (explained / (determinant * yy)).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}
