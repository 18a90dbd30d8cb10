//! What decides the results of a stage besides parameters, inputs and sources, such as what a program
//! says of its version. A run asks; who only looks takes what earlier runs were told.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use flow_cache::{Digest, StatCache, Value};

use crate::kind::params::Params;
use crate::kind::shards::SourceFile;

/// A question after the surroundings of a stage.
pub struct Question<'a> {
    /// The stage's parameters.
    pub params: &'a Params,
    /// The project root.
    pub root: &'a Path,
    /// The source files that all its actions share.
    pub files: &'a [SourceFile],
    /// Their digests.
    pub digests: &'a [Digest],
    /// Digests of files.
    pub stat: &'a StatCache,
    /// Where answers are remembered.
    pub memory: PathBuf,
    /// How to start programs; none where nothing may be started.
    pub start: Option<&'a Start<'a>>,
}

/// How to start programs that are asked.
pub struct Start<'a> {
    /// The folder of the store's artifacts.
    pub artifacts: &'a Path,
    /// A folder for them, made if need be and removed afterwards.
    pub scratch: PathBuf,
    /// Set from outside to stop them.
    pub cancel: &'a AtomicBool,
}

/// The answer.
pub enum Surroundings {
    /// Nothing else decides.
    None,
    /// These facts do.
    Known(Value),
    /// These did when a run last asked; the next one asks again.
    Remembered(Value),
    /// Only a run can tell.
    Unknown,
}
