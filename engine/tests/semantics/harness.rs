//! A project, and runs of it with all that they tell.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use flow_cache::{ActionKey, Digest, Record, StatCache, Store};
use flow_engine::base::trace::Trace;
use flow_engine::explain::Reason;
use flow_engine::kind::{Part, PortType, Progress};
use flow_engine::outputs::delivery::{self, Delivery, Export, Report};
use flow_engine::plan::Plan;
use flow_engine::plan::keys::Slot;
use flow_engine::run;
use flow_engine::run::event::{Event, Outcome, SubmittedBatch};
use flow_engine::run::options::{Executor, Options, Setting};
use flow_engine::run::summary::Summary;
use flow_engine::{Pipeline, StageError};
use flow_testkit::{files, local};

use crate::kinds::{Control, registry};
use crate::tier::Elsewhere;

/// A project with a pipeline `p.toml` of these tests' kinds.
pub struct Project {
    files: flow_testkit::Project,
    /// The levers of the kinds.
    pub control: Arc<Control>,
    /// Actions at a time.
    pub jobs: usize,
    /// Goes on after a failure.
    pub keep_going: bool,
    /// Stops runs.
    pub cancel: Arc<AtomicBool>,
    /// What runs actions.
    pub executor: Executor,
    /// Takes note of where the time goes.
    pub trace: Option<Trace>,
    /// What stands behind the store.
    pub tier: Option<Arc<Elsewhere>>,
}

impl Deref for Project {
    type Target = flow_testkit::Project;

    fn deref(&self) -> &Self::Target {
        &self.files
    }
}

impl DerefMut for Project {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.files
    }
}

/// What a run did.
#[derive(Default)]
pub struct Ran {
    /// Actions that ran, well or not, as `STAGE: LABEL`, in order of name.
    pub ran: Vec<String>,
    /// Why each of them was started (last).
    pub reasons: BTreeMap<String, Reason>,
    /// Actions that were started, each as often as it was.
    pub started: Vec<String>,
    /// What actions reported of their progress.
    pub progress: Vec<Progress>,
    /// Batches that were given to a scheduler, or were found.
    pub batches: Vec<SubmittedBatch>,
    /// Warnings.
    pub warnings: Vec<String>,
    /// Failed actions as `STAGE: LABEL`, with their errors.
    pub failures: Vec<(String, StageError)>,
    /// The run was stopped.
    pub interrupted: bool,
    /// Sums over all stages: hit, ran, failed, skipped.
    pub counts: [usize; 4],
    /// Output files that were written.
    pub written: Vec<String>,
    /// The digest of every output of every action that is known in the end.
    pub digests: BTreeMap<String, Digest>,
    /// The key of every action that is known in the end.
    pub keys: BTreeMap<String, ActionKey>,
    /// The record of every such action.
    pub records: BTreeMap<String, Arc<Record>>,
}

impl Project {
    /// A project with this pipeline.
    pub fn new(toml: &str) -> Self {
        Self::of(flow_testkit::Project::in_memory(toml))
    }

    /// The project in `root`, which someone else made and will remove.
    pub fn at(root: &Path) -> Self {
        Self::of(flow_testkit::Project::at(root))
    }

    fn of(files: flow_testkit::Project) -> Self {
        Self {
            files,
            control: Control::new(),
            jobs: 2,
            keep_going: false,
            cancel: Arc::default(),
            executor: Executor::Local,
            trace: None,
            tier: None,
        }
    }

    /// Puts what stands behind the store there.
    pub fn with_tier(&self, store: Store) -> Store {
        if let Some(tier) = &self.tier {
            store.put_behind(tier.clone());
        }
        store
    }

    /// Where an output of an action lies, by its `STAGE: LABEL OUTPUT`.
    pub fn artifact(&self, ran: &Ran, name: &str) -> PathBuf {
        Store::open(&self.store()).unwrap().path(&ran.digests[name])
    }

    /// Loads the pipeline.
    pub fn load(&self) -> Pipeline {
        local::sound(self, "p.toml", &[], &registry(&self.control))
    }

    /// What files the user gets, and from what.
    pub fn delivery<'a>(
        &self,
        plan: &'a Plan<'a>,
        store: &'a Store,
        stat: &'a StatCache,
    ) -> Delivery<'a> {
        Delivery {
            plan,
            store,
            stat,
            manifest: self.path(".flow/outputs"),
            exporter: &Concat,
            report: &Digests,
        }
    }

    /// Runs the pipeline the way `flow run` does: again where an output file lacks bytes.
    pub fn run(&self) -> Ran {
        self.try_run().unwrap()
    }

    /// The same where the disk may fail: an error besides those of actions.
    pub fn try_run(&self) -> Result<Ran, StageError> {
        let pipeline = self.load();
        let plan = Plan::new(&pipeline);
        let store = self.with_tier(Store::open(&self.store())?);
        let stat = StatCache::open(&self.path(".flow/stat"));
        let mut passes = Passes::new(self, &plan, &store, &stat);
        let slots = passes.pass(HashSet::new(), false)?;
        if !passes.ran.interrupted {
            let mut error = None;
            let delivery = self.delivery(&plan, &store, &stat);
            let delivered = delivery.deliver(&slots, |lost| {
                let again = passes.pass(lost, false);
                again.map_err(|e| error = Some(e)).ok()
            });
            let failed = delivered.failed.into_iter().map(|(_, error)| error);
            let unnoted = delivered.unnoted.map(StageError::from);
            if let Some(error) = error.into_iter().chain(failed).chain(unnoted).next() {
                return Err(error);
            }
            passes.ran.warnings.extend(delivered.warnings);
            for file in delivered.written {
                let name = pipeline.outputs[file].path.file_name().unwrap();
                let name = name.to_string_lossy().into_owned();
                passes.ran.written.push(name);
            }
        }
        stat.save()?;
        Ok(passes.end())
    }

    /// Runs actions, given as `STAGE: LABEL`, again the way `flow run --audit` does.
    pub fn audit(&self, actions: &[&str]) -> Ran {
        let pipeline = self.load();
        let plan = Plan::new(&pipeline);
        let store = self.with_tier(Store::open(&self.store()).unwrap());
        let stat = StatCache::open(&self.path(".flow/stat"));
        let forced: HashSet<usize> = (0..plan.len())
            .filter(|&action| actions.contains(&name(&plan, action).as_str()))
            .collect();
        assert_eq!(forced.len(), actions.len());
        let mut passes = Passes::new(self, &plan, &store, &stat);
        passes.pass(forced, true).unwrap();
        stat.save().unwrap();
        passes.end()
    }

    /// Runs the pipeline, which must go well, and checks which actions ran.
    pub fn expect(&self, expected: &[&str]) -> Ran {
        let ran = self.run();
        assert!(ran.failures.is_empty(), "{:?}", ran.failures);
        assert_eq!(ran.ran, expected, "{:?}", ran.warnings);
        ran
    }

    /// What `[outputs]` hold when everything is made anew, in an empty store.
    pub fn uncached(&self) -> BTreeMap<PathBuf, String> {
        let pipeline = self.load();
        let temp = files::folder_in_memory();
        let run = local::run(&pipeline, temp.path(), 1).ok();
        let mut texts = BTreeMap::new();
        for output in &pipeline.outputs {
            let from = output.from.port().expect("an output of a stage");
            let port = run.port_of(from).unwrap();
            let to = temp.path().join("out");
            delivery::write_file(&port, &to, &Concat).unwrap();
            texts.insert(output.path.clone(), files::read(&to));
        }
        texts
    }
}

/// Passes over a plan, and what they have told so far.
struct Passes<'a> {
    project: &'a Project,
    plan: &'a Plan<'a>,
    store: &'a Store,
    stat: &'a StatCache,
    ran: Ran,
    summary: Summary,
}

impl<'a> Passes<'a> {
    fn new(
        project: &'a Project,
        plan: &'a Plan<'a>,
        store: &'a Store,
        stat: &'a StatCache,
    ) -> Self {
        Self {
            project,
            plan,
            store,
            stat,
            ran: Ran::default(),
            summary: Summary::default(),
        }
    }

    /// One pass over the plan; returns what is known then.
    fn pass(&mut self, forced: HashSet<usize>, audit: bool) -> Result<Vec<Slot>, StageError> {
        let project = self.project;
        let options = Options {
            jobs: project.jobs,
            gpus: Some(1),
            memory: Some(1 << 30),
            keep_going: project.keep_going,
            audit,
            executor: project.executor.clone(),
            trace: project.trace.as_ref(),
            ..local::run_options(&project.path(".flow"), &project.cancel)
        };
        let plan = self.plan;
        let setting = Setting {
            plan,
            store: self.store,
            stat: self.stat,
            options: &options,
        };
        let mut settled = HashSet::new();
        let finished = run::run(setting, forced, &mut |event| {
            self.summary.observe(&event);
            self.observe(event, &mut settled);
        })?;
        assert_eq!(settled.len(), plan.len(), "every action is told of");
        self.ran.interrupted |= finished.interrupted;
        let failures = finished.failures.into_iter();
        let failures = failures.map(|(action, error)| (name(plan, action), error));
        self.ran.failures.extend(failures);
        for (action, slot) in finished.slots.iter().enumerate() {
            if let Slot::Done(record) = slot {
                self.take_in(&name(plan, action), record);
            }
        }
        Ok(finished.slots)
    }

    fn observe(&mut self, event: Event, settled: &mut HashSet<usize>) {
        let name = |action| name(self.plan, action);
        match event {
            Event::ActionStarted { action, reason, .. } => {
                self.ran.started.push(name(action));
                self.ran.reasons.insert(name(action), reason);
            }
            Event::ActionFinished {
                action, outcome, ..
            } => {
                if matches!(outcome, Outcome::Ran | Outcome::Failed(_)) {
                    self.ran.ran.push(name(action));
                }
                // Only what ran may be told of again.
                let fine = settled.insert(action) || !matches!(outcome, Outcome::Hit);
                assert!(fine, "{} twice", name(action));
            }
            Event::Warning { message } => self.ran.warnings.push(message),
            Event::Progress { progress, .. } => self.ran.progress.push(progress),
            Event::BatchSubmitted(batch) => self.ran.batches.push(batch),
            Event::Stopping { .. } | Event::Started { .. } | Event::Traffic(_) => {}
        }
    }

    fn take_in(&mut self, name: &str, record: &Arc<Record>) {
        self.ran.keys.insert(name.to_owned(), record.key);
        self.ran.records.insert(name.to_owned(), record.clone());
        for output in &record.outputs {
            let output_name = format!("{name} {}", output.name);
            self.ran.digests.insert(output_name, output.digest);
        }
    }

    /// All that they told.
    fn end(mut self) -> Ran {
        for stage in 0..self.plan.pipeline.stages.len() {
            let sum = self.summary.stage(stage);
            let sums = [sum.hit, sum.ran, sum.failed, sum.skipped];
            for (total, n) in self.ran.counts.iter_mut().zip(sums) {
                *total += n;
            }
        }
        self.ran.ran.sort();
        self.ran
    }
}

/// An action as `STAGE: LABEL`.
pub fn name(plan: &Plan<'_>, action: usize) -> String {
    let stage = &plan.pipeline.stages[plan.coords(action).stage].name;
    format!("{stage}: {}", plan.label(action))
}

/// Writes the lines of all parts in order, whatever they are.
struct Concat;

impl Export for Concat {
    fn export(
        &self,
        _ty: PortType,
        parts: &[Part],
        _extension: &str,
        to: &mut dyn Write,
    ) -> Result<(), StageError> {
        let mut lines = Vec::new();
        for part in parts {
            let text = std::fs::read_to_string(&part.path)?;
            lines.extend(text.lines().map(|line| format!("{line}\n")));
        }
        lines.sort();
        to.write_all(lines.concat().as_bytes())?;
        Ok(())
    }
}

/// A report that lists the digests of all artifacts.
struct Digests;

impl Report for Digests {
    fn besides(&self, pipeline: &Pipeline) -> Digest {
        Digest::of(pipeline.name.as_bytes())
    }

    fn reads(&self, _ty: PortType) -> bool {
        true
    }

    fn write(
        &self,
        _plan: &Plan<'_>,
        slots: &[Slot],
        _store: &Store,
        to: &mut dyn Write,
    ) -> Result<(), StageError> {
        for slot in slots {
            if let Slot::Done(record) = slot {
                for output in &record.outputs {
                    writeln!(to, "{}", output.digest)?;
                }
            }
        }
        Ok(())
    }
}
