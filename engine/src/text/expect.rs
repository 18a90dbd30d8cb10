//! Checks of a table in the text: that values have the right types, and that keys are known.

use crate::base::diag::{Diag, Diags};
use crate::base::suggest::did_you_mean;
use crate::text::node::{Entry, Item, Table, value};

/// Returns the table `key` of `parent`, if there is one.
pub fn table<'t>(parent: &'t Table, key: &str, diags: &mut Diags) -> Option<&'t Table> {
    let entry = parent.get(key)?;
    match &entry.node.item {
        Item::Table(table) => Some(table),
        _ => {
            diags.push(wrong(entry, "a table"));
            None
        }
    }
}

/// The diagnostic for a value of the wrong type.
pub fn wrong(entry: &Entry, wanted: &str) -> Diag {
    let given = entry.node.item.describe();
    Diag::new(
        "flow::params::type",
        format!("`{}` must be {wanted}, not {given}", entry.key),
    )
    .label(entry.node.span, format!("is {given}"))
}

/// The diagnostic for a key that is not known.
pub fn unknown_key(entry: &Entry, parent: &str, known: &[&str]) -> Diag {
    let diag = Diag::new(
        "flow::pipeline::unknown_key",
        format!("`{}` is not a key of {parent}", entry.key),
    )
    .label(entry.key_span, "unknown key");
    did_you_mean(diag, &entry.key, known.iter().copied(), "keys")
}

/// Returns a number that the pipeline sets, to use in an example: the path of the parameter and its value.
pub fn example(root: &Table) -> Option<(String, toml::Value)> {
    let stages = table(root, "stages", &mut Vec::new())?;
    stages.iter().find_map(|stage| {
        let params = table(stages, &stage.key, &mut Vec::new())?;
        let number = |entry: &&Entry| matches!(entry.node.item, Item::Int(_) | Item::Float(_));
        let param = params.iter().find(number)?;
        let path = format!("{}.{}", stage.key, param.key);
        Some((path, value(&param.node)))
    })
}
