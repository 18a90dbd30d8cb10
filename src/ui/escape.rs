//! Makes text from files, programs and names safe to show. A terminal obeys control characters: they
//! could clear the screen or hide what follows.

use std::borrow::Cow;

/// Returns true for a character that a terminal acts on instead of showing it. Line breaks and tabs are
/// allowed.
fn is_order(c: char) -> bool {
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && c != '\n' && c != '\t') || turns
}

/// A text that is safe for a terminal: it has `\u{1b}` for an escape character.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_order) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_order(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Escapes these characters in a line of JSON as well. Only its strings can hold them unescaped.
pub fn json(line: String) -> String {
    if !line.contains(is_order) {
        return line;
    }
    let mut shown = String::with_capacity(line.len() + 16);
    for c in line.chars() {
        match is_order(c) {
            true => shown.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_shown_and_text_is_kept() {
        let text = "a\tb\nä 漢 \u{1b}[2J\u{7}\r\u{9b}31m\u{7f}\u{202e}end";
        let shown = "a\tb\nä 漢 \\u{1b}[2J\\u{7}\\r\\u{9b}31m\\u{7f}\\u{202e}end";
        assert_eq!(escaped(text), shown);
        assert!(matches!(escaped("a\tb\nä"), Cow::Borrowed(_)));
        let value = serde_json::json!({ "text": text });
        let line = json(value.to_string());
        assert!(!line.contains(is_order), "{line}");
        let read: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(read, value);
    }
}
