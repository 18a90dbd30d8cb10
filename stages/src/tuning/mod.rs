//! The search for good hyper-parameters: what to try next, given what was tried.
//!
//! - `study`: trials in generations, and what is known after each; begin here;
//! - `space`: what may be tried, and how it maps to the unit cube;
//! - `propose`, `tpe`: the next points, a pure function of the seed and the results so far;
//! - `race`: when a trial that falls behind is stopped;
//! - `nested`: how good what a study finds is on objects that it never saw.
//!
//! No state is kept anywhere. Running pipelines is the matter of `flow tune`, and nothing here does.

mod nested;
mod propose;
mod race;
mod space;
mod study;
mod tpe;

pub use nested::{Outer, outer};
pub use propose::{STARTUP, TriedPoint, propose};
pub use race::{Race, race};
pub use space::{Dimension, Point, grid_point, size};
pub use study::{
    Best, Design, NoScore, ObjectiveScores, TRIALS, Trial, TrialOutcome, TuningStudy, looks,
};
