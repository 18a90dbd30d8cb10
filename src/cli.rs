//! The arguments.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::complete;

/// Bring the outputs of a pipeline up to date with the least work.
///
/// A pipeline is a TOML file of stages. Results are kept in a store under the digest of all that
/// decides them, so a second run does only what a change reaches.
#[derive(Debug, Parser)]
#[command(
    name = "flow",
    version,
    after_help = "Start with `flow init demo && flow run demo/rocket_domain.toml`.",
    after_long_help = EXIT_CODES,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    success
  1    a stage failed, or `run --audit` found results that should be equal and are not
  2    the pipeline, an argument or the input data is wrong
  3    `check` found a regression, or results that should be equal and are not
  4    the environment failed (disk full, store unreachable)
  101  a bug
  130  interrupted

Environment:
  FLOW_STORE    the store, where --store is not given
  FLOW_SCRATCH  the folder for unfinished work, where --scratch is not given
  FLOW_SIMD     highest instruction set to use: scalar, avx2 or avx512; results do not depend on it

Start with `flow init demo && flow run demo/rocket_domain.toml`.";

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct Common {
    /// Text for people, or one JSON object a line on stdout
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub message_format: MessageFormat,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: ColorChoice,
    /// Only warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more: hits, and why an action runs
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

// Comments on the values are no documentation, which clap would spread over eight lines of help.

/// How messages look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum MessageFormat {
    // Text.
    #[default]
    Human,
    // One JSON object a line.
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    // On a terminal.
    #[default]
    Auto,
    // Always.
    Always,
    // Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring the outputs of a pipeline up to date
    Run(RunArgs),
    /// Show what a run would do, and why; runs nothing
    Plan(PlanArgs),
    /// Show what decides the result of a stage, and what changed since it last ran
    Explain(ExplainArgs),
    /// List the runs of this project; tag, pin and remove them
    Runs(RunsArgs),
    /// Compare two runs: metrics, recipes, and the first action that came out differently
    Compare(CompareArgs),
    /// Run all variants of a pipeline, and compare them with it
    Ablate(AblateArgs),
    /// Search for better values of parameters
    Tune(TuneArgs),
    /// Compare a pipeline with its committed baseline; for continuous integration
    Check(CheckArgs),
    /// Draw the graph of a pipeline
    Graph(GraphArgs),
    /// Describe the kinds of stages: ports and parameters
    Stages(StagesArgs),
    /// Print a JSON Schema of the pipeline TOML, for editors
    Schema,
    /// Write an artifact of a run as a file
    Export(ExportArgs),
    /// Look after the store
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Run single actions that a run has left word of; what `--executor process` calls
    StageExec(StageExecArgs),
    /// Start a project with a pipeline that works on generated data
    Init(InitArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write one for each command
    Man(ManArgs),
}

/// Which file.
#[derive(Debug, Args)]
pub struct FileArgs {
    /// The TOML file
    #[arg(value_hint = clap::ValueHint::FilePath, add = complete::pipelines())]
    pub pipeline: PathBuf,
    /// Replace a value; VALUE is TOML, and paths in it are relative to the working directory
    #[arg(long = "set", value_name = "STAGE.PARAM=VALUE", add = complete::settable())]
    pub sets: Vec<String>,
}

/// Which pipeline.
#[derive(Debug, Args)]
pub struct PipelineArgs {
    /// The file.
    #[command(flatten)]
    pub file: FileArgs,
    /// A variant that the file has instead of the pipeline itself
    #[arg(long, value_name = "NAME", add = complete::variants())]
    pub variant: Option<String>,
}

/// Which part of a pipeline.
#[derive(Debug, Args)]
pub struct TargetArgs {
    /// The pipeline.
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    /// Only this stage and what it needs
    #[arg(long, value_name = "STAGE", add = complete::stages())]
    pub to: Option<String>,
}

/// Which store.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// The store [default: .flow/store in the project root]
    #[arg(long, env = "FLOW_STORE", hide_env = true, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub store: Option<PathBuf>,
}

/// `flow run`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flow run pipelines/rocket_domain.toml
  flow run pipelines/rocket_domain.toml --set rocket.kernels=2000 --to select
  flow run pipelines/mallorn/rocket_domain.toml --set 'ingest.path=\"../data/mallorn\"'
  flow run pipelines/rocket_domain.toml --trace trace.json
  flow run pipelines/rocket_domain.toml --message-format json | tail -1")]
pub struct RunArgs {
    /// The pipeline.
    #[command(flatten)]
    pub target: TargetArgs,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// How to run.
    #[command(flatten)]
    pub exec: ExecArgs,
    /// After a failure, go on with what does not depend on it
    #[arg(short, long)]
    pub keep_going: bool,
    /// Give the run a tag, by which it can be named later; may be repeated
    #[arg(long = "tag", value_name = "NAME")]
    pub tags: Vec<String>,
    /// Run N actions again that the store answers, at least one of each stage if N allows, and
    /// compare the results; others end with exit code 1
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "10")]
    pub audit: Option<NonZeroUsize>,
}

/// How to run actions.
#[derive(Debug, Default, Args)]
pub struct ExecArgs {
    /// Actions at a time [default: the processors there are]
    #[arg(short, long, value_name = "N", value_parser = parse_jobs)]
    pub jobs: Option<NonZeroUsize>,
    /// Where actions have their unfinished work [default: .flow/scratch in the project root]
    #[arg(long, env = "FLOW_SCRATCH", hide_env = true, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub scratch: Option<PathBuf>,
    /// GPUs that stages may claim [default: the NVIDIA devices there are]
    #[arg(long, value_name = "N")]
    pub gpus: Option<usize>,
    /// Memory that stages may claim together [default: the machine's]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub memory: Option<u64>,
    /// What runs actions: threads of this process, or a process for each
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    pub executor: ExecutorChoice,
    /// Write where the time went, for chrome://tracing and ui.perfetto.dev
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub trace: Option<PathBuf>,
}

/// What runs actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ExecutorChoice {
    // Threads of this process.
    #[default]
    Local,
    // A process for each action.
    Process,
}

/// `flow stage-exec`
#[derive(Debug, Args)]
#[command(after_help = "\
A run with `--executor process` leaves in the store what is needed to run an action, under the
action's key, calls this command, and looks in the store for the record it must have made. Each key
gives one JSON line: how the action ended, and why it failed.")]
pub struct StageExecArgs {
    /// The store
    #[arg(long, env = "FLOW_STORE", hide_env = true, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub store: PathBuf,
    /// Threads [default: the processors there are]
    #[arg(short, long, value_name = "N", value_parser = parse_jobs)]
    pub jobs: Option<NonZeroUsize>,
    /// Keys of actions
    #[arg(required = true, value_name = "KEY")]
    pub keys: Vec<String>,
}

/// `flow plan`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flow plan pipelines/rocket_domain.toml
  flow plan pipelines/rocket_domain.toml --set rocket.kernels=2000")]
pub struct PlanArgs {
    /// The pipeline.
    #[command(flatten)]
    pub target: TargetArgs,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `flow explain`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flow explain pipelines/rocket_domain.toml rocket
  flow explain pipelines/rocket_domain.toml model 'fit 0.3' --hit
  flow explain pipelines/rocket_domain.toml model --message-format json")]
pub struct ExplainArgs {
    /// The pipeline.
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    /// The stage
    #[arg(add = complete::stages())]
    pub stage: String,
    /// One of its actions, such as 'fit 0.3' [default: all, summed up]
    #[arg(add = complete::actions())]
    pub action: Option<String>,
    /// Every action in full
    #[arg(long, conflicts_with = "action")]
    pub all: bool,
    /// Prove a hit: where its record lies, who made it, and the state of its bytes
    #[arg(long)]
    pub hit: bool,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `flow runs`
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
A run is named by its id, the start of it, a tag, `last`, or `last~1` for the one before that.
Records and results of pinned runs stay in the store whatever the goals of `flow cache gc`.

Examples:
  flow runs --pipeline rocket_domain -n 5
  flow runs show last~1
  flow runs tag last baseline
  flow runs pin baseline"
)]
pub struct RunsArgs {
    /// What to do instead of listing.
    #[command(subcommand)]
    pub command: Option<RunsCommand>,
    /// Only runs with this tag
    #[arg(long, value_name = "NAME", add = complete::tags())]
    pub tag: Option<String>,
    /// Only runs of this pipeline
    #[arg(long, value_name = "NAME", add = complete::names())]
    pub pipeline: Option<String>,
    /// So many at most, the newest
    #[arg(short, default_value_t = 20, value_name = "N")]
    pub n: usize,
}

/// What to do with runs.
#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// Show all that is recorded of a run
    Show {
        /// The run
        #[arg(add = complete::runs())]
        run: String,
    },
    /// Give a run a tag
    Tag {
        /// The run
        #[arg(add = complete::runs())]
        run: String,
        /// The tag
        name: String,
    },
    /// Take a tag from a run
    Untag {
        /// The run
        #[arg(add = complete::runs())]
        run: String,
        /// The tag
        #[arg(add = complete::tags())]
        name: String,
    },
    /// Keep a run's records and results in the store
    Pin {
        /// The run
        #[arg(add = complete::runs())]
        run: String,
    },
    /// Keep them no longer
    Unpin {
        /// The run
        #[arg(add = complete::runs())]
        run: String,
    },
    /// Forget a run that is not pinned; what it made stays in the store until gc takes it
    Remove {
        /// The run
        #[arg(add = complete::runs())]
        run: String,
    },
}

/// `flow compare`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flow compare last~1 last
  flow compare baseline last
  flow compare 20260131 20260201 --message-format json")]
pub struct CompareArgs {
    /// The run to compare with: its id, the start of it, a tag, `last`, or `last~1`
    #[arg(add = complete::runs())]
    pub old: String,
    /// The run to compare
    #[arg(add = complete::runs())]
    pub new: String,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `flow ablate`
#[derive(Debug, Args)]
#[command(after_help = "\
Everything runs as one graph, so that what variants have in common runs once. A variant that fails
leaves the others alone; the exit code then is that of its failure.

Examples:
  flow ablate pipelines/ablation.toml
  flow ablate pipelines/ablation.toml --only 'kernels*' --only no_domain
  flow ablate pipelines/ablation.toml --message-format json | tail -1")]
pub struct AblateArgs {
    /// The file.
    #[command(flatten)]
    pub file: FileArgs,
    /// Only variants whose name matches; `*` and `?` are wildcards (repeatable)
    #[arg(long, value_name = "GLOB", add = complete::variants())]
    pub only: Vec<String>,
    /// Where results go [default: out/ablation/PIPELINE in the project root]
    #[arg(short, long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub output: Option<PathBuf>,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// How to run.
    #[command(flatten)]
    pub exec: ExecArgs,
}

/// `flow tune`
#[derive(Debug, Args)]
#[command(after_help = "\
What is searched stands in the pipeline, under [tune]. Trials are cached like everything else: a study
that was stopped, at whatever moment, goes on where it was.

Examples:
  flow tune pipelines/tune.toml
  flow tune pipelines/tune.toml --trials 50 --apply tuned.toml
  flow tune pipelines/tune.toml --message-format json | tail -1")]
pub struct TuneArgs {
    /// The file.
    #[command(flatten)]
    pub file: FileArgs,
    /// Trials in all, instead of those of the pipeline; more only add to a study
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=flow_engine::tune::MOST))]
    pub trials: Option<u32>,
    /// Write the best values as a pipeline that extends this one
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub apply: Option<PathBuf>,
    /// Let --apply replace a file
    #[arg(long, requires = "apply")]
    pub force: bool,
    /// Where results go [default: out/tune/PIPELINE in the project root]
    #[arg(short, long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub output: Option<PathBuf>,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// How to run.
    #[command(flatten)]
    pub exec: ExecArgs,
}

/// `flow check`
#[derive(Debug, Args)]
#[command(after_help = "\
Brings the pipeline up to date like `flow run`, then compares. A stage whose recipe is that of the
baseline must give the same bytes; average precision and F1 must not drop by more than noise explains.
Either failure ends with exit code 3.

Examples:
  flow check pipelines/domain_only.toml --baseline checks/domain_only.toml --update
  flow check pipelines/domain_only.toml --baseline checks/domain_only.toml --explain
  flow check pipelines/domain_only.toml --baseline checks/domain_only.toml --markdown summary.md")]
pub struct CheckArgs {
    /// The pipeline.
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    /// The baseline
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub baseline: PathBuf,
    /// Write the baseline instead of comparing with it
    #[arg(long)]
    pub update: bool,
    /// Name the fields of recipes that differ from the baseline
    #[arg(long, conflicts_with = "update")]
    pub explain: bool,
    /// Write a report as JUnit XML
    #[arg(long, value_name = "FILE", conflicts_with = "update", value_hint = clap::ValueHint::FilePath)]
    pub junit: Option<PathBuf>,
    /// Write a report as Markdown, for a pull request
    #[arg(long, value_name = "FILE", conflicts_with = "update", value_hint = clap::ValueHint::FilePath)]
    pub markdown: Option<PathBuf>,
    /// How often a check may fail where nothing has become worse, all metrics together
    #[arg(long, value_name = "RATE", default_value = "0.02", value_parser = parse_rate)]
    pub false_alarms: f64,
    /// Drops of a metric up to this are accepted, beyond what noise explains
    #[arg(long, value_name = "DROP", default_value = "0", value_parser = parse_drop)]
    pub tolerance: f64,
    /// Run N actions again that the store already answers, and compare the bytes; others end with
    /// exit code 3
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "10")]
    pub audit: Option<NonZeroUsize>,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// How to run.
    #[command(flatten)]
    pub exec: ExecArgs,
}

/// `flow graph`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flow graph pipelines/stack.toml
  flow graph pipelines/stack.toml --format dot | dot -Tsvg -o stack.svg")]
pub struct GraphArgs {
    /// The pipeline.
    #[command(flatten)]
    pub target: TargetArgs,
    /// How to draw it
    #[arg(long, value_enum, default_value_t)]
    pub format: GraphFormat,
}

/// How to draw a graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    // One line a stage.
    #[default]
    Text,
    // For Markdown.
    Mermaid,
    // For Graphviz.
    Dot,
}

/// `flow stages`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flow stages
  flow stages rocket")]
pub struct StagesArgs {
    /// One kind in full, as Markdown
    #[arg(add = complete::kinds())]
    pub kind: Option<String>,
}

/// `flow export`
#[derive(Debug, Args)]
#[command(after_help = "\
What gc has evicted is made again, the way that the run made it.

Examples:
  flow export last model.predictions -o predictions.csv
  flow export 20260131 domain -o features.parquet")]
pub struct ExportArgs {
    /// The run: its id, the start of it, a tag, `last`, or `last~1` for the one before
    #[arg(add = complete::runs())]
    pub run: String,
    /// The stage, and the port where it has several
    #[arg(value_name = "STAGE[.PORT]", add = complete::ports())]
    pub port: String,
    /// Where to; the extension tells the format: parquet, csv, arrow or json
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub output: PathBuf,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `flow cache`
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Count what is in the store
    Stat(StoreArgs),
    /// Hash every artifact and read every record
    Verify(StoreArgs),
    /// Remove what nothing needs, and what is cheapest to make again
    Gc(GcArgs),
}

/// `flow cache gc`
#[derive(Debug, Args)]
#[command(after_help = "\
Without a goal only what no record names is removed; with one, what goes is said first, and more
than half of the bytes need `--yes` or an answer at the terminal (`--max-size 0` does not).
Records of the last 10 runs and of pinned ones always stay, and the artifacts of pinned ones.

Examples:
  flow cache gc --max-size 10GiB
  flow cache gc --max-age 30 --dry-run")]
pub struct GcArgs {
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Remove artifacts, cheapest to make again first, until the rest is no larger
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_size: Option<u64>,
    /// Remove records that are older
    #[arg(long, value_name = "DAYS", value_parser = parse_days)]
    pub max_age: Option<f64>,
    /// Only say what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask before more than half of the bytes go
    #[arg(long, conflicts_with = "dry_run")]
    pub yes: bool,
}

/// `flow init`
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  flow init demo && flow run demo/rocket_domain.toml")]
pub struct InitArgs {
    /// The project's folder
    #[arg(default_value = ".", value_hint = clap::ValueHint::DirPath)]
    pub dir: PathBuf,
}

/// `flow completions`
#[derive(Debug, Args)]
#[command(after_help = "\
The script makes the shell ask `flow`, which must be on the path, so that stages, parameters, variants
and runs are completed too. It replaces one that an earlier version printed.

Examples:
  flow completions bash > ~/.local/share/bash-completion/completions/flow
  echo 'source <(flow completions zsh)' >> ~/.zshrc
  flow completions fish > ~/.config/fish/completions/flow.fish")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `flow man`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flow man | man -l -
  flow man --dir ~/.local/share/man/man1")]
pub struct ManArgs {
    /// Write a page for each command into this folder
    #[arg(long, value_hint = clap::ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}

/// Reads a size such as `500MB` or `10GiB`.
fn parse_size(text: &str) -> Result<u64, String> {
    let split = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor: f64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" if number.parse() == Ok(0.0) => 1.0,
        "" => return Err(format!("`{text}` of what? try {text}MB or {text}GiB")),
        "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1024.0 * 1024.0,
        "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "t" | "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return Err(format!("`{unit}` is no unit of size; try 10GiB")),
    };
    match number.parse::<f64>() {
        // Floats turn into whole numbers by saturation, so no size is too large.
        Ok(number) => Ok((number * factor) as u64),
        Err(_) => Err("give a number with a unit, such as 10GiB".into()),
    }
}

/// Reads a number of threads that a system may have.
fn parse_jobs(text: &str) -> Result<NonZeroUsize, String> {
    const MOST: usize = 1_000;
    match text.parse::<NonZeroUsize>() {
        Ok(jobs) if jobs.get() <= MOST => Ok(jobs),
        _ => Err(format!("give a number from 1 to {MOST}")),
    }
}

/// Reads a rate between 0 and a half.
fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate < 0.5 => Ok(rate),
        _ => Err("give a number between 0 and 0.5, such as 0.01".into()),
    }
}

/// Reads a difference of a metric.
fn parse_drop(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(drop) if (0.0..1.0).contains(&drop) => Ok(drop),
        _ => Err("give a number from 0 to 1, such as 0.01".into()),
    }
}

/// Reads a number of days, not negative.
fn parse_days(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(days) if days >= 0.0 && days.is_finite() => Ok(days),
        _ => Err("give a number of days, such as 30".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("10GiB"), Ok(10 << 30));
        assert_eq!(parse_size("1.5 kB"), Ok(1500));
        assert_eq!((parse_size("7B"), parse_size("0")), (Ok(7), Ok(0)));
        assert!(parse_size("7").is_err() && parse_size("").is_err());
        assert!(parse_size("GiB").is_err());
        assert!(parse_size("1 parsec").is_err());
        assert!(parse_size("-1").is_err());
        assert!(parse_days("nan").is_err());
        assert!(parse_jobs("1000").is_ok() && parse_jobs("1001").is_err());
        assert!(parse_jobs("0").is_err());
        assert_eq!((parse_rate("0.02"), parse_drop("0")), (Ok(0.02), Ok(0.0)));
        assert!(parse_rate("0").is_err() && parse_drop("nan").is_err());
    }
}
