//! The command line of `flow`: arguments, rendering and diagnostics around the engine.
//!
//! Each command is in `commands/`, with its arguments, what it does and how its results look. What
//! several commands need is in the other folders and files; `ARCHITECTURE.md` says what each holds and
//! may use. The crates below this one compute, plan and run.
//!
//! Begin with `commands/mod.rs`, then with a small command such as `commands/graph.rs`.

mod args;
mod commands;
mod complete;
mod error;
mod evaluation;
mod event;
mod history;
mod outcome;
mod project;
mod record;
mod remote;
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
