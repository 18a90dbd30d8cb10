//! `flow` as a program: how it is started, what it says, how it ends.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value as Json;

use crate::{Project, files};

/// The path of `flow`, which Cargo builds for the tests of the package of that name.
pub fn flow() -> PathBuf {
    // Without Cargo, as in a debugger: beside the folder of the test.
    let beside = || {
        let test = std::env::current_exe().expect("a path");
        let folder = test.ancestors().nth(2).expect("a target directory");
        folder.join("flow")
    };
    std::env::var_os("CARGO_BIN_EXE_flow").map_or_else(beside, PathBuf::from)
}

/// A program without variables that tell `flow` something, and with nothing to read.
pub fn plain(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    const TELLING: [&str; 7] = [
        "FLOW_STORE",
        "FLOW_REMOTE",
        "FLOW_REMOTE_MODE",
        "FLOW_REMOTE_AUTHORIZATION",
        "FLOW_SIGNING_KEY",
        "FLOW_SIMD",
        "COLUMNS",
    ];
    for name in TELLING {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// The search path with the folder of `flow` before all others.
pub fn on_path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let flow = flow();
    format!("{}:{path}", flow.parent().expect("a folder").display())
}

/// Whether a program is there and does what it is asked; says so where not.
pub fn works(program: &str, args: &[&str]) -> bool {
    let output = Command::new(program).args(args).output();
    let works = output.is_ok_and(|output| output.status.success());
    if !works {
        crate::skipped(&format!(
            "`{program} {}` does not work here",
            args.join(" ")
        ));
    }
    works
}

/// The Python interpreter that `FLOW_PYTHON` names, or else `python3`, if it has these packages. Says so where it
/// does not, past the harness, which hides what a passing test prints.
pub fn python(packages: &[&str]) -> Option<String> {
    let python = std::env::var("FLOW_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let import = format!("import {}", packages.join(", "));
    let tried = Command::new(&python).args(["-c", &import]).output();
    if tried.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    let note = format!(
        "skipped: `{python} -c '{import}'` does not work; FLOW_PYTHON names another interpreter\n"
    );
    std::io::stderr()
        .write_all(note.as_bytes())
        .expect("stderr");
    None
}

/// Sends a signal to a process that nobody has waited for yet.
#[track_caller]
pub fn signal(child: &Child, signal: libc::c_int) {
    // SAFETY: a plain system call.
    let sent = unsafe { libc::kill(child.id().cast_signed(), signal) };
    assert_eq!(sent, 0, "no such process");
}

/// Nobody in particular, as whom root runs what permissions are to stop.
const NOBODY: u32 = 65_534;

/// Has a command run as a user for whom permissions count; a project that root has made is that user's
/// from now on. None, and says so: that user cannot run `flow` where it lies.
pub fn as_nobody(project: &Project, mut command: Command) -> Option<Command> {
    let own = std::fs::metadata("/proc/self").expect("a process");
    if own.uid() == 0 {
        for path in files::tree(&project.root) {
            lchown(&path, Some(NOBODY), Some(NOBODY)).expect("an owner");
        }
        let mut version = plain(flow());
        if version.arg("--version").uid(NOBODY).output().is_err() {
            crate::skipped("another user cannot run the binary where it lies");
            return None;
        }
        command.uid(NOBODY).gid(NOBODY);
    }
    Some(command)
}

/// Kills a process after a while with SIGKILL. True if it was still running then.
pub fn kill_after(mut child: Child, delay: Duration) -> bool {
    std::thread::sleep(delay);
    let running = child.try_wait().expect("a status").is_none();
    // It may just have ended, which is no error.
    let _ = child.kill();
    child.wait().expect("a status");
    running
}

/// Whether a process is over; one that has ended may be reaped late.
pub fn is_over(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; -1 for a signal.
    pub code: i32,
    /// All that it gave.
    pub stdout: String,
    /// All that it told people.
    pub stderr: String,
}

impl Ended {
    /// Takes it from an output.
    pub fn of(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Runs a command to its end.
    pub fn run(command: &mut Command) -> Self {
        Self::of(command.output().expect("the program starts"))
    }

    /// Waits for a child to end.
    pub fn wait(child: Child) -> Self {
        Self::of(child.wait_with_output().expect("the program ends"))
    }

    /// Itself, if the code is this one.
    #[track_caller]
    pub fn with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Checks that people were told this, be it folded over lines.
    #[track_caller]
    pub fn says(&self, part: &str) -> &Self {
        assert_says(&self.stderr, part);
        self
    }

    /// Checks that one of the lines of its output is this one.
    #[track_caller]
    pub fn gives(&self, line: &str) -> &Self {
        let gives = self.stdout.lines().any(|given| given == line);
        assert!(gives, "no line `{line}`:\n{}\n{}", self.stdout, self.stderr);
        self
    }

    /// All that it said, on both ways.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// All that it said, as words with one blank between: long lines are folded, in a frame.
    pub fn words(&self) -> String {
        unfolded(&self.all())
    }

    /// The lines of its output as JSON, which their schema must allow.
    #[track_caller]
    pub fn events(&self) -> Vec<Json> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let events: Vec<Json> = self.stdout.lines().map(parse).collect();
        events.iter().for_each(crate::schema::assert_event);
        events
    }
}

fn unfolded(text: &str) -> String {
    let text = text.replace('│', " ");
    Vec::from_iter(text.split_whitespace()).join(" ")
}

#[track_caller]
fn assert_says(text: &str, part: &str) {
    let says = text.contains(part) || unfolded(text).contains(part);
    assert!(says, "`{part}` is not in\n{text}");
}

/// How a program with `--message-format json` ended.
#[derive(Debug)]
pub struct Run {
    /// Exit code; -1 for a signal.
    pub code: i32,
    /// All events.
    pub events: Vec<Json>,
    /// What people read.
    pub stderr: String,
}

impl From<Ended> for Run {
    fn from(ended: Ended) -> Self {
        Self {
            code: ended.code,
            events: ended.events(),
            stderr: ended.stderr,
        }
    }
}

impl Run {
    /// Waits for a child to end.
    pub fn wait(child: Child) -> Self {
        Ended::wait(child).into()
    }

    /// Itself, if the code is this one.
    #[track_caller]
    pub fn with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{:?}", self.stderr, self.events.last());
        self
    }

    /// Checks that people were told this, be it folded over lines.
    #[track_caller]
    pub fn says(&self, part: &str) -> &Self {
        assert_says(&self.stderr, part);
        self
    }

    /// All events with a name.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Json> + use<'a> {
        let name = name.to_owned();
        let events = self.events.iter();
        events.filter(move |event| event["event"] == name)
    }

    /// The last of them.
    #[track_caller]
    pub fn event(&self, name: &str) -> &Json {
        let found = self.all(name).last();
        found.unwrap_or_else(|| panic!("no {name}: {}\n{:?}", self.stderr, self.events.last()))
    }

    /// The last event, which must be the end of a run that went well.
    #[track_caller]
    pub fn ok(&self) -> &Json {
        assert_eq!(self.code, 0, "{}\n{:?}", self.stderr, self.events.last());
        self.last()
    }

    /// The last event, which must be the end of a run.
    #[track_caller]
    pub fn last(&self) -> &Json {
        let last = self.events.last().expect("an event");
        assert_eq!(last["event"], "run-finished", "{}", self.stderr);
        last
    }

    /// The stages of the run, each with its figures.
    #[track_caller]
    pub fn stages(&self) -> &serde_json::Map<String, Json> {
        let stages = self.event("run-finished")["stages"].as_object();
        stages.expect("stages")
    }

    /// A figure, such as `ran`, over all stages.
    #[track_caller]
    pub fn total(&self, what: &str) -> u64 {
        let figure = |stage: &Json| stage[what].as_u64().expect("a number");
        self.stages().values().map(figure).sum()
    }

    /// Stages in which actions ran, with their number.
    #[track_caller]
    pub fn ran(&self) -> Vec<(String, u64)> {
        let ran = |stage: &Json| stage["ran"].as_u64().expect("a number");
        let stages = self.stages().iter();
        let stages = stages.map(|(name, stage)| (name.clone(), ran(stage)));
        stages.filter(|(_, ran)| *ran > 0).collect()
    }

    /// Names of the stages in which actions ran.
    pub fn stages_that_ran(&self) -> Vec<String> {
        self.ran().into_iter().map(|(name, _)| name).collect()
    }

    /// The digests of all outputs.
    pub fn digests(&self) -> Json {
        let stages = self.stages().iter();
        stages
            .map(|(name, stage)| (name.clone(), stage["outputs"].clone()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

const JSON: [&str; 2] = ["--message-format", "json"];

/// `flow` in a project.
impl Project {
    /// It, about to start.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = plain(flow());
        command.args(args).current_dir(&self.root);
        command
    }

    /// The same with events as JSON.
    pub fn json_command(&self, args: &[&str]) -> Command {
        self.command(&[args, &JSON].concat())
    }

    /// A line of shell in which it is `$FLOW`, about to start.
    pub fn shell(&self, script: &str) -> Command {
        let mut command = plain("sh");
        command.args(["-c", script]).current_dir(&self.root);
        command.env("FLOW", flow());
        command
    }

    /// Runs it.
    pub fn flow(&self, args: &[&str]) -> Ended {
        Ended::run(&mut self.command(args))
    }

    /// Runs it with events as JSON.
    pub fn json(&self, args: &[&str]) -> Run {
        Ended::run(&mut self.json_command(args)).into()
    }

    /// `flow run` with events as JSON.
    pub fn run(&self, args: &[&str]) -> Run {
        self.json(&[&["run"], args].concat())
    }

    /// Starts it with events as JSON, and goes on.
    pub fn start(&self, args: &[&str]) -> Child {
        let mut command = self.json_command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("flow starts")
    }

    /// Starts it with nobody listening, and goes on.
    pub fn start_unheard(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("flow starts")
    }
}

/// Settings that make the demo pipelines small enough for a test: of their survey and their models.
pub const SMALL: [&str; 8] = [
    "--set",
    "ingest.labelled=240",
    "--set",
    "ingest.positives=40",
    "--set",
    "ingest.unlabelled=40",
    "--set",
    "model.rounds=20",
];

/// The same for those with `rocket` and `select`: so few objects make no column significant, and all
/// of them do for a test.
pub const SMALL_ROCKET: [&str; 12] = [
    "--set",
    "ingest.labelled=240",
    "--set",
    "ingest.positives=40",
    "--set",
    "ingest.unlabelled=40",
    "--set",
    "model.rounds=20",
    "--set",
    "rocket.kernels=40",
    "--set",
    "select.fdr=1.0",
];
