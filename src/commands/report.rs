//! `flow report`: writes a run as one HTML file that people look at.

use std::path::PathBuf;

use clap::Args;
use flow_cache::write_file;

use super::compare::compared;
use crate::args::StoreArgs;
use crate::error::CliError;
use crate::event::ReportWritten;
use crate::history;
use crate::project::{ProjectState, shown, working_dir};
use crate::report::{self, Findings, Page, Recorded};
use crate::ui::Ui;

/// `flow report`
#[derive(Debug, Args)]
#[command(after_help = "\
The page is one file that needs no network. The same run gives the same bytes.

Examples:
  flow report
  flow report last~1 -o before.html
  flow report --object ID
  flow report last~1 last -o pair.html
  flow report out/ablation/study")]
pub struct ReportArgs {
    /// The run: its id, the start of it, a tag, `last`, or `last~1` for the one before; or a folder
    /// that `flow ablate` or `flow tune` wrote; two runs are shown side by side
    #[arg(value_name = "RUN", num_args = 0..=2, default_value = "last")]
    pub runs: Vec<String>,
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
    let (page, runs) = page(args)?;
    let html = page.html();
    let to = working_dir()?.join(&args.output);
    write_file(&to, html.as_bytes()).map_err(|error| CliError::unwritten(&to, error))?;
    ui.event(|| ReportWritten {
        runs,
        path: args.output.display().to_string(),
        bytes: html.len() as u64,
    });
    ui.progress(&format!("wrote {}", shown(&to)));
    Ok(())
}

/// The page, and the ids of the runs that it shows.
fn page(args: &ReportArgs) -> Result<(Page, Vec<String>), CliError> {
    if let [word] = args.runs.as_slice()
        && let Some(findings) = Findings::in_folder(&working_dir()?.join(word))?
    {
        return Ok((report::of_findings(&findings), Vec::new()));
    }
    let state = ProjectState::of_working_dir(&args.store)?;
    let runs = state.runs();
    let open = |word: &String| -> Result<Recorded<'_>, CliError> {
        Ok(Recorded::open(
            history::find(&runs, word)?,
            &runs,
            &state.store,
        )?)
    };
    Ok(match args.runs.as_slice() {
        [first, second] => {
            let (first, second) = (open(first)?, open(second)?);
            let compared = compared(&state, [&first.id, &second.id])?;
            let page = report::of_pair(&first, &second, &compared)?;
            (page, vec![first.id, second.id])
        }
        words => {
            let word = words.first().cloned().unwrap_or_else(|| "last".to_owned());
            let recorded = open(&word)?;
            (report::of_run(&recorded, &args.objects)?, vec![recorded.id])
        }
    })
}
