//! Time of a GRU and of a convolution, forward and backward, on one thread and at each SIMD level of this processor. The
//! levels are those of loops; products of matrices use what the processor has.

use burn::tensor::{Device, Tensor, TensorData};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use flow_neural::fused::{ConvShape, GruWeights, conv1d, gru, keep_freed_memory};
use flow_stages::numeric::rng::Stream;
use flow_stages::numeric::simd::SimdLevel;

const OBJECTS: usize = 64;
const POINTS: usize = 160;

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    let mut stream = Stream::new(1, &[]);
    let count = shape.iter().product();
    let numbers: Vec<f32> = std::iter::repeat_with(|| stream.uniform_in(-0.1, 0.1) as f32)
        .take(count)
        .collect();
    let device = Device::flex().autodiff();
    Tensor::from_data(TensorData::new(numbers, shape), &device)
}

fn of_gru(inputs: usize, units: usize) -> impl Fn() {
    let weights = GruWeights {
        input: random([inputs, 3 * units]).require_grad(),
        state: random([units, 3 * units]).require_grad(),
        input_bias: random([3 * units]).require_grad(),
        state_bias: random([3 * units]).require_grad(),
    };
    let x = random([OBJECTS, POINTS, inputs]);
    let mask = Tensor::ones([OBJECTS, POINTS], &x.device());
    move || {
        let states = gru(x.clone(), weights.clone(), mask.clone(), false);
        states.sum().backward();
    }
}

fn of_conv(channels: usize, outputs: usize) -> impl Fn() {
    let weight = random([3 * channels, outputs]).require_grad();
    let x = random([OBJECTS, POINTS, channels]).require_grad();
    move || {
        let results = conv1d(x.clone(), weight.clone(), None, ConvShape::same(3));
        results.sum().backward();
    }
}

fn layers(criterion: &mut Criterion) {
    keep_freed_memory();
    time(criterion, "gru from 12 to 64", of_gru(12, 64));
    time(criterion, "conv1d from 64 to 128", of_conv(64, 128));
}

fn time(criterion: &mut Criterion, name: &str, work: impl Fn() + Send + Sync) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.expect("one thread");
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20);
    for level in SimdLevel::available() {
        SimdLevel::set_cap(level);
        group.bench_function(BenchmarkId::from_parameter(level), |bencher| {
            pool.install(|| bencher.iter(&work));
        });
    }
    SimdLevel::set_cap(SimdLevel::detect());
    group.finish();
}

criterion_group!(benches, layers);
criterion_main!(benches);
