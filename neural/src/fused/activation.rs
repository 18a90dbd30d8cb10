//! Exponential, sigmoid and hyperbolic tangent in plain `f32` arithmetic without branches.
//!
//! Loops over these functions are vectorized by LLVM, in a [`Kernel`](flow_stages::numeric::simd::Kernel) for every level,
//! and give the same bits at all of them. Relative errors are below 5e-7. The exponential is the one of
//! [`flow_stages::numeric::exp`] with the polynomial of Cephes (`expf.c`, S. L. Moshier).

const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// The leading bits of ln 2, so that its product with a small integer is exact, and the rest.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// A number that is added to round to an integer, which then stands in the lowest bits.
const ROUND: f32 = 12_582_912.0;
/// The coefficients of `(exp(r) - 1 - r) / r^2`, from the constant up.
const POLYNOMIAL: [f32; 6] = [
    0.5,
    1.666_666_5e-1,
    4.166_579_6e-2,
    8.333_452e-3,
    1.398_199_9e-3,
    1.987_569_1e-4,
];

/// Returns `2^n` and `exp(r) - 1` for `x = n ln 2 + r`, with `x` between -87 and 88.
#[inline(always)]
fn parts(x: f32) -> (f32, f32) {
    let rounded = x * LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    let [a, b, c, d, e, f] = POLYNOMIAL;
    let q = ((f * r + e) * r + d) * r + c;
    let q = (q * r + b) * r + a;
    let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23));
    (power, q * (r * r) + r)
}

/// Bounds the magnitude of `x`. NaN stays.
#[inline(always)]
fn bounded(x: f32, bound: f32) -> f32 {
    let x = if x < -bound { -bound } else { x };
    if x > bound { bound } else { x }
}

/// Returns `1 / (1 + exp(-x))`. Below -87 the result is that of -87, 2e-38.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let (power, rest) = parts(bounded(-x, 87.0));
    1.0 / (1.0 + (power * rest + power))
}

/// Returns the exponential. Below -87 the result is that of -87, 2e-38, and above 88 that of 88.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = if x > 88.0 { 88.0 } else { x };
    let (power, rest) = parts(if x < -87.0 { -87.0 } else { x });
    power * rest + power
}

/// Returns the hyperbolic tangent, `(exp(2x) - 1) / (exp(2x) + 1)`.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let (power, rest) = parts(bounded(2.0 * x, 40.0));
    let above_one = power * rest + (power - 1.0);
    above_one / (above_one + 2.0)
}

#[cfg(test)]
mod tests {
    use flow_stages::numeric::simd::{Kernel, SimdLevel};

    use super::*;

    struct All<'a>(&'a [f32]);

    impl Kernel for All<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run(self) -> Vec<f32> {
            let mut out = vec![0.0; 3 * self.0.len()];
            for (out, &x) in out.chunks_exact_mut(3).zip(self.0) {
                out[0] = sigmoid(x);
                out[1] = tanh(x);
                out[2] = exp(x);
            }
            out
        }
    }

    /// Numbers of all magnitudes of both signs.
    fn arguments() -> Vec<f32> {
        let magnitudes = (-400..=150).map(|i| libm::exp2f(i as f32 / 15.0));
        let both = magnitudes.flat_map(|x| [x, -x]);
        both.chain([0.0, -0.0]).collect()
    }

    #[test]
    fn relative_errors_are_small() {
        for x in arguments() {
            let exact = f64::from(x);
            if x > -87.0 {
                let expected = 1.0 / (1.0 + libm::exp(-exact));
                let error = (f64::from(sigmoid(x)) - expected) / expected;
                assert!(error.abs() < 5e-7, "sigmoid({x}): {error:e}");
            }
            if x.abs() < 87.0 {
                let error = f64::from(exp(x)) / libm::exp(exact) - 1.0;
                assert!(error.abs() < 5e-7, "exp({x}): {error:e}");
            }
            let expected = libm::tanh(exact);
            let error = f64::from(tanh(x)) - expected;
            assert!(
                error.abs() <= 5e-7 * expected.abs(),
                "tanh({x}): {error:e} of {expected:e}"
            );
        }
    }

    #[test]
    fn extremes_saturate_and_nan_stays() {
        for x in [f32::MAX, f32::INFINITY] {
            assert_eq!([sigmoid(x), tanh(x), tanh(-x)], [1.0, 1.0, -1.0]);
            assert!(sigmoid(-x) >= 0.0 && sigmoid(-x) < 1e-37);
        }
        assert!(sigmoid(f32::NAN).is_nan() && tanh(f32::NAN).is_nan() && exp(f32::NAN).is_nan());
        assert!(exp(f32::NEG_INFINITY) < 1e-37 && exp(f32::INFINITY) > 1e38);
        assert_eq!(sigmoid(0.0), 0.5);
    }

    #[test]
    fn every_level_gives_the_same_bits() {
        let arguments = arguments();
        let expected = All(&arguments).run();
        for level in SimdLevel::available() {
            let got = level.run(All(&arguments));
            let same = got
                .iter()
                .zip(&expected)
                .all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "{level}");
        }
    }
}
