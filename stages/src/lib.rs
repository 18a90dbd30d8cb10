//! The stages of `flow`, which turn multi-band light curves into classified objects.
//!
//! The folders, from the lowest up; each uses only folders above it in this list (`ARCHITECTURE.md` has
//! the table):
//!
//! - [`numeric`]: pure functions on slices;
//! - [`table`]: the files that flow between stages;
//! - [`physics`], [`features`], [`selection`], [`simulation`]: computations on light curves;
//! - [`augmentation`]: copies of light curves for fits;
//! - [`learner`]: boosted trees behind one trait;
//! - [`rows`]: the rows that a fit sees, and those that it does not see;
//! - [`evaluation`]: metrics of predictions;
//! - [`inspection`]: an evaluation looked at in detail: objects, curves with bands, slices;
//! - [`comparison`]: statistics that compare classifiers;
//! - [`tuning`]: the search for good parameters;
//! - [`artifacts`]: artifacts as files for the user, and how far two of them differ;
//! - [`kinds`]: one file for each kind, and their registry. Begin reading here.

pub mod artifacts;
pub mod augmentation;
pub mod comparison;
pub mod evaluation;
pub mod features;
pub mod inspection;
pub mod kinds;
pub mod learner;
pub mod numeric;
pub mod physics;
pub mod rows;
pub mod selection;
pub mod simulation;
pub mod table;
pub mod tuning;
