//! Numerics without tables or pipelines: pure functions on slices.

pub mod cosmology;
pub mod demo;
pub mod domain;
pub mod dust;
pub mod fresh;
pub mod interpolate;
pub mod kfold;
pub mod linear;
pub mod metrics;
pub mod rank;
pub mod rng;
pub mod rocket;
pub mod stats;
pub mod tune;
