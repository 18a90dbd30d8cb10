//! CPU seconds of a step of a GRU or of convolutions, forward and backward, and the most memory of the process.
//!
//! The CPU time is that of the whole process, user and system, read from `/proc/self/stat`, so run it on Linux.
//! `benches/networks_vs_pytorch.py` measures the same in PyTorch.
//!
//! ```text
//! RAYON_NUM_THREADS=1 cargo run --release -p flow-neural --features burn --example layers_cpu -- gru --objects 64
//! ```
//!
//! The first argument is `gru` (64 units, 12 inputs), `cnn` (convolutions of three points from 5 to 32, 64, 128 and 128
//! channels, each followed by the rectifier) or `cnn_norm` (with batch normalization and pooling by two as well).

#![allow(
    clippy::print_stdout,
    reason = "a program that measures time and prints it"
)]

use burn::tensor::{Device, Tensor, TensorData, activation};
use flow_neural::fused::{
    ConvShape, GruWeights, NormShape, NormWeights, RunningStatistics, conv1d, gru,
    keep_freed_memory, norm_relu_pool,
};
use flow_stages::numeric::rng::Stream;

const INPUTS: usize = 12;
const UNITS: usize = 64;
const KERNEL: usize = 3;
const CHANNELS: [usize; 5] = [5, 32, 64, 128, 128];

/// Sizes of a batch, and what is done with it.
struct Work {
    layers: String,
    objects: usize,
    points: usize,
    steps: usize,
}

impl Work {
    fn of_arguments() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let number = |name: &str, default: usize| {
            let place = arguments.iter().position(|argument| argument == name);
            let value = place.and_then(|place| arguments.get(place + 1));
            value.map_or(default, |text| text.parse().expect("a number"))
        };
        Self {
            layers: arguments.first().cloned().unwrap_or_else(|| "gru".into()),
            objects: number("--objects", 64),
            points: number("--points", 160),
            steps: number("--steps", 20),
        }
    }

    /// Returns a step, whose tensors are made before.
    fn step(&self, device: &Device) -> Box<dyn Fn()> {
        match self.layers.as_str() {
            "gru" => Box::new(self.gru(device)),
            "cnn" => Box::new(self.convolutions(device, false)),
            "cnn_norm" => Box::new(self.convolutions(device, true)),
            other => panic!("`{other}` is none of gru, cnn, cnn_norm"),
        }
    }

    fn mask(&self, device: &Device) -> Tensor<2> {
        Tensor::ones([self.objects, self.points], device)
    }

    fn gru(&self, device: &Device) -> impl Fn() + use<> {
        let gates = 3 * UNITS;
        let weights = GruWeights {
            input: random([INPUTS, gates], device).require_grad(),
            state: random([UNITS, gates], device).require_grad(),
            input_bias: random([gates], device).require_grad(),
            state_bias: random([gates], device).require_grad(),
        };
        let x = random([self.objects, self.points, INPUTS], device);
        let mask = self.mask(device);
        move || {
            let states = gru(x.clone(), weights.clone(), mask.clone(), false);
            let gradients = states.max_dim(1).sum().backward();
            assert!(weights.state.grad(&gradients).is_some());
        }
    }

    fn convolutions(&self, device: &Device, normalized: bool) -> impl Fn() + use<> {
        let x = random([self.objects, self.points, CHANNELS[0]], device);
        let mask = self.mask(device);
        let layers: Vec<Layer> = CHANNELS
            .windows(2)
            .map(|pair| Layer::new(pair[0], pair[1], device))
            .collect();
        move || {
            let (mut x, mut mask) = (x.clone(), mask.clone());
            for layer in &layers {
                x = conv1d(x, layer.weight.clone(), None, ConvShape::same(KERNEL));
                if normalized {
                    let (norm, running) = (layer.norm.clone(), layer.running.clone());
                    let shape = NormShape { pool: 2, fit: true };
                    let normed = norm_relu_pool(x, norm, running, mask, shape);
                    (x, mask) = (normed.values, normed.mask);
                } else {
                    x = activation::relu(x);
                }
            }
            let gradients = x.mean().backward();
            assert!(layers[0].weight.grad(&gradients).is_some());
        }
    }
}

/// The weights of a convolution and of the normalization behind it.
struct Layer {
    weight: Tensor<2>,
    norm: NormWeights,
    running: RunningStatistics,
}

impl Layer {
    fn new(channels: usize, outputs: usize, device: &Device) -> Self {
        Self {
            weight: random([KERNEL * channels, outputs], device).require_grad(),
            norm: NormWeights {
                scale: Tensor::ones([outputs], device).require_grad(),
                shift: Tensor::zeros([outputs], device).require_grad(),
            },
            running: RunningStatistics {
                mean: Tensor::zeros([outputs], device),
                variance: Tensor::ones([outputs], device),
            },
        }
    }
}

/// Uniform numbers between -0.1 and 0.1.
fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let mut stream = Stream::new(1, &[]);
    let count = shape.iter().product();
    let numbers: Vec<f32> = std::iter::repeat_with(|| stream.uniform_in(-0.1, 0.1) as f32)
        .take(count)
        .collect();
    Tensor::from_data(TensorData::new(numbers, shape), device)
}

/// User plus system time of this process in seconds; Linux counts it in hundredths.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, the program's name in brackets, may hold spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / 100.0)
}

/// The most resident memory of this process so far, in MiB.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib = line.split_whitespace().nth(1)?.parse::<u64>().ok()?;
    Some(kib / 1024)
}

fn main() {
    keep_freed_memory();
    let device = Device::flex().autodiff();
    let work = Work::of_arguments();
    let step = work.step(&device);
    step();
    let before = cpu_seconds();
    for _ in 0..work.steps {
        step();
    }
    match (before, cpu_seconds(), peak_memory()) {
        (Some(before), Some(after), Some(memory)) => {
            let each = (after - before) / work.steps as f64;
            println!("{} {each:.5} {memory}", work.layers);
        }
        _ => println!("{} unknown", work.layers),
    }
}
