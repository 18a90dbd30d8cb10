//! What a run works on, and how.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use flow_cache::{StatCache, Store};

use crate::base::trace::Trace;
use crate::plan::Plan;
use crate::run::cluster::options::ClusterOptions;

/// What all parts of a run share.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// What is to be brought up to date.
    pub plan: &'a Plan<'a>,
    /// Where records and artifacts are.
    pub store: &'a Store,
    /// Digests of source files.
    pub stat: &'a StatCache,
    /// How to run.
    pub options: &'a Options<'a>,
}

/// How to run.
pub struct Options<'a> {
    /// Number of actions that run at a time, and of threads that their loops share.
    pub jobs: usize,
    /// GPUs that actions may claim; `None` for those that the machine has.
    pub gpus: Option<usize>,
    /// Bytes of memory that actions may claim together; `None` for what the machine has.
    pub memory: Option<u64>,
    /// Goes on with what does not depend on a failure.
    pub keep_going: bool,
    /// Forced actions run even if their bytes are there, each on what its record was made from. If one
    /// gives other bytes, the actions that depend on it are decided again once all have run.
    pub audit: bool,
    /// Set from outside to stop the run.
    pub cancel: &'a AtomicBool,
    /// Where the directory for unfinished work of stages is made. It is removed afterwards.
    pub scratch: PathBuf,
    /// Where the logs of failed programs go.
    pub logs: PathBuf,
    /// What runs the actions.
    pub executor: Executor,
    /// Takes note of where the time goes.
    pub trace: Option<&'a Trace>,
}

/// What runs actions. Results do not depend on it.
#[derive(Clone, Debug)]
pub enum Executor {
    /// Threads of this process.
    Local,
    /// Processes, one per action.
    Process(ProcessOptions),
    /// Machines of a cluster, by its scheduler.
    Cluster(Box<ClusterOptions>),
}

/// How children are started.
#[derive(Clone, Debug)]
pub struct ProcessOptions {
    /// A program with its first arguments; `--store DIR --jobs N KEY` follow.
    pub command: Vec<OsString>,
}
