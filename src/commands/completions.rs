//! `flow completions`: completion scripts.

use crate::cli::CompletionsArgs;
use crate::complete;
use crate::ui::Ui;

/// Runs the command.
pub fn run(args: &CompletionsArgs, ui: &Ui) {
    ui.raw(&String::from_utf8_lossy(&complete::registration(
        args.shell,
    )));
}
