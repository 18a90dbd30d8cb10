//! `flow man`: manual pages.

use clap::Args;
use clap::CommandFactory;
use std::path::PathBuf;

use super::Cli;
use crate::error::CliError;
use crate::ui::Ui;

/// `flow man`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flow man | man -l -
  flow man --dir ~/.local/share/man/man1")]
pub struct ManArgs {
    /// Write a page for each command into this folder
    #[arg(long, value_hint = clap::ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &ManArgs, ui: &Ui) -> Result<(), CliError> {
    let failed = |e: std::io::Error| CliError::environment("failed to write the manual", e);
    if let Some(dir) = &args.dir {
        std::fs::create_dir_all(dir).map_err(failed)?;
        return clap_mangen::generate_to(Cli::command(), dir).map_err(failed);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut page)
        .map_err(failed)?;
    ui.raw(&String::from_utf8_lossy(&page));
    Ok(())
}
