//! Thermal light: the spectrum of a black body, and how large and luminous a source of it is.
//!
//! The spectrum is Planck's `B_nu = 2 h c / lambda^3 / (exp(h c / (lambda k T)) - 1)`.

use crate::numeric::exp::exp_m1;

/// `h c / k` in angstrom kelvin (CODATA 2018).
const HC_K: f64 = 1.438_776_877e8;
/// `2 h c / (1 micrometer)^3` in erg / s / cm^2 / Hz / sr.
const UNIT: f64 = 3.972_891_714e-4;
/// The constant of Stefan and Boltzmann in erg / s / cm^2 / K^4.
const STEFAN_BOLTZMANN: f64 = 5.670_374_419e-5;
/// Centimeters in a megaparsec.
const CM_PER_MPC: f64 = 3.085_677_581e24;
/// erg / s / cm^2 / Hz in a microjansky.
const MICROJANSKY: f64 = 1e-29;
/// The largest `h c / (lambda k T)` that is told from larger ones, all of which give practically no light.
const MOST_RATIO: f64 = 300.0;

/// A wavelength, as the spectrum needs it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wavelength {
    /// `(1 micrometer / lambda)^3`.
    pub cubed: f64,
    /// `h c / (lambda k)` in kelvin.
    pub kelvin: f64,
}

/// The light of a black body at one wavelength.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Emission {
    /// `B_nu` in units of `2 h c / (1 micrometer)^3`.
    pub intensity: f64,
    /// The derivative of its logarithm by the logarithm of the temperature.
    pub slope: f64,
}

impl Wavelength {
    /// From a wavelength in angstrom.
    pub fn of(angstrom: f64) -> Self {
        let inverse = 1e4 / angstrom;
        Self {
            cubed: inverse * inverse * inverse,
            kelvin: HC_K / angstrom,
        }
    }

    /// The light at a temperature of `1 / inverse` kelvin. It has no branches, so that loops over it are
    /// vectorized.
    #[inline(always)]
    pub fn emission(self, inverse: f64) -> Emission {
        let ratio = self.kelvin * inverse;
        let ratio = if ratio < MOST_RATIO {
            ratio
        } else {
            MOST_RATIO
        };
        let e = exp_m1(ratio);
        Emission {
            intensity: self.cubed / e,
            slope: ratio * (e + 1.0) / e,
        }
    }
}

/// A spherical black body: what is seen of it, and from where.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ThermalSource {
    /// The flux over [`Emission::intensity`] at the same wavelength at rest, in microjansky.
    pub flux_over_intensity: f64,
    /// Temperature in kelvin.
    pub temperature: f64,
    /// Redshift.
    pub redshift: f64,
    /// Luminosity distance in megaparsec.
    pub distance: f64,
}

impl ThermalSource {
    /// The decimal logarithm of the radius in cm. The flux of a sphere is
    /// `F_nu = (1 + z) pi B_nu R^2 / d_L^2`, with `B_nu` at the wavelength at rest.
    pub fn log_radius(&self) -> f64 {
        let pi_b = std::f64::consts::PI * UNIT / MICROJANSKY;
        let area = self.flux_over_intensity / ((1.0 + self.redshift) * pi_b);
        0.5 * libm::log10(area) + libm::log10(self.distance * CM_PER_MPC)
    }

    /// The decimal logarithm of the luminosity `4 pi R^2 sigma T^4` in erg / s.
    pub fn log_luminosity(&self) -> f64 {
        let per_area = 4.0 * std::f64::consts::PI * STEFAN_BOLTZMANN;
        2.0 * self.log_radius() + 4.0 * libm::log10(self.temperature) + libm::log10(per_area)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intensities_agree_with_astropy() {
        let oracle = include_str!("../../tests/fixtures/cosmology_bb.json");
        let oracle: serde_json::Value = serde_json::from_str(oracle).unwrap();
        let wavelengths = oracle["lam_A"].as_array().unwrap();
        for (temperature, expected) in oracle["bnu_cgs"].as_object().unwrap() {
            let temperature: f64 = temperature.parse().unwrap();
            for (wavelength, expected) in wavelengths.iter().zip(expected.as_array().unwrap()) {
                let at = Wavelength::of(wavelength.as_f64().unwrap());
                let found = UNIT * at.emission(1.0 / temperature).intensity;
                let off = found / expected.as_f64().unwrap() - 1.0;
                assert!(off.abs() < 1e-6, "{temperature} K, {wavelength} A: {off}");
            }
        }
    }

    #[test]
    fn the_slope_is_that_of_the_intensity() {
        for (angstrom, temperature) in [(3641.0, 8000.0), (10_056.0, 40_000.0), (700.0, 3000.0)] {
            let at = Wavelength::of(angstrom);
            let ln = |t: f64| libm::log(at.emission(1.0 / t).intensity);
            let step = 1e-5;
            let (up, down) = (temperature * (1.0 + step), temperature * (1.0 - step));
            let expected = (ln(up) - ln(down)) / (2.0 * step);
            let found = at.emission(1.0 / temperature).slope;
            assert!((found - expected).abs() < 1e-6 * expected, "{found}");
        }
        // Far in the ultraviolet, there is no light and no division by infinity.
        let dark = Wavelength::of(1.0).emission(1.0 / 3000.0);
        assert!(dark.intensity > 0.0 && dark.slope.is_finite());
    }

    /// The sun from 10 pc: its absolute magnitude in V is 4.8, and a black body of its size and
    /// temperature is within a tenth of it.
    #[test]
    fn the_sun_has_its_size() {
        let flux = libm::pow(10.0, (23.9 - 4.83) / 2.5);
        let intensity = Wavelength::of(5500.0).emission(1.0 / 5772.0).intensity;
        let sun = ThermalSource {
            flux_over_intensity: flux / intensity,
            temperature: 5772.0,
            redshift: 0.0,
            distance: 1e-5,
        };
        assert!((sun.log_radius() - libm::log10(6.957e10)).abs() < 0.03);
        assert!((sun.log_luminosity() - libm::log10(3.828e33)).abs() < 0.06);
    }
}
