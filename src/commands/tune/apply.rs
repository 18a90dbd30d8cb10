//! `flow tune --apply`: writes the best values as a pipeline that extends the one that was tuned.

use std::io::Write;
use std::path::{Path, PathBuf};

use flow_cache::{Lasting, NewFile, PLAIN};
use flow_engine::pipeline::file::{PipelineFile, Replace};
use flow_engine::pipeline::load::LoadOptions;
use flow_engine::pipeline::union::unite;
use flow_engine::{Diag, Pipeline};

use super::TuneArgs;
use super::problem::Problem;
use crate::error::CliError;
use crate::project::{relative, working_dir};
use crate::report::stage_tables;

/// Where the pipeline goes.
pub struct Target {
    path: PathBuf,
    sets: Vec<String>,
}

impl Target {
    /// Checks that the file may be written, before anything is searched.
    pub fn new(args: &TuneArgs, base: &Pipeline) -> Result<Option<Self>, CliError> {
        let Some(to) = &args.apply else {
            return Ok(None);
        };
        let path = working_dir()?.join(to);
        let refuse = |message: String, help: &str| {
            Err(CliError::usage(
                Diag::new("flow::tune::apply", message).help(help),
            ))
        };
        let shown = to.display();
        if path.is_dir() || !path.parent().is_some_and(Path::is_dir) {
            return refuse(
                format!("no pipeline can be written at {shown}"),
                "name a file in a folder that exists: --apply tuned.toml",
            );
        }
        let same = |source: &Path| match (source.canonicalize(), path.canonicalize()) {
            (Ok(a), Ok(b)) => a == b,
            _ => false,
        };
        let cwd = working_dir()?;
        let sources = (0..base.sources.len()).filter_map(|id| {
            let source = base.sources.get(flow_engine::SourceId(id))?;
            Some(cwd.join(source.name()))
        });
        if sources
            .chain([base.file.clone()])
            .any(|source| same(&source))
        {
            return refuse(
                format!("{shown} is the pipeline itself, or one that it extends"),
                "name another file: --apply tuned.toml",
            );
        }
        if path.exists() && !args.force {
            return refuse(
                format!("{shown} is there already"),
                "add --force to replace it, or name another file",
            );
        }
        Ok(Some(Self {
            path,
            sets: args.file.sets.clone(),
        }))
    }

    /// Writes the pipeline with these values, and says where. It is first loaded from a file beside its
    /// place, and must be the pipeline that was evaluated.
    pub fn write(
        &self,
        problem: &Problem<'_>,
        values: &[Replace],
        heading: &str,
    ) -> Result<&Path, CliError> {
        let failed = |error: std::io::Error| CliError::unwritten(&self.path, error);
        let text = text(problem, &self.path, values, heading, &self.sets);
        let mut file = NewFile::create(PLAIN, &self.path, 0o666).map_err(|e| failed(e.into()))?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        self.check(problem, values, file.path())?;
        let published = file.publish(Lasting::Now);
        published.map_err(|e| failed(e.into()))?;
        Ok(&self.path)
    }

    fn check(
        &self,
        problem: &Problem<'_>,
        values: &[Replace],
        written: &Path,
    ) -> Result<(), CliError> {
        let options = LoadOptions {
            sets: self.sets.clone(),
            cwd: working_dir()?,
        };
        let written = PipelineFile::read(written, &options)?.pipeline(&problem.registry)?;
        let meant = problem.file.with(values, &problem.registry)?;
        let stages = meant.stages.len();
        let both = unite(vec![("meant".into(), meant), ("written".into(), written)]);
        if both.is_some_and(|both| both.shared() == stages && both.pipeline.stages.len() == stages)
        {
            return Ok(());
        }
        let message = format!(
            "{} would be another pipeline than the one that was tuned",
            self.path.display()
        );
        Err(CliError::usage(
            Diag::new("flow::tune::apply", message)
                .help("write it beside the pipeline that it extends, so that paths mean the same"),
        ))
    }
}

fn text(
    problem: &Problem<'_>,
    to: &Path,
    values: &[Replace],
    heading: &str,
    sets: &[String],
) -> String {
    let from = to.parent().unwrap_or(Path::new("/"));
    let from = from.canonicalize().unwrap_or_else(|_| from.to_path_buf());
    let extends = relative(&problem.path, &from).display().to_string();
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut text = format!("# {heading}\n");
    for set in sets {
        text.push_str(&format!(
            "# The study was made with --set '{set}', which is not in this file.\n"
        ));
    }
    text.push_str(&format!(
        "\n[pipeline]\nname = {}\nextends = {}\n",
        quoted(&format!("{}_tuned", problem.name)),
        quoted(&extends),
    ));
    let values = values.iter();
    let values = values.map(|value| (value.path.as_str(), value.value.to_string()));
    let tables = stage_tables(values);
    if !tables.is_empty() {
        text.push_str(&format!("\n{tables}"));
    }
    text
}
