//! Diagnostics: what is wrong, where, why, and what to do about it.
//!
//! The engine only builds them; the command line renders them with miette. Several are collected and shown
//! at once, so nothing here stops at the first mistake.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{LabeledSpan, NamedSource, Severity, SourceCode, SourceSpan};

use crate::base::code::Code;

/// Which text of a pipeline a span points into (the file, a file it extends, or a `--set`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SourceId(pub u32);

/// A range of bytes in one of the pipeline's source texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// The text that the range is in.
    pub source: SourceId,
    /// Index of the first byte.
    pub start: u32,
    /// Index after the last byte.
    pub end: u32,
}

impl Span {
    /// The span of `range` in `source`.
    pub fn new(source: SourceId, range: Range<usize>) -> Self {
        // Pipelines are far below 4 GiB; a longer text would only misplace a label.
        Self {
            source,
            start: range.start as u32,
            end: range.end as u32,
        }
    }
}

/// The texts that spans point into.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    texts: Vec<Arc<NamedSource<String>>>,
}

impl SourceMap {
    /// Adds a text under the name that diagnostics show.
    pub fn add(&mut self, name: impl AsRef<str>, text: String) -> SourceId {
        self.texts
            .push(Arc::new(NamedSource::new(name, text).with_language("toml")));
        SourceId(self.texts.len() as u32 - 1)
    }

    /// Returns the number of texts, which is also the number that the next one gets.
    pub fn len(&self) -> u32 {
        self.texts.len() as u32
    }

    /// Returns true if there are no texts.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Returns the text of `id`, if there is one.
    pub fn get(&self, id: SourceId) -> Option<&Arc<NamedSource<String>>> {
        self.texts.get(id.0 as usize)
    }
}

/// The error behind a diagnostic or a failure, whose words are in its message.
pub type ErrorSource = Arc<dyn Error + Send + Sync>;

/// One diagnostic.
#[derive(Clone, Debug)]
pub struct Diag {
    /// Documented in `docs/errors.md`.
    pub code: Code,
    /// What is wrong, in one sentence without a final stop.
    pub message: String,
    /// Places in the pipeline, the first being the cause.
    pub labels: Vec<(Span, String)>,
    /// What can be done, as commands or lines of TOML where possible.
    pub help: Vec<String>,
    /// The error behind it, if there is one.
    pub source: Option<ErrorSource>,
    text: Option<Arc<NamedSource<String>>>,
}

impl Diag {
    /// A diagnostic without a place.
    pub fn new(code: impl Into<Code>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: without_numbers(message.into()),
            labels: Vec::new(),
            help: Vec::new(),
            source: None,
            text: None,
        }
    }

    /// Keeps the error behind it, whose words the message has already.
    #[must_use]
    pub fn with_source(mut self, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(error.into().into());
        self
    }

    /// Adds a place.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push((span, text.into()));
        self
    }

    /// Adds a hint.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    /// Returns the diagnostic with all words as `show` gives them. The text that it points into keeps its
    /// places: a control character in it becomes as many `?` as it has bytes.
    #[must_use]
    pub fn shown(&self, show: impl Fn(&str) -> String) -> Self {
        let text = self.text.as_ref().map(|text| {
            let plain = plain(text.inner());
            Arc::new(NamedSource::new(show(text.name()), plain).with_language("toml"))
        });
        Self {
            code: self.code.clone(),
            message: show(&self.message),
            labels: self
                .labels
                .iter()
                .map(|(span, text)| (*span, show(text)))
                .collect(),
            help: self.help.iter().map(|help| show(help)).collect(),
            source: self.source.clone(),
            text,
        }
    }

    /// Attaches the text of the first label, so that the diagnostic can be rendered on its own.
    /// Labels in other texts cannot be drawn in the same frame and become hints.
    #[must_use]
    pub fn resolve(mut self, sources: &SourceMap) -> Self {
        let Some(&(first, _)) = self.labels.first() else {
            return self;
        };
        self.text = sources.get(first.source).cloned();
        let (here, elsewhere): (Vec<_>, Vec<_>) = self
            .labels
            .into_iter()
            .partition(|(span, _)| span.source == first.source);
        self.labels = here;
        for (span, text) in elsewhere {
            if let Some(source) = sources.get(span.source) {
                let line = line_of(source.inner(), span.start as usize);
                self.help.push(format!("{}:{line}: {text}", source.name()));
            }
        }
        self
    }
}

/// Returns a text without the numbers that the system gives its errors. Their words are in the text too,
/// and say more.
pub(crate) fn without_numbers(mut text: String) -> String {
    const BEGIN: &str = " (os error ";
    let mut from = 0;
    while let Some(at) = text[from..].find(BEGIN).map(|at| from + at) {
        let rest = &text[at + BEGIN.len()..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 && rest[digits..].starts_with(')') {
            text.replace_range(at..at + BEGIN.len() + digits + 1, "");
            from = at;
        } else {
            from = at + BEGIN.len();
        }
    }
    text
}

/// Replaces the characters of a text that control a terminal. The length in bytes stays the same.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        match turns || (c.is_control() && !"\n\r\t".contains(c)) {
            true => plain.extend(std::iter::repeat_n('?', c.len_utf8())),
            false => plain.push(c),
        }
    }
    plain
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text
        .bytes()
        .take(offset.min(text.len()))
        .filter(|&b| b == b'\n')
        .count()
}

impl fmt::Display for Diag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Diag {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}

impl miette::Diagnostic for Diag {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.code))
    }

    fn severity(&self) -> Option<Severity> {
        Some(Severity::Error)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        (!self.help.is_empty()).then(|| Box::new(self.help.join("\n")) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.text.as_deref().map(|s| s as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.text.as_ref()?;
        Some(Box::new(self.labels.iter().map(|(span, text)| {
            let at = SourceSpan::from((span.start as usize, (span.end - span.start) as usize));
            LabeledSpan::new_with_span(Some(text.clone()), at)
        })))
    }
}

/// Diagnostics collected on the way. If the list is empty, all is well.
pub type Diags = Vec<Diag>;
