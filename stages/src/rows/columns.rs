//! Fits something on the training rows of a fold, column by column.

use flow_engine::StageError;
use flow_engine::kind::Action;
use rayon::prelude::*;

use super::fitted::{FittedView, MappedColumn};
use super::read::TrainRows;

/// Compiles names and globs.
///
/// # Errors
/// If one is not a valid glob.
pub fn patterns(texts: &[&str]) -> Result<Vec<glob::Pattern>, StageError> {
    texts
        .iter()
        .map(|text| {
            glob::Pattern::new(text).map_err(|e| {
                StageError::data(
                    "flow::params::glob",
                    format!("`{text}` is not a valid pattern"),
                )
                .because(e)
            })
        })
        .collect()
}

/// Fits a view of the columns that match one of `wanted` (or of all, if it is empty) on the training rows of
/// the action's fold, and writes it. `fit` gets the name and the values of a column.
///
/// # Errors
/// If the rows cannot be read, or a pattern is not valid or matches no column.
pub fn fit_columns<F>(action: &mut Action<'_>, wanted: &[&str], fit: F) -> Result<(), StageError>
where
    F: Fn(&str, &[f32]) -> Vec<MappedColumn> + Sync,
{
    let rows = TrainRows::read(action)?;
    let names = rows.features.names();
    let columns = matching(names, wanted)?;
    let n = rows.object_id.len();
    let mut maps = Vec::with_capacity(columns.len());
    rows.in_blocks(action, &columns, |block, values| {
        let fitted: Vec<Vec<MappedColumn>> = block
            .par_iter()
            .enumerate()
            .map(|(j, &column)| fit(&names[column], &values[j * n..(j + 1) * n]))
            .collect();
        maps.extend(fitted.into_iter().flatten());
    })?;
    FittedView::Maps { maps }.write(action, names.len(), None)
}

/// Returns the places of the names that match one of the patterns, or of all if there is no pattern.
fn matching(names: &[String], wanted: &[&str]) -> Result<Vec<usize>, StageError> {
    let patterns = patterns(wanted)?;
    let unused = patterns
        .iter()
        .find(|p| !names.iter().any(|n| p.matches(n)));
    if let Some(unused) = unused {
        let some: Vec<String> = names.iter().take(5).map(|n| format!("`{n}`")).collect();
        return Err(StageError::data(
            "flow::data::features",
            format!("no column is called `{unused}`, or matches it"),
        )
        .help(format!("the first columns are {}", some.join(", "))));
    }
    let all = 0..names.len();
    let wanted = |name: &str| patterns.is_empty() || patterns.iter().any(|p| p.matches(name));
    Ok(all.filter(|&i| wanted(&names[i])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name_or_pattern() {
        let names = ["g_x", "r_x", "r_y"].map(String::from);
        assert_eq!(matching(&names, &[]).unwrap(), [0, 1, 2]);
        assert_eq!(matching(&names, &["r_*", "g_x"]).unwrap(), [0, 1, 2]);
        assert_eq!(matching(&names, &["*_y"]).unwrap(), [2]);
        let error = matching(&names, &["r_y", "i_*"]).unwrap_err();
        assert!(
            error.message.contains("`i_*`") && error.help[0].contains("`g_x`"),
            "{error}"
        );
        assert!(matching(&names, &["["]).is_err());
    }
}
