//! The fit of a network: losses, batches, epochs, checkpoints.
//!
//! [`fit`] runs the epochs of a [`FitJob`]: what is learned is a [`Task`], what it is learned from are [`Samples`], and
//! the outer world is a [`FitHost`]. Nothing here knows of actions or tables. The files, from the lowest up:
//!
//! - `error`: why a fit ends without a network;
//! - `arrays`: weights as bytes;
//! - `samples`: batches of objects;
//! - `loss`: losses of classes;
//! - `order`: which rows make up each batch of an epoch;
//! - `rate`: the learning rate of each step;
//! - `descent`: one step of Adam or AdamW over all weights;
//! - `task`: what is learned, and how well; `classes`: the classes of objects;
//! - `state`: all that a fit remembers between two epochs, as bytes;
//! - `epochs`: the loop; `apply`: the outputs of a fitted network.

mod apply;
mod arrays;
mod classes;
mod descent;
mod epochs;
mod error;
mod loss;
mod order;
mod rate;
mod samples;
mod state;
mod task;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use apply::Application;
pub use arrays::{ArrayAbout, Arrays, values_from_bytes, values_to_bytes};
pub use classes::ClassTask;
pub use descent::{DescentRule, DescentSettings};
pub use epochs::{FitHost, FitJob, FitSettings, FittedNetwork, fit};
pub use error::FitError;
pub use loss::{ClassLosses, LossKind};
pub use rate::{RateSchedule, RateSettings};
pub use samples::{Samples, SequenceSource, survey_factors};
pub use state::HistoryRow;
pub use task::{Outcome, Task};
