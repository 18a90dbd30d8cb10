//! What the records of earlier runs tell.

use std::collections::BTreeSet;

use flow_cache::{Digest, Runs};
use serde_json::Value as Json;

use crate::error::CliError;

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
