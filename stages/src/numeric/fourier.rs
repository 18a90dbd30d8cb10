//! The discrete Fourier transform of real series of any length.
//!
//! The length is divided by its prime factors, the least first (Cooley and Tukey 1965, Math. Comp. 19, 297). The cost is
//! proportional to n times the sum of the factors, so it is quadratic if n is a prime, some 10 ms for 5,003 values. That is
//! bounded well enough for light curves, and keeps the code free of a second algorithm.

use std::f64::consts::FRAC_PI_4;

/// A complex number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Complex {
    /// The real part.
    pub re: f64,
    /// The imaginary part.
    pub im: f64,
}

impl Complex {
    /// Returns the absolute value.
    pub fn abs(self) -> f64 {
        libm::hypot(self.re, self.im)
    }

    fn times(self, other: Complex) -> Complex {
        Complex {
            re: self.re * other.re - self.im * other.im,
            im: self.re * other.im + self.im * other.re,
        }
    }

    /// Adds another number times a real one.
    fn plus(self, other: Complex, scale: f64) -> Complex {
        Complex {
            re: self.re + scale * other.re,
            im: self.im + scale * other.im,
        }
    }
}

/// The transform of a certain length.
#[derive(Clone, Debug)]
pub struct Fourier {
    /// exp(-2 pi i k / n) for k from 0 to n - 1.
    roots: Vec<Complex>,
    /// The prime factors of n, ascending.
    factors: Vec<usize>,
}

impl Fourier {
    /// Prepares the transform of `n` values, at least one.
    pub fn new(n: usize) -> Fourier {
        let roots = (0..n).map(|k| root(k, n)).collect();
        let (mut factors, mut rest, mut factor) = (Vec::new(), n, 2);
        while rest > 1 {
            if factor * factor > rest {
                factor = rest;
            }
            while rest.is_multiple_of(factor) {
                factors.push(factor);
                rest /= factor;
            }
            factor += 1;
        }
        Fourier { roots, factors }
    }

    /// Returns the number of values that it transforms.
    pub fn len(&self) -> usize {
        self.roots.len()
    }

    /// Returns true if it transforms nothing.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// Returns the coefficients from frequency 0 to n / 2 (rounded down), the sums of x_j exp(-2 pi i j k / n). Coefficients
    /// that are real for any real series are exactly real.
    ///
    /// # Panics
    /// If there are not as many values as it was made for.
    pub fn real(&self, x: &[f64]) -> Vec<Complex> {
        let n = self.len();
        assert_eq!(x.len(), n, "the values of the transform");
        let mut out = vec![Complex::default(); n];
        let mut terms = vec![Complex::default(); self.factors.last().copied().unwrap_or(1)];
        self.pass(
            Part {
                x,
                stride: 1,
                level: 0,
            },
            &mut out,
            &mut terms,
        );
        out.truncate(n / 2 + 1);
        if let Some(first) = out.first_mut() {
            first.im = 0.0;
        }
        if n.is_multiple_of(2) && n > 0 {
            out[n / 2].im = 0.0;
        }
        out
    }

    /// Transforms every `stride`-th value, as many as `out` has room for.
    fn pass(&self, part: Part<'_>, out: &mut [Complex], terms: &mut [Complex]) {
        let n = out.len();
        let Some(&factor) = self.factors.get(part.level) else {
            out[0].re = part.x[0];
            return;
        };
        let m = n / factor;
        for (r, out) in out.chunks_exact_mut(m).enumerate() {
            let inner = Part {
                x: &part.x[r * part.stride..],
                stride: part.stride * factor,
                level: part.level + 1,
            };
            self.pass(inner, out, terms);
        }
        let whole = self.roots.len();
        for k in 0..m {
            for (r, term) in terms[..factor].iter_mut().enumerate() {
                *term = out[r * m + k].times(self.roots[r * k * part.stride % whole]);
            }
            self.combine(&mut terms[..factor], |q, sum| out[q * m + k] = sum);
        }
    }

    /// Transforms as many values as one of the factors, which are overwritten. Terms that mirror each other are added and
    /// subtracted first, so that what cancels in a constant series or a short period cancels exactly.
    fn combine(&self, terms: &mut [Complex], mut put: impl FnMut(usize, Complex)) {
        let factor = terms.len();
        if factor == 2 {
            put(0, terms[0].plus(terms[1], 1.0));
            put(1, terms[0].plus(terms[1], -1.0));
            return;
        }
        let half = factor / 2;
        for r in 1..=half {
            let (one, other) = (terms[r], terms[factor - r]);
            terms[r] = one.plus(other, 1.0);
            terms[factor - r] = one.plus(other, -1.0);
        }
        put(
            0,
            terms[1..=half]
                .iter()
                .fold(terms[0], |sum, term| sum.plus(*term, 1.0)),
        );
        let whole = self.roots.len();
        for q in 1..=half {
            let (mut even, mut odd) = (terms[0], Complex::default());
            let (mut at, step) = (0, q * (whole / factor));
            for r in 1..=half {
                at += step;
                if at >= whole {
                    at -= whole;
                }
                let root = self.roots[at];
                even = even.plus(terms[r], root.re);
                odd = odd.plus(terms[factor - r], root.im);
            }
            let turned = Complex {
                re: -odd.im,
                im: odd.re,
            };
            put(q, even.plus(turned, 1.0));
            put(factor - q, even.plus(turned, -1.0));
        }
    }
}

/// The values that a pass begins with, `stride` apart, and which of the factors it is about.
#[derive(Clone, Copy)]
struct Part<'a> {
    x: &'a [f64],
    stride: usize,
    level: usize,
}

/// Returns exp(-2 pi i k / n). The angle is folded into an eighth of the circle, so that multiples of a right angle are exact
/// and roots that mirror each other are so to the last bit.
fn root(k: usize, n: usize) -> Complex {
    // In units of an eighth of the circle over n.
    let mut angle = 8 * k;
    let below = angle > 4 * n;
    if below {
        angle = 8 * n - angle;
    }
    let left = angle > 2 * n;
    if left {
        angle = 4 * n - angle;
    }
    let steep = angle > n;
    if steep {
        angle = 2 * n - angle;
    }
    let theta = FRAC_PI_4 * (angle as f64 / n as f64);
    let (mut cos, mut sin) = (libm::cos(theta), libm::sin(theta));
    if 3 * angle == 2 * n {
        // The sine of 30 degrees, which is rounded otherwise.
        sin = 0.5;
    }
    if steep {
        std::mem::swap(&mut cos, &mut sin);
    }
    Complex {
        re: if left { -cos } else { cos },
        im: if below { sin } else { -sin },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, with the angle of each term by itself.
    fn definition(x: &[f64], k: usize) -> (f64, f64) {
        let n = x.len();
        let angle = |j: usize| std::f64::consts::TAU * (j * k % n) as f64 / n as f64;
        let re = x.iter().enumerate().map(|(j, x)| x * libm::cos(angle(j)));
        let im = x.iter().enumerate().map(|(j, x)| -x * libm::sin(angle(j)));
        (re.sum(), im.sum())
    }

    #[test]
    fn it_is_the_definition_at_any_length() {
        for n in (1..80).chain([97, 121, 128, 210, 256, 343, 499]) {
            let x: Vec<f64> = (0..n)
                .map(|i| f64::from((i * i * 7 + i) % 23) - 9.5)
                .collect();
            let found = Fourier::new(x.len()).real(&x);
            assert_eq!(found.len(), x.len() / 2 + 1);
            for (k, found) in found.iter().enumerate() {
                let (re, im) = definition(&x, k);
                let far = (found.re - re).abs().max((found.im - im).abs());
                assert!(far < 1e-11 * x.len() as f64, "{n} {k}: {found:?} {re} {im}");
            }
        }
    }

    #[test]
    fn what_is_real_is_exactly_so() {
        for n in 1..40 {
            let x: Vec<f64> = (0..n).map(|i| libm::sin(f64::from(i))).collect();
            let found = Fourier::new(x.len()).real(&x);
            assert_eq!(found[0].im, 0.0);
            assert!(n % 2 == 1 || found[x.len() / 2].im == 0.0);
        }
        let right = root(3, 12);
        assert_eq!((right.re.abs(), right.im), (0.0, -1.0));
        assert_eq!(root(6, 12).re, -1.0);
    }

    #[test]
    fn a_wave_has_one_coefficient() {
        let x: Vec<f64> = (0..4_999)
            .map(|i| libm::cos(std::f64::consts::TAU * 7.0 * f64::from(i) / 4_999.0))
            .collect();
        let found = Fourier::new(x.len()).real(&x);
        assert!((found[7].re - 2_499.5).abs() < 1e-8);
        assert!(
            found
                .iter()
                .enumerate()
                .all(|(k, c)| k == 7 || c.abs() < 1e-8)
        );
    }
}
