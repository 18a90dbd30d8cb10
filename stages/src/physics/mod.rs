//! What happens to light on its way to us: cosmic expansion and dust.
//!
//! - [`black_body`]: thermal spectra, and the size of their sources;
//! - [`cosmology`]: distances in a flat universe, for features and for the simulation;
//! - [`dust`]: how much of the light of a band our galaxy absorbs.
//!
//! These are functions of numbers alone. Code that measures a light curve is in `features`, and code
//! that makes one up is in `simulation`.

pub mod black_body;
pub mod cosmology;
pub mod dust;
