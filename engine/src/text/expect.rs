//! What a table of the text must hold: types, and keys that are known.

use crate::base::diag::{Diag, Diags};
use crate::base::suggest::did_you_mean;
use crate::text::node::{Entry, Item, Table, value};

/// The table `key` of `parent`, if it is there and is one.
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

/// A value of the wrong type.
pub fn wrong(entry: &Entry, wanted: &str) -> Diag {
    let given = entry.node.item.describe();
    Diag::new(
        "flow::params::type",
        format!("`{}` must be {wanted}, not {given}", entry.key),
    )
    .label(entry.node.span, format!("is {given}"))
}

/// A key that is not known.
pub fn unknown_key(entry: &Entry, parent: &str, known: &[&str]) -> Diag {
    let diag = Diag::new(
        "flow::pipeline::unknown_key",
        format!("`{}` is not a key of {parent}", entry.key),
    )
    .label(entry.key_span, "unknown key");
    did_you_mean(diag, &entry.key, known.iter().copied(), "keys")
}

/// A number that the pipeline sets, for examples: the path of the parameter, and its value.
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
