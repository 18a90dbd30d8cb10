//! What happens to light on its way: the expansion of the universe and dust.
//!
//! - [`cosmology`]: distances in a flat universe, for features and for the simulation;
//! - [`dust`]: how much of the light of a band our galaxy absorbs.
//!
//! Functions of numbers alone. What measures a light curve is in `features`, what makes one up in
//! `simulation`.

pub mod cosmology;
pub mod dust;
