//! `flow export`: an artifact of a run as a file. Needs the store and the run record only.

use flow_cache::{Health, Runs, Value};
use flow_engine::deliver::{Port, write_file};
use flow_engine::stage::{ANY, Part, PortType};
use flow_engine::{Diag, Registry};
use flow_stages::export::Exporter;
use serde_json::{Map, Value as Json, json};

use crate::cli::ExportArgs;
use crate::error::CliError;
use crate::history;
use crate::project::{State, working_dir};
use crate::report::Recorded;
use crate::ui::Ui;

/// Runs the command.
pub fn run(args: &ExportArgs, ui: &Ui) -> Result<(), CliError> {
    let state = State::of_working_dir(&args.store)?;
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
    for part in &port.parts {
        if state.store.check(&part.digest)? != Health::Ok {
            let message = format!("the store no longer has the bytes of `{name}` of run {id}");
            return Err(CliError::usage(
                Diag::new("flow::export::evicted", message)
                    .help("list it under [outputs] and run the pipeline: it is made again"),
            ));
        }
    }
    let to = working_dir()?.join(&args.output);
    write_file(&port, &to, &Exporter)?;
    let path = args.output.display().to_string();
    ui.event(|| json!({"event": "exported", "run": id, "port": name, "path": path}));
    ui.progress(&format!("wrote {path}"));
    Ok(())
}

/// Finds `STAGE` or `STAGE.PORT` in a run record.
fn find(runs: &Runs, record: &Json, wanted: &str) -> Result<(String, Recorded), CliError> {
    let wrong = |message: String, help: String| {
        CliError::usage(Diag::new("flow::cli::port", message).help(help))
    };
    let names = |map: &Map<String, Json>| map.keys().cloned().collect::<Vec<_>>().join(", ");
    let none = Map::new();
    let stages = record
        .get("stages")
        .and_then(Json::as_object)
        .unwrap_or(&none);
    let (stage, port) = match wanted.split_once('.') {
        Some((stage, port)) => (stage, Some(port)),
        None => (wanted, None),
    };
    if !stages.contains_key(stage) {
        return Err(wrong(
            format!("the run has no stage `{stage}`"),
            format!("its stages are {}", names(stages)),
        ));
    }
    let ports = &history::ports(runs, record, stage)?;
    let port = match (port, ports.len()) {
        (Some(port), _) => port.to_owned(),
        (None, 1) => names(ports),
        (None, _) => {
            return Err(wrong(
                format!("stage `{stage}` does not have exactly one output"),
                format!(
                    "write {stage}.PORT; ports with results are {}",
                    names(ports)
                ),
            ));
        }
    };
    match ports.get(&port).and_then(Recorded::read) {
        Some(recorded) => Ok((format!("{stage}.{port}"), recorded)),
        None => Err(wrong(
            format!("the run has no result of `{stage}.{port}`"),
            format!("ports with results are {}", names(ports)),
        )),
    }
}

fn port(state: &State, recorded: &Recorded) -> Port {
    let parts = recorded.parts.iter().map(|(digest, reference, fold)| Part {
        path: state.store.path(digest),
        digest: *digest,
        attrs: Value::Null,
        reference: *reference,
        fold: fold.clone(),
        views: Vec::new(),
    });
    Port {
        ty: port_type(&flow_stages::kinds::registry(), &recorded.ty),
        parts: parts.collect(),
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
