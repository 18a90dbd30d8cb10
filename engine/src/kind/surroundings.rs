//! What decides the results of a stage besides parameters, inputs and sources, such as the version that a
//! program prints. A run asks for it; a command that only looks uses the answers to earlier runs.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use flow_cache::{Digest, StatCache, Value};

use crate::kind::params::Params;
use crate::kind::shards::SourceFile;

/// A question about the surroundings of a stage.
pub struct Question<'a> {
    /// The stage's parameters.
    pub params: &'a Params,
    /// The project root.
    pub root: &'a Path,
    /// The source files that all its actions share.
    pub files: &'a [SourceFile],
    /// Their digests.
    pub digests: &'a [Digest],
    /// Remembers digests of files.
    pub stat: &'a StatCache,
    /// Where answers are remembered.
    pub memory: PathBuf,
    /// How to start programs, or none if nothing may be started.
    pub start: Option<&'a Start<'a>>,
}

/// How to start the programs that are asked.
pub struct Start<'a> {
    /// The folder of the store's artifacts.
    pub artifacts: &'a Path,
    /// A folder for the programs, made if needed and removed afterwards.
    pub scratch: PathBuf,
    /// Set from outside to stop the programs.
    pub cancel: &'a AtomicBool,
}

/// The answer.
pub enum Surroundings {
    /// Nothing else decides the results.
    None,
    /// These facts decide the results as well.
    Known(Value),
    /// These facts did so when a run last asked. The next run asks again.
    Remembered(Value),
    /// Only a run can find out.
    Unknown,
}
