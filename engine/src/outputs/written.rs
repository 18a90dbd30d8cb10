//! What a project remembers of the files that its runs left for the user.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flow_cache::{Digest, FileSteps, Lasting, NewFile, StoreError};
use serde_json::{Value as Json, json};

const STEPS: FileSteps = ["manifest.write", "manifest.publish"];

/// What `[outputs]` files were last written from, by path.
pub struct Written {
    path: PathBuf,
    root: PathBuf,
    /// By absolute path.
    pub entries: BTreeMap<PathBuf, WrittenFile>,
    /// It changed, and must be written back.
    pub changed: bool,
}

/// What is known of a file.
#[derive(Clone, PartialEq)]
pub struct WrittenFile {
    /// The digest of what it was written from.
    pub from: Digest,
    /// The digest of the file itself.
    pub made: Digest,
    /// The pipeline that wrote it. Earlier versions of flow did not note it.
    pub pipeline: Option<String>,
}

impl WrittenFile {
    /// Reads a line: an object, or `FROM MADE PATH` as earlier versions wrote it.
    fn read(line: &str) -> Option<(PathBuf, Self)> {
        if !line.starts_with('{') {
            let mut words = line.splitn(3, ' ');
            let entry = Self {
                from: words.next()?.parse().ok()?,
                made: words.next()?.parse().ok()?,
                pipeline: None,
            };
            return Some((words.next()?.into(), entry));
        }
        let fields: Json = serde_json::from_str(line).ok()?;
        let entry = Self {
            from: fields["from"].as_str()?.parse().ok()?,
            made: fields["made"].as_str()?.parse().ok()?,
            pipeline: fields["pipeline"].as_str().map(str::to_owned),
        };
        Some((fields["path"].as_str()?.into(), entry))
    }
}

impl Written {
    /// Reads a manifest. A missing or unreadable one counts as empty, and files are then written again.
    pub fn open(path: &Path, root: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        let entries = text.lines().filter_map(WrittenFile::read);
        Self {
            path: path.to_owned(),
            root: root.to_owned(),
            entries: entries
                .map(|(path, entry)| (root.join(path), entry))
                .collect(),
            changed: false,
        }
    }

    /// Writes the manifest back if it changed.
    pub fn save(&self) -> Result<(), StoreError> {
        if !self.changed {
            return Ok(());
        }
        let mut text = String::new();
        for (path, entry) in &self.entries {
            // Paths are relative, so that a project may move.
            let path = path.strip_prefix(&self.root).unwrap_or(path);
            let line = json!({
                "path": path.display().to_string(),
                "from": entry.from.to_string(),
                "made": entry.made.to_string(),
                "pipeline": entry.pipeline,
            });
            text.push_str(&format!("{line}\n"));
        }
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let saved = fs::create_dir_all(folder).and_then(|()| {
            let mut new = NewFile::create(STEPS, &self.path, 0o666)?;
            new.write_all(text.as_bytes())?;
            // If its last changes are lost, the files concerned are written again.
            Ok(new.publish(Lasting::Soon)?)
        });
        saved.map_err(|source| StoreError::Environment {
            step: "run.outputs",
            path: self.path.clone(),
            source,
        })
    }
}
