//! The baseline: the results of a pipeline, as a text file to be committed beside it.
//!
//! It is TOML with one value per line, in an order that follows from names alone, so that a change
//! touches few lines. Nothing in it depends on the machine, the time or the project's folder.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use flow_cache::{Digest, write_file};
use flow_engine::base::diag::SourceMap;
use flow_engine::{Diag, SourceId, Span};
use flow_stages::comparison::KeptScores;
use flow_stages::comparison::gate::Noise;
use serde::{Deserialize, Serialize};

use super::recipes::StageState;
use crate::args::PipelineArgs;
use crate::error::CliError;
use crate::project::working_dir;
use crate::wording::quoted;

/// The version of the format. Version 1 lacks the names of source files and of the positive class, and
/// the scores of evaluations without a positive class. What it does have is read.
const FORMAT: i64 = 2;

/// The first line of a baseline. Only a file that starts with it may be replaced.
const TITLE: &str = "# Baseline of `flow check`.";

const ADVICE: &str = "\
# Written by `flow check ... --update`, and not to be edited by hand. After a merge conflict in this
# file run that command again: it needs nothing of what is here.
";

/// The results of a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    format: i64,
    /// Name of the pipeline.
    pub pipeline: String,
    /// What became of its evaluations.
    #[serde(default)]
    pub evaluations: BTreeMap<String, Evaluation>,
    /// Its stages.
    #[serde(default)]
    pub stages: BTreeMap<String, StageState>,
}

/// One evaluation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// The digest of the table of folds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folds: Option<Digest>,
    /// Pooled metrics as reported, to six digits, for people.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// The class that metrics are of, or `None` where they are macro averages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positive: Option<String>,
    /// How metrics vary from repeat to repeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<Noise>,
    /// Out-of-fold scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<KeptScores>,
}

/// The only part of a file that is read before its format is known.
#[derive(Deserialize)]
struct Version {
    format: i64,
}

/// Where the baseline is, and the command that writes it.
pub struct BaselineFile {
    /// The absolute path.
    pub path: PathBuf,
    /// The path as it was given.
    pub shown: String,
    /// The command that writes it anew.
    pub update: String,
}

impl BaselineFile {
    /// The file that was named for a pipeline, relative to the working directory.
    pub fn new(file: &Path, pipeline: &PipelineArgs) -> Result<Self, CliError> {
        let shown = file.display().to_string();
        let name = pipeline.file.pipeline.to_string_lossy();
        let mut update = format!("flow check {}", quoted(&name));
        if let Some(variant) = &pipeline.variant {
            update.push_str(&format!(" --variant {}", quoted(variant)));
        }
        for set in &pipeline.file.sets {
            update.push_str(&format!(" --set {}", quoted(set)));
        }
        update.push_str(&format!(" --baseline {} --update", quoted(&shown)));
        Ok(Self {
            path: working_dir()?.join(file),
            update,
            shown,
        })
    }

    /// A diagnostic whose remedy is a new baseline.
    pub fn diag(&self, code: &'static str, message: String) -> Diag {
        Diag::new(code, message).help(format!("write a new one: {}", self.update))
    }

    fn text(&self) -> Result<Option<String>, CliError> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => {
                let message = format!("the baseline {} cannot be read: {e}", self.shown);
                Err(CliError::usage(
                    Diag::new("flow::check::baseline", message)
                        .help("name a file: --baseline FILE")
                        .with_source(e),
                ))
            }
        }
    }

    /// Reads the baseline of a pipeline.
    pub fn read(&self, pipeline: &str) -> Result<Baseline, CliError> {
        let Some(text) = self.text()? else {
            let message = format!("there is no baseline {}", self.shown);
            return Err(CliError::usage(self.diag("flow::check::baseline", message)));
        };
        let baseline = self.parse(text).map_err(CliError::usage)?;
        if baseline.pipeline != pipeline {
            let message = format!(
                "{} is the baseline of the pipeline `{}`, not of `{pipeline}`",
                self.shown, baseline.pipeline
            );
            return Err(CliError::usage(self.diag("flow::check::foreign", message)));
        }
        Ok(baseline)
    }

    fn parse(&self, text: String) -> Result<Baseline, Diag> {
        if text.lines().any(|line| line.starts_with("<<<<<<< ")) {
            let message = format!("the baseline {} has merge conflicts", self.shown);
            return Err(self.diag("flow::check::baseline", message));
        }
        match toml::from_str::<Version>(&text) {
            Ok(version) if !(1..=FORMAT).contains(&version.format) => {
                let (shown, format) = (&self.shown, version.format);
                let message = format!(
                    "the baseline {shown} has format {format}, and this flow knows {FORMAT}"
                );
                return Err(self.diag("flow::check::newer", message));
            }
            _ => {}
        }
        toml::from_str(&text).map_err(|error| {
            let what = error.message().lines().next().unwrap_or_default();
            let message = format!("the baseline {} is damaged: {what}", self.shown);
            let place = error.span();
            let diag = self
                .diag("flow::check::baseline", message)
                .with_source(error);
            match place {
                Some(range) => {
                    let mut sources = SourceMap::default();
                    let id: SourceId = sources.add(&self.shown, text);
                    diag.label(Span::new(id, range), "here").resolve(&sources)
                }
                None => diag,
            }
        })
    }

    /// What an update replaces, or `None` if there is nothing, or nothing that can be read.
    ///
    /// # Errors
    /// Fails if there is a file and it is not a baseline.
    pub fn replaced(&self) -> Result<Option<Baseline>, CliError> {
        match self.text()? {
            Some(text) if !text.is_empty() && !text.starts_with(TITLE) => {
                let message = format!("{} is no baseline, and is not replaced", self.shown);
                let diag = Diag::new("flow::check::not_a_baseline", message);
                Err(CliError::usage(diag.help(format!(
                    "name another file, or remove this one: rm {}",
                    quoted(&self.shown)
                ))))
            }
            Some(text) => Ok(self.parse(text).ok()),
            None => Ok(None),
        }
    }
}

impl Baseline {
    /// A baseline of these parts.
    pub fn new(
        pipeline: &str,
        evaluations: BTreeMap<String, Evaluation>,
        stages: BTreeMap<String, StageState>,
    ) -> Self {
        Self {
            format: FORMAT,
            pipeline: pipeline.to_owned(),
            evaluations,
            stages,
        }
    }

    /// The text of the file.
    pub fn text(&self) -> Result<String, CliError> {
        let body = toml::to_string(self)
            .map_err(|e| CliError::environment("the baseline cannot be written", e))?;
        Ok(format!("{TITLE}\n{ADVICE}\n{body}"))
    }

    /// Writes the file beside its place first, so that a reader sees the old one or the new one.
    pub fn write(&self, place: &BaselineFile) -> Result<u64, CliError> {
        let text = self.text()?;
        replace(&place.path, text.as_bytes())?;
        Ok(text.len() as u64)
    }
}

/// Writes a file by way of one beside it, and creates its folder if there is none.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = fs::create_dir_all(folder).and_then(|()| write_file(path, bytes));
    written.map_err(|error| CliError::unwritten(path, error))
}
