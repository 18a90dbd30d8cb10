//! Nonlinear least squares with bounds and Gaussian priors, for a handful of unknowns.
//!
//! The method is that of Levenberg (1944) and Marquardt (1963): Gauss-Newton steps whose matrix has a
//! multiple of its own diagonal added to it. The multiple follows the ratio of what a step gained to what it
//! promised (Nielsen 1999, "Damping parameter in Marquardt's method", IMM-REP-1999-05, equation 2.4). A step
//! is cut off at the bounds, and an unknown that a bound holds back takes no part in it. The work is bounded
//! by the number of evaluations.

/// The most unknowns that a problem may have.
pub const MOST_UNKNOWNS: usize = 10;

/// A value for each unknown. Places beyond the number of unknowns are not used.
pub type PerUnknown = [f64; MOST_UNKNOWNS];

/// The largest damping that is tried. Steps are then too short to change anything.
const MOST_DAMPING: f64 = 1e8;

/// Sums of squares of residuals `r` at one point, with the derivatives `J` of the residuals.
#[derive(Clone, Debug)]
pub struct NormalEquations {
    /// The sum of `r^2`.
    pub cost: f64,
    /// `J^T r`, half the gradient of the cost.
    pub gradient: PerUnknown,
    /// `J^T J`, of which only the lower triangle is read.
    pub matrix: [PerUnknown; MOST_UNKNOWNS],
}

impl Default for NormalEquations {
    fn default() -> Self {
        Self {
            cost: 0.0,
            gradient: [0.0; MOST_UNKNOWNS],
            matrix: [[0.0; MOST_UNKNOWNS]; MOST_UNKNOWNS],
        }
    }
}

/// A sum of squares that is to be made least.
pub trait LeastSquaresProblem {
    /// Writes the normal equations of the residuals at a point, without priors. The cost may be NaN or
    /// infinite where the model has no value. There is never a step to such a point.
    fn evaluate(&mut self, at: &[f64], into: &mut NormalEquations);
}

/// What is known of an unknown beforehand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prior {
    /// The center of its normal distribution.
    pub mean: f64,
    /// The standard deviation of that distribution; infinite without a prior.
    pub width: f64,
    /// Its least value.
    pub lower: f64,
    /// Its greatest value.
    pub upper: f64,
}

impl Prior {
    /// The residual that the prior adds, and its derivative.
    fn residual(&self, value: f64) -> (f64, f64) {
        let slope = 1.0 / self.width;
        // With an infinite width, the mean does not matter, even if it is not finite.
        if slope > 0.0 {
            ((value - self.mean) * slope, slope)
        } else {
            (0.0, 0.0)
        }
    }
}

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stopping {
    /// The most evaluations, which is at least 1.
    pub evaluations: usize,
    /// The gain, relative to 1 plus the cost, at or below which the point counts as the minimum.
    pub tolerance: f64,
}

/// The best point that was found.
#[derive(Clone, Debug)]
pub struct Minimum {
    /// The values of the unknowns.
    pub at: PerUnknown,
    /// The normal equations there, with the priors.
    pub equations: NormalEquations,
    /// The number of evaluations.
    pub evaluations: usize,
    /// True if the search ended because no step gained anything worth having.
    pub converged: bool,
}

impl Minimum {
    /// The standard errors of the unknowns: the roots of the diagonal of the inverse of `J^T J`. NaN where
    /// the matrix is singular.
    pub fn errors(&self, unknowns: usize) -> PerUnknown {
        let mut errors = [f64::NAN; MOST_UNKNOWNS];
        let Some(factor) = Cholesky::of(&self.equations.matrix, unknowns) else {
            return errors;
        };
        for (k, error) in errors.iter_mut().enumerate().take(unknowns) {
            let mut unit = [0.0; MOST_UNKNOWNS];
            unit[k] = 1.0;
            *error = factor.solve(unit)[k].sqrt();
        }
        errors
    }
}

/// Searches from `start` for the least sum of squares of the problem's residuals and those of the priors,
/// which has one prior for each unknown. Values of `start` outside the bounds are moved to them.
///
/// # Panics
/// If there are more than [`MOST_UNKNOWNS`].
pub fn minimize(
    problem: &mut impl LeastSquaresProblem,
    priors: &[Prior],
    start: &[f64],
    stopping: Stopping,
) -> Minimum {
    let n = priors.len();
    assert!(n <= MOST_UNKNOWNS && start.len() == n, "one start a prior");
    let mut at = [0.0; MOST_UNKNOWNS];
    for ((at, start), prior) in at.iter_mut().zip(start).zip(priors) {
        *at = start.clamp(prior.lower, prior.upper);
    }
    let mut best = Minimum {
        at,
        equations: evaluate(problem, priors, &at),
        evaluations: 1,
        converged: false,
    };
    let (mut damping, mut raise) = (1e-2, 2.0);
    while best.evaluations < stopping.evaluations && best.equations.cost.is_finite() {
        let Some(step) = step(&best, priors, damping) else {
            best.converged = true;
            break;
        };
        let next = evaluate(problem, priors, &step.to);
        best.evaluations += 1;
        let gain = best.equations.cost - next.cost;
        let worth = stopping.tolerance * (1.0 + best.equations.cost);
        if gain >= 0.0 {
            let ratio = gain / step.promise;
            let cube = (2.0 * ratio - 1.0) * (2.0 * ratio - 1.0) * (2.0 * ratio - 1.0);
            damping = (damping * (1.0 - cube).clamp(1.0 / 3.0, 2.0)).max(1e-10);
            raise = 2.0;
            best.at = step.to;
            best.equations = next;
        } else {
            // This is also the case if the cost is NaN.
            damping *= raise;
            raise *= 2.0;
        }
        if step.promise <= worth || damping > MOST_DAMPING {
            best.converged = true;
            break;
        }
    }
    best
}

fn evaluate(
    problem: &mut impl LeastSquaresProblem,
    priors: &[Prior],
    at: &PerUnknown,
) -> NormalEquations {
    let mut equations = NormalEquations::default();
    problem.evaluate(&at[..priors.len()], &mut equations);
    for (k, prior) in priors.iter().enumerate() {
        let (residual, slope) = prior.residual(at[k]);
        equations.cost += residual * residual;
        equations.gradient[k] += slope * residual;
        equations.matrix[k][k] += slope * slope;
    }
    equations
}

struct LeastSquaresStep {
    to: PerUnknown,
    /// How much the quadratic model of the cost falls.
    promise: f64,
}

/// Returns the damped step from the best point, cut off at the bounds; `None` if there is none.
fn step(best: &Minimum, priors: &[Prior], damping: f64) -> Option<LeastSquaresStep> {
    let n = priors.len();
    let NormalEquations {
        gradient, matrix, ..
    } = &best.equations;
    let mut damped = *matrix;
    let mut right = [0.0; MOST_UNKNOWNS];
    for k in 0..n {
        damped[k][k] += damping * matrix[k][k] + f64::MIN_POSITIVE;
        right[k] = -gradient[k];
        let prior = &priors[k];
        let held = (best.at[k] <= prior.lower && gradient[k] > 0.0)
            || (best.at[k] >= prior.upper && gradient[k] < 0.0);
        if held {
            for j in 0..n {
                damped[k.max(j)][k.min(j)] = 0.0;
            }
            damped[k][k] = 1.0;
            right[k] = 0.0;
        }
    }
    let step = Cholesky::of(&damped, n)?.solve(right);
    let mut to = best.at;
    let mut taken = [0.0; MOST_UNKNOWNS];
    for k in 0..n {
        to[k] = (best.at[k] + step[k]).clamp(priors[k].lower, priors[k].upper);
        taken[k] = to[k] - best.at[k];
    }
    let mut promise = 0.0;
    for k in 0..n {
        promise -= 2.0 * gradient[k] * taken[k];
        for j in 0..n {
            promise -= taken[k] * matrix[k.max(j)][k.min(j)] * taken[j];
        }
    }
    (promise > 0.0).then_some(LeastSquaresStep { to, promise })
}

/// The lower triangular factor of a positive definite matrix.
struct Cholesky {
    factor: [PerUnknown; MOST_UNKNOWNS],
    n: usize,
}

impl Cholesky {
    /// Factors the lower triangle of the first `n` rows; `None` if they are not positive definite.
    fn of(matrix: &[PerUnknown; MOST_UNKNOWNS], n: usize) -> Option<Self> {
        let mut factor = [[0.0; MOST_UNKNOWNS]; MOST_UNKNOWNS];
        for i in 0..n {
            for j in 0..=i {
                let products = factor[i][..j].iter().zip(&factor[j][..j]);
                let sum = products.fold(matrix[i][j], |sum, (a, b)| sum - a * b);
                if i > j {
                    factor[i][j] = sum / factor[j][j];
                } else if sum > 0.0 && sum.is_finite() {
                    factor[i][i] = sum.sqrt();
                } else {
                    return None;
                }
            }
        }
        Some(Self { factor, n })
    }

    fn solve(&self, mut right: PerUnknown) -> PerUnknown {
        for i in 0..self.n {
            for k in 0..i {
                right[i] -= self.factor[i][k] * right[k];
            }
            right[i] /= self.factor[i][i];
        }
        for i in (0..self.n).rev() {
            for k in i + 1..self.n {
                right[i] -= self.factor[k][i] * right[k];
            }
            right[i] /= self.factor[i][i];
        }
        right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Prior = Prior {
        mean: 0.0,
        width: f64::INFINITY,
        lower: f64::NEG_INFINITY,
        upper: f64::INFINITY,
    };
    const STOP: Stopping = Stopping {
        evaluations: 200,
        tolerance: 1e-24,
    };

    /// The sum of squares of any residuals, with their derivatives.
    struct Residuals<F>(F);

    impl<F: Fn(&[f64]) -> Vec<(f64, Vec<f64>)>> LeastSquaresProblem for Residuals<F> {
        fn evaluate(&mut self, at: &[f64], into: &mut NormalEquations) {
            for (residual, slopes) in (self.0)(at) {
                into.cost += residual * residual;
                for (k, a) in slopes.iter().enumerate() {
                    into.gradient[k] += a * residual;
                    for (j, b) in slopes.iter().enumerate() {
                        into.matrix[k][j] += a * b;
                    }
                }
            }
        }
    }

    /// The curved valley of Rosenbrock (1960).
    fn valley(at: &[f64]) -> Vec<(f64, Vec<f64>)> {
        vec![
            (10.0 * (at[1] - at[0] * at[0]), vec![-20.0 * at[0], 10.0]),
            (1.0 - at[0], vec![-1.0, 0.0]),
        ]
    }

    #[test]
    fn a_curved_valley_is_followed_to_its_end() {
        let found = minimize(&mut Residuals(valley), &[FREE; 2], &[-1.2, 1.0], STOP);
        assert!(found.converged && found.equations.cost < 1e-20, "{found:?}");
        assert!((found.at[0] - 1.0).abs() < 1e-9 && (found.at[1] - 1.0).abs() < 1e-9);
        let few = Stopping {
            evaluations: 3,
            ..STOP
        };
        let found = minimize(&mut Residuals(valley), &[FREE; 2], &[-1.2, 1.0], few);
        assert!(!found.converged && found.evaluations == 3, "{found:?}");
    }

    #[test]
    fn bounds_hold_and_priors_pull() {
        let bounded = Prior {
            lower: -2.0,
            upper: 0.5,
            ..FREE
        };
        let found = minimize(&mut Residuals(valley), &[bounded, FREE], &[-1.2, 1.0], STOP);
        assert!(found.converged, "{found:?}");
        assert!((found.at[0] - 0.5).abs() < 1e-9 && (found.at[1] - 0.25).abs() < 1e-9);
        // A measurement of 3 with error 1 and a prior of 0 with width 2: the mean by inverse variance.
        let line = |at: &[f64]| vec![(at[0] - 3.0, vec![1.0])];
        let prior = Prior { width: 2.0, ..FREE };
        let found = minimize(&mut Residuals(line), &[prior], &[9.0], STOP);
        assert!((found.at[0] - 2.4).abs() < 1e-9, "{found:?}");
        assert!((found.errors(1)[0] - 0.8f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn problems_without_values_or_slopes_end() {
        let nothing = |_: &[f64]| vec![(f64::NAN, vec![f64::NAN])];
        let found = minimize(&mut Residuals(nothing), &[FREE], &[1.0], STOP);
        assert!(found.equations.cost.is_nan() && found.evaluations == 1);
        assert!(found.errors(1)[0].is_nan());
        let flat = |_: &[f64]| vec![(1.0, vec![0.0])];
        let found = minimize(&mut Residuals(flat), &[FREE], &[1.0], STOP);
        assert_eq!((found.at[0], found.equations.cost), (1.0, 1.0));
        // To the right of 0.5, where the minimum would be, there is no value.
        let edge = |at: &[f64]| match at[0] {
            x if x > 0.5 => vec![(f64::NAN, vec![1.0])],
            x => vec![(x - 1.0, vec![1.0])],
        };
        let found = minimize(&mut Residuals(edge), &[FREE], &[0.0], STOP);
        assert!(found.at[0] <= 0.5 && found.at[0] > 0.45, "{found:?}");
    }
}
