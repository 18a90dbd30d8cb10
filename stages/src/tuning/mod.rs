//! The search for good parameters: what to try next, given the results so far.
//!
//! - `study`: trials in generations, and the state after each; begin here;
//! - `space`: what may be tried, and how it maps to the unit cube;
//! - `propose`, `tpe`: the next points, a pure function of the seed and the results so far;
//! - `race`: when a trial that falls behind is stopped;
//! - `importance`: which parameters decided how good trials were;
//! - `nested`: how good the result of a study is on objects that it never saw.
//!
//! No state is kept anywhere. `flow tune` runs the pipelines; nothing here does.

mod importance;
mod nested;
mod propose;
mod race;
mod space;
mod study;
mod tpe;

pub use importance::{Importance, importance};
pub use nested::{Outer, outer};
pub use propose::{STARTUP, TriedPoint, propose};
pub use race::{Race, race};
pub use space::{Dimension, Point, grid_point, size};
pub use study::{
    Best, Design, NoScore, ObjectiveScores, TRIALS, Trial, TrialOutcome, TuningStudy, looks,
};
