//! The minimum of a function of one variable.

/// The share of an interval that a golden section leaves out: `(3 - sqrt(5)) / 2`.
const GOLDEN: f64 = 0.381_966_011_250_105_1;

/// The most evaluations of a search. Golden sections alone need 90 to narrow an interval by 1e-18.
const MOST_EVALUATIONS: usize = 200;

/// Three points that a search keeps, each with its value: the best so far, the second best, and the
/// second best before that.
struct Best {
    at: [f64; 3],
    value: [f64; 3],
}

impl Best {
    /// Returns the step from the best point to the minimum of the parabola through all three, as numerator
    /// and denominator. The denominator is not negative.
    fn parabola(&self) -> (f64, f64) {
        let [x, w, v] = self.at;
        let [fx, fw, fv] = self.value;
        let r = (x - w) * (fx - fv);
        let q = (x - v) * (fx - fw);
        let p = (x - v) * q - (x - w) * r;
        let q = 2.0 * (q - r);
        if q > 0.0 { (-p, q) } else { (p, -q) }
    }

    /// Takes in a point that is no better than the best.
    fn worse(&mut self, at: f64, value: f64) {
        let [x, w, v] = self.at;
        if value <= self.value[1] || w == x {
            (self.at[2], self.value[2]) = (w, self.value[1]);
            (self.at[1], self.value[1]) = (at, value);
        } else if value <= self.value[2] || v == x || v == w {
            (self.at[2], self.value[2]) = (at, value);
        }
    }
}

/// Returns where `f` is least between `low` and `high`, to about `tolerance`: golden sections, and parabolas
/// where they converge (Brent 1973, "Algorithms for minimization without derivatives", chapter 5). If `f` has
/// several minima, it is one of them. A value that is NaN counts as infinite.
pub fn minimum(mut low: f64, mut high: f64, tolerance: f64, f: impl Fn(f64) -> f64) -> f64 {
    let value = |x: f64| {
        let y = f(x);
        if y.is_nan() { f64::INFINITY } else { y }
    };
    let start = low + GOLDEN * (high - low);
    let first = value(start);
    let mut best = Best {
        at: [start; 3],
        value: [first; 3],
    };
    let (mut step, mut before) = (0.0_f64, 0.0_f64);
    for _ in 1..MOST_EVALUATIONS {
        let x = best.at[0];
        let middle = 0.5 * (low + high);
        let least = f64::EPSILON.sqrt() * x.abs() + tolerance / 3.0;
        if (x - middle).abs() <= 2.0 * least - 0.5 * (high - low) {
            break;
        }
        let (p, q) = best.parabola();
        let fits = before.abs() > least
            && p.abs() < (0.5 * q * before).abs()
            && p > q * (low - x)
            && p < q * (high - x);
        (step, before) = if fits {
            let mut next = p / q;
            // It must not be evaluated too near to the ends.
            if (x + next) - low < 2.0 * least || high - (x + next) < 2.0 * least {
                next = if middle >= x { least } else { -least };
            }
            (next, step)
        } else {
            let rest = if x >= middle { low - x } else { high - x };
            (GOLDEN * rest, rest)
        };
        let at = x + if step.abs() >= least {
            step
        } else {
            least.copysign(step)
        };
        let here = value(at);
        if here <= best.value[0] {
            if at >= x {
                low = x
            } else {
                high = x
            }
            best.at = [at, x, best.at[1]];
            best.value = [here, best.value[0], best.value[1]];
        } else {
            if at < x {
                low = at
            } else {
                high = at
            }
            best.worse(at, here);
        }
    }
    best.at[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minima_inside_and_at_the_ends_are_found() {
        let inside = minimum(-3.0, 5.0, 1e-10, |x| (x - 1.25) * (x - 1.25) + 2.0);
        assert!((inside - 1.25).abs() < 1e-7, "{inside}");
        let steep = minimum(0.0, 4.0, 1e-10, |x| libm::exp(x) - 3.0 * x);
        assert!((steep - libm::log(3.0)).abs() < 1e-7, "{steep}");
        let end = minimum(2.0, 4.0, 1e-10, |x| x);
        assert!((end - 2.0).abs() < 1e-6, "{end}");
    }

    #[test]
    fn odd_functions_end_the_search() {
        assert!(minimum(-1.0, 1.0, 1e-9, |_| f64::NAN).abs() <= 1.0);
        assert!(minimum(-1.0, 1.0, 1e-9, |_| 0.0).abs() <= 1.0);
        let wall = minimum(0.0, 1.0, 1e-9, |x| if x < 0.5 { f64::NAN } else { x });
        assert!((wall - 0.5).abs() < 1e-6, "{wall}");
        assert_eq!(minimum(2.0, 2.0, 0.0, |x| x), 2.0);
    }
}
