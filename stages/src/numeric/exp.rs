//! Exponentials and logarithms without branches, in plain `f64` arithmetic.
//!
//! `libm` is as deterministic but computes one value at a time and branches. A loop over these
//! functions is vectorized by LLVM, in a [`Kernel`] for every level, and gives the
//! same bits at all of them. The results are within 2 units in the last place of the exact ones.
//!
//! Arguments are reduced as in Tang, "Table-driven implementation of the exponential function in IEEE
//! floating-point arithmetic", ACM TOMS 15 (1989), section 2: `x = n ln 2 + r` with `|r| <= ln 2 / 2`,
//! where `n ln 2` is subtracted in two parts. What is left is a polynomial that interpolates
//! `(exp(r) - 1 - r) / r^2` at Chebyshev nodes, with a relative error of 4e-19. The logarithm has the
//! polynomial of FreeBSD's `e_log.c`.

use super::simd::{Kernel, SimdLevel};

const LOG2_E: f64 = std::f64::consts::LOG2_E;
/// The leading 32 bits of ln 2, so that its product with a small integer is exact, and the rest.
const LN2_HIGH: f64 = 0.693_147_180_369_123_8;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// A number that is added to round to an integer, which then stands in the lowest bits.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// The coefficients of `(exp(r) - 1 - r) / r^2`, from the constant up.
const POLYNOMIAL: [f64; 11] = [
    0.5,
    0.166_666_666_666_666_7,
    0.041_666_666_666_666_67,
    0.008_333_333_333_326_136,
    0.001_388_888_888_888_374_8,
    0.000_198_412_698_748_206_27,
    2.480_158_732_554_774_3e-5,
    2.755_725_540_020_642_2e-6,
    2.755_727_364_311_03e-7,
    2.510_521_700_472_074_5e-8,
    2.091_468_696_808_687_6e-9,
];

/// The exponential of `x`. Overflow gives infinity, underflow a subnormal number or zero, and NaN NaN.
#[inline(always)]
pub fn exp(x: f64) -> f64 {
    // Beyond these bounds the result is infinite or zero. NaN passes both.
    let x = if x < -746.0 { -746.0 } else { x };
    let x = if x > 710.0 { 710.0 } else { x };
    let (n, r) = reduce(x);
    scale(1.0 + r.exp_m1(), n)
}

/// `exp(x) - 1` without the loss of digits near zero, where the result is `x`.
#[inline(always)]
pub fn exp_m1(x: f64) -> f64 {
    // Below this bound the result is -1.
    let x = if x < -40.0 { -40.0 } else { x };
    let x = if x > 710.0 { 710.0 } else { x };
    let (n, r) = reduce(x);
    // exp(x) - 1 = 2^n (exp(r) - 1 + 1 - 2^-n). The power vanishes beside 1 long before n is 64.
    let rest = power_of_two(if n < 64.0 { -n } else { -64.0 });
    scale(r.exp_m1() + (1.0 - rest), n)
}

/// The natural logarithm of `x`: minus infinity for zero, NaN below zero.
#[inline(always)]
pub fn ln(x: f64) -> f64 {
    /// 2^54, by which subnormal numbers are scaled.
    const LIFT: f64 = 18_014_398_509_481_984.0;
    /// The bits of the square root of 1/2, at which the mantissas begin.
    const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    /// The bits of 2^52, whose last bits count from zero.
    const COUNT: u64 = 0x4330_0000_0000_0000;
    let small = x < f64::MIN_POSITIVE;
    let lifted = if small { x * LIFT } else { x };
    // The exponent is counted from 1023 steps below the one of sqrt(1/2), so that it is positive.
    let bits = lifted.to_bits().wrapping_sub(SQRT_HALF);
    let steps = bits.wrapping_add(1023 << 52) >> 52;
    let n = f64::from_bits(steps & 0xfff | COUNT) - f64::from_bits(COUNT) - 1023.0;
    let mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff).wrapping_add(SQRT_HALF));
    let n = if small { n - 54.0 } else { n };
    let result = ln_of_mantissa(mantissa - 1.0, n);
    let result = if x > f64::MAX { x } else { result };
    let result = if x == 0.0 { f64::NEG_INFINITY } else { result };
    // This is true for NaN as well.
    if x >= 0.0 { result } else { f64::NAN }
}

/// `ln(1 + f) + n ln 2` for `1 + f` between the square roots of 1/2 and 2 (`e_log.c`).
#[inline(always)]
fn ln_of_mantissa(f: f64, n: f64) -> f64 {
    const EVEN: [f64; 3] = [
        3.999_999_999_940_942e-1,
        2.222_219_843_214_978_4e-1,
        1.531_383_769_920_937_3e-1,
    ];
    const ODD: [f64; 4] = [
        6.666_666_666_666_735e-1,
        2.857_142_874_366_239e-1,
        1.818_357_216_161_805e-1,
        1.479_819_860_511_658_6e-1,
    ];
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let even = w * (EVEN[0] + w * (EVEN[1] + w * EVEN[2]));
    let odd = z * (ODD[0] + w * (ODD[1] + w * (ODD[2] + w * ODD[3])));
    let half = 0.5 * f * f;
    let tail = s * (half + (even + odd)) + n * LN2_LOW;
    n * LN2_HIGH - ((half - tail) - f)
}

/// Replaces each value by its exponential, at the active level.
pub fn exp_all(values: &mut [f64]) {
    SimdLevel::active().run(ExpAll(values));
}

struct ExpAll<'a>(&'a mut [f64]);

impl Kernel for ExpAll<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for value in self.0 {
            *value = exp(*value);
        }
    }
}

/// What is left of an argument: `high - low`, at most ln 2 / 2 in magnitude.
struct Reduced {
    high: f64,
    low: f64,
}

impl Reduced {
    /// `exp(high - low) - 1`.
    #[inline(always)]
    fn exp_m1(&self) -> f64 {
        let r = self.high - self.low;
        let [a, b, c, d, e, f, g, h, i, j, k] = POLYNOMIAL;
        let q = k * r + j;
        let q = ((q * r + i) * r + h) * r + g;
        let q = ((q * r + f) * r + e) * r + d;
        let q = ((q * r + c) * r + b) * r + a;
        // The rounding error of `r` goes back in here.
        let lost = (self.high - r) - self.low;
        r + (r * r * q + lost)
    }
}

/// Splits `x` into an integer number of ln 2 and what is left.
#[inline(always)]
fn reduce(x: f64) -> (f64, Reduced) {
    let n = (x * LOG2_E + ROUND) - ROUND;
    let high = x - n * LN2_HIGH;
    let low = n * LN2_LOW;
    (n, Reduced { high, low })
}

/// `x * 2^n` for an integer `n` of at most 1,100 in magnitude, rounded once.
#[inline(always)]
fn scale(x: f64, n: f64) -> f64 {
    let half = (n * 0.5 + ROUND) - ROUND;
    x * power_of_two(half) * power_of_two(n - half)
}

/// `2^n` for an integer `n` from -1022 to 1023.
#[inline(always)]
fn power_of_two(n: f64) -> f64 {
    // The sum has `n` in its lowest bits. The shift drops all others.
    f64::from_bits(((n + ROUND).to_bits() << 52).wrapping_add(1023 << 52))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Units in the last place between two numbers.
    fn ulps(found: f64, expected: f64) -> u64 {
        if found == expected || found.is_nan() && expected.is_nan() {
            return 0;
        }
        if found.is_nan() || expected.is_nan() || found.signum() != expected.signum() {
            return u64::MAX;
        }
        found.to_bits().abs_diff(expected.to_bits())
    }

    fn check(x: f64) {
        // `libm` is itself off by up to one unit.
        for (name, found, expected) in [
            ("exp", exp(x), libm::exp(x)),
            ("exp_m1", exp_m1(x), libm::expm1(x)),
            ("ln", ln(x), libm::log(x)),
        ] {
            let off = ulps(found, expected);
            assert!(off <= 2, "{name}({x:e}) = {found:e}, not {expected:e}");
        }
    }

    #[test]
    fn special_values() {
        for x in [0.0, 1.0, f64::NAN, f64::INFINITY, 5e-324, 1e-310, 1e308] {
            check(x);
            check(-x);
        }
        for x in [709.78, 709.79, -745.13, -745.14, -708.4, -40.0, -37.4, 44.0] {
            check(x);
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp_m1(1e-300), 1e-300);
        assert_eq!(ln(1.0), 0.0);
        assert!(ln(-1.0).is_nan() && ln(f64::NEG_INFINITY).is_nan());
    }

    #[test]
    fn a_dense_grid() {
        for i in -400_000..400_000 {
            check(f64::from(i) * 1.873e-3);
            check(f64::from(i) * 1.1e-6 + 1.0);
        }
    }

    #[test]
    fn all_levels_give_the_same_bits() {
        let values: Vec<f64> = (0..1003).map(|i| f64::from(i) * 1.7 - 800.0).collect();
        let expected: Vec<u64> = values.iter().map(|&x| exp(x).to_bits()).collect();
        for level in SimdLevel::available() {
            let mut found = values.clone();
            level.run(ExpAll(&mut found));
            let found: Vec<u64> = found.into_iter().map(f64::to_bits).collect();
            assert_eq!(found, expected, "{level}");
        }
        let mut found = values.clone();
        exp_all(&mut found);
        assert!(found.iter().zip(&expected).all(|(a, b)| a.to_bits() == *b));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn any_bits(bits: u64) {
            check(f64::from_bits(bits));
        }

        #[test]
        fn arguments_with_finite_results(x in -760.0..760.0f64) {
            check(x);
        }
    }
}
