//! How good predictions are: metrics by fold, and over all rows.
//!
//! - [`score`]: the out-of-fold rows of predictions, and all their metrics.
//!
//! The formulas are in `numeric/metrics`. Whether a row may be scored at all is a question for `rows`, and
//! whether two evaluations differ by more than noise one for `comparison`.

pub mod score;
