//! How good predictions are: metrics by fold, and over all rows.
//!
//! - `metric`: the metrics by name, and which direction of each is better;
//! - `repeat`: the out-of-fold rows of predictions, repeat by repeat; `hidden`: those of objects whose labels a survey
//!   does not give, where somebody knows them;
//! - `scorer`: every metric of a repeat and of its folds; whatever scores by fold does so here;
//! - `sample`: every metric of the rows that a draw of the bootstrap holds, or of a fold; `interval`: what
//!   the draws say of noise;
//! - `report`: the metrics of some predictions, as `evaluate` reports them. Begin here.
//!
//! The formulas are in `numeric/metrics`. Whether a row may be scored at all is decided in `rows`, and
//! whether two evaluations differ by more than noise in `comparison`.

mod hidden;
mod interval;
mod metric;
mod repeat;
mod report;
mod sample;
mod scorer;

pub use hidden::HiddenRows;
pub use interval::{DRAWS, Estimate, LEVEL, SEED, drawn, interval};
pub use metric::{Direction, Metric};
pub use repeat::{Repeat, final_threshold, out_of_fold};
pub use report::{BinEstimate, MACRO_AVERAGE, MetricReport, MetricValues};
pub use sample::{Sample, ScoreSettings};
pub use scorer::{BinaryRows, ClassRows, ScoredRepeat, ScoredRows};
