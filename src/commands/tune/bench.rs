//! Evaluates configurations. All that are passed together run as one graph.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::time::Instant;

use flow_cache::{Digest, Value};
use flow_engine::kind::Fault;
use flow_engine::pipeline::union::{Union, unite};
use flow_engine::plan::Plan;
use flow_engine::plan::keys::Slot;
use flow_engine::{Diag, StageError};
use flow_stages::tuning::{NoScore, ObjectiveScores};

use super::problem::{Candidate, Coverage, Problem};
use crate::commands::run::{Run, Setup};
use crate::error::{self, CliError, Exit};
use crate::evaluation::Artifacts;
use crate::outcome::{RunAccount, RunOutcome};
use crate::record::{ByName, Long, RunRecord, RunTimes, StageRecord, Status, TuneRecord};
use crate::ui::Ui;

/// Evaluates the configurations of a study.
pub struct Bench<'a> {
    /// Where output goes.
    pub ui: &'a Ui,
    /// What is searched.
    pub problem: &'a Problem<'a>,
    setup: &'a Setup,
    /// Id of the run, the same for the whole study.
    pub id: String,
    started: Instant,
    /// The record of the run, of which the stages and the end are left out.
    begun: RunRecord,
    /// When actions ran.
    times: RunTimes,
    /// What became of each stage, for the run record.
    stages: ByName<StageRecord>,
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
pub struct Evaluated {
    /// Its scores, or why there are none.
    pub scores: Result<ObjectiveScores, String>,
    /// CPU seconds of a run of it alone with an empty store, by the records of its actions.
    pub cpu_s: f64,
    /// The part of these that its folds cost.
    pub folds_cpu_s: f64,
    /// The table of folds.
    pub folds: Option<(Digest, PathBuf)>,
    /// Equal for configurations that were scored on the same objects, positives and folds.
    pub deal: Option<String>,
    /// The predictions that were evaluated.
    pub predictions: Option<PathBuf>,
}

impl<'a> Bench<'a> {
    /// A bench that has evaluated nothing yet. `begun` is what the record says of how the run came about.
    pub fn new(
        ui: &'a Ui,
        problem: &'a Problem<'a>,
        setup: &'a Setup,
        started: Instant,
        begun: RunRecord,
    ) -> Self {
        Self {
            begun,
            ui,
            problem,
            setup,
            id: setup.state.runs().new_id(),
            started,
            times: RunTimes::default(),
            stages: ByName::default(),
            spent: Spent::default(),
        }
    }

    /// Evaluates configurations on a part of the cross-validation. With `bytes`, their predictions will
    /// be read, so these must be in the store.
    ///
    /// # Errors
    /// Fails if the machine failed, the run was interrupted, or the metric is not there. A failure in a
    /// stage is a result of its configuration, unless no other values could mend it.
    pub fn evaluate(
        &mut self,
        candidates: &[Candidate],
        within: Option<usize>,
        part: Coverage,
        bytes: bool,
    ) -> Result<Vec<Evaluated>, CliError> {
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
        let mut arms: Vec<Option<Evaluated>> = arms.into_iter().map(Some).collect();
        Ok(results
            .into_iter()
            .map(|result| match result {
                Ok(arm) => arms[arm]
                    .take()
                    .unwrap_or_else(|| Evaluated::none(String::new())),
                Err(message) => Evaluated::none(message),
            })
            .collect())
    }

    fn run(
        &mut self,
        union: &Union,
        names: &[Vec<String>],
        part: Coverage,
        bytes: bool,
    ) -> Result<Vec<Evaluated>, CliError> {
        let plan = Plan::new(&union.pipeline);
        let mut run = Run::new(self.ui, &plan, self.setup, true);
        run.id.clone_from(&self.id);
        run.started = self.started;
        let mut forced = HashSet::new();
        let mut failures: Vec<(usize, StageError)>;
        // A second round is needed only if bytes are wanted that the store has lost.
        loop {
            let first = forced.is_empty();
            let finished = run.execute(forced, first, &mut |_| {})?;
            run.slots = finished.slots;
            failures = finished.failures;
            self.account(&run, part);
            self.note(&mut run);
            if finished.interrupted {
                return Err(CliError {
                    exit: Exit::Interrupted,
                    diags: Vec::new(),
                });
            }
            if !bytes || !first {
                break;
            }
            let arms = 0..union.places.len();
            let objectives = arms.filter_map(|arm| self.objective(union, names, arm));
            forced = run.artifacts().lost(objectives)?;
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
                return Err(CliError::new(error.fault.into(), diag));
            }
        }
        let pass = Pass {
            union,
            names,
            artifacts: run.artifacts(),
            failures: &failures,
        };
        (0..union.places.len())
            .map(|arm| self.found(&pass, arm))
            .collect()
    }

    /// Returns true for a stage whose failure other values might mend.
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

    /// What a pass found for a configuration.
    fn found(&self, pass: &Pass<'_>, arm: usize) -> Result<Evaluated, CliError> {
        let Some(stage) = self.objective(pass.union, pass.names, arm) else {
            return Ok(Evaluated::none(format!(
                "there is no stage `{}`",
                self.problem.stage
            )));
        };
        let needed = needed(pass.artifacts.plan, stage);
        let scores = match pass.artifacts.metrics(stage) {
            Some(metrics) => self.scores(metrics)?,
            None => match pass.failure(arm, &needed) {
                Some(message) => Err(message),
                None => self.scores(&Value::Null)?,
            },
        };
        let (cpu_s, folds_cpu_s) = pass.cost(&needed);
        let inputs = pass.artifacts.inputs(stage);
        Ok(Evaluated {
            scores,
            cpu_s,
            folds_cpu_s,
            deal: pass.artifacts.deal(stage).map(str::to_owned),
            folds: inputs.folds(),
            predictions: inputs.predictions(),
        })
    }

    fn scores(&self, metrics: &Value) -> Result<Result<ObjectiveScores, String>, CliError> {
        let problem = self.problem;
        match ObjectiveScores::read(metrics, problem.metric) {
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

    /// Records what a pass did, for the run record.
    fn account(&mut self, run: &Run<'_>, part: Coverage) {
        let artifacts = run.artifacts();
        let outcome = RunOutcome::new(&RunAccount {
            artifacts,
            summary: &run.summary,
            run: &self.id,
            status: Status::Ok,
            wall_s: 0.0,
            remote: None,
        });
        let long = Long(artifacts);
        for (stage, told) in outcome.stages.iter().enumerate() {
            self.spent.ran += told.figures.ran;
            self.spent.cpu_s += told.figures.cpu_s;
            let mut record = StageRecord {
                keys: Some(artifacts.keys(stage)),
                artifacts: Some(long.ports(stage)),
                ..told.record()
            };
            let mut name = told.name.clone();
            // In the history, a look at some folds does not count as an evaluation.
            if let Coverage::First(folds) = part {
                name = format!("{name} on {folds} folds");
                record.folds = None;
            }
            match self.stages.get_mut(&name) {
                Some(known) => known.merge(record),
                None => self.stages.push(name, record),
            }
        }
    }

    /// Records when actions of a pass ran, what it warned of, and what git says once anything has run.
    fn note(&mut self, run: &mut Run<'_>) {
        for (stage, times) in run.clock.take().0 {
            times
                .into_iter()
                .for_each(|time| self.times.push(&stage, time));
        }
        for warning in std::mem::take(&mut run.warnings) {
            if !self.begun.warnings.contains(&warning) {
                self.begun.warnings.push(warning);
            }
        }
        if let Some(git) = &mut self.begun.git
            && git.dirty.is_none()
        {
            git.dirty = run.is_dirty();
        }
    }

    /// Saves the record of the run as it is now.
    pub fn save(&self, status: Status, tune: TuneRecord) -> Result<(), CliError> {
        let record = RunRecord {
            run: Some(self.id.clone()),
            status: Some(status),
            wall_s: self.started.elapsed().as_secs_f64(),
            stages: self.stages.clone(),
            tune: Some(tune),
            ..self.begun.clone()
        };
        let runs = self.setup.state.runs();
        runs.save(&self.id, &record)?;
        if !self.times.is_empty() {
            runs.save_times(&self.id, &self.times)?;
        }
        Ok(())
    }
}

/// Several configurations as one graph, after its run.
struct Pass<'a> {
    union: &'a Union,
    /// For each configuration, the names of its stages in the pipeline.
    names: &'a [Vec<String>],
    artifacts: Artifacts<'a>,
    failures: &'a [(usize, StageError)],
}

impl Pass<'_> {
    /// The first failure among the actions that a configuration needs.
    fn failure(&self, arm: usize, needed: &BTreeSet<usize>) -> Option<String> {
        let mut failures = self.failures.iter();
        let (action, error) = failures.find(|(action, _)| needed.contains(action))?;
        let plan = self.artifacts.plan;
        let at = plan.coords(*action).stage;
        let mut places = self.union.places[arm].iter();
        let place = places.position(|&place| place == at);
        let name = place.map_or("", |at| self.names[arm][at].as_str());
        let label = plan.label(*action);
        Some(format!("stage `{name}` failed in `{label}`: {error}"))
    }

    /// CPU seconds of actions by their records, and the part of them spent in folds. Equal actions
    /// count once.
    fn cost(&self, actions: &BTreeSet<usize>) -> (f64, f64) {
        let (mut cpu_s, mut folds_cpu_s) = (0.0, 0.0);
        let mut known = HashSet::new();
        for &action in actions {
            if let Slot::Done(record) = &self.artifacts.slots[action]
                && known.insert(record.key)
            {
                cpu_s += record.cpu_s;
                if self.artifacts.plan.coords(action).fold.is_some() {
                    folds_cpu_s += record.cpu_s;
                }
            }
        }
        (cpu_s, folds_cpu_s)
    }
}

impl Evaluated {
    fn none(message: String) -> Self {
        Self {
            scores: Err(message),
            cpu_s: 0.0,
            folds_cpu_s: 0.0,
            folds: None,
            deal: None,
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
