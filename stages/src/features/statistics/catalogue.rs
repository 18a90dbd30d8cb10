//! The one table of statistics.

use super::moments::MOMENTS;
use super::order::ORDER;
use super::statistic::Statistic;
use super::times::TIMES;
use super::weighted::WEIGHTED;

/// All statistics, by family.
pub(super) const FAMILIES: [(&str, &[Statistic]); 4] = [
    ("Moments, and how values follow each other", MOMENTS),
    ("Order", ORDER),
    ("Times, changes over time, lines", TIMES),
    ("Weighted by errors", WEIGHTED),
];

/// The features of the set `light_curve`, in the order of light-curve 0.13.
pub const LIGHT_CURVE: [&str; 39] = [
    "amplitude",
    "anderson_darling_normal",
    "beyond_1_std",
    "cusum",
    "duration",
    "eta",
    "eta_e",
    "excess_variance",
    "inter_percentile_range_25",
    "kurtosis",
    "linear_fit_slope",
    "linear_fit_slope_sigma",
    "linear_fit_reduced_chi2",
    "linear_trend",
    "linear_trend_sigma",
    "linear_trend_noise",
    "magnitude_percentage_ratio_40_5",
    "maximum_slope",
    "maximum_time_interval",
    "mean",
    "mean_variance",
    "median",
    "median_absolute_deviation",
    "median_buffer_range_percentage_10",
    "minimum_time_interval",
    "observation_count",
    "otsu_mean_diff",
    "otsu_std_lower",
    "otsu_std_upper",
    "otsu_lower_to_all_ratio",
    "percent_amplitude",
    "percent_difference_magnitude_percentile_5",
    "chi2",
    "skew",
    "standard_deviation",
    "stetson_K",
    "time_mean",
    "time_standard_deviation",
    "weighted_mean",
];

/// Returns the statistic of a name.
pub fn find(name: &str) -> Option<&'static Statistic> {
    let mut all = FAMILIES.iter().flat_map(|(_, family)| family.iter());
    all.find(|statistic| statistic.name == name)
}
