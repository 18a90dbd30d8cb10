//! Neural networks of `flow`: kinds that learn from sequences and features, on the framework burn.
//!
//! The folders, from the lowest up; each uses only folders above it in this list (`ARCHITECTURE.md` has the table):
//!
//! - `fused`: operations with gradients of their own, where burn would compose many;
//! - `network`: weights by name, one pass through a network, layers, and the architectures;
//! - `fitting`: losses, batches, epochs, checkpoints;
//! - [`kinds`]: what pipelines see, and their registry. Begin reading here.
//!
//! Only [`kinds`] is there without the feature `burn`. The kinds are then known and checked, and say how to
//! build a program that can run them.

#[cfg(feature = "burn")]
pub mod fitting;
#[cfg(feature = "burn")]
pub mod fused;
pub mod kinds;
#[cfg(feature = "burn")]
pub mod network;
