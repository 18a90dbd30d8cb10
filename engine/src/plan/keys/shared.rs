//! What many recipes have in common.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::path::Path;

use flow_cache::{Digest, Folder, Head, Recipe, StatCache};

use super::{head_of, source_files};
use crate::base::trace::Track;
use crate::kind::error::StageError;
use crate::kind::surroundings::{Question, Start, Surroundings};
use crate::plan::{Coords, Plan};

/// What many recipes share, found once a run.
pub struct Keys<'p> {
    stat: &'p StatCache,
    /// Of files that all actions of a stage read, and perhaps those of others.
    digests: HashMap<&'p OsStr, Digest>,
    stages: Vec<Shared>,
    /// Where the files of single shards are looked at, while many are in a row.
    folder: Option<Folder>,
    track: Track<'p>,
    /// How to start programs, in a run.
    start: Option<Start<'p>>,
    /// Stages of whose surroundings only what an earlier run was told is known.
    remembered: BTreeSet<usize>,
}

/// What the recipes of one stage share.
#[derive(Default)]
struct Shared {
    /// By step, the fields that come first.
    heads: Vec<Option<Head>>,
    /// The digests of the files that all its actions read.
    common: Option<Vec<Digest>>,
    /// The field with what its kind adds about its surroundings, if it does; none where only a run can
    /// tell.
    host: Option<Result<Option<Recipe>, StageError>>,
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
            start: None,
            remembered: BTreeSet::new(),
        }
    }

    /// Those of a run, which may start the programs that recipes hold the answers of.
    #[must_use]
    pub fn asking(self, start: Start<'p>) -> Self {
        Self {
            start: Some(start),
            ..self
        }
    }

    /// Stages of whose surroundings only what an earlier run was told is known.
    pub fn remembered(&self) -> &BTreeSet<usize> {
        &self.remembered
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

    /// The field that comes last; none where only a run can tell.
    pub(super) fn host(
        &mut self,
        plan: &Plan<'p>,
        stage: usize,
    ) -> Result<Option<&Recipe>, StageError> {
        if self.stage(stage).host.is_none() {
            let found = self.find_host(plan, stage);
            self.stages[stage].host = Some(found);
        }
        match &self.stages[stage].host {
            Some(Ok(host)) => Ok(host.as_ref()),
            Some(Err(error)) => Err(error.clone()),
            None => Ok(None),
        }
    }

    fn find_host(&mut self, plan: &Plan<'p>, stage: usize) -> Result<Option<Recipe>, StageError> {
        let decl = &plan.pipeline.stages[stage];
        let digests = self.common(plan, stage)?.to_vec();
        let question = Question {
            params: &decl.params,
            root: &plan.pipeline.root,
            files: &decl.layout.common,
            digests: &digests,
            stat: self.stat,
            memory: self.stat.path().with_file_name("versions"),
            start: self.start.as_ref(),
        };
        let mut recipe = Recipe::new();
        match decl.kind.surroundings(&question)? {
            Surroundings::None => {}
            Surroundings::Known(facts) => recipe.push("host", facts),
            Surroundings::Remembered(facts) => {
                recipe.push("host", facts);
                self.remembered.insert(stage);
            }
            Surroundings::Unknown => return Ok(None),
        }
        Ok(Some(recipe))
    }

    /// The digests of an action's source files, in order. One that all actions of a stage read is
    /// looked at once a run; those of single shards, which can be many, only the stat cache
    /// remembers.
    pub(crate) fn sources(
        &mut self,
        plan: &Plan<'p>,
        action: usize,
    ) -> Result<Vec<Digest>, StageError> {
        let stage = plan.coords(action).stage;
        let common = self.common(plan, stage)?;
        let mut digests = Vec::with_capacity(common.len() + 1);
        digests.extend_from_slice(common);
        let shared = digests.len();
        for file in source_files(plan, action).skip(shared) {
            digests.push(self.digest(file.path)?);
        }
        Ok(digests)
    }

    /// The digests of the files that all actions of a stage read.
    fn common(&mut self, plan: &Plan<'p>, stage: usize) -> Result<&[Digest], StageError> {
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
        Ok(self.stages[stage].common.as_deref().unwrap_or_default())
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
        for shared in &mut self.stages {
            (shared.common, shared.host) = (None, None);
        }
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
        Err(error) => {
            let failed = StageError::environment(format!("failed to read {}", path.display()));
            Err(failed.because(error))
        }
    }
}
