//! What tests need to make a store die, fail or lose power at every step. The product has none of
//! it: this is behind the feature `testing`.
//!
//! [`fault`] lists the points at which a test can kill the process or make a step fail. Add the
//! name of a new step of a protocol to that list. [`recorder`] records the steps that were taken.
//! Both are called only from `disk/steps.rs`, except for the one point in the middle of an append
//! in `store/commit.rs`.

pub mod fault;
pub mod recorder;
