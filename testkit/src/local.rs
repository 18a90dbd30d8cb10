//! Pipelines that are loaded and run in the test's own process.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use flow_cache::{StatCache, Store};
use flow_engine::outputs::ports::{self, Port};
use flow_engine::pipeline::PortRef;
use flow_engine::pipeline::file::{self, PipelineFile};
use flow_engine::pipeline::load::LoadOptions;
use flow_engine::plan::Plan;
use flow_engine::run::options::{Executor, Options, Setting};
use flow_engine::run::{self, Finished};
use flow_engine::{Diags, Pipeline, Registry, Span};

use crate::Project;

fn options(project: &Project, sets: &[&str]) -> LoadOptions {
    LoadOptions {
        sets: sets.iter().map(|set| (*set).to_owned()).collect(),
        cwd: project.root.clone(),
    }
}

/// Reads a file of a project, which must be one of TOML, with values set.
#[track_caller]
pub fn read(project: &Project, file: &str, sets: &[&str]) -> PipelineFile {
    let read = PipelineFile::read(Path::new(file), &options(project, sets));
    read.unwrap_or_else(|diags| panic!("{diags:?}"))
}

/// Reads a pipeline of a project, with values set.
///
/// # Errors
/// It has mistakes.
pub fn load(
    project: &Project,
    file: &str,
    sets: &[&str],
    registry: &Registry,
) -> Result<Pipeline, Diags> {
    file::load(Path::new(file), &options(project, sets), registry)
}

/// Reads a pipeline that must be sound.
#[track_caller]
pub fn sound(project: &Project, file: &str, sets: &[&str], registry: &Registry) -> Pipeline {
    load(project, file, sets, registry).unwrap_or_else(|diags| panic!("{diags:?}"))
}

/// How a pipeline is run: with a folder for what a run leaves beside the store, two actions at a time,
/// on a machine without GPUs and without bounds.
pub fn run_options<'a>(home: &Path, cancel: &'a AtomicBool) -> Options<'a> {
    Options {
        jobs: 2,
        gpus: Some(0),
        memory: Some(u64::MAX),
        keep_going: false,
        audit: false,
        cancel,
        scratch: home.join("scratch"),
        logs: home.join("logs"),
        executor: Executor::Local,
        trace: None,
    }
}

/// A pipeline that was run.
pub struct LocalRun<'p> {
    /// Its plan.
    pub plan: Plan<'p>,
    /// The store that it was run in.
    pub store: Store,
    /// What the run left.
    pub finished: Finished,
}

/// Runs a pipeline to its end, past failures, with its store in a folder.
#[track_caller]
pub fn run<'p>(pipeline: &'p Pipeline, home: &Path, jobs: usize) -> LocalRun<'p> {
    let store = Store::open(&home.join("store")).expect("a store");
    let stat = StatCache::open(&home.join("stat"));
    let plan = Plan::new(pipeline);
    let cancel = AtomicBool::new(false);
    let options = Options {
        jobs,
        keep_going: true,
        ..run_options(home, &cancel)
    };
    let setting = Setting {
        plan: &plan,
        store: &store,
        stat: &stat,
        options: &options,
    };
    let finished = run::run(setting, HashSet::new(), &mut |_| {});
    LocalRun {
        finished: finished.expect("the run ends"),
        plan,
        store,
    }
}

impl LocalRun<'_> {
    /// Itself, if nothing failed.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(
            self.finished.failures.is_empty(),
            "{:?}",
            self.finished.failures
        );
        self
    }

    /// What an output port of a stage, both given by number, came to.
    pub fn port(&self, stage: usize, port: usize) -> Option<Port> {
        self.port_of(PortRef {
            stage,
            port,
            span: Span::default(),
        })
    }

    /// What a reference came to.
    pub fn port_of(&self, reference: PortRef) -> Option<Port> {
        ports::port(&self.plan, &self.finished.slots, &self.store, reference)
    }
}
