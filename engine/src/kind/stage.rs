//! What a stage kind is: ports, parameters and steps as data, and one function that runs a step.
//!
//! A kind never sees the graph. It declares its **steps** and the scope of each. From that, the engine
//! derives the actions, their keys and their order. A scope has dimensions, which are shards and folds:
//!
//! - If both the step and its input have a dimension, each action reads its own part.
//! - If only the input has it, the action reads all parts (it gathers).
//! - If only the step has it, every action reads the same part.
//!
//! `ingest` is a `read` step over shards and a `collect` step over the whole. A learner is `fit` over
//! folds, `apply` over folds and shards, and `gather` over the whole.

use crate::kind::action::Action;
use crate::kind::error::StageError;
use crate::kind::shards::SourceFile;
use crate::kind::spec::{KindSpec, Ports, Step};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::base::diag::Diag;
use crate::base::files::Project;
use crate::kind::params::Params;
use crate::kind::shards::Shards;
use crate::kind::surroundings::{Question, Surroundings};

/// The parallel loops in the code of a stage.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Loops {
    /// There are none. The code must not have any.
    None,
    /// They use the threads that all actions of a run share, and the code runs on one of these threads.
    Shared,
    /// They use as many threads as the action may have, which no other action uses. This is for code that
    /// takes long and has many short loops. While a shared thread waits for the end of a loop, it may begin
    /// another action, and the first one then stands still until that is over.
    Own,
}

/// A kind of stage. Each kind is one implementation in one file, with one line in the registry.
pub trait Stage: Send + Sync {
    /// Returns name, version, ports, parameters and steps.
    fn spec(&self) -> KindSpec;

    /// Returns the ports and steps of one stage, if they depend on its parameters or on the names of the
    /// input ports that the pipeline gives. The default is those of the spec.
    fn shape(&self, _params: &Params, _inputs: &[String]) -> (Ports, Vec<Step>) {
        let spec = self.spec();
        (spec.ports, spec.steps)
    }

    /// Checks what the parameter list cannot express, such as combinations that make no sense.
    fn check(&self, _params: &Params, _inputs: &[String]) -> Vec<Diag> {
        Vec::new()
    }

    /// Does what [`Stage::check`] does once the shards of the stage that [`Stage::paired`] names are known.
    fn check_paired(&self, params: &Params, inputs: &[String], _paired: &Shards) -> Vec<Diag> {
        self.check(params, inputs)
    }

    /// Returns the stage whose items this one pairs with, action by action.
    fn paired(&self, _params: &Params) -> Option<String> {
        None
    }

    /// Finds the source files, shards and folds of one stage in its project. Reads directory listings,
    /// never contents. `paired` holds the shards of the stage that [`Stage::paired`] names; the layout then
    /// has as many, with the same labels and items.
    fn layout(
        &self,
        _params: &Params,
        _project: &Project<'_>,
        _paired: &Shards,
    ) -> Result<Layout, Vec<Diag>> {
        Ok(Layout::default())
    }

    /// Returns what an action of the stage occupies while it runs, and how often it is tried.
    fn resources(&self, _params: &Params) -> Resources {
        Resources::default()
    }

    /// Says whether the code of the stage has parallel loops, and which threads they may use.
    fn loops(&self, _params: &Params) -> Loops {
        Loops::Shared
    }

    /// Finds what decides a result besides parameters, inputs and sources, such as the version that a
    /// program prints. It goes into the recipe. Built-in kinds have nothing of the sort.
    ///
    /// # Errors
    /// It cannot be found out.
    fn surroundings(&self, _question: &Question<'_>) -> Result<Surroundings, StageError> {
        Ok(Surroundings::None)
    }

    /// Returns true if an output is not a table. It is then delivered as it is, and only if it has one
    /// part.
    fn opaque(&self, _params: &Params, _output: &str) -> bool {
        false
    }

    /// Returns true if an output that is not a table can be written as a file with this extension all the
    /// same, whatever parts it has.
    fn converts(&self, _params: &Params, _output: &str, _extension: &str) -> bool {
        false
    }

    /// Returns the names of all metrics that it may give, in the order in which to show them.
    fn metrics(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Returns why a metric may not be quoted as the headline of a pipeline, if it may not: the reason, and
    /// the metric to quote instead.
    fn unquotable(&self, _metric: &str) -> Option<(String, String)> {
        None
    }

    /// Runs one action.
    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError>;
}

/// Source files, shards and folds of one stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// Files that every action with sources reads.
    pub common: Vec<SourceFile>,
    /// The shards, for a kind that starts a shard dimension.
    pub shards: Shards,
    /// The shards are the items of a list. Their order counts, and an action that gathers them gets them in
    /// this order.
    pub items: bool,
    /// Names of the folds, for a kind that starts a fold dimension. They are labels and are in no recipe.
    pub folds: Vec<String>,
}

/// What an action occupies while it runs. None of it is in a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resources {
    /// Number of processors. More than a run may use (`--jobs`) counts as all of them.
    pub cpus: usize,
    /// Memory in bytes, or 0 for no claim. An action starts only while the sum of claims stays below the
    /// machine's memory, or else alone.
    pub memory: u64,
    /// Number of GPUs, see [`crate::run::options::Options::gpus`].
    pub gpus: usize,
    /// How often a failed action is tried again.
    pub retries: u32,
    /// The time after which an action is stopped, if there is one. A scheduler is asked for that much.
    pub timeout: Option<Duration>,
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            cpus: 1,
            memory: 0,
            gpus: 0,
            retries: 0,
            timeout: None,
        }
    }
}

/// All kinds by name.
#[derive(Clone, Default)]
pub struct Registry {
    kinds: BTreeMap<&'static str, Arc<dyn Stage>>,
}

impl Registry {
    /// Adds a kind. It is a bug to add two of the same name.
    pub fn add(&mut self, kind: impl Stage + 'static) {
        let name = kind.spec().name;
        let before = self.kinds.insert(name, Arc::new(kind));
        assert!(before.is_none(), "two kinds are called `{name}`");
    }

    /// Returns the kind called `name`.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Stage>> {
        self.kinds.get(name)
    }

    /// Returns all kinds by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Arc<dyn Stage>)> {
        self.kinds.iter().map(|(name, kind)| (*name, kind))
    }
}
