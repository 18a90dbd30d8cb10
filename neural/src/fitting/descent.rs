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

#[cfg(test)]
mod tests {
    use super::super::testing::matrix;
    use super::*;
    use crate::network::Weight;

    /// Steps of PyTorch's AdamW and Adam in 64-bit floats: a rate of 0.1, a decay of 0.01, and gradients `2 (x - target)`.
    #[test]
    fn steps_are_those_of_adam_and_adamw() {
        let traces: [(DescentRule, [[f64; 3]; 4]); 2] = [
            (
                DescentRule::AdamW,
                [
                    [0.899000001, -1.898, 0.399500001],
                    [0.798677707, -1.79624589, 0.299990236],
                    [0.699555824, -1.69484281, 0.202370132],
                    [0.602288615, -1.59390311, 0.107852911],
                ],
            ),
            (
                DescentRule::Adam,
                [
                    [0.900000001, -1.9, 0.400000001],
                    [0.800567242, -1.80014061, 0.300883878],
                    [0.702215783, -1.70052484, 0.203546618],
                    [0.605588859, -1.60126285, 0.109196888],
                ],
            ),
        ];
        let device = Device::flex().autodiff();
        let target = matrix(&[0.2, 0.3, -0.1], 3, &device).reshape([3]);
        for (rule, trace) in traces {
            let settings = DescentSettings {
                rule,
                weight_decay: 0.01,
                clip_norm: None,
            };
            let mut weights = Weights::default();
            let values = matrix(&[1.0, -2.0, 0.5], 3, &device)
                .reshape([3])
                .require_grad();
            weights.add(Weight {
                name: "x".into(),
                shape: vec![3],
                values,
                trained: true,
            });
            let mut descent = Descent::new(&settings, &[], &device);
            for expected in trace {
                // What is kept and read again goes on in the same way.
                descent = Descent::new(&settings, &descent.moments(), &device);
                let away: Tensor<1> = weights.all()[0].values.clone() - target.clone();
                let gradients = away.square().sum().backward();
                descent.step(&mut weights, gradients, 0.1);
                let found = to_host(&weights.all()[0].values);
                for (found, expected) in found.iter().zip(expected) {
                    assert!(
                        (f64::from(*found) - expected).abs() < 1e-5,
                        "{found} {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn long_gradients_are_shortened_together() {
        let device = Device::flex().autodiff();
        let settings = DescentSettings {
            rule: DescentRule::Adam,
            weight_decay: 0.0,
            clip_norm: Some(2.5),
        };
        let mut weights = Weights::default();
        for (name, value) in [("a", 3.0), ("b", 4.0)] {
            let values = matrix(&[value], 1, &device).reshape([1]).require_grad();
            weights.add(Weight {
                name: name.into(),
                shape: vec![1],
                values,
                trained: true,
            });
        }
        let mut descent = Descent::new(&settings, &[], &device);
        let [a, b] = [0, 1].map(|i| weights.all()[i].values.clone());
        let gradients = (a * 3.0 + b * 4.0).backward();
        descent.step(&mut weights, gradients, 0.1);
        let moments = descent.moments();
        let first: Vec<f32> = moments
            .iter()
            .map(|m| m.as_ref().unwrap().first[0])
            .collect();
        // Their norm was 5, and a tenth of each enters the moment.
        assert!(
            (first[0] - 0.15).abs() < 1e-6 && (first[1] - 0.2).abs() < 1e-6,
            "{first:?}"
        );
    }
}
