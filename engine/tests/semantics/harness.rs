//! A project in a temporary folder, and runs of it with all that they tell.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use flow_cache::{ActionKey, Digest, Record, StatCache, Store};
use flow_engine::base::trace::Trace;
use flow_engine::explain::preview::{Need, Preview, Verdict};
use flow_engine::explain::{Causes, Explanation, Group, Reason, What};
use flow_engine::kind::{Part, PortType};
use flow_engine::outputs::delivery::{self, Delivery, Export};
use flow_engine::pipeline::file::load;
use flow_engine::pipeline::load::LoadOptions;
use flow_engine::plan::Plan;
use flow_engine::plan::keys::Slot;
use flow_engine::run;
use flow_engine::run::event::{Event, Outcome};
use flow_engine::run::options::{Executor, Options, Setting};
use flow_engine::run::summary::Summary;
use flow_engine::{Pipeline, StageError};
use tempfile::TempDir;

use crate::kinds::{Control, registry};

/// A project.
pub struct Project {
    _dir: Option<TempDir>,
    /// Its root.
    pub root: PathBuf,
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

/// What `flow plan` says.
pub struct Planned {
    /// The verdict on each action, by `STAGE: LABEL`.
    pub verdicts: BTreeMap<String, Verdict>,
    /// Why.
    pub told: BTreeMap<String, Explanation>,
    /// What that goes back to: the action and the cause.
    pub causes: BTreeMap<String, Vec<(String, What)>>,
    /// For a restored action, the action or the file that needs it.
    pub needed_by: BTreeMap<String, String>,
    /// Equal causes.
    pub groups: Vec<Group>,
}

impl Planned {
    /// The actions with a verdict of this word, in order of name.
    pub fn all(&self, wanted: fn(&Verdict) -> bool) -> Vec<&str> {
        let wanted = self.verdicts.iter().filter(|(_, verdict)| wanted(verdict));
        wanted.map(|(name, _)| name.as_str()).collect()
    }

    /// The actions that certainly run.
    pub fn run(&self) -> Vec<&str> {
        self.all(|verdict| *verdict == Verdict::Run)
    }

    /// The actions that make bytes again.
    pub fn restore(&self) -> Vec<&str> {
        self.all(|verdict| matches!(verdict, Verdict::Restore(_)))
    }

    /// The only cause of an action.
    pub fn cause(&self, name: &str) -> (&str, &What) {
        match self.causes[name].as_slice() {
            [(at, what)] => (at, what),
            all => panic!("{all:?}"),
        }
    }
}

impl Project {
    /// A project with this pipeline.
    pub fn new(toml: &str) -> Self {
        let dir = folder();
        let root = dir.path().canonicalize().unwrap().join("project");
        std::fs::create_dir(&root).unwrap();
        let mut project = Self::at(&root);
        project._dir = Some(dir);
        project.write("flow.toml", "");
        project.write("p.toml", toml);
        project
    }

    /// The project in `root`, which someone else made and will remove.
    pub fn at(root: &Path) -> Self {
        Self {
            _dir: None,
            root: root.to_owned(),
            control: Control::new(),
            jobs: 2,
            keep_going: false,
            cancel: Arc::default(),
            executor: Executor::Local,
            trace: None,
        }
    }

    /// Writes a file of the project.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Reads a file of the project.
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.root.join(path)).unwrap()
    }

    /// Replaces a text in the pipeline; it must be there.
    pub fn edit(&self, from: &str, to: &str) {
        let text = self.read("p.toml");
        assert!(text.contains(from), "no {from} in {text}");
        self.write("p.toml", &text.replace(from, to));
    }

    /// The folder of the store.
    pub fn store(&self) -> PathBuf {
        self.root.join(".flow/store")
    }

    /// Where an output of an action lies, by its `STAGE: LABEL OUTPUT`.
    pub fn artifact(&self, ran: &Ran, name: &str) -> PathBuf {
        Store::open(&self.store()).unwrap().path(&ran.digests[name])
    }

    /// Loads the pipeline.
    pub fn load(&self) -> Pipeline {
        let options = LoadOptions {
            sets: Vec::new(),
            cwd: self.root.clone(),
        };
        load(Path::new("p.toml"), &options, &registry(&self.control))
            .unwrap_or_else(|diags| panic!("{diags:?}"))
    }

    /// Runs the pipeline the way `flow run` does: again where an output file lacks bytes.
    pub fn run(&self) -> Ran {
        self.try_run().unwrap()
    }

    /// The same where the disk may fail: an error besides those of actions.
    pub fn try_run(&self) -> Result<Ran, StageError> {
        let pipeline = self.load();
        let plan = Plan::new(&pipeline);
        let store = Store::open(&self.store())?;
        let stat = StatCache::open(&self.root.join(".flow/stat"));
        let mut ran = Ran::default();
        let mut summary = Summary::default();
        let none = HashSet::new();
        let slots = self.pass(&plan, &store, &stat, none, &mut ran, &mut summary)?;
        if !ran.interrupted {
            let delivery = Delivery {
                plan: &plan,
                store: &store,
                stat: &stat,
                manifest: self.root.join(".flow/outputs"),
                exporter: &Concat,
            };
            let mut error = None;
            let delivered = delivery.deliver(&slots, |lost| {
                let again = self.pass(&plan, &store, &stat, lost, &mut ran, &mut summary);
                again.map_err(|e| error = Some(e)).ok()
            });
            let failed = delivered.failed.into_iter().map(|(_, error)| error);
            if let Some(error) = error
                .into_iter()
                .chain(failed)
                .chain(delivered.unnoted.map(StageError::from))
                .next()
            {
                return Err(error);
            }
            ran.warnings.extend(delivered.warnings);
            for file in delivered.written {
                let name = pipeline.outputs[file].path.file_name().unwrap();
                ran.written.push(name.to_string_lossy().into_owned());
            }
        }
        for stage in 0..pipeline.stages.len() {
            let sum = summary.stage(stage);
            for (total, n) in ran
                .counts
                .iter_mut()
                .zip([sum.hit, sum.ran, sum.failed, sum.skipped])
            {
                *total += n;
            }
        }
        stat.save()?;
        ran.ran.sort();
        Ok(ran)
    }

    /// Says what a run would do, and runs nothing.
    pub fn plan(&self) -> Planned {
        let pipeline = self.load();
        let plan = Plan::new(&pipeline);
        let store = Store::open(&self.store()).unwrap();
        let stat = StatCache::open(&self.root.join(".flow/stat"));
        let delivery = Delivery {
            plan: &plan,
            store: &store,
            stat: &stat,
            manifest: self.root.join(".flow/outputs"),
            exporter: &Concat,
        };
        let name = |action: usize| {
            let stage = &plan.pipeline.stages[plan.coords(action).stage].name;
            format!("{stage}: {}", plan.label(action))
        };
        let mut planned = Planned {
            verdicts: BTreeMap::new(),
            told: BTreeMap::new(),
            causes: BTreeMap::new(),
            needed_by: BTreeMap::new(),
            groups: Vec::new(),
        };
        let mut preview = Preview::new(&delivery).unwrap();
        let mut causes = Causes::new(&mut preview, &delivery);
        for action in 0..plan.len() {
            let told = causes.explain_next().unwrap();
            let verdict = causes.preview().verdict(action);
            // What is told of an action that runs is never nothing.
            let said = match &told.reason {
                Some(Reason::Changed(changed)) => !changed.changes.is_empty(),
                other => other.is_some(),
            };
            let runs = verdict == Verdict::Run;
            assert_eq!(runs, said, "{}: {told:?}", name(action));
            assert!(
                !runs || !told.causes.is_empty(),
                "{}: {told:?}",
                name(action)
            );
            let all = told.causes.iter();
            let all = all.map(|cause| (name(cause.action), cause.what.clone()));
            planned.causes.insert(name(action), all.collect());
            planned.verdicts.insert(name(action), verdict);
            planned.told.insert(name(action), told);
            if let Verdict::Restore(need) = verdict {
                let by = match need {
                    Need::Action(by) => name(by),
                    Need::File(file) => {
                        let path = &pipeline.outputs[file].path;
                        let path = path.strip_prefix(&self.root).unwrap();
                        path.display().to_string()
                    }
                };
                planned.needed_by.insert(name(action), by);
            }
        }
        planned.groups = causes.groups().to_vec();
        planned
    }

    /// Runs actions, given as `STAGE: LABEL`, again the way `flow run --audit` does.
    pub fn audit(&self, actions: &[&str]) -> Ran {
        let pipeline = self.load();
        let plan = Plan::new(&pipeline);
        let store = Store::open(&self.store()).unwrap();
        let stat = StatCache::open(&self.root.join(".flow/stat"));
        let forced: HashSet<usize> = (0..plan.len())
            .filter(|&action| actions.contains(&name(&plan, action).as_str()))
            .collect();
        assert_eq!(forced.len(), actions.len());
        let (mut ran, mut summary) = (Ran::default(), Summary::default());
        self.go(&plan, &store, &stat, forced, true, &mut ran, &mut summary)
            .unwrap();
        stat.save().unwrap();
        ran.ran.sort();
        ran
    }

    /// One pass over the plan; returns what is known then.
    fn pass(
        &self,
        plan: &Plan<'_>,
        store: &Store,
        stat: &StatCache,
        forced: HashSet<usize>,
        ran: &mut Ran,
        summary: &mut Summary,
    ) -> Result<Vec<Slot>, StageError> {
        self.go(plan, store, stat, forced, false, ran, summary)
    }

    #[allow(clippy::too_many_arguments)]
    fn go(
        &self,
        plan: &Plan<'_>,
        store: &Store,
        stat: &StatCache,
        forced: HashSet<usize>,
        audit: bool,
        ran: &mut Ran,
        summary: &mut Summary,
    ) -> Result<Vec<Slot>, StageError> {
        let options = Options {
            jobs: self.jobs,
            gpus: Some(1),
            memory: Some(1 << 30),
            keep_going: self.keep_going,
            audit,
            cancel: &self.cancel,
            scratch: self.root.join(".flow/scratch"),
            logs: self.root.join(".flow/logs"),
            executor: self.executor.clone(),
            trace: self.trace.as_ref(),
        };
        let name = |action: usize| name(plan, action);
        let mut settled = HashSet::new();
        let setting = Setting {
            plan,
            store,
            stat,
            options: &options,
        };
        let finished = run::run(setting, forced, &mut |event| {
            summary.observe(&event);
            match event {
                Event::ActionStarted { action, reason, .. } => {
                    ran.started.push(name(action));
                    ran.reasons.insert(name(action), reason);
                }
                Event::ActionFinished {
                    action, outcome, ..
                } => {
                    if matches!(outcome, Outcome::Ran | Outcome::Failed(_)) {
                        ran.ran.push(name(action));
                    }
                    // Only what ran may be told of again.
                    let new = settled.insert(action);
                    assert!(
                        new || !matches!(outcome, Outcome::Hit),
                        "{} twice",
                        name(action)
                    );
                }
                Event::Stopping { .. } => {}
                Event::Warning { message } => ran.warnings.push(message),
                Event::Started { .. } | Event::Progress { .. } => {}
            }
        })?;
        assert_eq!(settled.len(), plan.len(), "every action is told of");
        ran.interrupted |= finished.interrupted;
        let failures = finished.failures.into_iter();
        ran.failures
            .extend(failures.map(|(action, error)| (name(action), error)));
        for (action, slot) in finished.slots.iter().enumerate() {
            if let Slot::Done(record) = slot {
                ran.keys.insert(name(action), record.key);
                ran.records.insert(name(action), record.clone());
                for output in &record.outputs {
                    ran.digests
                        .insert(format!("{} {}", name(action), output.name), output.digest);
                }
            }
        }
        Ok(finished.slots)
    }

    /// Checks that no attempt has left a file beside the store's artifacts and records. Workers
    /// keep their folders, emptied but for copies that the next program's would be written over.
    pub fn assert_no_debris(&self) {
        let mut folders = vec![
            self.root.join(".flow/scratch"),
            self.store().join("manifests"),
        ];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.ends_with("home") || path.ends_with("log") {
                    continue;
                }
                assert!(path.is_dir(), "{} is left", path.display());
                folders.push(path);
            }
        }
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
        let temp = folder();
        let dir = temp.path();
        let cancel = AtomicBool::new(false);
        let plan = Plan::new(&pipeline);
        let store = Store::open(&dir.join("store")).unwrap();
        let stat = StatCache::open(&dir.join("stat"));
        let options = Options {
            jobs: 1,
            gpus: Some(1),
            memory: Some(1 << 30),
            keep_going: false,
            audit: false,
            cancel: &cancel,
            scratch: dir.join("scratch"),
            logs: dir.join("logs"),
            executor: Executor::Local,
            trace: None,
        };
        let setting = Setting {
            plan: &plan,
            store: &store,
            stat: &stat,
            options: &options,
        };
        let finished = run::run(setting, HashSet::new(), &mut |_| {}).unwrap();
        assert!(finished.failures.is_empty(), "{:?}", finished.failures);
        let mut files = BTreeMap::new();
        for output in &pipeline.outputs {
            let port = delivery::port(&plan, &finished.slots, &store, output.from).unwrap();
            let to = dir.join("out");
            delivery::write_file(&port, &to, &Concat).unwrap();
            files.insert(output.path.clone(), std::fs::read_to_string(to).unwrap());
        }
        files
    }
}

/// An action as `STAGE: LABEL`.
fn name(plan: &Plan<'_>, action: usize) -> String {
    let stage = &plan.pipeline.stages[plan.coords(action).stage].name;
    format!("{stage}: {}", plan.label(action))
}

/// A temporary folder, in memory where there is one: syncs to a disk are no matter of these tests.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
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
