//! Reads the values of a table of a profile. Whatever is wrong becomes a diagnostic, and counts as not given.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::diag::{Diag, Diags};
use crate::base::suggest::did_you_mean;
use crate::command::{duration, size};
use crate::run::cluster::options::Template;
use crate::text::expect::{table, unknown_key, wrong};
use crate::text::node::{Entry, Item, Table};

/// A table of a profile.
pub(super) struct Reader<'a> {
    table: &'a Table,
    diags: &'a mut Diags,
}

impl<'a> Reader<'a> {
    /// Begins with a table, and reports its keys that are not among those that are known.
    pub(super) fn new(table: &'a Table, name: &str, known: &[&str], diags: &'a mut Diags) -> Self {
        for entry in table
            .iter()
            .filter(|entry| !known.contains(&entry.key.as_str()))
        {
            diags.push(unknown_key(entry, name, known));
        }
        Self { table, diags }
    }

    /// Reads a table within the table.
    pub(super) fn inner<T>(
        &mut self,
        key: &str,
        known: &[&str],
        read: impl FnOnce(&mut Reader<'_>) -> T,
    ) -> Option<T> {
        let inner = table(self.table, key, self.diags)?;
        Some(read(&mut Reader::new(
            inner,
            &format!("`{key}`"),
            known,
            self.diags,
        )))
    }

    fn read<T>(
        &mut self,
        key: &str,
        wanted: &str,
        read: impl FnOnce(&Item) -> Option<T>,
    ) -> Option<T> {
        let entry = self.table.get(key)?;
        let value = read(&entry.node.item);
        if value.is_none() {
            self.diags.push(wrong(entry, wanted));
        }
        value
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        self.read(key, "a text", |item| match item {
            Item::Str(text) => Some(text.clone()),
            _ => None,
        })
    }

    pub(super) fn texts(&mut self, key: &str) -> Vec<String> {
        let read = self.read(key, "a list of texts", texts);
        read.unwrap_or_default()
    }

    /// Reads a command: texts, and lists of texts that are left out if a placeholder in them has no value.
    pub(super) fn template(&mut self, key: &str) -> Template {
        let read = self.read(
            key,
            "a list of texts, some of them in lists of their own",
            |item| match item {
                Item::List(nodes) => nodes
                    .iter()
                    .map(|node| match &node.item {
                        Item::Str(text) => Some(vec![text.clone()]),
                        inner => texts(inner),
                    })
                    .collect(),
                _ => None,
            },
        );
        read.unwrap_or_default()
    }

    pub(super) fn whole(&mut self, key: &str, least: i64) -> Option<u64> {
        self.read(
            key,
            &format!("a whole number, {least} or more"),
            |item| match item {
                Item::Int(n) if *n >= least => u64::try_from(*n).ok(),
                _ => None,
            },
        )
    }

    pub(super) fn number(&mut self, key: &str, least: f64, most: f64) -> Option<f64> {
        let value = |item: &Item| match item {
            Item::Int(n) => Some(*n as f64),
            Item::Float(n) => Some(*n),
            _ => None,
        };
        self.read(key, &format!("a number from {least} to {most}"), |item| {
            value(item).filter(|n| (least..=most).contains(n))
        })
    }

    pub(super) fn size(&mut self, key: &str) -> Option<u64> {
        self.read(key, "a size such as \"2GiB\"", |item| match item {
            Item::Str(text) => size(text).ok(),
            _ => None,
        })
    }

    pub(super) fn duration(&mut self, key: &str) -> Option<Duration> {
        self.read(
            key,
            "a time such as \"2h\" or \"10min\"",
            |item| match item {
                Item::Str(text) => duration(text).ok(),
                _ => None,
            },
        )
    }

    /// Reads the name of an environment variable.
    pub(super) fn variable(&mut self, key: &str) -> Option<String> {
        let plain = |text: &str| {
            let first = text
                .bytes()
                .next()
                .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
            first && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        self.read(
            key,
            "the name of an environment variable",
            |item| match item {
                Item::Str(text) if plain(text) => Some(text.clone()),
                _ => None,
            },
        )
    }

    pub(super) fn one_of(&mut self, key: &str, known: &[&str]) -> Option<String> {
        let entry = self.table.get(key)?;
        match &entry.node.item {
            Item::Str(text) if known.contains(&text.as_str()) => Some(text.clone()),
            Item::Str(text) => {
                self.diags.push(unknown_word(entry, text, known));
                None
            }
            _ => {
                self.diags.push(wrong(entry, "a text"));
                None
            }
        }
    }

    /// Reads a table whose values are among the words that are known.
    pub(super) fn words(&mut self, key: &str, known: &[&str]) -> BTreeMap<String, String> {
        let Some(words) = table(self.table, key, self.diags) else {
            return BTreeMap::new();
        };
        let mut read = Reader {
            table: words,
            diags: self.diags,
        };
        let entries = words
            .iter()
            .filter_map(|entry| Some((entry.key.clone(), read.one_of(&entry.key, known)?)));
        entries.collect()
    }
}

fn texts(item: &Item) -> Option<Vec<String>> {
    let Item::List(nodes) = item else {
        return None;
    };
    let text = |item: &Item| match item {
        Item::Str(text) => Some(text.clone()),
        _ => None,
    };
    nodes.iter().map(|node| text(&node.item)).collect()
}

fn unknown_word(entry: &Entry, given: &str, known: &[&str]) -> Diag {
    let diag = Diag::new(
        "flow::profile::word",
        format!("`{}` cannot be `{given}`", entry.key),
    );
    let diag = diag.label(entry.node.span, "unknown word");
    did_you_mean(diag, given, known.iter().copied(), "words")
}
