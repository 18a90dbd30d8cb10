//! What stands behind the predictions that a step scores or combines.

use flow_cache::{Digest, Value};

/// What stands behind the predictions that a step scores or combines, and behind the inputs of other steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// A stage on the way fits on the out-of-fold predictions of other folds.
    pub crossed: bool,
    /// The names of kinds on the way whose results were made outside of flow and are taken on trust.
    pub foreign: Vec<String>,
    /// Some input was made by a program, or elsewhere, and may hold something that kinds do not see.
    pub outside: bool,
}

impl Lineage {
    /// Returns the value for a recipe, together with the digest of the table of folds.
    pub(crate) fn recipe(&self, folds: Option<Digest>) -> Value {
        Value::map([
            ("crossed", Value::from(self.crossed)),
            ("folds", folds.into()),
            ("foreign", self.foreign.clone().into()),
        ])
    }

    pub(crate) fn to_value(&self) -> Value {
        Value::map([
            ("crossed", Value::from(self.crossed)),
            ("foreign", self.foreign.clone().into()),
            ("outside", self.outside.into()),
        ])
    }

    pub(crate) fn of_value(value: &Value) -> Option<Self> {
        let Value::List(foreign) = value.get("foreign")? else {
            return None;
        };
        let names = foreign.iter().map(|kind| kind.as_str().map(str::to_owned));
        Some(Self {
            crossed: matches!(value.get("crossed")?, Value::Bool(true)),
            foreign: names.collect::<Option<_>>()?,
            outside: matches!(value.get("outside")?, Value::Bool(true)),
        })
    }
}
