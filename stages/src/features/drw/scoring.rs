//! The most probable parameters of a model: Fisher's scoring with damped, bounded steps.

use super::model::{Model, Prior};
use super::walk::{Evaluation, Points};
use crate::numeric::linear::solve_in_place;

/// The parameters that were found, with what the likelihood is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The model that was fitted.
    pub model: Model,
    /// The parameters, in the order of the model.
    pub at: Vec<f64>,
    /// `-ln(likelihood * prior)`, up to a constant.
    pub cost: f64,
    /// The likelihood and its derivatives at `at`.
    pub evaluation: Evaluation,
}

/// A step that lowers the cost by less than this ends the search.
const LEAST_GAIN: f64 = 1e-3;

/// Searches the parameters with the lowest cost, from `start`, with at most `evaluations` passes over the points.
///
/// The curvature is Fisher's information, which needs no second derivatives, is never negative, and for a model
/// without a walk is that of Gauss and Newton. Steps are damped after Levenberg and Marquardt. A parameter at a
/// bound stays there while the gradient holds it there.
pub fn maximize(
    model: Model,
    priors: &[Prior],
    start: &[f64],
    points: &Points,
    evaluations: usize,
) -> Fit {
    let bound = |value: f64, prior: &Prior| value.clamp(prior.least, prior.most);
    let at: Vec<f64> = start
        .iter()
        .zip(priors)
        .map(|(v, p)| bound(*v, p))
        .collect();
    let mut best = Fit::new(model, at, priors, points, Evaluation::default());
    let mut spare = Evaluation::default();
    let mut damping = 1e-3;
    for _ in 1..evaluations {
        let Some(step) = step(&best, priors, damping) else {
            break;
        };
        let moved = best.at.iter().zip(&step).zip(priors);
        let at = moved.map(|((v, s), p)| bound(v - s, p)).collect();
        let next = Fit::new(model, at, priors, points, spare);
        let gain = best.cost - next.cost;
        if gain > 0.0 {
            spare = std::mem::replace(&mut best, next).evaluation;
            damping = f64::max(damping * 0.2, 1e-9);
            if gain < LEAST_GAIN {
                break;
            }
        } else {
            spare = next.evaluation;
            damping *= 10.0;
            if damping > 1e6 {
                break;
            }
        }
    }
    best
}

impl Fit {
    /// Evaluates a model at some parameters. The memory of `evaluation` is used.
    fn new(
        model: Model,
        at: Vec<f64>,
        priors: &[Prior],
        points: &Points,
        mut evaluation: Evaluation,
    ) -> Self {
        evaluation.update(&model, &at, points);
        let penalty = at.iter().zip(priors).map(|(value, prior)| {
            let units = (value - prior.center) / prior.width;
            units * units / 2.0
        });
        Self {
            model,
            cost: penalty.sum::<f64>() - evaluation.ln_likelihood,
            at,
            evaluation,
        }
    }
}

/// Returns what to subtract from the parameters; `None` if the equations have no solution.
fn step(fit: &Fit, priors: &[Prior], damping: f64) -> Option<Vec<f64>> {
    let n = fit.at.len();
    let mut gradient = fit.evaluation.gradient.clone();
    let mut curvature = fit.evaluation.information.clone();
    for (i, prior) in priors.iter().enumerate() {
        let precision = 1.0 / (prior.width * prior.width);
        gradient[i] += (fit.at[i] - prior.center) * precision;
        curvature[i * n + i] += precision;
        curvature[i * n + i] *= 1.0 + damping;
    }
    for (i, prior) in priors.iter().enumerate() {
        let held = (fit.at[i] <= prior.least && gradient[i] > 0.0)
            || (fit.at[i] >= prior.most && gradient[i] < 0.0);
        if held {
            gradient[i] = 0.0;
            curvature[i * n..i * n + i].fill(0.0);
            for row in i + 1..n {
                curvature[row * n + i] = 0.0;
            }
        }
    }
    solve_in_place(&mut curvature, &mut gradient).then_some(gradient)
}
