//! ROCKET: features of a time series from thousands of random dilated convolutions.
//!
//! Dempster, Petitjean and Webb, "ROCKET: exceptionally fast and accurate time series classification
//! using random convolutional kernels", Data Mining and Knowledge Discovery 34 (2020). A kernel of
//! length `L`, weights `w`, bias `b`, dilation `d` and padding `p` turns a series `x` of length `T`
//! (zero outside `0..T`) into `T + 2p - (L-1)d` outputs
//!
//! ```text
//! out[t] = b + sum over j in 0..L of w[j] * x[t - p + j*d]
//! ```
//!
//! and two features: `ppv`, the proportion of outputs greater than zero, and the largest output.
//!
//! # Equal bits at every SIMD level
//!
//! An output is the bias, then one fused multiply-add per tap in the order of the taps; taps that
//! fall on the padding are left out. Every level does exactly these operations for every series (a
//! vector register holds one time of [`LANES`] series, never several times of one), so all levels and
//! all thread counts give the same bytes. An output that is not a number counts as not positive and
//! takes no part in the maximum.

mod kernels;
mod lanes;
mod level;
#[cfg(test)]
mod tests;
mod transform;

pub use kernels::{Kernel, KernelSet, KernelVariant};
pub use lanes::LANES;
pub use level::{ParseSimdLevelError, SimdLevel};

/// Scales each series of `len` values to mean 0 and standard deviation 1 (over `len`, not `len - 1`),
/// in place, as ROCKET does unless told otherwise. A constant series becomes zero.
///
/// `series` is row-major, (series, time); moments are summed in f64 in the order of time.
pub fn z_normalise(series: &mut [f32], len: usize) {
    for row in series.chunks_mut(len.max(1)) {
        let n = row.len() as f64;
        let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let squares: f64 = row.iter().map(|&v| square(f64::from(v) - mean)).sum();
        let deviation = (squares / n).sqrt();
        let constant = row.iter().all(|&v| v == row[0]);
        for value in row {
            *value = if constant {
                0.0
            } else {
                ((f64::from(*value) - mean) / deviation) as f32
            };
        }
    }
}

fn square(x: f64) -> f64 {
    x * x
}
