//! The light of a model at the points of a window: its values and derivatives, and their sums over points.
//!
//! The model of the flux is `A m`, with the amplitude `A` and
//!
//! ```text
//! m = g(y) B(T(y), lambda) / B(T0, 4500 A) min(lambda / 3800 A, 1)^suppression
//! ln T = ln T0 + cooling min(max(y, -30), 120) / 100
//! ```
//!
//! where `g` is a shape, `B` Planck's spectrum, `lambda` the wavelength at rest, `y` the days since the
//! peak at rest, and `T` between 2,500 and 80,000 K. So `A` is the flux at 4500 angstrom at the peak.

use crate::numeric::exp::exp;
use crate::numeric::simd::Kernel;
use crate::physics::black_body::Wavelength;

use super::model::{Model, SLOTS, ShapeKind, Slots};
use super::shape::{
    Bazin, ExponentialDecay, Fireball, Flare, GaussianDecay, PowerLawDecay, Shape, Villar,
};

/// The wavelength at rest, in angstrom, at which the amplitude is the flux.
pub(super) const PIVOT: f64 = 4500.0;
/// The wavelength in angstrom below which light can be suppressed.
const SUPPRESSED: f64 = 3800.0;
/// The times in days since the peak between which the temperature changes.
const CHANGING: (f64, f64) = (-30.0, 120.0);
/// The bounds of the temperature in kelvin.
const TEMPERATURES: (f64, f64) = (2500.0, 80_000.0);
/// Sums have this many partial sums, whatever the level.
const LANES: usize = 8;

/// Points at which models are evaluated. All columns have the same length, a multiple of [`LANES`].
#[derive(Clone, Debug, Default)]
pub(super) struct Points {
    /// Days at rest since the reference time.
    pub x: Vec<f64>,
    cubed: Vec<f64>,
    kelvin: Vec<f64>,
    /// The logarithm of `min(lambda / 3800 A, 1)`.
    ln_ultraviolet: Vec<f64>,
}

impl Points {
    /// Points at these times, in days at rest since the reference time, and wavelengths at rest, in
    /// angstrom.
    pub fn of(points: impl Iterator<Item = (f64, f64)>) -> Self {
        let mut all = Self::default();
        for (x, wavelength) in points {
            let at = Wavelength::of(wavelength);
            all.x.push(x);
            all.cubed.push(at.cubed);
            all.kelvin.push(at.kelvin);
            let short = (wavelength / SUPPRESSED).min(1.0);
            all.ln_ultraviolet.push(libm::log(short));
        }
        let padded = all.x.len().next_multiple_of(LANES);
        for column in [
            &mut all.x,
            &mut all.cubed,
            &mut all.kelvin,
            &mut all.ln_ultraviolet,
        ] {
            // What fills the last lanes is a copy of the last point, and has no weight.
            let last = column.last().copied().unwrap_or(0.0);
            column.resize(padded, last);
        }
        all
    }
}

/// The values of a model at [`Points`].
#[derive(Clone, Debug)]
pub(super) struct Light {
    /// `m`.
    pub value: Vec<f64>,
    /// The derivatives of `m` by the unknowns in the places of the model.
    pub by: [Vec<f64>; SLOTS],
}

impl Light {
    /// Room for the values at `points`.
    pub fn room(points: &Points) -> Self {
        Self {
            value: vec![0.0; points.x.len()],
            by: std::array::from_fn(|_| vec![0.0; points.x.len()]),
        }
    }
}

/// Computes the light of a model. Times and widths among the unknowns are natural logarithms.
pub(super) struct Shine<'a> {
    /// The model.
    pub model: &'a Model,
    /// Its unknowns.
    pub slots: &'a Slots,
    /// Where to.
    pub light: &'a mut Light,
    /// Where at.
    pub points: &'a Points,
}

impl Kernel for Shine<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        match self.model.shape {
            ShapeKind::PowerLawDecay => self.fill::<PowerLawDecay>(),
            ShapeKind::ExponentialDecay => self.fill::<ExponentialDecay>(),
            ShapeKind::GaussianDecay => self.fill::<GaussianDecay>(),
            ShapeKind::Bazin => self.fill::<Bazin>(),
            ShapeKind::Villar => self.fill::<Villar>(),
            ShapeKind::Fireball => self.fill::<Fireball>(),
            ShapeKind::Flare => self.fill::<Flare>(),
        }
    }
}

impl Shine<'_> {
    #[inline(always)]
    fn fill<S: Shape>(self) {
        let [peak, ln_t0, cooling, suppression, ref own @ ..] = *self.slots;
        let shape = S::with(own);
        let inverse_t0 = exp(-ln_t0);
        let pivot = Wavelength::of(PIVOT).emission(inverse_t0);
        let scale = 1.0 / pivot.intensity;
        // Slices of one length need no checks in the loop.
        let n = self.points.x.len();
        let (x, cubed) = (&self.points.x[..n], &self.points.cubed[..n]);
        let kelvin = &self.points.kelvin[..n];
        let ultraviolet = &self.points.ln_ultraviolet[..n];
        let value = &mut self.light.value[..n];
        let mut by = self.light.by.each_mut().map(|by| &mut by[..n]);
        for i in 0..n {
            let y = x[i] - peak;
            let point = shape.at(y);
            let heat = Heat::at(y, cooling, inverse_t0);
            let wavelength = Wavelength {
                cubed: cubed[i],
                kelvin: kelvin[i],
            };
            let emission = wavelength.emission(heat.inverse);
            let m = exp(point.ln + suppression * ultraviolet[i]) * emission.intensity * scale;
            let slope = if heat.changes { emission.slope } else { 0.0 };
            value[i] = m;
            by[0][i] = -m * (point.slope + slope * heat.cooling);
            by[1][i] = m * (slope - pivot.slope);
            by[2][i] = m * slope * heat.phase;
            by[3][i] = m * ultraviolet[i];
            for (by, own) in by[4..].iter_mut().zip(point.by) {
                by[i] = m * own;
            }
        }
    }
}

/// The temperature at one time.
#[derive(Clone, Copy)]
struct Heat {
    /// The inverse of the temperature in kelvin.
    inverse: f64,
    /// The factor of the cooling: hundreds of days since the peak.
    phase: f64,
    /// The derivative of the logarithm of the temperature by time.
    cooling: f64,
    /// False at the bounds of the temperature, where the unknowns do not change it.
    changes: bool,
}

impl Heat {
    #[inline(always)]
    fn at(y: f64, cooling: f64, inverse_t0: f64) -> Self {
        let early = if y > CHANGING.0 { y } else { CHANGING.0 };
        let phase = 0.01
            * if early < CHANGING.1 {
                early
            } else {
                CHANGING.1
            };
        let inverse = inverse_t0 * exp(-cooling * phase);
        let (least, most) = (1.0 / TEMPERATURES.1, 1.0 / TEMPERATURES.0);
        let capped = if inverse > least { inverse } else { least };
        let capped = if capped < most { capped } else { most };
        let moves = y > CHANGING.0 && y < CHANGING.1;
        Self {
            inverse: capped,
            phase,
            cooling: if moves { 0.01 * cooling } else { 0.0 },
            changes: capped == inverse,
        }
    }
}

/// The sum of `a b` over points, in [`LANES`] partial sums.
#[inline(always)]
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let pairs: [f64; 4] = std::array::from_fn(|k| sums[k] + sums[k + 4]);
    (pairs[0] + pairs[2]) + (pairs[1] + pairs[3])
}
