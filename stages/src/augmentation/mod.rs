//! Copies of light curves that are changed as another observation of a similar source could have changed them.
//!
//! The changes are made in the order in which they happen to light: the source is at another distance
//! ([`Changes::redshift`]), evolves at another pace ([`Changes::warp`]), is looked at from later on
//! ([`Changes::start`]), less often ([`Changes::thin`]), and with more noise ([`Changes::noise`]). Each change draws
//! from a random stream of its own, so that the amount of one does not change the draws of another.
//!
//! A value that would leave the numbers, because a flux is huge or an error tiny, stays as it is. A copy has at least
//! one point if its source has one, its points are in order of time, and its errors are positive.

mod change;

use crate::numeric::rng::Stream;

/// First words of the paths of random streams below that of a copy.
mod stream {
    pub const REDSHIFT: u64 = 0;
    pub const WARP: u64 = 1;
    pub const START: u64 = 2;
    pub const THIN: u64 = 3;
    pub const NOISE: u64 = 4;
}

/// How much copies differ from their sources. An amount of 0 is no change.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Changes {
    /// The natural logarithm of the largest factor on the redshift, which is drawn log-uniformly. The light curve is
    /// stretched by `(1 + z') / (1 + z)` about its brightest point, and its fluxes are multiplied by the same factor
    /// times `(D(z) / D(z'))^2`, where `D` is the luminosity distance (as in Boone 2019, AJ 158, 257, section 2.2).
    /// Unlike there, a band stays the same part of the spectrum, so the factor has to be small. If fluxes get smaller,
    /// noise is added so that the errors stay; if they get larger, so do the errors. Objects with a redshift of 0 or
    /// without one are left alone.
    pub redshift: f64,
    /// The standard deviation of the logarithm of the pace in each of four equal stretches of time. The whole lasts
    /// as long as before (Um et al. 2017, ICMI, 216, time-warping).
    pub warp: f64,
    /// The largest share of the time at the beginning that is left out; the share is drawn uniformly.
    pub start: f64,
    /// The largest share of points that are left out; the share is drawn uniformly, then each point by itself.
    pub thin: f64,
    /// The noise that is added, in units of each point's error. Errors grow in quadrature.
    pub noise: f64,
}

/// The points of one object, in order of time; columns of equal length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CurvePoints {
    /// Days.
    pub time: Vec<f64>,
    /// Indices of bands.
    pub band: Vec<u16>,
    /// Fluxes in any unit.
    pub flux: Vec<f64>,
    /// The standard errors of the fluxes, which are positive.
    pub flux_err: Vec<f64>,
}

impl CurvePoints {
    /// Keeps the points for which `keep` is true, in the order of the points.
    fn retain(&mut self, keep: &[bool]) {
        fn kept<T: Copy>(values: &mut Vec<T>, keep: &[bool]) {
            let mut keep = keep.iter();
            values.retain(|_| keep.next().is_some_and(|keep| *keep));
        }
        kept(&mut self.time, keep);
        kept(&mut self.band, keep);
        kept(&mut self.flux, keep);
        kept(&mut self.flux_err, keep);
    }
}

impl Changes {
    /// Returns true if copies are equal to their sources.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Returns a copy of an object, and its redshift. `path` tells this copy from all others of the seed.
    pub fn copy(
        &self,
        points: &CurvePoints,
        redshift: Option<f64>,
        (seed, path): (u64, [u64; 2]),
    ) -> (CurvePoints, Option<f64>) {
        let rng = |word| Stream::new(seed, &[path[0], path[1], word]);
        let mut points = points.clone();
        let mut redshift = redshift;
        if self.redshift > 0.0 {
            redshift = change::redshift(
                &mut points,
                redshift,
                self.redshift,
                &mut rng(stream::REDSHIFT),
            );
        }
        if self.warp > 0.0 {
            change::warp(&mut points.time, self.warp, &mut rng(stream::WARP));
        }
        if self.start > 0.0 {
            change::start(&mut points, self.start, &mut rng(stream::START));
        }
        if self.thin > 0.0 {
            change::thin(&mut points, self.thin, &mut rng(stream::THIN));
        }
        if self.noise > 0.0 {
            change::noise(&mut points, self.noise, &mut rng(stream::NOISE));
        }
        (points, redshift)
    }
}

#[cfg(test)]
mod tests;
