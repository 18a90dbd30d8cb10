//! Both ways of the operation against each other; the layer on top of it is held against ONNX Runtime.

use burn::tensor::{Device, Tensor};

use super::super::testing::{
    assert_near, assert_same_with_threads, device, numbers, on, tensor, values,
};
use super::{composed, layer_norm};

type Way = fn(Tensor<2>, Tensor<1>, Tensor<1>) -> Tensor<2>;

/// The rows, and gradients of the sum of their products with fixed numbers.
fn outcome([rows, columns]: [usize; 2], way: Way) -> [Vec<f32>; 4] {
    let x = numbers("x", rows * columns)
        .iter()
        .map(|x| 3.0 * x + 2.0)
        .collect::<Vec<_>>();
    let x = tensor(&x, [rows, columns]).require_grad();
    let [weight, bias] =
        ["weight", "bias"].map(|name| tensor(&numbers(name, columns), [columns]).require_grad());
    let normed = way(x.clone(), weight.clone(), bias.clone());
    let factors = tensor(&numbers("factors", rows * columns), [rows, columns]);
    let gradients = (normed.clone() * factors).sum().backward();
    let of = |gradient: Option<_>| gradient.unwrap();
    [
        values(normed),
        values::<2>(of(x.grad(&gradients))),
        values(weight.grad(&gradients).unwrap()),
        values(bias.grad(&gradients).unwrap()),
    ]
}

#[test]
fn both_ways_give_the_same() {
    for sizes in [[1, 1], [1, 7], [3, 16], [5, 48], [700, 33]] {
        let (fused, composed) = (
            outcome(sizes, layer_norm),
            outcome(sizes, composed::layer_norm),
        );
        for (what, (fused, composed)) in ["y", "x", "weight", "bias"]
            .iter()
            .zip(fused.iter().zip(&composed))
        {
            assert_near(&format!("{what} of {sizes:?}"), fused, composed, 1e-5);
        }
    }
}

#[test]
fn constant_rows_are_the_bias_and_nan_stays_in_its_row() {
    let x = tensor(&[4.0, 4.0, 4.0, f32::NAN, 0.0, 1.0], [2, 3]);
    let (weight, bias) = (tensor(&[2.0; 3], [3]), tensor(&[1.0, 2.0, 3.0], [3]));
    let y = values(layer_norm(x, weight, bias));
    assert_eq!(y[..3], [1.0, 2.0, 3.0]);
    assert!(y[3..].iter().all(|x| x.is_nan()));
}

#[test]
fn no_rows_are_no_mistake() {
    let of_columns = || Tensor::<1>::ones([3], &device());
    let y = layer_norm(Tensor::zeros([0, 3], &device()), of_columns(), of_columns());
    assert_eq!(y.dims(), [0, 3]);
}

#[test]
fn without_a_memory_the_numbers_are_the_same() {
    let plain = Device::flex();
    let x: Vec<f32> = numbers("x", 15).iter().map(|x| 3.0 * x + 2.0).collect();
    let [weight, bias] = ["weight", "bias"].map(|name| on(&plain, &numbers(name, 5), [5]));
    let y = layer_norm(on(&plain, &x, [3, 5]), weight, bias);
    assert_eq!(values(y), outcome([3, 5], layer_norm)[0]);
}

#[test]
fn the_bytes_do_not_depend_on_threads() {
    assert_same_with_threads(|| outcome([1100, 20], layer_norm).concat());
}
