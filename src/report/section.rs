//! A part of a page.

use maud::Markup;
use serde_json::Value as Json;

/// A part of a page.
pub struct Section {
    /// Its name in links and in scripts.
    pub id: &'static str,
    /// Its heading.
    pub title: String,
    /// What it says. It is readable without JavaScript.
    pub html: Markup,
    /// What its script draws.
    pub drawing: Option<Drawing>,
}

/// What a section draws with JavaScript.
pub struct Drawing {
    /// The text of the script. It calls `flow.section` with the id of the section.
    pub script: &'static str,
    /// The data. Figures are [`rounded`].
    pub data: Json,
}

/// A number for a plot, with five significant digits: what an eye can see, in few bytes. `null` if it is
/// not finite.
pub fn rounded(x: f64) -> Json {
    to_digits(x, 5)
}

/// Does the same with some other number of significant digits.
pub fn to_digits(x: f64, digits: usize) -> Json {
    let text = format!("{x:.*e}", digits.saturating_sub(1));
    let near: f64 = text.parse().unwrap_or(f64::NAN);
    match near {
        whole if whole.fract() == 0.0 && whole.abs() < 1e15 => Json::from(whole as i64),
        near if near.is_finite() => Json::from(near),
        _ => Json::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_the_digits_that_an_eye_can_see() {
        let text = |x: f64| rounded(x).to_string();
        assert_eq!(text(0.123456789), "0.12346");
        assert_eq!(text(123456789.0), "123460000");
        assert_eq!(text(-2.0), "-2");
        assert_eq!(text(-0.0), "0");
        assert_eq!(text(1e-300), "1e-300");
        assert_eq!(text(f64::NAN), "null");
        assert_eq!(text(f64::INFINITY), "null");
        assert_eq!(to_digits(59000.1234, 7).to_string(), "59000.12");
    }
}
