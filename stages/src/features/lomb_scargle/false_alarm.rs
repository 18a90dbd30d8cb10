//! How likely noise alone has a peak as high, in a periodogram of many frequencies.

use libm::{exp, expm1, lgamma, log, log1p};

/// Returns the decimal logarithm of an upper bound of the probability that the largest power of noise reaches
/// `power`, for `points` points in `bands` bands.
///
/// At one frequency, the power of noise has a beta distribution with `2 bands` and `points - 3 bands` degrees of
/// freedom. Over all of them, the expected number of times that it rises above `power` is added: the bound of
/// Davies in Baluev (2008), equations 5 and 6. For more than one band it is the same with more degrees of
/// freedom, from Rice's formula:
/// `W Gamma((K + d) / 2) / (Gamma(d / 2) Gamma((K + 1) / 2)) P^((d - 1) / 2) (1 - P)^((K - 1) / 2)`
/// with d and K degrees of freedom and the effective number W of frequencies, `bandwidth`.
pub fn log10_false_alarm(power: f64, points: usize, bands: usize, bandwidth: f64) -> f64 {
    let free = points as f64 - 3.0 * bands as f64;
    let fitted = 2.0 * bands as f64;
    let power = power.min(1.0 - 1e-15);
    let left = log1p(-power);
    let crossings = log(bandwidth) + lgamma((free + fitted) / 2.0)
        - lgamma(fitted / 2.0)
        - lgamma((free + 1.0) / 2.0)
        + (fitted - 1.0) / 2.0 * log(power)
        + (free - 1.0) / 2.0 * left;
    let single = ln_single(power, free, bands);
    let larger = crossings.max(single);
    let sum = larger + log1p(exp(crossings.min(single) - larger));
    let ln = if sum < -20.0 {
        sum
    } else {
        // 1 - (1 - single) exp(-crossings)
        let none = log1p(-exp(single).min(1.0 - 1e-15)) - exp(crossings.min(700.0));
        log(-expm1(none))
    };
    ln / std::f64::consts::LN_10
}

/// The logarithm of the probability that a beta variable with `2 bands` and `free` degrees of freedom is at least
/// `power`: a sum of `bands` terms (Abramowitz and Stegun, 26.5.4).
fn ln_single(power: f64, free: f64, bands: usize) -> f64 {
    let half = free / 2.0;
    let terms = (0..bands).map(|k| {
        let k = k as f64;
        exp(lgamma(half + k) - lgamma(half) - lgamma(k + 1.0) + k * log(power))
    });
    log(terms.sum()) + half * log1p(-power)
}
