//! `flow compare`: two runs side by side, and where they diverge.
//!
//! [`mod@differences`] finds what differs, from the records of the runs and the recipes in the store.
//! [`text`] shows it to people, and [`event`] passes it to programs. Records are read by `record/`.
//!
//! Begin with [`run`].

mod differences;
mod event;
mod text;

use clap::Args;

use self::differences::{RunDifferences, Side};
use crate::args::StoreArgs;
use crate::error::CliError;
use crate::event::RunsCompared;
use crate::history::find;
use crate::project::ProjectState;
use crate::ui::Ui;

/// `flow compare`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flow compare last~1 last
  flow compare baseline last
  flow compare 20260131 20260201 --message-format json")]
pub struct CompareArgs {
    /// The run to compare with: its id, the start of it, a tag, `last`, or `last~1`
    pub old: String,
    /// The run to compare
    pub new: String,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Runs the command.
pub fn run(args: &CompareArgs, ui: &Ui) -> Result<(), CliError> {
    let state = ProjectState::of_working_dir(&args.store)?;
    let differences = differences(&state, [&args.old, &args.new])?;
    for run in [&differences.old, &differences.new] {
        if run.actions.is_none() {
            ui.warning(&format!(
                "run {} was recorded without its actions, by an earlier version: only metrics are compared",
                run.id
            ));
        }
    }
    ui.event(|| event::event(&differences));
    ui.answer(&text::text(&differences));
    Ok(())
}

/// What differs between two recorded runs, as data.
pub fn compared(state: &ProjectState, runs: [&str; 2]) -> Result<RunsCompared, CliError> {
    Ok(event::event(&differences(state, runs)?))
}

fn differences(state: &ProjectState, words: [&str; 2]) -> Result<RunDifferences, CliError> {
    let runs = state.runs();
    let load = |word: &str| -> Result<Side, CliError> {
        let (id, record) = find(&runs, word)?;
        let long = record.long(&runs)?;
        Ok(Side {
            id,
            record,
            actions: long.map(|long| long.stages),
        })
    };
    let [old, new] = words;
    RunDifferences::new(&state.store, load(old)?, load(new)?)
}
