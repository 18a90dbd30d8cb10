//! What is measured of the outputs of a kernel, for some series side by side.

use crate::features::rocket::{LaneRow, Lanes};

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
///
/// # Safety
///
/// As for [`Lanes`].
#[inline(always)]
pub(super) unsafe fn proportions<V: Lanes, const N: usize>(
    values: &[LaneRow],
    biases: [f32; N],
) -> [LaneRow; N] {
    let mut rows = [LaneRow::ZERO; N];
    // SAFETY: passed on to the caller.
    unsafe {
        let none = V::splat(0.0);
        let mut counts = [none; N];
        let mut thresholds = [none; N];
        for (threshold, bias) in thresholds.iter_mut().zip(biases) {
            *threshold = V::splat(bias);
        }
        for row in values {
            let value = V::load(row);
            for (count, &threshold) in counts.iter_mut().zip(&thresholds) {
                *count = count.count_above(value, threshold);
            }
        }
        let all = V::splat(values.len().max(1) as f32);
        for (row, count) in rows.iter_mut().zip(counts) {
            count.divide(all).store(row);
        }
    }
    rows
}

/// The statistics of [`MULTI`] for one bias. Sums are compensated (Kahan 1965).
///
/// # Safety
///
/// As for [`Lanes`].
#[inline(always)]
pub(super) unsafe fn multi<V: Lanes>(values: &[LaneRow], bias: f32) -> [LaneRow; 4] {
    // SAFETY: passed on to the caller.
    unsafe {
        let (none, bias) = (V::splat(0.0), V::splat(bias));
        let (mut above, mut places, mut last, mut longest) = (none, none, none, none);
        let (mut sum, mut lost) = (none, none);
        for (place, row) in values.iter().enumerate() {
            let (value, place) = (V::load(row), V::splat(place as f32));
            above = above.count_above(value, bias);
            places = places.add(place.where_above(value, bias, none));
            let term = value.add(bias).where_above(value, bias, none);
            let term = term.subtract(lost);
            let next = sum.add(term);
            lost = next.subtract(sum).subtract(term);
            sum = next;
            let stretch = place.subtract(last).where_above(bias, value, none);
            longest = longest.max(stretch);
            last = place.where_above(bias, value, last);
        }
        let end = V::splat(values.len().saturating_sub(1) as f32);
        let all = V::splat(values.len().max(1) as f32);
        let any = |of: V, otherwise: f32| {
            let mean = of.divide(above);
            mean.where_above(above, none, V::splat(otherwise))
        };
        let mut rows = [LaneRow::ZERO; 4];
        above.divide(all).store(&mut rows[0]);
        longest.max(end.subtract(last)).store(&mut rows[1]);
        any(sum, 0.0).store(&mut rows[2]);
        any(places, -1.0).store(&mut rows[3]);
        rows[2].0 = rows[2].0.map(finite);
        rows
    }
}

/// The nearest number that is finite; 0 for NaN.
#[inline(always)]
fn finite(x: f32) -> f32 {
    if x.is_nan() {
        0.0
    } else {
        x.clamp(-f32::MAX, f32::MAX)
    }
}
