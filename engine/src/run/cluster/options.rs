//! How actions run on a cluster. Nothing of it is in a recipe.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use crate::kind::stage::Resources;

/// How a run uses a cluster.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// What starts tasks.
    pub scheduler: SchedulerChoice,
    /// A program with its first arguments, as machines of the cluster see it; `--batch DIR TASK` follows.
    pub command: Vec<OsString>,
    /// Lines of shell that a task runs first.
    pub before: Vec<String>,
    /// The time that the actions of a task are expected to take together.
    pub task_time: Duration,
    /// The most tasks that wait or run at a time.
    pub most_tasks: usize,
    /// The memory in bytes that tasks of stages without a claim ask for; 0 leaves it to the scheduler.
    pub memory: u64,
    /// The time limit of tasks whose stages have no timeout; none leaves it to the scheduler.
    pub time: Option<Duration>,
    /// How often the store is looked at.
    pub look: Duration,
    /// How long a task may be silent before the scheduler is asked about it.
    pub ask_after: Duration,
    /// How long it may take until a file that one machine has written is seen by another.
    pub visible_within: Duration,
    /// What is tried again.
    pub retry: Retry,
    /// By name of a stage, what is asked for in place of what the stage claims.
    pub stages: BTreeMap<String, Asked>,
    /// Decides what becomes of the tasks that were submitted if the run is stopped. Gets their number.
    pub on_stop: fn(usize) -> OnStop,
}

/// What becomes of tasks when a run is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStop {
    /// They go on, and a later run attaches to them.
    Leave,
    /// They are cancelled.
    Cancel,
}

/// Which scheduler, and how it is called.
#[derive(Clone, Debug, PartialEq)]
pub enum SchedulerChoice {
    /// `sbatch`, `squeue`, `sacct` and `scancel`.
    Slurm(SiteWords),
    /// `hq`, inside an allocation or beside one.
    Hq(SiteWords),
    /// Commands of the user.
    Command(Templates),
}

impl SchedulerChoice {
    /// The name, as `--executor` takes it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Slurm(_) => "slurm",
            Self::Hq(_) => "hq",
            Self::Command(_) => "command",
        }
    }
}

/// What a site wants to hear besides resources.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SiteWords {
    /// Arguments of the command that submits, such as `--partition=short`.
    pub options: Vec<String>,
}

/// The commands of a scheduler that flow does not know.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Templates {
    /// Submits an array of tasks, and prints its id as the first word of its last line.
    pub submit: Template,
    /// Prints a line for each task of `{ids}`: id, number of the task, state, and the machine if it is known.
    pub status: Template,
    /// Cancels `{ids}`.
    pub cancel: Template,
    /// Prints the id of the array with the name `{name}`, or nothing.
    pub find: Template,
    /// The environment variable that has the number of a task.
    pub index: String,
    /// What the scheduler's words for states mean in flow's words.
    pub states: BTreeMap<String, String>,
}

/// A command as groups of words with placeholders. A group is left out if one of its placeholders has no value.
pub type Template = Vec<Vec<String>>;

/// What a task asks for in place of what its stage claims.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Asked {
    /// Number of processors.
    pub cpus: Option<usize>,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Number of GPUs.
    pub gpus: Option<usize>,
    /// The time that one action may take.
    pub timeout: Option<Duration>,
}

/// How often an action is tried again whose task ended without its record, by cause.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    /// It ran out of memory.
    pub out_of_memory: WithMore,
    /// It reached its time limit.
    pub time_limit: WithMore,
    /// Its machine failed.
    pub node_failure: u32,
    /// Its place was given to another job.
    pub preempted: u32,
    /// Somebody cancelled it.
    pub cancelled: u32,
    /// It ended for any other reason.
    pub failed: u32,
}

/// A retry that asks for more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WithMore {
    /// How often.
    pub times: u32,
    /// By which factor more is asked for each time.
    pub factor: f64,
}

impl Default for Retry {
    fn default() -> Self {
        let twice = |times| WithMore { times, factor: 2.0 };
        Self {
            out_of_memory: twice(2),
            time_limit: twice(1),
            node_failure: 3,
            preempted: 10,
            cancelled: 0,
            failed: 1,
        }
    }
}

impl ClusterOptions {
    /// The options without a profile.
    pub fn new(scheduler: SchedulerChoice, command: Vec<OsString>) -> Self {
        Self {
            scheduler,
            command,
            before: Vec::new(),
            task_time: Duration::from_secs(600),
            most_tasks: 200,
            memory: 0,
            time: None,
            look: Duration::from_secs(1),
            ask_after: Duration::from_secs(40),
            visible_within: Duration::from_secs(60),
            retry: Retry::default(),
            stages: BTreeMap::new(),
            on_stop: |_| OnStop::Leave,
        }
    }
}

impl ClusterOptions {
    /// What the actions of a stage ask for, when the stage claims `claimed`.
    pub(crate) fn asked(&self, stage: &str, claimed: Resources) -> Resources {
        let asked = self.stages.get(stage).copied().unwrap_or_default();
        let memory = if claimed.memory > 0 {
            claimed.memory
        } else {
            self.memory
        };
        Resources {
            cpus: asked.cpus.unwrap_or(claimed.cpus).max(1),
            memory: asked.memory.unwrap_or(memory),
            gpus: asked.gpus.unwrap_or(claimed.gpus),
            timeout: asked.timeout.or(claimed.timeout),
            ..claimed
        }
    }
}
