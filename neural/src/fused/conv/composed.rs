//! The convolution as a composition of operations of burn, for any backend.

use burn::tensor::Tensor;
use burn::tensor::s;

use super::shape::ConvShape;

/// As [`super::conv1d`].
pub fn conv1d(
    x: Tensor<3>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    shape: ConvShape,
) -> Tensor<3> {
    let [objects, points, channels] = x.dims();
    let [rows, outputs] = weight.dims();
    let windows = shape.windows(points);
    if objects == 0 || windows == 0 {
        return Tensor::zeros([objects, windows, outputs], &x.device());
    }
    let x = match shape.padding {
        0 => x,
        padding => {
            let zeros = Tensor::zeros([objects, padding, channels], &x.device());
            Tensor::cat(vec![zeros.clone(), x, zeros], 1)
        }
    };
    let of_window = (0..shape.kernel).map(|j| {
        let first = j * shape.dilation;
        let end = first + (windows - 1) * shape.stride + 1;
        x.clone().slice(s![.., first..end;shape.stride, ..])
    });
    let y = Tensor::cat(of_window.collect(), 2)
        .reshape([objects * windows, rows])
        .matmul(weight)
        .reshape([objects, windows, outputs]);
    match bias {
        Some(bias) => y + bias.unsqueeze(),
        None => y,
    }
}
