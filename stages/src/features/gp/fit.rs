//! The hyper-parameters that are most probable.

use super::covariance::{Covariance, HYPER, Likelihood, Matrices, Smoothness, means};
use super::points::Points;
use crate::numeric::cholesky::Lanes;

/// Normal priors of the logarithms of amplitude, length in time and length in wavelength. A width below
/// [`FIXED`] keeps a parameter at its mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Priors {
    pub mean: [f64; HYPER],
    pub width: [f64; HYPER],
}

/// The width of a prior below which its parameter is fixed.
const FIXED: f64 = 1e-6;

/// The bounds of amplitude (as a logarithm), length in time (days) and in wavelength (angstrom).
const AMPLITUDES: (f64, f64) = (-4.0, 4.0);
const TIMES: (f64, f64) = (2.0, 1500.0);
const WAVELENGTHS: (f64, f64) = (800.0, 60_000.0);

/// The search ends when the log-posterior is within this of its maximum, by the quadratic model.
const TOLERANCE: f64 = 1e-3;

/// The most covariance matrices that are factored.
const MOST_EVALUATIONS: usize = 25;

/// The longest step of a parameter.
const LONGEST_STEP: f64 = 1.5;

impl Priors {
    fn bounds() -> [(f64, f64); HYPER] {
        let logs = |(low, high): (f64, f64)| (libm::log(low), libm::log(high));
        [AMPLITUDES, logs(TIMES), logs(WAVELENGTHS)]
    }

    /// Puts parameters within their bounds, or at the mean of their prior if that has no width.
    fn clamp(&self, theta: [f64; HYPER]) -> [f64; HYPER] {
        let bounds = Priors::bounds();
        std::array::from_fn(|p| {
            if self.width[p] < FIXED {
                self.mean[p]
            } else {
                theta[p].clamp(bounds[p].0, bounds[p].1)
            }
        })
    }

    /// The precision of a parameter's prior; 0 if it is fixed.
    fn precision(&self, p: usize) -> f64 {
        if self.width[p] < FIXED {
            0.0
        } else {
            1.0 / (self.width[p] * self.width[p])
        }
    }

    /// The logarithm of the prior, without constants.
    fn value(&self, theta: &[f64; HYPER]) -> f64 {
        let term = |p: usize| {
            let d = theta[p] - self.mean[p];
            -0.5 * (d * d) * self.precision(p)
        };
        (0..HYPER).map(term).sum()
    }
}

/// A Gaussian process that was fitted to points.
#[derive(Clone, Debug)]
pub(super) struct Fit {
    pub covariance: Covariance,
    pub points: Points,
    alpha: Vec<Lanes>,
    /// The log-likelihood of the scaled fluxes, without the constant `-n ln(2 pi) / 2`.
    pub likelihood: f64,
    /// The number of covariance matrices that were factored.
    #[cfg(test)]
    pub evaluations: usize,
}

/// A place of the search.
struct Place {
    theta: [f64; HYPER],
    posterior: f64,
    likelihood: Likelihood,
}

/// The search for the largest posterior.
struct Search<'a> {
    priors: &'a Priors,
    smoothness: Smoothness,
    points: &'a Points,
    matrices: &'a mut Matrices,
    evaluations: usize,
}

impl Fit {
    /// Finds the hyper-parameters from `start` by Newton's method with the average information. The
    /// step is halved where the posterior does not grow. Returns `None` if no covariance matrix at the
    /// start is positive definite in f64.
    pub(super) fn find(
        points: &Points,
        smoothness: Smoothness,
        priors: &Priors,
        start: [f64; HYPER],
        matrices: &mut Matrices,
    ) -> Option<Fit> {
        let mut search = Search {
            priors,
            smoothness,
            points,
            matrices,
            evaluations: 0,
        };
        let mut place = search.place(priors.clamp(start), f64::NEG_INFINITY)?;
        while search.evaluations < MOST_EVALUATIONS {
            let Some((step, gain)) = search.newton(&place) else {
                break;
            };
            if 0.5 * gain < TOLERANCE {
                break;
            }
            let Some(next) = search.along(&place, &step, gain) else {
                break;
            };
            place = next;
        }
        #[cfg(test)]
        let evaluations = search.evaluations;
        Some(Fit {
            covariance: search.covariance(place.theta),
            points: points.clone(),
            alpha: place.likelihood.alpha,
            likelihood: place.likelihood.value,
            #[cfg(test)]
            evaluations,
        })
    }

    /// The mean flux at Modified Julian Dates and wavelengths in angstrom.
    pub(super) fn means(&self, at: &[(f64, f64)]) -> Vec<f64> {
        let at = self.relative(at);
        let mut found = means(&self.covariance, (&self.points, &self.alpha), &at);
        for value in &mut found {
            *value *= self.points.scale;
        }
        found
    }

    /// Mean flux and its standard error at Modified Julian Dates and wavelengths in angstrom.
    pub(super) fn predict(&self, at: &[(f64, f64)], matrices: &mut Matrices) -> Vec<(f64, f64)> {
        // The last matrix of the search may be one that was not taken.
        let least = f64::INFINITY;
        let _ = matrices.likelihood(&self.covariance, &self.points, least);
        let at = self.relative(at);
        let scale = self.points.scale;
        let found = matrices.predict(&self.covariance, (&self.points, &self.alpha), &at);
        let scaled = found
            .into_iter()
            .map(|(mean, variance)| (mean * scale, variance.sqrt() * scale));
        scaled.collect()
    }

    fn relative(&self, at: &[(f64, f64)]) -> Vec<(f64, f64)> {
        at.iter()
            .map(|&(time, wavelength)| (self.points.relative(time), wavelength))
            .collect()
    }
}

impl Search<'_> {
    fn covariance(&self, theta: [f64; HYPER]) -> Covariance {
        Covariance {
            smoothness: self.smoothness,
            theta,
        }
    }

    /// Evaluates the posterior. There are derivatives if it is at least `least`.
    fn place(&mut self, theta: [f64; HYPER], least: f64) -> Option<Place> {
        self.evaluations += 1;
        let prior = self.priors.value(&theta);
        let covariance = self.covariance(theta);
        let likelihood = self
            .matrices
            .likelihood(&covariance, self.points, least - prior)?;
        Some(Place {
            theta,
            posterior: likelihood.value + prior,
            likelihood,
        })
    }

    /// Newton's step, and how much the posterior grows along it at first. `None` if nothing can move.
    fn newton(&self, place: &Place) -> Option<([f64; HYPER], f64)> {
        let derivatives = place.likelihood.derivatives.as_ref()?;
        let (mut gradient, mut matrix) = (derivatives.gradient, derivatives.information);
        let bounds = Priors::bounds();
        let mut free = [true; HYPER];
        for p in 0..HYPER {
            let precision = self.priors.precision(p);
            gradient[p] -= (place.theta[p] - self.priors.mean[p]) * precision;
            matrix[p][p] += precision;
            free[p] = precision > 0.0;
        }
        // A parameter that a step would take out of its bounds stays there, and the others move without it.
        for _ in 0..HYPER {
            let step = solve(&matrix, &gradient, &free)?;
            let (low, high): (Vec<f64>, Vec<f64>) = bounds.iter().copied().unzip();
            let blocked = (0..HYPER).find(|&p| {
                free[p]
                    && (place.theta[p] <= low[p] && step[p] < 0.0
                        || place.theta[p] >= high[p] && step[p] > 0.0)
            });
            let Some(blocked) = blocked else {
                let longest = step.iter().fold(0.0, |m: f64, s| m.max(s.abs()));
                let shrink = LONGEST_STEP / longest.max(LONGEST_STEP);
                let step = step.map(|s| s * shrink);
                let gain = step.iter().zip(&gradient).map(|(s, g)| s * g).sum();
                return Some((step, gain));
            };
            free[blocked] = false;
        }
        None
    }

    /// The first place along a step, or a shorter one, where the posterior has grown enough.
    fn along(&mut self, from: &Place, step: &[f64; HYPER], gain: f64) -> Option<Place> {
        let mut length = 1.0;
        while self.evaluations < MOST_EVALUATIONS {
            let theta = std::array::from_fn(|p| from.theta[p] + length * step[p]);
            let theta = self.priors.clamp(theta);
            let least = from.posterior + 1e-4 * length * gain;
            let place = self.place(theta, least);
            let grown = place.as_ref().map(|p| p.posterior - from.posterior);
            if let Some(place) = place.filter(|p| p.likelihood.derivatives.is_some()) {
                return Some(place);
            }
            // The maximum of the parabola through both places and the slope at the first one.
            let parabola =
                grown.map_or(0.25, |grown| 0.5 * gain * length / (gain * length - grown));
            length *= parabola.clamp(0.1, 0.5);
            if length * gain < TOLERANCE {
                return None;
            }
        }
        None
    }
}

/// Solves `matrix x = rhs` for the parameters that are free; the others are 0. Returns `None` if the matrix
/// is not positive definite or no parameter is free.
fn solve(
    matrix: &[[f64; HYPER]; HYPER],
    rhs: &[f64; HYPER],
    free: &[bool; HYPER],
) -> Option<[f64; HYPER]> {
    let (mut a, mut x) = (*matrix, *rhs);
    for p in 0..HYPER {
        if !free[p] {
            a[p] = [0.0; HYPER];
            a.iter_mut().for_each(|row| row[p] = 0.0);
            (a[p][p], x[p]) = (1.0, 0.0);
        }
    }
    for p in 0..HYPER {
        let pivot = a[p][p];
        if !(pivot > 0.0 && pivot.is_finite()) {
            return None;
        }
        for q in p + 1..HYPER {
            let factor = a[q][p] / pivot;
            let row = a[p];
            for (to, from) in a[q].iter_mut().zip(&row).skip(p) {
                *to -= factor * from;
            }
            x[q] -= factor * x[p];
        }
    }
    for p in (0..HYPER).rev() {
        for q in p + 1..HYPER {
            x[p] -= a[p][q] * x[q];
        }
        x[p] /= a[p][p];
    }
    let possible = x.iter().all(|v| v.is_finite()) && free.contains(&true);
    possible.then_some(x)
}
