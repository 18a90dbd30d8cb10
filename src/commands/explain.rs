//! `flow explain`: what decides the result of an action, and what changed since it last ran; with
//! `--hit`, the proof that its result is known.

use std::collections::HashMap;
use std::sync::Arc;

use clap::Args;
use flow_cache::{Health, Recipe, Record, Value, utc};
use flow_engine::explain::preview::{Preview, Verdict};
use flow_engine::explain::{Causes, Explanation, Reason};
use flow_engine::plan::Plan;
use flow_engine::plan::keys::Slot;
use flow_engine::{Diag, StageError};

use crate::args::{PipelineArgs, StoreArgs};
use crate::error::CliError;
use crate::event::{
    ActionExplained, ActionExplainedWord, ActionName, HitProof, JsonEvent, ProvenOutput,
};
use crate::project::{State, load_pipeline, shown};
use crate::render::{reason, verdict};
use crate::ui::Ui;
use crate::wording::{bytes, count, names, quoted, seconds};

/// `flow explain`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flow explain pipelines/rocket_domain.toml rocket
  flow explain pipelines/rocket_domain.toml model 'fit 0.3' --hit
  flow explain pipelines/rocket_domain.toml model --message-format json")]
pub struct ExplainArgs {
    /// The pipeline.
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    /// The stage
    pub stage: String,
    /// One of its actions, such as 'fit 0.3' [default: all, summed up]
    pub action: Option<String>,
    /// Every action in full
    #[arg(long, conflicts_with = "action")]
    pub all: bool,
    /// Prove a hit: where its record lies, who made it, and the state of its bytes
    #[arg(long)]
    pub hit: bool,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// So many different explanations are told where actions are summed up.
const FEW: usize = 12;

/// An action of the stage, explained.
struct Told<'a> {
    plan: &'a Plan<'a>,
    state: &'a State,
    action: usize,
    verdict: Verdict,
    explanation: Explanation,
    recipe: Option<Recipe>,
    /// For a hit, its record.
    record: Option<Arc<Record>>,
}

/// Runs the command.
pub fn run(args: &ExplainArgs, ui: &Ui) -> Result<(), CliError> {
    // Whole, since what is restored is decided by who comes after.
    let pipeline = load_pipeline(&args.pipeline, None)?;
    let stage = pipeline.stage_index(&args.stage).map_err(CliError::usage)?;
    let state = State::open_for_reading(&pipeline.root, &args.store)?;
    let stat = state.stat();
    let plan = Plan::new(&pipeline);
    let actions = plan.of_stage(stage);
    let chosen = |action: usize| match &args.action {
        Some(label) => plan.label(action) == *label,
        None => true,
    };
    if !actions.clone().any(chosen) {
        return Err(no_action(&plan, args, actions));
    }
    let delivery = state.delivery(&plan, &stat);
    let mut preview = Preview::new(&delivery)?;
    stat.save()?;
    let mut causes = Causes::new(&mut preview, &delivery);
    for _ in 0..actions.start {
        causes.explain_next()?;
    }
    let in_full = args.action.is_some() || args.all || ui.verbose || actions.len() == 1;
    let mut alike = Alike::default();
    for action in actions.clone() {
        let explanation = causes.explain_next()?;
        if !chosen(action) {
            continue;
        }
        let preview = causes.preview();
        let told = Told {
            plan: &plan,
            state: &state,
            action,
            verdict: preview.verdict(action),
            explanation,
            recipe: preview.recipe(action)?,
            // With its labels, which a slot has not.
            record: match &preview.slots()[action] {
                Slot::Done(record) => state.store.lookup(&record.key)?,
                _ => None,
            },
        };
        if ui.json {
            let event = told.event(&causes, args.hit)?;
            ui.event(|| event);
        }
        if in_full {
            ui.answer(&told.text(args.hit)?);
        } else {
            alike.add(&told, plan.label(action));
        }
    }
    if !in_full {
        ui.answer(&alike.text(args));
    }
    ui.warn_of_store(&state.store);
    Ok(())
}

/// A stage of several actions: equal explanations, with the labels that they are of, and what the
/// recipes have in common.
#[derive(Default)]
struct Alike {
    told: Vec<(String, Vec<String>)>,
    known: HashMap<String, usize>,
    /// The fields of the first recipe that is known, with whether all others have them too.
    fields: Vec<(String, Value, bool)>,
    /// Recipes that are known.
    recipes: usize,
}

impl Alike {
    fn add(&mut self, told: &Told<'_>, label: String) {
        let summary = told.summary();
        let at = *self.known.entry(summary.clone()).or_insert_with(|| {
            self.told.push((summary, Vec::new()));
            self.told.len() - 1
        });
        self.told[at].1.push(label);
        let Some(recipe) = &told.recipe else { return };
        let fields = flat(recipe);
        self.recipes += 1;
        if self.recipes == 1 {
            let shared = fields.into_iter().map(|(name, value)| (name, value, true));
            self.fields = shared.collect();
            return;
        }
        for (name, value, shared) in &mut self.fields {
            let same = fields.iter().find(|(other, _)| other == name);
            *shared &= same.is_some_and(|(_, other)| other == value);
        }
        for (name, value) in fields {
            if !self.fields.iter().any(|(known, ..)| *known == name) {
                self.fields.push((name, value, false));
            }
        }
    }

    fn text(&self, args: &ExplainArgs) -> String {
        let labels = || self.told.iter().flat_map(|(_, labels)| labels);
        let mut text = format!("{}: {}\n", args.stage, count(labels().count(), "action"));
        for (why, labels) in self.told.iter().take(FEW) {
            let names = names(labels.iter().map(String::as_str));
            let actions = count(labels.len(), "action");
            text.push_str(&format!("  {actions}: {why}\n    {names}\n"));
        }
        if self.told.len() > FEW {
            let more = count(self.told.len() - FEW, "explanation");
            text.push_str(&format!("  ... and {more} more\n"));
        }
        if self.recipes > 0 {
            text.push_str(&match self.recipes {
                1 => "  the recipe that is known:\n".to_owned(),
                n => format!("  what their {n} recipes have in common:\n"),
            });
        }
        for (name, value, _) in self.fields.iter().filter(|(.., shared)| *shared) {
            text.push_str(&format!("    {name} = {}\n", reason::short(value)));
        }
        let differ = self.fields.iter().filter(|(.., shared)| !shared);
        let differ: Vec<&str> = differ.map(|(name, ..)| name.as_str()).collect();
        if !differ.is_empty() {
            text.push_str(&format!("  and where they differ: {}\n", differ.join(", ")));
        }
        let pipeline = quoted(&args.pipeline.file.pipeline.display().to_string());
        let first = labels().next().map_or("", String::as_str);
        text.push_str(&format!(
            "\n--all shows every action in full; one of them: flow explain {pipeline} {} {}\n",
            quoted(&args.stage),
            quoted(first),
        ));
        text
    }
}

/// The fields of a recipe, with those of maps one by one.
fn flat(recipe: &Recipe) -> Vec<(String, Value)> {
    let mut flat = Vec::new();
    for (name, value) in recipe.fields() {
        match value {
            Value::Map(entries) if !entries.is_empty() => {
                let entries = entries.into_iter();
                flat.extend(entries.map(|(inner, value)| (format!("{name}.{inner}"), value)));
            }
            value => flat.push((name, value)),
        }
    }
    flat
}

fn no_action(plan: &Plan<'_>, args: &ExplainArgs, actions: std::ops::Range<usize>) -> CliError {
    let label = args.action.as_deref().unwrap_or_default();
    let message = match args.action {
        Some(_) => format!("stage `{}` has no action `{label}`", args.stage),
        None => format!("stage `{}` has no actions", args.stage),
    };
    let labels: Vec<String> = actions.map(|action| plan.label(action)).collect();
    let names = names(labels.iter().map(String::as_str));
    CliError::usage(Diag::new("flow::cli::action", message).help(format!(
        "its actions are {names}; a label of several words goes into quotes"
    )))
}

impl Told<'_> {
    /// In a line.
    fn summary(&self) -> String {
        let lines = verdict::why(self.plan, self.action, self.verdict, &self.explanation);
        match lines.as_slice() {
            [] => verdict::word(self.verdict).to_owned(),
            lines => format!("{}: {}", verdict::word(self.verdict), lines.join("; ")),
        }
    }

    fn event(&self, causes: &Causes<'_, '_>, proof: bool) -> Result<JsonEvent, StageError> {
        let record = self.record.as_ref().filter(|_| proof);
        Ok(JsonEvent::from(ActionExplained {
            at: ActionName::of(self.plan, self.action),
            event: ActionExplainedWord::ActionExplained,
            decision: verdict::decision(
                self.plan,
                self.verdict,
                &self.explanation,
                causes.groups(),
            ),
            key: self.recipe.as_ref().map(|r| r.key().to_string()),
            recipe: self.recipe.as_ref().map(Recipe::to_json),
            record: record.map(|record| self.hit_proof(record)).transpose()?,
        }))
    }

    fn text(&self, proof: bool) -> Result<String, StageError> {
        let mut text = format!("{}\n", reason::action(self.plan, self.action));
        let mut line = |line: &str| text.push_str(&format!("  {line}\n"));
        match (self.verdict, &self.explanation.reason) {
            (Verdict::Run, Some(Reason::Changed(changed))) => {
                line(&format!(
                    "would run; against {}, {}, these changed:",
                    reason::nearness(changed.earlier.nearness),
                    reason::earlier(&changed.earlier)
                ));
                for change in &changed.changes {
                    line(&format!("  {}", reason::change(change)));
                }
                // What a change of its own says already is not said again.
                let upstream = self.explanation.causes.iter().map(|cause| {
                    let said = reason::cause(self.plan, cause, self.action);
                    let known = changed.changes.iter().any(|c| reason::change(c) == said);
                    (!known).then_some(said)
                });
                let upstream: Vec<String> = upstream.flatten().collect();
                if !upstream.is_empty() {
                    line("which goes back to:");
                    upstream
                        .iter()
                        .for_each(|cause| line(&format!("  {cause}")));
                }
                if self.explanation.more {
                    line("  and more");
                }
            }
            (Verdict::Run, Some(why)) => line(&format!("would run: {}", reason::text(why))),
            (Verdict::Hit, _) => {
                let made = self.record.as_ref();
                line(&made.map_or("hit".to_owned(), |record| {
                    format!(
                        "hit: made by `{}: {}` of pipeline `{}`, {}",
                        record.stage(),
                        record.action(),
                        record.pipeline(),
                        utc(record.finished_unix)
                    )
                }));
            }
            _ => line(&match self.verdict {
                Verdict::Vacant => "has no rows".to_owned(),
                _ => self.summary(),
            }),
        }
        match &self.record {
            Some(record) if proof => self.proof(record, &mut line)?,
            None if proof => line("no hit: there is nothing to prove"),
            _ => {}
        }
        if let Some(recipe) = &self.recipe {
            text.push_str(&format!("  key = {}\n", recipe.key()));
            for (name, value) in recipe.fields() {
                field(&mut text, &name, &value);
            }
        }
        text.push('\n');
        Ok(text)
    }

    /// Where the record lies, what making it took, and the state of its bytes.
    fn proof(&self, record: &Record, line: &mut impl FnMut(&str)) -> Result<(), StageError> {
        if let Some(place) = self.state.store.place(&record.key) {
            let replaced = match place.generation {
                0 => String::new(),
                n => format!(", replaced {}", count(n as usize, "time")),
            };
            line(&format!(
                "record: byte {} of {}, written {}{replaced}",
                place.offset,
                shown(&place.segment),
                utc(place.stamp / 1_000_000_000)
            ));
        }
        line(&format!(
            "it took {}, {} of processors",
            seconds(record.wall_s),
            seconds(record.cpu_s)
        ));
        for output in record.artifacts() {
            let name = match record.output(&output.name) {
                Some(known) if known == output => format!("output {}", output.name),
                _ => "log".to_owned(),
            };
            let health = match self.state.store.check(&output.digest)? {
                Health::Ok => "there, and the digest is right",
                Health::Missing => "not there: made again where it is needed",
                Health::Corrupt => "there and CORRUPT: set aside and made again where it is needed",
            };
            line(&format!(
                "{name}: {}, {}, {health}",
                output.digest,
                bytes(output.size)
            ));
        }
        Ok(())
    }

    fn hit_proof(&self, record: &Record) -> Result<HitProof, StageError> {
        let mut outputs = Vec::new();
        for output in &record.outputs {
            let health = match self.state.store.check(&output.digest)? {
                Health::Ok => "ok",
                Health::Missing => "missing",
                Health::Corrupt => "corrupt",
            };
            let proven = ProvenOutput {
                digest: output.digest.to_string(),
                bytes: output.size,
                health: health.to_owned(),
            };
            outputs.push((output.name.clone(), proven));
        }
        let place = self.state.store.place(&record.key);
        Ok(HitProof {
            segment: place.as_ref().map(|p| p.segment.display().to_string()),
            offset: place.as_ref().map(|place| place.offset),
            generation: place.as_ref().map(|place| place.generation),
            pipeline: record.pipeline().to_owned(),
            stage: record.stage().to_owned(),
            action: record.action().to_owned(),
            finished: record.finished_unix,
            wall_s: record.wall_s,
            cpu_s: record.cpu_s,
            outputs: outputs.into_iter().collect(),
        })
    }
}

/// One field of a recipe, maps with a line for each entry.
fn field(text: &mut String, name: &str, value: &Value) {
    match value {
        Value::Map(entries) if !entries.is_empty() => {
            for (inner, value) in entries {
                text.push_str(&format!("  {name}.{inner} = {value}\n"));
            }
        }
        Value::List(items) if items.len() > 1 => {
            for (i, value) in items.iter().enumerate() {
                text.push_str(&format!("  {name}[{i}] = {value}\n"));
            }
        }
        _ => text.push_str(&format!("  {name} = {value}\n")),
    }
}
