//! Both ways of the convolution against figures of another program, a plain reference in f64, and each other.

use burn::tensor::Tensor;

use super::super::testing::{
    assert_near, assert_same_with_threads, device, fixture, list, numbers, on, tensor, values,
};
use super::{ConvShape, composed, conv1d};

type Layer = fn(Tensor<3>, Tensor<2>, Option<Tensor<1>>, ConvShape) -> Tensor<3>;

const WAYS: [(&str, Layer); 2] = [("fused", conv1d), ("composed", composed::conv1d)];

/// A convolution and its input as plain numbers.
#[derive(Clone)]
struct Case {
    objects: usize,
    points: usize,
    channels: usize,
    outputs: usize,
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    shape: ConvShape,
}

/// The result, and gradients of the sum of its products with fixed numbers.
struct Outcome {
    y: Vec<f32>,
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

fn shape([kernel, stride, dilation, padding]: [usize; 4]) -> ConvShape {
    ConvShape {
        kernel,
        stride,
        dilation,
        padding,
    }
}

impl Case {
    fn new([objects, points, channels, outputs]: [usize; 4], shape: ConvShape) -> Self {
        Self {
            objects,
            points,
            channels,
            outputs,
            x: numbers("x", objects * points * channels),
            weight: numbers("weight", shape.kernel * channels * outputs),
            bias: numbers("bias", outputs),
            shape,
        }
    }

    fn windows(&self) -> usize {
        self.shape.windows(self.points)
    }

    fn factors(&self) -> Vec<f32> {
        numbers("factors", self.objects * self.windows() * self.outputs)
    }

    fn run(&self, layer: Layer) -> Outcome {
        let x = tensor(&self.x, [self.objects, self.points, self.channels]).require_grad();
        let rows = self.shape.kernel * self.channels;
        let weight = tensor(&self.weight, [rows, self.outputs]).require_grad();
        let bias = tensor(&self.bias, [self.outputs]).require_grad();
        let y = layer(x.clone(), weight.clone(), Some(bias.clone()), self.shape);
        let factors = tensor(&self.factors(), y.dims());
        let gradients = (y.clone() * factors).sum().backward();
        Outcome {
            y: values(y),
            x: values(x.grad(&gradients).unwrap()),
            weight: values(weight.grad(&gradients).unwrap()),
            bias: values(bias.grad(&gradients).unwrap()),
        }
    }

    /// The same by the formula and its derivatives, in f64.
    fn reference(&self) -> Outcome {
        let factors = self.factors();
        let mut y = vec![0.0; factors.len()];
        let mut x = vec![0.0; self.x.len()];
        let mut weight = vec![0.0; self.weight.len()];
        let mut bias = vec![0.0; self.outputs];
        for (at, (&factor, y)) in factors.iter().zip(&mut y).enumerate() {
            let (row, o) = (at / self.outputs, at % self.outputs);
            *y = f64::from(self.bias[o]);
            bias[o] += f64::from(factor);
            for (i, w) in self.terms(row / self.windows(), row % self.windows()) {
                let w = w * self.outputs + o;
                *y += f64::from(self.x[i]) * f64::from(self.weight[w]);
                x[i] += f64::from(factor) * f64::from(self.weight[w]);
                weight[w] += f64::from(factor) * f64::from(self.x[i]);
            }
        }
        let rounded = |values: Vec<f64>| values.iter().map(|&x| x as f32).collect();
        Outcome {
            y: rounded(y),
            x: rounded(x),
            weight: rounded(weight),
            bias: rounded(bias),
        }
    }

    /// The places in the input that a window sees, and the rows of the weights for them.
    fn terms(&self, object: usize, window: usize) -> Vec<(usize, usize)> {
        let mut terms = Vec::new();
        for j in 0..self.shape.kernel {
            let padded = window * self.shape.stride + j * self.shape.dilation;
            let Some(point) = padded.checked_sub(self.shape.padding) else {
                continue;
            };
            if point < self.points {
                let row = (object * self.points + point) * self.channels;
                terms.extend((0..self.channels).map(|c| (row + c, j * self.channels + c)));
            }
        }
        terms
    }
}

fn shapes() -> Vec<Case> {
    vec![
        Case::new([1, 1, 1, 1], ConvShape::same(1)),
        Case::new([3, 5, 4, 6], ConvShape::same(3)),
        Case::new([2, 3, 2, 3], ConvShape::same(7)),
        Case::new([2, 11, 3, 4], shape([3, 1, 2, 2])),
        Case::new([2, 11, 3, 4], shape([3, 2, 1, 1])),
        Case::new([5, 17, 6, 9], shape([5, 3, 2, 0])),
        Case::new([2, 9, 3, 5], shape([1, 2, 1, 0])),
        Case::new([21, 30, 40, 70], ConvShape::same(3)),
        Case::new([9, 20, 300, 8], ConvShape::same(3)),
    ]
}

#[test]
fn results_and_gradients_are_those_of_a_plain_reference() {
    for case in shapes() {
        let expected = case.reference();
        for (way, layer) in WAYS {
            let got = case.run(layer);
            let what = format!("{way} {:?}", case.shape);
            assert_near(&what, &got.y, &expected.y, 2e-6);
            assert_near(&what, &got.x, &expected.x, 2e-6);
            assert_near(&what, &got.weight, &expected.weight, 2e-6);
            assert_near(&what, &got.bias, &expected.bias, 2e-6);
        }
    }
}

#[test]
fn results_are_those_of_onnx_runtime() {
    let figures = &fixture()["conv1d"];
    for (name, shape) in [
        ("dilation_2_padding_2", shape([3, 1, 2, 2])),
        ("stride_2_padding_1", shape([3, 2, 1, 1])),
    ] {
        let case = Case {
            x: list(&figures["x"]),
            weight: list(&figures["weight"]),
            bias: list(&figures["bias"]),
            ..Case::new([2, 11, 3, 4], shape)
        };
        for (_, layer) in WAYS {
            assert_near(name, &case.run(layer).y, &list(&figures[name]), 1e-6);
        }
    }
}

#[test]
fn windows_are_counted() {
    assert_eq!(ConvShape::same(5).windows(9), 9);
    assert_eq!(shape([3, 1, 2, 0]).windows(4), 0);
    assert_eq!(shape([3, 2, 1, 1]).windows(11), 6);
    assert_eq!(shape([3, 2, 1, 1]).windows(0), 0);
}

#[test]
fn no_objects_and_no_windows_give_nothing() {
    for (objects, points, shape) in [(0, 5, ConvShape::same(3)), (2, 3, shape([5, 1, 1, 0]))] {
        let case = Case::new([objects, points, 2, 4], shape);
        for (way, layer) in WAYS {
            let x = tensor(&case.x, [objects, points, 2]);
            let weight = tensor(&case.weight, [2 * shape.kernel, 4]);
            let y = layer(x, weight, None, shape);
            assert_eq!(y.dims(), [objects, shape.windows(points), 4], "{way}");
        }
    }
}

#[test]
fn nan_stays_in_the_windows_that_see_it() {
    let mut case = Case::new([2, 5, 1, 2], ConvShape::same(3));
    case.x[0] = f32::NAN;
    for (way, layer) in WAYS {
        let y = case.run(layer).y;
        assert!(y[..4].iter().all(|x| x.is_nan()), "{way}");
        assert!(y[4..].iter().all(|x| x.is_finite()), "{way}");
    }
}

#[test]
fn a_bias_can_be_left_out() {
    let case = Case::new([2, 5, 3, 2], ConvShape::same(3));
    let plain = device().inner();
    let of = |bias: &[f32]| {
        let x = on(&plain, &case.x, [2, 5, 3]);
        let weight = on(&plain, &case.weight, [9, 2]);
        let bias = (!bias.is_empty()).then(|| on(&plain, bias, [2]));
        values(conv1d(x, weight, bias, case.shape))
    };
    assert_eq!(of(&[]), of(&[0.0, 0.0]));
    assert_eq!(of(&case.bias), case.run(conv1d).y);
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let case = Case::new([37, 40, 20, 70], ConvShape::same(3));
    assert_same_with_threads(|| {
        let outcome = case.run(conv1d);
        [outcome.y, outcome.x, outcome.weight, outcome.bias].concat()
    });
}
