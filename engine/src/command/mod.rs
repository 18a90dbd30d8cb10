//! Kind `command`: an external program as a stage.
//!
//! The program runs in a fresh directory that holds copies of its declared `files` and nothing else
//! of the project, with only the declared environment. It gets the paths of its inputs and of the
//! outputs it must write through `{name}` in its arguments.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use flow_cache::Value;

use crate::diag::Diag;
use crate::params::{ParamSpec, ParamType, Params};
use crate::stage::{
    ANY, Action, InputPort, KindSpec, Layout, OutputPort, Ports, Scope, Shard, SourceFile, Sources,
    Stage, StageError, Step,
};
use crate::suggest::did_you_mean;

mod rows;

pub use rows::FoldRows;

/// The kind.
pub struct CommandKind;

const PROGRAM: &str = "program:";

impl Stage for CommandKind {
    fn spec(&self) -> KindSpec {
        let strings = || ParamType::List(Box::new(ParamType::Str));
        let table = || ParamType::Map(Box::new(ParamType::Str));
        KindSpec {
            name: "command",
            version: 1,
            about: "Runs an external program on declared files",
            ports: Ports::default(),
            params: vec![
                ParamSpec::new("run", strings(), "Program and arguments. `{port}` is the path of an input (one argument a file where it has several parts, if the argument is exactly that), `{port.list}` a file with one path a line, `{output}` the path to write, `{seed}` a number; `{{` is a brace."),
                ParamSpec::new("outputs", table(), "Output ports and the file names under which the program writes them."),
                ParamSpec::new("files", ParamType::List(Box::new(ParamType::Path)), "Project files (or globs) that the program may read; copied into its directory under their project-relative paths.").optional().unkeyed(),
                ParamSpec::new("env", table(), "Environment variables; besides them the program gets PATH and TMPDIR.").optional(),
                ParamSpec::new("version", strings(), "A command whose output is part of the recipe, such as `[\"python3\", \"--version\"]`.").optional(),
                ParamSpec::float("timeout_s", 0.0, 0.0, 1e9, "Seconds after which the program is stopped and the stage fails; 0 for no limit.").unkeyed(),
            ],
            steps: Vec::new(),
        }
    }

    fn shape(&self, params: &Params, inputs: &[String]) -> (Ports, Vec<Step>) {
        let ports = Ports {
            inputs: inputs
                .iter()
                .map(|name| InputPort::one(name, ANY))
                .collect(),
            outputs: params
                .map("outputs")
                .iter()
                .map(|(name, _)| OutputPort::of(name, ANY, 0, "what the program wrote"))
                .collect(),
        };
        let mut step = Step::new("run", Scope::Whole).sources(Sources::Common);
        for name in inputs {
            step = step.port(name);
        }
        for (name, _) in params.map("outputs") {
            step = step.writes(name);
        }
        if params.strs("run").iter().any(|arg| arg.contains("{seed}")) {
            step = step.seeded();
        }
        (ports, vec![step])
    }

    fn check(&self, params: &Params, inputs: &[String]) -> Vec<Diag> {
        let mut diags = Vec::new();
        let problem = |code, message: String| match params.span("run") {
            Some(span) => Diag::new(code, message).label(span, "here"),
            None => Diag::new(code, message),
        };
        let run = params.strs("run");
        if run.is_empty() {
            diags.push(problem(
                "flow::command::empty",
                "`run` names no program".into(),
            ));
        }
        let mut known = names(params, inputs);
        for pair in sorted(&known).windows(2) {
            if pair[0] == pair[1] {
                let message = format!("`{}` names two things", pair[0]);
                let help = "ports, outputs and `seed` may not share a name";
                diags.push(problem("flow::command::name", message).help(help));
            }
        }
        known.extend(inputs.iter().map(|name| format!("{name}.list")));
        for name in run.iter().flat_map(|arg| placeholders(arg)) {
            if !known.contains(&name) {
                let message = format!("`{{{name}}}` is neither an input, an output nor `seed`");
                let words = known.iter().map(String::as_str);
                let diag = problem("flow::command::placeholder", message);
                diags.push(did_you_mean(diag, &name, words, "known names"));
            }
        }
        for (_, file) in params.map("outputs") {
            if let Value::Str(file) = file
                && (file.is_empty() || Path::new(file).components().count() != 1 || file == "..")
            {
                let message = format!("output file `{file}` is not a plain file name");
                diags.push(problem("flow::command::output_name", message));
            }
        }
        diags
    }

    fn layout(&self, params: &Params, root: &Path, _paired: &[Shard]) -> Result<Layout, Vec<Diag>> {
        let mut layout = Layout::default();
        let at = |diag: Diag, param: &str| match params.span(param) {
            Some(span) => diag.label(span, "here"),
            None => diag,
        };
        if let Some(program) = params.strs("run").first() {
            match find_program(program, root) {
                Some(path) => layout.common.push(SourceFile {
                    role: format!("{PROGRAM}{program}"),
                    path,
                }),
                None => {
                    let diag = Diag::new(
                        "flow::command::program",
                        format!("the program `{program}` is not in PATH"),
                    );
                    return Err(vec![at(diag, "run")]);
                }
            }
        }
        for pattern in params.strs("files") {
            let mut paths: Vec<PathBuf> = glob::glob(pattern)
                .map(|found| {
                    found
                        .filter_map(Result::ok)
                        .filter(|p| p.is_file())
                        .collect()
                })
                .unwrap_or_default();
            paths.sort();
            if paths.is_empty() {
                let diag = Diag::new(
                    "flow::command::files",
                    format!("no file matches `{pattern}`"),
                );
                return Err(vec![at(diag, "files")]);
            }
            for path in paths {
                let role = path.strip_prefix(root).unwrap_or(&path);
                layout.common.push(SourceFile {
                    role: role.display().to_string(),
                    path: path.clone(),
                });
            }
        }
        Ok(layout)
    }

    fn host(&self, params: &Params) -> Option<Result<Value, StageError>> {
        let mut facts = vec![
            ("arch".to_owned(), Value::Str(std::env::consts::ARCH.into())),
            ("os".to_owned(), Value::Str(std::env::consts::OS.into())),
        ];
        let version = params.strs("version");
        if let Some((program, args)) = version.split_first() {
            let output = Command::new(program)
                .args(args)
                .stdin(Stdio::null())
                .output();
            match output {
                Ok(output) => {
                    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
                    text.push_str(&String::from_utf8_lossy(&output.stderr));
                    facts.push(("version".to_owned(), Value::Str(text)));
                }
                Err(error) => {
                    let message = format!("failed to run `{}`: {error}", version.join(" "));
                    return Some(Err(StageError::failed("flow::command::version", message)));
                }
            }
        }
        Some(Ok(Value::Map(facts)))
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let home = action.scratch.join("home");
        let out = action.scratch.join("out");
        fs::create_dir_all(&home)?;
        fs::create_dir_all(&out)?;
        let mut program = PathBuf::new();
        for (file, digest) in action.all_sources() {
            if file.role.starts_with(PROGRAM) {
                program.clone_from(&file.path);
                continue;
            }
            let to = home.join(
                Path::new(&file.role)
                    .strip_prefix("/")
                    .unwrap_or(Path::new(&file.role)),
            );
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::copy(&file.path, &to)?;
            if flow_cache::Digest::of_file(&to)?.0 != *digest {
                let message = format!("{} changed while it was copied", file.path.display());
                return Err(StageError::failed("flow::run::source_changing", message));
            }
        }
        let args = arguments(action, &out)?;
        let stderr = action.scratch.join("stderr");
        let stdout = action.scratch.join("stdout");
        let mut command = Command::new(&program);
        command
            .args(args.iter().skip(1))
            .current_dir(&home)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TMPDIR", action.scratch)
            .stdin(Stdio::null())
            .stdout(fs::File::create(&stdout)?)
            .stderr(fs::File::create(&stderr)?)
            .process_group(0);
        for (name, value) in action.params.map("env") {
            if let Value::Str(value) = value {
                command.env(name, value);
            }
        }
        let shown = action.params.strs("run").join(" ");
        let mut child = command.spawn().map_err(|error| {
            StageError::failed(
                "flow::command::start",
                format!("failed to start `{shown}`: {error}"),
            )
        })?;
        let status = wait(action, &mut child, &shown)?;
        if !status.success() {
            return Err(failure(&shown, status, &[&stderr, &stdout]));
        }
        for (name, file) in action.params.map("outputs").to_vec() {
            let Value::Str(file) = file else { continue };
            let path = out.join(&file);
            if !path.is_file() {
                let message = format!("`{shown}` did not write its output `{name}`");
                return Err(
                    StageError::failed("flow::command::no_output", message).help(format!(
                        "it must write the file at the path given by `{{{name}}}`"
                    )),
                );
            }
            action.adopt(&name, &path, Vec::new())?;
        }
        Ok(())
    }
}

fn names(params: &Params, inputs: &[String]) -> Vec<String> {
    let outputs = params.map("outputs").iter().map(|(name, _)| name.clone());
    inputs
        .iter()
        .cloned()
        .chain(outputs)
        .chain(["seed".to_owned()])
        .collect()
}

fn sorted(names: &[String]) -> Vec<&String> {
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort();
    sorted
}

/// A stretch of an argument.
#[derive(Debug, PartialEq)]
enum Piece<'a> {
    Text(&'a str),
    Name(&'a str),
}

/// Splits an argument at `{name}`; `{{` gives `{`, a lone `}` is itself.
fn pieces(argument: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = argument;
    while let Some(open) = rest.find('{') {
        let (before, from) = rest.split_at(open);
        pieces.push(Piece::Text(before));
        if let Some(after) = from.strip_prefix("{{") {
            pieces.push(Piece::Text("{"));
            rest = after;
        } else if let Some(close) = from.find('}') {
            pieces.push(Piece::Name(&from[1..close]));
            rest = &from[close + 1..];
        } else {
            pieces.push(Piece::Text(from));
            rest = "";
        }
    }
    pieces.push(Piece::Text(rest));
    pieces
}

fn placeholders(argument: &str) -> Vec<String> {
    pieces(argument)
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Name(name) => Some(name.to_owned()),
            Piece::Text(_) => None,
        })
        .collect()
}

fn arguments(action: &Action<'_>, out: &Path) -> Result<Vec<String>, StageError> {
    let outputs = action.params.map("outputs");
    let mut arguments = Vec::new();
    for argument in action.params.strs("run") {
        let pieces = pieces(argument);
        if let [Piece::Text(""), Piece::Name(name), Piece::Text("")] = pieces.as_slice()
            && action.input(name).len() > 1
        {
            arguments.extend(
                action
                    .input(name)
                    .iter()
                    .map(|p| p.path.display().to_string()),
            );
            continue;
        }
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(part) => text.push_str(part),
                Piece::Name("seed") => text.push_str(&(action.seed >> 1).to_string()),
                Piece::Name(name) => {
                    let listed = name.strip_suffix(".list");
                    if let Some((_, Value::Str(file))) = outputs.iter().find(|(n, _)| n == name) {
                        text.push_str(&out.join(file).display().to_string());
                    } else if let Some(port) = listed {
                        let paths: Vec<String> = action
                            .input(port)
                            .iter()
                            .map(|p| format!("{}\n", p.path.display()))
                            .collect();
                        let list = action.scratch.join(format!("{port}.list"));
                        fs::write(&list, paths.concat())?;
                        text.push_str(&list.display().to_string());
                    } else {
                        text.push_str(
                            &action
                                .one(name)
                                .map_err(|_| several(name))?
                                .path
                                .display()
                                .to_string(),
                        );
                    }
                }
            }
        }
        arguments.push(text);
    }
    Ok(arguments)
}

fn several(name: &str) -> StageError {
    let message =
        format!("input `{name}` has several files, and `{{{name}}}` is part of a longer argument");
    StageError::data("flow::command::several", message).help(format!(
        "give `{{{name}}}` as an argument of its own, or `{{{name}.list}}` for a file of paths"
    ))
}

fn find_program(program: &str, root: &Path) -> Option<PathBuf> {
    if program.contains('/') {
        let path = root.join(program);
        return path.is_file().then_some(path);
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// Waits for the child; on a stop or past its time the whole process group is ended.
fn wait(action: &Action<'_>, child: &mut Child, shown: &str) -> Result<ExitStatus, StageError> {
    let limit = action.params.float("timeout_s");
    let started = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            // What it left in the background must not go on writing.
            signal_group(child, libc::SIGKILL);
            return Ok(status);
        }
        let stop = action.checkpoint();
        let late = limit > 0.0 && started.elapsed().as_secs_f64() > limit;
        if stop.is_err() || late {
            end_group(child)?;
            stop?;
            let message = format!("`{shown}` was stopped after {limit} s");
            return Err(StageError::failed("flow::command::timeout", message)
                .help("raise `timeout_s` if it needs longer"));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Asks the group to end, and after two seconds at most ends it.
fn end_group(child: &mut Child) -> io::Result<()> {
    signal_group(child, libc::SIGTERM);
    for _ in 0..40 {
        if child.try_wait()?.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    // Also where the child is gone: others of its group may not have listened.
    signal_group(child, libc::SIGKILL);
    child.wait().map(|_| ())
}

fn signal_group(child: &Child, signal: libc::c_int) {
    // SAFETY: a plain system call on the child's own process group, made at its start.
    unsafe { libc::kill(-child.id().cast_signed(), signal) };
}

fn failure(shown: &str, status: ExitStatus, logs: &[&Path]) -> StageError {
    let mut error = StageError::failed(
        "flow::command::failed",
        format!("`{shown}` failed: {status}"),
    );
    for log in logs {
        let text = fs::read(log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        if !lines.is_empty() {
            let last = &lines[lines.len().saturating_sub(20)..];
            let name = log.file_name().unwrap_or_default().to_string_lossy();
            error = error.help(format!("last lines of its {name}:\n{}", last.join("\n")));
        }
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_and_names() {
        assert_eq!(placeholders("--in={a} {{b}} {c.list}"), ["a", "c.list"]);
        assert_eq!(
            pieces("x}{{y"),
            [Piece::Text("x}"), Piece::Text("{"), Piece::Text("y")]
        );
        assert_eq!(
            pieces("{open"),
            [Piece::Text(""), Piece::Text("{open"), Piece::Text("")]
        );
    }
}
