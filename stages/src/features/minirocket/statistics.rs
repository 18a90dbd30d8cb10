//! What is measured of the outputs of a kernel, for [`LANES`] series side by side.

use crate::features::rocket::{LANES, LaneRow};

/// What is measured of the outputs of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The proportion of outputs above the bias.
    Proportion,
    /// The four statistics of [`MULTI`].
    Multi,
}

/// The statistics of MultiRocket, by name, in the order of their columns. For the outputs that are above the
/// bias: their proportion, the longest distance in points between outputs below the bias, the mean of output
/// plus bias (0 without any), and the mean place (-1 without any).
pub const MULTI: [&str; 4] = ["ppv", "lspv", "mpv", "mipv"];

impl Pooling {
    /// The number of statistics of each bias.
    pub fn statistics(self) -> usize {
        match self {
            Pooling::Proportion => 1,
            Pooling::Multi => MULTI.len(),
        }
    }
}

/// The number of biases that are compared at once, so that an output is loaded once for all of them.
pub(super) const TOGETHER: usize = 4;

/// The proportions of values above each of some biases.
#[inline(always)]
pub(super) fn proportions<const N: usize>(values: &[LaneRow], biases: [f32; N]) -> [LaneRow; N] {
    let mut counts = [[0_u32; LANES]; N];
    for row in values {
        for (counts, bias) in counts.iter_mut().zip(biases) {
            for (count, &value) in counts.iter_mut().zip(&row.0) {
                *count += u32::from(value > bias);
            }
        }
    }
    let all = values.len().max(1) as f32;
    counts.map(|counts| LaneRow(counts.map(|count| count as f32 / all)))
}

/// The statistics of [`MULTI`] for one bias.
#[inline(always)]
pub(super) fn multi(values: &[LaneRow], bias: f32) -> [LaneRow; 4] {
    let mut above = [0_u32; LANES];
    let mut places = [0_u32; LANES];
    let mut last = [0_u32; LANES];
    let mut longest = [0_u32; LANES];
    let mut sums = [0.0_f64; LANES];
    for (place, row) in (0_u32..).zip(values) {
        for lane in 0..LANES {
            let value = row.0[lane];
            let is_above = value > bias;
            above[lane] += u32::from(is_above);
            places[lane] += if is_above { place } else { 0 };
            sums[lane] += if is_above { f64::from(value + bias) } else { 0.0 };
            let is_below = value < bias;
            let stretch = if is_below { place - last[lane] } else { 0 };
            longest[lane] = longest[lane].max(stretch);
            last[lane] = if is_below { place } else { last[lane] };
        }
    }
    let end = values.len().saturating_sub(1) as u32;
    let all = values.len().max(1) as f32;
    let mut rows = [LaneRow::ZERO; 4];
    for lane in 0..LANES {
        let n = f64::from(above[lane]);
        let mean = |sum: f64, none: f64| if n > 0.0 { sum / n } else { none };
        rows[0].0[lane] = above[lane] as f32 / all;
        rows[1].0[lane] = longest[lane].max(end - last[lane]) as f32;
        rows[2].0[lane] = finite(mean(sums[lane], 0.0));
        rows[3].0[lane] = mean(f64::from(places[lane]), -1.0) as f32;
    }
    rows
}

/// The nearest number of 32 bits that is finite; 0 for NaN.
#[inline(always)]
fn finite(x: f64) -> f32 {
    let limit = f64::from(f32::MAX);
    if x.is_nan() { 0.0 } else { x.clamp(-limit, limit) as f32 }
}
