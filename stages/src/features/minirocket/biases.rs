//! Biases: quantiles of the outputs of some series.

use super::plan::DilationPlan;
use super::{HEAVY, TAPS};

/// The fractional part of the golden ratio, whose multiples spread evenly.
const GOLDEN: f64 = 1.618_033_988_749_895;

/// All kernels for series of one length, with their biases.
#[derive(Clone, Debug, PartialEq)]
pub struct BiasedKernels {
    pub(super) plan: DilationPlan,
    pub(super) biases: Vec<f32>,
}

impl BiasedKernels {
    /// Takes the biases of a plan; none if there are more or fewer than its features.
    pub fn new(plan: DilationPlan, biases: Vec<f32>) -> Option<BiasedKernels> {
        (biases.len() == plan.features()).then_some(BiasedKernels { plan, biases })
    }

    /// Fits biases. `series` gives the series whose outputs count for a pair of dilation and kernel, by the
    /// number of the pair; it has the points of the plan. The biases of a pair are quantiles of these outputs, at
    /// the levels `k phi mod 1`, which follow the features from pair to pair. A bias that is not finite is as
    /// near to it as an f32 can be, or 0.
    pub fn fit<'a>(plan: DilationPlan, series: impl Fn(usize) -> &'a [f32]) -> BiasedKernels {
        let mut biases = Vec::with_capacity(plan.features());
        for (number, pair) in plan.pairs().enumerate() {
            let mut outputs = outputs(series(number), pair.kernel, pair.dilation);
            outputs.sort_unstable_by(f32::total_cmp);
            let levels = pair.first..pair.first + pair.biases;
            biases.extend(levels.map(|k| usable(quantile(&outputs, level(k)))));
        }
        BiasedKernels { plan, biases }
    }

    /// The biases, in the order of their features.
    pub fn biases(&self) -> &[f32] {
        &self.biases
    }

    /// The dilations.
    pub fn plan(&self) -> &DilationPlan {
        &self.plan
    }
}

/// The level of the quantile of feature `k`.
pub(super) fn level(k: usize) -> f32 {
    ((k + 1) as f64 * GOLDEN % 1.0) as f32
}

/// The outputs of a kernel for all points of a series.
pub(super) fn outputs(series: &[f32], kernel: usize, dilation: usize) -> Vec<f32> {
    let at = |t: usize, tap: usize| {
        let place = (t + tap * dilation).checked_sub(TAPS / 2 * dilation);
        place.and_then(|place| series.get(place)).copied()
    };
    let others = (0..TAPS).filter(|&tap| tap != TAPS / 2);
    let output = |t: usize| {
        let light = |sum: f32, tap| sum - at(t, tap).unwrap_or(0.0);
        let all = others.clone().fold(-series[t], light);
        let heavy = HEAVY[kernel].iter();
        heavy.fold(all, |sum, &tap| sum + 3.0 * at(t, tap).unwrap_or(0.0))
    };
    (0..series.len()).map(output).collect()
}

/// A quantile by linear interpolation between order statistics; 0 without values.
fn quantile(sorted: &[f32], level: f32) -> f32 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let at = f64::from(level) * last as f64;
    let below = (at as usize).min(last);
    let above = (below + 1).min(last);
    let (low, high) = (f64::from(sorted[below]), f64::from(sorted[above]));
    (low + (high - low) * (at - below as f64)) as f32
}

fn usable(x: f32) -> f32 {
    if x.is_nan() {
        0.0
    } else {
        x.clamp(-f32::MAX, f32::MAX)
    }
}
