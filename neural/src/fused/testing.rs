//! What the tests of the operations share.

use burn::tensor::{Device, Tensor, TensorData};
use flow_stages::numeric::rng::Stream;
use serde_json::Value;

/// The CPU, with a memory of how tensors are computed.
pub fn device() -> Device {
    Device::flex().autodiff()
}

/// A tensor on [`device`].
pub fn tensor<const D: usize>(values: &[f32], shape: [usize; D]) -> Tensor<D> {
    on(&device(), values, shape)
}

/// A tensor on a device.
pub fn on<const D: usize>(device: &Device, values: &[f32], shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

/// The values of a tensor, row-major.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

/// Uniform numbers between -1 and 1, which depend on the name alone.
pub fn numbers(name: &str, count: usize) -> Vec<f32> {
    let name: Vec<u64> = name.bytes().map(u64::from).collect();
    let mut stream = Stream::new(1, &name);
    let uniform = std::iter::repeat_with(|| stream.uniform_in(-1.0, 1.0) as f32);
    uniform.take(count).collect()
}

/// The figures of another program.
pub fn fixture() -> Value {
    let text = include_str!("../../tests/fixtures/layers.json");
    serde_json::from_str(text).unwrap()
}

/// A list of numbers in a fixture.
pub fn list(value: &Value) -> Vec<f32> {
    let numbers = value.as_array().unwrap().iter();
    numbers.map(|x| x.as_f64().unwrap() as f32).collect()
}

/// Asserts that two lists differ by at most `tolerance` times the largest magnitude, and are NaN in the same places.
#[track_caller]
pub fn assert_near(what: &str, got: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let finite = expected.iter().filter(|x| x.is_finite());
    let scale = finite.fold(1e-3_f32, |most, x| most.max(x.abs()));
    for (i, (a, b)) in got.iter().zip(expected).enumerate() {
        let near = (a - b).abs() <= tolerance * scale || a.is_nan() && b.is_nan();
        assert!(near, "{what}[{i}]: {a}, expected {b}");
    }
}

/// Does the same with one thread and with several, and asserts that the bits of the results are the same.
#[track_caller]
pub fn assert_same_with_threads(work: impl Fn() -> Vec<f32> + Sync) {
    let of = |threads: usize| -> Vec<u32> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let values = pool.build().unwrap().install(&work);
        values.iter().map(|x| x.to_bits()).collect()
    };
    let one = of(1);
    for threads in [2, 3, 4] {
        assert!(of(threads) == one, "{threads} threads");
    }
}
