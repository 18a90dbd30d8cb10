//! Kind `command`: an external program as a stage.
//!
//! The program runs in a fresh directory that holds copies of its declared `files` and nothing else of the
//! project, with only the declared environment. If the kernel can do it, the program is shut out of the
//! project. Through `{name}` in its arguments, it gets the paths of its inputs and of the outputs that it
//! must write. `docs/commands.md` is the long version.
//!
//! What a stage declares is in `params`. It is read by `check`, `items`, `claims`, `sources` (with `imports`
//! and `shell`) and `version`. A call is made from `template` and `call`. It runs in the directory of `home`
//! (with copies from `files`), started by a process of [`guard`] through `process` and `guards`, within the
//! rules of `sandbox`. `trouble` explains its failure. Like any kind, it knows nothing of the graph, the plan
//! or a run. Tables come in through `rows` alone. Begin with [`CommandKind`].

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flow_cache::{NotAdopted, Value};

use crate::base::diag::Diag;
use crate::base::files::Project;
use crate::kind::action::Action;
use crate::kind::action::HOME;
use crate::kind::error::StageError;
use crate::kind::params::Params;
use crate::kind::shards::{Shard, Shards};
use crate::kind::spec::{ANY, InputPort, KindSpec, OutputPort, Ports, Rows, Scope, Sources, Step};
use crate::kind::stage::{Layout, Loops, Resources, Stage};
use crate::kind::surroundings::{Question, Surroundings};

mod call;
mod check;
mod claims;
mod files;
pub mod guard;
mod guards;
mod home;
mod imports;
mod items;
mod log;
mod params;
mod process;
mod rows;
mod sandbox;
mod shell;
mod sources;
mod template;
mod trouble;
mod version;

pub use params::claims_type;
pub use rows::FoldRows;

pub(crate) use claims::{duration, size};
use guard::Program;
use guards::Guards;
use params::CommandParams;
use process::End;
use sources::{Finder, PROGRAM, Programs, TOOL};
use version::VersionAnswer;

/// Returns what the parameter `resources` of a stage of any kind claims, and all that is wrong with it. Its type is that
/// of [`claims_type`].
pub fn claimed(params: &Params) -> (Resources, Vec<Diag>) {
    claims::read(params)
}

/// The port for the table of folds.
const FOLDS: &str = crate::kind::spec::FOLDS;
/// The output that is joined over the folds.
const PREDICTIONS: &str = "predictions";
/// The step that joins it.
const GATHER: usize = 1;
/// The folder of outputs below that of an action.
const OUT: &str = "out";

/// Where a program finds others, besides its `tools` and unless `env` says otherwise. The user's own `PATH`
/// is never used, since it differs between users.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The kind.
pub struct CommandKind {
    rows: Box<dyn FoldRows>,
    homes: home::Homes,
    guards: Guards,
    /// What the programs of `version` said.
    versions: version::Answers,
    programs: Programs,
}

impl CommandKind {
    /// The kind, with tables as programs below folds read and write them, and the command of a [`guard`].
    pub fn new(rows: Box<dyn FoldRows>, guard: Vec<OsString>) -> Self {
        Self {
            rows,
            homes: home::Homes::default(),
            guards: Guards::new(guard),
            versions: version::Answers::default(),
            programs: Programs::default(),
        }
    }

    /// The kernel's version of Landlock, 0 where it has none: then only the fresh directory keeps a
    /// program from undeclared files.
    pub fn landlock() -> u32 {
        sandbox::version()
    }
}

impl Stage for CommandKind {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "command",
            version: 3,
            about: "Runs an external program on declared files",
            ports: Ports::default(),
            params: CommandParams::specs(),
            steps: Vec::new(),
        }
    }

    fn shape(&self, params: &Params, inputs: &[String]) -> (Ports, Vec<Step>) {
        let params = CommandParams::read(params);
        let folds = params.in_folds();
        let scope = match (folds, params.each) {
            (true, _) => Scope::Fold,
            (false, Some(_)) => Scope::Shard,
            (false, None) => Scope::Whole,
        };
        let mut run = Step::new("run", scope).sources(match scope {
            Scope::Shard => Sources::Shard,
            _ => Sources::Common,
        });
        if !folds {
            run = run.foreign();
        }
        let mut ports = Ports::default();
        for name in inputs.iter().filter(|name| !folds || *name != FOLDS) {
            ports.inputs.push(InputPort::many(name, ANY));
            run = if folds {
                run.rows(name, Rows::Train).rows(name, Rows::Apply)
            } else {
                run.port(name)
            };
        }
        if folds {
            ports.inputs.push(InputPort::one(FOLDS, FOLDS));
        }
        if params.uses("seed") {
            run = run.seeded();
        }
        let mut gathered = false;
        for (name, _) in params.outputs {
            run = run.writes(name);
            let joined = folds && name == PREDICTIONS;
            gathered |= joined;
            let (ty, step) = if joined {
                (PREDICTIONS, GATHER)
            } else {
                (ANY, 0)
            };
            ports
                .outputs
                .push(OutputPort::of(name, ty, step, "what the program wrote"));
        }
        let mut steps = vec![run];
        if gathered {
            let gather = Step::new("gather", Scope::Whole).after(0, PREDICTIONS);
            steps.push(gather.port(FOLDS).writes(PREDICTIONS));
        }
        (ports, steps)
    }

    fn check(&self, params: &Params, inputs: &[String]) -> Vec<Diag> {
        check::check(params, inputs, &Shards::default())
    }

    fn check_paired(&self, params: &Params, inputs: &[String], paired: &Shards) -> Vec<Diag> {
        check::check(params, inputs, paired)
    }

    fn paired(&self, params: &Params) -> Option<String> {
        items::paired(params).map(str::to_owned)
    }

    fn layout(
        &self,
        params: &Params,
        project: &Project<'_>,
        paired: &Shards,
    ) -> Result<Layout, Vec<Diag>> {
        let mut finder = Finder::new(params, project, &self.programs);
        let common = finder.common()?;
        let axes = items::axes(params)?;
        let own = items::product(&axes);
        let theirs = paired
            .iter()
            .map(|shard| (shard.label().to_owned(), shard.item()));
        let mut shards = Shards::with_capacity(own.len() + paired.len());
        for (label, item) in own.chain(theirs) {
            let files = finder.of_item(&item)?;
            shards.push(&Shard { label, item, files });
        }
        Ok(Layout {
            common,
            items: !shards.is_empty(),
            shards,
            ..Layout::default()
        })
    }

    fn resources(&self, params: &Params) -> Resources {
        claims::read(params).0
    }

    fn opaque(&self, params: &Params, output: &str) -> bool {
        let outputs = CommandParams::read(params).outputs.into_iter();
        let file = outputs.filter(|(name, _)| *name == output);
        let mut extension = file.filter_map(|(_, file)| Path::new(file).extension());
        // What the name does not tell is checked once the file is there.
        extension.any(|ext| {
            ["csv", "tsv", "txt", "json", "md", "log"]
                .iter()
                .any(|text| ext == *text)
        })
    }

    fn loops(&self, params: &Params) -> Loops {
        // Only tables below folds are read and written here. Otherwise the stage just waits for programs.
        match CommandParams::read(params).in_folds() {
            true => Loops::Shared,
            false => Loops::None,
        }
    }

    fn surroundings(&self, question: &Question<'_>) -> Result<Surroundings, StageError> {
        let facts = |version: Option<String>| {
            let version = version.map(|text| ("version", Value::Str(text)));
            let system = [
                ("arch", Value::from(std::env::consts::ARCH)),
                ("os", Value::from(std::env::consts::OS)),
            ];
            Value::map(system.into_iter().chain(version))
        };
        Ok(match version::said(self, question)? {
            None => Surroundings::Known(facts(None)),
            Some(VersionAnswer::Now(text)) => Surroundings::Known(facts(Some(text))),
            Some(VersionAnswer::Before(text)) => Surroundings::Remembered(facts(Some(text))),
            Some(VersionAnswer::Nothing) => Surroundings::Unknown,
        })
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        if action.step == GATHER {
            return self.rows.gather(action, PREDICTIONS);
        }
        let home = action.scratch.join(HOME);
        let ran = self.run_in(&home, action);
        self.homes.clear_up(action, &home);
        ran
    }
}

impl CommandKind {
    /// Runs the program of an action in `home`.
    fn run_in(&self, home: &Path, action: &mut Action<'_>) -> Result<(), StageError> {
        let out = folder(action, OUT)?;
        self.homes.lay_out(action, home)?;
        let params = CommandParams::read(action.params);
        let mut call = call::Call::new(action, &out);
        if params.in_folds() {
            for (name, role) in check::TABLES.into_iter().zip([Rows::Train, Rows::Apply]) {
                if params.uses(name) {
                    let path = action.scratch.join(format!("{name}.parquet"));
                    self.rows.write(action, role, &path)?;
                    call.table(name, path);
                }
            }
        }
        let path = program(action).to_owned();
        let program = surround(action, home, path, call.arguments()?, call.environment()?)?;
        let shown = params.run.join(" ");
        let limit = claims::read(action.params).0.timeout;
        let started = Instant::now();
        let stop = |_| action.checkpoint().is_err();
        let ran = self.guards.run(action, &program, limit, stop);
        let process::ProgramRan { end, usage, log } = ran.map_err(|error| error.of(&shown))?;
        action.used(usage);
        action.log(log.clone());
        match (end, limit) {
            (End::Stopped, _) => return Err(StageError::interrupted()),
            (End::TimedOut, limit) => {
                let error = timed_out(action.params, &shown, limit.unwrap_or_default());
                return Err(trouble::with_log(error, &log));
            }
            (End::Exited(status), _) if !status.success() => {
                return Err(trouble::failure(
                    action,
                    &shown,
                    status,
                    usage.peak_rss,
                    &log,
                ));
            }
            (End::Exited(_), _) => {}
        }
        self.take_in(action, &claims::Deadline { started, limit }, &shown, &log)
    }

    /// Takes in what the program made.
    fn take_in(
        &self,
        action: &mut Action<'_>,
        deadline: &claims::Deadline,
        shown: &str,
        log: &[u8],
    ) -> Result<(), StageError> {
        let host = action.host;
        // The hashing of its outputs counts towards its time limit.
        let go_on = || deadline.is_ahead() && !host.cancelled();
        for (name, path) in call::outputs(action) {
            let failed = |code, what: &str| {
                let message = format!("`{shown}` did not write its output `{name}`{what}");
                trouble::with_log(at_the_path(StageError::failed(code, message), &name), log)
            };
            let made = action
                .adopt(&name, &path, &go_on)
                .map_err(|error| match error {
                    NotAdopted::Stopped if deadline.is_ahead() => StageError::interrupted(),
                    NotAdopted::Stopped => {
                        timed_out(action.params, shown, deadline.limit.unwrap_or_default())
                    }
                    NotAdopted::Store(error) => error.into(),
                    NotAdopted::Missing => failed("flow::command::no_output", ""),
                    NotAdopted::Unfit(what) => {
                        failed("flow::command::not_a_file", &format!(" as a file: {what}"))
                    }
                })?;
            if CommandParams::read(action.params).in_folds() {
                self.rows.check(action, &name, &made)?;
            }
        }
        Ok(())
    }
}

fn at_the_path(error: StageError, output: &str) -> StageError {
    error.help(format!(
        "it must write a file of its own at the path given by `{{{output}}}`"
    ))
}

fn timed_out(params: &Params, shown: &str, limit: Duration) -> StageError {
    let message = format!("`{shown}` was stopped after {}", claims::describe(limit));
    // The user pastes this line over the old one, so it repeats all that is there.
    let claims = CommandParams::read(params).resources.into_iter();
    let claims = claims.map(|(key, value)| match value {
        Value::Str(_) if key == "timeout" => {
            let longer = claims::describe(limit.saturating_mul(2)).replace(' ', "");
            format!("{key} = {longer:?}")
        }
        Value::Str(text) => format!("{key} = {text:?}"),
        Value::Int(number) => format!("{key} = {number}"),
        _ => key.to_owned(),
    });
    let claims: Vec<String> = claims.collect();
    let longer = format!("resources = {{ {} }}", claims.join(", "));
    StageError::failed("flow::command::timeout", message).help(longer)
}

/// The program of an action.
fn program<'a>(action: &'a Action<'_>) -> &'a Path {
    let mut sources = action.all_sources().iter();
    let found = sources.find(|(file, _)| file.role.starts_with(PROGRAM));
    found.map_or(Path::new(""), |(file, _)| &file.path)
}

/// The tools of an action with their names.
fn tools<'a>(action: &'a Action<'_>) -> impl Iterator<Item = (&'a str, &'a Path)> {
    let sources = action.all_sources().iter();
    sources.filter_map(|(file, _)| Some((file.role.strip_prefix(TOOL)?, file.path.as_path())))
}

/// A program with its surroundings: directory, environment, what is open to it.
fn surround(
    action: &Action<'_>,
    home: &Path,
    program: PathBuf,
    args: Vec<OsString>,
    declared: Vec<(&str, OsString)>,
) -> io::Result<Program> {
    let given = declared.iter().find(|(name, _)| *name == "PATH");
    let given = given.map_or(OsStr::new(PATH), |(_, path)| path);
    let path = path(action, given)?;
    let mut env = vec![
        ("TMPDIR".into(), folder(action, "tmp")?.into_os_string()),
        ("FLOW_CPUS".into(), action.threads.to_string().into()),
        ("FLOW_GPUS".into(), gpus(action).into()),
    ];
    env.extend(
        declared
            .into_iter()
            .map(|(name, value)| (name.into(), value)),
    );
    // It comes last, so it takes precedence.
    env.push(("PATH".into(), path));
    let programs = tools(action).map(|(_, path)| path).chain([&*program]);
    let opened = programs.filter(|path| path.starts_with(action.root));
    Ok(Program {
        opened: opened.map(Path::to_owned).collect(),
        path: program,
        args,
        dir: home.to_owned(),
        env,
    })
}

/// Where an action's program finds others: its tools first.
fn path(action: &Action<'_>, others: &OsStr) -> io::Result<OsString> {
    let mut tools = tools(action).peekable();
    if tools.peek().is_none() {
        return Ok(others.to_owned());
    }
    let folder = folder(action, "tools")?;
    for (name, tool) in tools {
        // Not a link: many programs look for what belongs to them beside the name that they were started
        // by, an interpreter of a virtual environment for one.
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o755);
        let mut file = options.open(folder.join(name))?;
        file.write_all(&starter_of(tool))?;
    }
    let mut path = folder.into_os_string();
    path.push(":");
    path.push(others);
    Ok(path)
}

/// Writes a script that starts the tool in its own place.
fn starter_of(tool: &Path) -> Vec<u8> {
    let mut script = b"#!/bin/sh\nexec '".to_vec();
    for &byte in tool.as_os_str().as_bytes() {
        match byte {
            b'\'' => script.extend_from_slice(b"'\\''"),
            byte => script.push(byte),
        }
    }
    script.extend_from_slice(b"' \"$@\"\n");
    script
}

/// Makes a folder of the action. An earlier action may have left it empty.
fn folder(action: &Action<'_>, name: &str) -> io::Result<PathBuf> {
    let folder = action.scratch.join(name);
    match fs::create_dir(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(folder),
    }
}

/// The GPUs that are the action's own, as `CUDA_VISIBLE_DEVICES` takes them.
fn gpus(action: &Action<'_>) -> String {
    let gpus: Vec<String> = action.gpus.iter().map(usize::to_string).collect();
    gpus.join(",")
}
