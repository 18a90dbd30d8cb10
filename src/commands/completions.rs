//! `flow completions`: completion scripts.

use clap::CommandFactory;

use crate::cli::{Cli, CompletionsArgs};
use crate::ui::Ui;

/// Runs the command.
pub fn run(args: &CompletionsArgs, ui: &Ui) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "flow", &mut script);
    ui.raw(&String::from_utf8_lossy(&script));
}
