//! The parts that many recipes have in common.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::path::Path;

use flow_cache::{Digest, Folder, Head, Recipe, StatCache};

use super::{head_of, source_files};
use crate::base::trace::Track;
use crate::kind::error::StageError;
use crate::kind::surroundings::{Question, Start, Surroundings};
use crate::plan::{Coords, Plan};

/// What many recipes share, found once per run.
pub struct Keys<'p> {
    stat: &'p StatCache,
    /// Digests of files that all actions of a stage read, perhaps together with other stages.
    digests: HashMap<&'p OsStr, Digest>,
    stages: Vec<Shared>,
    /// The folder in which files of single shards are looked at, while many are looked at in a row.
    folder: Option<Folder>,
    track: Track<'p>,
    /// How to start programs, if this is a run.
    start: Option<Start<'p>>,
    /// Stages whose surroundings are known only from an earlier run.
    remembered: BTreeSet<usize>,
}

/// What the recipes of one stage share.
#[derive(Default)]
struct Shared {
    /// By step, the first fields of a recipe.
    heads: Vec<Option<Head>>,
    /// The digests of the files that all its actions read.
    common: Option<Vec<Digest>>,
    /// The field that its kind adds about its surroundings, if any. It is none if only a run can find it
    /// out.
    host: Option<Result<Option<Recipe>, StageError>>,
}

impl<'p> Keys<'p> {
    /// Makes an empty set of keys that uses this stat cache.
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

    /// Makes these the keys of a run, which may start the programs whose answers are in recipes.
    #[must_use]
    pub fn asking(self, start: Start<'p>) -> Self {
        Self {
            start: Some(start),
            ..self
        }
    }

    /// Stages whose surroundings are known only from an earlier run.
    pub fn remembered(&self) -> &BTreeSet<usize> {
        &self.remembered
    }

    /// Shows slow steps in a trace.
    #[must_use]
    pub fn traced(self, track: Track<'p>) -> Self {
        Self { track, ..self }
    }

    /// Says whether many keys are made in a row. A folder is held open only during that time, since it may
    /// be replaced.
    pub fn in_a_row(&mut self, yes: bool) {
        self.folder = yes.then(Folder::default);
    }

    fn stage(&mut self, stage: usize) -> &mut Shared {
        if self.stages.len() <= stage {
            self.stages.resize_with(stage + 1, Shared::default);
        }
        &mut self.stages[stage]
    }

    /// Returns the first fields of a recipe.
    pub(super) fn head(&mut self, plan: &Plan<'_>, at: Coords) -> &mut Head {
        let heads = &mut self.stage(at.stage).heads;
        if heads.len() <= at.step {
            heads.resize_with(at.step + 1, || None);
        }
        heads[at.step].get_or_insert_with(|| Head::new(head_of(plan, at)))
    }

    /// Returns the last field of a recipe, or none if only a run can find it out.
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

    /// Returns the digests of an action's source files, in order. A file that all actions of a stage read
    /// is looked at once per run. There can be many files of single shards, so only the stat cache
    /// remembers those.
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

    /// Returns the digests of the files that all actions of a stage read.
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

/// Returns the digest of a source file as it is now.
pub fn digest_source(stat: &StatCache, path: &Path) -> Result<Digest, StageError> {
    readable(path, stat.digest(path))
}

/// Returns the digest, or what is wrong with the file.
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
