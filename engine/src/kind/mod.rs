//! What a kind of stage is: all that the author of a kind reads, and all that a kind may use of the engine.
//!
//! A kind implements [`Stage`]: it describes itself as data ([`KindSpec`]: ports, parameters, steps), and
//! runs one [`Action`] at a time. It never sees the graph, the plan or the store. What a pipeline gives a
//! kind is checked here too (`check`), against the kind's own list of [`ParamSpec`]s. Nothing here knows of
//! other stages, and nothing here runs anything. Begin with [`stage`], then read [`spec`].

pub mod action;
pub(crate) mod check;
pub(crate) mod describe;
pub mod error;
pub mod lineage;
pub mod params;
pub(crate) mod place;
pub mod progress;
pub mod reference;
pub mod shards;
pub mod spec;
pub mod stage;
pub mod surroundings;
pub mod typed;

pub use crate::base::files::{Links, Project};
pub use action::{Action, Host, Part, Usage};
pub use error::{Fault, StageError};
pub use lineage::Lineage;
pub use params::{Default, ParamSpec, ParamType, Params, Preset};
pub use progress::Progress;
pub use shards::{FileRef, Shard, ShardRef, Shards, SourceFile};
pub use spec::{
    ANY, From, InputPort, KindSpec, Of, OutputPort, PortType, Ports, Read, Rows, Scope, Sources,
    Step, Together,
};
pub use stage::{Layout, Loops, Registry, Resources, Stage};
pub use surroundings::{Question, Start, Surroundings};
pub use typed::{FromParam, ParamWord};
