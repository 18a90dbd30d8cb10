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

use flow_cache::{Digest, Digester, FileSteps, Lasting, NewFile, StatCache, Store, StoreError};

use crate::base::diag::{Diag, Span};
use crate::kind::action::Part;
use crate::kind::error::StageError;
use crate::kind::shards::FileRef;
use crate::kind::spec::PortType;
use crate::outputs::ports::{Port, nowhere, port, shown};
use crate::outputs::written::{Written, WrittenFile};
use crate::pipeline::outputs;
use crate::pipeline::{OutputDecl, OutputSource, Pipeline, PortRef};
use crate::plan::Plan;
use crate::plan::keys::Slot;

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

/// Writes the report of a pipeline: what came out, for people.
pub trait Report: Sync {
    /// A digest of everything that the report shows besides artifacts.
    fn besides(&self, pipeline: &Pipeline) -> Digest;

    /// Whether the report reads the bytes of ports of this type. Of others it knows only the digests.
    fn reads(&self, ty: PortType) -> bool;

    /// Writes it. All that it reads is in the store.
    ///
    /// # Errors
    /// An artifact is unreadable, or `to` cannot be written.
    fn write(
        &self,
        plan: &Plan<'_>,
        slots: &[Slot],
        store: &Store,
        to: &mut dyn Write,
    ) -> Result<(), StageError>;
}

/// What a file is written from.
enum Contents {
    /// The artifacts of a port.
    Port(Port),
    /// The results of all stages: their digest, and the artifacts that are read.
    Report {
        digest: Digest,
        needs: Vec<(Digest, usize)>,
    },
}

impl Contents {
    fn digest(&self) -> Option<Digest> {
        match self {
            Self::Port(port) => port.digest(),
            Self::Report { digest, .. } => Some(*digest),
        }
    }

    fn needs(&self) -> &[(Digest, usize)] {
        match self {
            Self::Port(port) => &port.needs,
            Self::Report { needs, .. } => needs,
        }
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
    /// Writes artifacts.
    pub exporter: &'a dyn Export,
    /// Writes reports.
    pub report: &'a dyn Report,
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
            .filter_map(|output| Some((output.path.canonicalize().ok()?, output.from.span())))
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
                    let message = format!("the bytes of {} were lost twice", self.whose(file));
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
            let Some(contents) = self.contents(slots, output) else {
                stale.push(Stale {
                    file,
                    needs: match output.from {
                        OutputSource::Port(from) => self.known_needs(slots, from),
                        OutputSource::Report(_) => Vec::new(),
                    },
                    complete: false,
                });
                continue;
            };
            let Some(source) = contents.digest() else {
                continue;
            };
            if !self.is_up_to_date(&manifest, source, &output.path) {
                stale.push(Stale {
                    file,
                    needs: contents.needs().to_vec(),
                    complete: true,
                });
            }
        }
        Ok(stale)
    }

    /// Returns what a file is written from, or nothing while some of it is not known.
    fn contents(&self, slots: &[Slot], output: &OutputDecl) -> Option<Contents> {
        match output.from {
            OutputSource::Port(from) => {
                port(self.plan, slots, self.store, from).map(Contents::Port)
            }
            OutputSource::Report(_) => self.results(slots),
        }
    }

    /// Returns the results of all stages, or nothing while some of them are not known.
    fn results(&self, slots: &[Slot]) -> Option<Contents> {
        let pipeline = self.plan.pipeline;
        let mut digester = Digester::default();
        let mut needs = Vec::new();
        digester.put(self.report.besides(pipeline).as_bytes());
        for (stage, decl) in pipeline.stages.iter().enumerate() {
            for (port, output) in decl.ports.outputs.iter().enumerate() {
                let span = decl.span;
                let shown = shown(self.plan, slots, PortRef { stage, port, span })?;
                // A port without artifacts has no digest, and no port is skipped.
                match shown.digest() {
                    Some(digest) => digester.put(digest.as_bytes()),
                    None => digester.put(&[0]),
                }
                if self.report.reads(output.ty) {
                    needs.extend(shown.needs().map(|made| (made.output.digest, made.action)));
                }
            }
        }
        Some(Contents::Report {
            digest: digester.finish(),
            needs,
        })
    }

    /// Names the stage that a file comes from.
    fn whose(&self, file: usize) -> String {
        match self.plan.pipeline.outputs[file].from {
            OutputSource::Port(from) => {
                format!("stage `{}`", self.plan.pipeline.stages[from.stage].name)
            }
            OutputSource::Report(_) => "a stage".to_owned(),
        }
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
            let Some(contents) = self.contents(slots, output) else {
                continue;
            };
            let write = || match &contents {
                Contents::Port(port) => write_file(port, &output.path, self.exporter),
                Contents::Report { needs, .. } => {
                    let parts = needs.iter().map(|(digest, _)| self.store.path(digest));
                    write_with(&output.path, mode(parts), |to| {
                        self.report.write(self.plan, slots, self.store, to)
                    })
                }
            };
            match self.file(manifest, &contents, &output.path, delivered, write) {
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
        contents: &Contents,
        to: &Path,
        delivered: &mut Delivered,
        write: impl FnOnce() -> Result<(), StageError>,
    ) -> Result<File, StageError> {
        let Some(source) = contents.digest() else {
            return Ok(File::UpToDate);
        };
        if self.is_up_to_date(manifest, source, to) {
            return Ok(File::UpToDate);
        }
        // This comes last, so that files that are up to date need no look at the store.
        let lost = self.lost(contents.needs(), delivered)?;
        if !lost.is_empty() {
            return Ok(File::Lost(lost));
        }
        let before = self.stat.digest(to).ok().map(|(digest, _)| digest);
        write()?;
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
    fn lost(
        &self,
        needs: &[(Digest, usize)],
        delivered: &mut Delivered,
    ) -> Result<Vec<usize>, StageError> {
        let mut lost = Vec::new();
        for (digest, corrupt) in self.store.ensure(needs.iter().map(|(digest, _)| *digest))? {
            let makers = needs.iter().filter(|(need, _)| *need == digest);
            let makers: Vec<usize> = makers.map(|(_, producer)| *producer).collect();
            if let (true, Some(&producer)) = (corrupt, makers.first()) {
                let stage = self.plan.coords(producer).stage;
                delivered.warnings.push(format!(
                    "artifact {} of stage `{}` is corrupt: set aside, made again",
                    digest.short(),
                    self.plan.pipeline.stages[stage].name
                ));
            }
            lost.extend(makers);
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
///
/// # Errors
/// The artifacts cannot be written in the format of the extension, or `to` cannot be written.
pub fn write_file(port: &Port, to: &Path, exporter: &dyn Export) -> Result<(), StageError> {
    let extension = to
        .extension()
        .map(|e| e.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let parts = port.parts.iter().map(|part| part.path.clone());
    write_with(to, mode(parts), |file| {
        exporter.export(port.ty, &port.parts, &extension, file)
    })
}

fn write_with(
    to: &Path,
    mode: u32,
    write: impl FnOnce(&mut dyn Write) -> Result<(), StageError>,
) -> Result<(), StageError> {
    let failed = |what: &str, error: std::io::Error| {
        StageError::environment(format!("failed to {what} {}", to.display())).because(error)
    };
    let folder = to.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|e| failed("make the folder of", e))?;
    let mut new = NewFile::create(STEPS, to, mode).map_err(|e| failed("create", e.into()))?;
    let mut file = BufWriter::new(&mut new);
    write(&mut file)?;
    file.flush().map_err(|e| failed("write", e))?;
    drop(file);
    // If a power loss damages it, it differs from what was remembered and is written again.
    let published = new.publish(Lasting::Soon);
    published.map_err(|e| failed("write", e.into()))
}

/// Returns the most permissions that a file made from these artifacts may have. Users who may not read
/// all of them may not read it either.
fn mode(parts: impl Iterator<Item = PathBuf>) -> u32 {
    let mut readers = 0o444;
    for part in parts {
        // If one is gone, the error comes when it is read.
        if let Ok(meta) = fs::metadata(part) {
            readers &= meta.mode();
        }
    }
    0o600 | readers | readers >> 1
}
