//! Checks the words of `docs/glossary.md`: each is used, and the words that it rules out are not.

use crate::{files, pages, read, root};

/// A row of the glossary.
struct Entry {
    word: String,
    /// Words that must not be used for it.
    ruled_out: Vec<String>,
}

/// The tables of the glossary, each a list of rows.
fn glossary() -> Vec<Vec<Entry>> {
    let page = read(&root().join("docs/glossary.md"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, word, meaning, ruled_out, _] = cells[..] else {
            panic!("`{line}` has not three cells");
        };
        assert!(meaning.ends_with('.'), "`{word}` is explained in sentences");
        let ruled_out = ruled_out.split(", ").filter(|word| !word.is_empty());
        Entry {
            word: word.trim_matches('*').to_owned(),
            ruled_out: ruled_out.map(str::to_owned).collect(),
        }
    };
    let table = |section: &str| {
        let rows = section.lines().filter(|line| line.starts_with("| **"));
        rows.map(row).collect::<Vec<_>>()
    };
    page.split("\n## ").skip(1).map(table).collect()
}

/// What a page says outside its code, in lower case.
pub fn prose(page: &str) -> String {
    let mut kept = String::new();
    let mut fenced = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let outside = line.split('`').step_by(2);
            kept.extend(outside.flat_map(|text| [text, "`"]));
            kept.push('\n');
        }
    }
    kept.to_lowercase()
}

/// Returns true if `text` has a word, in the singular or plural, that is not part of a longer one.
fn has(text: &str, word: &str) -> bool {
    let part_of_a_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let rest = &text[at + word.len()..];
        let rest = rest.strip_prefix('s').unwrap_or(rest);
        !text[..at].ends_with(part_of_a_word) && !rest.starts_with(part_of_a_word)
    })
}

#[test]
fn every_word_of_the_glossary_is_used() {
    let mut texts: Vec<String> = pages()
        .into_iter()
        .filter(|(page, _)| page != "docs/glossary.md")
        .map(|(_, text)| text.to_lowercase())
        .collect();
    for folder in ["src", "engine/src", "stages/src", "neural/src", "cache/src"] {
        let sources = files(&root().join(folder), "rs").into_iter();
        texts.extend(sources.map(|path| {
            let text = read(&path);
            text.to_lowercase()
        }));
    }
    let tables = glossary();
    assert!(tables.len() > 5, "are the tables found?");
    for table in &tables {
        assert!(
            table.is_sorted_by_key(|entry| &entry.word),
            "the words from `{}` on are not in order",
            table[0].word
        );
        for Entry { word, .. } in table {
            let used = texts.iter().any(|text| has(text, &word.to_lowercase()));
            assert!(used, "nothing uses the word `{word}`");
        }
    }
}

#[test]
fn no_page_uses_a_word_that_the_glossary_rules_out() {
    for (page, text) in pages() {
        let text = prose(&text);
        let shown = page != "docs/glossary.md";
        for entry in glossary().iter().flatten().filter(|_| shown) {
            let used = entry.ruled_out.iter().find(|word| has(&text, word));
            assert!(
                used.is_none(),
                "{page} says `{}`; the word is `{}`",
                used.map_or("", |word| word),
                entry.word
            );
        }
    }
}
