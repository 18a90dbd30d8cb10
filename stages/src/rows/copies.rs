//! The copies of a fit's rows. A copy is `SOURCE~NUMBER`, and has the class of its source. A copy `SOURCE~+NUMBER` is a
//! synthetic object that was put in place of its source, and is of the positive class.

use flow_engine::StageError;
use flow_engine::kind::{Action, Part, Rows};

use super::alike::seen_alike;
use super::fold;
use super::read::of_action;
use super::sample::drawn;
use super::sequences::SequenceRows;
use super::view::{FeatureView, objects_of};
use crate::table::{Folds, Sequences, no_positive};

/// What separates the name of the source from the rest.
const MARK: char = '~';
/// What a synthetic object has before its number.
const SYNTHETIC: char = '+';

/// The name of copy `number` of an object.
pub fn copy_id(source: &str, number: usize) -> String {
    format!("{source}{MARK}{number}")
}

/// The name of synthetic object `number` that is put in place of an object.
pub fn synthetic_id(source: &str, number: usize) -> String {
    format!("{source}{MARK}{SYNTHETIC}{number}")
}

/// Returns the name of the source, and whether the copy is a synthetic object; none if it is no name of a copy. The
/// name of the source may itself have the mark in it.
fn parse(id: &str) -> Option<(&str, bool)> {
    let (source, rest) = id.rsplit_once(MARK)?;
    let number = rest.strip_prefix(SYNTHETIC);
    let digits = number.unwrap_or(rest);
    let good = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    good.then_some((source, number.is_some()))
}

/// The copies of the rows that a fit sees.
pub struct CopyRows {
    /// The copies, in the order of their bytes.
    pub object_id: Vec<String>,
    /// The objects that they are copies of.
    pub source: Vec<String>,
    /// The index of each copy's class in [`TrainRows::classes`](super::TrainRows::classes).
    pub label: Vec<usize>,
    /// The features of the copies.
    pub features: FeatureView,
    /// The sequences of the copies, if the stage reads some.
    pub sequences: Option<SequenceRows>,
}

impl CopyRows {
    /// The port with the features of these rows.
    pub const PORT: &str = "augmented";
    /// The port with their sequences.
    pub const SEQUENCES: &str = "augmented_sequences";

    /// Reads the copies of those training rows of the action's fold that [`TrainRows::sampled`](super::TrainRows::sampled)
    /// reads; none if nothing is connected to the ports `augmented` and `augmented_sequences`, or no training row has a
    /// copy.
    ///
    /// # Errors
    /// If a table is unreadable or lacks a copy, a row of it is no copy of an object in the table of folds, or there
    /// are synthetic objects but no positive class.
    pub fn read(action: &Action<'_>, sample: Option<usize>) -> Result<Option<Self>, StageError> {
        let (parts, sequences) = (action.input(Self::PORT), action.input(Self::SEQUENCES));
        if parts.is_empty() && sequences.is_empty() {
            return Ok(None);
        }
        let (folds, rows) = of_action(action, Rows::Copies)?;
        let rows = drawn(action, &folds, rows, sample)?;
        let mut found: Vec<(String, String, usize)> = Vec::new();
        for id in ids(parts, sequences)? {
            let (at, synthetic) = source(&folds, &id)?;
            if rows.binary_search(&at).is_ok() {
                let class = class(&folds, at, synthetic)?;
                found.push((id, folds.object_id[at].clone(), class));
            }
        }
        if found.is_empty() {
            return Ok(None);
        }
        found.sort();
        let alike = match parts.is_empty() {
            true => Vec::new(),
            false => seen_alike(action.input("features"), Self::PORT, parts)?,
        };
        let object_id: Vec<String> = found.iter().map(|(id, ..)| id.clone()).collect();
        let sequences = match sequences.is_empty() {
            true => None,
            false => Some(SequenceRows::open(sequences.iter(), &object_id)?),
        };
        Ok(Some(Self {
            features: FeatureView::open(&alike, &object_id)?,
            sequences,
            label: found.iter().map(|(.., class)| *class).collect(),
            source: found.into_iter().map(|(_, source, _)| source).collect(),
            object_id,
        }))
    }
}

/// Returns the rows of copies, which have features, sequences or both.
fn ids(features: &[Part], sequences: &[Part]) -> Result<Vec<String>, StageError> {
    let mut ids = Vec::new();
    for part in features.iter().filter(|part| part.reference == 0) {
        ids.extend(objects_of(part)?);
    }
    if features.is_empty() {
        for part in sequences {
            ids.extend_from_slice(Sequences::open(&part.path)?.object_ids());
        }
    }
    Ok(ids)
}

/// Returns the row of the table of folds that a row is a copy of, and whether it is a synthetic object.
fn source(folds: &Folds, id: &str) -> Result<(usize, bool), StageError> {
    let of = |(name, synthetic): (&str, bool)| {
        let at = folds.object_id.binary_search_by(|id| id.as_str().cmp(name));
        Some((at.ok()?, synthetic))
    };
    parse(id).and_then(of).ok_or_else(|| {
        let port = CopyRows::PORT;
        let text = format!("`{id}` comes in through `{port}`, and is no copy of an object that is dealt to folds");
        StageError::data("flow::leakage::no_copies", text)
            .help("a copy is called by the name of its object, `~` and a number, so that it stays in the fold of that object")
    })
}

/// Returns the class of a copy of row `source`, as its place in the list of classes.
fn class(folds: &Folds, source: usize, synthetic: bool) -> Result<usize, StageError> {
    let class = match synthetic {
        true => folds.positive_class(),
        false => {
            let label = fold::label(folds, source)?;
            folds.classes.iter().position(|class| class == label)
        }
    };
    class.ok_or_else(|| no_positive(folds.positive.as_deref(), &folds.classes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_told_by_their_names() {
        assert_eq!(parse(&copy_id("a", 12)), Some(("a", false)));
        assert_eq!(parse(&synthetic_id("a", 1)), Some(("a", true)));
        // An object may be called like a copy, and has copies of its own.
        assert_eq!(parse(&copy_id("a~1", 2)), Some(("a~1", false)));
        for no_copy in ["a", "", "~", "a~", "a~+", "a~x", "a~-1", "a~1x", "a~++1"] {
            assert_eq!(parse(no_copy), None, "{no_copy}");
        }
    }

    #[test]
    fn a_copy_of_nothing_is_refused() {
        let folds = Folds {
            classes: vec!["A".into()],
            positive: None,
            object_id: vec!["a".into(), "b".into()],
            label: vec![Some("A".into()); 2],
            raw_label: Vec::new(),
            group: vec![None; 2],
            repeats: vec![vec![Some(0), Some(1)]],
        };
        assert_eq!(source(&folds, "b~1").unwrap(), (1, false));
        for id in ["b", "c~1", "b~1~1"] {
            let error = source(&folds, id).unwrap_err();
            assert_eq!(error.code.as_str(), "flow::leakage::no_copies", "{id}");
        }
    }
}
