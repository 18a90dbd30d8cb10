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

use crate::kind::action::Action;
use crate::kind::error::StageError;
use crate::kind::shards::SourceFile;
use crate::kind::spec::{KindSpec, Ports, Step};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::diag::Diag;
use crate::base::files::Project;
use crate::kind::params::Params;
use crate::kind::shards::Shards;
use crate::kind::surroundings::{Question, Surroundings};

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

/// What an action occupies while it runs. None of it is in a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resources {
    /// Processors; more than a run may use (`--jobs`) count as all of them.
    pub cpus: usize,
    /// Bytes of memory, 0 for no claim. Actions start while the sum stays below the machine's
    /// memory, or alone.
    pub memory: u64,
    /// GPUs; see [`crate::run::options::Options::gpus`].
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
