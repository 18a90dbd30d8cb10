//! The commands, one file each.

pub mod ablate;
mod cache;
pub mod check;
mod compare;
mod completions;
mod examples;
mod explain;
mod export;
mod graph;
mod init;
mod man;
mod plan;
mod run;
mod runs;
mod schema;
mod stage_exec;
mod stages;
pub mod tune;

use std::process::ExitCode;
use std::sync::Arc;

use flow_engine::Diag;
use flow_stages::math::rocket::SimdLevel;

use crate::cli::{Cli, Command};
use crate::error::{CliError, Exit};
use crate::ui::Ui;

/// Runs the command that the arguments ask for.
pub fn main(cli: &Cli) -> ExitCode {
    let ui = Ui::new(&cli.common);
    flow_cache::watch_waits(run::WATCHER);
    outlive_a_file_limit();
    let ended = cap_simd().and_then(|()| dispatch(&cli.command, &ui));
    let exit = settle(&ui, ended);
    let exit = exit.worse(settle(&ui, ui.finish().map(|()| Exit::Ok)));
    ExitCode::from(exit.code())
}

fn dispatch(command: &Command, ui: &Ui) -> Result<Exit, CliError> {
    match command {
        Command::Run(args) => return run::run(args, ui),
        Command::Ablate(args) => return ablate::run(args, ui),
        Command::Tune(args) => return tune::run(args, ui),
        Command::Check(args) => return check::run(args, ui),
        Command::Plan(args) => plan::run(args, ui)?,
        Command::Explain(args) => explain::run(args, ui)?,
        Command::Runs(args) => runs::run(args, ui)?,
        Command::Compare(args) => compare::run(args, ui)?,
        Command::Graph(args) => graph::run(args, ui)?,
        Command::Stages(args) => stages::run(args, ui)?,
        Command::Schema => schema::run(ui),
        Command::Export(args) => export::run(args, ui)?,
        Command::Cache(command) => return cache::run(command, ui),
        Command::StageExec(args) => return stage_exec::run(args),
        Command::Init(args) => init::run(args, ui)?,
        Command::Completions(args) => completions::run(args, ui),
        Command::Man(args) => man::run(args, ui)?,
    }
    Ok(Exit::Ok)
}

/// A write beyond the limit of a file's size is then an error, as on a full disk, and not the end of the
/// process. Programs that are started have the signal's usual effect, since a handler ends with them.
fn outlive_a_file_limit() {
    // Without it, the signal does what it does.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
}

fn settle(ui: &Ui, ended: Result<Exit, CliError>) -> Exit {
    match ended {
        Ok(exit) => exit,
        Err(error) => {
            error.diags.iter().for_each(|diag| ui.diag(diag));
            error.exit
        }
    }
}

/// Obeys `FLOW_SIMD`, the highest instruction set to use.
fn cap_simd() -> Result<(), CliError> {
    let Some(level) = std::env::var_os("FLOW_SIMD").filter(|level| !level.is_empty()) else {
        return Ok(());
    };
    match level.to_string_lossy().parse() {
        Ok(level) => {
            SimdLevel::set_cap(level);
            Ok(())
        }
        Err(error) => Err(CliError::usage(
            Diag::new("flow::cli::simd", format!("FLOW_SIMD: {error}"))
                .help("unset FLOW_SIMD to use what the processor has; results do not depend on it"),
        )),
    }
}
