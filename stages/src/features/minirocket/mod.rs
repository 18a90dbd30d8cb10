//! MiniRocket and MultiRocket: features of a time series from dilated convolutions with 84 fixed kernels.
//!
//! - `plan`: dilations, and how many biases each has;
//! - `biases`: biases from the outputs of some series, which is all that is fitted;
//! - `transform`: the features of many series;
//! - `grid`: the kernels of all bands of a grid, as a fit keeps them;
//! - `statistics`: what is measured of the outputs of a kernel.
//!
//! A kernel has nine weights: three are 2, the others -1. All 84 choices of three are used. With the dilation
//! `d`, a series `x` of `T` points (zero outside) has the outputs
//!
//! ```text
//! c[t] = 3 (x[t + (a-4)d] + x[t + (b-4)d] + x[t + (c-4)d]) - sum over g in 0..9 of x[t + (g-4)d]
//! ```
//!
//! MiniRocket measures the proportion of outputs above a bias, for several biases of each kernel and dilation.
//! MultiRocket measures four statistics, of the series and of its first differences. Every second pair of
//! dilation and kernel leaves out the outputs for which the kernel reaches beyond the series.
//!
//! Dempster, Schmidt and Webb (2021), "MiniRocket: a very fast (almost) deterministic transform for time series
//! classification", KDD; Tan, Dempster, Bergmeir and Webb (2022), "MultiRocket: multiple pooling operators and
//! transformations for fast and effective time series classification", Data Mining and Knowledge Discovery 36.
//! Values are those of aeon 1.6. Sums have one order, so that all SIMD levels and thread counts give the same
//! bytes.

mod biases;
mod grid;
mod plan;
mod statistics;
#[cfg(test)]
mod tests;
mod transform;

pub use biases::BiasedKernels;
pub use grid::{GridKernels, GridLayout, Series};
pub use plan::{DilationPlan, LEAST_POINTS};
pub use statistics::{MULTI, Pooling};
pub use transform::{Transform, differences};

/// The number of kernels.
pub const KERNELS: usize = 84;

/// The number of weights of a kernel.
const TAPS: usize = 9;

/// The places of the three weights that are 2, kernel by kernel, in lexicographic order.
const HEAVY: [[usize; 3]; KERNELS] = heavy();

const fn heavy() -> [[usize; 3]; KERNELS] {
    let mut all = [[0; 3]; KERNELS];
    let (mut at, mut a) = (0, 0);
    while a < TAPS {
        let mut b = a + 1;
        while b < TAPS {
            let mut c = b + 1;
            while c < TAPS {
                all[at] = [a, b, c];
                at += 1;
                c += 1;
            }
            b += 1;
        }
        a += 1;
    }
    all
}
