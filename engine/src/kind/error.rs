//! Why an action failed, and whose fault that is.

use std::fmt;

use crate::base::diag::without_numbers;

/// Why an action failed.
#[derive(Clone, Debug)]
pub struct StageError {
    /// Whose fault: decides the exit code.
    pub fault: Fault,
    /// Stable code, `flow::area::what`.
    pub code: &'static str,
    /// What happened, in one sentence.
    pub message: String,
    /// What can be done.
    pub help: Vec<String>,
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The input data or a parameter is wrong: exit code 2.
    Data,
    /// The stage failed: exit code 1.
    Stage,
    /// The disk, the store or the machine failed: exit code 4.
    Environment,
    /// Stopped on request: exit code 130.
    Interrupted,
    /// A panic: exit code 101.
    Bug,
}

impl StageError {
    /// The input data is wrong.
    pub fn data(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Fault::Data, code, message)
    }

    /// The stage failed.
    pub fn failed(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Fault::Stage, code, message)
    }

    /// The environment failed.
    pub fn environment(message: impl Into<String>) -> Self {
        Self::new(Fault::Environment, "flow::environment::io", message)
    }

    /// Stopped on request.
    pub fn interrupted() -> Self {
        Self::new(Fault::Interrupted, "flow::run::interrupted", "interrupted")
    }

    /// An error of the given fault.
    pub fn new(fault: Fault, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            fault,
            code,
            message: without_numbers(message.into()),
            help: Vec::new(),
        }
    }

    /// Adds a hint.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }
}

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StageError {}

/// What to do about a full disk.
const FULL: &str = "free some space; `flow cache gc --max-size 1GiB` shrinks the store";

impl From<std::io::Error> for StageError {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let failed = Self::environment(error.to_string());
        match error.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => failed.help(FULL),
            _ => failed,
        }
    }
}

/// What to do where there is no place for unfinished work.
const SCRATCH: &str = "is it writable? `--scratch DIR` takes another folder for unfinished work";

/// What to do about a link among flow's own folders.
const LINK: &str = "remove it; to keep things elsewhere, name the place: `--store DIR` for the store, \
                    `--scratch DIR` for unfinished work";

impl From<flow_cache::StoreError> for StageError {
    fn from(error: flow_cache::StoreError) -> Self {
        use flow_cache::StoreError::{Environment, Link, Stopped};
        let code = "flow::environment::store";
        let failed = Self::new(Fault::Environment, code, error.to_string());
        let advice = match &error {
            _ if error.is_disk_full() => FULL,
            Environment { step, .. } if step.starts_with("scratch.") => SCRATCH,
            // They lie beside the store, in the project.
            Environment { step, .. } if step.starts_with("run.") => {
                "is the project's folder `.flow` writable?"
            }
            Environment { .. } => "is the store writable? `--store DIR` takes another one",
            Stopped { .. } => return Self::interrupted(),
            Link { .. } => {
                return Self::new(Fault::Data, "flow::cache::link", error.to_string()).help(LINK);
            }
            _ => return failed,
        };
        failed.help(advice)
    }
}
