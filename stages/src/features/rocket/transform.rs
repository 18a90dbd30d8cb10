//! The transform: blocks of [`LANES`] series at a time, in parallel over blocks.
//!
//! A kernel of length `L`, weights `w`, bias `b`, dilation `d` and padding `p` turns a series `x` of length
//! `T` (zero outside `0..T`) into `T + 2p - (L-1)d` outputs
//!
//! ```text
//! out[t] = b + sum over j in 0..L of w[j] * x[t - p + j*d]
//! ```
//!
//! # Equal bits at every SIMD level
//!
//! An output is the bias, then one fused multiply-add per tap in the order of the taps; taps that
//! fall on the padding are left out. Every level does exactly these operations for every series (a
//! vector register holds one time of [`LANES`] series, never several times of one), so all levels and
//! all thread counts give the same bytes. An output that is not a number counts as not positive and
//! takes no part in the maximum.

use super::kernels::{Kernel, KernelSet, MAX_TAPS, TapRun};
use super::lanes::{LANES, LaneKernel, LaneRow, Lanes, run_at};
use crate::numeric::simd::SimdLevel;
use rayon::prelude::*;

/// The number of kernels whose features are gathered before they are written out row by row.
const TILE: usize = 32;

/// The number of output positions that are computed together, so that their chains of additions
/// overlap.
const POSITIONS: usize = 4;

impl KernelSet {
    /// Transforms the series of one band at the active [`SimdLevel`].
    ///
    /// `series` is row-major (series, time) with [`KernelSet::series_len`] points a row. `out` is
    /// row-major with rows of `stride` values; row `i` receives `[ppv, max]` of kernel 0, then of
    /// kernel 1 and so on in columns `column..column + n_features()`. Other columns are left alone, so
    /// the bands of an object can lie side by side. Where a kernel has no output both features are 0.
    /// `ppv` is exact for series of fewer than 2^24 points.
    ///
    /// Blocks of [`LANES`] series run in parallel on the current rayon pool; the result does not depend
    /// on the number of threads.
    ///
    /// # Panics
    ///
    /// If `series` is not whole rows, if the columns do not fit in `stride`, or if `out` does not have
    /// one row for each series. A set for series of no points transforms nothing.
    pub fn transform(&self, series: &[f32], out: &mut [f32], stride: usize, column: usize) {
        self.transform_at(SimdLevel::active(), series, out, stride, column);
    }

    /// [`KernelSet::transform`] at a given level, or at the best level of the processor if that is
    /// lower.
    pub fn transform_at(
        &self,
        level: SimdLevel,
        series: &[f32],
        out: &mut [f32],
        stride: usize,
        column: usize,
    ) {
        let len = self.series_len;
        if len == 0 || self.kernels.is_empty() {
            return;
        }
        assert!(
            series.len().is_multiple_of(len),
            "series are not whole rows of {len}"
        );
        assert!(
            column + self.n_features() <= stride,
            "features do not fit in a row"
        );
        assert_eq!(
            out.len(),
            series.len() / len * stride,
            "one output row per series"
        );
        out.par_chunks_mut(LANES * stride)
            .zip(series.par_chunks(LANES * len))
            .for_each(|(rows, block)| {
                let times = LaneRow::side_by_side(block, len);
                let mut tile = [LaneRow::ZERO; 2 * TILE];
                for from in (0..self.kernels.len()).step_by(TILE) {
                    let to = (from + TILE).min(self.kernels.len());
                    let tile = &mut tile[..2 * (to - from)];
                    let job = TileJob {
                        set: self,
                        from,
                        times: &times,
                        tile: &mut *tile,
                    };
                    run_at(level, job);
                    LaneRow::write(tile, rows, stride, column + 2 * from);
                }
            });
    }
}

/// Some kernels of a set on the series `times`: rows `ppv, max` of those from number `from` on, as many as fill
/// `tile`.
struct TileJob<'a> {
    set: &'a KernelSet,
    from: usize,
    times: &'a [LaneRow],
    tile: &'a mut [LaneRow],
}

impl LaneKernel for TileJob<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        // SAFETY: passed on to the caller.
        unsafe { features::<V>(self.set, self.from, self.times, self.tile) }
    }
}

/// Fills `tile` with rows `ppv, max` of the kernels from number `from` on.
///
/// # Safety
///
/// As for [`Lanes`].
#[inline(always)]
unsafe fn features<V: Lanes>(
    set: &KernelSet,
    from: usize,
    times: &[LaneRow],
    tile: &mut [LaneRow],
) {
    let mut begin = if from == 0 { 0 } else { set.ends[from - 1] };
    for (k, pair) in (from..).zip(tile.chunks_exact_mut(2)) {
        let (kernel, end) = (&set.kernels[k], set.ends[k]);
        let outputs = kernel.outputs(set.series_len);
        if outputs == 0 {
            pair.fill(LaneRow::ZERO);
            continue;
        }
        // SAFETY: passed on to the caller.
        unsafe {
            let mut best = V::splat(f32::NEG_INFINITY);
            let mut positive = V::splat(0.0);
            for segment in &set.segments[begin..end] {
                let state = (best, positive);
                (best, positive) = match segment.taps {
                    0 => convolve::<V, 0>(kernel, segment, times, state),
                    1 => convolve::<V, 1>(kernel, segment, times, state),
                    2 => convolve::<V, 2>(kernel, segment, times, state),
                    3 => convolve::<V, 3>(kernel, segment, times, state),
                    4 => convolve::<V, 4>(kernel, segment, times, state),
                    5 => convolve::<V, 5>(kernel, segment, times, state),
                    6 => convolve::<V, 6>(kernel, segment, times, state),
                    7 => convolve::<V, 7>(kernel, segment, times, state),
                    8 => convolve::<V, 8>(kernel, segment, times, state),
                    9 => convolve::<V, 9>(kernel, segment, times, state),
                    10 => convolve::<V, 10>(kernel, segment, times, state),
                    _ => convolve::<V, MAX_TAPS>(kernel, segment, times, state),
                };
            }
            positive
                .divide(V::splat(outputs as f32))
                .store(&mut pair[0]);
            best.store(&mut pair[1]);
        }
        begin = end;
    }
}

/// Adds the outputs of a segment of `TAPS` taps to the largest output and the count of positives.
///
/// # Safety
///
/// As for [`Lanes`].
#[inline(always)]
unsafe fn convolve<V: Lanes, const TAPS: usize>(
    kernel: &Kernel,
    segment: &TapRun,
    times: &[LaneRow],
    (mut best, mut positive): (V, V),
) -> (V, V) {
    // SAFETY: passed on to the caller.
    unsafe {
        let (bias, zero) = (V::splat(kernel.bias), V::splat(0.0));
        let mut weights = [bias; TAPS];
        let mut points = [times; TAPS];
        for j in 0..TAPS {
            weights[j] = V::splat(kernel.weights[segment.tap + j]);
            points[j] = &times[segment.first + j * kernel.dilation..][..segment.outputs];
        }
        let mut t = 0;
        while t + POSITIONS <= segment.outputs {
            let mut sums = [bias; POSITIONS];
            for j in 0..TAPS {
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.add_product(weights[j], V::load(&points[j][t + i]));
                }
            }
            for sum in sums {
                best = best.max(sum);
                positive = positive.count_above(sum, zero);
            }
            t += POSITIONS;
        }
        while t < segment.outputs {
            let mut sum = bias;
            for j in 0..TAPS {
                sum = sum.add_product(weights[j], V::load(&points[j][t]));
            }
            best = best.max(sum);
            positive = positive.count_above(sum, zero);
            t += 1;
        }
    }
    (best, positive)
}
