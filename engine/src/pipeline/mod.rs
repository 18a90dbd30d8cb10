//! A pipeline, typed and checked: what the rest of the engine works on.
//!
//! [`mod@file`] reads a pipeline file with its variants, and [`load`] turns one text tree into a [`Pipeline`].
//! For that, `sections` reads everything except stages and outputs, `resolve` finds what references mean,
//! `graph` orders the stages and derives their folds and shards, `lineage` finds leakage, `outputs` reads
//! `[outputs]`, and [`study`] reads `[tune]`. Around it, [`union`] joins several pipelines, and [`drawing`],
//! [`outline`] and [`schema`] describe pipelines to people, shells and editors.
//!
//! Nothing here knows of actions, keys or the store. All mistakes are collected as diagnostics. Begin with
//! [`Pipeline`] and [`StageDecl`], then read [`load`].

pub mod drawing;
pub mod file;
pub(crate) mod graph;
pub(crate) mod lineage;
pub mod load;
pub mod outline;
pub(crate) mod outputs;
pub(crate) mod resolve;
pub mod schema;
pub(crate) mod sections;
pub mod study;
pub mod union;

use std::path::PathBuf;
use std::sync::Arc;

use crate::base::diag::{SourceMap, Span};
use crate::kind::lineage::Lineage;
use crate::kind::params::Params;
use crate::kind::spec::{KindSpec, Ports, Step};
use crate::kind::stage::{Layout, Stage};
use study::Tune;

/// The seed of a pipeline that names none.
pub const DEFAULT_SEED: u64 = 42;

/// One pipeline.
pub struct Pipeline {
    /// Its name.
    pub name: String,
    /// The project root, absolute.
    pub root: PathBuf,
    /// The file, absolute.
    pub file: PathBuf,
    /// The stages, in an order in which each comes after what it reads.
    pub stages: Vec<StageDecl>,
    /// Files that a run leaves for the user.
    pub outputs: Vec<OutputDecl>,
    /// The metric to quote: stage index and metric name.
    pub headline: Option<(usize, String)>,
    /// The study that `[tune]` describes.
    pub tune: Option<Tune>,
    /// The texts that spans point into.
    pub sources: SourceMap,
    /// All of it as one text: with what the file extends, what was set, and a variant's values in their
    /// places. It loads again from the project root.
    pub text: String,
}

/// One stage of a pipeline.
pub struct StageDecl {
    /// Its name. It is only a label, and is in no recipe.
    pub name: String,
    /// Its kind.
    pub kind: Arc<dyn Stage>,
    /// The kind's description.
    pub spec: KindSpec,
    /// Its ports: those of the kind, or what [`Stage::shape`] makes of them.
    pub ports: Ports,
    /// Its steps, likewise.
    pub steps: Vec<Step>,
    /// Its parameters.
    pub params: Params,
    /// The seed of its pipeline, from which all others derive.
    pub pipeline_seed: u64,
    /// The stage's own seed, which makes otherwise equal stages different.
    pub seed: Option<u64>,
    /// What it reads.
    pub inputs: Vec<Binding>,
    /// Its source files, shards and folds.
    pub layout: Layout,
    /// The stage whose items its own shards are paired with.
    pub paired: Option<usize>,
    /// The stage for whose folds its steps have one action each, or whose table it checks predictions by. A
    /// kind that makes folds is its own root.
    pub fold_root: Option<usize>,
    /// What stands behind the predictions that it scores or combines.
    pub lineage: Lineage,
    /// The stage for whose shards its steps have one action each. A source is its own root.
    pub shard_root: Option<usize>,
    /// Dimensions of each step.
    pub step_dims: Vec<Dims>,
    /// Dimensions of each output port.
    pub dims: Vec<Dims>,
    /// Where it is declared.
    pub span: Span,
}

/// What something has one action or part for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dims {
    /// Each fold of the stage's fold root.
    pub fold: bool,
    /// Each shard of the stage's shard root.
    pub shard: bool,
}

impl StageDecl {
    /// Returns true if a step draws random numbers, so that the seeds count.
    pub fn is_seeded(&self) -> bool {
        self.steps.iter().any(|step| step.seeded)
    }
}

/// What feeds one input port.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The port.
    pub port: String,
    /// The outputs, in the order of the list.
    pub from: Vec<PortRef>,
}

/// An output of a stage.
#[derive(Clone, Copy, Debug)]
pub struct PortRef {
    /// Index of the stage in [`Pipeline::stages`].
    pub stage: usize,
    /// Index of the port in its [`Ports::outputs`].
    pub port: usize,
    /// Where the pipeline says so.
    pub span: Span,
}

/// One line of `[outputs]`.
#[derive(Clone, Debug)]
pub struct OutputDecl {
    /// Absolute path.
    pub path: PathBuf,
    /// What goes there.
    pub from: OutputSource,
    /// The file that says so, if it is one that the pipeline extends.
    pub base: Option<String>,
}

/// What goes into a file of `[outputs]`.
#[derive(Clone, Copy, Debug)]
pub enum OutputSource {
    /// An output of a stage.
    Port(PortRef),
    /// The report of the whole pipeline. The span is where the pipeline says so.
    Report(Span),
}

impl OutputSource {
    /// Where the pipeline says so.
    pub fn span(self) -> Span {
        match self {
            Self::Port(from) => from.span,
            Self::Report(span) => span,
        }
    }

    /// The output of a stage, if it is one.
    pub fn port(self) -> Option<PortRef> {
        match self {
            Self::Port(from) => Some(from),
            Self::Report(_) => None,
        }
    }
}
