//! The command line of `flow`: arguments, rendering and diagnostics around the engine.

mod args;
mod commands;
mod complete;
mod error;
mod evaluation;
mod event;
mod history;
mod project;
mod record;
mod render;
mod report;
mod ui;
mod wording;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    if let Some(ended) = flow_engine::command::guard::serve_if_asked() {
        return ended;
    }
    complete::answer();
    commands::main(&commands::Cli::parse())
}
