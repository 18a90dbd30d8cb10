//! The operation on the CPU, in one pass for the statistics and one for the values.

use flow_stages::numeric::simd::{Kernel, SimdLevel};
use rayon::prelude::*;

use super::super::flex::Values;

/// The points that are worked on together, if an object does not have more. Sums over points are made of those of blocks,
/// so results depend on this number, but not on that of the threads.
const BLOCK: usize = 1024;

/// The operation and its input.
#[derive(Clone, Debug)]
pub struct Layer {
    pub points: usize,
    pub channels: usize,
    pub pool: usize,
    pub x: Values,
    pub mask: Values,
}

/// How each channel is normalized: `(x - mean) * factor + shift`.
#[derive(Clone, Debug)]
pub struct Channels {
    pub mean: Vec<f32>,
    /// One over the root of the variance.
    pub inverse: Vec<f32>,
    /// The inverse times the scale.
    pub factor: Vec<f32>,
    pub shift: Vec<f32>,
}

/// Sums of two numbers of each channel.
pub type Sums = [Vec<f64>; 2];

impl Layer {
    /// The objects of a block.
    pub fn block(&self) -> usize {
        (BLOCK / self.points).max(1)
    }

    /// The number of groups of points that become one.
    pub fn groups(&self) -> usize {
        self.points / self.pool
    }

    /// The number of observed points.
    pub fn count(&self) -> usize {
        self.mask.iter().filter(|&&seen| seen != 0.0).count()
    }

    /// Returns the sums of each channel and of its squares.
    pub fn sums(&self) -> Sums {
        let blocks = self
            .x
            .par_chunks(self.block() * self.points * self.channels)
            .zip(self.mask.par_chunks(self.block() * self.points));
        let sums = blocks.map(|(x, mask)| {
            SimdLevel::active().run(Sum {
                channels: self.channels,
                x,
                mask,
            })
        });
        total(sums.collect(), self.channels)
    }

    /// Computes the values, `[objects, groups, channels]`.
    pub fn run(&self, by: &Channels) -> Vec<f32> {
        let objects = self.mask.len() / self.points;
        let mut values = vec![0.0; objects * self.groups() * self.channels];
        values
            .par_chunks_mut(self.groups() * self.channels)
            .zip(self.x.par_chunks(self.points * self.channels))
            .zip(self.mask.par_chunks(self.points))
            .with_min_len(self.block())
            .for_each(|((values, x), mask)| {
                SimdLevel::active().run(Forward {
                    layer: self,
                    by,
                    x,
                    mask,
                    values,
                });
            });
        values
    }

    /// Returns which groups are observed, `[objects, groups]`.
    pub fn pooled_mask(&self) -> Vec<f32> {
        let objects = self.mask.chunks_exact(self.points);
        let groups = objects.flat_map(|mask| mask.chunks_exact(self.pool));
        let seen = groups.map(|mask| mask.iter().any(|&seen| seen != 0.0));
        seen.map(|seen| if seen { 1.0 } else { 0.0 }).collect()
    }
}

/// Returns the sums of blocks, added in their order.
pub fn total(blocks: Vec<Sums>, channels: usize) -> Sums {
    let mut total = [vec![0.0; channels], vec![0.0; channels]];
    for block in blocks {
        for (total, block) in total.iter_mut().zip(block) {
            for (total, block) in total.iter_mut().zip(block) {
                *total += block;
            }
        }
    }
    total
}

struct Sum<'a> {
    channels: usize,
    x: &'a [f32],
    mask: &'a [f32],
}

impl Kernel for Sum<'_> {
    type Output = Sums;

    #[inline(always)]
    fn run(self) -> Sums {
        let mut sums = vec![0.0; self.channels];
        let mut squares = vec![0.0; self.channels];
        let rows = self.x.chunks_exact(self.channels).zip(self.mask);
        for (x, _) in rows.filter(|(_, seen)| **seen != 0.0) {
            for ((&x, sum), square) in x.iter().zip(&mut sums).zip(&mut squares) {
                let x = f64::from(x);
                *sum += x;
                *square += x * x;
            }
        }
        [sums, squares]
    }
}

/// The values of an object.
struct Forward<'a> {
    layer: &'a Layer,
    by: &'a Channels,
    x: &'a [f32],
    mask: &'a [f32],
    values: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Layer { channels, pool, .. } = *self.layer;
        let by = self.by;
        let (mean, factor) = (&by.mean[..channels], &by.factor[..channels]);
        let shift = &by.shift[..channels];
        let groups = self.x.chunks_exact(pool * channels);
        let masks = self.mask.chunks_exact(pool);
        let values = self.values.chunks_exact_mut(channels);
        for ((x, mask), values) in groups.zip(masks).zip(values) {
            let rows = x.chunks_exact(channels).zip(mask);
            let values = &mut values[..channels];
            for (x, _) in rows.filter(|(_, seen)| **seen != 0.0) {
                let x = &x[..channels];
                for i in 0..channels {
                    let y = (x[i] - mean[i]) * factor[i] + shift[i];
                    let keep = y <= values[i] || values[i].is_nan();
                    values[i] = if keep { values[i] } else { y };
                }
            }
        }
    }
}
