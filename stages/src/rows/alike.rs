//! Features of further rows, seen as those of the training rows are.

use flow_engine::StageError;
use flow_engine::kind::Part;

/// Returns the parts of a port beside `features`, seen through the views through which the parts of `features` are
/// seen, reference by reference. Parts that are seen through views already keep those.
///
/// # Errors
/// If there are views, and the two ports do not have as many tables.
pub fn seen_alike(features: &[Part], port: &str, parts: &[Part]) -> Result<Vec<Part>, StageError> {
    let seen = |parts: &[Part]| parts.iter().any(|part| !part.views.is_empty());
    if !seen(features) || seen(parts) {
        return Ok(parts.to_vec());
    }
    let tables = |parts: &[Part]| parts.iter().map(|part| part.reference + 1).max();
    let (of_rows, of_others) = (tables(features), tables(parts));
    if of_rows != of_others {
        let text = format!(
            "{} tables of features come in through `{port}`, and {} through `features`, which are seen through a choice or a change of columns",
            of_others.unwrap_or(0),
            of_rows.unwrap_or(0)
        );
        return Err(StageError::data("flow::data::features", text).help(format!(
            "list a stage in `{port}` for each stage that the features come from, in the same order"
        )));
    }
    let alike = |part: &Part| {
        let like = features
            .iter()
            .find(|other| other.reference == part.reference);
        Part {
            views: like.map_or(Vec::new(), |like| like.views.clone()),
            ..part.clone()
        }
    };
    Ok(parts.iter().map(alike).collect())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use flow_cache::{Digest, Value};

    use super::*;

    fn part(reference: usize, views: &[&str]) -> Part {
        Part {
            path: PathBuf::from("features"),
            digest: Digest::of(b""),
            attrs: Value::Null,
            reference,
            fold: None,
            views: views.iter().map(PathBuf::from).collect(),
        }
    }

    fn views(features: &[Part], parts: &[Part]) -> Option<Vec<Vec<PathBuf>>> {
        let alike = seen_alike(features, "augmented", parts).ok()?;
        Some(alike.into_iter().map(|part| part.views).collect())
    }

    #[test]
    fn further_rows_are_seen_through_the_views_of_the_others() {
        let features = [part(0, &["a", "b"]), part(0, &["a", "b"]), part(1, &["c"])];
        let paths = |views: &[&str]| views.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(
            views(&features, &[part(0, &[]), part(1, &[])]),
            Some(vec![paths(&["a", "b"]), paths(&["c"])])
        );
        // Those that have views keep them, and without views there is nothing to take over.
        assert_eq!(
            views(&features, &[part(0, &["d"])]),
            Some(vec![paths(&["d"])])
        );
        let plain = [part(0, &[]), part(1, &[])];
        assert_eq!(views(&plain, &[part(0, &[])]), Some(vec![Vec::new()]));
        assert_eq!(views(&features, &[part(0, &[])]), None);
    }
}
