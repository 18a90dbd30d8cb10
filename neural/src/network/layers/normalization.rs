//! Normalization of the values of a row, or of a batch.

use burn::tensor::Tensor;

use super::super::{Init, Mode, Pass};
use crate::fused;

/// What is added to variances.
const EPSILON: f32 = 1e-5;

/// The share of the statistics of a batch in the running ones, as in PyTorch.
const MOMENTUM: f32 = 0.1;

/// Returns the rows (last dimension) with mean 0 and variance 1, times a weight and plus a bias for each column (Ba,
/// Kiros and Hinton 2016, equation 4; the variance is the biased one).
pub fn layer_norm<const D: usize>(x: Tensor<D>, name: &str, pass: &mut Pass<'_>) -> Tensor<D> {
    let shape = x.dims();
    let columns = shape[D - 1];
    let rows = shape[..D - 1].iter().product();
    let [weight, bias] = pass.within(name, |pass| scale(columns, pass));
    fused::layer_norm(x.reshape([rows, columns]), weight, bias).reshape(shape)
}

/// Returns the columns with mean 0 and variance 1, times a weight and plus a bias for each (Ioffe and Szegedy 2015,
/// algorithms 1 and 2).
///
/// In a fit, mean and variance are those of the batch, and a tenth of them goes into the running ones, unless the batch
/// has one row only. In a prediction they are the running ones.
pub fn batch_norm(x: Tensor<2>, name: &str, pass: &mut Pass<'_>) -> Tensor<2> {
    let [rows, columns] = x.dims();
    pass.within(name, |pass| {
        let [weight, bias] = scale(columns, pass).map(|values| values.reshape([1, columns]));
        let running = running(columns, pass).map(|values| values.reshape([1, columns]));
        let (mean, variance) = match pass.mode() {
            Mode::Apply => running.into(),
            Mode::Fit => {
                let mean = x.clone().mean_dim(0);
                let variance = (x.clone() - mean.clone()).square().mean_dim(0);
                if rows > 1 {
                    let unbiased = rows as f64 / (rows - 1) as f64;
                    let now = [mean.clone(), variance.clone().mul_scalar(unbiased)];
                    keep(now, running, pass);
                }
                (mean, variance)
            }
        };
        let factor = weight / variance.add_scalar(EPSILON).sqrt();
        (x - mean) * factor + bias
    })
}

/// Adds the moments of a batch to the running ones.
fn keep(now: [Tensor<2>; 2], running: [Tensor<2>; 2], pass: &mut Pass<'_>) {
    for ((name, now), before) in ["mean", "variance"].into_iter().zip(now).zip(running) {
        let change = (now.detach() - before.clone()).mul_scalar(MOMENTUM);
        pass.keep(name, (before + change).flatten(0, 1));
    }
}

/// Returns the mean and the variance of each column over the batches so far.
pub(super) fn running(columns: usize, pass: &mut Pass<'_>) -> [Tensor<1>; 2] {
    [
        pass.kept("mean", columns, 0.0),
        pass.kept("variance", columns, 1.0),
    ]
}

/// Returns what each normalized column is multiplied by, and what is then added.
pub(super) fn scale(columns: usize, pass: &mut Pass<'_>) -> [Tensor<1>; 2] {
    [
        pass.weight("weight", [columns], Init::Constant(1.0)),
        pass.weight("bias", [columns], Init::Constant(0.0)),
    ]
}
