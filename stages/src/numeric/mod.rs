//! Numerics that know nothing of tables, light curves or pipelines: pure functions on slices.
//!
//! - [`simd`]: the instruction sets, and how code is compiled for each of them;
//! - [`column_map`]: scaling, power transforms and missing values of a column; [`minimum`]: the least value of a
//!   function of one variable;
//! - [`cholesky`]: factors of positive definite matrices;
//! - [`exp`](mod@exp): exponentials and logarithms that vectorize;
//! - [`fourier`]: transforms of real series of any length; [`orthogonal`]: linear least squares without normal equations;
//! - [`pairwise`]: sums, means and variances as NumPy rounds them;
//! - [`rng`]: counter-based streams of random numbers, the only source of randomness;
//! - [`rank`]: order statistics; [`linear`], [`softmax`], [`ridge`]: linear and logistic regression;
//! - [`least_squares`]: nonlinear fits of a few unknowns with bounds and priors;
//! - [`nnls`]: least squares without negative coefficients; [`hill_climb`](mod@hill_climb): greedy selection of models;
//! - [`calibration`]: from scores to probabilities;
//! - [`metrics`]: how good predictions are;
//! - [`isolation`]: how unlike others a row is; [`entropy`]: how evenly a probability is spread;
//! - [`kfold`]: rows dealt to folds;
//! - [`sigma_clip`]: which values are far from the others;
//! - [`stats`]: how much of a difference is noise.
//!
//! All functions give the same bits on every machine: sums have a fixed order and elementary functions
//! come from `libm` or from [`exp`](mod@exp). Code that reads a file or knows what a column means does not belong here.

pub mod calibration;
pub mod cholesky;
pub mod column_map;
pub mod entropy;
pub mod exp;
pub mod fourier;
pub mod hill_climb;
pub mod isolation;
pub mod kfold;
pub mod least_squares;
pub mod linear;
pub mod metrics;
pub mod minimum;
pub mod nnls;
pub mod orthogonal;
pub mod pairwise;
pub mod rank;
pub mod ridge;
pub mod rng;
pub mod sigma_clip;
pub mod simd;
pub mod softmax;
pub mod stats;
