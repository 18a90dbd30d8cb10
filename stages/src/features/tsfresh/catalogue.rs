//! All calculators in tsfresh's order, with their parameters and the names of their columns.

use std::fmt::Write as _;

use super::parameters::*;
use super::series::Series;
use super::{langevin, order, patterns, regression, spectrum, trends, values, wavelets};

/// A calculator: a function of a series with one or more columns.
pub struct Calculator {
    /// Its name in tsfresh.
    pub name: &'static str,
    /// What it measures.
    pub about: &'static str,
    /// It is one of the ten of `MinimalFCParameters`.
    pub minimal: bool,
    parameters: Option<fn() -> Vec<String>>,
    measure: Measure,
}

#[derive(Clone, Copy)]
enum Measure {
    One(fn(&Series<'_>) -> f64),
    Many(fn(&Series<'_>, &mut [f64])),
}

impl Calculator {
    /// Returns the names of its columns, without the name of the series.
    pub fn columns(&self) -> Vec<String> {
        let Some(parameters) = self.parameters else {
            return vec![self.name.to_owned()];
        };
        let name = |parameters: &String| format!("{}__{parameters}", self.name);
        parameters().iter().map(name).collect()
    }

    /// Measures a series: a value for each of its columns.
    pub fn measure(&self, series: &Series<'_>, out: &mut [f64]) {
        match self.measure {
            Measure::One(of) => out[0] = of(series),
            Measure::Many(of) => of(series, out),
        }
    }
}

type Text = &'static str;

const fn one(name: Text, about: Text, of: fn(&Series<'_>) -> f64) -> Calculator {
    Calculator {
        name,
        about,
        minimal: false,
        parameters: None,
        measure: Measure::One(of),
    }
}

const fn minimal(name: Text, about: Text, of: fn(&Series<'_>) -> f64) -> Calculator {
    Calculator {
        minimal: true,
        ..one(name, about, of)
    }
}

const fn single(
    name: Text,
    about: Text,
    parameters: fn() -> Vec<String>,
    of: fn(&Series<'_>) -> f64,
) -> Calculator {
    Calculator {
        parameters: Some(parameters),
        ..one(name, about, of)
    }
}

const fn many(
    name: Text,
    about: Text,
    parameters: fn() -> Vec<String>,
    of: fn(&Series<'_>, &mut [f64]),
) -> Calculator {
    Calculator {
        name,
        about,
        minimal: false,
        parameters: Some(parameters),
        measure: Measure::Many(of),
    }
}

/// The calculators of `EfficientFCParameters` that need no times.
pub const CALCULATORS: [Calculator; 72] = [
    one(
        "variance_larger_than_standard_deviation",
        "1 if the variance is larger than its root",
        values::variance_larger_than_standard_deviation,
    ),
    one(
        "has_duplicate_max",
        "1 if the largest value occurs twice",
        values::has_duplicate_max,
    ),
    one(
        "has_duplicate_min",
        "1 if the least value occurs twice",
        values::has_duplicate_min,
    ),
    one(
        "has_duplicate",
        "1 if any value occurs twice",
        values::has_duplicate,
    ),
    minimal("sum_values", "sum", values::sum_values),
    one("abs_energy", "sum of squares", values::abs_energy),
    one(
        "mean_abs_change",
        "mean magnitude of the changes from value to value",
        order::mean_abs_change,
    ),
    one(
        "mean_change",
        "mean change from value to value",
        order::mean_change,
    ),
    one(
        "mean_second_derivative_central",
        "mean of (x[i+2] - 2 x[i+1] + x[i]) / 2",
        order::mean_second_derivative_central,
    ),
    minimal("median", "median", values::median),
    minimal("mean", "mean", values::mean_value),
    minimal("length", "number of values", values::length),
    minimal(
        "standard_deviation",
        "root of the variance",
        values::standard_deviation,
    ),
    one(
        "variation_coefficient",
        "standard deviation over mean",
        values::variation_coefficient,
    ),
    minimal(
        "variance",
        "mean square distance from the mean, by n",
        values::variance,
    ),
    one(
        "skewness",
        "adjusted Fisher-Pearson coefficient; NaN below 3 values",
        values::skewness,
    ),
    one(
        "kurtosis",
        "adjusted excess kurtosis; NaN below 4 values",
        values::kurtosis,
    ),
    minimal(
        "root_mean_square",
        "root of the mean square",
        values::root_mean_square,
    ),
    one(
        "absolute_sum_of_changes",
        "sum of the magnitudes of the changes",
        order::absolute_sum_of_changes,
    ),
    one(
        "longest_strike_below_mean",
        "most values in a row below the mean",
        order::longest_strike_below_mean,
    ),
    one(
        "longest_strike_above_mean",
        "most values in a row above the mean",
        order::longest_strike_above_mean,
    ),
    one(
        "count_above_mean",
        "number of values above the mean",
        values::count_above_mean,
    ),
    one(
        "count_below_mean",
        "number of values below the mean",
        values::count_below_mean,
    ),
    one(
        "last_location_of_maximum",
        "place after the last maximum, as a share of the length",
        order::last_location_of_maximum,
    ),
    one(
        "first_location_of_maximum",
        "place of the first maximum, as a share of the length",
        order::first_location_of_maximum,
    ),
    one(
        "last_location_of_minimum",
        "place after the last minimum, as a share of the length",
        order::last_location_of_minimum,
    ),
    one(
        "first_location_of_minimum",
        "place of the first minimum, as a share of the length",
        order::first_location_of_minimum,
    ),
    one(
        "percentage_of_reoccurring_values_to_all_values",
        "share of distinct values that occur more than once",
        values::reoccurring_values,
    ),
    one(
        "percentage_of_reoccurring_datapoints_to_all_datapoints",
        "share of points whose value occurs more than once",
        values::reoccurring_datapoints,
    ),
    one(
        "sum_of_reoccurring_values",
        "sum of distinct values that occur more than once",
        values::sum_of_reoccurring_values,
    ),
    one(
        "sum_of_reoccurring_data_points",
        "sum of points whose value occurs more than once",
        values::sum_of_reoccurring_data_points,
    ),
    one(
        "ratio_value_number_to_time_series_length",
        "distinct values over the length",
        values::distinct_share,
    ),
    minimal("maximum", "largest value", values::maximum),
    minimal(
        "absolute_maximum",
        "largest magnitude",
        values::absolute_maximum,
    ),
    minimal("minimum", "least value", values::minimum),
    one(
        "benford_correlation",
        "correlation of the shares of first digits with Benford's law",
        values::benford_correlation,
    ),
    many(
        "time_reversal_asymmetry_statistic",
        "mean of x[i+2l]^2 x[i+l] - x[i+l] x[i]^2 at lag l; 0 if there is none",
        || each("lag", 1..=3),
        order::time_reversal_asymmetry_statistic,
    ),
    many(
        "c3",
        "mean of x[i+2l] x[i+l] x[i] at lag l; 0 if there is none",
        || each("lag", 1..=3),
        order::c3,
    ),
    many(
        "cid_ce",
        "root of the sum of squared changes, of the values or of their z-scores",
        || each("normalize", ["True", "False"]),
        order::cid_ce,
    ),
    many(
        "symmetry_looking",
        "1 if mean and median differ by less than r times the range",
        || reals("r", (0..20).map(values::twentieth)),
        values::symmetry_looking,
    ),
    many(
        "large_standard_deviation",
        "1 if the standard deviation is above r times the range",
        || reals("r", (1..20).map(values::twentieth)),
        values::large_standard_deviation,
    ),
    many(
        "quantile",
        "quantile by linear interpolation",
        || reals("q", values::QUANTILES),
        values::quantile,
    ),
    many(
        "autocorrelation",
        "mean product of z-scores a lag apart; NaN if the variance is at most 1e-8",
        || each("lag", 0..trends::SHORT_LAGS),
        trends::autocorrelation,
    ),
    many(
        "agg_autocorrelation",
        "mean, median or variance of the autocorrelations at lags 1 to 40",
        lag_aggregates,
        trends::agg_autocorrelation,
    ),
    many(
        "partial_autocorrelation",
        "of a lag, given all shorter ones; NaN from half of the length",
        || each("lag", 0..trends::SHORT_LAGS),
        trends::partial_autocorrelation,
    ),
    many(
        "number_cwt_peaks",
        "ridges of the Ricker transform at widths 1 to n",
        || each("n", wavelets::PEAK_WIDTHS),
        wavelets::number_cwt_peaks,
    ),
    many(
        "number_peaks",
        "values above their n neighbors on both sides",
        || each("n", order::SUPPORTS),
        order::number_peaks,
    ),
    single(
        "binned_entropy",
        "entropy of ten equal bins from least to largest",
        || each("max_bins", [patterns::BINS]),
        patterns::binned_entropy,
    ),
    many(
        "index_mass_quantile",
        "share of the points before which the share q of the sum of magnitudes lies",
        || reals("q", order::MASSES),
        order::index_mass_quantile,
    ),
    many(
        "cwt_coefficients",
        "the first 15 coefficients of the Mexican hat transform at width w",
        wavelet_coefficients,
        wavelets::cwt_coefficients,
    ),
    many(
        "spkt_welch_density",
        "spectral density by Welch's method at a frequency",
        || each("coeff", spectrum::DENSITIES),
        spectrum::spkt_welch_density,
    ),
    many(
        "ar_coefficient",
        "constant and coefficients of an autoregression of order 10; NaN below 21 values, and the last is then 0",
        autoregression,
        regression::ar_coefficient,
    ),
    many(
        "change_quantiles",
        "mean or variance of the changes, or of their magnitudes, between values in a corridor of quantiles; 0 if there is none",
        corridors,
        order::change_quantiles,
    ),
    many(
        "fft_coefficient",
        "real part, imaginary part, magnitude and angle in degrees of a Fourier coefficient",
        frequencies,
        spectrum::fft_coefficient,
    ),
    many(
        "fft_aggregated",
        "centroid, variance, skew and kurtosis of the magnitudes of the Fourier coefficients over frequency, by tsfresh's formulas",
        || quoted("aggtype", spectrum::MOMENTS),
        spectrum::fft_aggregated,
    ),
    many(
        "value_count",
        "number of values that are exactly 0, 1 or -1",
        || each("value", values::COUNTED),
        values::value_count,
    ),
    many(
        "range_count",
        "number of values in [-1, 1), [-1e12, 0) and [0, 1e12)",
        || values::RANGES.map(|range| range.2.to_owned()).to_vec(),
        values::range_count,
    ),
    many(
        "friedrich_coefficients",
        "cubic polynomial of the mean change against the mean value in 30 quantiles; NaN if quantiles coincide",
        drift,
        langevin::friedrich_coefficients,
    ),
    single(
        "max_langevin_fixed_point",
        "largest real part of the roots of that polynomial",
        || vec!["m_3__r_30".to_owned()],
        langevin::max_langevin_fixed_point,
    ),
    many(
        "linear_trend",
        "straight line against the index: p-value, correlation, intercept, slope, error of the slope",
        || quoted("attr", ["pvalue", "rvalue", "intercept", "slope", "stderr"]),
        trends::linear_trend,
    ),
    many(
        "agg_linear_trend",
        "straight line through the maxima, minima, means or variances of runs of 5, 10 or 50 values",
        chunk_trends,
        trends::agg_linear_trend,
    ),
    many(
        "augmented_dickey_fuller",
        "statistic, p-value and number of lags of the test for a unit root with a constant",
        dickey_fuller,
        regression::augmented_dickey_fuller,
    ),
    many(
        "number_crossing_m",
        "how often the series crosses 0, -1 or 1",
        || each("m", order::LEVELS),
        order::number_crossing_m,
    ),
    many(
        "energy_ratio_by_chunks",
        "share of the sum of squares in each tenth of the series",
        energy_parts,
        order::energy_ratio_by_chunks,
    ),
    many(
        "ratio_beyond_r_sigma",
        "share of values more than r standard deviations from the mean",
        || each("r", values::SIGMAS),
        values::ratio_beyond_r_sigma,
    ),
    single(
        "count_above",
        "share of values of at least 0",
        || each("t", [0]),
        values::count_above,
    ),
    single(
        "count_below",
        "share of values of at most 0",
        || each("t", [0]),
        values::count_below,
    ),
    many(
        "lempel_ziv_complexity",
        "words of the Lempel-Ziv parsing of the series in equal bins, over the length",
        || each("bins", patterns::SYMBOLS),
        patterns::lempel_ziv_complexity,
    ),
    many(
        "fourier_entropy",
        "entropy of the spectral density in equal bins",
        || each("bins", spectrum::BINS),
        spectrum::fourier_entropy,
    ),
    many(
        "permutation_entropy",
        "entropy of the orders of values in windows",
        dimensions,
        patterns::permutation_entropy,
    ),
    single(
        "query_similarity_count",
        "always NaN: it counts matches with a query, and there is none",
        || vec!["query_None__threshold_0.0".to_owned()],
        |_| f64::NAN,
    ),
    single(
        "mean_n_absolute_max",
        "mean of the 7 largest magnitudes; NaN up to 7 values",
        || each("number_of_maxima", [values::LARGEST]),
        values::mean_n_absolute_max,
    ),
];

/// Returns the calculators as a table in Markdown.
pub fn markdown() -> String {
    let mut page = "| calculator | columns | of each series |\n|---|---:|---|\n".to_owned();
    for calculator in &CALCULATORS {
        let Calculator {
            name,
            about,
            minimal,
            ..
        } = calculator;
        let (columns, star) = (
            calculator.columns().len(),
            if *minimal { " (minimal)" } else { "" },
        );
        let _ = writeln!(page, "| `{name}`{star} | {columns} | {about} |");
    }
    page
}
