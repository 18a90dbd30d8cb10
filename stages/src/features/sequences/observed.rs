//! The observations of an object.

use crate::numeric::rng::Stream;

/// The light curve of an object: slices of equal length, in any order.
#[derive(Clone, Copy, Debug)]
pub struct ObservedCurve<'a> {
    /// Days.
    pub time: &'a [f64],
    /// The places of the bands in the survey's list.
    pub band: &'a [u16],
    /// Flux in the survey's unit.
    pub flux: &'a [f64],
    /// Standard error of the flux.
    pub flux_err: &'a [f64],
}

/// One usable observation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Observation {
    /// Days since the first observation of the object.
    pub time: f64,
    pub band: usize,
    pub flux: f64,
    pub err: f64,
}

/// Noise that is added to fluxes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noise {
    /// Its standard deviation in units of the error.
    pub share: f64,
    /// The seed, and a word for the object.
    pub of: (u64, u64),
}

impl Noise {
    /// Returns the flux of the observation at a place of the light curve, with noise. A flux that would not be finite
    /// stays as it is.
    fn on(&self, flux: f64, err: f64, place: usize) -> f64 {
        if self.share <= 0.0 {
            return flux;
        }
        let (seed, object) = self.of;
        let mut draws = Stream::new(seed, &[object, place as u64]);
        let noisy = flux + self.share * err * draws.normal();
        if noisy.is_finite() { noisy } else { flux }
    }
}

impl ObservedCurve<'_> {
    /// Returns the observations of the bands `0..bands` in the order of time, and of the light curve where times are
    /// equal. Those that are not finite, or have no positive error, are left out.
    pub(super) fn usable(&self, bands: usize, noise: Noise) -> Vec<Observation> {
        let values = self.time.iter().zip(self.band);
        let values = values.zip(self.flux.iter().zip(self.flux_err)).enumerate();
        let mut usable: Vec<Observation> = values
            .map(|(place, ((&time, &band), (&flux, &err)))| Observation {
                time,
                band: band.into(),
                flux: noise.on(flux, err, place),
                err,
            })
            .filter(|o| o.time.is_finite() && o.flux.is_finite() && o.err.is_finite())
            .filter(|o| o.err > 0.0 && o.band < bands)
            .collect();
        usable.sort_by(|a, b| a.time.total_cmp(&b.time));
        let first = usable.first().map_or(0.0, |o| o.time);
        for observation in &mut usable {
            observation.time -= first;
        }
        usable
    }
}
