//! Kind `command`: an external program as a stage.
//!
//! The program runs in a fresh directory that holds copies of its declared `files` and nothing else
//! of the project, with only the declared environment, and where the kernel can, shut out of the
//! project. It gets the paths of its inputs and of the outputs it must write through `{name}` in its
//! arguments. `docs/commands.md` is the long version.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use flow_cache::Value;

use crate::diag::Diag;
use crate::params::{ParamSpec, ParamType, Params};
use crate::stage::{
    ANY, Action, InputPort, KindSpec, Layout, OutputPort, Ports, Resources, Rows, Scope, Shard,
    Shards, Sources, Stage, StageError, Step,
};
use crate::worker::{HOME, LOG};

mod call;
mod check;
mod claims;
mod files;
mod home;
mod imports;
mod items;
mod process;
mod rows;
mod sandbox;
mod sources;
mod template;
mod trouble;

pub use rows::FoldRows;

use process::{End, Starter};
use sandbox::{Places, Sandbox};
use sources::{Finder, PROGRAM, Programs};

/// The port for the table of folds.
const FOLDS: &str = crate::plan::FOLDS;
/// The output that is joined over the folds.
const PREDICTIONS: &str = "predictions";
/// The step that joins it.
const GATHER: usize = 1;

/// So many sandboxes are kept, each with a thread that sleeps.
const MOST_SANDBOXES: usize = 256;

/// The kind.
pub struct CommandKind {
    rows: Box<dyn FoldRows>,
    homes: home::Homes,
    /// By what lies open: the same for all that a worker runs, but for programs of the project.
    sandboxes: Mutex<HashMap<Places, Option<Arc<Starter>>>>,
    /// What the programs of `version` said.
    versions: Mutex<BTreeMap<Vec<String>, Result<String, StageError>>>,
    programs: Programs,
}

impl CommandKind {
    /// The kind, with tables as programs below folds read and write them.
    pub fn new(rows: Box<dyn FoldRows>) -> Self {
        Self {
            rows,
            homes: home::Homes::default(),
            sandboxes: Mutex::default(),
            versions: Mutex::default(),
            programs: Programs::default(),
        }
    }

    /// The kernel's version of Landlock, 0 where it has none: then only the fresh directory keeps a
    /// program from undeclared files.
    pub fn landlock() -> u32 {
        sandbox::version()
    }

    /// What starts the action's program in its sandbox; `None` where there is no Landlock.
    fn starter(
        &self,
        action: &Action<'_>,
        program: &Path,
    ) -> Result<Option<Arc<Starter>>, StageError> {
        let places = Places {
            root: action.root.to_owned(),
            artifacts: action.artifacts.to_owned(),
            scratch: action.scratch.to_owned(),
            program: program.starts_with(action.root).then(|| program.to_owned()),
        };
        let mut known = self
            .sandboxes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(starter) = known.get(&places) {
            return Ok(starter.clone());
        }
        let starter =
            Sandbox::new(&places).and_then(|sandbox| sandbox.map(Starter::new).transpose());
        let starter = starter.map_err(|error| {
            StageError::environment(format!("failed to set up Landlock: {error}"))
        })?;
        let starter = starter.map(Arc::new);
        // A few for each worker; more only where scratch folders are not used again.
        if known.len() >= MOST_SANDBOXES {
            known.clear();
        }
        known.insert(places, starter.clone());
        Ok(starter)
    }
}

/// True where a stage runs once a fold.
fn in_folds(params: &Params) -> bool {
    params.opt_str("scope") == Some("fold")
}

impl Stage for CommandKind {
    fn spec(&self) -> KindSpec {
        let strings = || ParamType::List(Box::new(ParamType::Str));
        let table = || ParamType::Map(Box::new(ParamType::Str));
        let paths = ParamType::List(Box::new(ParamType::Path));
        KindSpec {
            name: "command",
            version: 2,
            about: "Runs an external program on declared files",
            ports: Ports::default(),
            params: vec![
                ParamSpec::new("run", strings(), "Program and arguments. `{port}` is the path of an input (one argument a file where it has several parts, if the argument is exactly that), `{port.list}` a file with one path a line, `{output}` the path to write, `{seed}` a number; `{{` is a brace."),
                ParamSpec::new("outputs", table(), "Output ports and the file names under which the program writes them."),
                ParamSpec::new("files", paths, "Project files (or globs) that the program may read; copied into its directory under their project-relative paths.").optional().unkeyed(),
                ParamSpec::new("code", ParamType::Choice(&["import-closure"]), "Adds to `files` the Python scripts in `run` and `files`, and the modules of the project that they import.").optional().unkeyed(),
                ParamSpec::new("env", table(), "Environment variables; besides them the program gets PATH, TMPDIR, FLOW_CPUS and FLOW_GPUS.").optional(),
                ParamSpec::new("version", strings(), "A command whose output is part of the recipe, such as `[\"python3\", \"--version\"]`.").optional(),
                ParamSpec::new("resources", claims::param(), "`cpus`, `memory` (\"2GiB\") and `gpu` that an action claims, its `timeout` (\"10min\"), and how many `retries` it has. Changes no result.").optional().unkeyed(),
                ParamSpec::new("each", items::param(), "One action an item: `{ i = { range = [0, 100] } }` (upper end excluded) or `{ band = [\"g\", \"r\"] }`, several keys for all combinations, or the name of a stage whose items these pair with. `{i}` works in `run`, `files`, `env` and the names of `outputs`.").optional().unkeyed(),
                ParamSpec::choice("scope", "whole", &["whole", "fold"], "`fold` runs once a fold: `{train}` is Parquet of its training rows with labels, `{apply}` of the rows to predict, and the output `predictions` is joined over the folds."),
            ],
            steps: Vec::new(),
        }
    }

    fn shape(&self, params: &Params, inputs: &[String]) -> (Ports, Vec<Step>) {
        let folds = in_folds(params);
        let scope = match (folds, params.get("each")) {
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
        let env = params
            .map("env")
            .iter()
            .filter_map(|(_, value)| match value {
                Value::Str(text) => Some(text.as_str()),
                _ => None,
            });
        if params
            .strs("run")
            .into_iter()
            .chain(env)
            .any(|text| template::names(text).any(|n| n == "seed"))
        {
            run = run.seeded();
        }
        let mut gathered = false;
        for (name, _) in params.map("outputs") {
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

    fn layout(&self, params: &Params, root: &Path, paired: &Shards) -> Result<Layout, Vec<Diag>> {
        let mut finder = Finder::new(params, root, &self.programs);
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
        claims::read(params).0.resources
    }

    fn has_loops(&self, params: &Params) -> bool {
        // Only tables below folds are read and written here; else it waits for programs.
        in_folds(params)
    }

    fn host(&self, params: &Params, root: &Path) -> Option<Result<Value, StageError>> {
        let mut facts = vec![
            ("arch".to_owned(), Value::Str(std::env::consts::ARCH.into())),
            ("os".to_owned(), Value::Str(std::env::consts::OS.into())),
        ];
        let version: Vec<String> = params
            .strs("version")
            .into_iter()
            .map(str::to_owned)
            .collect();
        if !version.is_empty() {
            let mut known = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
            let said = known
                .entry(version)
                .or_insert_with_key(|run| call::version(run, root));
            match said {
                Ok(text) => facts.push(("version".to_owned(), Value::Str(text.clone()))),
                Err(error) => return Some(Err(error.clone())),
            }
        }
        Some(Ok(Value::Map(facts)))
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
        let out = folder(action, "out")?;
        let temp = folder(action, "tmp")?;
        let program = self.homes.lay_out(action, home)?;
        let mut call = call::Call::new(action, &out);
        if in_folds(action.params) {
            for (name, role) in check::TABLES.into_iter().zip([Rows::Train, Rows::Apply]) {
                if call.uses(name) {
                    let path = action.scratch.join(format!("{name}.parquet"));
                    self.rows.write(action, role, &path)?;
                    call.table(name, path);
                }
            }
        }
        let log = action.scratch.join(LOG);
        let output = files::write_over(&log)?;
        let mut command = Command::new(&program);
        command
            .args(call.arguments()?)
            .current_dir(home)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TMPDIR", &temp)
            .env("FLOW_CPUS", action.threads.to_string())
            .env("FLOW_GPUS", gpus(action))
            .envs(call.environment()?)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0);
        let shown = action.params.strs("run").join(" ");
        // With the command, our own ends of its output are closed.
        let started = match self.starter(action, &program)? {
            Some(starter) => starter.start(command),
            None => command.spawn(),
        };
        let child = started.map_err(|error| call::not_started(&shown, &error))?;
        let limit = claims::read(action.params).0.timeout;
        let (end, usage) = process::wait(&child, limit, || action.checkpoint().is_err())?;
        action.used(usage);
        if fs::metadata(&log)?.len() > 0 {
            action.log(&log);
        }
        match (end, limit) {
            (End::Stopped, _) => return Err(StageError::interrupted()),
            (End::TimedOut, limit) => {
                let limit = claims::describe(limit.unwrap_or_default());
                let message = format!("`{shown}` was stopped after {limit}");
                let error = StageError::failed("flow::command::timeout", message)
                    .help("resources = { timeout = ... } gives it longer");
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
        let outputs = call::outputs(action, &out);
        for (name, path) in &outputs {
            if !path.is_file() {
                let message = format!("`{shown}` did not write its output `{name}`");
                let error = StageError::failed("flow::command::no_output", message).help(format!(
                    "it must write the file at the path given by `{{{name}}}`"
                ));
                return Err(trouble::with_log(error, &log));
            }
            if in_folds(action.params) {
                self.rows.check(action, name, path)?;
            }
        }
        for (name, path) in outputs {
            action.adopt(&name, &path, Vec::new())?;
        }
        Ok(())
    }
}

/// A folder of the action; an earlier one may have left it, empty.
fn folder(action: &Action<'_>, name: &str) -> std::io::Result<PathBuf> {
    let folder = action.scratch.join(name);
    match fs::create_dir(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(folder),
    }
}

/// The GPUs that are the action's own, as `CUDA_VISIBLE_DEVICES` takes them.
fn gpus(action: &Action<'_>) -> String {
    let gpus: Vec<String> = action.gpus.iter().map(usize::to_string).collect();
    gpus.join(",")
}
