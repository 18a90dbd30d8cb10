//! The engine of `flow`: it reads a pipeline, resolves it to a graph of stages, lowers the graph
//! to actions, decides which of them a store already answers, and runs the rest.
//!
//! Data flows one way:
//!
//! ```text
//! TOML text -> Document -> Pipeline -> Plan -> Executor -> Events
//! ```
//!
//! The engine knows nothing of tables, of terminals, or of any stage kind but [`command`]: a kind
//! is a Rust type that implements [`Stage`] and describes its ports, parameters and steps as data.

mod action;
mod check;
pub mod command;
pub mod deliver;
pub mod diag;
pub mod document;
pub mod event;
pub mod exec;
pub mod explain;
pub mod file;
pub mod files;
pub mod graph;
pub mod keys;
mod lineage;
pub mod load;
mod machine;
pub mod manifest;
pub mod meter;
mod node;
pub mod outline;
mod outputs;
pub mod params;
pub mod pipeline;
pub mod plan;
pub mod preview;
pub mod process;
pub mod reference;
pub mod render;
mod resolve;
mod resources;
pub mod schema;
mod sections;
mod shards;
pub mod stage;
pub mod suggest;
pub mod summary;
mod surroundings;
pub mod trace;
pub mod tune;
pub mod union;
mod unread;
pub mod variants;
pub mod worker;
mod written;

pub use diag::{Diag, Diags, SourceId, Span};
pub use event::Event;
pub use params::{Default, ParamSpec, ParamType, Params};
pub use pipeline::{Pipeline, StageDecl};
pub use stage::{Action, KindSpec, Registry, Stage, StageError};
