//! The brightest observation of a light curve.

use crate::table::LightCurve;

/// An observation counts for the peak if its flux is at least this many standard errors.
const SIGNIFICANT: f64 = 3.0;

/// The AB magnitude of one microjansky.
const MICROJANSKY_MAG: f64 = 23.9;

/// The brightest observation of an object in any band, among those whose flux is at least three standard errors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Brightest {
    /// Time in days (MJD).
    pub time: f64,
    /// Index into the bands of the survey.
    pub band: usize,
    /// Flux in the survey's unit.
    pub flux: f64,
}

impl Brightest {
    /// Finds it, the first one if several tie; `None` if no observation is significant.
    pub fn of(curve: &LightCurve<'_>) -> Option<Self> {
        let mut best: Option<usize> = None;
        for (k, (&flux, &err)) in curve.flux.iter().zip(curve.flux_err).enumerate() {
            let brighter = best.is_none_or(|best| flux > curve.flux[best]);
            if flux > 0.0 && flux >= SIGNIFICANT * err && brighter {
                best = Some(k);
            }
        }
        best.map(|k| Self {
            time: curve.time[k],
            band: curve.band[k].into(),
            flux: curve.flux[k],
        })
    }

    /// The AB magnitude if fluxes are in microjansky: `23.9 - 2.5 log10(flux)`.
    pub fn magnitude(&self) -> f64 {
        MICROJANSKY_MAG - 2.5 * libm::log10(self.flux)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_significant() {
        let brightest = |flux: &[f64]| {
            let n = flux.len();
            Brightest::of(&LightCurve {
                time: &vec![1.0; n],
                band: &vec![0; n],
                flux,
                flux_err: &vec![1.0; n],
            })
        };
        assert_eq!(brightest(&[2.9, -7.0]), None);
        assert_eq!(brightest(&[]), None);
        let peak = brightest(&[5.0, 100.0, 7.0]).unwrap();
        assert_eq!(peak.flux, 100.0);
        assert!((peak.magnitude() - 18.9).abs() < 1e-12);
    }
}
