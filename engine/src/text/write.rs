//! Writes a tree as TOML text that has the same tree when it is read again.
//!
//! Tables become sections down to the parameters of a stage, and inline tables below, where their order may
//! count. In a section, plain values come before tables, as TOML asks.

use crate::text::node::{Entry, Item, Node, Table};

/// The most keys in the header of a section: `[stages.NAME.PARAM]`.
const DEPTH: usize = 3;

/// Returns a whole tree as text.
pub fn text(root: &Table) -> String {
    let mut out = String::new();
    section(&mut Vec::new(), root, &mut out);
    out
}

fn section(path: &mut Vec<String>, table: &Table, out: &mut String) {
    let is_section = |entry: &&Entry| match &entry.node.item {
        Item::Table(_) => path.len() < DEPTH,
        _ => false,
    };
    let (sections, plain): (Vec<&Entry>, Vec<&Entry>) = table.iter().partition(is_section);
    // A table that has sections alone needs no header of its own.
    if !path.is_empty() && (!plain.is_empty() || sections.is_empty()) {
        let gap = if out.is_empty() { "" } else { "\n" };
        out.push_str(&format!("{gap}[{}]\n", path.join(".")));
    }
    for entry in plain {
        out.push_str(&format!("{} = {}\n", key(&entry.key), value(&entry.node)));
    }
    for entry in sections {
        if let Item::Table(inner) = &entry.node.item {
            path.push(key(&entry.key));
            section(path, inner, out);
            path.pop();
        }
    }
}

/// Returns a key, in quotes if it is not a plain word.
fn key(key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(plain) {
        return key.to_owned();
    }
    let mut out = String::from("\"");
    for c in key.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn value(node: &Node) -> String {
    match &node.item {
        Item::Bool(v) => v.to_string(),
        Item::Int(v) => v.to_string(),
        Item::Float(v) => toml::Value::Float(*v).to_string(),
        Item::Str(v) => toml::Value::from(v.as_str()).to_string(),
        Item::Datetime(v) => v.clone(),
        Item::List(nodes) => {
            let items: Vec<String> = nodes.iter().map(value).collect();
            format!("[{}]", items.join(", "))
        }
        Item::Table(table) if table.is_empty() => "{}".to_owned(),
        Item::Table(table) => {
            let entries = table.iter();
            let entries = entries.map(|e| format!("{} = {}", key(&e.key), value(&e.node)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::diag::SourceId;
    use crate::text::node::parse;

    /// The tree as JSON, which has no places. The order of keys is kept.
    fn plain(table: &Table) -> String {
        let entries = table.iter().map(|entry| match &entry.node.item {
            Item::Table(inner) => format!("{:?}: {{{}}}", entry.key, plain(inner)),
            item => format!("{:?}: {}", entry.key, bare(item)),
        });
        entries.collect::<Vec<_>>().join(", ")
    }

    fn bare(item: &Item) -> String {
        match item {
            Item::List(nodes) => {
                let items: Vec<String> = nodes.iter().map(|node| bare(&node.item)).collect();
                format!("[{}]", items.join(", "))
            }
            Item::Table(table) => format!("{{{}}}", plain(table)),
            Item::Float(v) => format!("{:x}", v.to_bits()),
            other => format!("{other:?}"),
        }
    }

    fn read(text: &str) -> Table {
        let mut diags = Vec::new();
        let table = parse(SourceId(0), text, &mut diags);
        assert!(diags.is_empty(), "{text}\n{diags:?}");
        table
    }

    #[test]
    fn a_tree_is_read_again_as_it_was() {
        let table = read(
            r#"
[pipeline]
name = "odd \"name\" \\ of\ttwo\nlines '''\u0007"
seed = 7
[stages.a]
use = "ingest"
float = 1.0
small = 1e-300
huge = inf
nothing = nan
minus = -0.0
day = 2026-11-29T10:00:00Z
list = [1, [2.5, "x"], { b = 1, a = [] }, []]
[stages.a.classes]
z = ["TDE", "AGN"]
"a b.c\"\\é" = { deep = { deeper = { order = 1, a = 2 } }, empty = {} }
a = true
[stages.b]
[stages.c.inputs]
features = ["a", "b"]
[outputs]
"out/a.csv" = "a.predictions"
'quoted "b"' = "b"
[variants."x-1".stages]
k = [1]
"#,
        );
        let text = text(&table);
        assert_eq!(plain(&read(&text)), plain(&table), "{text}");
        assert_eq!(super::text(&read(&text)), text);
        assert!(text.contains("\n[stages.b]\n") && !text.contains("[stages]"));
    }
}
