//! One action as its stage sees it: what it reads, where it writes, and nothing else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flow_cache::{ArtifactWriter, Digest, NotAdopted, StatCache, Value};

use crate::kind::error::{Fault, StageError};
use crate::kind::lineage::Lineage;
use crate::kind::params::Params;
use crate::kind::shards::{Shard, SourceFile};

/// The directory of programs in a scratch folder; who starts one there clears it up, and makes it anew
/// where that was not done.
pub(crate) const HOME: &str = "home";

/// What a child process used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// CPU seconds, user and system.
    pub cpu_s: f64,
    /// The most memory it ever held, in bytes.
    pub peak_rss: u64,
}

/// A part of an input: one artifact, with the coordinates it was made at.
#[derive(Clone, Debug)]
pub struct Part {
    /// Verified bytes, read-only.
    pub path: PathBuf,
    /// Their digest.
    pub digest: Digest,
    /// Facts that the producer noted, such as `rows` and `ids`.
    pub attrs: Value,
    /// Index of the reference in the port's list.
    pub reference: usize,
    /// The fold it was made in.
    pub fold: Option<String>,
    /// Views it is seen through, innermost first.
    pub views: Vec<PathBuf>,
}

/// One action as its stage sees it: the only window to the world.
pub struct Action<'a> {
    /// Index of the step in [`KindSpec::steps`](crate::kind::spec::KindSpec::steps).
    pub step: usize,
    /// The stage's parameters.
    pub params: &'a Params,
    /// Name of the fold, for a step over folds.
    pub fold: Option<&'a str>,
    /// The shard, for a step with [`Sources::Shard`](crate::kind::spec::Sources::Shard).
    pub shard: Option<&'a Shard>,
    /// The table that says which row has which role in which fold, for a step over folds, and for one
    /// that scores or combines what stems from folds.
    pub folds: Option<&'a Part>,
    /// What stands behind the predictions that a step scores or combines.
    pub lineage: &'a Lineage,
    /// Seed for random numbers: a function of the recipe's seeds, kind and content, for a seeded step.
    pub seed: u64,
    /// Threads it may use; never a reason for other bytes.
    pub threads: usize,
    /// GPUs that are its own while it runs.
    pub gpus: &'a [usize],
    /// A directory of its own, for programs that need one: it holds no files, and of folders at most
    /// empty ones that an earlier action made. (`home` in it is that of kind `command`.)
    pub scratch: &'a Path,
    /// The project root.
    pub root: &'a Path,
    /// The folder under which the artifacts of [`Part`]s lie.
    pub artifacts: &'a Path,
    pub(crate) inputs: &'a BTreeMap<String, Vec<Part>>,
    pub(crate) sources: &'a [(SourceFile, Digest)],
    pub(crate) stat: &'a StatCache,
    pub(crate) host: &'a dyn Host,
    pub(crate) outputs: Vec<(String, flow_cache::Staged, Value)>,
    pub(crate) used: Usage,
    pub(crate) log: Vec<u8>,
}

/// What the executor does for an action.
pub trait Host: Sync {
    /// A writer for a new artifact.
    fn create(&self) -> Result<ArtifactWriter, StageError>;
    /// The file `path` below `folder` becomes an artifact, see [`flow_cache::Store::adopt`].
    fn adopt(
        &self,
        folder: &Path,
        path: &Path,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<flow_cache::Staged, NotAdopted>;
    /// True once the run is to stop.
    fn cancelled(&self) -> bool;
    /// Reports progress.
    fn progress(&self, done: u64, total: u64);
}

impl<'a> Action<'a> {
    /// The parts of what comes in through `port` (or, for an earlier step, under its output's name).
    pub fn input(&self, port: &str) -> &[Part] {
        self.inputs.get(port).map_or(&[], Vec::as_slice)
    }

    /// Names of all that comes in: ports, and outputs of earlier steps.
    pub fn ports(&self) -> impl Iterator<Item = &str> {
        self.inputs.keys().map(String::as_str)
    }

    /// The only part of an input that is one artifact.
    pub fn one(&self, port: &str) -> Result<&Part, StageError> {
        match self.input(port) {
            [part] => Ok(part),
            parts => Err(StageError::new(
                Fault::Bug,
                "flow::bug::parts",
                format!(
                    "input `{port}` has {} parts where one is expected",
                    parts.len()
                ),
            )),
        }
    }

    /// The source files with this role, in the layout's order.
    pub fn sources(&self, role: &str) -> impl Iterator<Item = &Path> {
        self.sources
            .iter()
            .filter(move |(file, _)| file.role == role)
            .map(|(file, _)| file.path.as_path())
    }

    /// Every source file with its digest.
    pub fn all_sources(&self) -> &[(SourceFile, Digest)] {
        self.sources
    }

    /// A writer for one of the step's outputs; give it back to [`Action::finish`].
    pub fn create(&self) -> Result<ArtifactWriter, StageError> {
        self.host.create()
    }

    /// Completes an output. `attrs` are small facts about it (a [`Value::Map`]); they must follow
    /// from the recipe alone.
    pub fn finish(
        &mut self,
        output: &str,
        writer: ArtifactWriter,
        attrs: Vec<(String, Value)>,
    ) -> Result<(), StageError> {
        let staged = writer.finish()?;
        self.put(output, staged, attrs);
        Ok(())
    }

    /// Completes an output from the file `path` below [`Action::scratch`], which is taken away. Says where its
    /// bytes are now. `go_on` is asked now and then.
    pub fn adopt(
        &mut self,
        output: &str,
        path: &Path,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<PathBuf, NotAdopted> {
        let staged = self.host.adopt(self.scratch, path, go_on)?;
        let now = staged.path().to_owned();
        self.put(output, staged, Vec::new());
        Ok(now)
    }

    /// Completes an output from bytes.
    pub fn write(
        &mut self,
        output: &str,
        bytes: &[u8],
        attrs: Vec<(String, Value)>,
    ) -> Result<(), StageError> {
        let mut writer = self.create()?;
        std::io::Write::write_all(&mut writer, bytes)?;
        self.finish(output, writer, attrs)
    }

    fn put(&mut self, output: &str, staged: flow_cache::Staged, mut attrs: Vec<(String, Value)>) {
        attrs.sort_by(|a, b| a.0.cmp(&b.0));
        self.outputs
            .push((output.into(), staged, Value::Map(attrs)));
    }

    /// Adds what a child process used.
    pub fn used(&mut self, usage: Usage) {
        self.used.cpu_s += usage.cpu_s;
        self.used.peak_rss = self.used.peak_rss.max(usage.peak_rss);
    }

    /// Takes what a program printed. It is kept with the record; if the action fails, beside the run's
    /// other files. It need not be the same on every run.
    pub fn log(&mut self, text: Vec<u8>) {
        self.log = text;
    }

    /// Reports progress to whoever watches.
    pub fn progress(&self, done: u64, total: u64) {
        self.host.progress(done, total);
    }

    /// An error once the run is to stop; long loops ask now and then, at least once a second.
    pub fn checkpoint(&self) -> Result<(), StageError> {
        match self.stop()() {
            true => Err(StageError::interrupted()),
            false => Ok(()),
        }
    }

    /// The same question for other threads: true once the run is to stop.
    pub fn stop(&self) -> impl Fn() -> bool + Sync + use<'a> {
        let host = self.host;
        move || host.cancelled()
    }
}
