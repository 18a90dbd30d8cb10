//! Diagnostics: framed text for people, an event for programs.

use std::fmt;

use flow_engine::Diag;
use miette::{Diagnostic, MietteHandler, MietteHandlerOpts, ReportHandler};

use super::escape::escaped;
use super::near::near;
use crate::event::{DiagnosticEvent, DiagnosticLabel};

struct Framed<'a>(&'a MietteHandler, &'a Diag);

impl fmt::Display for Framed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug(self.1, f)
    }
}

/// A diagnostic for people.
pub fn text(diag: &Diag, color: bool) -> String {
    let handler = MietteHandlerOpts::new()
        .color(color)
        .unicode(true)
        .force_graphical(true)
        .terminal_links(false)
        .break_words(false)
        // The message already includes the words of its cause.
        .without_cause_chain()
        .build();
    // Escaping comes before the frame is drawn, because the colours of the frame are control characters
    // too.
    let diag = diag.shown(|text| near(&escaped(text)).into_owned());
    let text = Framed(&handler, &diag).to_string();
    format!("{}\n\n", text.trim_end())
}

/// A diagnostic as an event.
pub fn event(diag: &Diag) -> DiagnosticEvent {
    let source = diag.source_code();
    let labels = diag.labels().into_iter().flatten().filter_map(|label| {
        let contents = source?.read_span(label.inner(), 0, 0).ok()?;
        Some(DiagnosticLabel {
            file: contents.name().map(str::to_owned),
            line: contents.line() + 1,
            column: contents.column() + 1,
            text: label.label().map(str::to_owned),
        })
    });
    DiagnosticEvent {
        code: diag.code.to_string(),
        message: diag.message.clone(),
        help: diag.help.clone(),
        labels: labels.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_error_behind_a_diagnostic_are_said_once() {
        let diag = Diag::new("flow::environment::io", "cannot read a: gone").with_source("gone");
        let shown = text(&diag, false);
        assert_eq!(shown.matches("gone").count(), 1, "{shown}");
    }
}
