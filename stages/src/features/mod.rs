//! What is measured of one light curve.
//!
//! - [`domain`]: features that astronomers would name, of bands and colours; begin with its catalogue;
//! - [`interpolate`]: a light curve on an even grid of times, which [`rocket`] needs;
//! - [`rocket`]: features from random convolution kernels.
//!
//! Functions of slices: each object by itself, no labels and no files. The kinds of the same names read the
//! tables and write the features. A choice among features is in `selection`.

pub mod domain;
pub mod interpolate;
pub mod rocket;
