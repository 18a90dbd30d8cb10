//! The fits of the four descriptions of one object, and where each begins.

use libm::log;

use super::DrwOptions;
use super::model::Model;
use super::scoring::{Fit, maximize};
use super::walk::Points;

/// The fits of one object.
pub struct Fits {
    /// A constant flux in each band.
    pub constant: Fit,
    /// A damped random walk around constants.
    pub walk: Fit,
    /// A flare above constants.
    pub flare: Fit,
    /// A flare and a walk.
    pub both: Fit,
}

/// Peak time, rise time and decay time in days from which the search for a flare begins: a short one, and one that
/// lasts. The best is kept.
const FLARES: [[f64; 3]; 2] = [[0.0, 12.0, 40.0], [-15.0, 25.0, 100.0]];
/// ln sigma of a walk that is there beside a flare, to begin with.
const QUIET: f64 = -2.0;
/// Amplitude of a flare that is there beside a walk, to begin with.
const DIM: f64 = 0.1;

impl Fits {
    /// Fits all four.
    pub fn new(points: &Points, options: &DrwOptions) -> Self {
        let of = |walk, flare| Task {
            model: Model {
                bands: points.bands,
                walk,
                flare,
            },
            points,
            options,
        };
        let constant = of(false, false).best(&[of(false, false).start(&[])]);
        let walk = of(true, false).best(&[of(true, false).start(&[&constant])]);
        let flare = of(false, true);
        let flare = flare.best(&FLARES.map(|[peak, rise, decay]| {
            let mut start = flare.start(&[]);
            let first = flare.model.flare();
            start[first..first + 3].copy_from_slice(&[peak, log(rise), log(decay)]);
            start
        }));
        let both = of(true, true);
        let mut quiet = both.start(&[&flare]);
        quiet[1] = QUIET;
        let mut dim = both.start(&[&flare, &walk]);
        dim[both.model.amplitudes()..].fill(DIM);
        Self {
            both: both.best(&[quiet, dim]),
            constant,
            walk,
            flare,
        }
    }
}

/// A model that is to be fitted to some points.
struct Task<'a> {
    model: Model,
    points: &'a Points,
    options: &'a DrwOptions,
}

impl Task<'_> {
    /// Returns parameters to begin with: those of fits of simpler models, of which a later one counts, and for what
    /// they do not have the centers of the priors.
    fn start(&self, fits: &[&Fit]) -> Vec<f64> {
        let model = &self.model;
        let priors = model.priors(self.options);
        let mut start: Vec<f64> = priors.iter().map(|prior| prior.center).collect();
        // Without an amplitude, the shape of a flare would not matter.
        start[model.amplitudes()..].fill(1.0);
        for fit in fits {
            let from = &fit.model;
            if model.walk && from.walk {
                start[..model.means()].copy_from_slice(&fit.at[..from.means()]);
            }
            let means = &fit.at[from.means()..from.flare()];
            start[model.means()..model.flare()].copy_from_slice(means);
            if model.flare && from.flare {
                start[model.flare()..].copy_from_slice(&fit.at[from.flare()..]);
            }
        }
        start
    }

    /// Returns the best of the fits that begin with `starts`, of which there is one at least.
    fn best(&self, starts: &[Vec<f64>]) -> Fit {
        let priors = self.model.priors(self.options);
        let evaluations = self.options.evaluations;
        let fit = |start: &Vec<f64>| maximize(self.model, &priors, start, self.points, evaluations);
        let mut best = fit(&starts[0]);
        for start in &starts[1..] {
            let next = fit(start);
            if next.cost < best.cost {
                best = next;
            }
        }
        best
    }
}
