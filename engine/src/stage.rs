//! What a stage kind is: ports, parameters and steps as data, and one function that runs a step.
//!
//! A kind never sees the graph. It says which **steps** it consists of and over what each step
//! multiplies; the engine derives from that the actions, their keys and their order:
//!
//! - a dimension (shard, fold) that a step has and its input has: the action reads its own part;
//! - one that only the input has: the action reads all parts (it gathers);
//! - one that only the step has: every action reads the same part.
//!
//! `ingest` is a `read` step over shards and a `collect` step over the whole; a learner is `fit`
//! over folds, `apply` over folds and shards, `gather` over the whole.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use flow_cache::Value;

pub use crate::action::{Action, Host, Part};
use crate::diag::{Diag, without_numbers};
pub use crate::files::{Links, Project};
pub use crate::lineage::Lineage;
use crate::params::{ParamSpec, Params};
pub use crate::shards::{FileRef, ShardRef, Shards};
pub use crate::surroundings::{Question, Start, Surroundings};

/// A kind of stage. One implementation, one file, one line in the registry.
pub trait Stage: Send + Sync {
    /// Name, version, ports, parameters and steps.
    fn spec(&self) -> KindSpec;

    /// Ports and steps of one stage, where they depend on its parameters and on the names of the
    /// input ports that the pipeline gives (the default: those of the spec).
    fn shape(&self, _params: &Params, _inputs: &[String]) -> (Ports, Vec<Step>) {
        let spec = self.spec();
        (spec.ports, spec.steps)
    }

    /// What the parameter list cannot say: combinations that make no sense.
    fn check(&self, _params: &Params, _inputs: &[String]) -> Vec<Diag> {
        Vec::new()
    }

    /// [`Stage::check`] once the shards of the stage that [`Stage::paired`] names are known.
    fn check_paired(&self, params: &Params, inputs: &[String], _paired: &Shards) -> Vec<Diag> {
        self.check(params, inputs)
    }

    /// The stage whose items this one pairs with, action by action.
    fn paired(&self, _params: &Params) -> Option<String> {
        None
    }

    /// Source files, shards and folds of one stage in its project. Reads directory
    /// listings, never contents. `paired` holds the shards of the stage that [`Stage::paired`]
    /// names; the layout then has as many, with the same labels and items.
    fn layout(
        &self,
        _params: &Params,
        _project: &Project<'_>,
        _paired: &Shards,
    ) -> Result<Layout, Vec<Diag>> {
        Ok(Layout::default())
    }

    /// What an action of the stage occupies while it runs, and how often it is tried.
    fn resources(&self, _params: &Params) -> Resources {
        Resources::default()
    }

    /// Whether the stage's code has parallel loops, for which the threads that all actions share are
    /// started and its code runs on one of them. Who says no must have none.
    fn has_loops(&self, _params: &Params) -> bool {
        true
    }

    /// What decides a result besides parameters, inputs and sources, such as what a program says of
    /// its version: goes into the recipe. Built-in kinds have nothing of the sort.
    ///
    /// # Errors
    /// It cannot be found out.
    fn surroundings(&self, _question: &Question<'_>) -> Result<Surroundings, StageError> {
        Ok(Surroundings::None)
    }

    /// Whether an output is no table: it is delivered as it is, in one part or not at all.
    fn opaque(&self, _params: &Params, _output: &str) -> bool {
        false
    }

    /// The names of all metrics that it may give, in the order to show them.
    fn metrics(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Why a metric may not be quoted as the headline of a pipeline, if it may not: the cause, and
    /// the metric to quote instead.
    fn unquotable(&self, _metric: &str) -> Option<(String, String)> {
        None
    }

    /// Runs one action.
    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError>;
}

/// A kind, described.
#[derive(Clone, Debug)]
pub struct KindSpec {
    /// The name in `use = "..."`.
    pub name: &'static str,
    /// Changes whenever the bytes of an output do; pinned to golden digests by a test.
    pub version: u32,
    /// What it does, in one line.
    pub about: &'static str,
    /// Its ports.
    pub ports: Ports,
    /// Its parameters.
    pub params: Vec<ParamSpec>,
    /// Its steps, each reading only earlier ones.
    pub steps: Vec<Step>,
}

/// Inputs and outputs.
#[derive(Clone, Debug, Default)]
pub struct Ports {
    /// What it reads.
    pub inputs: Vec<InputPort>,
    /// What it gives.
    pub outputs: Vec<OutputPort>,
}

/// The type of what flows through a port, such as `curves`. [`ANY`] fits every port.
pub type PortType = &'static str;

/// Fits every port: the output of a command, whose schema is checked when it is read.
pub const ANY: PortType = "file";

/// An input port.
#[derive(Clone, Debug)]
pub struct InputPort {
    /// Its name.
    pub name: String,
    /// What it accepts.
    pub ty: PortType,
    /// Takes a list of references.
    pub many: bool,
    /// May be left out.
    pub optional: bool,
}

/// An output port.
#[derive(Clone, Debug)]
pub struct OutputPort {
    /// Its name.
    pub name: String,
    /// What it gives.
    pub ty: PortType,
    /// What is in it, for the reference page.
    pub about: &'static str,
    /// Where it comes from.
    pub of: Of,
}

/// Where an output port comes from.
#[derive(Clone, Debug)]
pub enum Of {
    /// Output `output` of step `step`.
    Step {
        /// Index of the step.
        step: usize,
        /// Name of the step's output.
        output: String,
    },
    /// What came in through `port`, seen through output `output` of step `step` (such as a choice
    /// of columns): nothing is copied.
    View {
        /// The input port that is passed on.
        port: &'static str,
        /// Index of the step that made the view.
        step: usize,
        /// Name of the step's output.
        output: &'static str,
    },
}

/// Over what a step multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One action.
    Whole,
    /// One action a shard (a stretch of rows), and a fold where an input has folds.
    Shard,
    /// One action a fold, the final fit among them.
    Fold,
    /// One action a fold and shard.
    FoldShard,
}

/// One step of a kind.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its name, part of the recipe.
    pub name: &'static str,
    /// Over what it multiplies.
    pub scope: Scope,
    /// What it reads.
    pub reads: Vec<Read>,
    /// Names of the artifacts it writes, all of them on every run.
    pub writes: Vec<String>,
    /// Draws random numbers: the seeds go into its recipe.
    pub seeded: bool,
    /// Which source files it reads.
    pub sources: Sources,
    /// What it makes of the rows that it sees together.
    pub together: Together,
}

/// What a step that is not below folds makes of the rows that it sees together. It decides what may be
/// done with its results below folds, and with predictions that stem from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Together {
    /// Rows may have part in each other's results, as in any fit. Nothing below folds may fit on such
    /// results, and no predictions that stem from them may be scored. What folds gave may be joined.
    Mixed,
    /// Each row by itself: shards are only put side by side.
    Apart,
    /// It fits, for each fold, on the out-of-fold predictions of the other folds alone. The step gets
    /// the table of folds and its [`Lineage`].
    Crossed,
    /// It scores predictions. The step gets the table of folds and its [`Lineage`].
    Scored,
    /// What comes out was made outside of flow, out of what is not known here: it is taken on trust, and
    /// the [`Lineage`] of what stems from it says so.
    Foreign,
}

impl Together {
    /// True for a step that holds predictions against the table of folds.
    pub fn is_checked(self) -> bool {
        matches!(self, Self::Crossed | Self::Scored)
    }
}

/// Source files of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sources {
    /// None.
    None,
    /// [`Layout::common`].
    Common,
    /// [`Layout::common`] and the action's own [`Shard`].
    Shard,
}

/// One thing that a step reads.
#[derive(Clone, Debug)]
pub struct Read {
    /// Whence.
    pub from: From,
    /// Only these rows count: their digest goes into the recipe, and shards without any are left out.
    pub rows: Option<Rows>,
}

/// Whence a step reads.
#[derive(Clone, Debug)]
pub enum From {
    /// An input port.
    Port(String),
    /// An output of an earlier step of the same stage.
    Step(usize, &'static str),
}

/// Rows by their role in a fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Those a fold fits on.
    Train,
    /// Those a fold's model is applied to: its validation rows; for the final fit, unlabelled rows.
    Apply,
}

impl Rows {
    /// The name used in the `slices` attribute of a folds artifact.
    pub fn name(self) -> &'static str {
        match self {
            Rows::Train => "train",
            Rows::Apply => "apply",
        }
    }
}

impl Step {
    /// A step over `scope` that reads and writes nothing yet.
    pub fn new(name: &'static str, scope: Scope) -> Self {
        Self {
            name,
            scope,
            reads: Vec::new(),
            writes: Vec::new(),
            seeded: false,
            sources: Sources::None,
            together: Together::Mixed,
        }
    }

    /// Reads an input port.
    #[must_use]
    pub fn port(mut self, port: impl Into<String>) -> Self {
        self.reads.push(Read {
            from: From::Port(port.into()),
            rows: None,
        });
        self
    }

    /// Reads those rows of an input port.
    #[must_use]
    pub fn rows(mut self, port: impl Into<String>, rows: Rows) -> Self {
        self.reads.push(Read {
            from: From::Port(port.into()),
            rows: Some(rows),
        });
        self
    }

    /// Reads an output of an earlier step.
    #[must_use]
    pub fn after(mut self, step: usize, output: &'static str) -> Self {
        self.reads.push(Read {
            from: From::Step(step, output),
            rows: None,
        });
        self
    }

    /// Writes an artifact.
    #[must_use]
    pub fn writes(mut self, output: impl Into<String>) -> Self {
        self.writes.push(output.into());
        self
    }

    /// Draws random numbers.
    #[must_use]
    pub fn seeded(mut self) -> Self {
        self.seeded = true;
        self
    }

    /// Reads source files.
    #[must_use]
    pub fn sources(mut self, sources: Sources) -> Self {
        self.sources = sources;
        self
    }

    /// Treats each row by itself: [`Together::Apart`].
    #[must_use]
    pub fn apart(mut self) -> Self {
        self.together = Together::Apart;
        self
    }

    /// Is cross-fitted: [`Together::Crossed`].
    #[must_use]
    pub fn crossed(mut self) -> Self {
        self.together = Together::Crossed;
        self
    }

    /// Scores predictions: [`Together::Scored`].
    #[must_use]
    pub fn scored(mut self) -> Self {
        self.together = Together::Scored;
        self
    }

    /// Gives what was made outside of flow: [`Together::Foreign`].
    #[must_use]
    pub fn foreign(mut self) -> Self {
        self.together = Together::Foreign;
        self
    }
}

impl InputPort {
    /// A port that takes one reference.
    pub fn one(name: &str, ty: PortType) -> Self {
        Self {
            name: name.into(),
            ty,
            many: false,
            optional: false,
        }
    }

    /// A port that takes a list.
    pub fn many(name: &str, ty: PortType) -> Self {
        Self {
            many: true,
            ..Self::one(name, ty)
        }
    }
}

impl OutputPort {
    /// Output `name` of step `step`, under the same name.
    pub fn of(name: &str, ty: PortType, step: usize, about: &'static str) -> Self {
        Self {
            name: name.into(),
            ty,
            about,
            of: Of::Step {
                step,
                output: name.into(),
            },
        }
    }
}

/// Source files, shards and folds of one stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// Files that every action with sources reads.
    pub common: Vec<SourceFile>,
    /// The shards, for a kind that starts a shard dimension.
    pub shards: Shards,
    /// The shards are the items of a list: their order counts, and who gathers them gets them in it.
    pub items: bool,
    /// Names of the folds, for a kind that starts a fold dimension; they are labels, in no recipe.
    pub folds: Vec<String>,
}

/// A file from outside the store. Role and digest go into the recipe, the path does not.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceFile {
    /// What the file is to the stage.
    pub role: String,
    /// Absolute path.
    pub path: PathBuf,
}

/// One shard of a source stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Shard {
    /// For messages.
    pub label: String,
    /// What tells it from others besides file contents; part of the recipe.
    pub item: Value,
    /// Its files.
    pub files: Vec<SourceFile>,
}

/// What an action occupies while it runs. None of it is in a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resources {
    /// Processors; more than a run may use (`--jobs`) count as all of them.
    pub cpus: usize,
    /// Bytes of memory, 0 for no claim. Actions start while the sum stays below the machine's
    /// memory, or alone.
    pub memory: u64,
    /// GPUs; see [`crate::exec::Options::gpus`].
    pub gpus: usize,
    /// How often a failed action is tried again.
    pub retries: u32,
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            cpus: 1,
            memory: 0,
            gpus: 0,
            retries: 0,
        }
    }
}

/// What a child process used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// CPU seconds, user and system.
    pub cpu_s: f64,
    /// The most memory it ever held, in bytes.
    pub peak_rss: u64,
}

/// Why an action failed.
#[derive(Clone, Debug)]
pub struct StageError {
    /// Whose fault: decides the exit code.
    pub fault: Fault,
    /// Stable code, `flow::area::what`.
    pub code: &'static str,
    /// What happened, in one sentence.
    pub message: String,
    /// What can be done.
    pub help: Vec<String>,
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The input data or a parameter is wrong: exit code 2.
    Data,
    /// The stage failed: exit code 1.
    Stage,
    /// The disk, the store or the machine failed: exit code 4.
    Environment,
    /// Stopped on request: exit code 130.
    Interrupted,
    /// A panic: exit code 101.
    Bug,
}

impl StageError {
    /// The input data is wrong.
    pub fn data(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Fault::Data, code, message)
    }

    /// The stage failed.
    pub fn failed(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Fault::Stage, code, message)
    }

    /// The environment failed.
    pub fn environment(message: impl Into<String>) -> Self {
        Self::new(Fault::Environment, "flow::environment::io", message)
    }

    /// Stopped on request.
    pub fn interrupted() -> Self {
        Self::new(Fault::Interrupted, "flow::run::interrupted", "interrupted")
    }

    /// An error of the given fault.
    pub fn new(fault: Fault, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            fault,
            code,
            message: without_numbers(message.into()),
            help: Vec::new(),
        }
    }

    /// Adds a hint.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }
}

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StageError {}

/// What to do about a full disk.
const FULL: &str = "free some space; `flow cache gc --max-size 1GiB` shrinks the store";

impl std::convert::From<std::io::Error> for StageError {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let failed = Self::environment(error.to_string());
        match error.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => failed.help(FULL),
            _ => failed,
        }
    }
}

/// What to do where there is no place for unfinished work.
const SCRATCH: &str = "is it writable? `--scratch DIR` takes another folder for unfinished work";

/// What to do about a link among flow's own folders.
const LINK: &str = "remove it; to keep things elsewhere, name the place: `--store DIR` for the store, \
                    `--scratch DIR` for unfinished work";

impl std::convert::From<flow_cache::StoreError> for StageError {
    fn from(error: flow_cache::StoreError) -> Self {
        use flow_cache::StoreError::{Environment, Link, Stopped};
        let code = "flow::environment::store";
        let failed = Self::new(Fault::Environment, code, error.to_string());
        let advice = match &error {
            _ if error.is_disk_full() => FULL,
            Environment { step, .. } if step.starts_with("scratch.") => SCRATCH,
            // They lie beside the store, in the project.
            Environment { step, .. } if step.starts_with("run.") => {
                "is the project's folder `.flow` writable?"
            }
            Environment { .. } => "is the store writable? `--store DIR` takes another one",
            Stopped { .. } => return Self::interrupted(),
            Link { .. } => {
                return Self::new(Fault::Data, "flow::cache::link", error.to_string()).help(LINK);
            }
            _ => return failed,
        };
        failed.help(advice)
    }
}

/// All kinds by name.
#[derive(Clone, Default)]
pub struct Registry {
    kinds: BTreeMap<&'static str, Arc<dyn Stage>>,
}

impl Registry {
    /// Adds a kind. Two of one name are a bug.
    pub fn add(&mut self, kind: impl Stage + 'static) {
        let name = kind.spec().name;
        let before = self.kinds.insert(name, Arc::new(kind));
        assert!(before.is_none(), "two kinds are called `{name}`");
    }

    /// The kind called `name`.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Stage>> {
        self.kinds.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Arc<dyn Stage>)> {
        self.kinds.iter().map(|(name, kind)| (*name, kind))
    }
}
