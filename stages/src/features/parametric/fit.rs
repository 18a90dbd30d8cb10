//! The fit of one model to the points of a window: maximum a posteriori, from several starts.
//!
//! The amplitude is eliminated by variable projection (Golub and Pereyra 1973, SIAM J. Numer. Anal. 10, 413),
//! with the derivative of Kaufman (1975, BIT 15, 49), and is not negative. The other unknowns have Gaussian
//! priors, which are further residuals, and bounds.

use crate::numeric::least_squares::{
    LeastSquaresProblem, MOST_UNKNOWNS, Minimum, NormalEquations, PerUnknown, Prior, Stopping,
    minimize,
};
use crate::numeric::simd::{Kernel, SimdLevel};

use super::light::{Light, Points, Shine, dot};
use super::model::{ALL, Model, SLOTS, Slots};

/// The observations that models are fitted to. All columns are as long as those of the points. Fluxes
/// are in units of [`Window::unit`].
pub(super) struct Window {
    pub points: Points,
    pub flux: Vec<f64>,
    /// The inverse variance, with the floor of the error in it, 0 for points that only fill the last lanes.
    pub weight: Vec<f64>,
    /// The weight times the flux.
    pub weighted: Vec<f64>,
    /// The number of observations.
    pub len: usize,
    /// The sum of `(flux / error)^2`.
    pub square: f64,
    /// The unit of the fluxes in microjansky.
    pub unit: f64,
}

/// The least error of a point, relative to the brightest flux, so that no weight is infinite.
const LEAST_ERROR: f64 = 1e-12;

impl Window {
    /// Takes the fluxes and errors, in microjansky, at `points`, which may have more lanes.
    pub fn new(points: Points, fluxes: &[f64], errors: &[f64], floor: f64) -> Self {
        let brightest = fluxes.iter().fold(0.0_f64, |most, f| most.max(f.abs()));
        let unit = if brightest > 0.0 { brightest } else { 1.0 };
        let lanes = points.x.len();
        let mut flux: Vec<f64> = fluxes.iter().map(|f| f / unit).collect();
        let errors = errors.iter().map(|e| (e / unit).max(LEAST_ERROR));
        let with_floor = errors.zip(&flux);
        let mut weight: Vec<f64> = with_floor
            .map(|(e, f)| 1.0 / (e * e + floor * f * (floor * f)))
            .collect();
        flux.resize(lanes, 0.0);
        weight.resize(lanes, 0.0);
        let weighted: Vec<f64> = weight.iter().zip(&flux).map(|(w, f)| w * f).collect();
        Self {
            len: fluxes.len(),
            square: dot(&weighted, &flux),
            points,
            flux,
            weight,
            weighted,
            unit,
        }
    }
}

/// What a fit found.
#[derive(Clone, Debug)]
pub(super) struct ModelFit {
    /// The unknowns in the places of the model, as the fit varies them.
    pub slots: Slots,
    /// The errors of the unknowns, NaN for those that are fixed.
    pub errors: Slots,
    /// The amplitude in units of [`Window::unit`].
    pub amplitude: f64,
    /// The sum of squared residuals over errors, with those of the priors.
    pub cost: f64,
    /// The same without priors.
    pub chi2: f64,
    /// The number of evaluations of all searches.
    pub evaluations: usize,
    /// True if the search that led to the optimum ended there by itself.
    pub converged: bool,
}

/// A model with its priors and what the searches need.
pub(super) struct Search<'a> {
    pub model: &'a Model,
    /// The priors of all quantities.
    pub priors: &'a [Prior; ALL],
    pub window: &'a Window,
    pub stopping: Stopping,
}

impl Search<'_> {
    /// Returns the best of the minima that are found from each start, from which the search goes on if it ran
    /// out of evaluations; `None` if the model has no value at any of them.
    pub fn best(&self, starts: &[Slots], room: &mut Room) -> Option<ModelFit> {
        let free: Vec<usize> = self.model.free().map(|(place, _)| place).collect();
        let mut found: Vec<Minimum> = Vec::new();
        for slots in starts {
            let mut start = [0.0; MOST_UNKNOWNS];
            for (value, &place) in start.iter_mut().zip(&free) {
                *value = slots[place];
            }
            found.push(self.minimum(&free, &start, room));
        }
        let mut evaluations: usize = found.iter().map(|found| found.evaluations).sum();
        found.retain(|found| found.equations.cost.is_finite());
        let by_cost = |a: &Minimum, b: &Minimum| a.equations.cost.total_cmp(&b.equations.cost);
        let mut best = found.into_iter().min_by(by_cost)?;
        if !best.converged {
            best = self.minimum(&free, &best.at, room);
            evaluations += best.evaluations;
        }
        let mut fit = ModelFit {
            slots: self.means(),
            errors: [f64::NAN; SLOTS],
            amplitude: 0.0,
            cost: best.equations.cost,
            chi2: 0.0,
            evaluations,
            converged: best.converged,
        };
        let errors = best.errors(free.len());
        for (k, &place) in free.iter().enumerate() {
            fit.slots[place] = best.at[k];
            fit.errors[place] = errors[k];
        }
        let sums = self.sums(&fit.slots, &[], room);
        (fit.amplitude, fit.chi2) = (sums.amplitude(), sums.chi2(self.window.square));
        Some(fit)
    }

    /// Searches from one start, for the unknowns in the places `free`.
    fn minimum(&self, free: &[usize], start: &PerUnknown, room: &mut Room) -> Minimum {
        let priors = self.model.free().map(|(_, q)| self.priors[q as usize]);
        let priors: Vec<Prior> = priors.collect();
        let mut problem = Projected {
            search: self,
            free,
            slots: self.means(),
            room,
        };
        minimize(&mut problem, &priors, &start[..free.len()], self.stopping)
    }

    /// Returns up to `n` points to start from: those of the least cost among a few values of the unknowns, at
    /// most one for each time of the peak, since the cost has its separate minima along that.
    pub fn starts(&self, n: usize, room: &mut Room) -> Vec<Slots> {
        let mut trials = vec![self.means()];
        for (place, quantity) in self.model.free() {
            let entry = quantity.entry();
            if entry.tried.is_empty() {
                continue;
            }
            let at = |value: f64, mut slots: Slots| {
                slots[place] = entry.inner(value);
                slots
            };
            let values = entry.tried.iter();
            trials = values
                .flat_map(|&value| trials.iter().map(move |slots| at(value, *slots)))
                .collect();
        }
        let mut costed: Vec<(f64, Slots)> = trials
            .into_iter()
            .map(|slots| (self.cost(&slots, room), slots))
            .filter(|(cost, _)| cost.is_finite())
            .collect();
        costed.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut starts: Vec<Slots> = Vec::new();
        for (_, slots) in costed {
            let new = starts.iter().all(|start| start[0] != slots[0]);
            if new && starts.len() < n {
                starts.push(slots);
            }
        }
        starts
    }

    /// The MAP cost at a point.
    fn cost(&self, slots: &Slots, room: &mut Room) -> f64 {
        let chi2 = self.sums(slots, &[], room).chi2(self.window.square);
        let priors = self.model.free().map(|(place, quantity)| {
            let prior = &self.priors[quantity as usize];
            let off = (slots[place] - prior.mean) / prior.width;
            off * off
        });
        chi2 + priors.sum::<f64>()
    }

    /// The means of the priors, in the places of the model.
    pub fn means(&self) -> Slots {
        let mut slots = [0.0; SLOTS];
        for (slot, quantity) in slots.iter_mut().zip(self.model.slots()) {
            *slot = self.priors[quantity as usize].mean;
        }
        slots
    }

    fn sums(&self, slots: &Slots, free: &[usize], room: &mut Room) -> Sums {
        let mut sums = Sums::default();
        SimdLevel::active().run(Sum {
            search: self,
            slots,
            free,
            room,
            sums: &mut sums,
        });
        sums
    }
}

/// Buffers for the points of a window.
pub(super) struct Room {
    pub light: Light,
    weighted: Vec<f64>,
}

impl Room {
    pub fn of(points: &Points) -> Self {
        Self {
            light: Light::room(points),
            weighted: vec![0.0; points.x.len()],
        }
    }
}

/// Sums over points of the weight times the model `m`, its derivatives `d`, and the flux `f`.
#[derive(Default)]
struct Sums {
    mm: f64,
    mf: f64,
    md: Slots,
    df: Slots,
    dd: [Slots; SLOTS],
}

impl Sums {
    fn amplitude(&self) -> f64 {
        if self.mf > 0.0 && self.mm > 0.0 {
            self.mf / self.mm
        } else {
            0.0
        }
    }

    /// The sum of squared residuals, for that of the fluxes.
    fn chi2(&self, square: f64) -> f64 {
        // NaN in either sum must stay one.
        let gain = self.amplitude() * self.mf + 0.0 * self.mm;
        let chi2 = square - gain;
        if chi2 < 0.0 { 0.0 } else { chi2 }
    }
}

/// Computes [`Sums`].
struct Sum<'a> {
    search: &'a Search<'a>,
    slots: &'a Slots,
    free: &'a [usize],
    room: &'a mut Room,
    sums: &'a mut Sums,
}

impl Kernel for Sum<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (window, sums) = (self.search.window, self.sums);
        let Room { light, weighted } = self.room;
        let shine = Shine {
            model: self.search.model,
            slots: self.slots,
            light,
            points: &window.points,
        };
        shine.run();
        weigh(&window.weight, &light.value, weighted);
        sums.mm = dot(weighted, &light.value);
        sums.mf = dot(&window.weighted, &light.value);
        for (k, &place) in self.free.iter().enumerate() {
            sums.md[k] = dot(weighted, &light.by[place]);
            sums.df[k] = dot(&window.weighted, &light.by[place]);
        }
        for (k, &place) in self.free.iter().enumerate() {
            weigh(&window.weight, &light.by[place], weighted);
            for (j, &other) in self.free[..=k].iter().enumerate() {
                sums.dd[k][j] = dot(weighted, &light.by[other]);
            }
        }
    }
}

#[inline(always)]
fn weigh(weight: &[f64], values: &[f64], into: &mut [f64]) {
    for ((into, w), v) in into.iter_mut().zip(weight).zip(values) {
        *into = w * v;
    }
}

/// The residuals of a model whose amplitude is the best one for its other unknowns.
struct Projected<'a> {
    search: &'a Search<'a>,
    free: &'a [usize],
    slots: Slots,
    room: &'a mut Room,
}

impl LeastSquaresProblem for Projected<'_> {
    fn evaluate(&mut self, at: &[f64], into: &mut NormalEquations) {
        for (&place, &value) in self.free.iter().zip(at) {
            self.slots[place] = value;
        }
        let sums = self.search.sums(&self.slots, self.free, self.room);
        let a = sums.amplitude();
        into.cost = sums.chi2(self.search.window.square);
        if a == 0.0 {
            return;
        }
        for k in 0..self.free.len() {
            into.gradient[k] = -a * (sums.df[k] - a * sums.md[k]);
            let projected = sums.md[k] / sums.mm;
            for j in 0..=k {
                into.matrix[k][j] = a * a * (sums.dd[k][j] - projected * sums.md[j]);
            }
        }
    }
}
