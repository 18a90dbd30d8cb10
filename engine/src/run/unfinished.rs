//! Where an action keeps work for its next attempt.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use flow_cache::Store;

use crate::kind::error::StageError;
use crate::plan::keys::Prepared;

/// The folder in the scratch folder that stands in for one in the store.
const TEMPORARY: &str = "unfinished";

/// What an action leaves if its process is ended.
pub(crate) struct Unfinished<'a> {
    pub(crate) store: &'a Store,
    pub(crate) prepared: &'a Prepared,
    /// The scratch folder of the attempt.
    pub(crate) scratch: &'a Path,
}

impl Unfinished<'_> {
    /// Returns the folder for it. It is in the store, with two exceptions, in which the action begins anew each
    /// time:
    ///
    /// - An action that has a record runs again to be compared with it, so it must compute everything.
    /// - Source files can change while an action reads them. This is noticed at its end, which an attempt that
    ///   is ended does not reach.
    pub(crate) fn folder(&self) -> Result<PathBuf, StageError> {
        let key = &self.prepared.key;
        if self.prepared.sources.is_empty()
            && self.store.find(key)?.is_none()
            && let Some(folder) = self.store.unfinished(key)?
        {
            return Ok(folder);
        }
        let folder = self.scratch.join(TEMPORARY);
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error.into()),
            _ => Ok(folder),
        }
    }
}
