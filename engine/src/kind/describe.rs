//! Describes types of parameters for messages, the reference page and the JSON Schema.

use crate::kind::params::ParamType;

/// Describes what a type accepts: `a whole number from 1 to 100`.
pub fn describe(ty: &ParamType) -> String {
    match ty {
        ParamType::Bool => "true or false".into(),
        ParamType::Int { min, max } => {
            let low = (*min != i64::MIN).then(|| min.to_string());
            let high = (*max != i64::MAX).then(|| max.to_string());
            format!("a whole number{}", range(low, high))
        }
        ParamType::Float { min, max } => {
            let bound = |v: f64, open: f64| (v.is_finite() && v != open).then(|| v.to_string());
            format!(
                "a number{}",
                range(bound(*min, f64::MIN), bound(*max, f64::MAX))
            )
        }
        ParamType::Str => "a text".into(),
        ParamType::Choice(words) => {
            let words: Vec<String> = words.iter().map(|w| format!("{w:?}")).collect();
            match words.as_slice() {
                [only] => only.clone(),
                words => format!("one of {}", words.join(", ")),
            }
        }
        ParamType::Path => "a path".into(),
        ParamType::Glob => "a path or a pattern".into(),
        ParamType::List(inner) => format!("a list, each entry {}", describe(inner)),
        ParamType::Map(inner) => format!("a table, each value {}", describe(inner)),
        ParamType::Ordered(inner) => {
            format!("a table (its order counts), each value {}", describe(inner))
        }
        ParamType::OneOf(types) => types.iter().map(describe).collect::<Vec<_>>().join("; or "),
    }
}

fn range(low: Option<String>, high: Option<String>) -> String {
    match (low, high) {
        (Some(low), Some(high)) => format!(" from {low} to {high}"),
        (Some(low), None) => format!(", at least {low}"),
        (None, Some(high)) => format!(", at most {high}"),
        (None, None) => String::new(),
    }
}
