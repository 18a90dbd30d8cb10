//! What ends a command early: an exit code and the diagnostics that say why.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::error::Error;
use std::path::Path;

use flow_cache::StoreError;
use flow_engine::kind::Fault;
use flow_engine::pipeline::Pipeline;
use flow_engine::plan::Plan;
use flow_engine::{Diag, Diags, StageError};

/// How the program ends. The codes are a public interface. [`Exit::meaning`] says what each stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Ok,
    Stage,
    Usage,
    Regression,
    Environment,
    Bug,
    Interrupted,
}

impl Exit {
    /// All exit codes, in order.
    pub const ALL: [Self; 7] = [
        Self::Ok,
        Self::Stage,
        Self::Usage,
        Self::Regression,
        Self::Environment,
        Self::Bug,
        Self::Interrupted,
    ];

    /// What it means, in the words of the help and the pages.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "success",
            Self::Stage => {
                "a stage failed, or `run --audit` or `flow self-check` found other results than it should"
            }
            Self::Usage => "the pipeline, an argument or the input data is wrong",
            Self::Regression => {
                "`check` found a regression, or results that should be equal and are not"
            }
            Self::Environment => "the environment failed (disk full, store unreachable)",
            Self::Bug => "a bug",
            Self::Interrupted => "interrupted",
        }
    }
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Stage => 1,
            Self::Usage => 2,
            Self::Regression => 3,
            Self::Environment => 4,
            Self::Bug => 101,
            Self::Interrupted => 130,
        }
    }

    /// Returns the one of two that a user must hear of first: the one with the higher code.
    pub fn worse(self, other: Self) -> Self {
        if other.code() > self.code() {
            other
        } else {
            self
        }
    }
}

impl From<Fault> for Exit {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Data => Self::Usage,
            Fault::Stage => Self::Stage,
            Fault::Environment => Self::Environment,
            Fault::Interrupted => Self::Interrupted,
            Fault::Bug => Self::Bug,
        }
    }
}

/// Why a command ended early.
#[derive(Debug)]
pub struct CliError {
    /// The exit code.
    pub exit: Exit,
    /// What to tell the user.
    pub diags: Diags,
}

impl CliError {
    /// Ends with this code, and says one thing.
    pub fn new(exit: Exit, diag: Diag) -> Self {
        Self {
            exit,
            diags: vec![diag],
        }
    }

    /// The pipeline or an argument is wrong.
    pub fn usage(diag: Diag) -> Self {
        Self::new(Exit::Usage, diag)
    }

    /// The machine failed, for the reason that `error` gives.
    pub fn environment(
        message: impl Into<String>,
        error: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        StageError::environment(message).because(error).into()
    }

    /// A file or folder could not be written.
    pub fn unwritten(path: &Path, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::environment(format!("failed to write {}", path.display()), error)
    }
}

impl From<Diags> for CliError {
    fn from(diags: Diags) -> Self {
        Self {
            exit: Exit::Usage,
            diags,
        }
    }
}

impl From<StageError> for CliError {
    fn from(error: StageError) -> Self {
        Self::new(error.fault.into(), diag_of(&error, error.message.clone()))
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        let (exit, code, help) = match &error {
            StoreError::AmbiguousRun { .. } => {
                (Exit::Usage, "flow::cli::run", "give more of its id")
            }
            StoreError::NewerFormat { .. } => (
                Exit::Environment,
                "flow::cache::newer",
                "use the newer flow that wrote it, or another store: --store DIR",
            ),
            StoreError::NotAStore { .. } => (
                Exit::Usage,
                "flow::cache::not_a_store",
                "--store takes a folder that is empty, not there yet, or a store",
            ),
            _ => return StageError::from(error).into(),
        };
        Self::new(exit, Diag::new(code, text).help(help).with_source(error))
    }
}

/// The failure of an action as a diagnostic that shows its stage in the pipeline.
pub fn of_action(pipeline: &Pipeline, stage: usize, action: &str, error: &StageError) -> Diag {
    let stage = &pipeline.stages[stage];
    let message = format!("stage `{}` failed in `{action}`: {}", stage.name, error);
    diag_of(error, message)
        .label(stage.span, "this stage")
        .resolve(&pipeline.sources)
}

/// Failures with each thing told once: the first of each sort, and the others of its stage that differ
/// from it in numbers only, such as those of all folds of a program that has a mistake.
pub fn alike<'e>(
    plan: &Plan<'_>,
    failures: &'e [(usize, StageError)],
) -> Vec<(usize, &'e StageError, Vec<usize>)> {
    let mut told: Vec<(usize, &StageError, Vec<usize>)> = Vec::new();
    let mut sorts = HashMap::new();
    for (action, error) in failures {
        let stage = plan.coords(*action).stage;
        match sorts.entry((stage, &error.code, shape(error))) {
            Entry::Vacant(entry) => {
                entry.insert(told.len());
                told.push((*action, error, Vec::new()));
            }
            Entry::Occupied(entry) => told[*entry.get()].2.push(*action),
        }
    }
    told
}

/// The words of an error without what differs from action to action: numbers, and the place of its log.
fn shape(error: &StageError) -> String {
    let words = std::iter::once(&error.message).chain(&error.help);
    let words: Vec<String> = words
        .map(|text| {
            text.split(|c: char| c.is_ascii_digit())
                .filter(|part| !part.is_empty())
        })
        .map(|parts| parts.collect::<Vec<_>>().join("#"))
        .collect();
    words.join("\n")
}

/// `and 3 more like it: fold 2, fold 3, final`.
pub fn more_like_it(plan: &Plan<'_>, others: &[usize]) -> Option<String> {
    const NAMED: usize = 5;
    if others.is_empty() {
        return None;
    }
    let named = others.iter().take(NAMED).map(|&action| plan.label(action));
    let mut names: Vec<String> = named.collect();
    if others.len() > NAMED {
        names.push("...".to_owned());
    }
    Some(format!(
        "and {} more like it: {}",
        others.len(),
        names.join(", ")
    ))
}

/// A failure as a diagnostic with another message.
pub fn diag_of(error: &StageError, message: String) -> Diag {
    let mut diag = Diag::new(error.code.clone(), message);
    diag.source.clone_from(&error.source);
    let diag = error.hints().fold(diag, Diag::help);
    if error.fault == Fault::Bug {
        return diag.help("this is a bug in flow: please report it with the pipeline");
    }
    diag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_several_failures_decides() {
        let worst = |all: &[Exit]| all.iter().fold(Exit::Ok, |a, &b| a.worse(b)).code();
        assert_eq!(worst(&[]), 0);
        assert_eq!(worst(&[Exit::Usage, Exit::Stage]), 2);
        assert_eq!(worst(&[Exit::Regression, Exit::Usage]), 3);
        assert_eq!(worst(&[Exit::Environment, Exit::Usage]), 4);
        assert_eq!(worst(&[Exit::Bug, Exit::Environment]), 101);
        assert_eq!(worst(&[Exit::Interrupted, Exit::Bug]), 130);
    }
}
