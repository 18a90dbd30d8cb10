//! Calibration: maps from scores to probabilities that say how often a class is the true one.
//!
//! - [`isotonic`]: any map that does not decrease, as steps;
//! - [`platt`]: a logistic curve, two numbers;
//! - [`temperature`]: one number for all classes.
//!
//! Each is fitted on scores with known labels. The more a map can bend, the more rows it needs.

pub mod isotonic;
pub mod platt;
pub mod temperature;

/// Probabilities are kept this far from 0 and 1 before a logarithm is taken.
const EDGE: f64 = 1e-7;

/// The log-odds of a probability, which are within -16.1 and 16.1.
pub fn log_odds(p: f64) -> f64 {
    let p = p.clamp(EDGE, 1.0 - EDGE);
    libm::log(p / (1.0 - p))
}

/// The numbers that tests compare with.
#[cfg(test)]
mod fixture {
    use serde_json::Value;

    /// The figures of scikit-learn and scipy.
    pub fn oracle() -> Value {
        serde_json::from_str(include_str!("../../../tests/fixtures/calibration.json")).unwrap()
    }

    pub fn numbers(value: &Value) -> Vec<f64> {
        let list = value.as_array().unwrap().iter();
        list.map(|v| v.as_f64().unwrap()).collect()
    }

    pub fn labels(value: &Value) -> Vec<bool> {
        numbers(value).iter().map(|&y| y == 1.0).collect()
    }
}
