//! Random pipelines under random edits, damage and trouble, against an [oracle](crate::oracle) that
//! knows no cache: after each step every output of every action and every output file is what the
//! oracle says, exactly the necessary actions ran, and an immediate second run does nothing.
//!
//! `FLOW_MODEL_CASES=N` tries more cases. A failure prints its seed; `FLOW_MODEL_SEED=N` replays it.

mod pipeline;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use flow_cache::{ActionKey, Digest, GcPolicy, Store};
use flow_engine::StageError;
use flow_engine::explain::preview::Verdict;
use flow_engine::run::options::Executor;

use crate::harness::{Project, Ran};
use crate::oracle::{Act, Oracle};
use crate::planned::Planned;
use flow_testkit::Random;
use flow_testkit::files::entries;
use flow_testkit::store::{artifacts, collect};

use pipeline::Model;

const CASES: u64 = 200;
const STEPS: usize = 7;

/// A project under test, and what is known of its store's life.
struct Life {
    seed: u64,
    project: Project,
    model: Model,
    /// The key under which each identity was run.
    keys: HashMap<String, ActionKey>,
    /// From which artifacts each file was last written.
    delivered: HashMap<usize, Vec<Digest>>,
    /// What was done, for the message of a failure.
    log: Vec<String>,
}

/// What the store has before a run.
struct Before {
    records: HashSet<ActionKey>,
    healthy: HashSet<Digest>,
    /// Some artifact is not what its digest says.
    corrupt: bool,
    files: BTreeMap<usize, String>,
}

impl Life {
    fn before(&self) -> Before {
        let store = Store::open(&self.project.store()).unwrap();
        let keys = self.keys.values().copied();
        let records = keys.filter(|key| store.find(key).unwrap().is_some());
        let records = records.collect();
        let files = self.model.delivered().into_iter().filter_map(|index| {
            let path = self.project.root.join(format!("out/{index}.txt"));
            Some((index, std::fs::read_to_string(path).ok()?))
        });
        let artifacts = artifacts(&self.project.store());
        let healthy: HashSet<Digest> = artifacts
            .iter()
            .map(|path| (called(path), Digest::of(&std::fs::read(path).unwrap())))
            .filter_map(|(called, is)| (called == is).then_some(is))
            .collect();
        Before {
            records,
            corrupt: healthy.len() < artifacts.len(),
            healthy,
            files: files.collect(),
        }
    }

    /// The identities that must run since nothing answers them, and those that may since somebody
    /// who runs, or a file, may read bytes that are gone.
    fn expected(&self, oracle: &Oracle, before: &Before) -> (BTreeSet<String>, BTreeSet<String>) {
        let has_record = |act: &Act| {
            let key = self.keys.get(&act.identity);
            key.is_some_and(|key| before.records.contains(key))
        };
        let missing = oracle.acts.iter().filter(|act| !has_record(act));
        let must: BTreeSet<String> = missing.map(|act| act.identity.clone()).collect();
        let mut may = must.clone();
        for index in self.model.delivered() {
            let (text, acts) = oracle.file(index);
            let from: Vec<Digest> = acts.iter().map(|&a| oracle.acts[a].digest()).collect();
            let same = self.delivered.get(&index) == Some(&from);
            if same && before.files.get(&index) == Some(&text) {
                continue;
            }
            for act in acts {
                if !before.healthy.contains(&oracle.acts[act].digest()) {
                    may.insert(oracle.acts[act].identity.clone());
                }
            }
        }
        // Against the order of dependence, so that one pass finds all; equal actions read equal bytes.
        for act in oracle.acts.iter().rev() {
            if may.contains(&act.identity) {
                let gone = act.needs.iter().map(|&n| &oracle.acts[n]);
                let gone = gone.filter(|need| !before.healthy.contains(&need.digest()));
                may.extend(gone.map(|need| need.identity.clone()));
            }
        }
        (must, may)
    }

    /// Takes in what a run did, well or not: no action twice, and none without need.
    fn take_in(&mut self, oracle: &Oracle, before: &Before, runs: &[&Ran]) {
        let (_, may) = self.expected(oracle, before);
        let acts: HashMap<&str, &Act> = oracle
            .acts
            .iter()
            .map(|act| (act.name.as_str(), act))
            .collect();
        let mut ran = BTreeSet::new();
        for run in runs {
            for name in &run.ran {
                let act = acts[name.as_str()];
                let failed = run.failures.iter().any(|(failed, _)| failed == name);
                assert!(
                    failed || ran.insert(&act.identity),
                    "{name} ran twice: {:?}",
                    runs.iter().map(|run| &run.ran).collect::<Vec<_>>()
                );
                assert!(
                    may.contains(&act.identity),
                    "{name} ran without need: {:?}",
                    run.reasons[name]
                );
            }
            for (name, key) in &run.keys {
                let act = acts[name.as_str()];
                let known = self.keys.insert(act.identity.clone(), *key);
                assert!(
                    known.is_none_or(|known| known == *key),
                    "{name} has another key than before"
                );
                let (output, _) = act.output;
                let digest = run.digests[&format!("{name} {output}")];
                assert_eq!(digest, act.digest(), "{name} gave something else");
            }
            for file in &run.written {
                let index = file.strip_suffix(".txt").unwrap().parse().unwrap();
                let (_, acts) = oracle.file(index);
                let from = acts.iter().map(|&act| oracle.acts[act].digest());
                self.delivered.insert(index, from.collect());
            }
        }
        let keys: HashSet<&ActionKey> = self.keys.values().collect();
        assert_eq!(keys.len(), self.keys.len(), "different actions share a key");
    }

    /// One run, or several at once, that must go well.
    fn check(&mut self, at_once: usize) {
        let oracle = self.model.oracle();
        let before = self.before();
        let (must, _) = self.expected(&oracle, &before);
        let project = &self.project;
        let planned = (at_once == 1).then(|| project.plan());
        let runs: Vec<Ran> = std::thread::scope(|scope| {
            let runs: Vec<_> = (0..at_once)
                .map(|_| scope.spawn(|| project.run()))
                .collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        let refs: Vec<&Ran> = runs.iter().collect();
        self.take_in(&oracle, &before, &refs);
        for run in &runs {
            assert!(run.failures.is_empty(), "{:?}", run.failures);
            let names: BTreeSet<&String> = run.keys.keys().collect();
            let all: BTreeSet<&String> = oracle.acts.iter().map(|act| &act.name).collect();
            assert_eq!(names, all, "not all actions are done");
        }
        let ran: BTreeSet<&String> = runs.iter().flat_map(|run| &run.ran).collect();
        for act in &oracle.acts {
            let equals = oracle.acts.iter().filter(|a| a.identity == act.identity);
            let did = equals.map(|a| &a.name).any(|name| ran.contains(name));
            let required = must.contains(&act.identity);
            assert!(did || !required, "{} did not run", act.name);
        }
        if let Some(planned) = planned {
            self.as_planned(&oracle, &before, &planned, &runs[0]);
        }
        self.files(&oracle, &before, &refs);
        let again = self.project.run();
        assert!(again.ran.is_empty(), "a second run ran {:?}", again.ran);
        let written = again.written;
        assert!(written.is_empty(), "a second run wrote {written:?}");
    }

    /// A run did what the plan said. Equal actions, and equal bytes of several actions, are made
    /// once, by any of them.
    fn as_planned(&self, oracle: &Oracle, before: &Before, planned: &Planned, ran: &Ran) {
        let did: BTreeSet<&String> = ran.ran.iter().collect();
        for act in &oracle.acts {
            let equal = |other: &&Act| other.identity == act.identity;
            let any = |like: &dyn Fn(&&Act) -> bool| {
                let mut all = oracle.acts.iter().filter(|other| like(other));
                all.any(|other| did.contains(&other.name))
            };
            match planned.verdicts[&act.name] {
                Verdict::Run => assert!(any(&equal), "{} was to run", act.name),
                Verdict::Restore(_) => {
                    let same_bytes = |other: &&Act| other.digest() == act.digest();
                    assert!(any(&same_bytes), "{} was to be restored", act.name);
                }
                Verdict::Hit | Verdict::Pending(_) | Verdict::Vacant => {}
            }
        }
        // That bytes are corrupt nobody knows before they are read.
        if before.corrupt {
            return;
        }
        for name in did {
            let act = oracle.acts.iter().find(|act| act.name == *name).unwrap();
            let like = oracle
                .acts
                .iter()
                .filter(|other| other.identity == act.identity || other.digest() == act.digest());
            let planned = like.map(|other| planned.verdicts[&other.name]);
            let mut foreseen = planned.filter(|v| !matches!(v, Verdict::Hit | Verdict::Vacant));
            assert!(foreseen.next().is_some(), "{name} was to be a hit");
        }
    }

    /// Output files are right, and were written only where they were not.
    fn files(&self, oracle: &Oracle, before: &Before, runs: &[&Ran]) {
        for index in self.model.delivered() {
            let (text, acts) = oracle.file(index);
            // A stage without any rows leaves no file.
            if acts.is_empty() {
                continue;
            }
            let name = format!("{index}.txt");
            let path = format!("out/{name}");
            assert_eq!(self.project.read(&path), text, "{path}");
            let written = runs.iter().any(|run| run.written.contains(&name));
            let was = before.files.get(&index);
            assert!(written || was == Some(&text), "{path} was not written");
        }
    }

    /// A run in which an action fails or the run is stopped.
    fn trouble(&mut self, random: &mut Random) {
        let oracle = self.model.oracle();
        let before = self.before();
        let interrupt = random.below(2) == 0;
        let n = 1 + random.below(oracle.acts.len()) as u32;
        self.log.push(format!("action {n} interrupted={interrupt}"));
        let cancel = Arc::clone(&self.project.cancel);
        self.project.control.nth(n, move || match interrupt {
            true => {
                cancel.store(true, Ordering::SeqCst);
                Ok(())
            }
            false => Err(StageError::failed("flow::test::told", "told to fail")),
        });
        let ran = self.project.run();
        let called = !self.project.control.never();
        self.project.cancel.store(false, Ordering::SeqCst);
        assert_eq!(ran.interrupted, called && interrupt);
        // Equal actions fail together.
        let failed = ran.failures.iter().map(|(name, _)| {
            let act = oracle.acts.iter().find(|act| act.name == *name);
            &act.unwrap().identity
        });
        let failed: BTreeSet<&String> = failed.collect();
        assert_eq!(failed.len(), usize::from(called && !interrupt));
        self.take_in(&oracle, &before, &[&ran]);
    }

    /// Removes or damages what lies in the store and around it.
    fn damage(&mut self, random: &mut Random) {
        let kind = random.below(6);
        self.log.push(format!("damage {kind}"));
        match kind {
            0 | 1 => {
                for path in artifacts(&self.project.store()) {
                    if random.below(4) == 0 {
                        spoil(&path, random);
                    }
                }
            }
            2 => {
                for path in entries(&self.project.store().join("records")) {
                    if random.below(2) == 0 {
                        spoil(&path, random);
                    }
                }
            }
            3 => {
                for path in entries(&self.project.path("out")) {
                    if random.below(2) == 0 {
                        spoil(&path, random);
                    }
                }
            }
            4 => {
                for name in [".flow/outputs", ".flow/stat"] {
                    let path = self.project.root.join(name);
                    if random.below(2) == 0 && path.exists() {
                        spoil(&path, random);
                    }
                }
                // What the files were written from may be forgotten.
                self.delivered.clear();
            }
            _ => {
                let store = Store::open(&self.project.store()).unwrap();
                let policy = GcPolicy {
                    max_bytes: Some(random.below(300) as u64),
                    max_age_days: (random.below(3) == 0).then_some(0.0),
                    ..GcPolicy::default()
                };
                collect(&store, &policy).unwrap();
            }
        }
    }
}

/// The digest by which an artifact is called.
fn called(path: &std::path::Path) -> Digest {
    let shard = path.parent().unwrap().file_name().unwrap();
    let name = [shard, path.file_name().unwrap()].map(|name| name.to_str().unwrap());
    Digest::from_hex(&name.concat()).unwrap()
}

/// Removes a file, or cuts it, flips a bit of it, or replaces it.
fn spoil(path: &std::path::Path, random: &mut Random) {
    let mut bytes = std::fs::read(path).unwrap();
    std::fs::remove_file(path).unwrap();
    match random.below(4) {
        0 => return,
        1 if !bytes.is_empty() => {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        2 => bytes.truncate(random.below(bytes.len() + 1)),
        _ => bytes = b"something else".to_vec(),
    }
    std::fs::write(path, bytes).unwrap();
}

/// Says how to replay the case that failed, and what it did.
#[allow(clippy::print_stderr)] // what a test says when it fails
impl Drop for Life {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { log, model, .. } = self;
            eprintln!("{}\n{log:#?}\n{:?}", model.toml(), model.texts());
            eprintln!("replay with FLOW_MODEL_SEED={}", self.seed);
        }
    }
}

/// A case of some steps; without trouble, which reaches only actions in this process, where they
/// run elsewhere.
pub fn case(seed: u64, steps: usize, executor: Executor) {
    let local = matches!(executor, Executor::Local);
    let mut random = Random(seed);
    let model = Model::new(&mut random);
    let mut life = Life {
        seed,
        project: Project::new(""),
        model: model.clone(),
        keys: HashMap::new(),
        delivered: HashMap::new(),
        log: Vec::new(),
    };
    life.project.executor = executor;
    let mut models = vec![model];
    life.model.write(&life.project);
    life.check(1);
    for _ in 0..steps {
        if random.below(5) == 0 {
            life.model = random.pick(&models).clone();
            life.log.push("reverted".to_owned());
        }
        for _ in 0..random.below(3) {
            life.model.edit(&mut random);
        }
        models.push(life.model.clone());
        life.model.write(&life.project);
        if random.below(3) == 0 {
            life.damage(&mut random);
        }
        life.project.jobs = 1 + random.below(3);
        life.project.keep_going = random.below(2) == 0;
        if local && random.below(4) == 0 {
            life.trouble(&mut random);
        }
        let at_once = 1 + random.below(8) / 7;
        life.log
            .push(format!("{at_once} runs of {} jobs", life.project.jobs));
        life.check(at_once);
    }
}

#[test]
fn a_cached_run_gives_what_the_oracle_says_and_runs_what_is_necessary() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let first = number("FLOW_MODEL_SEED");
    let cases = number("FLOW_MODEL_CASES").unwrap_or(if first.is_some() { 1 } else { CASES });
    let first = first.unwrap_or(0);
    (first..first + cases).for_each(|seed| case(seed, STEPS, Executor::Local));
}
