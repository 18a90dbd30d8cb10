//! What a shell that completes a command line can offer: names from the pipeline and the runs that the
//! line is about. It only looks: it runs and creates nothing, and leaves out without a word what it
//! cannot read.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, CommandFactory};
use clap_complete::engine::ValueCompleter;
use clap_complete::{
    ArgValueCandidates, ArgValueCompleter, CompleteEnv, CompletionCandidate, PathCompleter,
};
use flow_cache::Runs;
use flow_engine::pipeline::outline::Outline;
use flow_engine::plan::Plan;
use flow_engine::text::variants::BASE;

use crate::args::{FileArgs, PipelineArgs};
use crate::commands::Cli;
use crate::commands::completions::VARIABLE;
use crate::history;
use crate::project;
use crate::record::RunRecord;

/// The most runs that are offered. They are the newest.
const RUNS: usize = 20;

/// The most runs that are searched for tags.
const TAGGED: usize = 200;

/// Answers a shell that completes a command line and ends the process. Returns at once from any other
/// call.
pub fn answer() {
    CompleteEnv::with_factory(command)
        .var(VARIABLE)
        .bin("flow")
        .completer("flow")
        .complete();
}

/// The arguments, each with what completes its value.
fn command() -> Command {
    with_values(Cli::command())
}

fn with_values(command: Command) -> Command {
    let name = command.get_name().to_owned();
    command
        .mut_args(|argument| with_value(&name, argument))
        .mut_subcommands(with_values)
}

/// What completes the value of an argument. The name of the argument says what the value is, in every
/// command.
fn with_value(command: &str, argument: Arg) -> Arg {
    match (command, argument.get_id().as_str()) {
        ("runs", "pipeline") => argument.add(names()),
        (_, "pipeline") => argument.add(pipelines()),
        (_, "sets") => argument.add(settable()),
        (_, "variant" | "only") => argument.add(variants()),
        (_, "stage" | "to") => argument.add(stages()),
        (_, "action") => argument.add(actions()),
        (_, "kind") => argument.add(kinds()),
        (_, "run" | "runs" | "old" | "new") => argument.add(runs()),
        ("untag", "name") | (_, "tag") => argument.add(tags()),
        (_, "profile") => argument.add(profiles()),
        (_, "port") => argument.add(ports()),
        (_, "evaluation") => argument.add(evaluations()),
        _ => argument,
    }
}

/// Pipeline files, and folders that may hold some.
fn pipelines() -> ArgValueCompleter {
    ArgValueCompleter::new(|begun: &OsStr| {
        let begun = match in_bash() {
            true => without_quotes(&begun.to_string_lossy()).into(),
            false => begun.to_owned(),
        };
        let found = PathCompleter::any().filter(is_pipeline).complete(&begun);
        let found = found.into_iter().map(|path| {
            let word = path.get_value().to_string_lossy().into_owned();
            candidate(word, "").hide(path.is_hide_set())
        });
        found.collect::<Vec<_>>()
    })
}

/// The stages of the pipeline.
fn stages() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let stages = outline().stages.into_iter();
        let candidates = stages.map(|stage| {
            let kind = stage.kind.unwrap_or_default();
            candidate(stage.name, &kind)
        });
        candidates.collect()
    })
}

/// The actions of the stage, by their labels.
fn actions() -> ArgValueCandidates {
    ArgValueCandidates::new(|| labels().unwrap_or_default())
}

/// The variants of the pipeline.
fn variants() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let names = outline().variants.into_iter();
        let base = candidate(BASE.to_owned(), "the pipeline itself");
        names
            .map(|name| candidate(name, "a variant"))
            .chain([base])
            .collect()
    })
}

/// The profiles of the project that the pipeline is in.
fn profiles() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let file = line().and_then(|(_, matches)| pipeline(&matches));
        let names = project::profiles_of(file.as_deref()).unwrap_or_default();
        names.into_iter().map(|name| candidate(name, "")).collect()
    })
}

/// What `--set` can replace, up to the `=`.
fn settable() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let registry = flow_neural::kinds::registry();
        let stages = outline().stages.into_iter();
        let of_stages = stages.flat_map(|stage| {
            let paths = stage.settable(&registry).into_iter();
            let name = stage.name;
            paths
                .map(|(path, about)| candidate(format!("{name}.{path}="), about))
                .collect::<Vec<_>>()
        });
        let seed = candidate(
            "pipeline.seed=".to_owned(),
            "the seed from which all others derive",
        );
        of_stages.chain([seed]).collect()
    })
}

/// The kinds of stages.
fn kinds() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let registry = flow_neural::kinds::registry();
        let kinds = registry.iter();
        kinds
            .map(|(name, kind)| candidate(name.to_owned(), kind.spec().about))
            .collect()
    })
}

/// The runs of the project: from the last one backwards, by tag and by id.
fn runs() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let Some(runs) = records() else {
            return Vec::new();
        };
        let ids = runs.list().unwrap_or_default();
        let relative = ids.iter().take(2).enumerate().map(|(back, id)| {
            let word = if back == 0 { "last" } else { "last~1" };
            candidate(word.to_owned(), id)
        });
        let by_id = ids.iter().take(RUNS);
        let by_id = by_id.map(|id| candidate(id.clone(), &history::when(id)));
        relative.chain(tagged(&runs)).chain(by_id).collect()
    })
}

/// The tags of runs.
fn tags() -> ArgValueCandidates {
    ArgValueCandidates::new(|| records().map(|runs| tagged(&runs)).unwrap_or_default())
}

/// The names of the pipelines that have run.
fn names() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let runs = records();
        let records = runs.iter().flat_map(newest);
        let names = records.filter_map(|(_, record)| record.pipeline);
        once(names.map(|name| (name, String::new())))
    })
}

/// The stages of the run, and the ports of each stage that has several.
fn ports() -> ArgValueCandidates {
    ArgValueCandidates::new(|| ports_of_run().unwrap_or_default())
}

/// The stages of the run that report metrics.
fn evaluations() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let stages = run_of_line().map(|(_, record)| record.metrics.stages());
        let words = stages.into_iter().flatten();
        words.map(|word| candidate(word, "")).collect()
    })
}

fn candidate(word: String, about: &str) -> CompletionCandidate {
    let about = about.lines().next().unwrap_or_default();
    let about = (!about.is_empty()).then(|| about.to_owned().into());
    CompletionCandidate::new(spelt(word)).help(about)
}

/// Each word once, in the order in which the words come.
fn once(words: impl Iterator<Item = (String, String)>) -> Vec<CompletionCandidate> {
    let mut found: Vec<(String, String)> = Vec::new();
    for (word, about) in words {
        if !found.iter().any(|(known, _)| *known == word) {
            found.push((word, about));
        }
    }
    let found = found.into_iter();
    found.map(|(word, about)| candidate(word, &about)).collect()
}

/// Returns true if bash asks. It passes words as they were typed and puts the answer on the line as it
/// is, where other shells quote by themselves. Its script sets a variable that theirs do not.
fn in_bash() -> bool {
    std::env::var_os("_CLAP_COMPLETE_COMP_TYPE").is_some()
}

/// A word as the shell needs it.
fn spelt(word: String) -> String {
    if !in_bash() {
        return word;
    }
    let plain = |c: char| c.is_alphanumeric() || "-_./,:=+@%~^".contains(c);
    let mut spelt = String::new();
    for c in word.chars() {
        if !plain(c) {
            spelt.push('\\');
        }
        spelt.push(c);
    }
    spelt
}

/// The command line that is being completed, as far as it can be parsed, with the name of the command.
/// The shell passes it after `--`.
fn line() -> Option<(String, ArgMatches)> {
    let words = std::env::args_os().skip_while(|word| word != "--").skip(1);
    let command = Cli::command().ignore_errors(true);
    let mut matches = command.try_get_matches_from(words).ok()?;
    matches.remove_subcommand()
}

fn word<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> Option<T> {
    matches.try_get_one::<T>(name).ok().flatten().cloned()
}

/// The pipeline that is named on the line.
fn outline() -> Outline {
    let path = line().and_then(|(_, matches)| pipeline(&matches));
    match (path, project::working_dir()) {
        (Some(path), Ok(here)) => Outline::read(&path, &here),
        _ => Outline::default(),
    }
}

/// The path of the pipeline. A pipe is refused, because completion must not wait for its writer.
fn pipeline(matches: &ArgMatches) -> Option<PathBuf> {
    let path = unquoted(word(matches, "pipeline")?);
    path.is_file().then_some(path)
}

/// A path without the quotes that the shell has not removed yet.
fn unquoted(path: PathBuf) -> PathBuf {
    if path.exists() {
        return path;
    }
    let text = without_quotes(&path.to_string_lossy());
    match (text.strip_prefix("~/"), std::env::home_dir()) {
        (Some(below), Some(home)) => home.join(below),
        _ => text.into(),
    }
}

fn without_quotes(word: &str) -> String {
    word.replace(['\\', '\'', '"'], "")
}

fn labels() -> Option<Vec<CompletionCandidate>> {
    let (_, matches) = line()?;
    let sets = matches.try_get_many::<String>("sets").ok().flatten();
    let args = PipelineArgs {
        file: FileArgs {
            pipeline: pipeline(&matches)?,
            sets: sets.into_iter().flatten().cloned().collect(),
        },
        variant: word(&matches, "variant"),
    };
    let pipeline = project::load_pipeline(&args, None).ok()?;
    let stage: String = word(&matches, "stage")?;
    let stage = pipeline.stage_index(&stage).ok()?;
    let plan = Plan::new(&pipeline);
    let actions = plan.of_stage(stage);
    Some(
        actions
            .map(|action| candidate(plan.label(action), ""))
            .collect(),
    )
}

fn records() -> Option<Runs> {
    project::runs_of(&project::working_dir().ok()?).ok()
}

/// The records of the newest runs that can be read.
fn newest(runs: &Runs) -> Vec<(String, RunRecord)> {
    let ids = runs.list().unwrap_or_default().into_iter().take(TAGGED);
    ids.filter_map(|id| runs.load(&id).ok().flatten()).collect()
}

fn tagged(runs: &Runs) -> Vec<CompletionCandidate> {
    let tags = newest(runs).into_iter().flat_map(|(id, record)| {
        let tags = record.tags.into_iter();
        tags.map(move |tag| (tag, id.clone()))
    });
    once(tags)
}

/// The run that the line names, among all runs.
fn run_of_line() -> Option<(Runs, RunRecord)> {
    let (_, matches) = line()?;
    let runs = records()?;
    let (_, record) = history::find(&runs, &word::<String>(&matches, "run")?).ok()?;
    Some((runs, record))
}

fn ports_of_run() -> Option<Vec<CompletionCandidate>> {
    let (runs, record) = run_of_line()?;
    let of_stage = |(stage, _): &(String, _)| {
        let ports = record.ports(&runs, stage).unwrap_or_default();
        match ports.len() {
            0 => Vec::new(),
            1 => vec![stage.clone()],
            _ => ports.keys().map(|port| format!("{stage}.{port}")).collect(),
        }
    };
    let words = record.stages.iter().flat_map(of_stage);
    Some(words.map(|word| candidate(word, "")).collect())
}

/// Returns true if a file looks like a pipeline, with mistakes or without.
fn is_pipeline(path: &Path) -> bool {
    /// A pipeline shows what it is well within this many bytes.
    const START: u64 = 1 << 16;
    if path.extension() != Some(OsStr::new("toml")) || !path.is_file() {
        return false;
    }
    let mut start = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(START).read_to_end(&mut start));
    let text = String::from_utf8_lossy(&start);
    let says = |line: &str| {
        let line = line.trim_start_matches(|c: char| c == '[' || c.is_whitespace());
        ["stages", "pipeline"].iter().any(|key| {
            let rest = line.strip_prefix(key).map(str::trim_start);
            rest.is_some_and(|rest| rest.starts_with(['.', ']', '=']))
        })
    };
    read.is_ok() && text.lines().any(says)
}
