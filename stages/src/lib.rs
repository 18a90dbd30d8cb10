//! The stages of `flow`: what turns multi-band light curves into classified objects.
//!
//! - [`table`]: the files that flow between stages;
//! - [`math`]: numerics without tables;
//! - [`learner`]: boosted trees behind one trait;
//! - [`fold`]: the rows that a fit sees, and those it does not;
//! - [`leakage`]: tables held against the table of folds, features against the labels;
//! - [`tuning`]: studies that search for hyper-parameters;
//! - [`kinds`]: one file a kind, and their registry;
//! - [`compare`](mod@compare): how far two artifacts lie apart;
//! - [`study`]: classifiers compared;
//! - [`export`]: artifacts as files for the user.

pub mod compare;
pub mod export;
pub mod fold;
pub mod kinds;
pub mod leakage;
pub mod learner;
pub mod math;
pub mod score;
pub mod study;
pub mod table;
pub mod tuning;
