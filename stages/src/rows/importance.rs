//! Joins what the fits of the folds say of how much each feature mattered.

use std::collections::BTreeMap;
use std::io::Write;

use flow_cache::Value;
use flow_engine::StageError;
use flow_engine::kind::{Action, Part};

use super::fold::FINAL;
use crate::table::write_importance;

/// Joins the lists of the folds (input `from`, each JSON `[[feature, share], ...]`) into one table of importance,
/// the output `to`: each feature's share, averaged over the fits of the cross-validation (or of the final fit if
/// there is no other), the largest first.
///
/// # Errors
/// If a list is unreadable, or the writer fails.
pub fn gather_importance(action: &mut Action<'_>, from: &str, to: &str) -> Result<(), StageError> {
    let importance = mean(action.input(from))?;
    let attrs = vec![("rows".to_owned(), Value::Int(importance.len() as i64))];
    let mut writer = action.create()?;
    write_importance(&mut writer, &importance)?;
    writer.flush()?;
    action.finish(to, writer, attrs)
}

fn mean(parts: &[Part]) -> Result<Vec<(String, f64)>, StageError> {
    let crossed = |part: &&Part| part.fold.as_deref() != Some(FINAL);
    let mut used: Vec<_> = parts.iter().filter(crossed).collect();
    if used.is_empty() {
        used = parts.iter().collect();
    }
    let mut sums = BTreeMap::new();
    for part in &used {
        let bytes = std::fs::read(&part.path)?;
        let shares: Vec<(String, f64)> = serde_json::from_slice(&bytes).map_err(|e| {
            StageError::data("flow::data::schema", "a list of gains is unreadable").because(e)
        })?;
        for (name, share) in shares {
            *sums.entry(name).or_insert(0.0) += share / used.len() as f64;
        }
    }
    let mut list: Vec<(String, f64)> = sums.into_iter().collect();
    list.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(list)
}
