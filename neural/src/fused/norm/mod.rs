//! Batch normalization of observations, the rectifier and pooling, as one operation.

mod composed;
mod layer;
mod parts;
mod tape;
#[cfg(test)]
mod tests;

pub use parts::{NormShape, NormWeights, Normed, RunningStatistics};

use burn::tensor::Tensor;

use self::layer::{Channels, Layer};
use self::parts::{EPSILON, MOMENTUM};
use self::tape::NormTape;
use super::flex::{Input, Values, constant, output};

/// Normalizes each channel of the observations, sets what is negative to zero, and takes the maximum of `pool` points.
///
/// ```text
/// y = max(0, (x - mean) / sqrt(variance + 1e-5) scale + shift)
/// ```
///
/// `x` is `[objects, points, channels]`. Mean and variance (divisor `n`) of a fit are those of the points whose mask,
/// `[objects, points]`, is not 0 (Ioffe and Szegedy 2015, algorithm 1, on these points alone). Other points have no part in
/// maxima and a gradient of zero, whatever their values. Points behind the last whole group of `pool` are dropped.
/// With a mask of ones this is `BatchNorm1d`, `ReLU` and `MaxPool1d(pool)` of PyTorch, with its momentum of 0.1.
/// A batch with fewer than two observed points, or without a whole group, leaves the running statistics as they are.
///
/// Panics if the sizes do not fit or `pool` is 0.
pub fn norm_relu_pool(
    x: Tensor<3>,
    weights: NormWeights,
    running: RunningStatistics,
    mask: Tensor<2>,
    shape: NormShape,
) -> Normed {
    let [objects, points, channels] = x.dims();
    let of_channels = [
        &weights.scale,
        &weights.shift,
        &running.mean,
        &running.variance,
    ];
    for values in of_channels {
        assert_eq!(values.dims(), [channels], "values of channels");
    }
    assert_eq!(mask.dims(), [objects, points], "the shape of the mask");
    assert!(shape.pool > 0, "at least one point is pooled");
    match on_cpu(&x, &weights, &running, &mask, shape) {
        Some(normed) => normed,
        None => composed::norm_relu_pool(x, weights, running, mask, shape),
    }
}

/// Returns the results if all numbers are on the CPU, and there are some.
fn on_cpu(
    x: &Tensor<3>,
    weights: &NormWeights,
    running: &RunningStatistics,
    mask: &Tensor<2>,
    shape: NormShape,
) -> Option<Normed> {
    let [objects, points, channels] = x.dims();
    let groups = points / shape.pool;
    if objects * groups * channels == 0 {
        return None;
    }
    let inputs = [
        Input::of(x)?,
        Input::of(&weights.scale)?,
        Input::of(&weights.shift)?,
    ];
    let [mean, variance] = [Input::of(&running.mean)?, Input::of(&running.variance)?];
    let [x, scale, shift] = inputs.each_ref().map(Input::values);
    let before = [mean.values(), variance.values()];
    let layer = Layer {
        points,
        channels,
        pool: shape.pool,
        x,
        mask: Input::of(mask)?.values(),
    };
    let count = shape.fit.then(|| layer.count());
    let ([mean, variance], after) = match count {
        Some(count) => statistics(&layer, count, &before),
        None => (before.each_ref().map(|values| values.to_vec()), None),
    };
    let recorded = inputs.iter().any(Input::remembers);
    let running = match after {
        Some([mean, variance]) => RunningStatistics {
            mean: constant(mean, [channels], recorded),
            variance: constant(variance, [channels], recorded),
        },
        None => running.clone(),
    };
    let mask = constant(layer.pooled_mask(), [objects, groups], recorded);
    let inverse = variance
        .iter()
        .map(|variance| 1.0 / (variance + EPSILON).sqrt());
    let inverse: Vec<f32> = inverse.collect();
    let factors = inverse.iter().zip(scale.iter());
    let by = Channels {
        mean,
        factor: factors.map(|(inverse, scale)| inverse * scale).collect(),
        inverse,
        shift: shift.to_vec(),
    };
    let values = Values::new(layer.run(&by), [objects, groups, channels]);
    let tape = NormTape {
        layer,
        by,
        values: values.clone(),
        count,
    };
    Some(Normed {
        values: output(inputs, values, tape),
        mask,
        running,
    })
}

/// Returns means and variances of the batch, and the running ones behind it if they change.
fn statistics(
    layer: &Layer,
    count: usize,
    before: &[Values; 2],
) -> ([Vec<f32>; 2], Option<[Vec<f32>; 2]>) {
    let [sums, squares] = layer.sums();
    let share = 1.0 / count.max(1) as f64;
    let means: Vec<f64> = sums.iter().map(|sum| sum * share).collect();
    let variances = squares.iter().zip(&means).map(|(square, mean)| {
        let variance = square * share - mean * mean;
        if variance < 0.0 { 0.0 } else { variance }
    });
    let variances: Vec<f64> = variances.collect();
    let rounded = |values: &[f64]| values.iter().map(|&x| x as f32).collect::<Vec<f32>>();
    let of_batch = [rounded(&means), rounded(&variances)];
    if count < 2 {
        return (of_batch, None);
    }
    let unbiased = count as f64 / (count - 1) as f64;
    let unbiased: Vec<f64> = variances
        .iter()
        .map(|variance| variance * unbiased)
        .collect();
    let mixed = |before: &[f32], of_batch: &[f64]| {
        let both = before.iter().zip(of_batch);
        both.map(|(before, of_batch)| before * (1.0 - MOMENTUM) + *of_batch as f32 * MOMENTUM)
            .collect()
    };
    let after = [mixed(&before[0], &means), mixed(&before[1], &unbiased)];
    (of_batch, Some(after))
}
