//! `flow export`: writes an artifact of a run as a file. It needs only the store and the run record,
//! and also the pipeline if the store no longer has the bytes.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::Args;
use flow_cache::{Digest, Runs, Value};
use flow_engine::explain::preview::Preview;
use flow_engine::kind::{ANY, Part, PortType};
use flow_engine::outputs::delivery::write_file;
use flow_engine::outputs::ports::Port;
use flow_engine::pipeline::file::PipelineFile;
use flow_engine::pipeline::load::LoadOptions;
use flow_engine::plan::Plan;
use flow_engine::plan::keys::Slot;
use flow_engine::{Diag, Pipeline, Registry};
use flow_stages::artifacts::export::Exporter;

use super::run::{Run, Setup};
use crate::args::{ExecArgs, StoreArgs};
use crate::error::{CliError, Exit};
use crate::evaluation::lost;
use crate::event::Exported;
use crate::history;
use crate::project::{ProjectState, shown, working_dir};
use crate::record::{PartRecord, PortRecord, RunRecord};
use crate::ui::Ui;
use crate::wording::quoted;

/// `flow export`
#[derive(Debug, Args)]
#[command(after_help = "\
What gc has evicted is made again, the way that the run made it.

Examples:
  flow export last model.predictions -o predictions.csv
  flow export last ingest.curves -o observations.csv
  flow export last ingest.curves --flat -o observations.parquet
  flow export last model.model -o model.json
  flow export 20260131 domain -o features.parquet")]
pub struct ExportArgs {
    /// The run: its id, the start of it, a tag, `last`, or `last~1` for the one before
    pub run: String,
    /// The stage, and the port where it has several
    #[arg(value_name = "STAGE[.PORT]")]
    pub port: String,
    /// Where to; the extension tells the format: parquet, csv, arrow, json or npz
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub output: PathBuf,
    /// Write light curves with one row for each observation, as CSV always has them
    #[arg(long)]
    pub flat: bool,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Runs the command.
pub fn run(args: &ExportArgs, ui: &Ui) -> Result<(), CliError> {
    let state = ProjectState::of_working_dir(&args.store)?;
    let runs = state.runs();
    let (id, record) = history::find(&runs, &args.run)?;
    let (name, recorded) = find(&runs, &record, &args.port)?;
    if recorded.view {
        let message = format!("`{name}` is a selection of columns, not a table of its own");
        return Err(CliError::usage(
            Diag::new("flow::export::view", message)
                .help("export the stages that it reads, or what is made of it"),
        ));
    }
    let port = port(&state, &recorded);
    let parts = port.parts.iter().map(|part| (part.digest, part.digest));
    let lost = lost(&state.store, parts)?;
    if !lost.is_empty() {
        remake(args, &record, &name, &lost, ui).map_err(|mut error| {
            let message = format!("the store no longer has the bytes of `{name}` of run {id}");
            error.diags.insert(0, evicted(message, &record, &name));
            error
        })?;
    }
    let to = working_dir()?.join(&args.output);
    write_file(&port, &to, &Exporter { flat: args.flat })?;
    ui.event(|| Exported {
        run: id,
        port: name,
        path: args.output.display().to_string(),
    });
    ui.progress(&format!("wrote {}", shown(&to)));
    Ok(())
}

/// Finds `STAGE` or `STAGE.PORT` in a run record.
fn find(runs: &Runs, record: &RunRecord, wanted: &str) -> Result<(String, PortRecord), CliError> {
    let wrong = |message: String, help: String| {
        CliError::usage(Diag::new("flow::cli::port", message).help(help))
    };
    let (stage, port) = match wanted.split_once('.') {
        Some((stage, port)) => (stage, Some(port)),
        None => (wanted, None),
    };
    if record.stages.get(stage).is_none() {
        let stages: Vec<&str> = record
            .stages
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        return Err(wrong(
            format!("the run has no stage `{stage}`"),
            format!("its stages are {}", stages.join(", ")),
        ));
    }
    let mut ports = record.ports(runs, stage)?;
    let names: Vec<String> = ports.keys().cloned().collect();
    let port = match (port, names.as_slice()) {
        (Some(port), _) => port,
        (None, [port]) => port,
        (None, _) => {
            let named = names.iter().map(|port| format!("{stage}.{port}"));
            return Err(wrong(
                format!("stage `{stage}` does not have exactly one output"),
                format!("name one of {}", named.collect::<Vec<_>>().join(", ")),
            ));
        }
    };
    match ports.remove(port) {
        Some(recorded) => Ok((format!("{stage}.{port}"), recorded)),
        None => Err(wrong(
            format!("the run has no result of `{stage}.{port}`"),
            format!("ports with results are {}", names.join(", ")),
        )),
    }
}

/// Makes bytes again, with the actions that made them in a run.
fn remake(
    args: &ExportArgs,
    record: &RunRecord,
    name: &str,
    gone: &HashSet<Digest>,
    ui: &Ui,
) -> Result<(), CliError> {
    let pipeline = pipeline_of(record, name)?;
    let setup = Setup::new(&pipeline.root, &args.store, &ExecArgs::default())?;
    let plan = Plan::new(&pipeline);
    let delivery = setup.state.delivery(&plan, &setup.stat);
    let preview = Preview::new(&delivery)?;
    let mut known = HashSet::new();
    let makes = |slot: &Slot| {
        let Slot::Done(record) = slot else {
            return false;
        };
        let digests = record.outputs.iter().map(|output| output.digest);
        let wanted: Vec<Digest> = digests.filter(|digest| gone.contains(digest)).collect();
        known.extend(&wanted);
        !wanted.is_empty()
    };
    let slots = preview.slots().iter().map(makes).enumerate();
    let actions: HashSet<usize> = slots
        .filter_map(|(at, makes)| makes.then_some(at))
        .collect();
    if known != *gone {
        let message = "the pipeline makes other bytes now than in that run";
        return Err(CliError::usage(Diag::new("flow::export::changed", message)));
    }
    let mut run = Run::new(ui, &plan, &setup, false);
    let finished = run.execute(actions, false, &mut |_| {});
    run.settle(finished);
    run.check(setup.finish_remote(ui));
    run.check(setup.stat.save().map_err(CliError::from));
    let diags = Vec::new();
    match run.exit {
        Exit::Ok => {}
        exit => return Err(CliError { exit, diags }),
    }
    let again = gone.iter().map(|digest| (*digest, ()));
    if !lost(&setup.state.store, again)?.is_empty() {
        let message = "it was made again, and came out with other bytes: a stage that it stems from is not deterministic";
        return Err(CliError::usage(Diag::new("flow::export::changed", message)));
    }
    Ok(())
}

/// The pipeline of a run as it is now, down to the stage of a port.
fn pipeline_of(record: &RunRecord, name: &str) -> Result<Pipeline, CliError> {
    let cwd = record.cwd.as_ref();
    let options = LoadOptions {
        sets: record.set.clone(),
        cwd: cwd.map_or_else(working_dir, |dir| Ok(dir.into()))?,
    };
    let file = PipelineFile::read(file_of(record), &options)?;
    let registry = flow_neural::kinds::registry();
    let mut pipeline = match &record.variant {
        Some(variant) => file.variant(variant, &registry)?,
        None => file.pipeline(&registry)?,
    };
    let stage = name.split('.').next().unwrap_or_default();
    pipeline.restrict(stage).map_err(CliError::usage)?;
    Ok(pipeline)
}

fn file_of(record: &RunRecord) -> &Path {
    Path::new(record.file.as_deref().unwrap_or_default())
}

/// Says which command makes the bytes again, if the files that the run had are still the same.
fn evicted(message: String, record: &RunRecord, name: &str) -> Diag {
    let file = quoted(&shown(file_of(record)));
    let mut command = format!("flow run {file} {}", record.asked(true));
    if record.to.is_none() {
        let stage = name.split('.').next().unwrap_or_default();
        command = format!("{} --to {}", command.trim_end(), quoted(stage));
    }
    let diag = Diag::new("flow::export::evicted", message);
    match &record.git {
        Some(git) => diag.help(format!(
            "with the files as they were, at commit {}, this makes it again: {command}",
            git.long()
        )),
        None => diag.help(format!(
            "with the files as they were, this makes it again: {command}"
        )),
    }
}

fn port(state: &ProjectState, recorded: &PortRecord) -> Port {
    let part = |part: &PartRecord| Part {
        path: state.store.path(&part.digest),
        digest: part.digest,
        attrs: Value::Null,
        reference: part.reference,
        fold: part.fold.clone(),
        views: Vec::new(),
    };
    Port {
        ty: port_type(&flow_neural::kinds::registry(), &recorded.ty),
        parts: recorded.parts.iter().map(part).collect(),
        needs: Vec::new(),
    }
}

/// The port type of this name among those that the kinds have.
fn port_type(registry: &Registry, name: &str) -> PortType {
    registry
        .iter()
        .flat_map(|(_, kind)| kind.spec().ports.outputs)
        .map(|output| output.ty)
        .find(|ty| *ty == name)
        .unwrap_or(ANY)
}
