//! A project in a temporary directory, and runs of the binary in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value as Json;

/// A project with a copy of the repository's pipelines.
pub struct Project {
    dir: tempfile::TempDir,
}

/// What a run with `--message-format json` said.
#[derive(Debug)]
pub struct Run {
    /// Exit code.
    pub code: i32,
    /// All events.
    pub events: Vec<Json>,
    /// What people read.
    pub stderr: String,
}

impl Project {
    /// An empty project.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(dir.path().join(".flow")).expect("a project root");
        Self { dir }
    }

    /// A project with the repository's pipelines.
    pub fn with_pipelines() -> Self {
        let project = Self::new();
        copy_tree(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines"),
            &project.path("pipelines"),
        );
        project
    }

    /// A path in the project.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("writes");
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// The binary, in the project.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flow"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_remove("FLOW_STORE")
            .env_remove("FLOW_SIMD");
        command
    }

    /// Runs it.
    pub fn flow(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("flow starts")
    }

    /// `flow run` with JSON events.
    pub fn run(&self, args: &[&str]) -> Run {
        let mut all = vec!["run", "--message-format", "json"];
        all.extend_from_slice(args);
        Run::of(self.flow(&all))
    }
}

impl Run {
    /// Reads the events of a finished process.
    pub fn of(output: Output) -> Self {
        let events = String::from_utf8(output.stdout)
            .expect("UTF-8")
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect();
        Self {
            code: output.status.code().unwrap_or(-1),
            events,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The last event, of a run that went well.
    pub fn ok(&self) -> &Json {
        assert_eq!(self.code, 0, "{}\n{:?}", self.stderr, self.events.last());
        self.last()
    }

    /// The last event.
    pub fn last(&self) -> &Json {
        let last = self.events.last().expect("an event");
        assert_eq!(last["event"], "run-finished");
        last
    }

    /// Stages in which actions ran, with their number.
    pub fn ran(&self) -> Vec<(String, u64)> {
        let stages = self.last()["stages"].as_object().expect("stages");
        let ran = |stage: &Json| stage["ran"].as_u64().expect("a number");
        stages
            .iter()
            .filter(|(_, stage)| ran(stage) > 0)
            .map(|(name, stage)| (name.clone(), ran(stage)))
            .collect()
    }

    /// Names of the stages in which actions ran.
    pub fn stages_that_ran(&self) -> Vec<String> {
        self.ran().into_iter().map(|(name, _)| name).collect()
    }

    /// The digests of all outputs.
    pub fn digests(&self) -> Json {
        let stages = self.last()["stages"].as_object().expect("stages");
        stages
            .iter()
            .map(|(name, stage)| (name.clone(), stage["outputs"].clone()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a listing") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copies");
        }
    }
}

/// Settings that make the demo small enough for a test.
pub const SMALL: [&str; 12] = [
    "--set",
    "ingest.labelled=240",
    "--set",
    "ingest.positives=40",
    "--set",
    "ingest.unlabelled=40",
    "--set",
    "rocket.kernels=40",
    "--set",
    "model.rounds=20",
    // So few objects make no column significant; all of them do for a test.
    "--set",
    "select.fdr=1.0",
];
