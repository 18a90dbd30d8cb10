//! `flow init`: a project that runs on generated data, and is worth copying.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use flow_cache::write_new_file;
use flow_engine::Diag;

use crate::error::CliError;
use crate::event::ProjectCreated;
use crate::project::shown;
use crate::ui::Ui;
use crate::wording::quoted;

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

/// The pipeline that makes a folder a project of this command.
const DEMO: &str = "rocket_domain.toml";
const OWN: &str = "own_data.toml";
const IGNORE: &str = ".gitignore";
/// What a run leaves in the project.
const IGNORED: [&str; 2] = ["/.flow", "/out"];

/// The files that are written whole. A marker of its own keeps the root from being that of a project or
/// repository around this one.
fn files() -> [(&'static str, String); 5] {
    let demo = include_str!("../../../pipelines/rocket_domain.toml");
    let marker = "# The root of a project: paths in its pipelines are relative to this folder.\n";
    [
        (DEMO, demo.to_owned()),
        (OWN, include_str!("own_data.toml").to_owned()),
        ("flow.toml", marker.to_owned()),
        ("README.md", include_str!("project.md").to_owned()),
        (".github/workflows/check.yml", workflow()),
    ]
}

/// The workflow of the documentation, for the pipeline of this project.
fn workflow() -> String {
    let example = include_str!("../../../docs/examples/github-actions.yml");
    // The first comment ends where the workflow begins.
    let text = example.find("name: ").map_or(example, |at| &example[at..]);
    let text = text.replace("pipelines/domain_only.toml", DEMO);
    let text = text.replace("checks/domain_only.toml", &format!("checks/{DEMO}"));
    format!(
        "# Compares a pipeline with its baseline, for every pull request. Say under `env` where flow comes from. \
         The first\n# baseline is written by `flow check {DEMO} --baseline checks/{DEMO} --update`, later ones \
         also by\n# \"Run workflow\" with `update`.\n{text}"
    )
}

/// Runs the command.
pub fn run(args: &InitArgs, ui: &Ui) -> Result<(), CliError> {
    let demo = place(&args.dir, DEMO);
    if demo.symlink_metadata().is_ok() {
        let message = format!("{} is there already", shown(&demo));
        return Err(CliError::usage(Diag::new("flow::cli::init", message).help(
            "nothing is overwritten; name another folder, or move the file away",
        )));
    }
    let (mut written, mut kept) = (Vec::new(), Vec::new());
    for (name, text) in files() {
        let path = place(&args.dir, name);
        let list = match write_new(&path, &text)? {
            true => &mut written,
            false => &mut kept,
        };
        list.push(shown(&path));
    }
    let ignore = place(&args.dir, IGNORE);
    if add_ignored(&ignore).map_err(|e| CliError::unwritten(&ignore, e))? {
        written.push(shown(&ignore));
    }
    let mut text: String = written
        .iter()
        .map(|path| format!("wrote {path}\n"))
        .collect();
    for path in &kept {
        text.push_str(&format!("{path} was there, and is as it was\n"));
    }
    text.push_str(&format!(
        "next: flow run {}\nthen, on your own light curves: edit {}\n",
        quoted(&shown(&demo)),
        shown(&place(&args.dir, OWN))
    ));
    ui.event(|| ProjectCreated {
        pipeline: shown(&demo),
        written,
        kept,
    });
    ui.answer(&text);
    Ok(())
}

/// A file of the project, as somebody in the working directory would write it.
fn place(dir: &Path, name: &str) -> PathBuf {
    match dir.to_str() {
        Some(".") => name.into(),
        _ => dir.join(name),
    }
}

/// Writes a file with its folders. Returns false if the file was there, which it then is as before.
fn write_new(path: &Path, text: &str) -> Result<bool, CliError> {
    let unwritten = |e| CliError::unwritten(path, e);
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        fs::create_dir_all(folder).map_err(unwritten)?;
    }
    match write_new_file(path, text.as_bytes()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(unwritten(e)),
    }
}

/// Adds the lines that a `.gitignore` lacks; returns false if it lacks none. Its present lines stay in
/// place, even if this fails.
fn add_ignored(path: &Path) -> std::io::Result<bool> {
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
        return Ok(false);
    }
    let mut file = fs::File::options().append(true).create(true).open(path)?;
    file.write_all(added.as_bytes())?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workflow_is_for_the_pipeline_of_the_project() {
        let text = workflow();
        for part in [
            "PIPELINE: rocket_domain.toml\n",
            "BASELINE: checks/rocket_domain.toml\n",
            "\nname: check\n",
            "run: flow check",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains("domain_only") && !text.contains("Copy this file"));
    }
}
