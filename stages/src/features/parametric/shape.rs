//! The shapes that light curves have in time, apart from their temperature.
//!
//! A shape is a positive function of the days since the peak with a few unknowns. It is given by its
//! logarithm and the derivatives of that, without branches, so that loops over points are vectorized.

use crate::numeric::exp::{exp, ln};

/// The most unknowns that a shape has.
pub(super) const MOST: usize = 4;

/// The exponent of the decline of tidal disruption events (Rees 1988, Nature 333, 523; Phinney 1989).
pub(super) const FALLBACK: f64 = 5.0 / 3.0;

/// A shape at one time.
#[derive(Clone, Copy)]
pub(super) struct ShapePoint {
    /// The logarithm of the shape.
    pub ln: f64,
    /// Its derivative by time.
    pub slope: f64,
    /// Its derivatives by the unknowns.
    pub by: [f64; MOST],
}

/// A shape with values for its unknowns.
pub(super) trait Shape: Copy {
    /// The shape for these unknowns, in the order of its model's list. Times and widths are given by
    /// their natural logarithms.
    fn with(unknowns: &[f64]) -> Self;

    /// The shape at `y` days from the peak.
    fn at(&self, y: f64) -> ShapePoint;
}

#[inline(always)]
fn before(y: f64) -> f64 {
    if y < 0.0 { y } else { 0.0 }
}

#[inline(always)]
fn after(y: f64) -> f64 {
    if y > 0.0 { y } else { 0.0 }
}

/// A rise `exp(-y^2 / (2 rise^2))` before the peak, and its parts in a [`ShapePoint`].
#[derive(Clone, Copy)]
struct GaussianRise {
    inverse: f64,
}

impl GaussianRise {
    fn of(ln_rise: f64) -> Self {
        Self {
            inverse: exp(-ln_rise),
        }
    }

    #[inline(always)]
    fn at(&self, y: f64) -> ShapePoint {
        let v = before(y) * self.inverse;
        ShapePoint {
            ln: -0.5 * v * v,
            slope: -v * self.inverse,
            by: [v * v, 0.0, 0.0, 0.0],
        }
    }
}

/// `(1 + y / decay)^-exponent` after the peak. Unknowns: rise, decay, exponent.
#[derive(Clone, Copy)]
pub(super) struct PowerLawDecay {
    rise: GaussianRise,
    inverse: f64,
    exponent: f64,
}

impl Shape for PowerLawDecay {
    fn with(unknowns: &[f64]) -> Self {
        Self {
            rise: GaussianRise::of(unknowns[0]),
            inverse: exp(-unknowns[1]),
            exponent: unknowns[2],
        }
    }

    #[inline(always)]
    fn at(&self, y: f64) -> ShapePoint {
        let mut point = self.rise.at(y);
        let u = after(y) * self.inverse;
        let ln_1u = ln(1.0 + u);
        let inside = if y > 0.0 { self.inverse } else { 0.0 };
        point.ln -= self.exponent * ln_1u;
        point.slope -= self.exponent * inside / (1.0 + u);
        point.by[1] = self.exponent * u / (1.0 + u);
        point.by[2] = -ln_1u;
        point
    }
}

/// `exp(-y / decay)` after the peak. Unknowns: rise, decay.
#[derive(Clone, Copy)]
pub(super) struct ExponentialDecay {
    rise: GaussianRise,
    inverse: f64,
}

impl Shape for ExponentialDecay {
    fn with(unknowns: &[f64]) -> Self {
        Self {
            rise: GaussianRise::of(unknowns[0]),
            inverse: exp(-unknowns[1]),
        }
    }

    #[inline(always)]
    fn at(&self, y: f64) -> ShapePoint {
        let mut point = self.rise.at(y);
        let u = after(y) * self.inverse;
        point.ln -= u;
        point.slope -= if y > 0.0 { self.inverse } else { 0.0 };
        point.by[1] = u;
        point
    }
}

/// `exp(-y^2 / (2 decay^2))` after the peak. Unknowns: rise, decay.
#[derive(Clone, Copy)]
pub(super) struct GaussianDecay {
    rise: GaussianRise,
    inverse: f64,
}

impl Shape for GaussianDecay {
    fn with(unknowns: &[f64]) -> Self {
        Self {
            rise: GaussianRise::of(unknowns[0]),
            inverse: exp(-unknowns[1]),
        }
    }

    #[inline(always)]
    fn at(&self, y: f64) -> ShapePoint {
        let mut point = self.rise.at(y);
        let u = after(y) * self.inverse;
        point.ln -= 0.5 * u * u;
        point.slope -= u * self.inverse;
        point.by[1] = u * u;
        point
    }
}

/// The logarithm of `1 / (1 + exp(-y / rise))`, with its derivatives by `y` and by `ln rise`.
#[inline(always)]
fn logistic_rise(y: f64, inverse: f64) -> (f64, f64, f64) {
    let s = -y * inverse;
    let small = exp(-s.abs());
    let ln_sum = after(s) + ln(1.0 + small);
    // 1 / (1 + exp(-s)).
    let share = if s > 0.0 { 1.0 } else { small } / (1.0 + small);
    (-ln_sum, share * inverse, share * s)
}

/// `exp(-y / decay) / (1 + exp(-y / rise))`. Unknowns: rise, decay.
#[derive(Clone, Copy)]
pub(super) struct Bazin {
    inverse_rise: f64,
    inverse_decay: f64,
}

impl Shape for Bazin {
    fn with(unknowns: &[f64]) -> Self {
        Self {
            inverse_rise: exp(-unknowns[0]),
            inverse_decay: exp(-unknowns[1]),
        }
    }

    #[inline(always)]
    fn at(&self, y: f64) -> ShapePoint {
        let (ln_rise, slope, by_rise) = logistic_rise(y, self.inverse_rise);
        let u = y * self.inverse_decay;
        ShapePoint {
            ln: ln_rise - u,
            slope: slope - self.inverse_decay,
            by: [by_rise, u, 0.0, 0.0],
        }
    }
}

/// A plateau that falls by the share `drop` within `plateau` days, and then `exp(-y / decay)`; all of it
/// over `1 + exp(-y / rise)`. Unknowns: rise, decay, plateau, drop.
#[derive(Clone, Copy)]
pub(super) struct Villar {
    inverse_rise: f64,
    inverse_decay: f64,
    plateau: f64,
    drop: f64,
}

impl Shape for Villar {
    fn with(unknowns: &[f64]) -> Self {
        Self {
            inverse_rise: exp(-unknowns[0]),
            inverse_decay: exp(-unknowns[1]),
            plateau: exp(unknowns[2]),
            drop: unknowns[3],
        }
    }

    #[inline(always)]
    fn at(&self, y: f64) -> ShapePoint {
        let (ln_rise, slope, by_rise) = logistic_rise(y, self.inverse_rise);
        let on_plateau = y < self.plateau;
        let v = if on_plateau { y / self.plateau } else { 1.0 };
        let left = 1.0 - self.drop * v;
        let u = after(y - self.plateau) * self.inverse_decay;
        let by_plateau = if on_plateau {
            self.drop * v / left
        } else {
            self.plateau * self.inverse_decay
        };
        let fall = if on_plateau {
            self.drop / (self.plateau * left)
        } else {
            self.inverse_decay
        };
        ShapePoint {
            ln: ln_rise + ln(left) - u,
            slope: slope - fall,
            by: [by_rise, u, by_plateau, -v / left],
        }
    }
}

/// `(1 + y / rise)^2` from the explosion to the peak, `exp(-y / decay)` after it. Unknowns: rise, decay.
#[derive(Clone, Copy)]
pub(super) struct Fireball {
    inverse_rise: f64,
    inverse_decay: f64,
}

/// The least radius of a fireball, in units of that at peak. It stands for none before the explosion.
const LEAST_RADIUS: f64 = 1e-3;

impl Shape for Fireball {
    fn with(unknowns: &[f64]) -> Self {
        Self {
            inverse_rise: exp(-unknowns[0]),
            inverse_decay: exp(-unknowns[1]),
        }
    }

    #[inline(always)]
    fn at(&self, y: f64) -> ShapePoint {
        let v = before(y) * self.inverse_rise;
        let exploded = 1.0 + v > LEAST_RADIUS;
        let radius = if exploded { 1.0 + v } else { LEAST_RADIUS };
        let u = after(y) * self.inverse_decay;
        let growing = if exploded { 2.0 / radius } else { 0.0 };
        let slope = if y > 0.0 {
            -self.inverse_decay
        } else {
            growing * self.inverse_rise
        };
        ShapePoint {
            ln: 2.0 * ln(radius) - u,
            slope,
            by: [-growing * v, u, 0.0, 0.0],
        }
    }
}

/// The template of white-light flares of Davenport et al. (2014, ApJ 797, 122, equations 1 and 4), in units
/// of the full width at half maximum. Unknown: width.
#[derive(Clone, Copy)]
pub(super) struct Flare {
    inverse: f64,
}

/// The least value of the template's rise.
const LEAST_FLARE: f64 = 1e-3;

impl Shape for Flare {
    fn with(unknowns: &[f64]) -> Self {
        Self {
            inverse: exp(-unknowns[0]),
        }
    }

    #[inline(always)]
    fn at(&self, y: f64) -> ShapePoint {
        let t = y * self.inverse;
        let v = before(if t < -1.0 { -1.0 } else { t });
        let rise = 1.0 + v * (1.941 + v * (-0.175 + v * (-2.246 - v * 1.125)));
        let rise_slope = 1.941 + v * (-0.35 + v * (-6.738 - v * 4.5));
        let late = after(t);
        let (fast, slow) = (0.6890 * exp(-1.6 * late), 0.3030 * exp(-0.2783 * late));
        let decay_slope = -(1.6 * fast + 0.2783 * slow);
        let inside = t > -1.0 && rise > LEAST_FLARE;
        let rise = if rise > LEAST_FLARE {
            rise
        } else {
            LEAST_FLARE
        };
        let (value, slope) = if t > 0.0 {
            (fast + slow, decay_slope)
        } else {
            (rise, if inside { rise_slope } else { 0.0 })
        };
        let by_t = slope / value;
        ShapePoint {
            ln: ln(value),
            slope: by_t * self.inverse,
            by: [-by_t * t, 0.0, 0.0, 0.0],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The derivatives are those of the value, before and after the peak.
    fn check<S: Shape>(unknowns: &[f64]) {
        let step = 1e-5;
        for y in [-40.0, -7.0, -1.5, 0.7, 3.0, 25.0, 90.0] {
            let point = S::with(unknowns).at(y);
            let ln = |unknowns: &[f64], y: f64| S::with(unknowns).at(y).ln;
            let slope = (ln(unknowns, y + step) - ln(unknowns, y - step)) / (2.0 * step);
            assert!((point.slope - slope).abs() < 1e-6, "{y}: {slope}");
            for k in 0..unknowns.len() {
                let (mut up, mut down) = (unknowns.to_vec(), unknowns.to_vec());
                up[k] += step;
                down[k] -= step;
                let expected = (ln(&up, y) - ln(&down, y)) / (2.0 * step);
                let found = point.by[k];
                let near = (found - expected).abs() < 1e-6 * (1.0 + expected.abs());
                assert!(near, "unknown {k} at {y}: {found}, not {expected}");
            }
        }
    }

    #[test]
    fn derivatives_are_those_of_the_shapes() {
        check::<PowerLawDecay>(&[2.0, 3.5, 1.4]);
        check::<ExponentialDecay>(&[2.0, 3.5]);
        check::<GaussianDecay>(&[2.0, 3.5]);
        check::<Bazin>(&[1.0, 3.0]);
        check::<Villar>(&[1.0, 3.0, 2.5, 0.4]);
        check::<Fireball>(&[3.0, 3.0]);
        check::<Flare>(&[2.5]);
    }

    #[test]
    fn shapes_are_as_published() {
        let value = |ln: f64| libm::exp(ln);
        let tde = PowerLawDecay::with(&[0.0, libm::log(40.0), FALLBACK]).at(80.0);
        assert!((value(tde.ln) - libm::pow(3.0, -FALLBACK)).abs() < 1e-12);
        assert_eq!(tde.by[0], 0.0);
        let sigma = GaussianDecay::with(&[libm::log(5.0), libm::log(9.0)]);
        assert!((sigma.at(-5.0).ln + 0.5).abs() < 1e-12 && (sigma.at(9.0).ln + 0.5).abs() < 1e-12);
        let fireball = Fireball::with(&[libm::log(20.0), libm::log(30.0)]);
        assert!((value(fireball.at(-10.0).ln) - 0.25).abs() < 1e-12);
        assert!(value(fireball.at(-30.0).ln) < 1e-5);
        let flare = Flare::with(&[0.0]);
        assert!((value(flare.at(1.0).ln) - 0.368_5).abs() < 1e-3);
        assert!(
            (value(flare.at(-0.5).ln) - 0.196).abs() < 1e-3,
            "{}",
            value(flare.at(-0.5).ln)
        );
        let villar = Villar::with(&[libm::log(2.0), libm::log(20.0), libm::log(50.0), 0.3]);
        assert!((value(villar.at(50.0).ln) - 0.7).abs() < 1e-6);
        assert!((value(villar.at(70.0).ln) - 0.7 * libm::exp(-1.0)).abs() < 1e-6);
    }
}
