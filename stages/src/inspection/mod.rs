//! An evaluation looked at in detail, for the reports that people read. Nothing here reaches an artifact.
//!
//! - `scored`: how many objects an evaluation scores.

mod scored;

pub use scored::ScoredObjects;
