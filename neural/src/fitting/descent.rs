//! One step of Adam or AdamW over all weights.

use burn::optim::{
    Adam, AdamConfig, AdamState, AdamW, AdamWConfig, AdamWState, AdaptiveMomentumState, Optimizer,
    decay::WeightDecayConfig,
};
use burn::tensor::{Device, Gradients, Tensor};

use super::arrays::to_host;
use crate::network::{Weights, flat};

/// How gradients change weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DescentRule {
    /// Adam (Kingma and Ba 2015, algorithm 1). The decay of weights is a part of their gradients.
    Adam,
    /// Adam with a decay of weights of its own (Loshchilov and Hutter 2019, algorithm 2).
    AdamW,
}

/// The settings of the steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DescentSettings {
    /// The rule.
    pub rule: DescentRule,
    /// How much of a weight a step takes away, times the learning rate.
    pub weight_decay: f64,
    /// Gradients that are longer than this, all weights together, are shortened to it.
    pub clip_norm: Option<f64>,
}

/// What keeps the division by the root of a second moment of zero finite. PyTorch has the same.
const EPSILON: f32 = 1e-8;

/// The moments of a weight's gradients.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// The number of steps.
    pub time: usize,
    /// The running mean of the gradients.
    pub first: Vec<f32>,
    /// The running mean of their squares.
    pub second: Vec<f32>,
}

/// The steps of a fit, with the moments of all gradients so far.
pub struct Descent {
    rule: RuleOfBurn,
    clip_norm: Option<f64>,
    /// In the order of the weights; none before the first step.
    moments: Vec<Option<AdaptiveMomentumState<1>>>,
}

enum RuleOfBurn {
    Adam(Adam),
    AdamW(AdamW),
}

impl Descent {
    /// Begins, or goes on from moments.
    pub fn new(settings: &DescentSettings, moments: &[Option<Moments>], device: &Device) -> Self {
        let decay = settings.weight_decay as f32;
        let rule = match settings.rule {
            DescentRule::Adam => {
                let decay = (decay > 0.0).then(|| WeightDecayConfig::new(decay));
                let config = AdamConfig::new().with_epsilon(EPSILON);
                RuleOfBurn::Adam(config.with_weight_decay(decay).build())
            }
            DescentRule::AdamW => {
                let config = AdamWConfig::new().with_epsilon(EPSILON);
                RuleOfBurn::AdamW(config.with_weight_decay(decay).build())
            }
        };
        let device = device.clone().inner();
        let state = |moments: &Moments| {
            let first = flat(moments.first.clone(), &device);
            let second = flat(moments.second.clone(), &device);
            AdaptiveMomentumState::new(moments.time, first, second)
        };
        Self {
            rule,
            clip_norm: settings.clip_norm,
            moments: moments.iter().map(|m| m.as_ref().map(state)).collect(),
        }
    }

    /// The moments of the gradients so far, in the order of the weights.
    pub fn moments(&self) -> Vec<Option<Moments>> {
        let kept = |state: &AdaptiveMomentumState<1>| Moments {
            time: state.time,
            first: to_host(&state.moment_1),
            second: to_host(&state.moment_2),
        };
        self.moments.iter().map(|m| m.as_ref().map(kept)).collect()
    }

    /// Takes a step. Weights without a gradient stay as they are.
    pub fn step(&mut self, weights: &mut Weights, mut gradients: Gradients, rate: f64) {
        let mut found: Vec<Option<Tensor<1>>> = Vec::with_capacity(weights.all().len());
        for weight in weights.all() {
            let gradient = match weight.trained {
                true => weight.values.grad_remove(&mut gradients),
                false => None,
            };
            found.push(gradient);
        }
        let shorter = self.clip_norm.and_then(|most| shortening(&found, most));
        self.moments.resize(found.len(), None);
        let all = weights.all_mut().iter_mut().zip(found);
        for ((weight, gradient), moments) in all.zip(&mut self.moments) {
            let Some(mut gradient) = gradient else {
                continue;
            };
            if let Some(factor) = shorter {
                gradient = gradient.mul_scalar(factor);
            }
            let values = weight.values.clone().inner();
            let (values, after) = self.rule.step(rate, values, gradient, moments.take());
            *moments = after;
            weight.values = values.autodiff().require_grad();
        }
    }
}

impl RuleOfBurn {
    fn step(
        &self,
        rate: f64,
        values: Tensor<1>,
        gradient: Tensor<1>,
        moments: Option<AdaptiveMomentumState<1>>,
    ) -> (Tensor<1>, Option<AdaptiveMomentumState<1>>) {
        match self {
            Self::Adam(rule) => {
                let state = moments.map(AdamState::new);
                let (values, state) = rule.step(rate, values, gradient, state);
                (values, state.map(|state| state.momentum))
            }
            Self::AdamW(rule) => {
                let state = moments.map(AdamWState::new);
                let (values, state) = rule.step(rate, values, gradient, state);
                (values, state.map(|state| state.momentum))
            }
        }
    }
}

/// Returns what gradients are multiplied by so that their norm is at most `most`, as PyTorch's `clip_grad_norm_` does it;
/// none if it is already. The squares are summed one after the other, so the sum has one order everywhere.
fn shortening(gradients: &[Option<Tensor<1>>], most: f64) -> Option<f64> {
    let mut sum = 0.0;
    for gradient in gradients.iter().flatten() {
        for value in to_host(gradient) {
            sum += f64::from(value) * f64::from(value);
        }
    }
    let norm = sum.sqrt();
    (norm > most).then(|| most / (norm + 1e-6))
}
