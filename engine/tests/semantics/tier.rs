//! A store with a tier behind it: what is asked, fetched, run and offered.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use flow_cache::{
    ActionKey, CreateArtifact, Digest, Record, Staged, StatCache, Store, StoreError, StoreReader,
    Tier, Traffic, Warning,
};
use flow_engine::explain::preview::{Preview, Verdict};
use flow_engine::plan::Plan;
use flow_testkit::files::{entries, tree};

use crate::harness::{Project, name};
use crate::{ALL, LEARN, built, fresh};

/// A tier that has what another store has.
pub struct Elsewhere {
    store: Store,
    /// Stages whose records it keeps to itself.
    hides: Vec<&'static str>,
    /// It has no bytes.
    bare: bool,
    /// The number of keys in each question for records.
    waves: Mutex<Vec<usize>>,
    fetched: Mutex<Vec<Digest>>,
    offered: Mutex<Vec<ActionKey>>,
}

impl Elsewhere {
    fn of(project: &Project) -> Self {
        Self {
            store: Store::open_read_only(&project.store()).unwrap(),
            hides: Vec::new(),
            bare: false,
            waves: Mutex::default(),
            fetched: Mutex::default(),
            offered: Mutex::default(),
        }
    }

    fn bytes(&self, digest: &Digest) -> Option<Vec<u8>> {
        let path = self.store.path(digest);
        std::fs::read(path).ok().filter(|_| !self.bare)
    }
}

impl Tier for Elsewhere {
    fn records(&self, keys: &[ActionKey]) -> Vec<Record> {
        self.waves.lock().unwrap().push(keys.len());
        let found = keys
            .iter()
            .filter_map(|key| self.store.lookup(key).unwrap());
        let told = found.filter(|record| !self.hides.contains(&record.stage()));
        told.map(|record| (*record).clone()).collect()
    }

    fn sizes(&self, digests: &[Digest]) -> HashMap<Digest, u64> {
        let sized = |digest: &Digest| Some((*digest, self.bytes(digest)?.len() as u64));
        digests.iter().filter_map(sized).collect()
    }

    fn fetch(
        &self,
        digests: &[Digest],
        create: &CreateArtifact<'_>,
    ) -> Result<Vec<Staged>, StoreError> {
        let mut fetched = Vec::new();
        for digest in digests {
            if let Some(bytes) = self.bytes(digest) {
                let mut file = create(digest)?;
                file.write_all(&bytes).unwrap();
                fetched.push(file.finish()?);
                self.fetched.lock().unwrap().push(*digest);
            }
        }
        Ok(fetched)
    }

    fn offer(&self, from: &StoreReader, key: ActionKey) {
        let record = from.record(&key).unwrap().expect("a record");
        for output in &record.outputs {
            assert!(from.path(&output.digest).is_file());
        }
        self.offered.lock().unwrap().push(key);
    }

    fn traffic(&self) -> Traffic {
        Traffic {
            fetched: self.fetched.lock().unwrap().len() as u64,
            ..Traffic::default()
        }
    }

    fn take_warnings(&self) -> Vec<Warning> {
        Vec::new()
    }
}

/// A project elsewhere with the same files, behind whose empty store stands that of another one.
fn colleague(tier: Elsewhere) -> (Project, Arc<Elsewhere>) {
    let mut project = fresh();
    let tier = Arc::new(tier);
    project.tier = Some(tier.clone());
    (project, tier)
}

#[test]
fn a_colleague_runs_nothing_and_fetches_what_is_delivered() {
    let first = built();
    let before = first.expect(&[]);
    let (project, tier) = colleague(Elsewhere::of(&first));
    let ran = project.expect(&[]);
    assert_eq!(ran.digests, before.digests);
    assert_eq!(ran.counts, [16, 0, 0, 0]);
    for file in ["out/p.txt", "out/all.txt"] {
        assert_eq!(project.read(file), first.read(file));
    }
    assert_eq!(
        tier.fetched.lock().unwrap().len(),
        2,
        "only what files are made of"
    );
    // One question for each step, as far as it is known when its turn comes.
    let waves = tier.waves.lock().unwrap().clone();
    assert_eq!(waves, [3, 1, 3, 1, 3, 3, 1, 1]);
    assert!(tier.offered.lock().unwrap().is_empty());
    // From then on, the store knows.
    project.expect(&[]);
    assert_eq!(tier.waves.lock().unwrap().len(), waves.len());
}

#[test]
fn what_runs_reads_fetched_bytes_and_is_offered() {
    let first = built();
    let (project, tier) = colleague(Elsewhere::of(&first));
    project.edit("use = \"learner\"", "use = \"learner\"\ndepth = 4");
    let ran = project.expect(&LEARN);
    assert_eq!(
        project.read("out/p.txt"),
        project.uncached()[&project.path("out/p.txt")]
    );
    let mut offered = tier.offered.lock().unwrap().clone();
    let mut learned: Vec<ActionKey> = LEARN.iter().map(|name| ran.keys[*name]).collect();
    offered.sort_by_key(|key| key.0.hex());
    learned.sort_by_key(|key| key.0.hex());
    assert_eq!(offered, learned);
}

#[test]
fn an_action_that_becomes_known_while_others_run_is_asked_for_too() {
    let first = built();
    let (project, tier) = colleague(Elsewhere {
        hides: vec!["clean"],
        ..Elsewhere::of(&first)
    });
    project.expect(&["clean: apply a", "clean: apply b", "clean: apply u"]);
    assert_eq!(tier.offered.lock().unwrap().len(), 3);
}

#[test]
fn bytes_that_nobody_has_are_made_again() {
    let first = built();
    let (project, tier) = colleague(Elsewhere {
        bare: true,
        ..Elsewhere::of(&first)
    });
    let ran = project.expect(&ALL);
    assert_eq!(ran.digests, first.expect(&[]).digests);
    assert!(tier.fetched.lock().unwrap().is_empty());
}

#[test]
fn bytes_that_are_lost_or_corrupt_here_are_fetched_instead_of_made() {
    let first = built();
    let (project, _) = colleague(Elsewhere::of(&first));
    let ran = project.expect(&[]);
    flow_testkit::store::flip(&project.artifact(&ran, "all: join rows"));
    project.remove("out/all.txt");
    project.expect(&[]);
    assert_eq!(project.read("out/all.txt"), first.read("out/all.txt"));
}

#[test]
fn a_plan_knows_what_comes_from_there_and_changes_nothing() {
    let first = built();
    for (bare, hits) in [(false, 16), (true, 0)] {
        let (project, _) = colleague(Elsewhere {
            bare,
            ..Elsewhere::of(&first)
        });
        let before = tree(&project.root);
        let pipeline = project.load();
        let plan = Plan::new(&pipeline);
        let store = Store::open_for_reading(&project.store()).unwrap();
        let store = project.with_tier(store);
        let stat = StatCache::open(&project.path(".flow/stat"));
        let delivery = project.delivery(&plan, &store, &stat);
        let preview = Preview::new(&delivery).unwrap();
        let all = 0..plan.len();
        let hit = all.clone().filter(|&a| preview.verdict(a) == Verdict::Hit);
        assert_eq!(hit.count(), hits);
        let there = all.clone().filter(|&a| preview.is_from_remote(a));
        assert_eq!(there.count(), 16);
        let fetched = all.filter(|&action| preview.fetched(action).is_some());
        let fetched: Vec<String> = fetched.map(|action| name(&plan, action)).collect();
        match bare {
            true => assert!(fetched.is_empty(), "{fetched:?}"),
            false => assert_eq!(fetched, ["learn: gather", "all: join"]),
        }
        assert_eq!(tree(&project.root), before);
        assert_eq!(entries(&project.path(".flow")).len(), 0);
    }
}
