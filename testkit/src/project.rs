//! A project: a folder with pipelines and what belongs to them.

use std::path::{Path, PathBuf};

use crate::files::{self, TempDir, folder, folder_in_memory, repository};

/// A project, which goes with its folder in the end.
pub struct Project {
    /// Its root, without links on the way.
    pub root: PathBuf,
    _dir: Option<TempDir>,
}

impl Project {
    /// An empty project on disk, which a `.flow` marks.
    #[allow(clippy::new_without_default)] // a folder on disk is no value
    pub fn new() -> Self {
        let project = Self::of(folder());
        std::fs::create_dir(project.path(".flow")).expect("a project root");
        project
    }

    /// The same with a pipeline `p.toml`.
    pub fn with(pipeline: &str) -> Self {
        let project = Self::new();
        project.write("p.toml", pipeline);
        project
    }

    /// The same with the pipelines of this repository.
    pub fn with_pipelines() -> Self {
        let project = Self::new();
        let own = repository().join("pipelines");
        files::copy_tree(&own, &project.path("pipelines"));
        project
    }

    /// A project in memory, which a `flow.toml` marks, with a pipeline `p.toml`.
    pub fn in_memory(pipeline: &str) -> Self {
        let project = Self::of(folder_in_memory());
        project.write("flow.toml", "");
        project.write("p.toml", pipeline);
        project
    }

    /// A folder that is no project yet.
    pub fn bare() -> Self {
        Self::of(folder())
    }

    fn of(dir: TempDir) -> Self {
        let root = dir.path().canonicalize().expect("a path").join("project");
        std::fs::create_dir(&root).expect("a folder");
        Self {
            root,
            _dir: Some(dir),
        }
    }

    /// The project in a folder that someone else has made and will remove.
    pub fn at(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            _dir: None,
        }
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        files::write(&self.path(name), contents);
    }

    /// Reads a text.
    pub fn read(&self, name: &str) -> String {
        files::read(&self.path(name))
    }

    /// Removes a file, or a folder with all that is in it.
    #[track_caller]
    pub fn remove(&self, name: &str) {
        let path = self.path(name);
        let removed = match path.is_dir() {
            true => std::fs::remove_dir_all(&path),
            false => std::fs::remove_file(&path),
        };
        removed.unwrap_or_else(|e| panic!("{name}: {e}"));
    }

    /// Makes a folder.
    pub fn folder(&self, name: &str) {
        std::fs::create_dir_all(self.path(name)).expect("a folder");
    }

    /// Puts one text in the place of another, which must be there, wherever it is in a file.
    #[track_caller]
    pub fn replace(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "no {from} in {text}");
        self.write(name, text.replace(from, to));
    }

    /// Does so in `p.toml`.
    #[track_caller]
    pub fn edit(&self, from: &str, to: &str) {
        self.replace("p.toml", from, to);
    }

    /// Adds to the end of a file.
    pub fn append(&self, name: &str, more: &str) {
        self.write(name, self.read(name) + more);
    }

    /// A folder beside it, to which programs may write: it is neither the project's nor on the way to it.
    pub fn outside(&self) -> PathBuf {
        let folder = self.root.with_file_name("outside");
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    /// The folder of its store.
    pub fn store(&self) -> PathBuf {
        self.path(".flow/store")
    }

    /// Checks that no attempt has left a file beside the store's artifacts and records. Workers may
    /// keep their folders, with copies in them that the next program's would be written over.
    pub fn assert_no_debris(&self) {
        let kept = |path: &Path| {
            let below = path.strip_prefix(&self.root).expect("below");
            below.iter().any(|part| part == "home" || part == "log")
        };
        for folder in [self.path(".flow/scratch"), self.store().join("manifests")] {
            for path in files::files(&folder) {
                assert!(kept(&path), "{} is left", path.display());
            }
        }
    }
}
