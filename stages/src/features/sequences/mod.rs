//! Light curves as sequences of observations, which networks take in place of features.
//!
//! - [`SequencePlan`]: what a sequence is made of, and the values of an object;
//! - [`Layout`]: which observations are in one track;
//! - [`Channel`]: what is known of each observation;
//! - [`FluxScale`]: how the fluxes of an object are brought to a common size.
//!
//! Nothing is interpolated except in the layout of nights, where a night has a flux in every band.

mod channel;
mod observed;
mod plan;
mod scale;
#[cfg(test)]
mod tests;
mod track;

pub use channel::Channel;
pub use observed::ObservedCurve;
pub use plan::{Keep, SequencePlan, TrackCount};
pub use scale::FluxScale;
pub use track::Layout;
