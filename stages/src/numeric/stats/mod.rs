//! Statistics that compare classifiers: how much of a difference is noise.
//!
//! - [`weighted`]: the metrics of one classifier on rows that count several times, sorted once;
//! - [`bootstrap`]: resampling of objects or groups, intervals and p-values;
//! - [`resampled`]: t tests on the folds of repeated cross-validation;
//! - [`distribution`]: the normal and Student distributions that they need;
//! - [`multiple`]: p-values of several comparisons.
//!
//! All functions are deterministic: sums have a fixed order, elementary functions come from `libm`, and
//! draws come from counter-based streams.

pub mod bootstrap;
pub mod classes;
pub mod distribution;
pub mod multiple;
pub mod resampled;
pub mod weighted;

#[cfg(test)]
mod tests;
