//! The layer on the CPU: the states of blocks of objects, and what their gradients need.
//!
//! A row has four parts of `H` numbers each: the new state `n`, the gates `r` and `z`, and `h U_n + c_n`, which `r`
//! multiplies. So one product adds what comes from the inputs to the first three parts, and one what comes from the state
//! to the last three.

use std::ops::Range;

use flow_stages::numeric::simd::{Kernel, SimdLevel};
use rayon::prelude::*;

use super::super::activation::{sigmoid, tanh};
use super::super::flex::Values;
use super::super::matrix::{Matrix, MatrixMut, product};
use super::plan::Plan;

/// The objects that are computed together. Sums over objects are made of those of blocks, so results depend on this
/// number, but not on that of the threads.
pub const BLOCK: usize = 32;

/// A layer and its input.
#[derive(Clone, Debug)]
pub struct Layer {
    pub points: usize,
    pub inputs: usize,
    pub units: usize,
    pub x: Values,
    pub mask: Values,
    /// `[inputs, 3 units]`, in the order of the first three parts of a row.
    pub input: Vec<f32>,
    /// `[units, 3 units]`, in the order of the last three parts of a row.
    pub state: Values,
    /// What a row begins with.
    pub bias: Vec<f32>,
    pub reverse: bool,
}

/// The rows of a block of objects behind a pass, `[rows, 4 units]`, and which they are.
#[derive(Clone, Debug)]
pub struct Block {
    pub plan: Plan,
    pub rows: Vec<f32>,
}

/// Returns columns of `r, z, n` as columns of `n, r, z`.
pub fn new_first(weights: &[f32], units: usize) -> Vec<f32> {
    let mut turned = weights.to_vec();
    turned
        .chunks_exact_mut(3 * units)
        .for_each(|row| row.rotate_right(units));
    turned
}

/// Returns columns of `n, r, z` as columns of `r, z, n`.
pub fn new_last(mut weights: Vec<f32>, units: usize) -> Vec<f32> {
    weights
        .chunks_exact_mut(3 * units)
        .for_each(|row| row.rotate_left(units));
    weights
}

/// Returns what rows begin with, from both biases in the order `r, z, n`.
pub fn row_bias(input: &[f32], state: &[f32]) -> Vec<f32> {
    let units = input.len() / 3;
    let gates = input[..2 * units].iter().zip(state).map(|(a, b)| a + b);
    let new = input[2 * units..].iter().copied();
    new.chain(gates)
        .chain(state[2 * units..].iter().copied())
        .collect()
}

impl Layer {
    /// Some points in the order in which the layer goes over them.
    pub fn ordered(&self, points: Range<usize>) -> impl DoubleEndedIterator<Item = usize> + use<> {
        let reverse = self.reverse;
        let steps = 0..points.len();
        steps.map(move |step| match reverse {
            true => points.end - 1 - step,
            false => points.start + step,
        })
    }

    /// The point before a point, if there is one.
    pub fn before(&self, point: usize) -> Option<usize> {
        let before = match self.reverse {
            true => point + 1,
            false => point.wrapping_sub(1),
        };
        (before < self.points).then_some(before)
    }

    /// Computes the states, `[objects, points, units]`, and returns the blocks.
    pub fn run(&self, states: &mut [f32]) -> Vec<Block> {
        let size = BLOCK * self.points;
        let blocks = states
            .par_chunks_mut(size * self.units)
            .zip(self.x.par_chunks(size * self.inputs))
            .zip(self.mask.par_chunks(size));
        blocks
            .map(|((states, x), mask)| self.run_block(x, mask, states))
            .collect()
    }

    fn run_block(&self, x: &[f32], mask: &[f32], states: &mut [f32]) -> Block {
        let width = 4 * self.units;
        let plan = Plan::new(mask, self.points);
        let mut rows = vec![0.0; plan.rows() * width];
        let mut state = vec![0.0; plan.order().len() * self.units];
        let runs = plan.runs();
        for i in self.ordered(0..runs.len()) {
            let run = runs[i].clone();
            let of_run = plan.rows_of(run.clone());
            let rows = &mut rows[of_run.start * width..of_run.end * width];
            for row in rows.chunks_exact_mut(width) {
                row.copy_from_slice(&self.bias);
            }
            let x = plan.gather(run.clone(), (x, self.inputs), mask);
            product(
                Matrix::new(&x, of_run.len(), self.inputs, self.inputs),
                Matrix::dense(&self.input, 3 * self.units),
                MatrixMut::new(rows, width),
                true,
            );
            for point in self.ordered(run) {
                let of_point = plan.rows_of(point..point + 1);
                let first = (of_point.start - of_run.start) * width;
                let rows = &mut rows[first..first + of_point.len() * width];
                self.step(&plan, point, mask, rows, &mut state);
                for (state, &object) in state.chunks_exact(self.units).zip(plan.order()) {
                    let place = (object * self.points + point) * self.units;
                    states[place..place + self.units].copy_from_slice(state);
                }
            }
        }
        Block { plan, rows }
    }

    /// Finishes the rows of a point, and the states behind it.
    fn step(&self, plan: &Plan, point: usize, mask: &[f32], rows: &mut [f32], state: &mut [f32]) {
        let units = self.units;
        let objects = plan.objects_of(point);
        if self.before(point).is_some() && !objects.is_empty() {
            product(
                Matrix::new(state, objects.len(), units, units),
                Matrix::dense(&self.state, 3 * units),
                MatrixMut::new(&mut rows[units..], 4 * units),
                true,
            );
        }
        SimdLevel::active().run(Forward {
            units,
            rows,
            state,
            seen: objects
                .iter()
                .map(|object| mask[object * self.points + point] != 0.0),
        });
    }
}

/// The gates and states of the rows of a point.
struct Forward<'a, I> {
    units: usize,
    rows: &'a mut [f32],
    state: &'a mut [f32],
    seen: I,
}

impl<I: Iterator<Item = bool>> Kernel for Forward<'_, I> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let units = self.units;
        let rows = self.rows.chunks_exact_mut(4 * units);
        let states = self.state.chunks_exact_mut(units);
        for ((row, state), _) in rows.zip(states).zip(self.seen).filter(|(_, seen)| *seen) {
            let (new, rest) = row.split_at_mut(units);
            let (reset, rest) = rest.split_at_mut(units);
            let (update, of_state) = rest.split_at_mut(units);
            let of_state = &of_state[..units];
            let state = &mut state[..units];
            for i in 0..units {
                let (r, z) = (sigmoid(reset[i]), sigmoid(update[i]));
                let n = tanh(new[i] + r * of_state[i]);
                (new[i], reset[i], update[i]) = (n, r, z);
                state[i] = n + z * (state[i] - n);
            }
        }
    }
}
