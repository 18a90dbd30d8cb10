//! The gradients of the layer on the CPU: backward through time.

use flow_stages::numeric::simd::{Kernel, SimdLevel};
use rayon::prelude::*;

use super::super::flex::{Tape, Values};
use super::super::matrix::{Matrix, MatrixMut, add_to, product, transposed};
use super::layer::{BLOCK, Block, Layer, new_last};

/// A pass of a layer.
#[derive(Debug)]
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
    fn gradients(&self, of_output: &[f32], needed: [bool; 5]) -> [Option<Vec<f32>>; 5] {
        let layer = &self.layer;
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
    fn parts(&self, of_output: &[f32], turned: &Turned, of_x: &mut [f32]) -> Vec<Parts> {
        let layer = &self.layer;
        let size = BLOCK * layer.points;
        let mut places: Vec<&mut [f32]> = of_x.chunks_mut(size * layer.inputs).collect();
        places.resize_with(self.blocks.len(), Default::default);
        let blocks = self.blocks.par_iter().enumerate().zip(places);
        blocks
            .map(|((i, block), of_x)| {
                let objects = block.plan.order().len();
                let rows = |width: usize| {
                    let first = i * size * width;
                    first..first + objects * layer.points * width
                };
                let tape = BlockTape {
                    layer,
                    block,
                    x: &layer.x[rows(layer.inputs)],
                    mask: &layer.mask[rows(1)],
                    states: &self.states[rows(layer.units)],
                };
                tape.parts(&of_output[rows(layer.units)], turned, of_x)
            })
            .collect()
    }
}

/// A pass of a block of objects.
struct BlockTape<'a> {
    layer: &'a Layer,
    block: &'a Block,
    x: &'a [f32],
    mask: &'a [f32],
    states: &'a [f32],
}

impl BlockTape<'_> {
    fn parts(&self, of_output: &[f32], turned: &Turned, of_x: &mut [f32]) -> Parts {
        let (inputs, units) = (self.layer.inputs, self.layer.units);
        let (plan, width) = (&self.block.plan, 4 * units);
        let before = self.states_before();
        let slopes = self.slopes(of_output, &before, turned);
        let count = plan.rows();
        let of_inputs = Matrix::new(&slopes, count, 3 * units, width);
        if !of_x.is_empty() {
            let mut rows = vec![0.0; count * inputs];
            let weights = Matrix::dense(&turned.input, inputs);
            product(of_inputs, weights, MatrixMut::new(&mut rows, inputs), false);
            plan.scatter(&rows, inputs, of_x);
        }
        let x = plan.gather(self.x, inputs, self.mask);
        let mut parts = Parts {
            input: vec![0.0; inputs * 3 * units],
            state: vec![0.0; units * 3 * units],
            rows: vec![0.0; width],
        };
        product(
            Matrix::new(&x, count, inputs, inputs).transposed(),
            of_inputs,
            MatrixMut::new(&mut parts.input, 3 * units),
            false,
        );
        product(
            Matrix::new(&before, count, units, units).transposed(),
            Matrix::new(slopes.get(units..).unwrap_or(&[]), count, 3 * units, width),
            MatrixMut::new(&mut parts.state, 3 * units),
            false,
        );
        for row in slopes.chunks_exact(width) {
            add_to(&mut parts.rows, row);
        }
        parts
    }

    /// The states before each row, `[rows, units]`.
    fn states_before(&self) -> Vec<f32> {
        let (points, units) = (self.layer.points, self.layer.units);
        let plan = &self.block.plan;
        let mut rows = vec![0.0; plan.rows() * units];
        for (row, place) in rows.chunks_exact_mut(units).zip(plan.places()) {
            if let Some(before) = self.layer.before(place % points) {
                let place = place / points * points + before;
                row.copy_from_slice(&self.states[place * units..][..units]);
            }
        }
        rows
    }

    /// The gradients of what goes into the rows, in the order of their parts.
    fn slopes(&self, of_output: &[f32], before: &[f32], turned: &Turned) -> Vec<f32> {
        let (points, units) = (self.layer.points, self.layer.units);
        let (plan, width) = (&self.block.plan, 4 * units);
        let mut slopes = vec![0.0; plan.rows() * width];
        let mut of_state = vec![0.0; plan.order().len() * units];
        let mut seen = Vec::new();
        for point in self.layer.steps().rev() {
            for (of_state, object) in of_state.chunks_exact_mut(units).zip(plan.order()) {
                let place = object * points + point;
                add_to(of_state, &of_output[place * units..][..units]);
            }
            let rows = plan.rows_of(point);
            seen.clear();
            let objects = plan.order()[..rows.len()].iter();
            seen.extend(objects.map(|object| self.mask[object * points + point] != 0.0));
            let slopes = &mut slopes[rows.start * width..rows.end * width];
            SimdLevel::active().run(Back {
                units,
                rows: &self.block.rows[rows.start * width..rows.end * width],
                before: &before[rows.start * units..rows.end * units],
                slopes,
                of_state: &mut of_state,
                seen: &seen,
            });
            if self.layer.before(point).is_some() && !rows.is_empty() {
                product(
                    Matrix::new(&slopes[units..], rows.len(), 3 * units, width),
                    Matrix::dense(&turned.state, units),
                    MatrixMut::new(&mut of_state, units),
                    true,
                );
            }
        }
        slopes
    }
}

/// The gradients of the rows of a point, given that of its states, which becomes that of the states before without the
/// part that comes by the product.
struct Back<'a> {
    units: usize,
    rows: &'a [f32],
    before: &'a [f32],
    slopes: &'a mut [f32],
    of_state: &'a mut [f32],
    seen: &'a [bool],
}

impl Kernel for Back<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let units = self.units;
        let rows = self.rows.chunks_exact(4 * units);
        let befores = self.before.chunks_exact(units);
        let slopes = self.slopes.chunks_exact_mut(4 * units);
        let of_states = self.of_state.chunks_exact_mut(units);
        let all = rows.zip(befores).zip(slopes).zip(of_states).zip(self.seen);
        for ((((row, before), slopes), of_state), _) in all.filter(|(_, seen)| **seen) {
            let (new, rest) = row.split_at(units);
            let (reset, rest) = rest.split_at(units);
            let (update, product) = rest.split_at(units);
            let (of_new, rest) = slopes.split_at_mut(units);
            let (of_reset, rest) = rest.split_at_mut(units);
            let (of_update, of_product) = rest.split_at_mut(units);
            let (product, before) = (&product[..units], &before[..units]);
            let (of_product, of_state) = (&mut of_product[..units], &mut of_state[..units]);
            for i in 0..units {
                let (n, r, z, slope) = (new[i], reset[i], update[i], of_state[i]);
                let of_n = slope * (1.0 - z) * (1.0 - n * n);
                of_new[i] = of_n;
                of_reset[i] = of_n * product[i] * (r * (1.0 - r));
                of_update[i] = slope * (before[i] - n) * (z * (1.0 - z));
                of_product[i] = of_n * r;
                of_state[i] = slope * z;
            }
        }
    }
}
