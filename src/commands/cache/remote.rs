//! What `flow cache` does with the remote of a project.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use flow_cache::{ActionKey, Digest, Remote, SigningKey, Tier};
use flow_engine::Diag;
use flow_engine::explain::preview::Preview;
use flow_engine::plan::Plan;
use flow_engine::plan::keys::Slot;

use super::GcArgs;
use crate::args::{FileArgs, LocalStoreArgs, PipelineArgs, RemoteMode, StoreArgs};
use crate::commands::run::stop_on_signals;
use crate::error::{CliError, Exit};
use crate::event::{KeyMade, RemoteCollected, RemotePulled, RemotePushed, RemoteStatEvent};
use crate::project::{ProjectState, load_pipeline, root_here, shown};
use crate::remote::{ProjectRemote, no_remote, remote_error};
use crate::ui::Ui;
use crate::wording::{bytes, count};

/// `flow cache push`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flow cache push                             # everything that the store has
  flow cache push pipelines/rocket_domain.toml")]
pub struct PushArgs {
    /// Only what this pipeline has made
    #[arg(value_hint = clap::ValueHint::FilePath)]
    pub pipeline: Option<PathBuf>,
    /// The remote [default: that of flow.toml]
    #[arg(long, env = "FLOW_REMOTE", hide_env = true, value_name = "URL")]
    pub remote: Option<String>,
    /// The store.
    #[command(flatten)]
    pub store: LocalStoreArgs,
}

/// `flow cache pull`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flow cache pull pipelines/rocket_domain.toml
  flow cache pull --all")]
pub struct PullArgs {
    /// The records of this pipeline, and the bytes that its output files want
    #[arg(value_hint = clap::ValueHint::FilePath, required_unless_present = "all")]
    pub pipeline: Option<PathBuf>,
    /// Everything that the remote has
    #[arg(long, conflicts_with = "pipeline")]
    pub all: bool,
    /// The remote [default: that of flow.toml]
    #[arg(long, env = "FLOW_REMOTE", hide_env = true, value_name = "URL")]
    pub remote: Option<String>,
    /// The store.
    #[command(flatten)]
    pub store: LocalStoreArgs,
}

/// `flow cache keygen`
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  flow cache keygen ~/.config/flow/signing.key")]
pub struct KeygenArgs {
    /// The file for the secret half; it must not exist
    #[arg(value_hint = clap::ValueHint::FilePath)]
    pub file: PathBuf,
}

/// The remote at a URL, or else that of the project that the working directory is in.
fn remote_here(url: Option<&str>) -> Result<Arc<Remote>, CliError> {
    let url = url.map(str::to_owned);
    let args = StoreArgs {
        store: None,
        remote: url.or_else(|| std::env::var("FLOW_REMOTE").ok()),
        remote_mode: Some(RemoteMode::Read),
    };
    Ok(ProjectRemote::require(&root_here()?, &args)?.remote)
}

/// `flow cache stat --remote`
pub fn stat(url: Option<&str>, ui: &Ui) -> Result<Exit, CliError> {
    let remote = remote_here(url)?;
    let stat = remote.stat().map_err(|e| remote_error(&e))?;
    let mut text = format!(
        "{}, {} ({} signed), {} in {}\n",
        count(stat.artifacts as usize, "artifact"),
        count(stat.records as usize, "record"),
        stat.signed,
        bytes(stat.bytes),
        remote.url(),
    );
    for (writer, records) in &stat.writers {
        text.push_str(&format!(
            "{} by {writer}\n",
            count(*records as usize, "record")
        ));
    }
    ui.answer(&text);
    if stat.damaged > 0 {
        let records = count(stat.damaged as usize, "record");
        ui.warn(&format!(
            "{records} cannot be read; `flow cache gc --remote --max-age DAYS` removes them"
        ));
    }
    ui.event(|| RemoteStatEvent {
        url: remote.url().to_owned(),
        records: stat.records,
        damaged: stat.damaged,
        signed: stat.signed,
        artifacts: stat.artifacts,
        bytes: stat.bytes,
        writers: stat.writers.into_iter().collect(),
    });
    Ok(Exit::Ok)
}

/// `flow cache gc --remote`
pub fn gc(url: Option<&str>, args: &GcArgs, ui: &Ui) -> Result<Exit, CliError> {
    let remote = remote_here(url)?;
    let days = args.max_age.unwrap_or(f64::INFINITY);
    let age = Duration::try_from_secs_f64(days * 24.0 * 3600.0).unwrap_or(Duration::MAX);
    let done = remote.gc(age, args.dry_run);
    let done = done.map_err(|e| remote_error(&e))?;
    let verb = if args.dry_run {
        "would remove"
    } else {
        "removed"
    };
    let unfinished = match done.unfinished {
        0 => String::new(),
        files => format!(" and {}", count(files as usize, "unfinished file")),
    };
    ui.answer(&format!(
        "{verb} {} of {} and {}{unfinished}, {}, from {}\n",
        done.records,
        count(done.records_before as usize, "record"),
        count(done.artifacts as usize, "artifact"),
        bytes(done.bytes),
        remote.url(),
    ));
    ui.event(|| RemoteCollected {
        url: remote.url().to_owned(),
        dry_run: args.dry_run,
        records_before: done.records_before,
        records: done.records,
        artifacts: done.artifacts,
        unfinished: done.unfinished,
        bytes: done.bytes,
    });
    Ok(Exit::Ok)
}

/// `flow cache push`
pub fn push(args: &PushArgs, ui: &Ui) -> Result<Exit, CliError> {
    let cancel = stop_on_signals()?;
    let with = StoreArgs {
        store: args.store.store.clone(),
        remote: args.remote.clone(),
        remote_mode: Some(RemoteMode::ReadWrite),
    };
    let (state, keys) = match &args.pipeline {
        None => {
            let state = ProjectState::of_working_dir(&with)?;
            let mut keys = Vec::new();
            state
                .store
                .for_each_record(|record| keys.push(record.key))?;
            (state, keys)
        }
        Some(pipeline) => known_of(pipeline, &with)?,
    };
    let found = required(&state)?;
    let remote = &found.remote;
    keys.iter().for_each(|key| state.store.offer(*key));
    let left = found.wait(ui, &cancel);
    ui.warn_of_store(&state.store);
    let traffic = remote.traffic();
    ui.answer(&format!(
        "{} in {}, {} sent\n",
        count(traffic.written as usize, "record"),
        remote.url(),
        bytes(traffic.written_bytes)
    ));
    if traffic.bare > 0 {
        let records = count(traffic.bare as usize, "record");
        ui.warn(&format!(
            "{records} left out: their bytes are neither in the store nor in the remote"
        ));
    }
    ui.event(|| RemotePushed {
        url: remote.url().to_owned(),
        offered: keys.len() as u64,
        written: traffic.written,
        written_bytes: traffic.written_bytes,
        without_bytes: traffic.bare,
        failed_writes: traffic.failed_writes + left,
    });
    if left > 0 {
        let records = count(left as usize, "record");
        ui.warn(&format!(
            "interrupted: {records} still to be written; `flow cache push` goes on"
        ));
        return Ok(Exit::Interrupted);
    }
    if traffic.failed_writes > 0 {
        let records = count(traffic.failed_writes as usize, "record");
        let message = format!("{records} could not be written to {}", remote.url());
        let diag = Diag::new("flow::remote::unwritten", message);
        let diag =
            diag.help("the warning says why; `flow cache push` goes on with what is missing");
        return Err(CliError::new(Exit::Environment, diag));
    }
    Ok(Exit::Ok)
}

/// `flow cache pull`
pub fn pull(args: &PullArgs, ui: &Ui) -> Result<Exit, CliError> {
    // A signal ends the process at once, and what has come by then is whole.
    let with = StoreArgs {
        store: args.store.store.clone(),
        remote: args.remote.clone(),
        remote_mode: Some(RemoteMode::Read),
    };
    let (state, wanted) = match &args.pipeline {
        Some(pipeline) => wanted_of(pipeline, &with)?,
        None => {
            let root = root_here()?;
            let state = ProjectState::open(&root, &with)?;
            let keys = required(&state)?
                .remote
                .keys()
                .map_err(|e| remote_error(&e))?;
            state.store.learn(&keys)?;
            let wanted = artifacts_of(&state, &keys)?;
            (state, wanted)
        }
    };
    let remote = &required(&state)?.remote;
    let bar = required(&state)?.fetch_bar(ui);
    let missing = state.store.ensure(wanted)?.len();
    bar.end();
    ui.warn_of_store(&state.store);
    let traffic = remote.traffic();
    ui.answer(&format!(
        "{} and {} ({}) from {}\n",
        count(traffic.hits as usize, "new record"),
        count(traffic.fetched as usize, "artifact"),
        bytes(traffic.fetched_bytes),
        remote.url()
    ));
    ui.event(|| RemotePulled {
        url: remote.url().to_owned(),
        hits: traffic.hits,
        fetched: traffic.fetched,
        fetched_bytes: traffic.fetched_bytes,
        missing: missing as u64,
    });
    if traffic.failed_reads > 0 {
        // Whoever asks for it by name has to hear that it did not come.
        let requests = count(traffic.failed_reads as usize, "request");
        let message = format!("{requests} to {} failed", remote.url());
        let diag = Diag::new("flow::remote::unreachable", message);
        let diag = diag.help("the warning says why; what has come is in the store");
        return Err(CliError::new(Exit::Environment, diag));
    }
    if missing > 0 {
        let artifacts = count(missing, "artifact");
        ui.warn(&format!("the remote lacks the bytes of {artifacts}: a run makes them again where they are needed"));
    }
    Ok(Exit::Ok)
}

/// `flow cache keygen`
pub fn keygen(args: &KeygenArgs, ui: &Ui) -> Result<Exit, CliError> {
    let key = SigningKey::create(&args.file).map_err(|e| remote_error(&e))?;
    let public = key.public().to_string();
    ui.answer(&format!(
        "wrote the secret half to {}; who trusts it has, under `[cache]` in flow.toml:\ntrust = \"signed\"\ntrusted = [\"{public}\"]\n",
        shown(&args.file)
    ));
    ui.event(|| KeyMade {
        path: args.file.display().to_string(),
        public_key: public.clone(),
    });
    Ok(Exit::Ok)
}

/// The remote of a project, or the error that says how to name one.
fn required(state: &ProjectState) -> Result<&ProjectRemote, CliError> {
    state.remote.as_ref().ok_or_else(no_remote)
}

/// The keys of what a pipeline has made, as far as the store knows it.
fn known_of(path: &Path, args: &StoreArgs) -> Result<(ProjectState, Vec<ActionKey>), CliError> {
    let (state, keys, _) = look_at(path, args)?;
    Ok((state, keys))
}

/// The artifacts that the output files of a pipeline are written from.
fn wanted_of(path: &Path, args: &StoreArgs) -> Result<(ProjectState, BTreeSet<Digest>), CliError> {
    let (state, _, wanted) = look_at(path, args)?;
    Ok((state, wanted))
}

type Looked = (ProjectState, Vec<ActionKey>, BTreeSet<Digest>);

/// Goes through the plan of a pipeline without running anything. The remote is asked about what the
/// store does not know.
fn look_at(path: &Path, args: &StoreArgs) -> Result<Looked, CliError> {
    let args_of = PipelineArgs {
        file: FileArgs {
            pipeline: path.to_owned(),
            sets: Vec::new(),
        },
        variant: None,
    };
    let pipeline = load_pipeline(&args_of, None)?;
    let state = ProjectState::open(&pipeline.root, args)?;
    let (mut keys, mut wanted) = (Vec::new(), BTreeSet::new());
    let stat = state.stat();
    let plan = Plan::new(&pipeline);
    let delivery = state.delivery(&plan, &stat);
    let preview = Preview::new(&delivery)?;
    for slot in preview.slots() {
        if let Slot::Done(record) = slot {
            keys.push(record.key);
        }
    }
    for stale in delivery.stale(preview.slots())? {
        wanted.extend(stale.needs.into_iter().map(|(digest, _)| digest));
    }
    stat.save()?;
    drop(preview);
    Ok((state, keys, wanted))
}

/// All artifacts of those actions that have a record.
fn artifacts_of(state: &ProjectState, keys: &[ActionKey]) -> Result<BTreeSet<Digest>, CliError> {
    let mut wanted = BTreeSet::new();
    for key in keys {
        if let Some(record) = state.store.find(key)? {
            wanted.extend(record.artifacts().map(|output| output.digest));
        }
    }
    Ok(wanted)
}
