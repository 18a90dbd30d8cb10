//! Files that a run leaves for the user: the `[outputs]` of a pipeline and `flow export`.
//!
//! A file is written only if it is missing, was edited, or would change; a run in which nothing
//! changed reads nothing but its status. It is written beside its place and renamed into it, so a
//! reader never sees half a file.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use flow_cache::{Digest, Health, StatCache, Store};

use crate::keys::Slot;
use crate::pipeline::PortRef;
use crate::plan::{Coords, Plan};
use crate::stage::{Part, PortType, StageError};

/// Turns artifacts into a file of the format that its extension asks for.
pub trait Export: Sync {
    /// Writes what `parts` hold together, as `extension` (without the dot, lower case).
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
    /// Its parts; vacant ones are left out.
    pub parts: Vec<Part>,
    /// Every artifact behind them, views included.
    pub needs: Vec<(Digest, usize)>,
}

impl Port {
    /// One digest for the port: that of the artifact, or of the ordered list where there are many.
    pub fn digest(&self) -> Option<Digest> {
        match self.needs.as_slice() {
            [] => None,
            [(digest, _)] => Some(*digest),
            many => {
                let bytes: Vec<u8> = many.iter().flat_map(|(d, _)| *d.as_bytes()).collect();
                Some(Digest::of(&bytes))
            }
        }
    }

    /// The actions that must run again since the store has lost their bytes.
    pub fn lost(&self, store: &Store) -> Result<Vec<usize>, StageError> {
        let mut lost = Vec::new();
        for (digest, producer) in &self.needs {
            match store.check(digest)? {
                Health::Ok => {}
                Health::Missing => lost.push(*producer),
                Health::Corrupt => {
                    store.quarantine(digest)?;
                    lost.push(*producer);
                }
            }
        }
        Ok(lost)
    }
}

/// What stands behind an output port. None while something of it is not known.
pub fn port(plan: &Plan<'_>, slots: &[Slot], store: &Store, reference: PortRef) -> Option<Port> {
    let nowhere = Coords {
        stage: reference.stage,
        step: 0,
        fold: None,
        shard: None,
    };
    let mut parts = Vec::new();
    let mut needs = Vec::new();
    for (index, feed) in plan.producers(reference, nowhere).into_iter().enumerate() {
        for &producer in &feed.producers {
            let record = match &slots[producer] {
                Slot::Done(record) => record,
                Slot::Vacant => continue,
                Slot::Waiting | Slot::Blocked => return None,
            };
            let output = record.outputs.iter().find(|o| o.name == feed.output)?;
            needs.push((output.digest, producer));
            parts.push(Part {
                path: store.path(&output.digest),
                digest: output.digest,
                attrs: output.attrs.clone(),
                reference: index,
                fold: plan.fold_name(plan.coords(producer)).map(str::to_owned),
                views: Vec::new(),
            });
        }
        for &(view, name) in &feed.views {
            if let Slot::Done(record) = &slots[view] {
                let output = record.outputs.iter().find(|o| o.name == name)?;
                needs.push((output.digest, view));
            }
        }
    }
    let ty = plan.pipeline.stages[reference.stage].ports.outputs[reference.port].ty;
    Some(Port { ty, parts, needs })
}

/// What `[outputs]` files were last written from, by path.
pub struct Manifest {
    path: PathBuf,
    entries: BTreeMap<String, [Digest; 2]>,
    changed: bool,
}

impl Manifest {
    /// Reads a manifest; a missing or unreadable one is empty, and files are then written anew.
    pub fn open(path: &Path) -> Self {
        let entries = fs::read_to_string(path)
            .unwrap_or_default()
            .lines()
            .filter_map(|line| {
                let mut words = line.splitn(3, ' ');
                let source = words.next()?.parse().ok()?;
                let file = words.next()?.parse().ok()?;
                Some((words.next()?.to_owned(), [source, file]))
            })
            .collect();
        Self {
            path: path.to_owned(),
            entries,
            changed: false,
        }
    }

    /// Brings one file up to date. True if it was written.
    pub fn deliver(
        &mut self,
        port: &Port,
        to: &Path,
        stat: &StatCache,
        exporter: &dyn Export,
    ) -> Result<bool, StageError> {
        let Some(source) = port.digest() else {
            return Ok(false);
        };
        let key = to.display().to_string();
        if let Some([made_from, made]) = self.entries.get(&key)
            && *made_from == source
            && stat.digest(to).is_ok_and(|(now, _)| now == *made)
        {
            return Ok(false);
        }
        write_file(port, to, exporter)?;
        let (made, _) = stat.digest(to)?;
        if self.entries.insert(key, [source, made]) != Some([source, made]) {
            self.changed = true;
        }
        Ok(true)
    }

    /// Writes the manifest back if it changed.
    pub fn save(&self) -> Result<(), StageError> {
        if !self.changed {
            return Ok(());
        }
        let mut text = String::new();
        for (path, [source, file]) in &self.entries {
            text.push_str(&format!("{source} {file} {path}\n"));
        }
        let beside = self
            .path
            .with_extension(format!("tmp{}", std::process::id()));
        fs::write(&beside, text)?;
        fs::rename(&beside, &self.path)?;
        Ok(())
    }
}

/// Writes what a port holds to a file, by way of a file beside it.
pub fn write_file(port: &Port, to: &Path, exporter: &dyn Export) -> Result<(), StageError> {
    let failed = |what: &str, error: std::io::Error| {
        StageError::environment(format!("failed to {what} {}: {error}", to.display()))
    };
    let folder = to.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|e| failed("make the folder of", e))?;
    let extension = to
        .extension()
        .map(|e| e.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.{}", std::process::id()));
    let written = fs::File::create(&beside)
        .map_err(|e| failed("create", e))
        .and_then(|file| {
            let mut file = BufWriter::new(file);
            exporter.export(port.ty, &port.parts, &extension, &mut file)?;
            file.flush().map_err(|e| failed("write", e))?;
            fs::rename(&beside, to).map_err(|e| failed("write", e))
        });
    if written.is_err() {
        // The half-written file is of no use; the first error is the one to report.
        let _ = fs::remove_file(&beside);
    }
    written
}
