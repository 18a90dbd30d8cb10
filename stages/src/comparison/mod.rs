//! Comparisons of classifiers that were scored on the same objects, shared by ablations, tuning studies
//! and the regression gate.
//!
//! - `arm`: one evaluation as numbers, the out-of-fold scores of every object in every repeat;
//! - `compare`: metrics of an [`Arm`] with intervals, and paired differences to a base, each with a
//!   [`ComparisonVerdict`]; begin with [`summarise`] and [`compare`];
//! - `earlier`: an evaluation as a few numbers that a text file keeps; [`gate`]: whether it became
//!   worse;
//! - `sides`: which objects two evaluations classify differently.
//!
//! All are pure functions that give the same figures for any number of threads. With a positive class,
//! the score of an object is P(positive). Without one, metrics are macro averages over all classes.
//! Metrics are those of the **repeat-averaged scores**, which are a little better than `evaluate`'s
//! pooled figures, as an average of models is better than its parts. `docs/statistics.md` states every
//! formula, its source, and coverage.

mod arm;
mod compare;
mod earlier;
pub mod gate;
mod sides;
#[cfg(test)]
mod tests;

pub use arm::{Arm, ArmParts, Classes, Deal};
pub use compare::{
    ArmSummary, Comparison, ComparisonVerdict, PairedDifference, compare, summarise,
};
pub use earlier::{KeptScores, Pair};
pub use sides::{ChangedObject, Sides, sides};

pub use crate::evaluation::Estimate;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a bootstrap draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Single objects.
    Object,
    /// Groups of the `folds` stage, whole.
    Group,
}

/// How arms are compared.
#[derive(Clone, Debug, PartialEq)]
pub struct ComparisonOptions {
    /// The number of bootstrap draws.
    pub draws: usize,
    /// The confidence of intervals: 1 less the chance of a false "better" or "worse".
    pub level: f64,
    /// The seed of the draws.
    pub seed: u64,
    /// The smallest difference of interest, the same for every metric. A difference that lies within
    /// `-margin` to `margin` with confidence `level` is called equivalent.
    pub margin: f64,
    /// The units that are drawn. `None` means groups if the arms have them, else objects.
    pub unit: Option<Unit>,
}

impl Default for ComparisonOptions {
    fn default() -> Self {
        ComparisonOptions {
            draws: 2000,
            level: 0.95,
            seed: 0,
            margin: 0.01,
            unit: None,
        }
    }
}
