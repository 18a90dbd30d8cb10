//! What decides the results of a stage, and the results, small enough for a file that people merge.
//!
//! An action's key holds the digests of all that it reads, including what other actions of its stage
//! made. If one of those gave other bytes, the keys below it would differ too, and nothing would look
//! wrong. So the recipe of a **stage** is made of what comes from outside the stage: the fields of its
//! actions' recipes without their inputs, and the digests of all that its ports read.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use flow_cache::{Digest, StatCache, Value};
use flow_engine::kind::FileRef;
use flow_engine::outputs::ports::Port;
use flow_engine::plan::Plan;
use flow_engine::plan::keys::{self, Keys, Known};
use serde::{Deserialize, Serialize};

use crate::error::CliError;
use crate::evaluation::Artifacts;

/// One stage, after a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageState {
    /// The digest of all that decides its results.
    pub recipe: Digest,
    /// The digest of its inputs, a part of the recipe.
    pub inputs: Digest,
    /// The digest of its source files and items, another part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Digest>,
    /// The source files by their paths in the project, unless there are many.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, Digest>,
    /// Its results, by output.
    #[serde(default)]
    pub outputs: BTreeMap<String, Digest>,
    /// The rest of the recipe: kind, version, parameters, seeds, surroundings.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
}

/// Fields of a recipe that tell the actions of a stage apart. Only their digest is kept.
const OF_ACTIONS: [&str; 2] = ["sources", "item"];

/// The most source files of a stage that a baseline names. A stage with more has none named.
const FILES: usize = 64;

/// The states of all stages by name, after a run that went well.
pub fn states(
    artifacts: &Artifacts<'_>,
    stat: &StatCache,
) -> Result<Vec<(String, StageState)>, CliError> {
    let Artifacts { plan, slots, .. } = *artifacts;
    let mut keys = Keys::new(stat);
    let mut states = Vec::with_capacity(plan.pipeline.stages.len());
    for stage in 0..plan.pipeline.stages.len() {
        let inputs = inputs(artifacts, stage);
        let mut all = inputs.as_bytes().to_vec();
        let mut sources = Vec::new();
        let mut fields = BTreeMap::new();
        // The fields that all actions of a step share are looked at only once.
        let mut seen = HashSet::new();
        for action in plan.of_stage(stage) {
            let Known::Recipe(look) = keys::look(plan, slots, &mut keys, action)? else {
                continue;
            };
            for (name, value) in look.recipe.fields() {
                if name == "inputs" {
                    continue;
                }
                let digest = Digest::of(&value.encode());
                all.extend(name.as_bytes());
                all.extend(digest.as_bytes());
                if OF_ACTIONS.contains(&name.as_str()) {
                    sources.extend(digest.as_bytes());
                } else if name != "step" && seen.insert((name.clone(), digest)) {
                    flatten(name, &value, &mut fields);
                }
            }
        }
        let outputs = artifacts.outputs(stage).filter_map(|(output, port)| {
            let digest = port?.digest()?;
            Some((output.name.clone(), digest))
        });
        let state = StageState {
            recipe: Digest::of(&all),
            inputs,
            sources: (!sources.is_empty()).then(|| Digest::of(&sources)),
            files: files(plan, stage, stat)?,
            outputs: outputs.collect(),
            fields,
        };
        states.push((plan.pipeline.stages[stage].name.clone(), state));
    }
    Ok(states)
}

/// The source files of a stage, if there are not too many to name. They are named by their paths in the
/// project, or without folders where they lie outside, because nothing in a baseline depends on the
/// machine.
fn files(
    plan: &Plan<'_>,
    stage: usize,
    stat: &StatCache,
) -> Result<BTreeMap<String, Digest>, CliError> {
    let decl = &plan.pipeline.stages[stage];
    let common = decl.layout.common.iter().map(FileRef::from);
    let of_shards = decl.layout.shards.iter().flat_map(|shard| shard.files());
    let found: Vec<FileRef<'_>> = common.chain(of_shards).take(FILES + 1).collect();
    let mut files = BTreeMap::new();
    for file in found.iter().filter(|_| found.len() <= FILES) {
        let below = file.path.strip_prefix(&plan.pipeline.root).ok();
        let name = below.or_else(|| file.path.file_name().map(Path::new));
        let name = name.unwrap_or(file.path).to_string_lossy().into_owned();
        let (digest, _) = stat.digest(file.path).map_err(|error| {
            CliError::environment(format!("failed to read {}", file.path.display()), error)
        })?;
        files.insert(name, digest);
    }
    Ok(files)
}

/// The digest of all that the ports of a stage read, and of the folds that slice it.
fn inputs(artifacts: &Artifacts<'_>, stage: usize) -> Digest {
    let decl = &artifacts.plan.pipeline.stages[stage];
    let mut bindings: Vec<_> = decl.inputs.iter().collect();
    bindings.sort_by(|a, b| a.port.cmp(&b.port));
    let mut all = Vec::new();
    let mut add = |name: &str, port: Option<Port>| {
        all.extend(name.as_bytes());
        all.push(0);
        if let Some(digest) = port.and_then(|port| port.digest()) {
            all.extend(digest.as_bytes());
        }
    };
    for binding in bindings {
        for from in &binding.from {
            add(&binding.port, artifacts.port(*from));
        }
    }
    if decl.fold_root.is_some_and(|root| root != stage) {
        add("", artifacts.folds(stage));
    }
    Digest::of(&all)
}

/// Flattens maps into one entry for each value, with a dotted name.
fn flatten(name: String, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Map(entries) if !entries.is_empty() => {
            for (inner, value) in entries {
                flatten(format!("{name}.{inner}"), value, into);
            }
        }
        _ => drop(into.entry(name).or_insert_with(|| value.to_string())),
    }
}

/// How a stage compares with the baseline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The same recipe and the same results.
    Same,
    /// The same recipe, but other bytes for these outputs: the digests before and now.
    Nondeterministic(Vec<(String, Digest, Digest)>),
    /// Another recipe, with what differs in it.
    Changed(Vec<String>),
    /// The baseline does not have it.
    New,
    /// The pipeline no longer has it.
    Gone,
}

/// Stages with their standing: those of the pipeline in order, then those that are gone.
pub fn standings(
    earlier: &BTreeMap<String, StageState>,
    now: &[(String, StageState)],
) -> Vec<(String, Standing)> {
    let names: HashSet<&str> = now.iter().map(|(name, _)| name.as_str()).collect();
    let standing = |name: &str, state: &StageState| {
        let named = earlier.get(name);
        // A stage that was only renamed still has the same recipe.
        let same = named.filter(|old| old.recipe == state.recipe);
        let same = same.or_else(|| earlier.values().find(|old| old.recipe == state.recipe));
        match (same, named) {
            (Some(old), _) => match differing(old, state) {
                outputs if outputs.is_empty() => Standing::Same,
                outputs => Standing::Nondeterministic(outputs),
            },
            (None, Some(old)) => Standing::Changed(changes(old, state)),
            (None, None) => Standing::New,
        }
    };
    let mut all: Vec<(String, Standing)> = now
        .iter()
        .map(|(name, state)| (name.clone(), standing(name, state)))
        .collect();
    for (name, old) in earlier {
        let renamed = now.iter().any(|(_, state)| state.recipe == old.recipe);
        if !names.contains(name.as_str()) && !renamed {
            all.push((name.clone(), Standing::Gone));
        }
    }
    all
}

fn differing(old: &StageState, now: &StageState) -> Vec<(String, Digest, Digest)> {
    let outputs = old.outputs.iter().filter_map(|(name, was)| {
        let is = now.outputs.get(name)?;
        (is != was).then(|| (name.clone(), *was, *is))
    });
    outputs.collect()
}

/// What differs between two recipes.
fn changes(old: &StageState, now: &StageState) -> Vec<String> {
    let mut changes = Vec::new();
    for (name, value) in &now.fields {
        match old.fields.get(name) {
            Some(was) if was == value => {}
            Some(was) => changes.push(format!("{name}: {} -> {}", short(was), short(value))),
            None => changes.push(format!("{name}: new, {}", short(value))),
        }
    }
    for (name, was) in &old.fields {
        if !now.fields.contains_key(name) {
            changes.push(format!("{name}: gone, was {}", short(was)));
        }
    }
    if old.sources != now.sources {
        changes.extend(changed_files(old, now));
    }
    if old.inputs != now.inputs {
        changes.push("inputs: other results of earlier stages".into());
    }
    if changes.is_empty() {
        changes.push("its actions: others, or in another order".into());
    }
    changes
}

/// The source files that differ.
fn changed_files(old: &StageState, now: &StageState) -> Vec<String> {
    let mut changes = Vec::new();
    for (name, digest) in &now.files {
        match old.files.get(name) {
            Some(was) if was == digest => {}
            Some(_) => changes.push(format!("sources: {name} has other contents")),
            None if old.files.is_empty() => {}
            None => changes.push(format!("sources: {name} is new")),
        }
    }
    let gone = |name: &&String| !now.files.is_empty() && !now.files.contains_key(*name);
    let gone = old.files.keys().filter(gone);
    changes.extend(gone.map(|name| format!("sources: {name} is gone")));
    if changes.is_empty() {
        changes.push(match (old.files.is_empty(), now.files.is_empty()) {
            (false, false) => "sources: the same files for other items".into(),
            (true, false) => {
                "sources: other files, contents or items (a baseline written anew names them)"
                    .into()
            }
            _ => "sources: other files, contents or items".into(),
        });
    }
    changes
}

/// A value in at most 60 characters.
fn short(text: &str) -> String {
    if text.chars().count() <= 60 {
        return text.to_owned();
    }
    let cut: String = text.chars().take(57).collect();
    format!("{cut}...")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(recipe: &str, output: &str, rounds: &str) -> StageState {
        StageState {
            recipe: Digest::of(recipe.as_bytes()),
            inputs: Digest::of(b"inputs"),
            sources: None,
            files: BTreeMap::new(),
            outputs: [("out".to_owned(), Digest::of(output.as_bytes()))].into(),
            fields: [("params.rounds".to_owned(), rounds.to_owned())].into(),
        }
    }

    #[test]
    fn the_file_that_changed_is_named() {
        let with = |sources: &str, files: &[(&str, &str)]| StageState {
            sources: Some(Digest::of(sources.as_bytes())),
            files: (files.iter())
                .map(|(name, text)| ((*name).to_owned(), Digest::of(text.as_bytes())))
                .collect(),
            ..state("r", "1", "5")
        };
        let old = with("1", &[("fit.py", "a"), ("lib/x.py", "b"), ("old.py", "c")]);
        let now = with("2", &[("fit.py", "a"), ("lib/x.py", "B"), ("new.py", "c")]);
        assert_eq!(
            changes(&old, &now),
            [
                "sources: lib/x.py has other contents",
                "sources: new.py is new",
                "sources: old.py is gone",
            ]
        );
        let other_items = StageState {
            sources: Some(Digest::of(b"3")),
            ..old.clone()
        };
        assert_eq!(
            changes(&old, &other_items),
            ["sources: the same files for other items"]
        );
        // A baseline of an older flow does not name the files.
        let unnamed = with("1", &[]);
        assert_eq!(changes(&unnamed, &now).len(), 1);
        assert!(changes(&unnamed, &now)[0].contains("written anew"));
    }

    #[test]
    fn equal_recipes_must_give_equal_results() {
        let earlier = [
            ("a".to_owned(), state("a", "1", "5")),
            ("b".to_owned(), state("b", "2", "5")),
            ("old".to_owned(), state("c", "3", "5")),
            ("gone".to_owned(), state("d", "4", "5")),
        ]
        .into();
        let now = [
            ("a".to_owned(), state("a", "other", "5")),
            ("b".to_owned(), state("b2", "2", "6")),
            ("renamed".to_owned(), state("c", "3", "5")),
            ("new".to_owned(), state("e", "5", "5")),
        ];
        let found = standings(&earlier, &now);
        let nondeterministic = vec![("out".into(), Digest::of(b"1"), Digest::of(b"other"))];
        assert_eq!(
            found,
            [
                ("a".into(), Standing::Nondeterministic(nondeterministic)),
                (
                    "b".into(),
                    Standing::Changed(vec!["params.rounds: 5 -> 6".into()])
                ),
                ("renamed".into(), Standing::Same),
                ("new".into(), Standing::New),
                ("gone".into(), Standing::Gone),
            ]
        );
    }
}
