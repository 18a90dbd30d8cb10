//! How a run came about: what it was asked for, of which pipeline, by which command line, and where. All of
//! it is for people and for a repetition; no recipe knows of it.

use flow_cache::Store;
use flow_engine::Pipeline;

use super::AskedFor;
use super::git;
use super::host::host;
use crate::project::working_dir;
use crate::record::{FORMAT, GitState, RunRecord};

/// What a record says of a run besides what it came to.
pub struct Circumstances<'a> {
    /// What it was asked for.
    pub asked: &'a AskedFor,
    /// The pipeline.
    pub pipeline: &'a Pipeline,
    /// The store.
    pub store: &'a Store,
}

impl Circumstances<'_> {
    /// A record of them. `dirty` says whether files differ from the commit, if anybody asked.
    pub fn record(&self, dirty: Option<bool>) -> RunRecord {
        let Self {
            asked, pipeline, ..
        } = self;
        let words = std::env::args_os().skip(1);
        RunRecord {
            format: FORMAT,
            pipeline: Some(pipeline.name.clone()),
            flow: Some(env!("CARGO_PKG_VERSION").to_owned()),
            file: Some(pipeline.file.display().to_string()),
            set: asked.sets.clone(),
            variant: asked.variant.clone(),
            to: asked.to.clone(),
            cwd: working_dir().ok().map(|dir| dir.display().to_string()),
            command: words
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
            git: git::commit(&pipeline.root).map(|commit| GitState { commit, dirty }),
            store: Some(self.store.dir().display().to_string()),
            tags: asked.tags.clone(),
            host: Some(host()),
            resolved: Some(pipeline.text.clone()),
            ..RunRecord::default()
        }
    }
}
