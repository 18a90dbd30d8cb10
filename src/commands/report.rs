//! `flow report`: writes a run as one HTML file that people look at.

use std::path::PathBuf;

use clap::Args;
use flow_cache::write_file;

use crate::args::StoreArgs;
use crate::error::CliError;
use crate::event::ReportWritten;
use crate::history;
use crate::project::{ProjectState, shown, working_dir};
use crate::report::{self, Recorded};
use crate::ui::Ui;

/// `flow report`
#[derive(Debug, Args)]
#[command(after_help = "\
The page is one file that needs no network. The same run gives the same bytes.

Examples:
  flow report
  flow report last~1 -o before.html
  flow report --object ID")]
pub struct ReportArgs {
    /// The run: its id, the start of it, a tag, `last`, or `last~1` for the one before
    #[arg(default_value = "last")]
    pub run: String,
    /// Where to
    #[arg(short, long, value_name = "FILE", default_value = "report.html", value_hint = clap::ValueHint::FilePath)]
    pub output: PathBuf,
    /// An object that the page must have; may be given several times
    #[arg(long = "object", value_name = "ID")]
    pub objects: Vec<String>,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Runs the command.
pub fn run(args: &ReportArgs, ui: &Ui) -> Result<(), CliError> {
    let state = ProjectState::of_working_dir(&args.store)?;
    let runs = state.runs();
    let found = history::find(&runs, &args.run)?;
    let recorded = Recorded::open(found, &runs, &state.store)?;
    let html = report::of_run(&recorded, &args.objects)?.html();
    let to = working_dir()?.join(&args.output);
    write_file(&to, html.as_bytes()).map_err(|error| CliError::unwritten(&to, error))?;
    ui.event(|| ReportWritten {
        runs: vec![recorded.id.clone()],
        path: args.output.display().to_string(),
        bytes: html.len() as u64,
    });
    ui.progress(&format!("wrote {}", shown(&to)));
    Ok(())
}
