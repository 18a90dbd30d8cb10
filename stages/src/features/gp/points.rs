//! The points of a light curve in the form that the covariance needs.

use crate::features::event::Nights;
use crate::numeric::cholesky::{LANES, Lanes};

/// The largest time between anything and the first point, days. What is further away is taken to be there, so that
/// squares of times are finite.
const LONGEST: f64 = 1e6;

/// The smallest variance of a scaled flux. It keeps covariance matrices positive definite.
const LEAST_VARIANCE: f64 = 1e-8;

/// The largest variance of a scaled flux. A point with this variance says nothing.
const LARGEST_VARIANCE: f64 = 1e30;

/// Points whose fluxes are scaled to be of order 1. The last block is filled with rows that have no flux and
/// are so far from each other and all else that nothing depends on them.
#[derive(Clone, Debug)]
pub(super) struct Points {
    /// Days since the origin.
    pub time: Vec<Lanes>,
    /// Angstrom.
    pub wavelength: Vec<Lanes>,
    flux: Vec<Lanes>,
    variance: Vec<Lanes>,
    n: usize,
    /// The flux that is 1 when scaled.
    pub scale: f64,
    /// The Modified Julian Date of time 0.
    pub origin: f64,
}

fn relative(time: f64, origin: f64) -> f64 {
    (time - origin).clamp(-LONGEST, LONGEST)
}

impl Points {
    /// Takes the points `which` of an object, in microjansky, for bands of these wavelengths. Returns
    /// `None` if there are none.
    pub(super) fn new(
        nights: &Nights,
        wavelengths: &[f64],
        which: std::ops::Range<usize>,
    ) -> Option<Points> {
        let origin = *nights.time.get(which.start)?;
        let n = which.len();
        let (flux, err) = (&nights.flux[which.clone()], &nights.err[which.clone()]);
        let significant = flux.iter().zip(err).map(|(f, e)| f - e);
        let largest = flux.iter().fold(0.0, |m: f64, f| m.max(f.abs()));
        let scale = significant.fold(0.3 * largest, f64::max).max(1e-6);
        let variance = |e: f64| {
            let e = e / scale;
            (e * e).clamp(LEAST_VARIANCE, LARGEST_VARIANCE)
        };
        let far = |i: usize| 1e12 * (1 + i - n) as f64;
        let bands = &nights.band[which.clone()];
        let times = &nights.time[which];
        let lanes = |value: &dyn Fn(usize) -> f64, fill: &dyn Fn(usize) -> f64| -> Vec<Lanes> {
            let value = |i: usize| if i < n { value(i) } else { fill(i) };
            (0..n.div_ceil(LANES))
                .map(|b| Lanes(std::array::from_fn(|c| value(b * LANES + c))))
                .collect()
        };
        Some(Points {
            time: lanes(&|i| relative(times[i], origin), &far),
            wavelength: lanes(&|i| wavelengths[usize::from(bands[i])], &|_| 0.0),
            flux: lanes(&|i| flux[i] / scale, &|_| 0.0),
            variance: lanes(&|i| variance(err[i]), &|_| 1.0),
            n,
            scale,
            origin,
        })
    }

    /// A Modified Julian Date as days since the origin.
    pub(super) fn relative(&self, time: f64) -> f64 {
        relative(time, self.origin)
    }

    /// The number of points.
    pub(super) fn len(&self) -> usize {
        self.n
    }

    /// The number of blocks.
    pub(super) fn blocks(&self) -> usize {
        self.time.len()
    }

    /// The number of points and of rows that fill the last block.
    pub(super) fn padded(&self) -> usize {
        self.time.len() * LANES
    }

    /// Time and wavelength of a row.
    #[inline(always)]
    pub(super) fn at(&self, i: usize) -> (f64, f64) {
        let (block, lane) = (i / LANES, i % LANES);
        (self.time[block].0[lane], self.wavelength[block].0[lane])
    }

    /// The scaled flux of a row.
    #[inline(always)]
    pub(super) fn flux(&self, i: usize) -> f64 {
        self.flux[i / LANES].0[i % LANES]
    }

    /// The variance of a row's scaled flux.
    #[inline(always)]
    pub(super) fn variance(&self, i: usize) -> f64 {
        self.variance[i / LANES].0[i % LANES]
    }

    /// The log-likelihood if there is only noise, without the constant `-n ln(2 pi) / 2`.
    pub(super) fn noise_likelihood(&self) -> f64 {
        let of = |i: usize| {
            let (y, v) = (self.flux(i), self.variance(i));
            -0.5 * (y * y / v + libm::log(v))
        };
        (0..self.n).map(of).sum()
    }
}
