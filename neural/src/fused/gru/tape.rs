//! The gradients of the layer on the CPU: backward through time.

use std::ops::Range;

use flow_stages::numeric::simd::{Kernel, SimdLevel};
use rayon::prelude::*;

use super::super::flex::{Tape, Values};
use super::super::matrix::{Matrix, MatrixMut, add_rows, add_to, product, transposed};
use super::layer::{BLOCK, Block, Layer, new_last};
use super::plan::Plan;

/// A pass of a layer.
#[derive(Clone, Debug)]
pub struct GruTape {
    pub layer: Layer,
    pub states: Values,
    pub blocks: Vec<Block>,
}

/// Gradients of a block of objects.
struct Parts {
    input: Vec<f32>,
    state: Vec<f32>,
    /// The sums of the rows.
    rows: Vec<f32>,
}

/// Weights with rows as columns, in the order of the parts of a row.
struct Turned {
    /// `[3 units, inputs]`.
    input: Vec<f32>,
    /// `[3 units, units]`.
    state: Vec<f32>,
}

impl Tape<5> for GruTape {
    /// Of the input, of both weights and of both biases.
    fn gradients(self, of_output: &[f32], needed: [bool; 5]) -> [Option<Vec<f32>>; 5] {
        let layer = self.layer.clone();
        let units = layer.units;
        let turned = Turned {
            input: transposed(&layer.input, 3 * units),
            state: transposed(&layer.state, 3 * units),
        };
        let mut of_x = vec![0.0; if needed[0] { layer.x.len() } else { 0 }];
        let parts = self.parts(of_output, &turned, &mut of_x);
        let mut sums = Parts {
            input: vec![0.0; layer.inputs * 3 * units],
            state: vec![0.0; units * 3 * units],
            rows: vec![0.0; 4 * units],
        };
        for parts in parts {
            add_to(&mut sums.input, &parts.input);
            add_to(&mut sums.state, &parts.state);
            add_to(&mut sums.rows, &parts.rows);
        }
        let [new, gates, of_state] = [
            &sums.rows[..units],
            &sums.rows[units..3 * units],
            &sums.rows[3 * units..],
        ];
        let (input_bias, state_bias) = ([gates, new].concat(), [gates, of_state].concat());
        let all = [
            of_x,
            new_last(sums.input, units),
            sums.state,
            input_bias,
            state_bias,
        ];
        let mut needed = needed.into_iter();
        all.map(|gradient| needed.next().unwrap_or(false).then_some(gradient))
    }
}

impl GruTape {
    /// Computes the gradients of all blocks, and writes that of the input if there is a place for it.
    fn parts(self, of_output: &[f32], turned: &Turned, of_x: &mut [f32]) -> Vec<Parts> {
        let (layer, states) = (&self.layer, &self.states);
        let size = BLOCK * layer.points;
        let mut places: Vec<&mut [f32]> = of_x.chunks_mut(size * layer.inputs).collect();
        places.resize_with(self.blocks.len(), Default::default);
        let blocks = self.blocks.into_par_iter().enumerate().zip(places);
        blocks
            .map(|((i, Block { plan, rows }), of_x)| {
                let objects = plan.order().len();
                let range = |width: usize| {
                    let first = i * size * width;
                    first..first + objects * layer.points * width
                };
                let tape = BlockTape {
                    layer,
                    turned,
                    plan: &plan,
                    x: &layer.x[range(layer.inputs)],
                    mask: &layer.mask[range(1)],
                    states: &states[range(layer.units)],
                    of_output: &of_output[range(layer.units)],
                };
                tape.parts(rows, of_x)
            })
            .collect()
    }
}

/// A pass of a block of objects.
struct BlockTape<'a> {
    layer: &'a Layer,
    turned: &'a Turned,
    plan: &'a Plan,
    x: &'a [f32],
    mask: &'a [f32],
    states: &'a [f32],
    of_output: &'a [f32],
}

impl BlockTape<'_> {
    /// Goes back over the runs of points. The rows of the block become their gradients.
    fn parts(&self, mut rows: Vec<f32>, of_x: &mut [f32]) -> Parts {
        let (inputs, units) = (self.layer.inputs, self.layer.units);
        let (plan, width) = (self.plan, 4 * units);
        let mut parts = Parts {
            input: vec![0.0; inputs * 3 * units],
            state: vec![0.0; units * 3 * units],
            rows: vec![0.0; width],
        };
        let mut of_state = vec![0.0; plan.order().len() * units];
        let runs = plan.runs();
        for i in self.layer.ordered(0..runs.len()).rev() {
            let run = runs[i].clone();
            let of_run = plan.rows_of(run.clone());
            let rows = &mut rows[of_run.start * width..of_run.end * width];
            let before = self.states_before(run.clone());
            for point in self.layer.ordered(run.clone()).rev() {
                let of_point = plan.rows_of(point..point + 1);
                let range = of_point.start - of_run.start..of_point.end - of_run.start;
                let before = &before[range.start * units..range.end * units];
                let rows = &mut rows[range.start * width..range.end * width];
                self.step(point, before, rows, &mut of_state);
            }
            if !rows.is_empty() {
                self.sum_up(run, rows, &before, &mut parts, of_x);
            }
        }
        parts
    }

    /// The states before each row of a run, `[rows, units]`.
    fn states_before(&self, run: Range<usize>) -> Vec<f32> {
        let (points, units) = (self.layer.points, self.layer.units);
        let mut rows = vec![0.0; self.plan.rows_of(run.clone()).len() * units];
        for (row, place) in rows.chunks_exact_mut(units).zip(self.plan.places(run)) {
            if let Some(before) = self.layer.before(place % points) {
                let place = place / points * points + before;
                row.copy_from_slice(&self.states[place * units..][..units]);
            }
        }
        rows
    }

    /// Replaces the rows of a point by the gradients of what goes into them, and the gradient of the states behind the
    /// point by that of the states before it.
    fn step(&self, point: usize, before: &[f32], rows: &mut [f32], of_state: &mut [f32]) {
        let (points, units) = (self.layer.points, self.layer.units);
        for (of_state, object) in of_state.chunks_exact_mut(units).zip(self.plan.order()) {
            let place = object * points + point;
            add_to(of_state, &self.of_output[place * units..][..units]);
        }
        let objects = self.plan.objects_of(point);
        SimdLevel::active().run(Back {
            units,
            rows,
            before,
            of_state,
            seen: objects
                .iter()
                .map(|object| self.mask[object * points + point] != 0.0),
        });
        if self.layer.before(point).is_some() && !objects.is_empty() {
            product(
                Matrix::new(&rows[units..], objects.len(), 3 * units, 4 * units),
                Matrix::dense(&self.turned.state, units),
                MatrixMut::new(of_state, units),
                true,
            );
        }
    }

    /// Adds what the gradients of the rows of a run are for the weights, and writes that of the input.
    fn sum_up(
        &self,
        run: Range<usize>,
        rows: &[f32],
        before: &[f32],
        parts: &mut Parts,
        of_x: &mut [f32],
    ) {
        let (inputs, units) = (self.layer.inputs, self.layer.units);
        let width = 4 * units;
        let count = rows.len() / width;
        let of_inputs = Matrix::new(rows, count, 3 * units, width);
        let x = self.plan.gather(run.clone(), (self.x, inputs), self.mask);
        product(
            Matrix::new(&x, count, inputs, inputs).transposed(),
            of_inputs,
            MatrixMut::new(&mut parts.input, 3 * units),
            true,
        );
        product(
            Matrix::new(before, count, units, units).transposed(),
            Matrix::new(&rows[units..], count, 3 * units, width),
            MatrixMut::new(&mut parts.state, 3 * units),
            true,
        );
        add_rows(&mut parts.rows, rows);
        if !of_x.is_empty() {
            let mut of_rows = x;
            let weights = Matrix::dense(&self.turned.input, inputs);
            product(
                of_inputs,
                weights,
                MatrixMut::new(&mut of_rows, inputs),
                false,
            );
            self.plan.scatter(run, (&of_rows, inputs), of_x);
        }
    }
}

/// The gradients of what goes into the rows of a point, in place, given that of its states, which becomes that of the
/// states before without the part that comes by the product.
struct Back<'a, I> {
    units: usize,
    rows: &'a mut [f32],
    before: &'a [f32],
    of_state: &'a mut [f32],
    seen: I,
}

impl<I: Iterator<Item = bool>> Kernel for Back<'_, I> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let units = self.units;
        let rows = self.rows.chunks_exact_mut(4 * units);
        let befores = self.before.chunks_exact(units);
        let of_states = self.of_state.chunks_exact_mut(units);
        for (((row, before), of_state), seen) in rows.zip(befores).zip(of_states).zip(self.seen) {
            if !seen {
                row.fill(0.0);
                continue;
            }
            let (new, rest) = row.split_at_mut(units);
            let (reset, rest) = rest.split_at_mut(units);
            let (update, product) = rest.split_at_mut(units);
            let (product, before) = (&mut product[..units], &before[..units]);
            let of_state = &mut of_state[..units];
            for i in 0..units {
                let (n, r, z, slope) = (new[i], reset[i], update[i], of_state[i]);
                let of_n = slope * (1.0 - z) * (1.0 - n * n);
                new[i] = of_n;
                reset[i] = of_n * product[i] * (r * (1.0 - r));
                update[i] = slope * (before[i] - n) * (z * (1.0 - z));
                product[i] = of_n * r;
                of_state[i] = slope * z;
            }
        }
    }
}
