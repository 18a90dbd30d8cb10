//! ROCKET: features of a time series from thousands of random dilated convolutions.
//!
//! - `kernels`: random kernels and the sets they come in; begin with [`KernelSet`];
//! - `transform`: the features of many series, with the formula;
//! - `lanes`: vector registers; [`crate::numeric::simd`] says which of them a processor has.
//!
//! Each kernel gives two features: `ppv`, the proportion of outputs greater than zero, and the largest
//! output. All SIMD levels and all thread counts give the same bytes. Dempster, Petitjean and Webb,
//! "ROCKET: exceptionally fast and accurate time series classification using random convolutional
//! kernels", Data Mining and Knowledge Discovery 34 (2020).

mod kernels;
mod lanes;
#[cfg(test)]
mod tests;
mod transform;

pub use kernels::{Kernel, KernelSet, KernelVariant};
pub use lanes::LANES;
pub(super) use lanes::{LaneKernel, LaneRow, Lanes, run_at};

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
