//! The gradients of the convolution on the CPU.

use std::borrow::Cow;

use rayon::prelude::*;

use super::super::flex::Tape;
use super::super::matrix::{Matrix, MatrixMut, add_rows, add_to, product, transposed};
use super::layer::Layer;

/// A convolution that was computed.
#[derive(Clone, Debug)]
pub struct ConvTape {
    pub layer: Layer,
}

/// Gradients of a block of objects.
struct Parts {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl<const N: usize> Tape<N> for ConvTape {
    /// Of the input, the weights and, if there is one, the bias.
    fn gradients(self, of_output: &[f32], needed: [bool; N]) -> [Option<Vec<f32>>; N] {
        let layer = &self.layer;
        let mut of_x = vec![0.0; if needed[0] { layer.x.len() } else { 0 }];
        let mut of_weight = vec![0.0; layer.weight.len()];
        let mut of_bias = vec![0.0; layer.outputs];
        for parts in self.parts(of_output, &mut of_x) {
            add_to(&mut of_weight, &parts.weight);
            add_to(&mut of_bias, &parts.bias);
        }
        let mut all = [of_x, of_weight, of_bias].into_iter();
        needed.map(|needed| all.next().filter(|_| needed))
    }
}

impl ConvTape {
    /// Computes the gradients of all blocks, and writes that of the input if there is a place for it.
    fn parts(&self, of_output: &[f32], of_x: &mut [f32]) -> Vec<Parts> {
        let layer = &self.layer;
        let block = layer.block() * layer.points * layer.channels;
        let turned = match of_x.is_empty() {
            true => Vec::new(),
            false => transposed(&layer.weight, layer.outputs),
        };
        let xs = layer.x.par_chunks(block);
        let mut places: Vec<&mut [f32]> = of_x.chunks_mut(block).collect();
        places.resize_with(xs.len(), Default::default);
        let of_outputs = of_output.par_chunks(layer.block() * layer.windows * layer.outputs);
        xs.zip(of_outputs)
            .zip(places)
            .map(|((x, of_output), of_x)| {
                let of_output = spaced(layer, of_output);
                if !of_x.is_empty() {
                    into_x(layer, &of_output, &turned, of_x);
                }
                parts_of_block(layer, x, &of_output)
            })
            .collect()
    }
}

/// Returns gradients of results with zeros for those that were dropped.
fn spaced<'a>(layer: &Layer, of_output: &'a [f32]) -> Cow<'a, [f32]> {
    if layer.is_dense() {
        return Cow::Borrowed(of_output);
    }
    let size = layer.windows * layer.outputs;
    let mut spaced = vec![0.0; layer.rows(of_output.len() / size) * layer.outputs];
    let periods = spaced.chunks_mut(layer.windows_of_period() * layer.outputs);
    for (of_output, spaced) in of_output.chunks_exact(size).zip(periods) {
        spaced[..size].copy_from_slice(of_output);
    }
    Cow::Owned(spaced)
}

fn parts_of_block(layer: &Layer, x: &[f32], of_output: &[f32]) -> Parts {
    let outputs = layer.outputs;
    let rows = of_output.len() / outputs;
    let x = layer.spaced(x);
    let mut parts = Parts {
        weight: vec![0.0; layer.weight.len()],
        bias: vec![0.0; outputs],
    };
    for tap in layer.taps() {
        product(
            Matrix::new(&x[tap.first..], rows, tap.rows, layer.step()).transposed(),
            Matrix::dense(of_output, outputs),
            MatrixMut::new(&mut parts.weight[tap.row * outputs..], outputs),
            false,
        );
    }
    add_rows(&mut parts.bias, of_output);
    parts
}

/// Writes the gradient of the input of a block. `turned` has the weights as `[outputs, kernel * channels]`.
fn into_x(layer: &Layer, of_output: &[f32], turned: &[f32], of_x: &mut [f32]) {
    let (outputs, channels) = (layer.outputs, layer.channels);
    let size = layer.points * channels;
    let mut spaced = vec![0.0; layer.spaced_size(of_x.len() / size)];
    let width = layer.shape.kernel * channels;
    for j in 0..layer.shape.kernel {
        product(
            Matrix::dense(of_output, outputs),
            Matrix::new(&turned[j * channels..], outputs, channels, width),
            MatrixMut::new(
                &mut spaced[j * layer.shape.dilation * channels..],
                layer.step(),
            ),
            true,
        );
    }
    for (of_x, place) in of_x.chunks_exact_mut(size).zip(layer.places()) {
        of_x.copy_from_slice(&spaced[place..place + size]);
    }
}
