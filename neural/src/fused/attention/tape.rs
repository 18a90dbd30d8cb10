//! The gradients of attention on the CPU.

use flow_stages::numeric::simd::{Kernel, SimdLevel};
use rayon::prelude::*;

use super::super::flex::Tape;
use super::super::lanes::dot;
use super::super::matrix::{Matrix, MatrixMut, product};
use super::layer::{Layer, Seen, gathered, scatter};

/// An attention that was computed.
#[derive(Clone, Debug)]
pub struct AttentionTape {
    pub layer: Layer,
    pub objects: Vec<Seen>,
}

impl Tape<3> for AttentionTape {
    /// Of queries, keys and values.
    fn gradients(self, of_output: &[f32], needed: [bool; 3]) -> [Option<Vec<f32>>; 3] {
        let layer = &self.layer;
        let (of_queries, of_keys) = (layer.queries * layer.width, layer.keys * layer.width);
        let count = self.objects.len();
        let mut of_query = vec![0.0; count * of_queries];
        let mut of_key = vec![0.0; count * of_keys];
        let mut of_value = vec![0.0; count * of_keys];
        self.objects
            .par_iter()
            .zip(of_output.par_chunks(of_queries))
            .zip(of_query.par_chunks_mut(of_queries))
            .zip(
                of_key
                    .par_chunks_mut(of_keys)
                    .zip(of_value.par_chunks_mut(of_keys)),
            )
            .for_each(|(((seen, of_output), of_query), (of_key, of_value))| {
                back(layer, seen, of_output, [of_query, of_key, of_value]);
            });
        let mut all = [of_query, of_key, of_value].into_iter();
        needed.map(|needed| all.next().filter(|_| needed))
    }
}

/// Writes the gradients of an object.
fn back(layer: &Layer, seen: &Seen, of_output: &[f32], into: [&mut [f32]; 3]) {
    let (queries, keys) = (seen.queries.len(), seen.keys.len());
    if queries * keys == 0 {
        return;
    }
    let of_output = gathered(of_output, &seen.queries, layer.width);
    let mut of_query = vec![0.0; of_output.len()];
    let mut of_key = vec![0.0; keys * layer.width];
    let mut of_value = of_key.clone();
    let mut of_scores = vec![0.0; queries * keys];
    for (head, weights) in seen.weights.chunks_exact(queries * keys).enumerate() {
        let first = head * layer.each();
        let of_found = layer.part(&of_output, queries, head);
        let value = layer.part(&seen.value, keys, head);
        let place = |rows| MatrixMut::new(rows, layer.width);
        let turned = Matrix::dense(weights, keys).transposed();
        product(turned, of_found, place(&mut of_value[first..]), false);
        product(
            of_found,
            value.transposed(),
            MatrixMut::new(&mut of_scores, keys),
            false,
        );
        SimdLevel::active().run(Back {
            weights,
            of_weights: &mut of_scores,
            columns: keys,
        });
        let scores = Matrix::dense(&of_scores, keys);
        let key = layer.part(&seen.key, keys, head);
        product(scores, key, place(&mut of_query[first..]), false);
        let query = layer.part(&seen.query, queries, head);
        product(
            scores.transposed(),
            query,
            place(&mut of_key[first..]),
            false,
        );
    }
    let scale = layer.scale();
    of_query.iter_mut().for_each(|x| *x *= scale);
    let [into_query, into_key, into_value] = into;
    scatter(&of_query, &seen.queries, into_query);
    scatter(&of_key, &seen.keys, into_key);
    scatter(&of_value, &seen.keys, into_value);
}

/// From gradients of weights to gradients of the scores that they were made of.
struct Back<'a> {
    weights: &'a [f32],
    of_weights: &'a mut [f32],
    columns: usize,
}

impl Kernel for Back<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let rows = self.weights.chunks_exact(self.columns);
        for (weights, of_weights) in rows.zip(self.of_weights.chunks_exact_mut(self.columns)) {
            let mean = dot(weights, of_weights);
            for (x, weight) in of_weights.iter_mut().zip(weights) {
                *x = weight * (*x - mean);
            }
        }
    }
}
