//! Codes of mistakes and failures.

use std::borrow::Cow;
use std::fmt;

/// A stable code, `flow::area::what`, with a section in `docs/errors.md`.
///
/// The variants are the codes by which this program decides something. It compares those and never a
/// text, which is why a code does not compare with one. A code that is only shown is a literal where the
/// failure is made, so that a new kind changes nothing here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// A parameter has no effect beside the others. `flow tune` leaves it out of the trial.
    NotApplicable,
    /// Figures over the folds of two stages meet.
    TwoFolds,
    /// A child process ended as if all were well and left no record. Another try would not help.
    NoRecord,
    /// Any other. Made by `from`, which gives the variants above their own.
    Shown(Cow<'static, str>),
}

impl Code {
    const NAMED: [Self; 3] = [Self::NotApplicable, Self::TwoFolds, Self::NoRecord];

    /// The code as it is written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::NotApplicable => "flow::params::not_applicable",
            Self::TwoFolds => "flow::pipeline::two_folds",
            Self::NoRecord => "flow::executor::no_record",
            Self::Shown(code) => code,
        }
    }

    fn of(code: Cow<'static, str>) -> Self {
        let named = Self::NAMED.into_iter().find(|named| named.as_str() == code);
        named.unwrap_or(Self::Shown(code))
    }
}

impl From<&'static str> for Code {
    fn from(code: &'static str) -> Self {
        Self::of(code.into())
    }
}

impl From<String> for Code {
    fn from(code: String) -> Self {
        Self::of(code.into())
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_its_variant_however_it_came() {
        for code in Code::NAMED {
            assert_eq!(Code::from(code.to_string()), code);
        }
        assert_eq!(Code::from("flow::pipeline::two_folds"), Code::TwoFolds);
        let shown = Code::from("flow::data::schema");
        assert_eq!(shown, Code::Shown("flow::data::schema".into()));
        assert_eq!(shown.to_string(), "flow::data::schema");
    }
}
