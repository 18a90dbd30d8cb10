//! What many recipes have in common.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::Path;

use flow_cache::{Digest, Folder, Head, Recipe, StatCache};

use super::{head_of, source_files};
use crate::plan::{Coords, Plan};
use crate::stage::StageError;
use crate::trace::Track;

/// What many recipes share, found once a run.
pub struct Keys<'p> {
    stat: &'p StatCache,
    /// Of files that all actions of a stage read, and perhaps those of others.
    digests: HashMap<&'p OsStr, Digest>,
    stages: Vec<Shared>,
    /// Where the files of single shards are looked at, while many are in a row.
    folder: Option<Folder>,
    track: Track<'p>,
}

/// What the recipes of one stage share.
#[derive(Default)]
struct Shared {
    /// By step, the fields that come first.
    heads: Vec<Option<Head>>,
    /// The digests of the files that all its actions read.
    common: Option<Vec<Digest>>,
    /// The field with what its kind adds about its surroundings, if it does.
    host: Option<Recipe>,
}

impl<'p> Keys<'p> {
    /// Nothing known, over a stat cache.
    pub fn new(stat: &'p StatCache) -> Self {
        Self {
            stat,
            digests: HashMap::new(),
            stages: Vec::new(),
            folder: None,
            track: Track::default(),
        }
    }

    /// Shows in a trace what takes long.
    #[must_use]
    pub fn traced(self, track: Track<'p>) -> Self {
        Self { track, ..self }
    }

    /// Whether keys are made in a row. A folder is held open only so long: it may be replaced.
    pub fn in_a_row(&mut self, yes: bool) {
        self.folder = yes.then(Folder::default);
    }

    fn stage(&mut self, stage: usize) -> &mut Shared {
        if self.stages.len() <= stage {
            self.stages.resize_with(stage + 1, Shared::default);
        }
        &mut self.stages[stage]
    }

    /// The fields that come first.
    pub(super) fn head(&mut self, plan: &Plan<'_>, at: Coords) -> &mut Head {
        let heads = &mut self.stage(at.stage).heads;
        if heads.len() <= at.step {
            heads.resize_with(at.step + 1, || None);
        }
        heads[at.step].get_or_insert_with(|| Head::new(head_of(plan, at)))
    }

    /// The field that comes last.
    pub(super) fn host(&mut self, plan: &Plan<'_>, stage: usize) -> Result<&Recipe, StageError> {
        let host = &mut self.stage(stage).host;
        if host.is_none() {
            let decl = &plan.pipeline.stages[stage];
            let mut recipe = Recipe::new();
            if let Some(host) = decl.kind.host(&decl.params, &plan.pipeline.root) {
                recipe.push("host", host?);
            }
            *host = Some(recipe);
        }
        Ok(host.get_or_insert_default())
    }

    /// The digests of an action's source files, in order. One that all actions of a stage read is
    /// looked at once a run; those of single shards, which can be many, only the stat cache
    /// remembers.
    pub(super) fn sources(
        &mut self,
        plan: &Plan<'p>,
        action: usize,
    ) -> Result<Vec<Digest>, StageError> {
        let stage = plan.coords(action).stage;
        let files = &plan.pipeline.stages[stage].layout.common;
        if self.stage(stage).common.is_none() {
            let mut common = Vec::with_capacity(files.len());
            for file in files {
                let known = self.digests.get(file.path.as_os_str()).copied();
                let digest = known.map_or_else(|| self.digest(&file.path), Ok)?;
                self.digests.insert(file.path.as_os_str(), digest);
                common.push(digest);
            }
            self.stage(stage).common = Some(common);
        }
        let common = self.stages[stage].common.as_deref().unwrap_or_default();
        let mut digests = Vec::with_capacity(common.len() + 1);
        digests.extend_from_slice(common);
        for file in source_files(plan, action).skip(common.len()) {
            digests.push(self.digest(file.path)?);
        }
        Ok(digests)
    }

    fn digest(&mut self, path: &Path) -> Result<Digest, StageError> {
        let _span = self.track.span("hash", || path.display().to_string());
        let found = match &mut self.folder {
            Some(folder) => self.stat.digest_in(folder, path),
            None => self.stat.digest(path),
        };
        readable(path, found)
    }

    /// Forgets a file that changed.
    pub fn forget(&mut self, path: &Path) {
        self.digests.remove(path.as_os_str());
        self.stages
            .iter_mut()
            .for_each(|shared| shared.common = None);
    }
}

/// The digest of a source file as it is now.
pub fn digest_source(stat: &StatCache, path: &Path) -> Result<Digest, StageError> {
    readable(path, stat.digest(path))
}

/// The digest, or what is wrong with the file.
fn readable(path: &Path, found: std::io::Result<(Digest, u64)>) -> Result<Digest, StageError> {
    match found {
        Ok((digest, _)) => Ok(digest),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(StageError::data(
            "flow::source::missing",
            format!("the file {} does not exist", path.display()),
        )),
        Err(error) => Err(StageError::environment(format!(
            "failed to read {}: {error}",
            path.display()
        ))),
    }
}
