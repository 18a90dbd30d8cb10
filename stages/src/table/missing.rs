//! Which words and numbers stand for "no value". All readers decide it here.

use std::ops::RangeInclusive;

/// Words that mean that there is no value, in upper or lower case. An empty cell means the same.
const WORDS: [&str; 6] = ["null", "none", "na", "n/a", "nan", "<na>"];

/// The redshifts and reddenings that an object can have. Surveys write -9, -99, -999, 999 or 9999 for
/// an unknown value. Noise around zero and the most distant or most reddened source are within these
/// limits.
const OBJECT: RangeInclusive<f64> = -0.5..=50.0;

/// Observed numbers are below this limit, whatever their unit: 1e20, 1e30 and 9.97e36 are fill values.
const FILL: f64 = 1e20;

/// Returns true if `text`, without surrounding blanks, means that there is no value.
pub fn is_no_value(text: &str) -> bool {
    text.is_empty() || (text.len() <= 4 && WORDS.iter().any(|word| text.eq_ignore_ascii_case(word)))
}

/// Returns true if a quantity, by the name `column` that flow gives it, can have this value.
pub fn is_possible(column: &str, value: f64) -> bool {
    match column {
        "redshift" | "ebv" => OBJECT.contains(&value),
        "redshift_err" => (0.0..=*OBJECT.end()).contains(&value),
        _ => value.abs() < FILL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_any_case_are_no_value() {
        for word in ["", "NA", "n/a", "None", "NULL", "NaN", "<NA>"] {
            assert!(is_no_value(word), "{word}");
        }
        for word in ["0", "nano", "Nil", "N", "-", "unknown"] {
            assert!(!is_no_value(word), "{word}");
        }
    }

    #[test]
    fn sentinels_are_not_possible_and_noise_is() {
        for value in [-0.999_999, -1.0, -9.0, -99.0, 99.0, 999.0, 9999.0] {
            assert!(!is_possible("redshift", value) && !is_possible("ebv", value));
        }
        for value in [-0.01, 0.0, 0.3, 11.0] {
            assert!(is_possible("redshift", value) && is_possible("ebv", value));
        }
        assert!(!is_possible("redshift_err", -1.0) && is_possible("redshift_err", 0.0));
        assert!(!is_possible("flux", -1e30) && is_possible("flux", -9999.0));
        for column in ["redshift", "ebv", "redshift_err", "flux"] {
            assert!(!is_possible(column, f64::NAN) && !is_possible(column, f64::INFINITY));
        }
    }
}
