//! The convolution on the CPU: one product of matrices for a block of objects.
//!
//! The points of the objects of a block lie behind each other, with zeros between them for the padding. The numbers
//! that a window sees are then a row of a matrix, whose rows overlap; nothing is copied for it. Windows that begin in
//! one object and end in the next are computed too, and dropped.

use std::borrow::Cow;

use rayon::prelude::*;

use super::super::flex::Values;
use super::super::matrix::{Matrix, MatrixMut, product};
use super::shape::ConvShape;

/// The points that are computed together, if an object does not have more. Sums over objects are made of those of blocks,
/// so results depend on this number, but not on that of the threads.
const BLOCK: usize = 1024;

/// A convolution and its input.
#[derive(Clone, Debug)]
pub struct Layer {
    pub shape: ConvShape,
    pub points: usize,
    pub windows: usize,
    pub channels: usize,
    pub outputs: usize,
    pub x: Values,
    pub weight: Values,
}

/// Rows of the weights that are multiplied by what a window sees at once.
pub struct Tap {
    /// How far behind the begin of a window it is, in numbers.
    pub first: usize,
    /// Its first row of the weights.
    pub row: usize,
    /// The number of its rows.
    pub rows: usize,
}

impl Layer {
    /// The objects of a block.
    pub fn block(&self) -> usize {
        (BLOCK / self.period()).max(1)
    }

    /// Points from the first of an object to the first of the next, in a block.
    fn period(&self) -> usize {
        let stride = self.shape.stride;
        (self.points + self.shape.padding).div_ceil(stride) * stride
    }

    /// Windows from the first of an object to the first of the next.
    pub fn windows_of_period(&self) -> usize {
        self.period() / self.shape.stride
    }

    /// The windows of a block of this many objects, with those that are dropped.
    pub fn rows(&self, objects: usize) -> usize {
        match objects {
            0 => 0,
            objects => (objects - 1) * self.windows_of_period() + self.windows,
        }
    }

    /// No window is dropped and no zeros are between objects.
    pub fn is_dense(&self) -> bool {
        self.period() == self.points && self.windows_of_period() == self.windows
    }

    /// What the products of a window are made of.
    pub fn taps(&self) -> impl Iterator<Item = Tap> {
        let (kernel, channels) = (self.shape.kernel, self.channels);
        let (count, size) = match self.shape.dilation {
            1 => (1, kernel),
            _ => (kernel, 1),
        };
        (0..count).map(move |tap| Tap {
            first: tap * self.shape.dilation * channels,
            row: tap * size * channels,
            rows: size * channels,
        })
    }

    /// From a window to the next, in numbers.
    pub fn step(&self) -> usize {
        self.shape.stride * self.channels
    }

    /// Returns the points of a block with the zeros between them.
    pub fn spaced<'a>(&self, x: &'a [f32]) -> Cow<'a, [f32]> {
        if self.is_dense() {
            return Cow::Borrowed(x);
        }
        let size = self.points * self.channels;
        let mut spaced = vec![0.0; self.spaced_size(x.len() / size)];
        for (x, place) in x.chunks_exact(size).zip(self.places()) {
            spaced[place..place + size].copy_from_slice(x);
        }
        Cow::Owned(spaced)
    }

    /// The numbers of a block with the zeros between them.
    pub fn spaced_size(&self, objects: usize) -> usize {
        match self.is_dense() {
            true => objects * self.points * self.channels,
            false => (self.shape.padding + objects * self.period()) * self.channels,
        }
    }

    /// Where the numbers of each object begin there.
    pub fn places(&self) -> impl Iterator<Item = usize> + use<> {
        let (first, period) = (self.shape.padding * self.channels, self.period());
        let channels = self.channels;
        (0..).map(move |object| first + object * period * channels)
    }

    /// Computes the results, `[objects, windows, outputs]`.
    pub fn run(&self, bias: Option<&[f32]>) -> Vec<f32> {
        let objects = self.x.len() / (self.points * self.channels);
        let mut results = vec![0.0; objects * self.windows * self.outputs];
        results
            .par_chunks_mut(self.block() * self.windows * self.outputs)
            .zip(
                self.x
                    .par_chunks(self.block() * self.points * self.channels),
            )
            .for_each(|(results, x)| self.run_block(x, bias, results));
        results
    }

    fn run_block(&self, x: &[f32], bias: Option<&[f32]>, results: &mut [f32]) {
        let outputs = self.outputs;
        let size = self.windows * outputs;
        let rows = self.rows(results.len() / size);
        let x = self.spaced(x);
        let mut spaced = Vec::new();
        let into = match self.is_dense() {
            true => &mut *results,
            false => {
                spaced.resize(rows * outputs, 0.0);
                &mut spaced[..]
            }
        };
        if let Some(bias) = bias {
            into.chunks_exact_mut(outputs)
                .for_each(|row| row.copy_from_slice(bias));
        }
        for tap in self.taps() {
            product(
                Matrix::new(&x[tap.first..], rows, tap.rows, self.step()),
                Matrix::dense(
                    &self.weight[tap.row * outputs..][..tap.rows * outputs],
                    outputs,
                ),
                MatrixMut::new(into, outputs),
                bias.is_some() || tap.row > 0,
            );
        }
        if !self.is_dense() {
            let periods = spaced.chunks(self.windows_of_period() * outputs);
            for (results, spaced) in results.chunks_exact_mut(size).zip(periods) {
                results.copy_from_slice(&spaced[..size]);
            }
        }
    }
}
