//! Calculators on the [drift](super::drift) of a series, and the roots of a cubic polynomial.

use super::drift::Cubic;
use super::series::Series;

pub fn friedrich_coefficients(s: &Series<'_>, out: &mut [f64]) {
    out.copy_from_slice(&s.drift());
}

pub fn max_langevin_fixed_point(s: &Series<'_>) -> f64 {
    largest_root(s.drift())
}

/// Returns the largest real part of the roots of a cubic, the highest power first; NaN if there are none.
fn largest_root(coefficients: Cubic) -> f64 {
    if coefficients.iter().any(|c| !c.is_finite()) {
        return f64::NAN;
    }
    match coefficients {
        [0.0, 0.0, 0.0, _] => f64::NAN,
        [0.0, 0.0, a, b] => -b / a,
        [0.0, a, b, c] => quadratic(b / a, c / a),
        [a, b, c, d] => cubic(b / a, c / a, d / a),
    }
}

/// Returns the largest real part of the roots of x^2 + b x + c.
fn quadratic(b: f64, c: f64) -> f64 {
    let half = -0.5 * b;
    let square = half * half - c;
    if square <= 0.0 {
        return half;
    }
    // The root with the larger magnitude has no cancellation, and the product of both is c.
    if half >= 0.0 {
        half + square.sqrt()
    } else {
        c / (half - square.sqrt())
    }
}

/// Returns the largest real part of the roots of x^3 + a x^2 + b x + c.
fn cubic(a: f64, b: f64, c: f64) -> f64 {
    // x = y - a / 3 with y^3 + p y + q = 0.
    let third = a / 3.0;
    let p = b - a * third;
    let q = c + third * (2.0 * third * third - b);
    let square = 0.25 * q * q + p * p * p / 27.0;
    let start = if square > 0.0 {
        let sum = -0.5 * q - square.sqrt().copysign(q);
        let y = libm::cbrt(sum);
        y - p / (3.0 * y)
    } else {
        // Three real roots; this is the largest.
        let radius = (-p / 3.0).sqrt();
        let angle = libm::acos((-0.5 * q / (radius * radius * radius)).clamp(-1.0, 1.0));
        2.0 * radius * libm::cos(angle / 3.0)
    };
    let start = if start.is_finite() { start } else { 0.0 };
    let root = polished(start - third, [a, b, c]);
    if square <= 0.0 {
        return root;
    }
    // The other two roots have the product -c / root and the sum -a - root.
    let pair = match root * root > b.abs() {
        true => (b + c / root) / root,
        false => -a - root,
    };
    root.max(0.5 * pair)
}

/// Improves a root by Newton's method, as long as that makes the polynomial smaller.
fn polished(mut root: f64, [a, b, c]: [f64; 3]) -> f64 {
    let value = |x: f64| ((x + a) * x + b) * x + c;
    for _ in 0..10 {
        let slope = (3.0 * root + 2.0 * a) * root + b;
        let next = root - value(root) / slope;
        // Also not for NaN.
        let nearer = value(next).abs() < value(root).abs();
        if !nearer {
            break;
        }
        root = next;
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() < 1e-12 * expected.abs().max(1.0),
            "{found} {expected}"
        );
    }

    #[test]
    fn the_largest_root_is_found_whatever_the_others_are() {
        // From the roots: three real ones; one and a pair that is larger or smaller; far apart.
        for roots in [
            [1.0, 2.0, 3.0],
            [-5.0, -1.0, -0.5],
            [-1e6, 0.25, 0.5],
            [0.0, 0.0, 2.0],
            [-3.0, 0.0, 0.0],
        ] {
            let [r, s, t] = roots;
            let found = cubic(-(r + s + t), r * s + r * t + s * t, -r * s * t);
            close(found, roots.into_iter().fold(f64::NEG_INFINITY, f64::max));
        }
        for (real, part, imaginary) in [
            (2.0, 1.0, 3.0),
            (-2.0, 1.5, 0.5),
            (-1e6, 0.25, 2.0),
            (1e5, -3.0, 1.0),
        ] {
            let norm = part * part + imaginary * imaginary;
            let found = cubic(-real - 2.0 * part, norm + 2.0 * part * real, -real * norm);
            close(found, f64::max(real, part));
        }
    }

    #[test]
    fn polynomials_of_lower_degree_have_roots_too() {
        close(largest_root([0.0, 0.0, 2.0, -3.0]), 1.5);
        close(largest_root([0.0, 1.0, -3.0, 2.0]), 2.0);
        close(largest_root([0.0, 1.0, 3.0, 2.0]), -1.0);
        close(largest_root([0.0, 1.0, -2.0, 5.0]), 1.0);
        close(largest_root([1.0, 0.0, 0.0, 0.0]), 0.0);
        assert!(largest_root([0.0, 0.0, 0.0, 1.0]).is_nan());
        assert!(largest_root([f64::NAN, 0.0, 0.0, 1.0]).is_nan());
        assert!(!largest_root([f64::MAX, -f64::MAX, 1.0, f64::MIN_POSITIVE]).is_infinite());
    }
}
