//! Convolution over points, with what follows it.

use burn::tensor::Tensor;

use super::super::{Init, Mode, Pass};
use super::normalization::{running, scale};
use crate::fused::{self, ConvShape, NormShape, NormWeights, RunningStatistics};

/// A convolution over points, batch normalization over the observed points, `max(x, 0)`, and the maximum of neighboring
/// points.
#[derive(Clone, Copy, Debug)]
pub struct Convolution {
    /// The number of neighboring points that each output sees, which is odd. Zeros are beyond both ends.
    pub kernel: usize,
    /// The number of channels that come out.
    pub outputs: usize,
    /// Points that become one; 1 leaves all. It divides the number of points.
    pub pool: usize,
}

impl Convolution {
    /// Returns the values, `[objects, points / pool, outputs]`, and their mask, `[objects, points / pool]`. They are zero
    /// where it hides them, and `x` must be so, too.
    ///
    /// The weights begin uniformly between minus and plus `1 / sqrt(channels * kernel)`. There is no bias, since the
    /// normalization would take it away.
    pub fn forward(
        &self,
        x: Tensor<3>,
        mask: Tensor<2>,
        name: &str,
        pass: &mut Pass<'_>,
    ) -> (Tensor<3>, Tensor<2>) {
        let inputs = self.kernel * x.dims()[2];
        let bound = Init::Uniform(1.0 / (inputs as f32).sqrt());
        pass.within(name, |pass| {
            let weight = pass.weight("weight", [inputs, self.outputs], bound);
            let x = fused::conv1d(x, weight, None, ConvShape::same(self.kernel));
            pass.within("norm", |pass| self.normalized(x, mask, pass))
        })
    }

    fn normalized(
        &self,
        x: Tensor<3>,
        mask: Tensor<2>,
        pass: &mut Pass<'_>,
    ) -> (Tensor<3>, Tensor<2>) {
        let [scale, shift] = scale(self.outputs, pass);
        let [mean, variance] = running(self.outputs, pass);
        let fit = pass.mode() == Mode::Fit;
        let normed = fused::norm_relu_pool(
            x,
            NormWeights { scale, shift },
            RunningStatistics { mean, variance },
            mask,
            NormShape {
                pool: self.pool,
                fit,
            },
        );
        if fit {
            pass.keep("mean", normed.running.mean);
            pass.keep("variance", normed.running.variance);
        }
        (normed.values, normed.mask)
    }
}
