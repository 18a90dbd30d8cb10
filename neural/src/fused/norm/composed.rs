//! The operation as a composition of operations of burn, for any backend.

use burn::tensor::{Tensor, activation};

use super::parts::{EPSILON, MOMENTUM, NormShape, NormWeights, Normed, RunningStatistics};

/// As [`super::norm_relu_pool`].
pub fn norm_relu_pool(
    x: Tensor<3>,
    weights: NormWeights,
    running: RunningStatistics,
    mask: Tensor<2>,
    shape: NormShape,
) -> Normed {
    let sizes = x.dims();
    let [objects, points, channels] = sizes;
    let groups = points / shape.pool;
    if objects * groups * channels == 0 {
        return Normed {
            values: Tensor::zeros([objects, groups, channels], &x.device()),
            mask: Tensor::zeros([objects, groups], &x.device()),
            running,
        };
    }
    let unseen = mask.clone().equal_elem(0.0).unsqueeze_dim::<3>(2);
    let unseen = unseen.expand(sizes);
    let x = x.mask_fill(unseen.clone(), 0.0);
    let seen = x.ones_like().mask_fill(unseen.clone(), 0.0);
    let (mean, variance, running) = match shape.fit {
        true => of_batch(&x, &seen, running),
        false => (
            running.mean.clone().unsqueeze(),
            running.variance.clone().unsqueeze(),
            running,
        ),
    };
    let normal = (x - mean) / (variance + EPSILON).sqrt();
    let y = normal * weights.scale.unsqueeze() + weights.shift.unsqueeze();
    let y = activation::relu(y).mask_fill(unseen, 0.0);
    let seen: Tensor<2> = seen.narrow(2, 0, 1).squeeze_dim(2);
    Normed {
        values: pooled(y, shape.pool),
        mask: pooled(seen.unsqueeze_dim(2), shape.pool).squeeze_dim(2),
        running,
    }
}

/// Returns the mean and variance of the batch, `[1, 1, channels]`, and the running statistics behind it.
fn of_batch(
    x: &Tensor<3>,
    seen: &Tensor<3>,
    running: RunningStatistics,
) -> (Tensor<3>, Tensor<3>, RunningStatistics) {
    let count = seen.clone().sum_dims(&[0, 1]);
    let divisor = count.clone().clamp_min(1.0);
    let mean = x.clone().sum_dims(&[0, 1]) / divisor.clone();
    let rest = (x.clone() - mean.clone()) * seen.clone();
    let variance = rest.powi_scalar(2).sum_dims(&[0, 1]) / divisor.clone();
    let channels = x.dims()[2];
    let enough = count.greater_elem(1.5).reshape([channels]);
    let unbiased = variance.clone().detach() * (divisor.clone() / (divisor - 1.0).clamp_min(1.0));
    let mixed = |before: Tensor<1>, of_batch: Tensor<3>| {
        let after = before.clone() * (1.0 - MOMENTUM) + of_batch.reshape([channels]) * MOMENTUM;
        before.mask_where(enough.clone(), after).detach()
    };
    let running = RunningStatistics {
        mean: mixed(running.mean, mean.clone().detach()),
        variance: mixed(running.variance, unbiased),
    };
    (mean, variance, running)
}

/// Returns the maxima of groups of points.
fn pooled(x: Tensor<3>, pool: usize) -> Tensor<3> {
    if pool == 1 {
        return x;
    }
    let [objects, points, channels] = x.dims();
    let groups = points / pool;
    x.narrow(1, 0, groups * pool)
        .reshape([objects, groups, pool, channels])
        .max_dim(2)
        .squeeze_dim(2)
}
