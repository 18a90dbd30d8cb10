//! `flow plan`: what a run would do, and why. Runs nothing.

use flow_engine::plan::{Plan, Reason, Verdict};
use flow_engine::preview::preview;
use serde_json::{Value as Json, json};

use crate::cli::PlanArgs;
use crate::error::CliError;
use crate::project::{State, load_pipeline};
use crate::render::{reason, table};
use crate::ui::Ui;

/// What a run would do with the actions of one stage.
#[derive(Default)]
struct StagePlan {
    hit: usize,
    pending: usize,
    run: Vec<(String, Reason)>,
    /// Names of the stages that pending actions wait for.
    waits_for: Vec<String>,
}

/// Runs the command.
pub fn run(args: &PlanArgs, ui: &Ui) -> Result<(), CliError> {
    let pipeline = load_pipeline(&args.target.pipeline, args.target.to.as_deref())?;
    let state = State::open(&pipeline.root, &args.store)?;
    let stat = state.stat();
    let plan = Plan::new(&pipeline);
    let verdicts = preview(&plan, &state.store, &stat)?;
    stat.save()?;
    let mut stages: Vec<StagePlan> = pipeline
        .stages
        .iter()
        .map(|_| StagePlan::default())
        .collect();
    for (action, (verdict, _)) in verdicts.into_iter().enumerate() {
        let stage = &mut stages[plan.coords(action).stage];
        match verdict {
            Verdict::Hit(_) => stage.hit += 1,
            Verdict::Run(reason) => stage.run.push((plan.label(action), reason)),
            Verdict::Pending(on) => {
                stage.pending += 1;
                let name = &pipeline.stages[plan.coords(on).stage].name;
                if !stage.waits_for.contains(name) {
                    stage.waits_for.push(name.clone());
                }
            }
            Verdict::Vacant => {}
        }
    }
    let named = || {
        pipeline
            .stages
            .iter()
            .map(|stage| stage.name.as_str())
            .zip(&stages)
    };
    for (name, stage) in named() {
        ui.event(|| stage.json(name));
    }
    let rows = named().map(|(name, stage)| stage.row(name)).collect();
    let header = ["stage", "verdict", "why", "hit", "run", "pending"];
    ui.answer(&format!("{}\n", table::plain(&header, 3, rows)));
    if ui.verbose {
        for (name, stage) in named() {
            for (label, why) in &stage.run {
                ui.answer(&format!("\n{name}: {label} would run\n"));
                if let Reason::Changed(changes) = why {
                    for change in changes {
                        ui.answer(&format!("  {}\n", reason::change(change)));
                    }
                }
            }
        }
    }
    ui.event(|| {
        json!({
            "event": "plan-finished",
            "pipeline": pipeline.name,
            "hit": stages.iter().map(|s| s.hit).sum::<usize>(),
            "run": stages.iter().map(|s| s.run.len()).sum::<usize>(),
            "pending": stages.iter().map(|s| s.pending).sum::<usize>(),
        })
    });
    Ok(())
}

impl StagePlan {
    fn verdict(&self) -> &'static str {
        match (self.run.is_empty(), self.pending) {
            (false, _) => "run",
            (true, 0) => "hit",
            (true, _) => "pending",
        }
    }

    /// Why, in a few words: the reason that most actions share, or what is waited for.
    fn why(&self) -> String {
        let Some((_, first)) = self.run.first() else {
            return match self.waits_for.as_slice() {
                [] => String::new(),
                names => format!("on {}", names.join(", ")),
            };
        };
        let text = reason::text(first);
        let others = self
            .run
            .iter()
            .filter(|(_, r)| reason::text(r) != text)
            .count();
        match others {
            0 => text,
            n => format!("{text} (and {n} for other reasons)"),
        }
    }

    fn row(&self, name: &str) -> Vec<String> {
        vec![
            name.to_owned(),
            self.verdict().to_owned(),
            self.why(),
            self.hit.to_string(),
            self.run.len().to_string(),
            self.pending.to_string(),
        ]
    }

    fn json(&self, name: &str) -> Json {
        let reasons: Vec<Json> = self
            .run
            .iter()
            .map(|(label, why)| json!({"action": label, "reason": reason::json(why)}))
            .collect();
        json!({
            "event": "stage-planned",
            "stage": name,
            "verdict": self.verdict(),
            "hit": self.hit,
            "run": self.run.len(),
            "pending": self.pending,
            "reasons": reasons,
            "waits_for": self.waits_for,
        })
    }
}
