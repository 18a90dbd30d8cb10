//! The gradients of the operation on the CPU.

use flow_stages::numeric::simd::{Kernel, SimdLevel};
use rayon::prelude::*;

use super::super::flex::{Tape, Values};
use super::layer::{Channels, Layer, Sums, total};

/// The operation behind a pass.
#[derive(Clone, Debug)]
pub struct NormTape {
    pub layer: Layer,
    pub by: Channels,
    pub values: Values,
    /// The observed points, if the statistics are theirs.
    pub count: Option<usize>,
}

impl Tape<3> for NormTape {
    /// Of the input, the scale and the shift.
    fn gradients(self, of_output: &[f32], needed: [bool; 3]) -> [Option<Vec<f32>>; 3] {
        let [of_scale, of_shift] = self.sums(of_output);
        let of_x = needed[0].then(|| self.of_x(of_output, [&of_scale, &of_shift]));
        let rounded = |sums: Vec<f64>| sums.iter().map(|&sum| sum as f32).collect();
        [
            of_x,
            needed[1].then(|| rounded(of_scale)),
            needed[2].then(|| rounded(of_shift)),
        ]
    }
}

impl NormTape {
    /// What a block of objects has, of each of the arrays.
    fn blocks<'a>(
        &'a self,
        of_output: &'a [f32],
    ) -> impl IndexedParallelIterator<Item = Part<'a>> + 'a {
        let layer = &self.layer;
        let (block, channels) = (layer.block(), layer.channels);
        let size = block * layer.groups() * channels;
        layer
            .x
            .par_chunks(block * layer.points * channels)
            .zip(layer.mask.par_chunks(block * layer.points))
            .zip(self.values.par_chunks(size))
            .zip(of_output.par_chunks(size))
            .map(|(((x, mask), values), of_output)| Part {
                layer,
                by: &self.by,
                x,
                mask,
                values,
                of_output,
            })
    }

    /// The gradients of scales and shifts.
    fn sums(&self, of_output: &[f32]) -> Sums {
        let blocks = self.blocks(of_output);
        let sums = blocks.map(|part| SimdLevel::active().run(SumUp(part)));
        total(sums.collect(), self.layer.channels)
    }

    fn of_x(&self, of_output: &[f32], [of_scale, of_shift]: [&[f64]; 2]) -> Vec<f32> {
        let layer = &self.layer;
        let mean = |sums: &[f64]| -> Vec<f32> {
            let share = self.count.map_or(0.0, |count| 1.0 / count.max(1) as f64);
            sums.iter().map(|sum| (sum * share) as f32).collect()
        };
        let (of_scale, of_shift) = (mean(of_scale), mean(of_shift));
        let mut of_x = vec![0.0; layer.x.len()];
        let places = of_x.par_chunks_mut(layer.block() * layer.points * layer.channels);
        let parts = self.blocks(of_output).zip(places);
        parts.for_each(|(part, of_x)| {
            SimdLevel::active().run(Back {
                part,
                of_scale: &of_scale,
                of_shift: &of_shift,
                of_x,
            });
        });
        of_x
    }
}

/// A block of objects.
#[derive(Clone, Copy)]
struct Part<'a> {
    layer: &'a Layer,
    by: &'a Channels,
    x: &'a [f32],
    mask: &'a [f32],
    values: &'a [f32],
    of_output: &'a [f32],
}

impl<'a> Part<'a> {
    /// Calls `row` with each observed point: its number, the normalized channels, and their gradients.
    #[inline(always)]
    fn for_each(&self, mut row: impl FnMut(usize, &[f32], &[f32])) {
        let channels = self.layer.channels;
        let mut normal = vec![0.0; channels];
        let mut slope = vec![0.0; channels];
        let mut rest = vec![0.0; channels];
        for at in 0..self.mask.len() {
            let value = self.group(at);
            if (at % self.layer.points).is_multiple_of(self.layer.pool) {
                match value {
                    Some(group) => rest.copy_from_slice(&self.of_output[group..][..channels]),
                    None => rest.fill(0.0),
                }
            }
            if self.mask[at] == 0.0 {
                continue;
            }
            let x = &self.x[at * channels..][..channels];
            match value {
                Some(group) => {
                    let values = &self.values[group..][..channels];
                    self.slopes(x, values, [&mut normal, &mut slope, &mut rest]);
                }
                None => {
                    slope.fill(0.0);
                    for i in 0..channels {
                        normal[i] = (x[i] - self.by.mean[i]) * self.by.inverse[i];
                    }
                }
            }
            row(at, &normal, &slope);
        }
    }

    /// Where the value of a point begins, unless it was dropped.
    #[inline(always)]
    fn group(&self, at: usize) -> Option<usize> {
        let (points, groups) = (self.layer.points, self.layer.groups());
        let group = at % points / self.layer.pool;
        (group < groups).then(|| (at / points * groups + group) * self.layer.channels)
    }

    /// Normalizes a point and gives it the gradients of the values that are its own; `rest` is what no point of the
    /// group has yet.
    #[inline(always)]
    fn slopes(&self, x: &[f32], values: &[f32], [normal, slope, rest]: [&mut [f32]; 3]) {
        let channels = x.len();
        let by = self.by;
        let (mean, inverse) = (&by.mean[..channels], &by.inverse[..channels]);
        let (factor, shift) = (&by.factor[..channels], &by.shift[..channels]);
        let (normal, slope) = (&mut normal[..channels], &mut slope[..channels]);
        let (rest, values) = (&mut rest[..channels], &values[..channels]);
        for i in 0..channels {
            let y = (x[i] - mean[i]) * factor[i] + shift[i];
            let hit = y == values[i] && y > 0.0;
            slope[i] = if hit { rest[i] } else { 0.0 };
            rest[i] = if hit { 0.0 } else { rest[i] };
            normal[i] = (x[i] - mean[i]) * inverse[i];
        }
    }
}

/// The sums of gradients times normalized channels, and of gradients.
struct SumUp<'a>(Part<'a>);

impl Kernel for SumUp<'_> {
    type Output = Sums;

    #[inline(always)]
    fn run(self) -> Sums {
        let channels = self.0.layer.channels;
        let mut of_scale = vec![0.0; channels];
        let mut of_shift = vec![0.0; channels];
        self.0.for_each(|_, normal, slope| {
            let sums = of_scale.iter_mut().zip(&mut of_shift);
            for ((of_scale, of_shift), (&normal, &slope)) in sums.zip(normal.iter().zip(slope)) {
                *of_scale += f64::from(slope) * f64::from(normal);
                *of_shift += f64::from(slope);
            }
        });
        [of_scale, of_shift]
    }
}

/// The gradient of the input of a block.
struct Back<'a> {
    part: Part<'a>,
    /// The means over the observed points, or zeros.
    of_scale: &'a [f32],
    of_shift: &'a [f32],
    of_x: &'a mut [f32],
}

impl Kernel for Back<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let channels = self.part.layer.channels;
        let factor = &self.part.by.factor[..channels];
        let (of_scale, of_shift) = (&self.of_scale[..channels], &self.of_shift[..channels]);
        self.part.for_each(|at, normal, slope| {
            let of_x = &mut self.of_x[at * channels..][..channels];
            let (normal, slope) = (&normal[..channels], &slope[..channels]);
            for i in 0..channels {
                of_x[i] = factor[i] * (slope[i] - of_shift[i] - normal[i] * of_scale[i]);
            }
        });
    }
}
