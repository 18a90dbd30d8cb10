//! The commands: a file or a folder for each, with its arguments, what it does, and how its results
//! look. Options that several commands have are in `args/`, and renderers that several use are in
//! `render/`.
//!
//! Commands use each other in a few places: those that run a pipeline do so by [`run::Run`], `check`
//! judges the evaluations that `ablate` finds, and `stage-exec` stops on signals like `run`. Code that
//! two commands need and that is not a command has a file of its own, like `examples.rs`.
//!
//! Begin with [`Command`], the list of all commands, and [`dispatch`]. Then read `run/`, which the
//! others build on.

mod ablate;
mod cache;
mod check;
mod compare;
pub mod completions;
mod errors;
mod examples;
mod explain;
mod export;
mod graph;
mod init;
mod jobs;
mod man;
mod plan;
mod report;
mod run;
mod runs;
mod schema;
mod self_check;
mod stage_exec;
mod stages;
mod tune;

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use flow_engine::Diag;
use flow_stages::numeric::simd::SimdLevel;

use crate::args::Common;
use crate::error::{CliError, Exit};
use crate::ui::Ui;

/// Bring the outputs of a pipeline up to date with the least work.
///
/// A pipeline is a TOML file of stages. Results are kept in a store under the digest of all that
/// decides them, so a second run does only what a change reaches.
#[derive(Debug, Parser)]
#[command(
    name = "flow",
    version,
    after_help = "Start with `flow init demo && flow run demo/rocket_domain.toml`.",
    after_long_help = after_help(),
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the long help ends with: exit codes and environment variables.
fn after_help() -> String {
    let line = |exit: &Exit| format!("  {:<4} {}\n", exit.code(), exit.meaning());
    let codes: String = Exit::ALL.iter().map(line).collect();
    format!("Exit codes:\n{codes}\n{ENVIRONMENT}")
}

const ENVIRONMENT: &str = "\
Environment:
  FLOW_STORE                 the store, where --store is not given
  FLOW_REMOTE                the remote behind the store, where --remote is not given
  FLOW_REMOTE_MODE           read or read_write, where --remote-mode is not given
  FLOW_SIGNING_KEY           the key that signs what is written to the remote
  FLOW_REMOTE_AUTHORIZATION  the header Authorization for a remote on a web server
  FLOW_SCRATCH               the folder for unfinished work, where --scratch is not given
  FLOW_SIMD                  highest instruction set: scalar, avx2 or avx512; changes no result

Start with `flow init demo && flow run demo/rocket_domain.toml`.";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring the outputs of a pipeline up to date
    Run(run::RunArgs),
    /// Show what a run would do, and why; runs nothing
    Plan(plan::PlanArgs),
    /// Show what decides the result of a stage, and what changed since it last ran
    Explain(explain::ExplainArgs),
    /// List the runs of this project; tag, pin and remove them
    Runs(runs::RunsArgs),
    /// Compare two runs: metrics, recipes, and the first action that came out differently
    Compare(compare::CompareArgs),
    /// Show the objects that an evaluation has wrong, with their light curves
    Errors(errors::ErrorsArgs),
    /// Run all variants of a pipeline, and compare them with it
    Ablate(ablate::AblateArgs),
    /// Search for better values of parameters
    Tune(tune::TuneArgs),
    /// Compare a pipeline with its committed baseline; for continuous integration
    Check(check::CheckArgs),
    /// Draw the graph of a pipeline
    Graph(graph::GraphArgs),
    /// Describe the kinds of stages: ports and parameters
    Stages(stages::StagesArgs),
    /// Print a JSON Schema of the pipeline TOML, for editors
    Schema(schema::SchemaArgs),
    /// Write a run as one HTML page: metrics, plots, where everything comes from
    Report(report::ReportArgs),
    /// Write an artifact of a run as a file
    Export(export::ExportArgs),
    /// List what runs have given to a scheduler, and cancel it
    Jobs(jobs::JobsArgs),
    /// Look after the store
    #[command(subcommand)]
    Cache(cache::CacheCommand),
    /// Run actions that a run has left word of; runs call this themselves
    StageExec(stage_exec::StageExecArgs),
    /// Check that this machine gives the published results, bit by bit
    SelfCheck(self_check::SelfCheckArgs),
    /// Start a project with a pipeline that works on generated data
    Init(init::InitArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Print the manual page, or write one for each command
    Man(man::ManArgs),
}

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
        Command::SelfCheck(args) => return self_check::run(args, ui),
        Command::Plan(args) => plan::run(args, ui)?,
        Command::Explain(args) => explain::run(args, ui)?,
        Command::Runs(args) => runs::run(args, ui)?,
        Command::Compare(args) => compare::run(args, ui)?,
        Command::Errors(args) => errors::run(args, ui)?,
        Command::Graph(args) => graph::run(args, ui)?,
        Command::Stages(args) => stages::run(args, ui)?,
        Command::Schema(args) => schema::run(args, ui),
        Command::Jobs(args) => jobs::run(args, ui)?,
        Command::Report(args) => report::run(args, ui)?,
        Command::Export(args) => export::run(args, ui)?,
        Command::Cache(command) => return cache::run(command, ui),
        Command::StageExec(args) => return stage_exec::run(args),
        Command::Init(args) => init::run(args, ui)?,
        Command::Completions(args) => completions::run(args, ui),
        Command::Man(args) => man::run(args, ui)?,
    }
    Ok(Exit::Ok)
}

/// Makes a write beyond the file size limit an error, as on a full disk, instead of the end of the
/// process. Programs that flow starts see the signal's usual effect, because they do not inherit the
/// handler.
fn outlive_a_file_limit() {
    // If this fails, the signal keeps its usual effect.
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

/// Applies `FLOW_SIMD`, the highest instruction set to use.
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
                .help("unset FLOW_SIMD to use what the processor has; results do not depend on it")
                .with_source(error),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
