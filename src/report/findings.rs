//! What an ablation, a study or a check found, as the record of its run keeps it.

use std::path::Path;

use flow_cache::{Runs, StoreError};
use flow_engine::Diag;
use serde::{Deserialize, Serialize};

use crate::error::CliError;
use crate::event::{AblationFigures, CheckFinished, StudyCost, StudyFigures};
use crate::record::RunRecord;

/// What a command concluded from its run.
#[derive(Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Findings {
    /// `flow ablate` compared variants.
    Ablation(AblationFigures),
    /// `flow tune` searched for better values.
    Study(Box<StudyFindings>),
    /// `flow check` compared a run with a baseline.
    Check(CheckFindings),
}

/// What a study found.
#[derive(Serialize, Deserialize)]
pub struct StudyFindings {
    /// What `study.json` has.
    pub found: StudyFigures,
    /// What it cost. A folder does not say it.
    pub cost: Option<StudyCost>,
}

/// What a check found.
#[derive(Serialize, Deserialize)]
pub struct CheckFindings {
    /// What its last event has.
    pub found: CheckFinished,
    /// Why it failed, a sentence for each cause.
    pub failures: Vec<String>,
    /// The checks of the pipeline against the same baseline before this one, oldest first.
    #[serde(skip)]
    pub earlier: Vec<CheckFinished>,
}

/// The most earlier checks that are shown.
const EARLIER: usize = 40;

/// The files in which a command leaves its findings, by the name of the file.
const FILES: [&str; 2] = ["ablation.json", "study.json"];

impl Findings {
    /// What the record of a run names.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn of(id: &str, record: &RunRecord, runs: &Runs) -> Result<Option<Self>, StoreError> {
        let Some(digest) = &record.findings else {
            return Ok(None);
        };
        let mut found = runs.long(digest)?;
        if let Some(Self::Check(check)) = &mut found {
            check.earlier = earlier(id, &check.found, runs)?;
        }
        Ok(found)
    }

    /// What a folder that `flow ablate` or `flow tune` wrote holds, or nothing if it is no such folder.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn in_folder(dir: &Path) -> Result<Option<Self>, CliError> {
        let Some(name) = FILES.into_iter().find(|name| dir.join(name).is_file()) else {
            return Ok(None);
        };
        let path = dir.join(name);
        let unread = |why: String| {
            let message = format!("{} cannot be read: {why}", path.display());
            let diag = Diag::new("flow::report::folder", message);
            CliError::usage(diag.help(
                "a newer or older flow may have written it: run the command again, or name the run",
            ))
        };
        let text = std::fs::read(&path).map_err(|e| unread(e.to_string()))?;
        let found = match name {
            "ablation.json" => serde_json::from_slice(&text).map(Self::Ablation),
            _ => serde_json::from_slice(&text)
                .map(|found| Self::Study(Box::new(StudyFindings { found, cost: None }))),
        };
        found.map(Some).map_err(|e| unread(e.to_string()))
    }

    /// The name of the pipeline.
    pub fn pipeline(&self) -> &str {
        match self {
            Self::Ablation(found) => &found.pipeline,
            Self::Study(study) => &study.found.pipeline,
            Self::Check(check) => &check.found.pipeline,
        }
    }

    /// Returns true if the run was of one pipeline, and not of many configurations.
    pub fn are_of_one_pipeline(&self) -> bool {
        matches!(self, Self::Check(_))
    }

    /// What they are the findings of.
    pub fn what(&self) -> &'static str {
        match self {
            Self::Ablation(_) => "ablation",
            Self::Study(_) => "study",
            Self::Check(_) => "check",
        }
    }
}

/// The checks of the same pipeline against the same baseline before a run, oldest first. A record that
/// cannot be read says nothing.
fn earlier(id: &str, check: &CheckFinished, runs: &Runs) -> Result<Vec<CheckFinished>, StoreError> {
    let mut found = Vec::new();
    for before in runs.list()?.iter().filter(|before| before.as_str() < id) {
        let Ok(Some((_, record))) = runs.load::<RunRecord>(before) else {
            continue;
        };
        let digest = record
            .findings
            .filter(|_| record.pipeline.as_deref() == Some(&check.pipeline));
        let Some(digest) = digest else { continue };
        if let Ok(Some(Findings::Check(other))) = runs.long(&digest)
            && other.found.baseline == check.baseline
        {
            found.push(other.found);
        }
        if found.len() == EARLIER {
            break;
        }
    }
    found.reverse();
    Ok(found)
}
