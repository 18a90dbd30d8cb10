//! The guards of all workers.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::call;
use super::guard::Program;
use super::process::{Guard, NotRun, ProgramRan};
use super::sandbox::Places;
use crate::kind::action::Action;
use crate::kind::error::{Fault, StageError, UNGUARDED};

/// The most guards that are kept. Each is a sleeping process.
const MOST: usize = 256;

/// The idle guards, by the scratch folder of their worker.
pub struct Guards {
    command: Vec<OsString>,
    idle: Mutex<HashMap<PathBuf, Guard>>,
}

impl Guards {
    /// Starts without guards. `command` starts one.
    pub fn new(command: Vec<OsString>) -> Self {
        Self {
            command,
            idle: Mutex::default(),
        }
    }

    /// Runs a program for an action.
    pub fn run(
        &self,
        action: &Action<'_>,
        program: &Program,
        limit: Option<Duration>,
        stop: impl Fn(usize) -> bool,
    ) -> Result<ProgramRan, NotRun> {
        let lock = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().remove(action.scratch);
        let mut guard = match known {
            Some(guard) => guard,
            None => {
                let places = Places {
                    root: action.root.to_owned(),
                    artifacts: action.artifacts.to_owned(),
                    scratch: action.scratch.to_owned(),
                    programs: Vec::new(),
                };
                Guard::start(&self.command, &places).map_err(NotRun::Failed)?
            }
        };
        let ran = guard.run(program, limit, stop);
        if guard.is_idle() {
            let mut idle = lock();
            // There are more only if scratch folders are not used again.
            if idle.len() >= MOST {
                idle.clear();
            }
            idle.insert(action.scratch.to_owned(), guard);
        }
        ran
    }

    /// Ends the guard of a scratch folder.
    pub fn forget(&self, scratch: &Path) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(scratch);
    }
}

impl NotRun {
    /// The error of an action.
    pub fn of(self, shown: &str) -> StageError {
        let environment = |message| StageError::new(Fault::Environment, UNGUARDED, message);
        match self {
            Self::Refused(error) => call::not_started(shown, error),
            Self::Unguarded => environment(format!(
                "the process that started `{shown}` for flow was killed, and the program with it"
            ))
            .help("run again; where it happens again, see whether memory runs out or something ends processes here"),
            Self::Failed(error) => environment(
                "the process that starts programs for flow failed".to_owned(),
            )
            .because(error)
            .help("see whether the limits of processes and open files are reached: ulimit -u -n"),
        }
    }
}
