//! Why an action failed, and whose fault that is.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::base::code::Code;
use crate::base::diag::{ErrorSource, without_numbers};

/// The code of a program that something other than flow has killed.
pub(crate) const KILLED: &str = "flow::command::killed";
/// The code of a program that ended with the process that had started it, or that this process could not start.
pub(crate) const UNGUARDED: &str = "flow::command::guard";

/// Why an action failed.
#[derive(Clone, Debug)]
pub struct StageError {
    /// Whose fault it is, which decides the exit code.
    pub fault: Fault,
    /// Documented in `docs/errors.md`.
    pub code: Code,
    /// What happened, in one sentence.
    pub message: String,
    /// What can be done.
    pub help: Vec<String>,
    /// The file that holds the whole log of the action.
    pub log: Option<PathBuf>,
    /// The error behind it, if there is one.
    pub source: Option<ErrorSource>,
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
    /// The run was stopped on request: exit code 130.
    Interrupted,
    /// A panic: exit code 101.
    Bug,
}

impl StageError {
    /// Returns true if something other than flow killed a program of the action, or what had started it.
    pub(crate) fn is_of_a_killed_program(&self) -> bool {
        [KILLED, UNGUARDED].contains(&self.code.as_str())
    }

    /// The error for wrong input data.
    pub fn data(code: impl Into<Code>, message: impl Into<String>) -> Self {
        Self::new(Fault::Data, code, message)
    }

    /// The error for a failure of the stage.
    pub fn failed(code: impl Into<Code>, message: impl Into<String>) -> Self {
        Self::new(Fault::Stage, code, message)
    }

    /// The error for a failure of the disk, the store or the machine.
    pub fn environment(message: impl Into<String>) -> Self {
        Self::new(Fault::Environment, "flow::environment::io", message)
    }

    /// The error for an action that was stopped on request.
    pub fn interrupted() -> Self {
        Self::new(Fault::Interrupted, "flow::run::interrupted", "interrupted")
    }

    /// An error of the given fault.
    pub fn new(fault: Fault, code: impl Into<Code>, message: impl Into<String>) -> Self {
        Self {
            fault,
            code: code.into(),
            message: without_numbers(message.into()),
            help: Vec::new(),
            log: None,
            source: None,
        }
    }

    /// Says which error is behind it, and keeps that: `MESSAGE: ERROR`.
    #[must_use]
    pub fn because(mut self, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let error = error.into();
        self.message = without_numbers(format!("{}: {error}", self.message));
        self.with_source(error)
    }

    /// Keeps the error behind it, whose words the message has already. If that is a full disk, however deep, a hint says
    /// what to do.
    #[must_use]
    pub fn with_source(mut self, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let error = error.into();
        if is_disk_full(&*error) {
            self.help.push(FULL.to_owned());
        }
        self.source = Some(error.into());
        self
    }

    /// Adds a hint.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    /// All hints as they are shown, the one to the log last.
    pub fn hints(&self) -> impl Iterator<Item = String> {
        let log = self.log.iter().map(|log| log_hint(log));
        self.help.iter().cloned().chain(log)
    }
}

/// The hint to the log of an action.
pub(crate) fn log_hint(log: &Path) -> String {
    format!("the whole log: {}", log.display())
}

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for StageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}

/// What to do about a full disk.
const FULL: &str = "free some space; `flow cache gc --max-size 1GiB` shrinks the store";

/// Returns true if a disk, a quota or a limit on file sizes that was exhausted is behind an error.
fn is_disk_full(error: &(dyn Error + 'static)) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let mut next = Some(error);
    while let Some(error) = next {
        let kind = error.downcast_ref().map(std::io::Error::kind);
        if matches!(kind, Some(StorageFull | QuotaExceeded | FileTooLarge)) {
            return true;
        }
        next = error.source();
    }
    false
}

impl From<std::io::Error> for StageError {
    fn from(error: std::io::Error) -> Self {
        Self::environment(error.to_string()).with_source(error)
    }
}

/// What to do if there is no place for unfinished work.
const SCRATCH: &str = "is it writable? `--scratch DIR` takes another folder for unfinished work";

/// What to do about a link among flow's own folders.
const LINK: &str = "remove it; to keep things elsewhere, name the place: `--store DIR` for the store, \
                    `--scratch DIR` for unfinished work";

impl From<flow_cache::StoreError> for StageError {
    fn from(error: flow_cache::StoreError) -> Self {
        use flow_cache::StoreError::{Environment, Link, Stopped};
        let (mut fault, mut code) = (Fault::Environment, "flow::environment::store");
        let advice = match &error {
            _ if error.is_disk_full() => None,
            Environment { step, .. } if step.starts_with("scratch.") => Some(SCRATCH),
            // These folders lie beside the store, in the project.
            Environment { step, .. } if step.starts_with("run.") => {
                Some("is the project's folder `.flow` writable?")
            }
            Environment { .. } => Some("is the store writable? `--store DIR` takes another one"),
            Stopped { .. } => return Self::interrupted().with_source(error),
            Link { .. } => {
                (fault, code) = (Fault::Data, "flow::cache::link");
                Some(LINK)
            }
            _ => None,
        };
        let failed = Self::new(fault, code, error.to_string()).with_source(error);
        advice.into_iter().fold(failed, Self::help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn the_error_behind_a_failure_is_kept_and_its_words_are_said_once() {
        let full = || io::Error::from_raw_os_error(libc::ENOSPC);
        let words = "No space left on device";
        let failed = StageError::environment("cannot write a").because(full());
        assert_eq!(failed.message, format!("cannot write a: {words}"));
        let bare = StageError::from(full());
        assert_eq!(bare.message, words);
        for error in [failed, bare] {
            assert_eq!(error.help, [FULL]);
            let kept = error
                .source()
                .and_then(|kept| kept.downcast_ref::<io::Error>());
            assert_eq!(kept.map(io::Error::kind), Some(io::ErrorKind::StorageFull));
        }
    }

    #[test]
    fn a_full_disk_is_noticed_behind_another_error() {
        #[derive(Debug)]
        struct Outer(io::Error);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("outer")
            }
        }
        impl Error for Outer {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        for (number, help) in [(libc::EDQUOT, vec![FULL]), (libc::EACCES, vec![])] {
            let outer = Outer(io::Error::from_raw_os_error(number));
            assert_eq!(StageError::environment("a").because(outer).help, help);
        }
        let store = StageError::from(flow_cache::StoreError::Environment {
            step: "artifact.write",
            path: "/s".into(),
            source: io::Error::from_raw_os_error(libc::ENOSPC),
        });
        assert_eq!(store.help, [FULL]);
    }

    #[test]
    fn the_step_of_a_failure_of_the_store_is_kept() {
        let failed = StageError::from(flow_cache::StoreError::Environment {
            step: "scratch.make",
            path: "/s".into(),
            source: io::ErrorKind::PermissionDenied.into(),
        });
        assert_eq!(failed.help, [SCRATCH]);
        let store = failed
            .source()
            .and_then(|kept| kept.downcast_ref::<flow_cache::StoreError>());
        assert!(store.is_some_and(flow_cache::StoreError::is_refused));
        let io = store.and_then(Error::source);
        assert!(io.is_some_and(|kept| kept.is::<io::Error>()));
    }

    #[test]
    fn the_log_is_the_last_hint() {
        let mut failed = StageError::failed("flow::command::failed", "it failed").help("mend it");
        failed.log = Some("/logs/a.log".into());
        assert!(failed.hints().eq(["mend it", "the whole log: /logs/a.log"]));
    }
}
