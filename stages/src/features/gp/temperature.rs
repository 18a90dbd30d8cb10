//! Black bodies through the fluxes of one time.

use crate::numeric::exp::exp;
use crate::physics::black_body::{ThermalSource, Wavelength};

/// The decimal logarithms of the temperatures that are tried.
const FIRST: f64 = 3.55;
const STEP: f64 = 0.025;
const COUNT: usize = 49;

/// The prior of the logarithm of the temperature: mean and standard deviation.
const PRIOR: (f64, f64) = (4.15, 0.35);

/// The least flux over intensity, microjansky.
const LEAST: f64 = 1e-30;

/// The share of a flux that counts as its error, beside that of the process.
const ERROR: f64 = 0.03;

/// The spectra of black bodies at the bands of an object, one row for each temperature.
pub(super) struct Spectra {
    intensity: Vec<f64>,
    bands: usize,
}

/// The black bodies that fit the fluxes of one time.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlackBody {
    /// Mean and standard deviation of the decimal logarithm of the temperature in kelvin.
    pub log_temperature: f64,
    pub err: f64,
    /// The chi-squared of the best one.
    pub chi2: f64,
    /// The mean of the decimal logarithm of flux over intensity.
    log_ratio: f64,
}

fn log_temperature(k: usize) -> f64 {
    FIRST + STEP * k as f64
}

impl Spectra {
    /// Spectra at wavelengths in the rest frame, angstrom.
    pub(super) fn new(wavelengths: &[f64]) -> Spectra {
        let at: Vec<Wavelength> = wavelengths.iter().map(|&w| Wavelength::of(w)).collect();
        let row = |k: usize| {
            let inverse = libm::exp10(-log_temperature(k));
            at.iter().map(move |w| w.emission(inverse).intensity)
        };
        Spectra {
            intensity: (0..COUNT).flat_map(row).collect(),
            bands: wavelengths.len(),
        }
    }

    /// Fits black bodies to the flux of each band and its error, with a normal prior on the logarithm of the
    /// temperature. The size of each is the best one for its temperature.
    pub(super) fn fit(&self, fluxes: &[(f64, f64)]) -> BlackBody {
        let mut chi2 = [0.0; COUNT];
        let mut ratio = [0.0; COUNT];
        let weights: Vec<f64> = fluxes
            .iter()
            .map(|(f, e)| 1.0 / (e * e + (ERROR * f) * (ERROR * f)))
            .collect();
        for (k, row) in self.intensity.chunks_exact(self.bands.max(1)).enumerate() {
            let (mut product, mut square) = (0.0, 0.0);
            for ((b, (f, _)), w) in row.iter().zip(fluxes).zip(&weights) {
                product += b * f * w;
                square += b * b * w;
            }
            ratio[k] = (product / square).max(LEAST);
            for ((b, (f, _)), w) in row.iter().zip(fluxes).zip(&weights) {
                let d = f - ratio[k] * b;
                chi2[k] += d * d * w;
            }
        }
        let prior = |k: usize| (log_temperature(k) - PRIOR.0) / PRIOR.1;
        let posterior: [f64; COUNT] =
            std::array::from_fn(|k| -0.5 * (chi2[k] + prior(k) * prior(k)));
        let most = posterior.iter().fold(f64::NEG_INFINITY, |m, p| p.max(m));
        let (mut total, mut mean, mut square, mut log_ratio) = (0.0, 0.0, 0.0, 0.0);
        for k in 0..COUNT {
            let (share, t) = (exp(posterior[k] - most), log_temperature(k));
            total += share;
            mean += share * t;
            square += share * t * t;
            log_ratio += share * libm::log10(ratio[k]);
        }
        mean /= total;
        BlackBody {
            log_temperature: mean,
            err: (square / total - mean * mean).max(0.0).sqrt(),
            chi2: chi2.iter().fold(f64::INFINITY, |m, c| c.min(m)),
            log_ratio: log_ratio / total,
        }
    }
}

impl BlackBody {
    /// The source of this light at a redshift and a luminosity distance in megaparsec.
    pub(super) fn source(&self, redshift: f64, distance: f64) -> ThermalSource {
        ThermalSource {
            flux_over_intensity: libm::exp10(self.log_ratio),
            temperature: libm::exp10(self.log_temperature),
            redshift,
            distance,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_black_body_has_its_temperature() {
        let wavelengths = [3000.0, 4000.0, 5000.0, 6500.0];
        let spectra = Spectra::new(&wavelengths);
        for log_t in [3.8, 4.1, 4.4] {
            let inverse = libm::exp10(-log_t);
            let flux = |w: f64| 2e3 * Wavelength::of(w).emission(inverse).intensity;
            let fluxes = wavelengths.map(|w| (flux(w), 0.0));
            let found = spectra.fit(&fluxes);
            assert!((found.log_temperature - log_t).abs() < 0.02, "{found:?}");
            assert!(
                (found.log_ratio - libm::log10(2e3)).abs() < 0.1,
                "{found:?}"
            );
            assert!(found.chi2 < 0.1 && found.err < 0.05, "{found:?}");
        }
        // Without light, the prior is left.
        let dark = spectra.fit(&[(0.0, 1.0); 4]);
        assert!((dark.log_temperature - PRIOR.0).abs() < 0.02 && dark.err > 0.25);
    }
}
