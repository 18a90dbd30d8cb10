//! Files that a run leaves for the user: the `[outputs]` of a pipeline and `flow export`.
//!
//! A file is written only if it is missing, was edited, or would change. A run in which nothing changed
//! only looks at its metadata. It is written beside its place and renamed, so a reader never sees half a
//! file.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flow_cache::{
    Digest, Digester, FileSteps, Health, Lasting, NewFile, Output, StatCache, Store, StoreError,
};

use crate::base::diag::{Diag, Span};
use crate::kind::action::Part;
use crate::kind::error::StageError;
use crate::kind::shards::FileRef;
use crate::kind::spec::PortType;
use crate::outputs::written::{Written, WrittenFile};
use crate::pipeline::PortRef;
use crate::pipeline::outputs;
use crate::plan::keys::Slot;
use crate::plan::{Coords, Plan};

const STEPS: FileSteps = ["deliver.write", "deliver.publish"];

/// Turns artifacts into a file in the format of its extension.
pub trait Export: Sync {
    /// Writes what `parts` hold together in the format of `extension` (lower case, without the dot).
    fn export(
        &self,
        ty: PortType,
        parts: &[Part],
        extension: &str,
        to: &mut dyn Write,
    ) -> Result<(), StageError>;
}

/// The artifacts behind an output port, each with the action that makes it.
pub struct Port {
    /// Type of the port.
    pub ty: PortType,
    /// Its parts, without vacant ones.
    pub parts: Vec<Part>,
    /// Every artifact behind them, including views.
    pub needs: Vec<(Digest, usize)>,
}

impl Port {
    /// Returns one digest for the port: that of its artifact, or of the ordered list if there are many.
    pub fn digest(&self) -> Option<Digest> {
        digest_of(self.needs.iter().map(|(digest, _)| *digest))
    }
}

/// Finds what stands behind an output port. Returns none while some of it is not known.
pub fn port(plan: &Plan<'_>, slots: &[Slot], store: &Store, reference: PortRef) -> Option<Port> {
    let shown = shown(plan, slots, reference)?;
    let parts = shown.parts().map(|(reference, part)| Part {
        path: store.path(&part.output.digest),
        digest: part.output.digest,
        attrs: part.output.attrs.clone(),
        reference,
        fold: part.fold.map(str::to_owned),
        views: Vec::new(),
    });
    let needs = shown.needs().map(|part| (part.output.digest, part.action));
    Some(Port {
        ty: shown.ty,
        parts: parts.collect(),
        needs: needs.collect(),
    })
}

/// An output port as the records describe it: what [`port`] is made from, and all that a report needs.
pub struct Shown<'s> {
    /// Type of the port.
    pub ty: PortType,
    /// By stage that it shows, its artifacts and views of them.
    feeds: Vec<(Vec<Made<'s>>, Vec<Made<'s>>)>,
}

/// An artifact with the action that made it.
#[derive(Clone, Copy)]
pub struct Made<'s> {
    /// The action.
    pub action: usize,
    /// The artifact.
    pub output: &'s Output,
    /// The fold in which it was made.
    pub fold: Option<&'s str>,
}

impl<'s> Shown<'s> {
    /// Returns its artifacts, each with the number of the stage that it shows.
    pub fn parts(&self) -> impl Iterator<Item = (usize, Made<'s>)> {
        let feeds = self.feeds.iter().enumerate();
        feeds.flat_map(|(number, (parts, _))| parts.iter().map(move |part| (number, *part)))
    }

    /// Returns every artifact behind it, including views.
    fn needs(&self) -> impl Iterator<Item = Made<'s>> {
        let feeds = self.feeds.iter();
        feeds.flat_map(|(parts, views)| parts.iter().chain(views).copied())
    }

    /// Returns true if it shows only a part of its artifacts, for which their bytes alone are not enough.
    pub fn is_a_view(&self) -> bool {
        self.feeds.iter().any(|(_, views)| !views.is_empty())
    }

    /// Returns the same as [`Port::digest`].
    pub fn digest(&self) -> Option<Digest> {
        digest_of(self.needs().map(|part| part.output.digest))
    }
}

/// Returns one digest for a list of artifacts: that of the only one, or of the ordered list.
fn digest_of(mut needs: impl Iterator<Item = Digest>) -> Option<Digest> {
    let first = needs.next()?;
    let Some(second) = needs.next() else {
        return Some(first);
    };
    let mut digester = Digester::default();
    for digest in [first, second].into_iter().chain(needs) {
        digester.put(digest.as_bytes());
    }
    Some(digester.finish())
}

/// Finds what the records say of an output port. Returns none while some of it is not known.
pub fn shown<'s>(plan: &'s Plan<'_>, slots: &'s [Slot], reference: PortRef) -> Option<Shown<'s>> {
    let made = |action: usize, name: &str| match &slots[action] {
        Slot::Done(record) => Some(Made {
            action,
            output: record.output(name)?,
            fold: plan.fold_name(plan.coords(action)),
        }),
        _ => None,
    };
    let feeds = plan.producers(reference, nowhere(reference.stage));
    let feeds = feeds.into_iter().map(|feed| {
        let producers = feed.producers.into_iter();
        let parts = producers.filter(|&action| !matches!(slots[action], Slot::Vacant));
        let parts: Option<Vec<Made<'_>>> = parts.map(|action| made(action, feed.output)).collect();
        let views = feed.views.into_iter();
        let views = views.filter(|&(action, _)| matches!(slots[action], Slot::Done(_)));
        let views: Option<Vec<Made<'_>>> = views.map(|(action, name)| made(action, name)).collect();
        Some((parts?, views?))
    });
    Some(Shown {
        ty: plan.pipeline.stages[reference.stage].ports.outputs[reference.port].ty,
        feeds: feeds.collect::<Option<_>>()?,
    })
}

/// Returns coordinates from which all folds and shards of a stage are read.
fn nowhere(stage: usize) -> Coords {
    Coords {
        stage,
        step: 0,
        fold: None,
        shard: None,
    }
}

/// A file that a run would write.
pub struct Stale {
    /// Its index among the pipeline's outputs.
    pub file: usize,
    /// The artifacts that it is written from, with the actions that make them.
    pub needs: Vec<(Digest, usize)>,
    /// These are all of them. If not, some are not known yet, and perhaps nothing has to be written.
    pub complete: bool,
}

/// The files of a pipeline's `[outputs]`, to be brought up to date after a run.
pub struct Delivery<'a> {
    /// The plan.
    pub plan: &'a Plan<'a>,
    /// Where the bytes are.
    pub store: &'a Store,
    /// Remembers digests of files.
    pub stat: &'a StatCache,
    /// The file that remembers what the files were last written from.
    pub manifest: PathBuf,
    /// Writes them.
    pub exporter: &'a dyn Export,
}

/// What became of the files. Numbers are indices into the pipeline's outputs.
#[derive(Debug, Default)]
pub struct Delivered {
    /// Those that were written.
    pub written: Vec<usize>,
    /// Those that could not be.
    pub failed: Vec<(usize, StageError)>,
    /// Those that replaced something that this pipeline had not written.
    pub replaced: Vec<(usize, Was)>,
    /// What was found corrupt on the way.
    pub warnings: Vec<String>,
    /// Why it could not be noted what they were written from, if so. The next run then writes them again.
    pub unnoted: Option<StoreError>,
}

/// What was in the place of a file, as far as that is known.
#[derive(Clone, Debug, PartialEq)]
pub enum Was {
    /// Nothing that a run of the project wrote.
    Foreign,
    /// Something that a run wrote and that was changed since.
    Changed,
    /// Something that another pipeline of the project wrote, with the path of its file.
    Of(String),
}

impl Delivery<'_> {
    /// Reports an existing output that no run is known to have written, and that the pipeline reads by the
    /// name of a link. (Outputs that it reads by their own names were refused when the pipeline was read.)
    /// Files that a run wrote are not looked at.
    pub fn linked_source(&self) -> Option<Diag> {
        let pipeline = self.plan.pipeline;
        let manifest = Written::open(&self.manifest, &pipeline.root);
        let outputs = pipeline.outputs.iter();
        let foreign: Vec<(PathBuf, Span)> = outputs
            .filter(|output| !manifest.entries.contains_key(&output.path))
            .filter_map(|output| Some((output.path.canonicalize().ok()?, output.from.span)))
            .collect();
        if foreign.is_empty() {
            return None;
        }
        let is_link = |path: &Path| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink());
        for stage in &pipeline.stages {
            let common = stage.layout.common.iter().map(FileRef::from);
            let of_shards = stage.layout.shards.iter().flat_map(|shard| shard.files());
            for file in common.chain(of_shards).filter(|file| is_link(file.path)) {
                let read = file.path.canonicalize().unwrap_or_default();
                if let Some((_, span)) = foreign.iter().find(|(path, _)| *path == read) {
                    let shown = file.path.strip_prefix(&pipeline.root).unwrap_or(file.path);
                    let shown = shown.display().to_string();
                    let diag = outputs::replaces_source(&shown, *span, stage.span);
                    return Some(diag.resolve(&pipeline.sources));
                }
            }
        }
        None
    }

    /// Writes the files that are not up to date and whose stages are done.
    ///
    /// Nothing in the graph may need bytes that the store has lost and a file asks for. `again` is called
    /// at most once, with the actions that make them. It runs the plan with these forced and returns what
    /// is known then, or nothing if that went wrong.
    pub fn deliver(
        &self,
        slots: &[Slot],
        again: impl FnOnce(HashSet<usize>) -> Option<Vec<Slot>>,
    ) -> Delivered {
        let mut delivered = Delivered::default();
        let outputs = &self.plan.pipeline.outputs;
        if outputs.is_empty() {
            return delivered;
        }
        let mut manifest = Written::open(&self.manifest, &self.plan.pipeline.root);
        let all = 0..outputs.len();
        let lost = self.pass(&mut manifest, slots, all, &mut delivered);
        if !lost.is_empty() && delivered.failed.is_empty() {
            let producers = lost.values().flatten().copied().collect();
            if let Some(slots) = again(producers) {
                let files = lost.into_keys();
                for (file, _) in self.pass(&mut manifest, &slots, files, &mut delivered) {
                    let stage = &self.plan.pipeline.stages[outputs[file].from.stage];
                    let message = format!("the bytes of stage `{}` were lost twice", stage.name);
                    let error = StageError::environment(message);
                    delivered.failed.push((file, error));
                }
            }
        }
        delivered.unnoted = manifest.save().err();
        delivered
    }

    /// Returns the files that a run would write, as far as is known. Writes nothing.
    pub fn stale(&self, slots: &[Slot]) -> Result<Vec<Stale>, StageError> {
        let outputs = &self.plan.pipeline.outputs;
        let mut stale = Vec::new();
        if outputs.is_empty() {
            return Ok(stale);
        }
        let manifest = Written::open(&self.manifest, &self.plan.pipeline.root);
        for (file, output) in outputs.iter().enumerate() {
            let Some(port) = port(self.plan, slots, self.store, output.from) else {
                stale.push(Stale {
                    file,
                    needs: self.known_needs(slots, output.from),
                    complete: false,
                });
                continue;
            };
            let Some(source) = port.digest() else {
                continue;
            };
            if !self.is_up_to_date(&manifest, source, &output.path) {
                stale.push(Stale {
                    file,
                    needs: port.needs,
                    complete: true,
                });
            }
        }
        Ok(stale)
    }

    /// Returns the known artifacts behind a port.
    fn known_needs(&self, slots: &[Slot], from: PortRef) -> Vec<(Digest, usize)> {
        let mut needs = Vec::new();
        for feed in self.plan.producers(from, nowhere(from.stage)) {
            let made = feed
                .producers
                .iter()
                .map(|&producer| (producer, feed.output));
            for (producer, name) in made.chain(feed.views) {
                if let Slot::Done(record) = &slots[producer]
                    && let Some(output) = record.output(name)
                {
                    needs.push((output.digest, producer));
                }
            }
        }
        needs
    }

    fn is_up_to_date(&self, manifest: &Written, source: Digest, path: &Path) -> bool {
        let entry = manifest.entries.get(path);
        entry.is_some_and(|entry| {
            let now = || self.stat.digest(path);
            entry.from == source && now().is_ok_and(|(now, _)| now == entry.made)
        })
    }

    /// Brings some files up to date. Returns those whose bytes are gone, with the actions that make them.
    fn pass(
        &self,
        manifest: &mut Written,
        slots: &[Slot],
        files: impl Iterator<Item = usize>,
        delivered: &mut Delivered,
    ) -> BTreeMap<usize, Vec<usize>> {
        let mut lost = BTreeMap::new();
        for file in files {
            let output = &self.plan.pipeline.outputs[file];
            let Some(port) = port(self.plan, slots, self.store, output.from) else {
                continue;
            };
            match self.file(manifest, &port, &output.path, delivered) {
                Ok(File::UpToDate) => {}
                Ok(File::Written(was)) => {
                    delivered.written.push(file);
                    delivered.replaced.extend(was.map(|was| (file, was)));
                }
                Ok(File::Lost(producers)) => drop(lost.insert(file, producers)),
                Err(error) => delivered.failed.push((file, error)),
            }
        }
        lost
    }

    fn file(
        &self,
        manifest: &mut Written,
        port: &Port,
        to: &Path,
        delivered: &mut Delivered,
    ) -> Result<File, StageError> {
        let Some(source) = port.digest() else {
            return Ok(File::UpToDate);
        };
        if self.is_up_to_date(manifest, source, to) {
            return Ok(File::UpToDate);
        }
        // This comes last, so that files that are up to date need no look at the store.
        let lost = self.lost(port, delivered)?;
        if !lost.is_empty() {
            return Ok(File::Lost(lost));
        }
        let before = self.stat.digest(to).ok().map(|(digest, _)| digest);
        write_file(port, to, self.exporter)?;
        let (made, _) = self.stat.digest(to)?;
        let entry = WrittenFile {
            from: source,
            made,
            pipeline: Some(self.name()),
        };
        let known = manifest.entries.insert(to.to_owned(), entry.clone());
        manifest.changed |= known.as_ref() != Some(&entry);
        let replaced = before.filter(|before| *before != made);
        let was = replaced.and_then(|before| match known {
            None => Some(Was::Foreign),
            Some(known) if known.made != before => Some(Was::Changed),
            Some(known) if known.pipeline == entry.pipeline => None,
            Some(known) => known.pipeline.map(Was::Of),
        });
        Ok(File::Written(was))
    }

    /// Returns the name of the pipeline in the manifest: the path of its file in the project.
    fn name(&self) -> String {
        let pipeline = self.plan.pipeline;
        let file = pipeline.file.strip_prefix(&pipeline.root);
        file.unwrap_or(&pipeline.file).display().to_string()
    }

    /// Returns the actions that must run again because the store has lost their bytes.
    fn lost(&self, port: &Port, delivered: &mut Delivered) -> Result<Vec<usize>, StageError> {
        let mut lost = Vec::new();
        for &(digest, producer) in &port.needs {
            match self.store.check(&digest)? {
                Health::Ok => continue,
                Health::Missing => {}
                Health::Corrupt => {
                    // Only the process that sets it aside reports that it was corrupt.
                    if self.store.quarantine(&digest)?.is_some() {
                        let stage = self.plan.coords(producer).stage;
                        delivered.warnings.push(format!(
                            "artifact {} of stage `{}` is corrupt: set aside, made again",
                            digest.short(),
                            self.plan.pipeline.stages[stage].name
                        ));
                    }
                }
            }
            lost.push(producer);
        }
        Ok(lost)
    }
}

/// What became of one file.
enum File {
    UpToDate,
    /// It was written, over something that this pipeline had not written.
    Written(Option<Was>),
    /// The store has lost the bytes that these actions make.
    Lost(Vec<usize>),
}

/// Writes what a port holds to a file beside `to` and renames it.
pub fn write_file(port: &Port, to: &Path, exporter: &dyn Export) -> Result<(), StageError> {
    let failed = |what: &str, error: std::io::Error| {
        StageError::environment(format!("failed to {what} {}", to.display())).because(error)
    };
    let folder = to.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|e| failed("make the folder of", e))?;
    let extension = to
        .extension()
        .map(|e| e.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let mut new = NewFile::create(STEPS, to, mode(port)).map_err(|e| failed("create", e.into()))?;
    let mut file = BufWriter::new(&mut new);
    exporter.export(port.ty, &port.parts, &extension, &mut file)?;
    file.flush().map_err(|e| failed("write", e))?;
    drop(file);
    // If a power loss damages it, it differs from what was remembered and is written again.
    let published = new.publish(Lasting::Soon);
    published.map_err(|e| failed("write", e.into()))
}

/// Returns the most permissions that a file with the contents of the port may have. Users who may not read
/// all of its artifacts may not read it either.
fn mode(port: &Port) -> u32 {
    let mut readers = 0o444;
    for part in &port.parts {
        // If one is gone, the error comes when it is read.
        if let Ok(meta) = fs::metadata(&part.path) {
            readers &= meta.mode();
        }
    }
    0o600 | readers | readers >> 1
}
