//! Finds the recorded run that somebody means, by its id, its tag or its age.

use flow_cache::Runs;
use flow_engine::Diag;

use crate::error::CliError;
use crate::project;
use crate::record::RunRecord;

/// The run that somebody means by `last`, by `last~2` (the second one before the last), by a tag (the
/// newest run that has it), by an id or by the start of one.
pub fn find(runs: &Runs, word: &str) -> Result<(String, RunRecord), CliError> {
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

/// How many runs before the last one a word means: 0 for `last`, 2 for `last~2`.
fn before_last(word: &str) -> Option<usize> {
    let rest = word
        .strip_prefix("latest")
        .or_else(|| word.strip_prefix("last"))?;
    match rest {
        "" => Some(0),
        _ => rest.strip_prefix('~')?.parse().ok(),
    }
}

fn tagged(runs: &Runs, tag: &str) -> Result<Option<(String, RunRecord)>, CliError> {
    for id in runs.list()? {
        // A record that cannot be read has no tags that anybody knows of.
        if let Ok(Some((id, record))) = runs.load::<RunRecord>(&id)
            && record.tags.iter().any(|known| known == tag)
        {
            return Ok(Some((id, record)));
        }
    }
    Ok(None)
}

/// Returns true for a tag. The start of an id, the alternative, is a digit.
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
        let dir = flow_testkit::files::folder();
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
