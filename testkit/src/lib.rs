//! What the tests of several crates share. Only tests depend on this crate; a helper that one test
//! binary alone needs stays there.
//!
//! | module | for |
//! |---|---|
//! | [`files`] | temporary folders, trees of files, permissions, waiting for a file |
//! | [`project`] | a project in a temporary folder: its files, and edits of them |
//! | [`program`] | `flow` as a program: what it says, its events, signals |
//! | [`terminal`] | programs on a terminal: what is shown there, and what somebody types |
//! | [`schema`] | events held against their schema |
//! | [`survey`] | small surveys in CSV files |
//! | [`store`] | the bytes of a store on disk, damage to them, failures at its steps |
//! | [`random`] | random numbers from a seed |
//! | `local` | with the feature `engine`: pipelines that are loaded and run in this process |
//! | `kinds` | with the feature `engine`: kinds made of closures |
//!
//! All of it panics where something does not work: here that is a test that fails.

pub mod files;
#[cfg(feature = "engine")]
pub mod kinds;
#[cfg(feature = "engine")]
pub mod local;
pub mod program;
pub mod project;
pub mod random;
pub mod schema;
pub mod store;
pub mod survey;
pub mod terminal;

pub use program::{Ended, Run};
pub use project::Project;
pub use random::Random;

/// Says that a test does nothing here, and why.
#[allow(clippy::print_stdout)]
pub fn skipped(why: &str) {
    println!("skipped: {why}");
}
