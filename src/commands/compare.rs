//! `flow compare`: two runs side by side, and where they part.

use std::collections::HashMap;

use clap::Args;
use flow_cache::{Change, Digest, Store};
use serde_json::{Map, Value as Json, json};

use crate::args::StoreArgs;
use crate::error::CliError;
use crate::history::{Actions, Row, actions, find, when};
use crate::project::State;
use crate::render::{reason, table};
use crate::ui::Ui;

/// `flow compare`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flow compare last~1 last
  flow compare baseline last
  flow compare 20260131 20260201 --message-format json")]
pub struct CompareArgs {
    /// The run to compare with: its id, the start of it, a tag, `last`, or `last~1`
    pub old: String,
    /// The run to compare
    pub new: String,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// So many fields are named for a stage.
const FIELDS: usize = 4;

/// A run as recorded.
struct Recorded {
    id: String,
    record: Json,
    /// None where it was recorded without.
    actions: Option<Actions>,
}

/// Why two actions of the same name came to different bytes.
enum Why {
    /// These fields of their recipes differ.
    Recipe(Vec<Change>),
    /// Their recipes are equal: the action is not deterministic.
    Nondeterminism,
    /// Their keys differ, but of these runs the record is gone, and with it the recipe.
    Unknown(Vec<String>),
    /// Only this run has it.
    Only(String),
}

/// The first action whose outputs differ.
struct Divergence {
    stage: String,
    label: String,
    /// Output, digest in the old run, in the new one.
    outputs: Vec<(String, Option<Digest>, Option<Digest>)>,
    why: Why,
}

/// What became of a stage between two runs.
struct StageDifference {
    name: String,
    /// Actions in the old run, in the new one; none where it has no such stage.
    actions: [Option<usize>; 2],
    same_recipe: usize,
    same_outputs: usize,
    /// Fields that differ, with the number of actions: the path, the old and the new value.
    fields: Vec<(Change, usize)>,
    /// Actions whose recipes cannot be compared since a record is gone.
    unknown: usize,
}

/// Runs the command.
pub fn run(args: &CompareArgs, ui: &Ui) -> Result<(), CliError> {
    let state = State::of_working_dir(&args.store)?;
    let load = |word: &str| -> Result<Recorded, CliError> {
        let runs = state.runs();
        let (id, record) = find(&runs, word)?;
        let actions = actions(&runs, &record)?;
        Ok(Recorded {
            id,
            record,
            actions,
        })
    };
    let (old, new) = (load(&args.old)?, load(&args.new)?);
    let metrics = metrics(&old.record, &new.record);
    let mut stages = Vec::new();
    let mut first = None;
    if let (Some(before), Some(now)) = (&old.actions, &new.actions) {
        stages = stage_differences(&state.store, before, now)?;
        first = divergence(&state.store, &old.id, &new.id, before, now)?;
    }
    for run in [&old, &new] {
        if run.actions.is_none() {
            ui.warning(&format!(
                "run {} was recorded without its actions, by an earlier version: only metrics are compared",
                run.id
            ));
        }
    }
    ui.event(|| event(&old, &new, &metrics, &stages, first.as_ref()));
    ui.answer(&text(&old, &new, &metrics, &stages, first.as_ref()));
    Ok(())
}

/// Metrics by name with their pooled values.
fn metrics(old: &Json, new: &Json) -> Vec<(String, [Option<f64>; 2])> {
    let mut all: Vec<(String, [Option<f64>; 2])> = Vec::new();
    for (side, record) in [old, new].into_iter().enumerate() {
        let stages = record.get("metrics").and_then(Json::as_object);
        for (stage, metrics) in stages.into_iter().flatten() {
            for (metric, values) in metrics.as_object().into_iter().flatten() {
                let value = ["pooled", "mean"]
                    .iter()
                    .find_map(|which| values.get(which)?.as_f64());
                // Macro averages are other figures than those of a class, by whatever name.
                let average = values.get("average").and_then(Json::as_str);
                let average = average.map_or(String::new(), |average| format!(" ({average})"));
                let name = format!("{stage}.{metric}{average}");
                let known = all.iter().position(|(known, _)| *known == name);
                let at = known.unwrap_or_else(|| {
                    all.push((name, [None, None]));
                    all.len() - 1
                });
                all[at].1[side] = value;
            }
        }
    }
    all
}

fn by_label(rows: &[Row]) -> HashMap<&str, &Row> {
    rows.iter().map(|row| (row.label.as_str(), row)).collect()
}

fn stage_differences(
    store: &Store,
    old: &Actions,
    new: &Actions,
) -> Result<Vec<StageDifference>, CliError> {
    let mut all = Vec::new();
    for (name, rows) in new {
        let before = old.iter().find(|(known, _)| known == name);
        let mut told = StageDifference {
            name: name.clone(),
            actions: [before.map(|(_, rows)| rows.len()), Some(rows.len())],
            same_recipe: 0,
            same_outputs: 0,
            fields: Vec::new(),
            unknown: 0,
        };
        let before = before.map_or(HashMap::new(), |(_, rows)| by_label(rows));
        for row in rows {
            let Some(was) = before.get(row.label.as_str()) else {
                continue;
            };
            told.same_outputs += usize::from(row.outputs == was.outputs);
            if row.key == was.key {
                told.same_recipe += 1;
                continue;
            }
            match recipes(store, was, row)? {
                Some(changes) => changes.into_iter().for_each(|change| told.note(change)),
                None => told.unknown += 1,
            }
        }
        all.push(told);
    }
    for (name, rows) in old {
        if !new.iter().any(|(known, _)| known == name) {
            all.push(StageDifference {
                name: name.clone(),
                actions: [Some(rows.len()), None],
                same_recipe: 0,
                same_outputs: 0,
                fields: Vec::new(),
                unknown: 0,
            });
        }
    }
    Ok(all)
}

/// What differs between the recipes of two actions, if the store has both.
fn recipes(store: &Store, old: &Row, new: &Row) -> Result<Option<Vec<Change>>, CliError> {
    let (old, new) = (store.lookup(&old.key)?, store.lookup(&new.key)?);
    Ok(old
        .zip(new)
        .map(|(old, new)| new.recipe().diff(old.recipe())))
}

impl StageDifference {
    /// Counts a change; of inputs only that they differ, since they follow from the stages above.
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

    fn is_equal(&self) -> bool {
        self.actions == [Some(self.same_outputs), Some(self.same_outputs)]
            && self.same_recipe == self.same_outputs
    }

    fn changed(&self) -> String {
        match self.actions {
            [None, _] => return "only in the new run".to_owned(),
            [_, None] => return "only in the old run".to_owned(),
            _ => {}
        }
        let mut parts: Vec<String> = self
            .fields
            .iter()
            .take(FIELDS)
            .map(|(change, _)| reason::change(change))
            .collect();
        if self.fields.len() > FIELDS {
            parts.push(format!("{} more", self.fields.len() - FIELDS));
        }
        if self.unknown > 0 {
            parts.push(format!("{} without a record", self.unknown));
        }
        parts.join("; ")
    }
}

/// The first action, in the order of the new run's plan, that came to other bytes.
fn divergence(
    store: &Store,
    old_id: &str,
    new_id: &str,
    old: &Actions,
    new: &Actions,
) -> Result<Option<Divergence>, CliError> {
    for (stage, rows) in new {
        let before = old.iter().find(|(known, _)| known == stage);
        let before = before.map_or(HashMap::new(), |(_, rows)| by_label(rows));
        for row in rows {
            let was = before.get(row.label.as_str()).copied();
            if was.is_some_and(|was| was.outputs == row.outputs) {
                continue;
            }
            let why = match was {
                None => Why::Only(new_id.to_owned()),
                Some(was) if was.key == row.key => Why::Nondeterminism,
                Some(was) => match recipes(store, was, row)? {
                    Some(changes) => Why::Recipe(changes),
                    None => {
                        let mut gone = Vec::new();
                        for (id, row) in [(old_id, was), (new_id, row)] {
                            if store.lookup(&row.key)?.is_none() {
                                gone.push(id.to_owned());
                            }
                        }
                        Why::Unknown(gone)
                    }
                },
            };
            return Ok(Some(Divergence {
                stage: stage.clone(),
                label: row.label.clone(),
                outputs: outputs(was, Some(row)),
                why,
            }));
        }
    }
    // Nothing that the new run did is different; the old one may have done more.
    for (stage, rows) in old {
        let now = new.iter().find(|(known, _)| known == stage);
        let now = now.map_or(HashMap::new(), |(_, rows)| by_label(rows));
        if let Some(row) = rows
            .iter()
            .find(|row| !now.contains_key(row.label.as_str()))
        {
            return Ok(Some(Divergence {
                stage: stage.clone(),
                label: row.label.clone(),
                outputs: outputs(Some(row), None),
                why: Why::Only(old_id.to_owned()),
            }));
        }
    }
    Ok(None)
}

/// The outputs that differ.
fn outputs(old: Option<&Row>, new: Option<&Row>) -> Vec<(String, Option<Digest>, Option<Digest>)> {
    let all = |row: Option<&Row>| row.map_or(Vec::new(), |row| row.outputs.clone());
    let (old, new) = (all(old), all(new));
    let find = |list: &[(String, Digest)], name: &str| {
        let found = list.iter().find(|(known, _)| known == name);
        found.map(|(_, digest)| *digest)
    };
    let gone = old.iter().filter(|(name, _)| find(&new, name).is_none());
    let names = new.iter().chain(gone).map(|(name, _)| name.clone());
    names
        .map(|name| {
            let sides = (find(&old, &name), find(&new, &name));
            (name, sides.0, sides.1)
        })
        .filter(|(_, old, new)| old != new)
        .collect()
}

impl Why {
    fn text(&self) -> Vec<String> {
        match self {
            Self::Recipe(changes) => {
                let mut lines = vec!["its recipe differs:".to_owned()];
                lines.extend(changes.iter().map(|c| format!("  {}", reason::change(c))));
                lines
            }
            Self::Nondeterminism => vec![
                "its recipe is the same and its bytes are not: the action is not deterministic"
                    .to_owned(),
            ],
            Self::Unknown(runs) => vec![format!(
                "its recipes differ; in what is not known, since this store has no readable record of {} any more",
                runs.join(" and ")
            )],
            Self::Only(run) => vec![format!("only run {run} has it")],
        }
    }

    fn json(&self) -> Json {
        match self {
            Self::Recipe(changes) => {
                json!({"why": "recipe", "changes": reason::changes(changes)})
            }
            Self::Nondeterminism => json!({"why": "nondeterminism"}),
            Self::Unknown(runs) => json!({"why": "no-record", "runs": runs}),
            Self::Only(run) => json!({"why": "only", "run": run}),
        }
    }
}

fn text(
    old: &Recorded,
    new: &Recorded,
    metrics: &[(String, [Option<f64>; 2])],
    stages: &[StageDifference],
    first: Option<&Divergence>,
) -> String {
    let field = |run: &Recorded, name: &str| {
        let value = run.record.get(name).and_then(Json::as_str);
        value.unwrap_or("?").to_owned()
    };
    let row =
        |what: &str, of: &dyn Fn(&Recorded) -> String| vec![what.to_owned(), of(old), of(new)];
    let rows = vec![
        row("run", &|run| run.id.clone()),
        row("started", &|run| when(&run.id)),
        row("pipeline", &|run| field(run, "pipeline")),
        row("status", &|run| field(run, "status")),
    ];
    let mut text = format!("{}\n", table::plain(&["", "old", "new"], 3, rows));
    if !metrics.is_empty() {
        let figure = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.4}"));
        let rows = metrics.iter().map(|(name, [old, new])| {
            let difference = old.zip(*new).map(|(old, new)| new - old);
            let difference = difference.map_or("-".to_owned(), |d| format!("{d:+.4}"));
            vec![name.clone(), figure(*old), figure(*new), difference]
        });
        let header = ["metric", "old", "new", "difference"];
        text.push_str(&format!("\n{}\n", table::plain(&header, 1, rows.collect())));
    }
    let rows: Vec<Vec<String>> = stages
        .iter()
        .filter(|stage| !stage.is_equal())
        .map(|stage| {
            let number = |n: Option<usize>| n.map_or("-".to_owned(), |n| n.to_string());
            vec![
                stage.name.clone(),
                stage.changed(),
                number(stage.actions[0]),
                number(stage.actions[1]),
                stage.same_recipe.to_string(),
                stage.same_outputs.to_string(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let header = [
            "stage",
            "changed",
            "old",
            "new",
            "same recipe",
            "same outputs",
        ];
        text.push_str(&format!("\n{}\n", table::plain(&header, 2, rows)));
    }
    match first {
        Some(first) => {
            text.push_str(&format!(
                "\nfirst to differ: `{}: {}`\n",
                first.stage, first.label
            ));
            for (name, old, new) in &first.outputs {
                let short = |digest: &Option<Digest>| digest.map_or("-".to_owned(), |d| d.short());
                text.push_str(&format!("  {name}: {} -> {}\n", short(old), short(new)));
            }
            for line in first.why.text() {
                text.push_str(&format!("  {line}\n"));
            }
        }
        None if old.actions.is_some() && new.actions.is_some() => {
            text.push_str("\nevery action came to the same bytes\n");
        }
        None => {}
    }
    text
}

fn event(
    old: &Recorded,
    new: &Recorded,
    metrics: &[(String, [Option<f64>; 2])],
    stages: &[StageDifference],
    first: Option<&Divergence>,
) -> Json {
    let side = |run: &Recorded| {
        json!({
            "run": run.id,
            "pipeline": run.record.get("pipeline"),
            "status": run.record.get("status"),
        })
    };
    let metrics = metrics.iter().map(|(name, [old, new])| {
        let difference = old.zip(*new).map(|(old, new)| new - old);
        let told = json!({"old": old, "new": new, "difference": difference});
        (name.clone(), told)
    });
    let stages = stages.iter().map(|stage| {
        let fields = stage.fields.iter().map(|(change, count)| {
            json!({"changes": reason::changes(std::slice::from_ref(change)), "actions": count})
        });
        let told = json!({
            "equal": stage.is_equal(),
            "actions": stage.actions,
            "same_recipe": stage.same_recipe,
            "same_outputs": stage.same_outputs,
            "fields": fields.collect::<Vec<_>>(),
            "without_record": stage.unknown,
        });
        (stage.name.clone(), told)
    });
    let first = first.map(|first| {
        let mut told = first.why.json();
        told["stage"] = first.stage.clone().into();
        told["action"] = first.label.clone().into();
        let outputs = first.outputs.iter().map(|(name, old, new)| {
            let text = |digest: &Option<Digest>| digest.map(|digest| digest.to_string());
            (name.clone(), json!({"old": text(old), "new": text(new)}))
        });
        told["outputs"] = outputs.collect::<Map<_, _>>().into();
        told
    });
    json!({
        "event": "runs-compared",
        "old": side(old),
        "new": side(new),
        "metrics": metrics.collect::<Map<_, _>>(),
        "stages": stages.collect::<Map<_, _>>(),
        "first_divergence": first,
    })
}
