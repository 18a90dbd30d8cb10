//! Evaluates configurations: all that are given at a time run as one graph.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::time::Instant;

use flow_cache::{Digest, Health, Value};
use flow_engine::kind::Fault;
use flow_engine::outputs::delivery::{self, Port};
use flow_engine::pipeline::PortRef;
use flow_engine::pipeline::union::{Union, unite};
use flow_engine::plan::Plan;
use flow_engine::plan::keys::Slot;
use flow_engine::{Diag, Span, StageError};
use flow_stages::tuning::{NoScore, ObjectiveScores};
use serde_json::{Map, Value as Json, json};

use super::problem::{Candidate, Part, Problem};
use crate::commands::run::{Run, Setup};
use crate::error::{self, CliError, Exit};
use crate::report::{self, Long, METRICS, Report, Status};
use crate::ui::Ui;

/// The port of an evaluation through which predictions come in.
const PREDICTIONS: &str = "predictions";

/// Where configurations are evaluated.
pub struct Bench<'a> {
    /// Where output goes.
    pub ui: &'a Ui,
    /// What is searched.
    pub problem: &'a Problem<'a>,
    setup: &'a Setup,
    /// Id of the run, the same for the whole study.
    pub id: String,
    started: Instant,
    /// For the run record: what became of each stage.
    stages: Map<String, Json>,
    /// What was spent so far.
    pub spent: Spent,
}

/// What a study cost here and now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// Actions that ran.
    pub ran: usize,
    /// Their CPU seconds.
    pub cpu_s: f64,
}

/// What became of a configuration.
pub struct Found {
    /// Its scores, or why there are none.
    pub scores: Result<ObjectiveScores, String>,
    /// CPU seconds of a run of it alone with nothing in the store, by the records of its actions.
    pub cpu_s: f64,
    /// Of these, what its folds cost.
    pub folds_cpu_s: f64,
    /// The table of folds.
    pub folds: Option<(Digest, PathBuf)>,
    /// The predictions that were evaluated.
    pub predictions: Option<PathBuf>,
}

impl<'a> Bench<'a> {
    /// Nothing was evaluated yet.
    pub fn new(ui: &'a Ui, problem: &'a Problem<'a>, setup: &'a Setup, started: Instant) -> Self {
        Self {
            ui,
            problem,
            setup,
            id: setup.state.runs().new_id(),
            started,
            stages: Map::new(),
            spent: Spent::default(),
        }
    }

    /// Evaluates configurations on a part of the cross-validation. `bytes`: their predictions will be
    /// read, so that they must be there.
    ///
    /// # Errors
    /// The machine failed, the run was interrupted, or the metric is not there. What goes wrong in a
    /// stage is a result of its configuration, unless no other values could mend it.
    pub fn evaluate(
        &mut self,
        candidates: &[Candidate],
        within: Option<usize>,
        part: Part,
        bytes: bool,
    ) -> Result<Vec<Found>, CliError> {
        let mut results: Vec<Result<usize, String>> = Vec::with_capacity(candidates.len());
        let mut pipelines = Vec::new();
        let mut names: Vec<Vec<String>> = Vec::new();
        for candidate in candidates {
            match self.problem.pipeline(candidate, within, part) {
                Ok(pipeline) => {
                    let stages = pipeline.stages.iter().map(|stage| stage.name.clone());
                    names.push(stages.collect());
                    results.push(Ok(pipelines.len()));
                    let name = match within {
                        Some(fold) => format!("{}_in_{fold}", candidate.name),
                        None => candidate.name.clone(),
                    };
                    pipelines.push((name, pipeline));
                }
                Err(diags) => {
                    let first = diags.first().map(|diag| diag.message.clone());
                    results.push(Err(first.unwrap_or_default()));
                }
            }
        }
        let arms = match unite(pipelines) {
            Some(union) => self.run(&union, &names, part, bytes)?,
            None => Vec::new(),
        };
        let mut arms: Vec<Option<Found>> = arms.into_iter().map(Some).collect();
        Ok(results
            .into_iter()
            .map(|result| match result {
                Ok(arm) => arms[arm]
                    .take()
                    .unwrap_or_else(|| Found::none(String::new())),
                Err(message) => Found::none(message),
            })
            .collect())
    }

    fn run(
        &mut self,
        union: &Union,
        names: &[Vec<String>],
        part: Part,
        bytes: bool,
    ) -> Result<Vec<Found>, CliError> {
        let plan = Plan::new(&union.pipeline);
        let mut run = Run::new(self.ui, &plan, self.setup, true);
        run.id.clone_from(&self.id);
        let mut forced = HashSet::new();
        let mut failures: Vec<(usize, StageError)>;
        // A second time only where bytes are wanted that the store has lost.
        loop {
            let first = forced.is_empty();
            let finished = run.execute(forced, first, &mut |_| {})?;
            run.slots = finished.slots;
            failures = finished.failures;
            self.account(&plan, &run, part);
            if finished.interrupted {
                return Err(CliError {
                    exit: Exit::Interrupted,
                    diags: Vec::new(),
                });
            }
            if !bytes || !first {
                break;
            }
            forced = self.lost(union, names, &plan, &run.slots)?;
            if forced.is_empty() {
                break;
            }
        }
        for (action, error) in &failures {
            let at = plan.coords(*action);
            let fatal = match error.fault {
                Fault::Stage | Fault::Data => !self.varies(union, names, at.stage),
                _ => true,
            };
            if fatal {
                let label = plan.label(*action);
                let diag = error::of_action(&union.pipeline, at.stage, &label, error);
                return Err(CliError {
                    exit: error.fault.into(),
                    diags: vec![diag],
                });
            }
        }
        (0..union.places.len())
            .map(|arm| self.found(union, names, arm, &plan, &run.slots, &failures))
            .collect()
    }

    /// True for a stage whose failure other values might mend.
    fn varies(&self, union: &Union, names: &[Vec<String>], stage: usize) -> bool {
        let mut arms = union.places.iter().zip(names);
        arms.any(|(places, names)| {
            let here = places.iter().position(|&place| place == stage);
            here.is_some_and(|at| self.problem.varied.contains(&names[at]))
        })
    }

    /// The stage of the objective in the union.
    fn objective(&self, union: &Union, names: &[Vec<String>], arm: usize) -> Option<usize> {
        let at = names[arm]
            .iter()
            .position(|name| *name == self.problem.stage)?;
        union.places[arm].get(at).copied()
    }

    fn predictions(&self, union: &Union, stage: usize) -> Option<PortRef> {
        let inputs = &union.pipeline.stages[stage].inputs;
        let binding = inputs.iter().find(|binding| binding.port == PREDICTIONS)?;
        binding.from.first().copied()
    }

    /// Actions that made predictions, or tables of folds, that the store has lost.
    fn lost(
        &self,
        union: &Union,
        names: &[Vec<String>],
        plan: &Plan<'_>,
        slots: &[Slot],
    ) -> Result<HashSet<usize>, CliError> {
        let store = &self.setup.state.store;
        let mut lost = HashSet::new();
        for arm in 0..union.places.len() {
            let Some(stage) = self.objective(union, names, arm) else {
                continue;
            };
            let predictions = self.predictions(union, stage);
            let predictions = predictions.and_then(|r| delivery::port(plan, slots, store, r));
            let folds = report::folds(plan, slots, store, stage);
            let needs = [predictions, folds].into_iter().flatten();
            for (digest, producer) in needs.flat_map(|port| port.needs) {
                match store.check(&digest)? {
                    Health::Ok => continue,
                    Health::Missing => {}
                    Health::Corrupt => drop(store.quarantine(&digest)?),
                }
                lost.insert(producer);
            }
        }
        Ok(lost)
    }

    fn found(
        &self,
        union: &Union,
        names: &[Vec<String>],
        arm: usize,
        plan: &Plan<'_>,
        slots: &[Slot],
        failures: &[(usize, StageError)],
    ) -> Result<Found, CliError> {
        let Some(stage) = self.objective(union, names, arm) else {
            return Ok(Found::none(format!(
                "there is no stage `{}`",
                self.problem.stage
            )));
        };
        let store = &self.setup.state.store;
        let outputs = &union.pipeline.stages[stage].ports.outputs;
        let metrics = outputs.iter().position(|output| output.ty == METRICS);
        let metrics = metrics.map(|port| PortRef {
            stage,
            port,
            span: Span::default(),
        });
        let needed = needed(plan, stage);
        let scores = match metrics.and_then(|r| delivery::port(plan, slots, store, r)) {
            Some(port) => self.scores(&port)?,
            None => {
                let mine = failures.iter().find(|(action, _)| needed.contains(action));
                Err(mine.map_or_else(String::new, |(action, error)| {
                    let at = plan.coords(*action).stage;
                    let place = union.places[arm].iter().position(|&place| place == at);
                    let name = place.map_or("", |at| names[arm][at].as_str());
                    format!(
                        "stage `{name}` failed in `{}`: {error}",
                        plan.label(*action)
                    )
                }))
            }
        };
        let (mut cpu_s, mut folds_cpu_s) = (0.0, 0.0);
        let mut known = HashSet::new();
        for &action in &needed {
            if let Slot::Done(record) = &slots[action]
                && known.insert(record.key)
            {
                cpu_s += record.cpu_s;
                if plan.coords(action).fold.is_some() {
                    folds_cpu_s += record.cpu_s;
                }
            }
        }
        let path = |port: Port| port.parts.first().map(|part| part.path.clone());
        let predictions = self.predictions(union, stage);
        Ok(Found {
            scores,
            cpu_s,
            folds_cpu_s,
            folds: report::folds(plan, slots, store, stage)
                .and_then(|port| Some((port.digest()?, path(port)?))),
            predictions: predictions
                .and_then(|r| delivery::port(plan, slots, store, r))
                .and_then(path),
        })
    }

    fn scores(&self, port: &Port) -> Result<Result<ObjectiveScores, String>, CliError> {
        let problem = self.problem;
        let metrics = port
            .parts
            .first()
            .and_then(|part| part.attrs.get("metrics"));
        match ObjectiveScores::read(metrics.unwrap_or(&Value::Null), problem.metric) {
            Ok(scores) => Ok(Ok(scores)),
            Err(NoScore::Undefined) => Ok(Err(format!(
                "`{}.{}` is undefined on these predictions",
                problem.stage,
                problem.metric.key()
            ))),
            Err(NoScore::Unknown(names)) => {
                let (stage, metric) = (&problem.stage, problem.metric.key());
                let message = format!("`{stage}` has no metric `{metric}`");
                let diag = Diag::new("flow::tune::objective", message)
                    .help(format!("metrics: {}", names.join(", ")));
                Err(CliError::usage(diag))
            }
        }
    }

    /// Takes in what a pass did, for the run record.
    fn account(&mut self, plan: &Plan<'_>, run: &Run<'_>, part: Part) {
        let store = &self.setup.state.store;
        let report = Report::new(
            plan,
            &run.slots,
            store,
            &run.summary,
            self.id.clone(),
            Status::Ok,
            0.0,
        );
        for stage in &report.stages {
            self.spent.ran += stage.figures.ran;
            self.spent.cpu_s += stage.figures.cpu_s;
        }
        let mut record = report.record(plan.pipeline);
        let long = Long {
            plan,
            slots: &run.slots,
            report: &report,
        };
        long.inline(&mut record);
        if let Json::Object(mut record) = record
            && let Some(Json::Object(stages)) = record.remove("stages")
        {
            for (mut name, mut stage) in stages {
                // A look at some folds is no evaluation of its own in the history.
                if let (Part::First(folds), Json::Object(fields)) = (part, &mut stage) {
                    name = format!("{name} on {folds} folds");
                    fields.remove("folds");
                }
                match self.stages.get_mut(&name) {
                    Some(known) => merge(known, stage),
                    None => drop(self.stages.insert(name, stage)),
                }
            }
        }
    }

    /// Saves the record of the run as it is now.
    pub fn save(&self, status: Status, study: Json) -> Result<(), CliError> {
        let record = json!({
            "run": self.id,
            "pipeline": self.problem.name,
            "file": self.problem.path.display().to_string(),
            "status": status.name(),
            "wall_s": self.started.elapsed().as_secs_f64(),
            "stages": self.stages,
            "tune": study,
        });
        Ok(self.setup.state.runs().save(&self.id, &record)?)
    }
}

impl Found {
    fn none(message: String) -> Self {
        Self {
            scores: Err(message),
            cpu_s: 0.0,
            folds_cpu_s: 0.0,
            folds: None,
            predictions: None,
        }
    }
}

/// All actions of a stage, and those that they depend on.
fn needed(plan: &Plan<'_>, stage: usize) -> BTreeSet<usize> {
    let mut needed: BTreeSet<usize> = plan.of_stage(stage).collect();
    let mut left: Vec<usize> = needed.iter().copied().collect();
    while let Some(action) = left.pop() {
        plan.dependencies(action, |on| {
            if needed.insert(on) {
                left.push(on);
            }
        });
    }
    needed
}

/// Adds what a later pass says of a stage: its keys, and what ran.
fn merge(known: &mut Json, later: Json) {
    for count in ["ran", "failed"] {
        let sum = known[count].as_u64().unwrap_or(0) + later[count].as_u64().unwrap_or(0);
        known[count] = sum.into();
    }
    for seconds in ["wall_s", "cpu_s"] {
        let sum = known[seconds].as_f64().unwrap_or(0.0) + later[seconds].as_f64().unwrap_or(0.0);
        known[seconds] = sum.into();
    }
    let Some(keys) = known["keys"].as_array_mut() else {
        return;
    };
    let mut there: HashSet<Json> = keys.iter().cloned().collect();
    let later = later["keys"].as_array().cloned().unwrap_or_default();
    keys.extend(later.into_iter().filter(|key| there.insert(key.clone())));
}
