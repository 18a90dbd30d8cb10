//! The parameters of calculators as they stand in the names of their columns.

use super::drift::DEGREE;
use super::{order, patterns, regression, spectrum, trends, wavelets};

/// Names a parameter with each of its values.
pub fn each<T: std::fmt::Display>(key: &str, values: impl IntoIterator<Item = T>) -> Vec<String> {
    let name = |value| format!("{key}_{value}");
    values.into_iter().map(name).collect()
}

/// The same of floating-point numbers as Python writes them.
pub fn reals(key: &str, values: impl IntoIterator<Item = f64>) -> Vec<String> {
    each(key, values.into_iter().map(|value| format!("{value:?}")))
}

/// The same of words.
pub fn quoted<const N: usize>(key: &str, words: [&str; N]) -> Vec<String> {
    each(key, words.map(|word| format!("\"{word}\"")))
}

/// Puts something after each name.
pub fn with(names: Vec<String>, end: &str) -> Vec<String> {
    names.into_iter().map(|name| name + end).collect()
}

pub fn lag_aggregates() -> Vec<String> {
    with(
        quoted("f_agg", trends::LAG_AGGREGATES),
        &format!("__{}", trends::LAGS_NAMED),
    )
}

pub fn wavelet_coefficients() -> Vec<String> {
    let widths = wavelets::WIDTHS.map(|width| width.to_string()).join(", ");
    let of = |coefficient: String| {
        let start = format!("{coefficient}__w");
        with(
            each(&start, wavelets::WIDTHS),
            &format!("__widths_({widths})"),
        )
    };
    let coefficients = each("coeff", 0..wavelets::COEFFICIENTS);
    coefficients.into_iter().flat_map(of).collect()
}

pub fn autoregression() -> Vec<String> {
    with(
        each("coeff", 0..=regression::ORDER),
        &format!("__k_{}", regression::ORDER),
    )
}

pub fn corridors() -> Vec<String> {
    let mut names = Vec::new();
    for (lower, upper) in order::corridors() {
        for absolute in ["False", "True"] {
            let end = format!("__isabs_{absolute}__qh_{upper:?}__ql_{lower:?}");
            names.extend(with(quoted("f_agg", ["mean", "var"]), &end));
        }
    }
    names
}

pub fn frequencies() -> Vec<String> {
    let of = |attribute: String| each(&format!("{attribute}__coeff"), 0..spectrum::FREQUENCIES);
    let attributes = quoted("attr", spectrum::ATTRIBUTES);
    attributes.into_iter().flat_map(of).collect()
}

pub fn drift() -> Vec<String> {
    with(each("coeff", 0..=DEGREE), "__m_3__r_30")
}

pub fn chunk_trends() -> Vec<String> {
    let mut names = Vec::new();
    for attribute in quoted("attr", trends::LINE) {
        for chunk in trends::CHUNKS {
            names.extend(quoted(
                &format!("{attribute}__chunk_len_{chunk}__f_agg"),
                trends::AGGREGATES,
            ));
        }
    }
    names
}

pub fn dickey_fuller() -> Vec<String> {
    with(
        quoted("attr", ["teststat", "pvalue", "usedlag"]),
        "__autolag_\"AIC\"",
    )
}

pub fn energy_parts() -> Vec<String> {
    each(
        &format!("num_segments_{}__segment_focus", order::PARTS),
        0..order::PARTS,
    )
}

pub fn dimensions() -> Vec<String> {
    with(each("dimension", patterns::DIMENSIONS), "__tau_1")
}
