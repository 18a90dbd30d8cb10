//! The rows of a fold: what a stage that fits sees, and what it does not.
//!
//! A stage never slices rows itself. [`TrainRows::read`] gives a fit its training rows with labels
//! and nothing else; [`ApplyRows::read`] gives an apply the other rows without labels.
//!
//! - `fold`: folds by name, and the part of each row in them;
//! - `view`: features by reference to the tables that hold them;
//! - `label_column`: refuses labels among the features;
//! - `held_out`: refuses predictions for rows that were fitted on;
//! - `read`, `gather`: what kinds call, before a fit and after an apply.
//!
//! The engine sees to it that a fold's actions are made of that fold's rows. Here the tables themselves are
//! held against the table of folds. Metrics do not belong here.

mod fold;
mod gather;
mod held_out;
mod label_column;
mod read;
mod view;

pub use fold::{FINAL, has_role, label, name, parse, rows_of};
pub use gather::gather;
pub use held_out::{FIT_ROW, SIBLING, applied, held_out};
pub use label_column::{LABEL_COLUMN, RowLabels, no_label};
pub use read::{ApplyRows, TrainRows, binary_labels, of_action};
pub use view::FeatureView;
