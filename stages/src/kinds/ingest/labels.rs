//! Checks the class names of the pipeline against the labels that occur.

use std::collections::{BTreeMap, BTreeSet};

use flow_engine::StageError;
use flow_engine::base::suggest::closest;

use super::columns::Regroup;
use super::params::IngestParams;
use crate::table::{listed, no_positive};

/// Checks `positive` against the classes that occur, and `classes` against the labels in the files, as
/// far as these are known. A survey without any label can have neither.
///
/// # Errors
/// If no object is of the positive class, or a class of `classes` gets no object while a label looks
/// like a misspelling of one of its patterns.
pub(super) fn check(
    params: &IngestParams<'_>,
    classes: &BTreeMap<String, u64>,
    labels: &BTreeSet<String>,
) -> Result<(), StageError> {
    if classes.is_empty() {
        return Ok(());
    }
    regrouped(params, labels)?;
    match params
        .positive_class()
        .filter(|positive| !classes.contains_key(*positive))
    {
        None => Ok(()),
        Some(positive) => {
            let classes: Vec<String> = classes.keys().cloned().collect();
            Err(no_positive(Some(positive), &classes))
        }
    }
}

/// A class without labels may just be missing in this survey. But if there is a label that no rule
/// names and that is nearly one of the patterns of the class, the pattern is misspelt.
fn regrouped(params: &IngestParams<'_>, labels: &BTreeSet<String>) -> Result<(), StageError> {
    let rules =
        Regroup::of(params).map_err(|text| StageError::data("flow::params::classes", text))?;
    let left = || {
        labels
            .iter()
            .map(String::as_str)
            .filter(|label| !rules.names(label))
    };
    for (class, patterns) in rules.by_class() {
        let matched = |label: &String| patterns.iter().any(|pattern| pattern.matches(label));
        if labels.iter().any(matched) {
            continue;
        }
        let near = patterns.iter().find_map(|pattern| {
            let text = pattern.as_str();
            Some((text, closest(text, left())?))
        });
        if let Some((pattern, label)) = near {
            return Err(StageError::data(
                "flow::data::no_such_label",
                format!(
                    "no label is `{pattern}`, so the class `{class}` of `classes` has no object"
                ),
            )
            .help(format!("did you mean `{label}`?"))
            .help(format!(
                "the labels are: {}",
                listed(labels.iter().map(String::as_str))
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::ingest::tests::{ordered, params};

    fn checked(
        classes: &[(&str, &[&str])],
        labels: &[&str],
        positive: Option<&str>,
    ) -> Result<(), StageError> {
        let mut given = vec![("classes", ordered(classes))];
        given.extend(positive.map(|positive| ("positive", positive.into())));
        let params = params("csv", &given);
        let params = IngestParams::read(&params);
        let rules = Regroup::of(&params).unwrap();
        let mut counts = BTreeMap::new();
        for label in labels {
            *counts.entry(rules.class(label).to_owned()).or_default() += 1;
        }
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        check(&params, &counts, &labels)
    }

    #[test]
    fn a_positive_class_must_occur() {
        let labels = ["SN Ia", "TDE", "AGN"];
        assert!(checked(&[], &labels, Some("TDE")).is_ok());
        assert!(checked(&[], &labels, None).is_ok());
        assert!(checked(&[], &[], Some("TDE")).is_ok());
        let error = checked(&[], &labels, Some("tde")).unwrap_err();
        assert_eq!(error.code.as_str(), "flow::data::no_positive");
        assert!(error.help[0].contains("positive = \"TDE\""), "{error:?}");
        // Numbers keep their spelling.
        let error = checked(&[], &["1", "0"], Some("1.0")).unwrap_err();
        assert!(error.help.last().unwrap().contains("`0`, `1`"), "{error:?}");
        // The label was regrouped into another class.
        let error = checked(&[("other", &["*"])], &labels, Some("TDE")).unwrap_err();
        assert!(error.help.last().unwrap().contains("`other`"), "{error:?}");
    }

    #[test]
    fn a_misspelt_pattern_is_told_from_a_class_that_is_not_there() {
        let labels = ["SNIa", "SNII", "AGN"];
        let typo = checked(&[("Ia", &["SN1a"]), ("other", &["*"])], &labels, None);
        let error = typo.unwrap_err();
        assert_eq!(error.code.as_str(), "flow::data::no_such_label");
        assert!(error.help[0].contains("`SNIa`"), "{error:?}");
        // `SNIb` may well be absent, because the label that looks like it has a rule of its own.
        let absent: &[(&str, &[&str])] = &[("Ia", &["SNIa"]), ("Ib", &["SNIb"]), ("kn", &["KN"])];
        assert!(checked(absent, &["SNIa", "AGN"], None).is_ok());
    }
}
