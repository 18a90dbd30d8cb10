//! Text of which parts have a color.

use super::escape::escaped;

/// Text of which parts have a color.
#[derive(Debug, Default)]
pub struct Painted(Vec<(Option<u8>, String)>);

impl Painted {
    /// Adds text without a color.
    pub fn plain(&mut self, text: &str) {
        self.0.push((None, text.to_owned()));
    }

    /// Adds text in a color, which is a code of "Select Graphic Rendition" (ECMA-48), such as 31 for red.
    pub fn colored(&mut self, color: u8, text: &str) {
        self.0.push((Some(color), text.to_owned()));
    }

    /// The text for a terminal, with colors or without. Control characters in its parts are shown.
    pub fn text(&self, colors: bool) -> String {
        let parts = self.0.iter().map(|(color, text)| match color {
            Some(color) if colors => format!("\x1b[{color}m{}\x1b[0m", escaped(text)),
            _ => escaped(text).into_owned(),
        });
        parts.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_colors_of_the_program_reach_a_terminal() {
        let mut text = Painted::default();
        text.plain("a ");
        text.colored(31, "b\x1b[2J");
        assert_eq!(text.text(false), "a b\\u{1b}[2J");
        assert_eq!(text.text(true), "a \x1b[31mb\\u{1b}[2J\x1b[0m");
    }
}
