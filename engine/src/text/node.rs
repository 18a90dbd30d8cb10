//! The tree of a TOML text, owned, with the place of every key and value.

use std::collections::HashMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::base::diag::{Diag, Diags, SourceId, Span};

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The value.
    pub item: Item,
    /// Its place. For a `[table]`, this is the header.
    pub span: Span,
}

impl Node {
    /// The entry of `key`, to change, if the value is a table that has one.
    pub fn entry_mut(&mut self, key: &str) -> Option<&mut Entry> {
        match &mut self.item {
            Item::Table(table) => table.get_mut(key),
            _ => None,
        }
    }
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction or an exponent, `inf` or `nan`.
    Float(f64),
    /// A text.
    Str(String),
    /// A date or time, as text. No parameter accepts one.
    Datetime(String),
    /// `[...]`.
    List(Vec<Node>),
    /// `{...}` or `[header]`.
    Table(Table),
}

impl Item {
    /// Describes the value for messages: `the text "abc"`.
    pub fn describe(&self) -> String {
        match self {
            Item::Bool(v) => format!("`{v}`"),
            Item::Int(v) => format!("the number {v}"),
            Item::Float(v) => format!("the number {v:?}"),
            Item::Str(v) => format!("the text {v:?}"),
            Item::Datetime(v) => format!("the date or time {v}"),
            Item::List(_) => "a list".into(),
            Item::Table(_) => "a table".into(),
        }
    }
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Its place.
    pub key_span: Span,
    /// The value.
    pub node: Node,
}

/// A table whose entries keep the order of the text.
#[derive(Clone, Debug, Default)]
pub struct Table {
    entries: Vec<Entry>,
    /// Used for lookups only, so its order cannot reach a result.
    index: HashMap<String, usize>,
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl Table {
    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Consumes the table and returns its entries in order.
    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// The entries in order, to change their values.
    pub fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns true if there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry of `key`.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.index.get(key).map(|&i| &self.entries[i])
    }

    /// The entry of `key`, to change.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Entry> {
        self.index.get(key).map(|&i| &mut self.entries[i])
    }

    /// Adds an entry, or gives it back if the key is taken.
    pub fn add(&mut self, entry: Entry) -> Option<Entry> {
        if self.index.contains_key(&entry.key) {
            return Some(entry);
        }
        self.index.insert(entry.key.clone(), self.entries.len());
        self.entries.push(entry);
        None
    }

    /// Takes out the entry of `key`.
    pub fn remove(&mut self, key: &str) -> Option<Entry> {
        let at = self.index.remove(key)?;
        let entry = self.entries.remove(at);
        for (i, left) in self.entries.iter().enumerate().skip(at) {
            self.index.insert(left.key.clone(), i);
        }
        Some(entry)
    }
}

/// Parses one text. Its syntax errors become diagnostics.
///
/// Only the first error of a line is kept. The parser recovers within the line, and its later errors there
/// come from the same mistake.
pub fn parse(source: SourceId, text: &str, diags: &mut Diags) -> Table {
    let (root, mut errors) = DeTable::parse_recoverable(text);
    errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
    let mut last_line = None;
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let start = span.start.min(text.len());
        let line = text.as_bytes()[..start]
            .iter()
            .filter(|b| **b == b'\n')
            .count();
        if last_line.replace(line) == Some(line) {
            continue;
        }
        let message: Vec<&str> = error.message().lines().map(str::trim).collect();
        diags.push(
            Diag::new("flow::toml::syntax", message.join(", "))
                .label(Span::new(source, span), "here"),
        );
    }
    Converter { source, diags }.table(root.into_inner())
}

/// Turns the parser's borrowed tree into ours. The parser limits its depth.
struct Converter<'a> {
    source: SourceId,
    diags: &'a mut Diags,
}

impl Converter<'_> {
    fn table(&mut self, table: DeTable<'_>) -> Table {
        let mut entries: Vec<_> = table.into_iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let mut out = Table::default();
        for (key, value) in entries {
            let key_span = Span::new(self.source, key.span());
            let entry = Entry {
                key: key.into_inner().into_owned(),
                key_span,
                node: self.node(value),
            };
            // The parser has reported duplicates within one text. The first one counts.
            let _ = out.add(entry);
        }
        out
    }

    fn node(&mut self, value: Spanned<DeValue<'_>>) -> Node {
        let span = Span::new(self.source, value.span());
        let item = match value.into_inner() {
            DeValue::String(v) => Item::Str(v.into_owned()),
            DeValue::Boolean(v) => Item::Bool(v),
            DeValue::Datetime(v) => Item::Datetime(v.to_string()),
            DeValue::Array(v) => Item::List(v.into_iter().map(|v| self.node(v)).collect()),
            DeValue::Table(v) => Item::Table(self.table(v)),
            DeValue::Integer(v) => match i64::from_str_radix(v.as_str(), v.radix()) {
                Ok(v) => Item::Int(v),
                Err(_) => self.bad_number(span, "whole numbers go from -2^63 to 2^63 - 1"),
            },
            DeValue::Float(v) => match v.as_str().parse() {
                Ok(v) => Item::Float(v),
                Err(_) => self.bad_number(span, "it cannot be read as a number"),
            },
        };
        Node { item, span }
    }

    fn bad_number(&mut self, span: Span, why: &str) -> Item {
        self.diags.push(
            Diag::new("flow::toml::syntax", "a number that cannot be represented").label(span, why),
        );
        Item::Int(0)
    }
}

/// Returns a value of a pipeline as TOML.
pub(crate) fn value(node: &Node) -> toml::Value {
    match &node.item {
        Item::Bool(v) => (*v).into(),
        Item::Int(v) => (*v).into(),
        Item::Float(v) => (*v).into(),
        Item::Str(v) | Item::Datetime(v) => v.as_str().into(),
        Item::List(nodes) => nodes.iter().map(value).collect::<Vec<_>>().into(),
        Item::Table(table) => {
            let entries = table.iter().map(|e| (e.key.clone(), value(&e.node)));
            toml::Value::Table(entries.collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_keep_the_order_of_the_text() {
        let mut diags = Vec::new();
        let table = parse(
            SourceId(0),
            "b = 1\na = 0xff\n[c]\nx = 1_000.5\n",
            &mut diags,
        );
        assert!(diags.is_empty());
        let keys: Vec<_> = table.iter().map(|e| e.key.as_str()).collect();
        assert_eq!(keys, ["b", "a", "c"]);
        assert_eq!(table.get("a").unwrap().node.item, Item::Int(255));
        let Item::Table(c) = &table.get("c").unwrap().node.item else {
            panic!("a table")
        };
        assert_eq!(c.get("x").unwrap().node.item, Item::Float(1000.5));
    }

    #[test]
    fn several_syntax_errors_are_reported_at_once() {
        let mut diags = Vec::new();
        parse(SourceId(0), "a = \nb = 1\nc = [1, 2\nd == 3\n", &mut diags);
        assert!(diags.len() >= 2, "{diags:?}");
    }

    #[test]
    fn too_large_a_number_is_reported() {
        let mut diags = Vec::new();
        parse(SourceId(0), "a = 9223372036854775808", &mut diags);
        assert_eq!(diags.len(), 1);
    }

    #[test]
    fn removal_keeps_the_index_right() {
        let mut diags = Vec::new();
        let mut table = parse(SourceId(0), "a = 1\nb = 2\nc = 3\n", &mut diags);
        assert!(table.remove("a").is_some());
        assert_eq!(table.get("c").unwrap().node.item, Item::Int(3));
        assert_eq!(table.len(), 2);
    }
}
