//! What a child says of its action, as one line of JSON.

use std::path::PathBuf;

use flow_cache::{ActionKey, Digest};
use serde_json::{Value as Json, json};

use crate::kind::error::{Fault, StageError, log_hint};
use crate::kind::progress::Progress;
use crate::run::perform::log_path;
use crate::run::work::Work;

/// How an action that was run by `flow stage-exec` ended.
#[derive(Clone, Debug)]
pub enum Report {
    /// It has a record already.
    Hit,
    /// It ran, and what it made is in the store.
    Ran,
    /// It ran and gave other bytes than its record said, for these outputs.
    Different(Vec<String>),
    /// Bytes that it reads are gone (true: corrupt, and set aside).
    Lost(Vec<(Digest, bool)>),
    /// These source files changed while it ran.
    Tainted(Vec<PathBuf>),
    /// It failed.
    Failed(StageError),
}

impl Report {
    /// Returns the report as a line of JSON.
    pub fn to_json(&self, key: &ActionKey) -> Json {
        let mut json = json!({"event": "stage-exec-finished", "key": key.to_string()});
        let word = match self {
            Self::Hit => "hit",
            Self::Ran => "ran",
            Self::Different(outputs) => {
                json["outputs"] = outputs.clone().into();
                "different"
            }
            Self::Lost(lost) => {
                let lost = lost.iter().map(
                    |(digest, corrupt)| json!({"digest": digest.to_string(), "corrupt": corrupt}),
                );
                json["lost"] = lost.collect();
                "lost"
            }
            Self::Tainted(paths) => {
                let paths = paths.iter().map(|path| path.display().to_string());
                json["paths"] = paths.collect();
                "tainted"
            }
            Self::Failed(error) => {
                json["fault"] = fault_word(error.fault).into();
                json["code"] = error.code.as_str().into();
                json["message"] = error.message.clone().into();
                json["help"] = error.hints().collect();
                "failed"
            }
        };
        json["outcome"] = word.into();
        json
    }

    /// Reads the report from a line. Returns none for other kinds of lines.
    pub(crate) fn from_json(json: &Json, work: &Work<'_>) -> Option<Self> {
        if json.get("event")? != "stage-exec-finished" {
            return None;
        }
        let texts = |name: &str| -> Option<Vec<String>> {
            let items = json.get(name)?.as_array()?.iter();
            items.map(|item| item.as_str().map(str::to_owned)).collect()
        };
        Some(match json.get("outcome")?.as_str()? {
            "hit" => Self::Hit,
            "ran" => Self::Ran,
            "different" => Self::Different(texts("outputs")?),
            "lost" => {
                let lost = json.get("lost")?.as_array()?.iter().map(|item| {
                    let digest = item.get("digest")?.as_str()?.parse().ok()?;
                    Some((digest, item.get("corrupt")?.as_bool()?))
                });
                Self::Lost(lost.collect::<Option<_>>()?)
            }
            "tainted" => {
                // The line has paths for people. The exact ones are known here.
                let shown = texts("paths")?;
                let paths = work
                    .prepared
                    .sources
                    .iter()
                    .map(|(file, _)| file.path.clone());
                let paths = paths.filter(|path| shown.contains(&path.display().to_string()));
                Self::Tainted(paths.collect())
            }
            "failed" => {
                let text = |name: &str| json.get(name)?.as_str();
                let fault = fault_of(text("fault")?)?;
                let mut error = StageError::new(fault, text("code")?.to_owned(), text("message")?);
                error.help = texts("help")?;
                // The line has the log as a hint for people; the exact path is known here.
                let log = log_path(work);
                if error.help.last() == Some(&log_hint(&log)) {
                    error.help.pop();
                    error.log = Some(log);
                }
                Self::Failed(error)
            }
            _ => return None,
        })
    }
}

/// The line on how far an action is. A figure that is no number is null.
pub fn progress_json(progress: &Progress) -> Json {
    let mut json = json!({"event": "progress", "done": progress.done, "total": progress.total});
    if !progress.figures.is_empty() {
        let figures = progress.figures.iter();
        json["figures"] = figures
            .map(|(name, value)| (name.clone(), Json::from(*value)))
            .collect();
    }
    json
}

/// What such a line says; none for lines of other kinds.
pub(crate) fn progress_of(json: &Json) -> Option<Progress> {
    if json.get("event")? != "progress" {
        return None;
    }
    let figures = json.get("figures").and_then(Json::as_object);
    Some(Progress {
        done: json.get("done")?.as_u64()?,
        total: json.get("total")?.as_u64()?,
        figures: figures
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value.as_f64().unwrap_or(f64::NAN)))
            .collect(),
    })
}

const FAULTS: [(Fault, &str); 5] = [
    (Fault::Data, "data"),
    (Fault::Stage, "stage"),
    (Fault::Environment, "environment"),
    (Fault::Interrupted, "interrupted"),
    (Fault::Bug, "bug"),
];

fn fault_word(fault: Fault) -> &'static str {
    FAULTS
        .iter()
        .find(|(known, _)| *known == fault)
        .map_or("bug", |(_, word)| word)
}

fn fault_of(word: &str) -> Option<Fault> {
    let found = FAULTS.iter().find(|(_, known)| *known == word);
    found.map(|(fault, _)| *fault)
}
