//! Where output goes. Results go to stdout; progress, warnings and diagnostics to stderr. With
//! `--message-format json`, stdout has JSON lines only, and results for people move to stderr.
//!
//! Whatever is said, control characters in it are shown and not sent, see [`escape`].
//!
//! A reader that goes away (`flow ... | head`) is no error: the rest is not written.
//!
//! Nothing here knows what a command does. Begin with [`Ui`], which every command is given.

mod diag;
pub mod escape;

use std::cell::{Cell, RefCell};
use std::io::{self, IsTerminal, Write};

use flow_cache::Store;
use flow_engine::Diag;

use crate::args::{ColorChoice, Common, MessageFormat};
use crate::error::CliError;
use crate::event::{JsonEvent, WarningEvent};
use escape::escaped;

/// Where output goes.
pub struct Ui {
    /// JSON lines on stdout.
    pub json: bool,
    /// Nothing but warnings and errors for people.
    pub quiet: bool,
    /// Hits and reasons as well.
    pub verbose: bool,
    /// Colours on stderr.
    pub color: bool,
    /// A person watches stderr.
    pub live: bool,
    closed: Cell<bool>,
    failed: RefCell<Option<io::Error>>,
}

impl Ui {
    /// What the options ask for.
    pub fn new(options: &Common) -> Self {
        let live = io::stderr().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            json: options.message_format == MessageFormat::Json,
            quiet: options.quiet,
            verbose: options.verbose,
            color: match options.color {
                ColorChoice::Always => true,
                ColorChoice::Never => false,
                ColorChoice::Auto => live && !dumb && !no_color,
            },
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

    /// Writes to stderr. There is nowhere to complain to if that fails.
    fn stderr(&self, text: &str) {
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    /// What a command was asked for, as text. `--quiet` silences it only where JSON says it too.
    pub fn answer(&self, text: &str) {
        match (self.json, self.quiet) {
            (false, _) => self.stdout(&escaped(text)),
            (true, false) => self.stderr(&escaped(text)),
            (true, true) => {}
        }
    }

    /// What a command was asked for, in a format of its own (a schema, a script, a drawing).
    pub fn raw(&self, text: &str) {
        self.stdout(text);
    }

    /// A result for people that `--quiet` silences.
    pub fn result(&self, text: &str) {
        if !self.quiet {
            self.answer(text);
        }
    }

    /// A line on how things go.
    pub fn progress(&self, line: &str) {
        if !self.quiet {
            self.stderr(&format!("{}\n", escaped(line)));
        }
    }

    /// Something that a user should know, but that is no failure.
    pub fn warning(&self, message: &str) {
        let label = if self.color {
            "\x1b[1;33mwarning\x1b[0m"
        } else {
            "warning"
        };
        self.stderr(&format!("{label}: {}\n", escaped(message)));
    }

    /// The same, for people and as an event.
    pub fn warn(&self, message: &str) {
        self.warning(message);
        self.event(|| WarningEvent {
            message: message.to_owned(),
        });
    }

    /// What the store had to pass over since it was last asked, for people and as events.
    pub fn warn_of_store(&self, store: &Store) {
        for warning in store.take_warnings() {
            self.warn(&warning.to_string());
        }
    }

    /// An event, if JSON is asked for; built only then.
    pub fn event<E: Into<JsonEvent>>(&self, event: impl FnOnce() -> E) {
        if !self.json {
            return;
        }
        match serde_json::to_string(&event().into()) {
            Ok(line) => self.stdout(&format!("{}\n", escape::json(line))),
            Err(error) => *self.failed.borrow_mut() = Some(error.into()),
        }
    }

    /// A diagnostic, for people and as an event.
    pub fn diag(&self, found: &Diag) {
        self.event(|| diag::event(found));
        self.stderr(&diag::text(found, self.color));
    }

    /// Why stdout could not be written, unless its reader went away.
    pub fn finish(&self) -> Result<(), CliError> {
        match self.failed.borrow_mut().take() {
            Some(error) => Err(CliError::environment(format!(
                "failed to write to stdout: {error}"
            ))),
            None => Ok(()),
        }
    }
}
