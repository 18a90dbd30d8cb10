//! The runs of a project as they were recorded: finding one, what its actions came to, and how often
//! the same objects were looked at.

use std::collections::BTreeSet;

use flow_cache::{ActionKey, Digest, Runs};
use flow_engine::Diag;
use serde_json::{Map, Value as Json};

use crate::error::CliError;
use crate::project;
use crate::wording::quoted;

/// What an action of a recorded run came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The action within its stage.
    pub label: String,
    /// Its key.
    pub key: ActionKey,
    /// Names and digests of its outputs.
    pub outputs: Vec<(String, Digest)>,
}

/// The actions of a recorded run by stage, in the order of its plan.
pub type Actions = Vec<(String, Vec<Row>)>;

/// The run that someone means: `last`, `last~2` for the second before that, a tag (the newest run
/// that has it), or an id or its start.
pub fn find(runs: &Runs, word: &str) -> Result<(String, Json), CliError> {
    let found = match before_last(word) {
        Some(0) => runs.load("latest")?,
        Some(back) => match runs.list()?.get(back) {
            Some(id) => runs.load(id)?,
            None => None,
        },
        None if is_tag(word) => tagged(runs, word)?,
        None => runs.load(word)?,
    };
    found.ok_or_else(|| {
        let place = runs.dir().display();
        let message = match runs.list() {
            Ok(ids) if !ids.is_empty() => {
                format!(
                    "there is no run `{word}` among the {} in {place}",
                    ids.len()
                )
            }
            _ => format!("there is no run `{word}`: {place} has none"),
        };
        let diag = Diag::new("flow::cli::run", message).help(
            "`flow runs` lists them; a run is named by its id, the start of it, a tag, `last`, or \
             `last~1` for the one before",
        );
        CliError::usage(project::elsewhere().into_iter().fold(diag, Diag::help))
    })
}

/// How many runs before the last one is meant: 0 for `last`, 2 for `last~2`.
fn before_last(word: &str) -> Option<usize> {
    let rest = word
        .strip_prefix("latest")
        .or_else(|| word.strip_prefix("last"))?;
    match rest {
        "" => Some(0),
        _ => rest.strip_prefix('~')?.parse().ok(),
    }
}

fn tagged(runs: &Runs, tag: &str) -> Result<Option<(String, Json)>, CliError> {
    for id in runs.list()? {
        // One that cannot be read has no tags that anybody knows of.
        if let Ok(Some((id, record))) = runs.load(&id)
            && tags(&record).any(|known| known == tag)
        {
            return Ok(Some((id, record)));
        }
    }
    Ok(None)
}

/// Whether a word is a tag rather than the start of an id, which is a digit.
fn is_tag(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// Checks the name of a tag.
pub fn check_tag(name: &str) -> Result<(), CliError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    if is_tag(name) && name.chars().all(plain) && name != "last" && name != "latest" {
        return Ok(());
    }
    let message = format!("`{name}` cannot be a tag");
    Err(CliError::usage(Diag::new("flow::cli::tag", message).help(
        "a tag starts with a letter, goes on with letters, digits, `.`, `_`, `-` and `/`, and is not `last`",
    )))
}

/// The tags of a run.
pub fn tags(record: &Json) -> impl Iterator<Item = &str> {
    let tags = record.get("tags").and_then(Json::as_array);
    tags.into_iter().flatten().filter_map(Json::as_str)
}

/// The values that a run was given.
pub fn sets(record: &Json) -> impl Iterator<Item = &str> {
    let sets = record.get("set").and_then(Json::as_array);
    sets.into_iter().flatten().filter_map(Json::as_str)
}

/// What a run was asked for besides its file: as options that ask for it again, or shorter.
pub fn asked(record: &Json, options: bool) -> String {
    let known = |name: &'static str| {
        let value = record.get(name)?.as_str()?;
        Some(format!("--{name} {}", quoted(value)))
    };
    let words = [known("variant"), known("to")].into_iter().flatten();
    let sets = sets(record).map(|set| match options {
        true => format!("--set {}", quoted(set)),
        false => set.to_owned(),
    });
    words.chain(sets).collect::<Vec<_>>().join(" ")
}

/// What a run record says of git.
pub struct Git<'r> {
    commit: &'r str,
    dirty: Option<bool>,
}

impl<'r> Git<'r> {
    /// None for a project that git does not keep.
    pub fn of(record: &'r Json) -> Option<Self> {
        let git = record.get("git")?;
        Some(Self {
            commit: git.get("commit")?.as_str()?,
            dirty: git.get("dirty").and_then(Json::as_bool),
        })
    }

    /// The start of the commit, with a `+` where files differed from it.
    pub fn short(&self) -> String {
        let start = self.commit.get(..8).unwrap_or(self.commit);
        let mark = if self.dirty == Some(true) { "+" } else { "" };
        format!("{start}{mark}")
    }

    /// The commit, and whether files differed from it.
    pub fn long(&self) -> String {
        let state = match self.dirty {
            Some(true) => ", with changes that were not committed",
            Some(false) => ", without changes",
            // Nothing ran, so nobody asked.
            None => "",
        };
        format!("{}{state}", self.commit)
    }
}

/// Whether a run is pinned.
pub fn is_pinned(record: &Json) -> bool {
    record.get("pinned").and_then(Json::as_bool) == Some(true)
}

/// The actions of a run. None: it was recorded by a version that did not keep them, or they are
/// gone.
pub fn actions(runs: &Runs, record: &Json) -> Result<Option<Actions>, CliError> {
    let Some(long) = runs.actions(record)? else {
        return Ok(None);
    };
    let stages = long.get("stages").and_then(Json::as_array);
    let stages = stages.into_iter().flatten().map(|stage| {
        let rows = stage.get("actions")?.as_array()?.iter().map(row);
        let name = stage.get("name")?.as_str()?.to_owned();
        Some((name, rows.collect::<Option<Vec<Row>>>()?))
    });
    Ok(stages.collect())
}

fn row(row: &Json) -> Option<Row> {
    let outputs = row.get(2)?.as_object()?.iter();
    let outputs =
        outputs.map(|(name, digest)| Some((name.clone(), digest.as_str()?.parse().ok()?)));
    Some(Row {
        label: row.get(0)?.as_str()?.to_owned(),
        key: row.get(1)?.as_str()?.parse().ok()?,
        outputs: outputs.collect::<Option<_>>()?,
    })
}

/// The keys of all actions that a run reached, however old its record.
pub fn keys(runs: &Runs, record: &Json) -> Result<Vec<ActionKey>, CliError> {
    if let Some(actions) = actions(runs, record)? {
        let rows = actions.into_iter().flat_map(|(_, rows)| rows);
        return Ok(rows.map(|row| row.key).collect());
    }
    let stages = record.get("stages").and_then(Json::as_object);
    let keys = stages.into_iter().flat_map(Map::values).flat_map(|stage| {
        let keys = stage.get("keys").and_then(Json::as_array);
        keys.into_iter().flatten().filter_map(Json::as_str)
    });
    Ok(keys.filter_map(|key| key.parse().ok()).collect())
}

/// The ports of a stage as a run recorded them, by name.
pub fn ports(runs: &Runs, record: &Json, stage: &str) -> Result<Map<String, Json>, CliError> {
    let long = runs.actions(record)?;
    let stages = long
        .as_ref()
        .and_then(|long| long.get("stages")?.as_array());
    let found = stages
        .into_iter()
        .flatten()
        .find(|found| found.get("name").and_then(Json::as_str) == Some(stage));
    let ports = match found {
        Some(found) => found.get("ports"),
        None => record
            .get("stages")
            .and_then(|stages| stages.get(stage)?.get("artifacts")),
    };
    Ok(ports.and_then(Json::as_object).cloned().unwrap_or_default())
}

/// How many configurations were ever evaluated on a table of folds: the different recipes of
/// evaluations in the records of runs. Each look at the same objects makes the best of them look
/// better than it is.
pub fn tried(runs: &Runs, folds: &Digest) -> Result<usize, CliError> {
    let folds = folds.to_string();
    let mut recipes = BTreeSet::new();
    for id in runs.list()? {
        // A record that another run is just removing, or that cannot be read, tells nothing.
        let Ok(Some((_, record))) = runs.load(&id) else {
            continue;
        };
        let stages = record.get("stages").and_then(Json::as_object);
        for stage in stages.into_iter().flat_map(|stages| stages.values()) {
            if stage.get("folds").and_then(Json::as_str) == Some(&folds) {
                let keys = stage.get("keys").and_then(Json::as_array);
                let keys = keys.into_iter().flatten().filter_map(Json::as_str);
                recipes.extend(keys.map(str::to_owned));
            }
        }
    }
    Ok(recipes.len())
}

/// When a run started, as its id says: `2026-11-23 12:05:01`.
pub fn when(id: &str) -> String {
    let is_time = |start: &str| start.chars().all(|c| c.is_ascii_digit() || c == 'T');
    if !id.get(..15).is_some_and(is_time) {
        return String::new();
    }
    let part = |range: std::ops::Range<usize>| &id[range];
    format!(
        "{}-{}-{} {}:{}:{}",
        part(0..4),
        part(4..6),
        part(6..8),
        part(9..11),
        part(11..13),
        part(13..15)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_run_is_found_by_id_tag_or_age() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Runs::new(dir.path());
        for (id, tags) in [
            ("20260101T000000-1", json!(["base"])),
            ("20260102T000000-1", json!([])),
        ] {
            runs.save(id, &json!({"tags": tags})).unwrap();
        }
        let found = |word: &str| find(&runs, word).map(|(id, _)| id).ok();
        assert_eq!(found("base").unwrap(), "20260101T000000-1");
        assert_eq!(found("last").unwrap(), "20260102T000000-1");
        assert_eq!(found("20260102").unwrap(), "20260102T000000-1");
        assert_eq!(found("last~0"), found("latest"));
        assert_eq!(found("last~1").unwrap(), "20260101T000000-1");
        assert_eq!(found("latest~1"), found("last~1"));
        for none in ["last~2", "last~", "last~x", "last~-1", "base~1", "lasting"] {
            assert_eq!(found(none), None, "{none}");
        }
        assert_eq!(
            (found("none"), found("1999"), found("2026")),
            (None, None, None)
        );
        assert!(check_tag("v1/base.2-x_y").is_ok());
        for bad in ["", "1st", "last", "a b", "ü"] {
            assert!(check_tag(bad).is_err(), "{bad}");
        }
        assert_eq!(when("20261123T120501-0000ff"), "2026-11-23 12:05:01");
        assert_eq!(when("old"), "");
    }
}
