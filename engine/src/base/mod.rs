//! What the whole engine stands on: diagnostics, suggestions, paths and patterns, the meter of the
//! machine, the trace of a run.
//!
//! Nothing here knows of pipelines, kinds or actions, and nothing here may use another folder of the
//! engine. Begin with [`diag`]: every mistake of a user becomes a [`Diag`](diag::Diag).

pub mod code;
pub mod diag;
pub mod files;
pub(crate) mod folder;
pub mod machine;
pub mod meter;
pub mod suggest;
pub mod trace;
