//! The rows of a fold: which rows a stage that fits sees, and which it does not.
//!
//! A stage never slices rows itself. [`TrainRows::read`] gives a fit its training rows with labels and
//! nothing else. [`ApplyRows::read`] gives an apply the other rows without labels.
//!
//! - `fold`: folds by name, and the role of each row in them;
//! - `fitted`: what a stage fitted, through which features are seen;
//! - `view`: features by reference to the tables that hold them;
//! - `columns`: what is fitted column by column; `kernels`: what is fitted on series; `grid`: the series; `sequences`: sequences;
//! - `place`: where objects are in the parts of a table;
//! - `label_column`: refuses labels among the features;
//! - `held_out`: refuses predictions for rows that were fitted on;
//! - `crossed`: fits for each fold on the out-of-fold predictions of the others;
//! - `alike`: features of further rows, seen as those of the training rows are;
//! - `copies`: the copies of a fit's rows, and the names that copies have;
//! - `read`, `gather`: functions that kinds call, before a fit and after an apply;
//! - `sample`: the rows of a fit that is to see no more than so many, and what is random for an object;
//! - `importance`: joins how much each feature mattered to the fits of the folds;
//! - `measure`: a row of features for each light curve.
//!
//! The engine ensures that the actions of a fold are made of that fold's rows. The code here checks the
//! tables themselves against the table of folds. Metrics do not belong here.

mod alike;
mod columns;
mod copies;
mod crossed;
mod fitted;
mod fold;
mod gather;
mod grid;
mod held_out;
mod importance;
mod kernels;
mod label_column;
mod measure;
mod place;
mod read;
mod sample;
mod sequences;
#[cfg(test)]
pub(crate) mod testing;
mod view;

pub use columns::{fit_columns, patterns};
pub use copies::{CopyRows, copy_id, synthetic_id};
pub use crossed::{
    CrossFit, CrossFits, CrossedPredictions, cross_fit, crossed_predictions, one_fold,
};
pub use fitted::{COLUMNS, FittedView, MappedColumn};
pub use fold::{FINAL, has_role, label, name, parse, rows_of};
pub use gather::{gather, gather_scores, gathered, gathered_out_of_fold, write_predictions};
pub use held_out::{FIT_ROW, OWN_LABEL, SIBLING, applied, folds_of, held_out};
pub use importance::gather_importance;
pub use kernels::fit_kernels;
pub use label_column::{LABEL_COLUMN, RowLabels, no_label};
pub use measure::{DRAWS, LEAST_REDSHIFT, MOST_DRAWS, Measured, measure_objects};
pub use read::{ApplyRows, TrainRows, UnlabelledRows, applied_among, binary_labels, of_action};
pub use sample::{SAMPLE_ABOUT, object_word, sample_note, sample_type};
pub use sequences::SequenceRows;
pub use view::FeatureView;
