//! Options that several commands have. The options of a single command are beside it, in `commands/`.
//!
//! Nothing here knows what an option is for: this is the lowest folder, and it uses no other.
//! `complete.rs` decides, by the name of the argument, what a shell offers when it completes a value.
//!
//! Begin with [`TargetArgs`], which is a pipeline and a part of it, and [`ExecArgs`], which is how
//! actions run. [`values`] reads sizes, rates and numbers of days.

pub mod values;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

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

// The comments on values are not doc comments, because clap would spread those over eight lines of
// help.

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

/// Which file.
#[derive(Debug, Args)]
pub struct FileArgs {
    /// The TOML file
    #[arg(value_hint = clap::ValueHint::FilePath)]
    pub pipeline: PathBuf,
    /// Replace a value; VALUE is TOML, and paths in it are relative to the working directory
    #[arg(long = "set", value_name = "STAGE.PARAM=VALUE")]
    pub sets: Vec<String>,
}

/// Which pipeline.
#[derive(Debug, Args)]
pub struct PipelineArgs {
    /// The file.
    #[command(flatten)]
    pub file: FileArgs,
    /// A variant that the file has instead of the pipeline itself
    #[arg(long, value_name = "NAME")]
    pub variant: Option<String>,
}

/// Which part of a pipeline.
#[derive(Debug, Args)]
pub struct TargetArgs {
    /// The pipeline.
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    /// Only this stage and what it needs
    #[arg(long, value_name = "STAGE")]
    pub to: Option<String>,
}

/// Which store.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// The store [default: .flow/store in the project root]
    #[arg(long, env = "FLOW_STORE", hide_env = true, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub store: Option<PathBuf>,
    /// The remote behind the store, or `none` [default: that of flow.toml]
    #[arg(long, env = "FLOW_REMOTE", hide_env = true, value_name = "URL")]
    pub remote: Option<String>,
    /// Whether what runs is written to the remote [default: that of flow.toml, or read]
    #[arg(
        long,
        env = "FLOW_REMOTE_MODE",
        hide_env = true,
        value_enum,
        value_name = "MODE"
    )]
    pub remote_mode: Option<RemoteMode>,
}

/// What is done with a remote. The words are those of `flow.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RemoteMode {
    // Nothing there is changed.
    #[value(name = "read")]
    Read,
    // What runs is written there.
    #[value(name = "read_write", alias = "read-write")]
    ReadWrite,
}

/// Which store, for what is done to the store alone.
#[derive(Debug, Args)]
pub struct LocalStoreArgs {
    /// The store [default: .flow/store in the project root]
    #[arg(long, env = "FLOW_STORE", hide_env = true, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub store: Option<PathBuf>,
}

/// How to run actions.
#[derive(Debug, Default, Args)]
pub struct ExecArgs {
    /// Actions at a time [default: the processors there are]
    #[arg(short, long, value_name = "N", value_parser = values::jobs)]
    pub jobs: Option<NonZeroUsize>,
    /// Where actions have their unfinished work [default: .flow/scratch in the project root]
    #[arg(long, env = "FLOW_SCRATCH", hide_env = true, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub scratch: Option<PathBuf>,
    /// GPUs that stages may claim [default: the NVIDIA devices there are]
    #[arg(long, value_name = "N")]
    pub gpus: Option<usize>,
    /// Memory that stages may claim together [default: the machine's]
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub memory: Option<u64>,
    /// What runs actions: threads of this process, a process for each, or machines of a cluster
    /// [default: what the profile says, or local]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub executor: Option<ExecutorChoice>,
    /// How this site runs actions: profiles/NAME.toml in the project root
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Write where the time went, for chrome://tracing and ui.perfetto.dev
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub trace: Option<PathBuf>,
}

/// What runs actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExecutorChoice {
    // Threads of this process.
    Local,
    // A process for each action.
    Process,
    // Tasks of Slurm.
    Slurm,
    // Tasks of HyperQueue.
    Hq,
    // Tasks of a scheduler whose commands are in the profile.
    Command,
}

impl ExecutorChoice {
    /// The name, as the option and profiles take it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Process => "process",
            Self::Slurm => "slurm",
            Self::Hq => "hq",
            Self::Command => "command",
        }
    }
}
