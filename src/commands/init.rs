//! `flow init`: a project with a pipeline that works on generated data.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use flow_cache::write_new_file;
use flow_engine::Diag;

use crate::error::CliError;
use crate::event::ProjectCreated;
use crate::ui::Ui;

/// `flow init`
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  flow init demo && flow run demo/rocket_domain.toml")]
pub struct InitArgs {
    /// The project's folder
    #[arg(default_value = ".", value_hint = clap::ValueHint::DirPath)]
    pub dir: PathBuf,
}

const PIPELINE: &str = include_str!("../../pipelines/rocket_domain.toml");
const NAME: &str = "rocket_domain.toml";
/// The file that marks the root of the project.
const MARKER: &str =
    "# The root of a project: paths in its pipelines are relative to this folder.\n";
/// What a run leaves in the project.
const IGNORED: [&str; 2] = ["/.flow", "/out"];

/// Runs the command.
pub fn run(args: &InitArgs, ui: &Ui) -> Result<(), CliError> {
    let path = match args.dir.to_str() {
        Some(".") => NAME.into(),
        _ => args.dir.join(NAME),
    };
    fs::create_dir_all(&args.dir).map_err(|e| CliError::unwritten(&args.dir, e))?;
    match write_new_file(&path, PIPELINE.as_bytes()) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            let message = format!("{} is there already", path.display());
            return Err(CliError::usage(Diag::new("flow::cli::init", message).help(
                "nothing is overwritten; name another folder, or move the file away",
            )));
        }
        Err(e) => return Err(CliError::unwritten(&path, e)),
    }
    // Without it, the root would be that of a project or repository around this one.
    let marker = args.dir.join("flow.toml");
    match write_new_file(&marker, MARKER.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(CliError::unwritten(&marker, e));
        }
        _ => {}
    }
    let ignore = args.dir.join(".gitignore");
    add_ignored(&ignore).map_err(|e| CliError::unwritten(&ignore, e))?;
    ui.event(|| ProjectCreated {
        pipeline: path.display().to_string(),
    });
    ui.answer(&format!("wrote {0}\nnext: flow run {0}\n", path.display()));
    Ok(())
}

/// Adds the lines that a `.gitignore` lacks. Its present lines stay in place, even if this fails.
fn add_ignored(path: &Path) -> std::io::Result<()> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e),
    };
    let mut added = String::new();
    for line in IGNORED {
        if !text
            .lines()
            .any(|known| known.trim_matches('/') == line.trim_matches('/'))
        {
            if added.is_empty() && !text.is_empty() && !text.ends_with('\n') {
                added.push('\n');
            }
            added.push_str(line);
            added.push('\n');
        }
    }
    if added.is_empty() {
        return Ok(());
    }
    let mut file = fs::File::options().append(true).create(true).open(path)?;
    file.write_all(added.as_bytes())
}
