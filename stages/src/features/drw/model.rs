//! The four descriptions of a light curve that are compared, their parameters and priors.

use libm::cbrt;

use super::DrwOptions;
use crate::numeric::exp::exp;

/// What a light curve is described by, besides a constant flux in each band and noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// The number of bands that have points.
    pub bands: usize,
    /// Whether there is a damped random walk.
    pub walk: bool,
    /// Whether there is one flare.
    pub flare: bool,
}

/// How the walk comes to a point.
pub struct Walked {
    /// The correlation of the walk with what it was at the point before.
    pub decay: f64,
    /// The derivative of `decay` with respect to ln tau.
    pub d_decay: f64,
    /// The standard deviation of the walk in the band of the point.
    pub amplitude: f64,
    /// The two parameters to which the logarithm of `amplitude` is linear with slope 1; `None` without
    /// a walk.
    pub scaled_by: Option<[usize; 2]>,
}

/// What is known of a parameter before the points are seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prior {
    /// Where the normal density is largest.
    pub center: f64,
    /// The standard deviation.
    pub width: f64,
    /// The least value that is allowed.
    pub least: f64,
    /// The largest value that is allowed.
    pub most: f64,
}

/// Shape of the decline after the peak of a flare: that of the fallback onto a black hole (Rees 1988).
const DECAY_POWER: f64 = 5.0 / 3.0;

/// Rise and decay time in days at which their priors are largest.
const RISE_DAYS: f64 = 15.0;
const DECAY_DAYS: f64 = 45.0;

impl Model {
    /// The number of parameters.
    pub fn parameters(&self) -> usize {
        self.amplitudes() + if self.flare { self.bands } else { 0 }
    }

    /// The number of parameters of the walk, which come first: ln tau, ln sigma, and for each band the
    /// logarithm of its amplitude over sigma.
    pub fn walk_parameters(&self) -> usize {
        if self.walk { 2 + self.bands } else { 0 }
    }

    /// The place of the first band's constant flux.
    pub fn means(&self) -> usize {
        self.walk_parameters()
    }

    /// The place of the flare's peak time, after which come ln rise and ln decay.
    pub fn flare(&self) -> usize {
        self.means() + self.bands
    }

    /// The place of the flare's amplitude in the first band.
    pub fn amplitudes(&self) -> usize {
        self.flare() + if self.flare { 3 } else { 0 }
    }

    /// Returns the priors of all parameters, for points in whose units the fluxes are about 1 and whose days
    /// are relative to the event.
    pub fn priors(&self, options: &DrwOptions) -> Vec<Prior> {
        let ln = |center: f64, width, least, most| Prior {
            center: libm::log(center),
            width,
            least: libm::log(least),
            most: libm::log(most),
        };
        let mut priors = Vec::with_capacity(self.parameters());
        if self.walk {
            priors.push(ln(options.tau, options.tau_width, 1.0, 2e4));
            priors.push(ln(0.5, 1.5, 1e-4, 50.0));
            priors.extend(vec![ln(1.0, 0.5, 0.01, 100.0); self.bands]);
        }
        let mean = Prior {
            center: 0.0,
            width: 2.0,
            least: -100.0,
            most: 100.0,
        };
        priors.extend(vec![mean; self.bands]);
        if self.flare {
            priors.push(Prior {
                center: 0.0,
                width: 30.0,
                least: -100.0,
                most: 100.0,
            });
            priors.push(ln(RISE_DAYS, 0.8, 1.0, 120.0));
            priors.push(ln(DECAY_DAYS, 0.9, 2.0, 600.0));
            let amplitude = Prior {
                center: 0.0,
                width: 10.0,
                least: 0.0,
                most: 1e3,
            };
            priors.extend(vec![amplitude; self.bands]);
        }
        priors
    }

    /// Returns how the walk comes to a point in `band`, `gap` days after the point before; `None` at the first
    /// point.
    #[inline(always)]
    pub fn walk(&self, at: &[f64], gap: Option<f64>, band: usize) -> Walked {
        if !self.walk {
            return Walked {
                decay: 0.0,
                d_decay: 0.0,
                amplitude: 0.0,
                scaled_by: None,
            };
        }
        let taus = gap.map(|gap| (gap * exp(-at[0])).min(700.0));
        let decay = taus.map_or(0.0, |taus| exp(-taus));
        Walked {
            decay,
            d_decay: taus.map_or(0.0, |taus| decay * taus),
            amplitude: exp(at[1] + at[2 + band]),
            scaled_by: Some([1, 2 + band]),
        }
    }

    /// Returns the mean flux at a time in a band, and subtracts its derivatives from `d_residual`.
    #[inline(always)]
    pub fn mean(&self, at: &[f64], time: f64, band: usize, d_residual: &mut [f64]) -> f64 {
        let constant = self.means() + band;
        d_residual[constant] -= 1.0;
        if !self.flare {
            return at[constant];
        }
        let (first, own) = (self.flare(), self.amplitudes() + band);
        let amplitude = at[own];
        let (shape, slopes) = flare_shape(time - at[first], at[first + 1], at[first + 2]);
        for (d, slope) in d_residual[first..first + 3].iter_mut().zip(slopes) {
            *d -= amplitude * slope;
        }
        d_residual[own] -= shape;
        at[constant] + amplitude * shape
    }
}

/// The flux of a flare `days` after its peak, as a share of the peak: `exp(-days^2 / 2 rise^2)` before it, and
/// `(1 + days / decay)^(-5/3)` after. With the derivatives with respect to peak time, ln rise and ln decay.
#[inline(always)]
fn flare_shape(days: f64, ln_rise: f64, ln_decay: f64) -> (f64, [f64; 3]) {
    if days < 0.0 {
        let rise = exp(ln_rise);
        let units = days / rise;
        let shape = exp(-0.5 * units * units);
        return (shape, [shape * units / rise, shape * units * units, 0.0]);
    }
    let decay = exp(ln_decay);
    let units = days / decay;
    let root = cbrt(1.0 + units);
    let shape = 1.0 / ((1.0 + units) * root * root);
    let slope = DECAY_POWER * shape / (1.0 + units);
    (shape, [slope / decay, 0.0, slope * units])
}
