//! The likelihood of a damped random walk that all bands follow, with what is needed to maximize it.
//!
//! The walk x(t) is the stationary Ornstein-Uhlenbeck process of unit variance, whose covariance is
//! `exp(-|t - t'| / tau)` (Kelly, Bechtold and Siemiginowska 2009). A point in band b is
//! `f = mean(t, b) + a_b x(t) + noise`. As the process is Markovian, the likelihood follows from one pass over
//! the points in time order: the Kalman filter with a state of one number (Kelly et al. 2009, equations 6 to 12;
//! Harvey 1989, section 3.4). The derivatives of the filter are carried along in the same pass.

use super::model::{Model, Walked};
use crate::numeric::exp::ln;
use crate::numeric::simd::{Kernel, SimdLevel};

/// The points of an object in time order, in units in which its fluxes are about 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points {
    /// Times in days, ascending.
    pub time: Vec<f64>,
    /// The band of each point, below [`Points::bands`].
    pub band: Vec<usize>,
    /// Fluxes.
    pub flux: Vec<f64>,
    /// Variances of the fluxes, positive.
    pub variance: Vec<f64>,
    /// The number of bands that have points.
    pub bands: usize,
}

/// What a pass over the points gives at some parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// The natural logarithm of the likelihood.
    pub ln_likelihood: f64,
    /// The gradient of `-ln_likelihood`.
    pub gradient: Vec<f64>,
    /// The lower triangle of Fisher's information (square, row after row).
    pub information: Vec<f64>,
    /// For each point, its difference from what the points before it predict, in standard deviations of the
    /// prediction.
    pub innovations: Vec<f64>,
}

/// ln(2 pi).
const LN_TWO_PI: f64 = 1.837_877_066_409_345_6;

/// The state of the filter, and its derivatives with respect to the parameters.
struct Filter {
    state: f64,
    variance: f64,
    /// Derivatives of `state`, one for each parameter.
    d_state: Vec<f64>,
    /// Derivatives of `variance`, one for each parameter of the walk.
    d_variance: Vec<f64>,
    /// Derivatives of the innovation and of its variance.
    d_residual: Vec<f64>,
    d_spread: Vec<f64>,
}

/// One pass over the points. It is compiled for every SIMD level.
struct Pass<'a> {
    model: &'a Model,
    at: &'a [f64],
    points: &'a Points,
    to: &'a mut Evaluation,
}

impl Kernel for Pass<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Pass {
            model,
            at,
            points,
            to,
        } = self;
        let mut filter = Filter::new(model);
        let mut twice_cost = points.time.len() as f64 * LN_TWO_PI;
        for i in 0..points.time.len() {
            let before = i.checked_sub(1).map(|j| points.time[j]);
            let gap = before.map(|before| points.time[i] - before);
            let walk = model.walk(at, gap, points.band[i]);
            filter.predict(&walk);
            let (residual, spread) = filter.observe(model, at, &walk, points, i);
            twice_cost += ln(spread) + residual * residual / spread;
            to.innovations.push(residual / spread.sqrt());
            to.add(&filter, residual, spread);
        }
        to.ln_likelihood = -twice_cost / 2.0;
    }
}

impl Evaluation {
    /// Evaluates the likelihood of `points` under `model` with the parameters `at`. The memory of `self` is used
    /// again.
    pub fn update(&mut self, model: &Model, at: &[f64], points: &Points) {
        self.update_at(SimdLevel::active(), model, at, points);
    }

    /// Does the same with the instructions of a level.
    pub fn update_at(&mut self, level: SimdLevel, model: &Model, at: &[f64], points: &Points) {
        self.clear(model.parameters());
        level.run(Pass {
            model,
            at,
            points,
            to: self,
        });
    }

    fn clear(&mut self, parameters: usize) {
        self.gradient.clear();
        self.gradient.resize(parameters, 0.0);
        self.information.clear();
        self.information.resize(parameters * parameters, 0.0);
        self.innovations.clear();
    }

    /// Adds one point to the gradient and to the information.
    #[inline(always)]
    fn add(&mut self, filter: &Filter, residual: f64, spread: f64) {
        let n = self.gradient.len();
        let inverse = 1.0 / spread;
        let weighted = residual * inverse;
        for (g, dr) in self.gradient.iter_mut().zip(&filter.d_residual) {
            *g += weighted * dr;
        }
        let excess = 0.5 * inverse * (1.0 - residual * weighted);
        for (g, ds) in self.gradient.iter_mut().zip(&filter.d_spread) {
            *g += excess * ds;
        }
        for i in 0..n {
            let row = &mut self.information[i * n..=i * n + i];
            let scaled = filter.d_residual[i] * inverse;
            if scaled != 0.0 {
                for (h, dr) in row.iter_mut().zip(&filter.d_residual) {
                    *h += scaled * dr;
                }
            }
        }
        let half = 0.5 * inverse * inverse;
        for (i, ds) in filter.d_spread.iter().enumerate() {
            let row = &mut self.information[i * n..=i * n + i];
            for (h, other) in row.iter_mut().zip(&filter.d_spread) {
                *h += half * ds * other;
            }
        }
    }
}

impl Filter {
    /// Returns the state before the first point: that of the stationary process.
    fn new(model: &Model) -> Self {
        let (parameters, of_walk) = (model.parameters(), model.walk_parameters());
        Self {
            state: 0.0,
            variance: 1.0,
            d_state: vec![0.0; parameters],
            d_variance: vec![0.0; of_walk],
            d_residual: vec![0.0; parameters],
            d_spread: vec![0.0; of_walk],
        }
    }

    /// Moves the state to the time of the next point.
    #[inline(always)]
    fn predict(&mut self, walk: &Walked) {
        let (decay, d_decay) = (walk.decay, walk.d_decay);
        for d in &mut self.d_state {
            *d *= decay;
        }
        let square = decay * decay;
        for d in &mut self.d_variance {
            *d *= square;
        }
        if let (Some(ds), Some(dv)) = (self.d_state.first_mut(), self.d_variance.first_mut()) {
            // The first parameter of a walk is ln tau.
            *ds += d_decay * self.state;
            *dv += 2.0 * decay * d_decay * (self.variance - 1.0);
        }
        self.state *= decay;
        self.variance = 1.0 + square * (self.variance - 1.0);
    }

    /// Takes point `i` into account. Returns its difference from the prediction, and the variance of that.
    #[inline(always)]
    fn observe(
        &mut self,
        model: &Model,
        at: &[f64],
        walk: &Walked,
        points: &Points,
        i: usize,
    ) -> (f64, f64) {
        let (a, noise) = (walk.amplitude, points.variance[i]);
        let walked = self.d_spread.len();
        for (dr, ds) in self.d_residual.iter_mut().zip(&self.d_state) {
            *dr = -a * ds;
        }
        let mean = model.mean(at, points.time[i], points.band[i], &mut self.d_residual);
        let residual = points.flux[i] - mean - a * self.state;
        let spread = a * a * self.variance + noise;
        let gain = a * self.variance / spread;
        for (ds, dv) in self.d_spread.iter_mut().zip(&self.d_variance) {
            *ds = a * a * dv;
        }
        for &j in walk.scaled_by.iter().flatten() {
            self.d_residual[j] -= a * self.state;
            self.d_spread[j] += 2.0 * a * a * self.variance;
        }
        let kept = self.variance * noise / spread;
        for j in 0..walked {
            let scales = walk.scaled_by.is_some_and(|by| by.contains(&j));
            let d_amplitude = if scales { a } else { 0.0 };
            let d_gain = (d_amplitude * self.variance + a * self.d_variance[j]
                - gain * self.d_spread[j])
                / spread;
            self.d_state[j] += d_gain * residual;
            self.d_variance[j] = (self.d_variance[j] * noise - kept * self.d_spread[j]) / spread;
        }
        for (ds, dr) in self.d_state.iter_mut().zip(&self.d_residual) {
            *ds += gain * dr;
        }
        self.state += gain * residual;
        self.variance = kept;
        (residual, spread)
    }
}
