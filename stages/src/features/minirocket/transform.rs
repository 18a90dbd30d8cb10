//! The transform: blocks of [`LANES`] series at a time, in parallel over blocks.

use rayon::prelude::*;

use super::biases::BiasedKernels;
use super::plan::Pair;
use super::statistics::{Pooling, TOGETHER, multi, proportions};
use super::{HEAVY, TAPS};
use crate::features::rocket::{LANES, LaneKernel, LaneRow, Lanes, run_at};
use crate::numeric::simd::SimdLevel;

/// The number of columns that are gathered before they are written out row by row.
const TILE: usize = 64;

/// What is computed for series of one length.
#[derive(Clone, Copy, Debug)]
pub struct Transform<'a> {
    /// The kernels.
    pub kernels: &'a BiasedKernels,
    /// What is measured. Column `k * statistics + s` is statistic `s` of bias `k`.
    pub pooling: Pooling,
    /// How many points nearer to the center of the kernel the weights before it are. It is 0, or 1 for the
    /// differences of MultiRocket: aeon and the authors' own program do so, and give biases without it.
    pub shift: usize,
    /// The columns that are wanted, ascending.
    pub wanted: &'a [usize],
}

/// The first differences of each series of `len` points: rows of `len - 1` values.
pub fn differences(series: &[f32], len: usize) -> Vec<f32> {
    let rows = series.chunks_exact(len.max(1));
    rows.flat_map(|row| row.windows(2).map(|pair| pair[1] - pair[0]))
        .collect()
}

impl Transform<'_> {
    /// Transforms series of the length of the kernels, one row of `out` for each. `series` is row-major (series,
    /// time). Row `i` of `out`, of `stride` values, gets the wanted columns from place `column` on.
    ///
    /// # Panics
    /// If `series` is not whole rows, or `out` does not have one row for each, with room for the columns.
    pub fn run(&self, series: &[f32], out: &mut [f32], stride: usize, column: usize) {
        self.run_at(SimdLevel::active(), series, out, stride, column);
    }

    /// [`Transform::run`] at a given level, or at the best level of the processor if that is lower.
    pub fn run_at(
        &self,
        level: SimdLevel,
        series: &[f32],
        out: &mut [f32],
        stride: usize,
        column: usize,
    ) {
        let len = self.kernels.plan.points;
        if len == 0 || self.wanted.is_empty() {
            return;
        }
        assert!(
            series.len().is_multiple_of(len),
            "series are not whole rows"
        );
        assert!(column + self.wanted.len() <= stride, "no room in a row");
        assert_eq!(out.len(), series.len() / len * stride, "one row per series");
        out.par_chunks_mut(LANES * stride)
            .zip(series.par_chunks(LANES * len))
            .for_each(|(rows, block)| {
                let block = Block {
                    transform: self,
                    times: &LaneRow::side_by_side(block, len),
                    rows,
                    stride,
                    column,
                };
                run_at(level, block);
            });
    }

    /// The range of `wanted` that belongs to a pair.
    fn wanted_of(&self, pair: &Pair) -> &[usize] {
        let each = self.pooling.statistics();
        let before = |end: usize| self.wanted.partition_point(|&c| c < end * each);
        &self.wanted[before(pair.first)..before(pair.first + pair.biases)]
    }
}

/// The features of [`LANES`] series.
struct Block<'a> {
    transform: &'a Transform<'a>,
    times: &'a [LaneRow],
    rows: &'a mut [f32],
    stride: usize,
    column: usize,
}

impl LaneKernel for Block<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let Transform {
            kernels,
            pooling,
            shift,
            ..
        } = *self.transform;
        let len = self.times.len();
        let mut tile = Tile {
            columns: Vec::with_capacity(TILE + TOGETHER),
            next: self.column,
            stride: self.stride,
            rows: self.rows,
        };
        let mut dilated = Dilated::new(self.times);
        let mut outputs = vec![LaneRow::ZERO; len];
        for pair in kernels.plan.pairs() {
            let wanted = self.transform.wanted_of(&pair);
            if wanted.is_empty() {
                continue;
            }
            dilated.set(self.times, pair.dilation, shift);
            let reach = if pair.whole {
                0
            } else {
                TAPS / 2 * pair.dilation
            };
            // A kernel that is longer than the series has no output inside.
            let counted = reach.min(len)..len.saturating_sub(reach).max(reach.min(len));
            let outputs = &mut outputs[counted.clone()];
            // SAFETY: passed on to the caller.
            unsafe { dilated.convolve::<V>(HEAVY[pair.kernel], counted.start, outputs) };
            match pooling {
                // SAFETY: passed on to the caller.
                Pooling::Proportion => unsafe {
                    tile.proportions::<V>(outputs, wanted, &kernels.biases);
                },
                // SAFETY: as above.
                Pooling::Multi => unsafe { tile.multi::<V>(outputs, wanted, &kernels.biases) },
            }
        }
        tile.flush();
    }
}

/// Series with zeros on either side, for one dilation.
struct Dilated {
    dilation: usize,
    shift: usize,
    /// Three times the series, with zeros.
    tripled: Vec<LaneRow>,
    /// Minus the sum of the nine points under a kernel.
    light: Vec<LaneRow>,
}

impl Dilated {
    fn new(times: &[LaneRow]) -> Dilated {
        Dilated {
            dilation: 0,
            shift: 0,
            tripled: Vec::new(),
            light: vec![LaneRow::ZERO; times.len()],
        }
    }

    /// Where the point under tap `tap` of the first output is in `tripled`.
    #[inline(always)]
    fn start(&self, tap: usize) -> usize {
        tap * self.dilation + if tap < TAPS / 2 { self.shift } else { 0 }
    }

    #[inline(always)]
    fn set(&mut self, times: &[LaneRow], dilation: usize, shift: usize) {
        if (self.dilation, self.shift) == (dilation, shift) {
            return;
        }
        (self.dilation, self.shift) = (dilation, shift);
        let zeros = TAPS / 2 * dilation;
        let len = times.len();
        let mut padded = vec![LaneRow::ZERO; len + 2 * zeros];
        padded[zeros..zeros + len].copy_from_slice(times);
        for (sum, row) in self.light.iter_mut().zip(times) {
            *sum = LaneRow(row.0.map(|x| -x));
        }
        for tap in (0..TAPS).filter(|&tap| tap != TAPS / 2) {
            let points = &padded[self.start(tap)..][..len];
            for (sum, row) in self.light.iter_mut().zip(points) {
                for (sum, &x) in sum.0.iter_mut().zip(&row.0) {
                    *sum -= x;
                }
            }
        }
        for row in &mut padded {
            for x in &mut row.0 {
                *x *= 3.0;
            }
        }
        self.tripled = padded;
    }

    /// Writes the outputs from number `first` on.
    ///
    /// # Safety
    ///
    /// As for [`Lanes`].
    #[inline(always)]
    unsafe fn convolve<V: Lanes>(&self, heavy: [usize; 3], first: usize, outputs: &mut [LaneRow]) {
        let n = outputs.len();
        let [a, b, c] = heavy.map(|tap| &self.tripled[self.start(tap) + first..][..n]);
        let light = &self.light[first..][..n];
        for (t, output) in outputs.iter_mut().enumerate() {
            // SAFETY: passed on to the caller.
            unsafe {
                let one = V::load(&light[t]).add(V::load(&a[t]));
                one.add(V::load(&b[t])).add(V::load(&c[t])).store(output);
            }
        }
    }
}

/// Columns that are not written yet.
struct Tile<'a> {
    columns: Vec<LaneRow>,
    next: usize,
    stride: usize,
    rows: &'a mut [f32],
}

impl Tile<'_> {
    /// # Safety
    ///
    /// As for [`Lanes`].
    #[inline(always)]
    unsafe fn proportions<V: Lanes>(
        &mut self,
        outputs: &[LaneRow],
        wanted: &[usize],
        biases: &[f32],
    ) {
        let (groups, rest) = wanted.as_chunks::<TOGETHER>();
        for group in groups {
            // SAFETY: passed on to the caller.
            let of_group = unsafe { proportions::<V, _>(outputs, group.map(|k| biases[k])) };
            self.columns.extend(of_group);
            self.flush_if_full();
        }
        for &k in rest {
            // SAFETY: passed on to the caller.
            let one = unsafe { proportions::<V, 1>(outputs, [biases[k]]) };
            self.columns.extend(one);
        }
        self.flush_if_full();
    }

    /// # Safety
    ///
    /// As for [`Lanes`].
    #[inline(always)]
    unsafe fn multi<V: Lanes>(&mut self, outputs: &[LaneRow], wanted: &[usize], biases: &[f32]) {
        let each = Pooling::Multi.statistics();
        for of_bias in wanted.chunk_by(|a, b| a / each == b / each) {
            // SAFETY: passed on to the caller.
            let rows = unsafe { multi::<V>(outputs, biases[of_bias[0] / each]) };
            self.columns
                .extend(of_bias.iter().map(|column| rows[column % each]));
            self.flush_if_full();
        }
    }

    #[inline(always)]
    fn flush_if_full(&mut self) {
        if self.columns.len() >= TILE {
            self.flush();
        }
    }

    #[inline(always)]
    fn flush(&mut self) {
        LaneRow::write(&self.columns, self.rows, self.stride, self.next);
        self.next += self.columns.len();
        self.columns.clear();
    }
}
