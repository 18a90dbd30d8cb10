//! Decides where output goes. Results go to stdout; progress, warnings and diagnostics go to stderr.
//! With `--message-format json`, stdout has JSON lines only, and results for people move to stderr.
//!
//! Control characters in a message are shown, not sent to the terminal, see [`escape`]. Paths below the
//! working directory are shown relative to it, see [`mod@near`].
//!
//! A reader that goes away (`flow ... | head`) is not an error: the rest is not written.
//!
//! Nothing here knows what a command does. Begin with [`Ui`], which every command receives.

mod diag;
pub mod escape;
mod near;
mod painted;

use std::cell::{Cell, RefCell};
use std::io::{self, IsTerminal, Write};

use flow_cache::Store;
use flow_engine::Diag;

use crate::args::{ColorChoice, Common, MessageFormat};
use crate::error::CliError;
use crate::event::{JsonEvent, WarningEvent};
use escape::escaped;
use near::near;
pub use painted::Painted;

/// Where output goes.
pub struct Ui {
    /// True if stdout gets JSON lines.
    pub json: bool,
    /// True if people see only warnings and errors.
    pub quiet: bool,
    /// True if hits and reasons are shown too.
    pub verbose: bool,
    /// True if stderr has colours.
    pub color: bool,
    /// True if stdout has colours.
    answer_color: bool,
    /// True if a person watches stderr.
    pub live: bool,
    closed: Cell<bool>,
    failed: RefCell<Option<io::Error>>,
}

impl Ui {
    /// Sets up what the options ask for.
    pub fn new(options: &Common) -> Self {
        let live = io::stderr().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let color = |terminal: bool| match options.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal && !dumb && !no_color,
        };
        Self {
            json: options.message_format == MessageFormat::Json,
            quiet: options.quiet,
            verbose: options.verbose,
            color: color(live),
            answer_color: color(io::stdout().is_terminal()),
            live: live && !dumb,
            closed: Cell::new(false),
            failed: RefCell::new(None),
        }
    }

    /// Writes to stdout.
    fn stdout(&self, text: &str) {
        if self.closed.get() {
            return;
        }
        let mut stdout = io::stdout().lock();
        let written = stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush());
        if let Err(error) = written {
            self.closed.set(true);
            if error.kind() != io::ErrorKind::BrokenPipe {
                *self.failed.borrow_mut() = Some(error);
            }
        }
    }

    /// Writes to stderr. If that fails, there is nowhere to report it.
    fn stderr(&self, text: &str) {
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    /// Writes the answer of a command as text. `--quiet` silences it only if JSON says it too.
    pub fn answer(&self, text: &str) {
        match (self.json, self.quiet) {
            (false, _) => self.stdout(&escaped(text)),
            (true, false) => self.stderr(&escaped(text)),
            (true, true) => {}
        }
    }

    /// Does the same with a text that has colors.
    pub fn answer_in_colors(&self, text: &Painted) {
        match (self.json, self.quiet) {
            (false, _) => self.stdout(&text.text(self.answer_color)),
            (true, false) => self.stderr(&text.text(self.color)),
            (true, true) => {}
        }
    }

    /// Writes the answer of a command in a format of its own (a schema, a script, a drawing).
    pub fn raw(&self, text: &str) {
        self.stdout(text);
    }

    /// Writes a result for people, which `--quiet` silences.
    pub fn result(&self, text: &str) {
        if !self.quiet {
            self.answer(text);
        }
    }

    /// Writes a line about progress.
    pub fn progress(&self, line: &str) {
        if !self.quiet {
            self.stderr(&format!("{}\n", near(&escaped(line))));
        }
    }

    /// Writes something that a user should know but that is not a failure.
    pub fn warning(&self, message: &str) {
        let label = if self.color {
            "\x1b[1;33mwarning\x1b[0m"
        } else {
            "warning"
        };
        self.stderr(&format!("{label}: {}\n", near(&escaped(message))));
    }

    /// Writes the same for people and as an event.
    pub fn warn(&self, message: &str) {
        self.warning(message);
        self.event(|| WarningEvent {
            message: message.to_owned(),
        });
    }

    /// Writes what the store had to ignore since it was last asked, for people and as events.
    pub fn warn_of_store(&self, store: &Store) {
        for warning in store.take_warnings() {
            self.warn(&warning.to_string());
        }
    }

    /// Writes an event if JSON is asked for. The event is only built then.
    pub fn event<E: Into<JsonEvent>>(&self, event: impl FnOnce() -> E) {
        if !self.json {
            return;
        }
        match serde_json::to_string(&event().into()) {
            Ok(line) => self.stdout(&format!("{}\n", escape::json(line))),
            Err(error) => *self.failed.borrow_mut() = Some(error.into()),
        }
    }

    /// Writes a diagnostic for people and as an event.
    pub fn diag(&self, found: &Diag) {
        self.event(|| diag::event(found));
        self.stderr(&diag::text(found, self.color));
    }

    /// Returns an error if stdout could not be written, unless its reader went away.
    pub fn finish(&self) -> Result<(), CliError> {
        match self.failed.borrow_mut().take() {
            Some(error) => Err(CliError::environment("failed to write to stdout", error)),
            None => Ok(()),
        }
    }
}
