//! The frame of an object: days and wavelengths at rest, and its distance.

use crate::features::event::Nights;
use crate::physics::black_body::{ThermalSource, Wavelength};
use crate::physics::cosmology::FlatLambdaCdm;

use super::FitOptions;
use super::light::PIVOT;

/// The least amplitude, in microjansky, that has a magnitude and that residuals are divided by.
pub(super) const LEAST_AMPLITUDE: f64 = 1e-4;
/// The magnitude of a flux of one microjansky in the AB system.
const MICROJANSKY_MAG: f64 = 23.9;

/// An object's merged points in its own frame.
pub(super) struct Observed<'a> {
    pub nights: &'a Nights,
    /// The reference time (MJD).
    pub reference: f64,
    /// One plus the redshift, or one if that is unknown.
    pub stretch: f64,
    /// Days at rest since the reference time.
    pub x: Vec<f64>,
    /// The places of the points in the window.
    pub inside: Vec<usize>,
    pub distance: Distance,
}

impl<'a> Observed<'a> {
    /// Returns none without points.
    pub fn of(nights: &'a Nights, redshift: Option<f64>, options: &FitOptions) -> Option<Self> {
        let redshift = redshift.filter(|z| z.is_finite() && *z > -1.0);
        let reference = nights.reference_time()?;
        let stretch = 1.0 + redshift.unwrap_or(0.0);
        let x: Vec<f64> = (nights.time.iter())
            .map(|t| (t - reference) / stretch)
            .collect();
        let window = |x: f64| -options.window_before < x && x < options.window_after;
        Some(Self {
            nights,
            reference,
            stretch,
            inside: (0..x.len()).filter(|&i| window(x[i])).collect(),
            x,
            distance: Distance::at(redshift),
        })
    }
}

/// How an object's distance changes what is seen of it.
pub(super) struct Distance {
    /// Redshift and luminosity distance in megaparsec, if they are known.
    known: Option<(f64, f64)>,
}

impl Distance {
    pub fn at(redshift: Option<f64>) -> Self {
        let known = redshift.filter(|z| *z > 0.0);
        Self {
            known: known.map(|z| (z, FlatLambdaCdm::WMAP9.luminosity_distance(z))),
        }
    }

    /// The absolute AB magnitude of a flux in microjansky at a wavelength at rest; NaN without a distance.
    pub fn absolute_magnitude(&self, flux: f64) -> f64 {
        self.known.map_or(f64::NAN, |(z, distance)| {
            let apparent = MICROJANSKY_MAG - 2.5 * libm::log10(flux.max(LEAST_AMPLITUDE));
            let modulus = 5.0 * libm::log10(distance) + 25.0;
            apparent - modulus + 2.5 * libm::log10(1.0 + z)
        })
    }

    /// The black body whose flux at the pivot is `amplitude`; `None` without a distance.
    pub fn source(&self, amplitude: f64, temperature: f64) -> Option<ThermalSource> {
        let (redshift, distance) = self.known?;
        let intensity = Wavelength::of(PIVOT).emission(1.0 / temperature).intensity;
        Some(ThermalSource {
            flux_over_intensity: amplitude / intensity,
            temperature,
            redshift,
            distance,
        })
    }
}
