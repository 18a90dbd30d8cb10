//! Encodings of times as waves.

use burn::tensor::{Tensor, TensorData};

/// Returns sines and cosines of times, `[objects, points, width]`, with `width / 2` periods from `longest` down to
/// `shortest` in a geometric row (Vaswani et al. 2017, section 3.5, with times in place of positions). `width` is even.
pub fn sinusoids(times: Tensor<2>, width: usize, shortest: f64, longest: f64) -> Tensor<3> {
    let [objects, points] = times.dims();
    let waves = width / 2;
    let steps = waves.max(2) - 1;
    let frequencies: Vec<f32> = (0..waves)
        .map(|wave| {
            let ratio = libm::pow(longest / shortest, wave as f64 / steps as f64);
            (std::f64::consts::TAU / longest * ratio) as f32
        })
        .collect();
    let device = times.device();
    let frequencies = Tensor::<2>::from_data(TensorData::new(frequencies, [1, waves]), &device);
    let angles = times.reshape([objects * points, 1]).matmul(frequencies);
    let waves = Tensor::cat(vec![angles.clone().sin(), angles.cos()], 1);
    waves.reshape([objects as i64, points as i64, -1])
}
