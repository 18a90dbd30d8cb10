//! What tests need to make a store die, fail and lose power at every step. Behind the feature
//! `testing`: the product has none of it.
//!
//! [`fault`] has the points at which a test kills the process or fills the disk, and their list; a
//! new step of a protocol goes there. [`recorder`] has the list of steps that were taken. Both are
//! called from `disk/steps.rs` and nowhere else, but for the one point in the middle of an append
//! (`store/commit.rs`).

pub mod fault;
pub mod recorder;
