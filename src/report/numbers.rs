//! Numbers as the tables of a report have them.

use flow_stages::evaluation::{Direction, Estimate, Metric};
use serde_json::{Value as Json, json};

use super::section::rounded;

/// `0.724`, with a sign of its own length where it is negative.
pub fn plain(value: f64) -> String {
    signed(value).trim_start_matches('+').to_owned()
}

/// `+0.025`. Zero has no sign.
pub fn signed(value: f64) -> String {
    let text = format!("{value:+.3}");
    match text.trim_start_matches(['+', '-']) {
        zero @ "0.000" => zero.to_owned(),
        _ => text.replace('-', "\u{2212}"),
    }
}

/// `0.724 [0.63, 0.81]`.
pub fn with_interval(estimate: &Estimate) -> String {
    let Estimate { value, low, high } = estimate;
    format!("{} [{low:.2}, {high:.2}]", plain(*value))
}

/// `+0.025 [-0.074, +0.025]`.
pub fn difference(estimate: &Estimate) -> String {
    let Estimate { value, low, high } = estimate;
    format!("{} [{}, {}]", signed(*value), signed(*low), signed(*high))
}

/// The value and both ends for a plot.
pub fn ends(estimate: &Estimate) -> [Json; 3] {
    [estimate.value, estimate.low, estimate.high].map(rounded)
}

/// A metric for a plot: its name, and whether less of it is better.
pub fn metric(metric: Metric) -> Json {
    json!({
        "title": name(metric),
        "loss": metric.direction() == Some(Direction::Minimise),
    })
}

/// What people call a metric.
pub fn name(metric: Metric) -> &'static str {
    match metric {
        Metric::Ap => "average precision",
        Metric::Precision => "precision",
        Metric::Recall => "recall",
        other => other.title(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_of_differences_and_zero_has_none() {
        let all = [0.0251, -0.0251, -0.0001, 0.0].map(signed);
        assert_eq!(all, ["+0.025", "\u{2212}0.025", "0.000", "0.000"]);
        assert_eq!(plain(0.5), "0.500");
        let estimate = Estimate {
            value: -0.01,
            low: -0.02,
            high: 0.0,
        };
        assert_eq!(
            difference(&estimate),
            "\u{2212}0.010 [\u{2212}0.020, 0.000]"
        );
    }
}
