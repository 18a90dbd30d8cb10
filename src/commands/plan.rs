//! `flow plan`: shows what a run would do, and why. It runs nothing.

use std::collections::BTreeSet;

use clap::Args;
use flow_engine::explain::preview::{Need, Preview, Verdict, Wait};
use flow_engine::explain::{Causes, Explanation, Group};
use flow_engine::plan::Plan;
use flow_engine::{Pipeline, StageError};

use super::run::outputs;
use crate::args::{StoreArgs, TargetArgs};
use crate::error::CliError;
use crate::event::{
    ActionName, ActionPlanned, ActionPlannedWord, CauseGroup, PlanFinished, StagePlanned,
};
use crate::project::{ProjectState, load_pipeline};
use crate::render::{reason, table, verdict};
use crate::ui::Ui;
use crate::wording::{bytes, count, names};

/// `flow plan`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flow plan pipelines/rocket_domain.toml
  flow plan pipelines/rocket_domain.toml --set rocket.kernels=2000")]
pub struct PlanArgs {
    /// The pipeline.
    #[command(flatten)]
    pub target: TargetArgs,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// The most causes that are shown without `-v`.
const CAUSES: usize = 10;

/// What a run would do with the actions of one stage.
#[derive(Default)]
struct StagePlan {
    name: String,
    hit: usize,
    run: usize,
    restore: usize,
    pending: usize,
    /// Hits whose record only the remote has.
    remote: usize,
    /// Bytes that would be fetched from the remote.
    fetch_bytes: u64,
    /// The groups of causes of the actions that run.
    groups: Vec<u32>,
    /// Names of the stages, or files, that pending actions wait for.
    waits_for: Vec<String>,
    /// Names of the stages, or files, that read what is restored.
    needed_by: Vec<String>,
}

/// Runs the command.
pub fn run(args: &PlanArgs, ui: &Ui) -> Result<(), CliError> {
    let pipeline = load_pipeline(&args.target.pipeline, args.target.to.as_deref())?;
    let state = ProjectState::open_for_reading(&pipeline.root, &args.store)?;
    let stat = state.stat();
    let plan = Plan::new(&pipeline);
    let delivery = state.delivery(&plan, &stat);
    outputs::check(&delivery, &state)?;
    let mut preview = Preview::new(&delivery)?;
    stat.save()?;
    let mut causes = Causes::new(&mut preview, &delivery);
    let stages = decide(&plan, &mut causes, ui)?;
    for stage in &stages {
        ui.event(|| stage.event());
    }
    let remembered = causes.preview().remembered().clone();
    let groups = causes.groups();
    ui.answer(&format!("{}\n", stages_table(&plan, &stages, groups)));
    ui.answer(&causes_text(&plan, groups, ui.verbose));
    ui.answer(&inherited_text(&pipeline));
    ui.answer(&remembered_text(&plan, &remembered));
    let fetch_bytes = stages.iter().map(|stage| stage.fetch_bytes).sum::<u64>();
    if fetch_bytes > 0 {
        ui.answer(&format!(
            "\na run would fetch {} from the remote\n",
            bytes(fetch_bytes)
        ));
    }
    ui.warn_of_store(&state.store);
    let sum = |count: fn(&StagePlan) -> usize| stages.iter().map(count).sum::<usize>();
    let name = |&stage: &usize| pipeline.stages[stage].name.clone();
    ui.event(|| PlanFinished {
        pipeline: pipeline.name.clone(),
        hit: sum(|s| s.hit),
        run: sum(|s| s.run),
        restore: sum(|s| s.restore),
        pending: sum(|s| s.pending),
        remote: sum(|s| s.remote),
        fetch_bytes,
        remembered: remembered.iter().map(name).collect(),
        causes: groups.iter().map(|g| CauseGroup::new(&plan, g)).collect(),
    });
    Ok(())
}

/// Reports each action that is not a hit, and counts them by stage.
fn decide(
    plan: &Plan<'_>,
    causes: &mut Causes<'_, '_>,
    ui: &Ui,
) -> Result<Vec<StagePlan>, StageError> {
    let stages = plan.pipeline.stages.iter();
    let stages = stages.map(|stage| StagePlan {
        name: stage.name.clone(),
        ..StagePlan::default()
    });
    let mut stages: Vec<StagePlan> = stages.collect();
    for action in 0..plan.len() {
        let verdict = causes.preview().verdict(action);
        let told = causes.explain_next()?;
        let stage = &mut stages[plan.coords(action).stage];
        stage.count(plan, verdict, &told);
        let from = FromRemote::of(causes.preview(), action, verdict);
        stage.remote += usize::from(from.record);
        stage.fetch_bytes += from.bytes.unwrap_or(0);
        if !matches!(verdict, Verdict::Hit | Verdict::Vacant) {
            ui.event(|| ActionPlanned {
                at: ActionName::of(plan, action),
                event: ActionPlannedWord::ActionPlanned,
                decision: verdict::decision(plan, verdict, &told, causes.groups()),
            });
            if ui.verbose {
                ui.answer(&action_text(plan, action, verdict, &told));
            }
        } else if ui.verbose && from.is_any() {
            let name = reason::action(plan, action);
            ui.answer(&format!("{name}: hit, {}\n", from.text()));
        }
    }
    Ok(stages)
}

/// What comes from the remote of an action.
struct FromRemote {
    /// Its record.
    record: bool,
    /// These bytes of its outputs.
    bytes: Option<u64>,
}

impl FromRemote {
    fn of(preview: &Preview<'_>, action: usize, verdict: Verdict) -> Self {
        Self {
            record: verdict == Verdict::Hit && preview.is_from_remote(action),
            bytes: preview.fetched(action),
        }
    }

    fn is_any(&self) -> bool {
        self.record || self.bytes.is_some()
    }

    fn text(&self) -> String {
        match self.bytes {
            Some(size) => format!("remote, {}", bytes(size)),
            None => "remote".to_owned(),
        }
    }
}

fn stages_table(plan: &Plan<'_>, stages: &[StagePlan], groups: &[Group]) -> String {
    let rows = stages.iter().map(|stage| stage.row(plan, groups));
    let header = [
        "stage", "verdict", "why", "hit", "run", "restore", "pending",
    ];
    // Columns of zeros are dropped before a reason is cut.
    let noughts = [
        ("restore", stages.iter().all(|stage| stage.restore == 0)),
        ("pending", stages.iter().all(|stage| stage.pending == 0)),
    ];
    let noughts = noughts.iter().filter(|(_, all)| *all);
    let least: Vec<&str> = noughts.map(|(name, _)| *name).collect();
    table::fitted(&header, 3, rows.collect(), &least)
}

/// The commands whose answers to an earlier run the plan relies on.
fn remembered_text(plan: &Plan<'_>, stages: &BTreeSet<usize>) -> String {
    if stages.is_empty() {
        return String::new();
    }
    let commands = stages.iter().map(|&stage| verdict::version(plan, stage));
    let commands: BTreeSet<String> = commands.collect();
    let commands = names(commands.iter().map(String::as_str));
    format!("\nas of the last run that asked {commands}; a run asks again\n")
}

/// The output files that the pipeline inherits from a file that it extends.
fn inherited_text(pipeline: &Pipeline) -> String {
    let mut text = String::new();
    for output in &pipeline.outputs {
        if let Some(base) = &output.base {
            let path = &output.path;
            let path = path.strip_prefix(&pipeline.root).unwrap_or(path);
            text.push_str(&format!("\n{} is an output of {base}", path.display()));
        }
    }
    match text.is_empty() {
        true => text,
        false => format!("{text}\n"),
    }
}

/// The causes, one per line, each with what it reaches.
fn causes_text(plan: &Plan<'_>, groups: &[Group], all: bool) -> String {
    let shown = if all { groups.len() } else { CAUSES };
    let mut text = String::new();
    for group in groups.iter().take(shown) {
        text.push_str(&format!("\n{}", reason::group_line(plan, group)));
    }
    if groups.len() > shown {
        text.push_str(&format!(
            "\n... and {} more; -v shows all",
            count(groups.len() - shown, "cause")
        ));
    }
    match text.is_empty() {
        true => text,
        false => format!("{text}\n"),
    }
}

fn action_text(plan: &Plan<'_>, action: usize, verdict: Verdict, told: &Explanation) -> String {
    let mut text = format!(
        "{}: {}\n",
        reason::action(plan, action),
        verdict::word(verdict)
    );
    for line in verdict::why(plan, action, verdict, told) {
        text.push_str(&format!("  {line}\n"));
    }
    text
}

fn note(list: &mut Vec<String>, name: String) {
    if !list.contains(&name) {
        list.push(name);
    }
}

impl StagePlan {
    fn count(&mut self, plan: &Plan<'_>, verdict: Verdict, told: &Explanation) {
        match verdict {
            Verdict::Hit => self.hit += 1,
            Verdict::Run => {
                self.run += 1;
                for &group in &told.groups {
                    if !self.groups.contains(&group) {
                        self.groups.push(group);
                    }
                }
            }
            Verdict::Restore(by) => {
                self.restore += 1;
                note(&mut self.needed_by, verdict::need(plan, by));
            }
            Verdict::Pending(wait) => {
                self.pending += 1;
                let on = match wait {
                    Wait::Inputs(on) | Wait::Equal(on) => verdict::need(plan, Need::Action(on)),
                    Wait::Bytes(by) => verdict::need(plan, by),
                    Wait::Surroundings => "version".to_owned(),
                };
                note(&mut self.waits_for, on);
            }
            Verdict::Vacant => {}
        }
    }

    fn verdict(&self) -> &'static str {
        match (self.run, self.restore, self.pending) {
            (0, 0, 0) => "hit",
            (0, 0, _) => "pending",
            (0, ..) => "restore",
            _ => "run",
        }
    }

    /// Says why in a few words: the first cause, what is waited for, or what needs the bytes that are
    /// gone.
    fn why(&self, plan: &Plan<'_>, groups: &[Group]) -> String {
        let names = |list: &[String]| names(list.iter().map(String::as_str));
        if let Some(&first) = self.groups.first() {
            let text = reason::group(plan, &groups[first as usize]);
            return match self.groups.len() {
                1 => text,
                n => format!("{text} (and {} more)", count(n - 1, "cause")),
            };
        }
        if self.restore > 0 {
            return format!("for {}", names(&self.needed_by));
        }
        let from = FromRemote {
            record: self.remote > 0,
            bytes: (self.fetch_bytes > 0).then_some(self.fetch_bytes),
        };
        match self.pending {
            0 if from.is_any() => from.text(),
            0 => String::new(),
            _ => format!("on {}", names(&self.waits_for)),
        }
    }

    fn row(&self, plan: &Plan<'_>, groups: &[Group]) -> Vec<String> {
        vec![
            self.name.clone(),
            self.verdict().to_owned(),
            self.why(plan, groups),
            self.hit.to_string(),
            self.run.to_string(),
            self.restore.to_string(),
            self.pending.to_string(),
        ]
    }

    fn event(&self) -> StagePlanned {
        StagePlanned {
            stage: self.name.clone(),
            verdict: self.verdict().to_owned(),
            hit: self.hit,
            run: self.run,
            restore: self.restore,
            pending: self.pending,
            waits_for: self.waits_for.clone(),
            needed_by: self.needed_by.clone(),
            remote: self.remote,
            fetch_bytes: self.fetch_bytes,
        }
    }
}
