//! Texts with names in braces: `--in={curves}`. `{{` gives `{`, a lone `}` is itself, and so is `[{]`, which is a
//! brace in a pattern.

use std::borrow::Cow;

/// A stretch of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Piece<'a> {
    /// As it stands.
    Text(&'a str),
    /// What stands between braces.
    Name(&'a str),
}

/// Splits a text at its names.
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, from) = rest.split_at(open);
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        if let Some(after) = from.strip_prefix("{{") {
            pieces.push(Piece::Text("{"));
            rest = after;
        } else if before.ends_with('[') && from.starts_with("{]") {
            pieces.push(Piece::Text("{]"));
            rest = &from[2..];
        } else if let Some(close) = from.find('}') {
            pieces.push(Piece::Name(&from[1..close]));
            rest = &from[close + 1..];
        } else {
            pieces.push(Piece::Text(from));
            rest = "";
        }
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

/// A text that is filled in many times.
pub struct Template<'a> {
    /// As it was written.
    pub text: &'a str,
    pieces: Vec<Piece<'a>>,
}

impl<'a> Template<'a> {
    /// The template that a text is.
    pub fn new(text: &'a str) -> Self {
        let pieces = pieces(text);
        Self { text, pieces }
    }

    /// True where it has names.
    pub fn has_names(&self) -> bool {
        let mut pieces = self.pieces.iter();
        pieces.any(|piece| matches!(piece, Piece::Name(_)))
    }

    /// Returns the text with its names replaced. An unknown name stays as it is, since a check has reported
    /// it.
    pub fn fill<'v>(&self, value: impl Fn(&str) -> Option<Cow<'v, str>>) -> String {
        let mut filled = String::with_capacity(self.text.len() + 8);
        for piece in &self.pieces {
            match piece {
                Piece::Text(part) => filled.push_str(part),
                Piece::Name(name) => match value(name) {
                    Some(value) => filled.push_str(&value),
                    None => filled.extend(["{", name, "}"]),
                },
            }
        }
        filled
    }
}

/// The names in a text.
pub fn names(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).into_iter().filter_map(|piece| match piece {
        Piece::Name(name) => Some(name),
        Piece::Text(_) => None,
    })
}

/// True where a text has names.
pub fn has_names(text: &str) -> bool {
    names(text).next().is_some()
}

/// A text with its names replaced, once.
pub fn fill<'v>(text: &str, value: impl Fn(&str) -> Option<Cow<'v, str>>) -> String {
    Template::new(text).fill(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_and_names() {
        let found: Vec<&str> = names("--in={a} {{b}} {c.list}").collect();
        assert_eq!(found, ["a", "c.list"]);
        assert_eq!(
            pieces("x}{{y"),
            [Piece::Text("x}"), Piece::Text("{"), Piece::Text("y")]
        );
        assert_eq!(pieces("{open"), [Piece::Text("{open")]);
        assert_eq!(pieces("{whole}"), [Piece::Name("whole")]);
        assert!(pieces("").is_empty());
    }

    #[test]
    fn names_are_filled_in() {
        let value = |name: &str| (name == "i").then_some(Cow::Borrowed("7"));
        assert_eq!(fill("a{i}/{{i}{i}{x}", value), "a7/{i}7{x}");
    }
}
