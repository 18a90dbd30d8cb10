//! Attention on the CPU: one object after the other, without what is not seen.

use flow_stages::numeric::simd::{Kernel, SimdLevel};
use rayon::prelude::*;

use super::super::activation::exp;
use super::super::lanes::{most, sum};
use super::super::matrix::{Matrix, MatrixMut, product};

/// The sizes of an attention.
#[derive(Clone, Debug)]
pub struct Layer {
    pub heads: usize,
    pub width: usize,
    pub queries: usize,
    pub keys: usize,
}

/// What is seen of an object.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The places of the queries and keys that are seen.
    pub queries: Vec<usize>,
    pub keys: Vec<usize>,
    /// Their rows, those of the queries divided by the square root of the width of a head.
    pub query: Vec<f32>,
    pub key: Vec<f32>,
    pub value: Vec<f32>,
    /// What each key counts for each query, `[heads, queries, keys]`.
    pub weights: Vec<f32>,
}

impl Layer {
    /// The columns of a head.
    pub fn each(&self) -> usize {
        self.width / self.heads
    }

    /// What the scores are multiplied by.
    pub fn scale(&self) -> f32 {
        1.0 / (self.each() as f32).sqrt()
    }

    /// Computes what is found, `[objects, queries, width]`, of queries, keys and values with the masks of queries and
    /// keys.
    pub fn run(
        &self,
        [query, key, value]: [&[f32]; 3],
        masks: [&[f32]; 2],
    ) -> (Vec<f32>, Vec<Seen>) {
        let (of_queries, of_keys) = (self.queries * self.width, self.keys * self.width);
        let mut found = vec![0.0; query.len()];
        let seen = found
            .par_chunks_mut(of_queries)
            .zip(query.par_chunks(of_queries))
            .zip(key.par_chunks(of_keys).zip(value.par_chunks(of_keys)))
            .zip(
                masks[0]
                    .par_chunks(self.queries)
                    .zip(masks[1].par_chunks(self.keys)),
            )
            .map(|(((found, query), (key, value)), masks)| {
                let seen = self.seen([query, key, value], [masks.0, masks.1]);
                self.run_object(seen, found)
            })
            .collect();
        (found, seen)
    }

    /// Returns what is seen of an object, before the weights are known.
    fn seen(&self, [query, key, value]: [&[f32]; 3], masks: [&[f32]; 2]) -> Seen {
        let [queries, keys] = masks
            .map(|mask| -> Vec<usize> { (0..mask.len()).filter(|&at| mask[at] != 0.0).collect() });
        let scale = self.scale();
        let mut query = gathered(query, &queries, self.width);
        query.iter_mut().for_each(|x| *x *= scale);
        Seen {
            query,
            key: gathered(key, &keys, self.width),
            value: gathered(value, &keys, self.width),
            weights: vec![0.0; self.heads * queries.len() * keys.len()],
            queries,
            keys,
        }
    }

    /// Computes the weights and what is found, which is zero before.
    fn run_object(&self, mut seen: Seen, found: &mut [f32]) -> Seen {
        let (queries, keys) = (seen.queries.len(), seen.keys.len());
        if queries * keys == 0 {
            return seen;
        }
        let mut rows = vec![0.0; queries * self.width];
        let heads = seen.weights.chunks_exact_mut(queries * keys);
        for (head, weights) in heads.enumerate() {
            let [query, key, value] = [
                (&seen.query, queries),
                (&seen.key, keys),
                (&seen.value, keys),
            ]
            .map(|(rows, count)| self.part(rows, count, head));
            product(
                query,
                key.transposed(),
                MatrixMut::new(weights, keys),
                false,
            );
            SimdLevel::active().run(Softmax {
                rows: weights,
                columns: keys,
            });
            product(
                Matrix::dense(weights, keys),
                value,
                MatrixMut::new(&mut rows[head * self.each()..], self.width),
                false,
            );
        }
        scatter(&rows, &seen.queries, found);
        seen
    }

    /// Returns the columns of a head of `count` rows.
    pub fn part<'a>(&self, rows: &'a [f32], count: usize, head: usize) -> Matrix<'a> {
        Matrix::new(&rows[head * self.each()..], count, self.each(), self.width)
    }
}

/// Returns some rows.
pub fn gathered(rows: &[f32], places: &[usize], width: usize) -> Vec<f32> {
    let row = |&place: &usize| &rows[place * width..][..width];
    places.iter().flat_map(row).copied().collect()
}

/// Writes rows to their places.
pub fn scatter(rows: &[f32], places: &[usize], into: &mut [f32]) {
    let width = rows.len() / places.len().max(1);
    for (row, &place) in rows.chunks_exact(width.max(1)).zip(places) {
        into[place * width..][..width].copy_from_slice(row);
    }
}

/// Turns rows of scores into rows of weights.
struct Softmax<'a> {
    rows: &'a mut [f32],
    columns: usize,
}

impl Kernel for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for row in self.rows.chunks_exact_mut(self.columns) {
            let most = most(row);
            for x in row.iter_mut() {
                *x = exp(*x - most);
            }
            let share = 1.0 / sum(row);
            for x in row {
                *x *= share;
            }
        }
    }
}
