//! `flow compare`: two runs side by side, and where they part.

use std::collections::{BTreeMap, HashMap};

use clap::Args;
use flow_cache::{Change, Digest, Store};

use crate::args::StoreArgs;
use crate::error::CliError;
use crate::event::{
    self, ComparedField, ComparedMetric, ComparedOutput, ComparedRun, ComparedStage,
    DivergenceReason, FirstDivergence, RunsCompared,
};
use crate::history::{find, when};
use crate::project::State;
use crate::record::{ActionRecord, RunRecord, StageActions, Status};
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
struct Side {
    id: String,
    record: RunRecord,
    /// What its actions came to, in the order of its plan; none where it was recorded without.
    actions: Option<Vec<StageActions>>,
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
    let load = |word: &str| -> Result<Side, CliError> {
        let runs = state.runs();
        let (id, record) = find(&runs, word)?;
        let long = record.long(&runs)?;
        Ok(Side {
            id,
            record,
            actions: long.map(|long| long.stages),
        })
    };
    let (old, new) = (load(&args.old)?, load(&args.new)?);
    let metrics = metrics(&old.record, &new.record);
    let mut stages = Vec::new();
    let mut first = None;
    if let (Some(before), Some(now)) = (&old.actions, &new.actions) {
        stages = stage_differences(&state.store, before, now)?;
        first = divergence(&state.store, [&old.id, &new.id], before, now)?;
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

/// Metrics by name with their values.
fn metrics(old: &RunRecord, new: &RunRecord) -> Vec<(String, [Option<f64>; 2])> {
    let mut all: Vec<(String, [Option<f64>; 2])> = Vec::new();
    for (side, record) in [old, new].into_iter().enumerate() {
        for (stage, metric, figures) in record.metrics.iter() {
            // Macro averages are other figures than those of a class, by whatever name.
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

/// The actions of a stage by their labels; none where there is no such stage.
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

/// What differs between the recipes of two actions, if the store has both.
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
    // Nothing that the new run did is different; the old one may have done more.
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

    fn event(&self) -> DivergenceReason {
        match self {
            Self::Recipe(changes) => DivergenceReason::Recipe {
                changes: event::changes(changes),
            },
            Self::Nondeterminism => DivergenceReason::Nondeterminism,
            Self::Unknown(runs) => DivergenceReason::NoRecord { runs: runs.clone() },
            Self::Only(run) => DivergenceReason::Only { run: run.clone() },
        }
    }
}

fn text(
    old: &Side,
    new: &Side,
    metrics: &[(String, [Option<f64>; 2])],
    stages: &[StageDifference],
    first: Option<&Divergence>,
) -> String {
    let row = |what: &str, of: &dyn Fn(&Side) -> String| vec![what.to_owned(), of(old), of(new)];
    let known = |text: Option<&str>| text.unwrap_or("?").to_owned();
    let rows = vec![
        row("run", &|run| run.id.clone()),
        row("started", &|run| when(&run.id)),
        row("pipeline", &|run| known(run.record.pipeline.as_deref())),
        row("status", &|run| known(run.record.status.map(Status::name))),
    ];
    let mut text = format!("{}\n", table::plain(&["", "old", "new"], 3, rows));
    for table in [metrics_table(metrics), stages_table(stages)] {
        text.extend(table.map(|table| format!("\n{table}\n")));
    }
    match first {
        Some(first) => text.push_str(&first.text()),
        None if old.actions.is_some() && new.actions.is_some() => {
            text.push_str("\nevery action came to the same bytes\n");
        }
        None => {}
    }
    text
}

fn metrics_table(metrics: &[(String, [Option<f64>; 2])]) -> Option<String> {
    let rows = metrics.iter().map(|(name, [old, new])| {
        let difference = old.zip(*new).map(|(old, new)| new - old);
        let difference = difference.map_or("-".to_owned(), |d| format!("{d:+.4}"));
        vec![
            name.clone(),
            table::figure(*old),
            table::figure(*new),
            difference,
        ]
    });
    let header = ["metric", "old", "new", "difference"];
    (!metrics.is_empty()).then(|| table::plain(&header, 1, rows.collect()))
}

fn stages_table(stages: &[StageDifference]) -> Option<String> {
    let differ = stages.iter().filter(|stage| !stage.is_equal());
    let rows = differ.map(|stage| {
        let number = |n: Option<usize>| n.map_or("-".to_owned(), |n| n.to_string());
        vec![
            stage.name.clone(),
            stage.changed(),
            number(stage.actions[0]),
            number(stage.actions[1]),
            stage.same_recipe.to_string(),
            stage.same_outputs.to_string(),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let header = [
        "stage",
        "changed",
        "old",
        "new",
        "same recipe",
        "same outputs",
    ];
    (!rows.is_empty()).then(|| table::plain(&header, 2, rows))
}

impl Divergence {
    fn text(&self) -> String {
        let mut text = format!("\nfirst to differ: `{}: {}`\n", self.stage, self.label);
        for (name, old, new) in &self.outputs {
            let short = |digest: &Option<Digest>| digest.map_or("-".to_owned(), |d| d.short());
            text.push_str(&format!("  {name}: {} -> {}\n", short(old), short(new)));
        }
        for line in self.why.text() {
            text.push_str(&format!("  {line}\n"));
        }
        text
    }
}

fn event(
    old: &Side,
    new: &Side,
    metrics: &[(String, [Option<f64>; 2])],
    stages: &[StageDifference],
    first: Option<&Divergence>,
) -> RunsCompared {
    let side = |run: &Side| ComparedRun {
        run: run.id.clone(),
        pipeline: run.record.pipeline.clone(),
        status: run.record.status,
    };
    let metrics = metrics.iter().map(|(name, [old, new])| {
        let told = ComparedMetric {
            old: *old,
            new: *new,
            difference: old.zip(*new).map(|(old, new)| new - old),
        };
        (name.clone(), told)
    });
    let stages = stages.iter().map(|stage| {
        let fields = stage.fields.iter().map(|(change, count)| ComparedField {
            changes: vec![change.into()],
            actions: *count,
        });
        let told = ComparedStage {
            equal: stage.is_equal(),
            actions: stage.actions,
            same_recipe: stage.same_recipe,
            same_outputs: stage.same_outputs,
            fields: fields.collect(),
            without_record: stage.unknown,
        };
        (stage.name.clone(), told)
    });
    let first = first.map(|first| {
        let outputs = first.outputs.iter().map(|(name, old, new)| {
            let text = |digest: &Option<Digest>| digest.map(|digest| digest.to_string());
            let (old, new) = (text(old), text(new));
            (name.clone(), ComparedOutput { old, new })
        });
        FirstDivergence {
            why: first.why.event(),
            stage: first.stage.clone(),
            action: first.label.clone(),
            outputs: outputs.collect(),
        }
    });
    RunsCompared {
        old: side(old),
        new: side(new),
        metrics: metrics.collect(),
        stages: stages.collect(),
        first_divergence: first,
    }
}
