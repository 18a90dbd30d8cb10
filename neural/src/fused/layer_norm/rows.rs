//! The operation on the CPU: two passes over each row each way.

use flow_stages::numeric::simd::{Kernel, SimdLevel};
use rayon::prelude::*;

use super::super::flex::{Tape, Values};
use super::super::lanes::{dot, sum};
use super::super::matrix::add_to;
use super::EPSILON;

/// The rows that are computed together. Sums over rows are made of those of blocks, so results depend on this number, but
/// not on that of the threads.
const BLOCK: usize = 256;

/// Rows that were normalized.
#[derive(Clone, Debug)]
pub struct NormedRows {
    pub x: Values,
    pub weight: Values,
    /// The mean of each row and the inverse of its deviation.
    pub scales: Vec<[f32; 2]>,
}

/// Returns the normalized rows, and the mean of each row and the inverse of its deviation.
pub fn forward(x: &[f32], weight: &[f32], bias: &[f32]) -> (Vec<f32>, Vec<[f32; 2]>) {
    let columns = weight.len();
    let mut normed = vec![0.0; x.len()];
    let mut scales = vec![[0.0; 2]; x.len() / columns];
    let blocks = normed.par_chunks_mut(BLOCK * columns);
    blocks
        .zip(x.par_chunks(BLOCK * columns))
        .zip(scales.par_chunks_mut(BLOCK))
        .for_each(|((normed, x), scales)| {
            SimdLevel::active().run(Forward {
                x,
                columns: [weight, bias],
                normed,
                scales,
            });
        });
    (normed, scales)
}

struct Forward<'a> {
    x: &'a [f32],
    /// Weight and bias.
    columns: [&'a [f32]; 2],
    normed: &'a mut [f32],
    scales: &'a mut [[f32; 2]],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let [weight, bias] = self.columns;
        let columns = weight.len();
        let rows = self.x.chunks_exact(columns);
        let rows = rows.zip(self.normed.chunks_exact_mut(columns));
        for ((x, normed), scale) in rows.zip(self.scales) {
            let mean = sum(x) / columns as f32;
            for (y, x) in normed.iter_mut().zip(x) {
                *y = x - mean;
            }
            let variance = dot(normed, normed) / columns as f32;
            let inverse = 1.0 / (variance + EPSILON).sqrt();
            for ((y, weight), bias) in normed.iter_mut().zip(weight).zip(bias) {
                *y = *y * inverse * weight + bias;
            }
            *scale = [mean, inverse];
        }
    }
}

impl Tape<3> for NormedRows {
    /// Of the rows, the weights and the biases.
    fn gradients(self, of_output: &[f32], needed: [bool; 3]) -> [Option<Vec<f32>>; 3] {
        let columns = self.weight.len();
        let mut of_x = vec![0.0; self.x.len()];
        let blocks = of_x.par_chunks_mut(BLOCK * columns);
        let sums: Vec<[Vec<f32>; 2]> = blocks
            .zip(self.x.par_chunks(BLOCK * columns))
            .zip(of_output.par_chunks(BLOCK * columns))
            .zip(self.scales.par_chunks(BLOCK))
            .map(|(((of_x, x), of_output), scales)| {
                SimdLevel::active().run(Back {
                    x,
                    of_output,
                    scales,
                    weight: &self.weight,
                    of_x,
                })
            })
            .collect();
        let (mut of_weight, mut of_bias) = (vec![0.0; columns], vec![0.0; columns]);
        for [weight, bias] in &sums {
            add_to(&mut of_weight, weight);
            add_to(&mut of_bias, bias);
        }
        let mut all = [of_x, of_weight, of_bias].into_iter();
        needed.map(|needed| all.next().filter(|_| needed))
    }
}

struct Back<'a> {
    x: &'a [f32],
    of_output: &'a [f32],
    scales: &'a [[f32; 2]],
    weight: &'a [f32],
    of_x: &'a mut [f32],
}

impl Kernel for Back<'_> {
    /// The gradients of the weights and the biases.
    type Output = [Vec<f32>; 2];

    #[inline(always)]
    fn run(self) -> [Vec<f32>; 2] {
        let columns = self.weight.len();
        let (mut of_weight, mut of_bias) = (vec![0.0; columns], vec![0.0; columns]);
        let mut normed = vec![0.0; columns];
        let rows = self
            .x
            .chunks_exact(columns)
            .zip(self.of_output.chunks_exact(columns));
        let rows = rows.zip(self.of_x.chunks_exact_mut(columns));
        for (((x, of_y), of_x), [mean, inverse]) in rows.zip(self.scales) {
            for i in 0..columns {
                normed[i] = (x[i] - mean) * inverse;
                of_weight[i] += of_y[i] * normed[i];
                of_bias[i] += of_y[i];
                of_x[i] = of_y[i] * self.weight[i];
            }
            let shift = sum(of_x) / columns as f32;
            let slope = dot(of_x, &normed) / columns as f32;
            for (of_x, normed) in of_x.iter_mut().zip(&normed) {
                *of_x = (*of_x - shift - normed * slope) * inverse;
            }
        }
        [of_weight, of_bias]
    }
}
