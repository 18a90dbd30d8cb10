//! Extinction by dust in the Milky Way: the curve of Fitzpatrick (1999).
//!
//! Fitzpatrick, "Correcting for the effects of interstellar extinction", PASP 111, 63 (1999). At
//! wavelengths under 2700 A the curve is the formula of Fitzpatrick and Massa (1990) with coefficients
//! that depend on `R_V`; above, it is a cubic spline through anchor points. The anchors are those of the
//! author's own program (`fm_unred`, also in the Python package `extinction`), which reproduce his
//! curve better than the rounded table of the paper.

/// Names of the LSST bands, in the order used for bands throughout.
pub const LSST_BANDS: [&str; 6] = ["u", "g", "r", "i", "z", "y"];

/// Effective wavelengths of the LSST bands in Angstrom, in the order of [`LSST_BANDS`] (SVO Filter
/// Profile Service, LSST/LSST).
pub const LSST_WAVELENGTHS: [f64; 6] = [3641.0, 4704.0, 6155.0, 7504.0, 8695.0, 10056.0];

/// The wavelengths in Angstrom for which the curve is defined, both ends included.
pub const WAVELENGTH_RANGE: (f64, f64) = (910.0, 60_000.0);

/// The wavelength in Angstrom at which the spline takes over from the ultraviolet formula.
const SPLINE_FROM: f64 = 2700.0;

/// Wavelengths of the spline's anchors in Angstrom, from long to short after the first, which stands
/// for infinity.
const ANCHORS: [f64; 9] = [
    f64::INFINITY,
    26_500.0,
    12_200.0,
    6000.0,
    5470.0,
    4670.0,
    4110.0,
    2700.0,
    2600.0,
];

const N: usize = ANCHORS.len();

/// Fitzpatrick's curve for one value of `R_V`, the ratio of total to selective extinction.
#[derive(Clone, Debug)]
pub struct Fitzpatrick99 {
    r_v: f64,
    /// Anchors: inverse wavelength in 1/micron, `A/E(B-V)` and its second derivative.
    x: [f64; N],
    y: [f64; N],
    bend: [f64; N],
}

impl Fitzpatrick99 {
    /// The curve for `r_v` (3.1 is the mean of the Galaxy; published values run from 2 to 6).
    ///
    /// `r_v` should be positive and finite. Other values give results without physical meaning, but
    /// never a panic.
    pub fn new(r_v: f64) -> Fitzpatrick99 {
        let x = ANCHORS.map(|wavelength| 1e4 / wavelength);
        let r2 = r_v * r_v;
        let y = [
            0.0,
            0.26469 * r_v / 3.1,
            0.82925 * r_v / 3.1,
            -0.422809 + 1.00270 * r_v + 2.13572e-4 * r2,
            -5.13540e-2 + 1.00216 * r_v - 7.35778e-5 * r2,
            0.700127 + 1.00184 * r_v - 3.32598e-5 * r2,
            1.19456 + 1.01707 * r_v - 5.46959e-3 * r2 + 7.97809e-4 * r2 * r_v
                - 4.45636e-5 * r2 * r2,
            ultraviolet(x[7], r_v) + r_v,
            ultraviolet(x[8], r_v) + r_v,
        ];
        let bend = natural_spline(&x, &y);
        Fitzpatrick99 { r_v, x, y, bend }
    }

    /// `A(wavelength) / E(B-V)`, magnitudes of extinction for a colour excess of one magnitude.
    ///
    /// `wavelength` is in Angstrom. The result is NaN outside [`WAVELENGTH_RANGE`].
    pub fn extinction(&self, wavelength: f64) -> f64 {
        if !(WAVELENGTH_RANGE.0..=WAVELENGTH_RANGE.1).contains(&wavelength) {
            return f64::NAN;
        }
        let at = 1e4 / wavelength;
        if wavelength < SPLINE_FROM {
            return ultraviolet(at, self.r_v) + self.r_v;
        }
        // The interval of the spline whose right end is the first anchor not left of `at`.
        let right = (1..N - 1).find(|&i| at <= self.x[i]).unwrap_or(N - 1);
        let left = right - 1;
        let width = self.x[right] - self.x[left];
        let a = (self.x[right] - at) / width;
        let b = (at - self.x[left]) / width;
        let cubic = (a * a * a - a) * self.bend[left] + (b * b * b - b) * self.bend[right];
        a * self.y[left] + b * self.y[right] + cubic * width * width / 6.0
    }
}

/// The factor by which light of colour excess `ebv` is dimmed at extinction `a_over_ebv`:
/// `10^(-0.4 ebv a_over_ebv)`. Divide an observed flux, and its error, by it to undo the dust.
pub fn transmission(a_over_ebv: f64, ebv: f64) -> f64 {
    libm::exp10(-0.4 * ebv * a_over_ebv)
}

/// The ultraviolet curve `E(lambda-V)/E(B-V)` at inverse wavelength `x` in 1/micron: Fitzpatrick and
/// Massa (1990), equation 2, with the coefficients of Fitzpatrick (1999), appendix.
fn ultraviolet(x: f64, r_v: f64) -> f64 {
    const X0: f64 = 4.596;
    const GAMMA: f64 = 0.99;
    let c2 = -0.824 + 4.717 / r_v;
    let c1 = 2.030 - 3.007 * c2;
    let (c3, c4) = (3.23, 0.41);
    let x2 = x * x;
    let off = x2 - X0 * X0;
    let bump = x2 / (off * off + x2 * GAMMA * GAMMA);
    let far = (x - 5.9).max(0.0);
    let rise = 0.5392 * far * far + 0.05644 * far * far * far;
    c1 + c2 * x + c3 * bump + c4 * rise
}

/// Second derivatives at the knots of the cubic spline through `(x, y)` that has none at the ends.
fn natural_spline(x: &[f64; N], y: &[f64; N]) -> [f64; N] {
    // Forward elimination and back substitution solve the tridiagonal system of equal slopes at the
    // knots.
    let mut bend = [0.0; N];
    let mut upper = [0.0; N];
    for i in 1..N - 1 {
        let (before, after) = (x[i] - x[i - 1], x[i + 1] - x[i]);
        let turn = (y[i + 1] - y[i]) / after - (y[i] - y[i - 1]) / before;
        let diagonal = 2.0 * (before + after) - before * upper[i - 1];
        upper[i] = after / diagonal;
        bend[i] = (6.0 * turn - before * bend[i - 1]) / diagonal;
    }
    for i in (1..N - 1).rev() {
        bend[i] -= upper[i] * bend[i + 1];
    }
    bend
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn numbers(value: &Value) -> Vec<f64> {
        let items = value.as_array().unwrap();
        items.iter().map(|v| v.as_f64().unwrap()).collect()
    }

    #[test]
    fn the_curve_matches_the_reference() {
        let fixture: Value =
            serde_json::from_str(include_str!("../../tests/fixtures/f99.json")).unwrap();
        for (r_v, wavelengths, key) in [
            (2.1, "wavelengths", "rv2.1"),
            (3.1, "wavelengths", "rv3.1"),
            (5.0, "wavelengths", "rv5.0"),
            (3.1, "lsst_wavelengths", "lsst_rv3.1"),
        ] {
            let curve = Fitzpatrick99::new(r_v);
            let wavelengths = numbers(&fixture[wavelengths]);
            let expected = numbers(&fixture[key]);
            assert_eq!(wavelengths.len(), expected.len());
            for (&wavelength, expected) in wavelengths.iter().zip(expected) {
                let found = curve.extinction(wavelength);
                assert!(
                    (found - expected).abs() < 1e-12,
                    "R_V {r_v}, {wavelength} A: {found}, expected {expected}"
                );
            }
        }
        assert_eq!(numbers(&fixture["lsst_wavelengths"]), LSST_WAVELENGTHS);
    }

    #[test]
    fn outside_its_range_the_curve_is_not_a_number() {
        let curve = Fitzpatrick99::new(3.1);
        for wavelength in [909.0, 60_001.0, 0.0, -1.0, f64::INFINITY, f64::NAN] {
            assert!(curve.extinction(wavelength).is_nan(), "{wavelength}");
        }
        assert!(curve.extinction(910.0).is_finite() && curve.extinction(60_000.0).is_finite());
    }

    /// The first observation of the reference's correction of a light curve: band r, E(B-V) 0.137.
    #[test]
    fn transmission_undoes_the_dust() {
        let a_over_ebv = Fitzpatrick99::new(3.1).extinction(LSST_WAVELENGTHS[2]);
        let corrected = -0.1510406583416083 / transmission(a_over_ebv, 0.137);
        assert!((corrected - -0.20947711952431777).abs() < 1e-12);
        assert_eq!(transmission(a_over_ebv, 0.0), 1.0);
    }
}
