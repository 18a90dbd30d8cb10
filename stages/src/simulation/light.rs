//! Thermal spectra, and the dust of the host galaxy that dims them.

use std::cmp::Ordering;

/// Physical constants in CGS units (CODATA 2018).
const LIGHT: f64 = 2.997_924_58e10;
const PLANCK: f64 = 6.626_070_15e-27;
const BOLTZMANN: f64 = 1.380_649e-16;
const STEFAN_BOLTZMANN: f64 = 5.670_374_419e-5;

/// Planck's law: B_nu in erg/s/cm^2/Hz/sr at a wavelength in angstrom and a temperature in K.
fn planck(wavelength: f64, kelvin: f64) -> f64 {
    let nu = LIGHT / (wavelength * 1e-8);
    let x = PLANCK * nu / (BOLTZMANN * kelvin);
    2.0 * PLANCK * (nu * nu * nu) / (LIGHT * LIGHT) / libm::expm1(x)
}

/// The share of a black body's luminosity in a unit of frequency, 1/Hz: `pi B_nu(T) / (sigma T^4)`.
pub fn thermal_fraction(wavelength: f64, kelvin: f64) -> f64 {
    let square = kelvin * kelvin;
    std::f64::consts::PI * planck(wavelength, kelvin) / (STEFAN_BOLTZMANN * (square * square))
}

/// A_lambda / E(B-V) of dust in the host at a rest wavelength in angstrom: a table that joins an average
/// ultraviolet curve without the 2175 A feature to Fitzpatrick's (1999) at the LSST bands.
pub fn host_extinction(wavelength: f64) -> f64 {
    const TABLE: [(f64, f64); 9] = [
        (1_500.0, 8.1),
        (2_000.0, 8.6),
        (2_600.0, 6.6),
        (3_641.0, 4.75),
        (4_704.0, 3.77),
        (6_155.0, 2.59),
        (7_504.0, 1.91),
        (8_695.0, 1.49),
        (10_056.0, 1.16),
    ];
    between(&TABLE, wavelength)
}

/// Returns the value at `x` of the straight lines between the points of `table`, which holds its first and
/// its last value beyond its ends. At a point it is exactly the value of that point.
pub fn between(table: &[(f64, f64)], x: f64) -> f64 {
    let Some(mut left) = table.first() else {
        return 0.0;
    };
    for right in table {
        match x.total_cmp(&right.0) {
            Ordering::Less => {
                let width = (right.0 - left.0).max(1.0);
                let share = ((x - left.0) / width).clamp(0.0, 1.0);
                return left.1 + (right.1 - left.1) * share;
            }
            Ordering::Equal => return right.1,
            Ordering::Greater => left = right,
        }
    }
    left.1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Planck functions by astropy.
    const ORACLE: &str = include_str!("../../tests/fixtures/cosmology_bb.json");

    #[test]
    fn black_bodies_agree_with_astropy() {
        let oracle: serde_json::Value = serde_json::from_str(ORACLE).unwrap();
        let wavelengths = oracle["lam_A"].as_array().unwrap();
        for kelvin in [5_000.0, 10_000.0, 20_000.0, 40_000.0] {
            let expected = &oracle["bnu_cgs"][format!("{kelvin}")];
            for (wavelength, expected) in wavelengths.iter().zip(expected.as_array().unwrap()) {
                let found = planck(wavelength.as_f64().unwrap(), kelvin);
                assert!((found / expected.as_f64().unwrap() - 1.0).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn thermal_fractions_sum_to_one() {
        let step = 2e12;
        let sum: f64 = (1..20_000)
            .map(|i| thermal_fraction(LIGHT / (f64::from(i) * step) * 1e8, 1e4) * step)
            .sum();
        assert!((sum - 1.0).abs() < 1e-3, "{sum}");
    }

    #[test]
    fn host_dust_interpolates_its_table() {
        assert_eq!(host_extinction(500.0), 8.1);
        assert_eq!(host_extinction(3_641.0), 4.75);
        assert!((host_extinction(1_750.0) - 8.35).abs() < 1e-12);
        assert_eq!(host_extinction(2e4), 1.16);
    }

    #[test]
    fn lines_pass_through_their_points() {
        let table = [(1.0, 0.45), (2.0, 0.15), (4.0, 0.1)];
        for (x, y) in table {
            assert_eq!(between(&table, x), y);
        }
        assert_eq!((between(&table, 0.0), between(&table, 9.0)), (0.45, 0.1));
        assert!((between(&table, 3.0) - 0.125).abs() < 1e-15);
        assert_eq!(between(&[], 1.0), 0.0);
    }
}
