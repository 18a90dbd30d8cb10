//! How two recorded runs differ, as data. The text and the event are both made from it.

use std::collections::{BTreeMap, HashMap};

use flow_cache::{Change, Digest, Store};

use crate::error::CliError;
use crate::record::{self, ActionRecord, RecordDifference, RunRecord, StageActions};

/// Two runs and their differences.
pub struct RunDifferences {
    /// The run to compare with.
    pub old: Side,
    /// The run that is compared.
    pub new: Side,
    /// What they were asked for, their pipelines, versions and machines, where these differ.
    pub circumstances: Vec<RecordDifference>,
    /// Metrics by name, with their values in both.
    pub metrics: Vec<(String, [Option<f64>; 2])>,
    /// The stages, or `None` where a run was recorded without its actions.
    pub stages: Vec<StageDifference>,
    /// The first action that came out differently.
    pub first: Option<Divergence>,
}

/// A run as recorded.
pub struct Side {
    /// Its id.
    pub id: String,
    /// What is recorded of it.
    pub record: RunRecord,
    /// Its actions by stage, in the order of its plan, or `None` where it was recorded without them.
    pub actions: Option<Vec<StageActions>>,
}

/// Why two actions of the same name gave different bytes.
pub enum Why {
    /// These fields of their recipes differ.
    Recipe(Vec<Change>),
    /// Their recipes are equal: the action is not deterministic.
    Nondeterminism,
    /// Their keys differ, but these runs have lost the record, and with it the recipe.
    Unknown(Vec<String>),
    /// Only this run has the action.
    Only(String),
}

/// The first action whose outputs differ.
pub struct Divergence {
    /// Its stage.
    pub stage: String,
    /// Its label.
    pub label: String,
    /// For each output that differs, its name and its digests in the old and the new run.
    pub outputs: Vec<(String, Option<Digest>, Option<Digest>)>,
    /// Why they differ.
    pub why: Why,
}

/// What became of a stage between two runs.
pub struct StageDifference {
    /// Its name.
    pub name: String,
    /// The number of actions in the old and in the new run, or `None` where a run has no such stage.
    pub actions: [Option<usize>; 2],
    /// Actions with equal recipes.
    pub same_recipe: usize,
    /// Actions with equal outputs.
    pub same_outputs: usize,
    /// The fields that differ, with their old and new values, each with the number of actions.
    pub fields: Vec<(Change, usize)>,
    /// The number of actions whose recipes cannot be compared because a record is gone.
    pub unknown: usize,
}

impl RunDifferences {
    /// Compares two runs. The store has the recipes of their actions.
    pub fn new(store: &Store, old: Side, new: Side) -> Result<Self, CliError> {
        let metrics = metrics(&old.record, &new.record);
        let mut stages = Vec::new();
        let mut first = None;
        if let (Some(before), Some(now)) = (&old.actions, &new.actions) {
            stages = stage_differences(store, before, now)?;
            first = divergence(store, [&old.id, &new.id], before, now)?;
        }
        Ok(Self {
            circumstances: record::differences(&old.record, &new.record),
            old,
            new,
            metrics,
            stages,
            first,
        })
    }
}

/// The metrics by name with their values.
fn metrics(old: &RunRecord, new: &RunRecord) -> Vec<(String, [Option<f64>; 2])> {
    let mut all: Vec<(String, [Option<f64>; 2])> = Vec::new();
    for (side, record) in [old, new].into_iter().enumerate() {
        for (stage, metric, figures) in record.metrics.iter() {
            // Macro averages are not the same figures as those of a class, even under one name.
            let name = format!("{stage}.{metric}{}", figures.of_what());
            let known = all.iter().position(|(known, _)| *known == name);
            let at = known.unwrap_or_else(|| {
                all.push((name, [None, None]));
                all.len() - 1
            });
            all[at].1[side] = figures.value();
        }
    }
    all
}

fn by_label(actions: &[ActionRecord]) -> HashMap<&str, &ActionRecord> {
    let by_label = actions.iter().map(|action| (action.label.as_str(), action));
    by_label.collect()
}

/// The actions of a stage by their labels. Empty where there is no such stage.
fn of_stage<'a>(stages: &'a [StageActions], name: &str) -> HashMap<&'a str, &'a ActionRecord> {
    let found = stages.iter().find(|stage| stage.name == name);
    found.map_or(HashMap::new(), |stage| by_label(&stage.actions))
}

fn stage_differences(
    store: &Store,
    old: &[StageActions],
    new: &[StageActions],
) -> Result<Vec<StageDifference>, CliError> {
    let number = |stages: &[StageActions], name: &str| {
        let found = stages.iter().find(|stage| stage.name == name);
        found.map(|stage| stage.actions.len())
    };
    let mut all = Vec::new();
    for stage in new {
        let mut told = StageDifference {
            actions: [number(old, &stage.name), Some(stage.actions.len())],
            ..StageDifference::new(&stage.name)
        };
        let before = of_stage(old, &stage.name);
        for action in &stage.actions {
            let Some(was) = before.get(action.label.as_str()) else {
                continue;
            };
            told.same_outputs += usize::from(action.outputs == was.outputs);
            if action.key == was.key {
                told.same_recipe += 1;
                continue;
            }
            match recipes(store, was, action)? {
                Some(changes) => changes.into_iter().for_each(|change| told.note(change)),
                None => told.unknown += 1,
            }
        }
        all.push(told);
    }
    for stage in old {
        if number(new, &stage.name).is_none() {
            all.push(StageDifference {
                actions: [Some(stage.actions.len()), None],
                ..StageDifference::new(&stage.name)
            });
        }
    }
    Ok(all)
}

/// The differences between the recipes of two actions, if the store has both.
fn recipes(
    store: &Store,
    old: &ActionRecord,
    new: &ActionRecord,
) -> Result<Option<Vec<Change>>, CliError> {
    let (old, new) = (store.lookup(&old.key)?, store.lookup(&new.key)?);
    Ok(old
        .zip(new)
        .map(|(old, new)| new.recipe().diff(old.recipe())))
}

impl StageDifference {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            actions: [None, None],
            same_recipe: 0,
            same_outputs: 0,
            fields: Vec::new(),
            unknown: 0,
        }
    }

    /// Counts a change. Of inputs it only notes that they differ, because they follow from the stages
    /// above.
    fn note(&mut self, change: Change) {
        let change = match change.path.starts_with("inputs") {
            true => Change {
                path: "inputs".to_owned(),
                old: None,
                new: None,
            },
            false => change,
        };
        match self.fields.iter_mut().find(|(known, _)| *known == change) {
            Some((_, count)) => *count += 1,
            None => self.fields.push((change, 1)),
        }
    }

    /// Returns true for a stage that gave the same results by the same recipes.
    pub fn is_equal(&self) -> bool {
        self.actions == [Some(self.same_outputs), Some(self.same_outputs)]
            && self.same_recipe == self.same_outputs
    }
}

/// The first action, in the order of the new run's plan, that gave other bytes.
fn divergence(
    store: &Store,
    [old_id, new_id]: [&str; 2],
    old: &[StageActions],
    new: &[StageActions],
) -> Result<Option<Divergence>, CliError> {
    for stage in new {
        let before = of_stage(old, &stage.name);
        for action in &stage.actions {
            let was = before.get(action.label.as_str()).copied();
            if was.is_some_and(|was| was.outputs == action.outputs) {
                continue;
            }
            let why = match was {
                None => Why::Only(new_id.to_owned()),
                Some(was) if was.key == action.key => Why::Nondeterminism,
                Some(was) => match recipes(store, was, action)? {
                    Some(changes) => Why::Recipe(changes),
                    None => {
                        let mut gone = Vec::new();
                        for (id, action) in [(old_id, was), (new_id, action)] {
                            if store.lookup(&action.key)?.is_none() {
                                gone.push(id.to_owned());
                            }
                        }
                        Why::Unknown(gone)
                    }
                },
            };
            return Ok(Some(Divergence {
                stage: stage.name.clone(),
                label: action.label.clone(),
                outputs: outputs(was, Some(action)),
                why,
            }));
        }
    }
    // Nothing that the new run did is different, but the old one may have done more.
    for stage in old {
        let now = of_stage(new, &stage.name);
        let mut actions = stage.actions.iter();
        if let Some(action) = actions.find(|action| !now.contains_key(action.label.as_str())) {
            return Ok(Some(Divergence {
                stage: stage.name.clone(),
                label: action.label.clone(),
                outputs: outputs(Some(action), None),
                why: Why::Only(old_id.to_owned()),
            }));
        }
    }
    Ok(None)
}

/// The outputs that differ: those of the new action first, then those that only the old one has.
fn outputs(
    old: Option<&ActionRecord>,
    new: Option<&ActionRecord>,
) -> Vec<(String, Option<Digest>, Option<Digest>)> {
    let outputs = |action: Option<&ActionRecord>| {
        action.map_or(BTreeMap::new(), |action| action.outputs.clone())
    };
    let (old, new) = (outputs(old), outputs(new));
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    let names = new.keys().chain(gone);
    names
        .map(|name| (name.clone(), old.get(name).copied(), new.get(name).copied()))
        .filter(|(_, old, new)| old != new)
        .collect()
}
