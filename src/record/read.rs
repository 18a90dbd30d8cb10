//! Answers questions about records, and changes the two things in them that can change after the run.

use std::collections::{BTreeMap, BTreeSet};

use flow_cache::{ActionKey, Digest, Runs, StoreError};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::{LongRecord, PortRecord, RunRecord};
use crate::wording::quoted;

/// The commands that leave a record of a run.
const COMMANDS: [&str; 4] = ["run", "ablate", "tune", "check"];

impl RunRecord {
    /// The command that made the run, such as `ablate`, if the record says it.
    pub fn by(&self) -> Option<&str> {
        let mut words = self.command.iter().map(String::as_str);
        words.find(|word| COMMANDS.contains(word))
    }

    /// The command line that repeats the run from its working directory. A record of an earlier version
    /// has only what decides a result.
    pub fn again(&self) -> String {
        if self.command.is_empty() {
            let file = quoted(self.file.as_deref().unwrap_or_default());
            let line = format!("flow run {file} {}", self.asked(true));
            return line.trim_end().to_owned();
        }
        let words = self.command.iter().map(|word| quoted(word));
        format!("flow {}", words.collect::<Vec<_>>().join(" "))
    }

    /// The versions of flow and of the programs and packages that stages used, by name. Where stages used
    /// several versions, all of them are named.
    pub fn versions(&self) -> Vec<(String, String)> {
        let mut all: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, version) in self.stages.iter().flat_map(|(_, stage)| &stage.versions) {
            all.entry(name).or_default().insert(version);
        }
        let flow = self.flow.iter().map(|flow| ("flow", flow.clone()));
        let others = all.into_iter().map(|(name, versions)| {
            let versions: Vec<&str> = versions.into_iter().collect();
            (name, versions.join(" and "))
        });
        let all = flow.chain(others);
        all.map(|(name, version)| (name.to_owned(), version))
            .collect()
    }

    /// The long part, or `None` if it is gone or the version that recorded the run kept none.
    pub fn long(&self, runs: &Runs) -> Result<Option<LongRecord>, StoreError> {
        match &self.actions {
            Some(digest) => runs.long(digest),
            None => Ok(None),
        }
    }

    /// The keys of all actions that the run reached, however old the record is.
    pub fn keys(&self, runs: &Runs) -> Result<Vec<ActionKey>, StoreError> {
        if let Some(long) = self.long(runs)? {
            let actions = long.stages.into_iter().flat_map(|stage| stage.actions);
            return Ok(actions.map(|action| action.key).collect());
        }
        let stages = self.stages.iter();
        let keys = stages.flat_map(|(_, stage)| stage.keys.iter().flatten());
        Ok(keys.copied().collect())
    }

    /// The ports of a stage by name, however old the record is.
    pub fn ports(
        &self,
        runs: &Runs,
        stage: &str,
    ) -> Result<BTreeMap<String, PortRecord>, StoreError> {
        let long = self.long(runs)?.unwrap_or_default();
        let found = long.stages.into_iter().find(|found| found.name == stage);
        Ok(match found {
            Some(found) => found.ports,
            None => self
                .stages
                .get(stage)
                .and_then(|stage| stage.artifacts.clone())
                .unwrap_or_default(),
        })
    }
}

/// Counts the configurations ever evaluated on some tables of folds: the different recipes of evaluations
/// in the records of runs. Each look at the same objects makes the best of them look better than it is.
pub fn tried(runs: &Runs, folds: &BTreeSet<Digest>) -> Result<usize, StoreError> {
    let mut recipes = BTreeSet::new();
    for id in runs.list()? {
        // A record that another run is just removing, or that cannot be read, says nothing.
        let Ok(Some((_, record))) = runs.load::<RunRecord>(&id) else {
            continue;
        };
        for (_, stage) in record.stages {
            if stage.folds.is_some_and(|table| folds.contains(&table)) {
                recipes.extend(stage.keys.into_iter().flatten());
            }
        }
    }
    Ok(recipes.len())
}

/// A record as it is written, including fields that this version does not know.
pub fn as_written(runs: &Runs, id: &str) -> Result<Map<String, Json>, StoreError> {
    Ok(runs.load(id)?.map(|(_, record)| record).unwrap_or_default())
}

/// Changes the tags of a run. The rest of its record stays as it is written.
pub fn tag(runs: &Runs, id: &str, change: impl FnOnce(&mut Vec<String>)) -> Result<(), StoreError> {
    runs.update(id, |written: &mut Map<String, Json>| {
        let tags = written.get("tags").map(Vec::deserialize);
        let mut tags = tags.and_then(Result::ok).unwrap_or_default();
        change(&mut tags);
        written.insert("tags".into(), tags.into());
    })?;
    Ok(())
}

/// Pins or unpins a run. The rest of its record stays as it is written.
pub fn pin(runs: &Runs, id: &str, pinned: bool) -> Result<(), StoreError> {
    runs.update(id, |written: &mut Map<String, Json>| {
        written.insert("pinned".into(), pinned.into());
    })?;
    Ok(())
}
