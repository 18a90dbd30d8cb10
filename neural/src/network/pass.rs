//! One pass of a batch through a network.

use burn::tensor::{Device, Tensor, TensorData};
use flow_stages::numeric::rng::Stream;
use rayon::prelude::*;

use super::weights::{Weight, Weights, flat};

/// What a pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A step of a fit: with dropout and noise, and statistics of the batch.
    Fit,
    /// A prediction.
    Apply,
}

/// How weights begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All are this value.
    Constant(f32),
    /// Uniform between minus and plus this bound.
    Uniform(f32),
    /// Uniform with the bound `sqrt(6 / (inputs + outputs))` (Glorot and Bengio 2010, equation 16).
    Glorot {
        /// Values that go into each output.
        inputs: usize,
        /// Values that each input goes into.
        outputs: usize,
    },
}

/// One pass. It hands out weights by name, made on first use, and draws random numbers that depend only on the seed,
/// the step of the fit and the order of the draws.
pub struct Pass<'a> {
    weights: &'a mut Weights,
    mode: Mode,
    seed: u64,
    /// The number of the step of the fit.
    step: u64,
    draws: u64,
    prefix: String,
    device: Device,
}

/// What the draws of a seed are for.
const OF_WEIGHTS: u64 = 1;
const OF_STEPS: u64 = 2;

/// The number of values that one stream draws for a step.
const DRAWS: usize = 1 << 12;

impl<'a> Pass<'a> {
    /// A step of a fit. `step` counts the batches of all epochs.
    pub fn of_fit(weights: &'a mut Weights, seed: u64, step: u64, device: &Device) -> Self {
        Self {
            weights,
            mode: Mode::Fit,
            seed,
            step,
            draws: 0,
            prefix: String::new(),
            device: device.clone(),
        }
    }

    /// A prediction. The weights must be those of a fit.
    pub fn of_prediction(weights: &'a mut Weights, device: &Device) -> Self {
        Self {
            mode: Mode::Apply,
            ..Self::of_fit(weights, 0, 0, device)
        }
    }

    /// What the pass is for.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Where it is computed.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Does something within a part of the network: names of weights begin with that of the part and a dot.
    pub fn within<T>(&mut self, part: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.prefix.len();
        self.prefix.push_str(part);
        self.prefix.push('.');
        let done = work(self);
        self.prefix.truncate(before);
        done
    }

    /// Returns the weights called `name` in this part, which begin as `init` says.
    pub fn weight<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
        init: Init,
    ) -> Tensor<D> {
        self.values(name, &shape, init, true).reshape(shape)
    }

    /// Returns values that belong to the network but that gradients do not change.
    pub fn kept(&mut self, name: &str, size: usize, value: f32) -> Tensor<1> {
        self.values(name, &[size], Init::Constant(value), false)
    }

    /// Replaces values that [`Self::kept`] has returned.
    pub fn keep(&mut self, name: &str, values: Tensor<1>) {
        let name = format!("{}{name}", self.prefix);
        self.weights.set(&name, values.detach());
    }

    fn values(&mut self, name: &str, shape: &[usize], init: Init, trained: bool) -> Tensor<1> {
        let name = format!("{}{name}", self.prefix);
        if let Some(weight) = self.weights.get(&name) {
            assert_eq!(weight.shape, shape, "the shape of `{name}`");
            return weight.values.clone();
        }
        let values = flat(initial(self.seed, &name, shape, init), &self.device);
        let values = match trained {
            true => values.require_grad(),
            false => values,
        };
        self.weights.add(Weight {
            name,
            shape: shape.to_vec(),
            values: values.clone(),
            trained,
        });
        values
    }

    /// Sets a share `rate` of the values to zero, in a fit, and divides the others by `1 - rate` (Srivastava et al. 2014,
    /// section 10). With `spatial` a whole channel (last dimension) of an object (first dimension) is kept or not.
    pub fn dropout<const D: usize>(&mut self, x: Tensor<D>, rate: f64, spatial: bool) -> Tensor<D> {
        if self.mode == Mode::Apply || rate <= 0.0 {
            return x;
        }
        let mut shape = x.dims();
        if spatial {
            shape[1..D - 1].fill(1);
        }
        let kept = (1.0 / (1.0 - rate)) as f32;
        let lost = (rate * 2f64.powi(32)) as u32;
        let mask = self.draw(&shape, |stream, values| {
            let mut words = [0; DRAWS];
            let words = &mut words[..values.len()];
            stream.fill_u32(words);
            for (value, &mut word) in values.iter_mut().zip(words) {
                *value = if word < lost { 0.0 } else { kept };
            }
        });
        x * mask
    }

    /// Adds normal noise of this standard deviation, in a fit.
    pub fn noise<const D: usize>(&mut self, x: Tensor<D>, deviation: f64) -> Tensor<D> {
        if self.mode == Mode::Apply || deviation <= 0.0 {
            return x;
        }
        let shape = x.dims();
        x + self.normal(shape).mul_scalar(deviation)
    }

    /// Returns standard normal deviates.
    pub fn normal<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        self.draw(&shape, |stream, values| {
            values.fill_with(|| stream.normal() as f32);
        })
    }

    /// Draws values in parallel, those of each part from a stream of its own.
    fn draw<const D: usize>(
        &mut self,
        shape: &[usize; D],
        fill: impl Fn(&mut Stream, &mut [f32]) + Sync,
    ) -> Tensor<D> {
        let path = [OF_STEPS, self.step, self.draws];
        self.draws += 1;
        let mut values = vec![0.0; shape.iter().product()];
        let parts = values.par_chunks_mut(DRAWS).enumerate();
        parts.for_each(|(part, values)| {
            let [of, step, draw] = path;
            let mut stream = Stream::new(self.seed, &[of, step, draw, part as u64]);
            fill(&mut stream, values);
        });
        Tensor::from_data(TensorData::new(values, *shape), &self.device)
    }
}

/// The first values of weights, which depend on their name and shape alone.
fn initial(seed: u64, name: &str, shape: &[usize], init: Init) -> Vec<f32> {
    let count: usize = shape.iter().product();
    let bound = match init {
        Init::Constant(value) => return vec![value; count],
        Init::Uniform(bound) => f64::from(bound),
        Init::Glorot { inputs, outputs } => (6.0 / (inputs + outputs) as f64).sqrt(),
    };
    let name = name.bytes().map(u64::from);
    let path: Vec<u64> = std::iter::once(OF_WEIGHTS).chain(name).collect();
    let mut stream = Stream::new(seed, &path);
    (0..count)
        .map(|_| stream.uniform_in(-bound, bound) as f32)
        .collect()
}
