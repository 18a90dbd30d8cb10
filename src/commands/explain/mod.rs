//! `flow explain`: what decides the result of an action, and what changed since it last ran; with
//! `--hit`, the proof that its result is known.
//!
//! [`action`] shows one action in full, for people and for programs. [`alike`] sums up the actions of a
//! stage. The engine decides what a run would do with an action, and why; `render/` has the words.
//!
//! Begin with [`run`].

mod action;
mod alike;

use clap::Args;
use flow_engine::Diag;
use flow_engine::explain::Causes;
use flow_engine::explain::preview::Preview;
use flow_engine::plan::Plan;
use flow_engine::plan::keys::Slot;

use self::action::ExplainedAction;
use self::alike::Alike;
use crate::args::{PipelineArgs, StoreArgs};
use crate::error::CliError;
use crate::project::{ProjectState, load_pipeline};
use crate::ui::Ui;
use crate::wording::names;

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

/// Runs the command.
pub fn run(args: &ExplainArgs, ui: &Ui) -> Result<(), CliError> {
    // The whole pipeline is loaded, because later stages decide what is restored.
    let pipeline = load_pipeline(&args.pipeline, None)?;
    let stage = pipeline.stage_index(&args.stage).map_err(CliError::usage)?;
    let state = ProjectState::open_for_reading(&pipeline.root, &args.store)?;
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
        let told = ExplainedAction {
            plan: &plan,
            store: &state.store,
            action,
            verdict: preview.verdict(action),
            explanation,
            recipe: preview.recipe(action)?,
            // The record is loaded with its labels, which a slot does not have.
            record: match &preview.slots()[action] {
                Slot::Done(record) => state.store.lookup(&record.key)?,
                _ => None,
            },
        };
        if ui.json {
            let event = told.event(causes.groups(), args.hit)?;
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
