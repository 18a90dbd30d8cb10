//! One action as its stage sees it: what it reads and where it writes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flow_cache::{
    ArtifactWriter, Digest, NotAdopted, StatCache, Value, read_unfinished, write_unfinished,
};

use crate::kind::error::{Fault, StageError};
use crate::kind::lineage::Lineage;
use crate::kind::params::Params;
use crate::kind::progress::Progress;
use crate::kind::shards::{Shard, SourceFile};

/// The directory of programs in a scratch folder. The action that starts a program there clears it
/// afterwards, and makes it anew if an earlier action did not clear it.
pub(crate) const HOME: &str = "home";

/// What a child process used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// CPU seconds, user and system.
    pub cpu_s: f64,
    /// The most memory that it ever held, in bytes.
    pub peak_rss: u64,
}

/// A part of an input: one artifact, with the coordinates at which it was made.
#[derive(Clone, Debug)]
pub struct Part {
    /// Path of the verified bytes, which are read-only.
    pub path: PathBuf,
    /// Their digest.
    pub digest: Digest,
    /// Facts that the producer noted, such as `rows` and `ids`.
    pub attrs: Value,
    /// Index of the reference in the port's list.
    pub reference: usize,
    /// The fold in which it was made.
    pub fold: Option<String>,
    /// Views through which it is seen, innermost first.
    pub views: Vec<PathBuf>,
}

/// One action as its stage sees it. It is the stage's only access to the world.
pub struct Action<'a> {
    /// Index of the step in [`KindSpec::steps`](crate::kind::spec::KindSpec::steps).
    pub step: usize,
    /// The stage's parameters.
    pub params: &'a Params,
    /// Name of the fold, for a step over folds.
    pub fold: Option<&'a str>,
    /// The shard, for a step with [`Sources::Shard`](crate::kind::spec::Sources::Shard).
    pub shard: Option<&'a Shard>,
    /// The table that says which role each row has in each fold. A step over folds has it, and so does one
    /// that scores or combines what stems from folds.
    pub folds: Option<&'a Part>,
    /// What stands behind the predictions that a step scores or combines.
    pub lineage: &'a Lineage,
    /// Seed for random numbers, for a seeded step: a function of the recipe's seeds, the kind and the
    /// content.
    pub seed: u64,
    /// The number of threads that it may use. The bytes must not depend on it.
    pub threads: usize,
    /// Numbers of the GPUs that only this action uses while it runs.
    pub gpus: &'a [usize],
    /// A directory of its own, for programs that need one. It holds no files, and at most some empty
    /// folders that an earlier action made. (`home` in it is that of kind `command`.)
    pub scratch: &'a Path,
    /// The project root.
    pub root: &'a Path,
    /// The folder that holds the artifacts of [`Part`]s.
    pub artifacts: &'a Path,
    pub(crate) inputs: &'a BTreeMap<String, Vec<Part>>,
    pub(crate) sources: &'a [(SourceFile, Digest)],
    pub(crate) stat: &'a StatCache,
    pub(crate) host: &'a dyn Host,
    /// Makes the folder for unfinished work, or finds it.
    pub(crate) unfinished: &'a (dyn Fn() -> Result<PathBuf, StageError> + Sync),
    pub(crate) outputs: Vec<(String, flow_cache::Staged, Value)>,
    pub(crate) used: Usage,
    pub(crate) log: Vec<u8>,
}

/// What the executor does for an action.
pub trait Host: Sync {
    /// Returns a writer for a new artifact.
    fn create(&self) -> Result<ArtifactWriter, StageError>;
    /// Turns the file `path` below `folder` into an artifact, see [`flow_cache::Store::adopt`].
    fn adopt(
        &self,
        folder: &Path,
        path: &Path,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<flow_cache::Staged, NotAdopted>;
    /// Returns true once the run is to stop.
    fn cancelled(&self) -> bool;
    /// Reports progress.
    fn progress(&self, progress: Progress);
}

impl<'a> Action<'a> {
    /// Returns the parts of what comes in through `port`. For an earlier step, this is the name of its
    /// output.
    pub fn input(&self, port: &str) -> &[Part] {
        self.inputs.get(port).map_or(&[], Vec::as_slice)
    }

    /// Returns the names of all inputs: ports, and outputs of earlier steps.
    pub fn ports(&self) -> impl Iterator<Item = &str> {
        self.inputs.keys().map(String::as_str)
    }

    /// Returns the only part of an input that is one artifact.
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

    /// Returns the source files with this role, in the order of the layout.
    pub fn sources(&self, role: &str) -> impl Iterator<Item = &Path> {
        self.sources
            .iter()
            .filter(move |(file, _)| file.role == role)
            .map(|(file, _)| file.path.as_path())
    }

    /// Returns every source file with its digest.
    pub fn all_sources(&self) -> &[(SourceFile, Digest)] {
        self.sources
    }

    /// Returns a writer for one of the step's outputs. Hand it back to [`Action::finish`].
    pub fn create(&self) -> Result<ArtifactWriter, StageError> {
        self.host.create()
    }

    /// Completes an output. `attrs` are small facts about it (a [`Value::Map`]), which must follow from the
    /// recipe alone.
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

    /// Completes an output from the file `path` below [`Action::scratch`], which is moved away. Returns
    /// where its bytes are now. `go_on` is asked from time to time.
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

    /// Takes what a program printed. It is kept with the record, or beside the run's other files if the
    /// action fails. It need not be the same on every run.
    pub fn log(&mut self, text: Vec<u8>) {
        self.log = text;
    }

    /// Reports progress to the user: units done, and units in all.
    pub fn progress(&self, done: u64, total: u64) {
        self.progress_with(done, total, &[]);
    }

    /// Does the same with figures by name, such as the loss of the last epoch, in the order in which people
    /// should read them. They may be infinite or NaN.
    pub fn progress_with(&self, done: u64, total: u64, figures: &[(&str, f64)]) {
        self.host.progress(Progress::new(done, total, figures));
    }

    /// Returns the folder for what the action leaves if its process is ended, such as the state of a fit after
    /// its last epoch. The next attempt at the same action finds it there. It is removed once the action has a
    /// record, and also if the action fails for another reason than the machine. It is empty if nothing was
    /// left, in an audit, and always for an action that reads source files.
    ///
    /// What is in it came about with the same recipe, but a file may be torn: [`Action::save`] and
    /// [`Action::saved`] take care of that. The result of the action must not depend on what is there.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn unfinished(&self) -> Result<PathBuf, StageError> {
        (self.unfinished)()
    }

    /// Saves bytes for the next attempt under a plain file name, and replaces those that have the name. A reader
    /// sees the old ones or the new ones as a whole.
    ///
    /// # Errors
    /// If the machine cannot write them, for instance because the disk is full.
    pub fn save(&self, name: &str, bytes: &[u8]) -> Result<(), StageError> {
        // The folder is made anew if another process has removed it.
        let path = self.unfinished()?.join(name);
        Ok(write_unfinished(&path, bytes)?)
    }

    /// Returns what an earlier attempt, or this one, has saved under a name. Torn files are as if they were not
    /// there.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn saved(&self, name: &str) -> Result<Option<Vec<u8>>, StageError> {
        Ok(read_unfinished(&self.unfinished()?.join(name)))
    }

    /// Has another kind do the work of the action with parameters of its own. A kind that builds on another,
    /// such as one that starts a certain program, has that kind run its step in this way. What the other kind
    /// writes, uses and prints becomes that of this action.
    pub fn with_params<T>(
        &mut self,
        params: &Params,
        work: impl FnOnce(&mut Action<'_>) -> T,
    ) -> T {
        let mut other = Action {
            step: self.step,
            params,
            fold: self.fold,
            shard: self.shard,
            folds: self.folds,
            lineage: self.lineage,
            seed: self.seed,
            threads: self.threads,
            gpus: self.gpus,
            scratch: self.scratch,
            root: self.root,
            artifacts: self.artifacts,
            inputs: self.inputs,
            sources: self.sources,
            stat: self.stat,
            host: self.host,
            unfinished: self.unfinished,
            outputs: std::mem::take(&mut self.outputs),
            used: self.used,
            log: std::mem::take(&mut self.log),
        };
        let done = work(&mut other);
        self.used = other.used;
        self.outputs = other.outputs;
        self.log = other.log;
        done
    }

    /// Returns what a program of the action printed.
    pub fn printed(&self) -> &[u8] {
        &self.log
    }

    /// Returns an error once the run is to stop. Long loops call this at least once per second.
    pub fn checkpoint(&self) -> Result<(), StageError> {
        match self.stop()() {
            true => Err(StageError::interrupted()),
            false => Ok(()),
        }
    }

    /// Returns the same check for other threads: a function that is true once the run is to stop.
    pub fn stop(&self) -> impl Fn() -> bool + Sync + use<'a> {
        let host = self.host;
        move || host.cancelled()
    }
}
