//! The stages of `flow`: what turns multi-band light curves into classified objects.
//!
//! Folders, those below first; each uses only folders above it (`ARCHITECTURE.md` has the table):
//!
//! - [`numeric`]: pure functions on slices;
//! - [`table`]: the files that flow between stages;
//! - [`physics`], [`features`], [`selection`], [`simulation`]: what is computed of light curves;
//! - [`learner`]: boosted trees behind one trait;
//! - [`rows`]: the rows that a fit sees, and those that it does not;
//! - [`evaluation`]: metrics of predictions;
//! - [`comparison`]: statistics that compare classifiers;
//! - [`tuning`]: the search for hyper-parameters;
//! - [`artifacts`]: artifacts as files for the user, and how far two lie apart;
//! - [`kinds`]: one file a kind, and their registry. Begin reading here.

pub mod artifacts;
pub mod comparison;
pub mod evaluation;
pub mod features;
pub mod kinds;
pub mod learner;
pub mod numeric;
pub mod physics;
pub mod rows;
pub mod selection;
pub mod simulation;
pub mod table;
pub mod tuning;
