//! What `flow plan` says of a project.

use std::collections::BTreeMap;

use flow_cache::{StatCache, Store};
use flow_engine::explain::preview::{Need, Preview, Verdict};
use flow_engine::explain::{Causes, Explanation, Group, Reason, What};
use flow_engine::plan::Plan;

use crate::harness::{Project, name};

/// What `flow plan` says.
#[derive(Default)]
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
    /// Says what a run would do, and runs nothing.
    pub fn plan(&self) -> Planned {
        let pipeline = self.load();
        let plan = Plan::new(&pipeline);
        let store = Store::open(&self.store()).unwrap();
        let stat = StatCache::open(&self.path(".flow/stat"));
        let delivery = self.delivery(&plan, &store, &stat);
        let name = |action: usize| name(&plan, action);
        let mut planned = Planned::default();
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
            let caused = !runs || !told.causes.is_empty();
            assert!(caused, "{}: {told:?}", name(action));
            let all = told.causes.iter();
            let all = all.map(|cause| (name(cause.action), cause.what.clone()));
            planned.causes.insert(name(action), all.collect());
            planned.verdicts.insert(name(action), verdict);
            planned.told.insert(name(action), told);
            if let Verdict::Restore(need) = verdict {
                let by = match need {
                    Need::Action(by) => name(by),
                    Need::File(file) => {
                        let path = pipeline.outputs[file].path.strip_prefix(&self.root);
                        path.unwrap().display().to_string()
                    }
                };
                planned.needed_by.insert(name(action), by);
            }
        }
        planned.groups = causes.groups().to_vec();
        planned
    }
}
