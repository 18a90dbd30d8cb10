//! Features that are measured on one light curve.
//!
//! - [`columns`]: the columns of a kind as a table;
//! - [`colors`]: differences and ratios of the fluxes in two bands;
//! - [`domain`]: features that astronomers would name, of bands and colours; begin with its catalogue;
//! - [`drw`]: is it a flare or a damped random walk?
//! - [`event`]: what models see of an object: its merged nights and the time of its event;
//! - [`gp`]: a light curve as a Gaussian process in time and wavelength;
//! - [`interpolate`]: a light curve on an even grid of times, which [`rocket`] needs;
//! - [`lomb_scargle`]: the periods of light curves;
//! - [`minirocket`]: features from fixed convolution kernels with fitted biases;
//! - [`parametric`]: models of light curves that are fitted to all bands at once;
//! - [`rocket`]: features from random convolution kernels;
//! - [`sequences`]: a light curve as a padded sequence of observations, for networks;
//! - [`statistics`]: moments, quantiles, slopes and the like, in named sets;
//! - [`tsfresh`]: the features of the package of that name.
//!
//! These are functions of slices that see one object at a time, no labels and no files. The kinds of
//! the same names read the tables and write the features. The choice among features is in `selection`.

pub mod colors;
pub mod columns;
pub mod domain;
pub mod drw;
pub mod event;
pub mod gp;
pub mod interpolate;
pub mod lomb_scargle;
pub mod minirocket;
pub mod parametric;
pub mod rocket;
pub mod sequences;
pub mod statistics;
pub mod tsfresh;
