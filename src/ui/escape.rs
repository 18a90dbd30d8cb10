//! What comes from files, programs and names is shown, never obeyed: a terminal would take a control
//! character as an order, to clear the screen or to hide what follows.

use std::borrow::Cow;

/// True for a character that a terminal does something else with than to show it. Lines and tabs are
/// what text is made of.
fn is_order(c: char) -> bool {
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && c != '\n' && c != '\t') || turns
}

/// A text for a terminal: `\u{1b}` for an escape character.
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

/// JSON in one line in which such characters are escapes of JSON, too: those that it may hold as they
/// are stand in its texts.
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
