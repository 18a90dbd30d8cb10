//! The engine of `flow`: it reads a pipeline, resolves it to a graph of stages, lowers the graph
//! to actions, decides which of them a store already answers, and runs the rest.
//!
//! Each folder is a phase, and each may use only what stands above it in this list. The exact table is in
//! `ARCHITECTURE.md`, and a test holds the code to it:
//!
//! ```text
//! base      diagnostics, paths, meter, trace
//! text      TOML with places, variants
//! kind      what a stage kind is            command   the one kind of the engine itself
//! pipeline  text -> checked Pipeline
//! plan      Pipeline -> actions -> keys
//! outputs   files for the user
//! explain   why an action runs or does not
//! run       Plan -> events and records
//! profile   how a site runs actions
//! ```
//!
//! The engine knows nothing of tables, of terminals, or of any stage kind but [`command`]: a kind
//! is a Rust type that implements [`Stage`] and describes its ports, parameters and steps as data.

pub mod base;
pub mod command;
pub mod explain;
pub mod kind;
pub mod outputs;
pub mod pipeline;
pub mod plan;
pub mod profile;
pub mod run;
pub mod text;

pub use base::code::Code;
pub use base::diag::{Diag, Diags, SourceId, Span};
pub use kind::{
    Action, Default, KindSpec, ParamSpec, ParamType, Params, Registry, Stage, StageError,
};
pub use pipeline::{Pipeline, StageDecl};
pub use run::event::Event;
