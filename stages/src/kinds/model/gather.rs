//! What the folds' models came to, together: the predictions and the importance of the features.

use std::io::Write;

use flow_cache::Value;
use flow_engine::kind::{Action, Part, StageError};

use crate::rows;
use crate::table::{Folds, write_importance};

/// Joins the predictions of the folds, and averages their importance.
pub fn gather(action: &mut Action<'_>) -> Result<(), StageError> {
    let folds = Folds::read(&action.one("folds")?.path)?;
    rows::gather(action, "part", "predictions", &folds, |_| {})?;
    let importance = mean_gain(action)?;
    let attrs = vec![("rows".to_owned(), Value::Int(importance.len() as i64))];
    let mut writer = action.create()?;
    write_importance(&mut writer, &importance)?;
    writer.flush()?;
    action.finish("importance", writer, attrs)
}

/// Each column's share of the gain, averaged over the fits of the cross-validation (or of the final fit
/// if there is no other), the largest first.
fn mean_gain(action: &Action<'_>) -> Result<Vec<(String, f64)>, StageError> {
    let parts = action.input("gain");
    let crossed = |part: &&Part| part.fold.as_deref() != Some(rows::FINAL);
    let mut used: Vec<_> = parts.iter().filter(crossed).collect();
    if used.is_empty() {
        used = parts.iter().collect();
    }
    let mut sums = std::collections::BTreeMap::new();
    for part in &used {
        let bytes = std::fs::read(&part.path)?;
        let gain: Vec<(String, f64)> = serde_json::from_slice(&bytes).map_err(|e| {
            StageError::data("flow::data::schema", "a list of gains is unreadable").because(e)
        })?;
        for (name, gain) in gain {
            *sums.entry(name).or_insert(0.0) += gain / used.len() as f64;
        }
    }
    let mut list: Vec<(String, f64)> = sums.into_iter().collect();
    list.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(list)
}
