//! Statistics of light curves: figures that need no model of what is observed.
//!
//! The formulas are those of the papers that the catalogue names. The 39 features of the set `light_curve` agree
//! with the package light-curve, which many brokers and surveys use (Malanchev et al. 2021, MNRAS 502, 5147).
//!
//! - [`Statistic`]: a name, a formula, what it needs, and the code; [`find`] knows all of them;
//! - [`Measurements`]: the values, times and errors that a statistic is taken of;
//! - [`CurveSeries`]: which values these are, such as fluxes or ratios of flux and error;
//! - [`StatisticPlan`]: the columns of a named set for a survey, and their values for an object.

mod catalogue;
mod contrast;
mod line;
mod measurements;
mod moments;
mod order;
mod page;
mod plan;
mod series;
mod sets;
mod split;
mod statistic;
#[cfg(test)]
mod tests;
mod times;
mod weighted;

pub use catalogue::{LIGHT_CURVE, find};
pub use contrast::Contrast;
pub use measurements::Measurements;
pub use page::markdown;
pub use plan::StatisticPlan;
pub use series::{CurveSeries, Derived, Observations};
pub use sets::{Bands, Metadata, StatisticSet};
pub use statistic::Statistic;
