//! A program that was built without remotes.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use flow_cache::Store;
use flow_engine::Diag;

use super::Wanted;
use crate::args::StoreArgs;
use crate::error::CliError;
use crate::event::RemoteFigures;
use crate::ui::Ui;

/// There is none.
pub enum ProjectRemote {}

/// There is nothing to show.
pub enum FetchBar {}

impl FetchBar {
    /// Removes it.
    pub fn end(self) {
        match self {}
    }
}

impl ProjectRemote {
    /// Returns an error if a remote is wanted.
    pub fn put_behind(_: &Store, root: &Path, args: &StoreArgs) -> Result<Option<Self>, CliError> {
        let Some(wanted) = Wanted::find(root, args)? else {
            return Ok(None);
        };
        let to = if wanted.write {
            "read and write"
        } else {
            "read"
        };
        let message = format!(
            "this flow was built without remotes, and is to {to} {}",
            wanted.url
        );
        let diag = Diag::new("flow::remote::built_without", message);
        let (cache, sources) = (&wanted.settings.cache, &wanted.settings.sources);
        let diag = match cache.remote.as_ref().filter(|_| args.remote.is_none()) {
            Some(set) => diag.label(set.span, "set here").resolve(sources),
            None => diag,
        };
        Err(CliError::usage(diag.help(
            "build it with the feature `remote`, which is on by default, or switch the remote off: --remote none",
        )))
    }

    /// Waits for what is written.
    pub fn finish(&self, _: &Ui, _: &AtomicBool) -> Result<(), CliError> {
        match *self {}
    }

    /// Shows what is being fetched.
    pub fn fetch_bar(&self, _: &Ui) -> FetchBar {
        match *self {}
    }

    /// What has gone on so far.
    pub fn figures(&self) -> RemoteFigures {
        match *self {}
    }
}
