//! `flow runs`: the history of a project, tags and pins.
//!
//! This file lists runs and changes their records; [`show`] shows all of one record. How a record is read
//! and how a run is named is not here: `compare`, `export` and the completion of a shell need that, too.
//!
//! Begin with [`run`].

mod show;

use clap::{Args, Subcommand};
use flow_cache::Runs;
use flow_engine::Diag;
use serde_json::{Map, Value as Json, json};

use crate::error::CliError;
use crate::history::{self, Git, asked, find, is_pinned, sets, tags, when};
use crate::project::{elsewhere, runs_of, working_dir};
use crate::render::table;
use crate::ui::Ui;
use crate::wording::seconds;

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
    #[arg(long, value_name = "NAME")]
    pub tag: Option<String>,
    /// Only runs of this pipeline
    #[arg(long, value_name = "NAME")]
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
        run: String,
    },
    /// Give a run a tag
    Tag {
        /// The run
        run: String,
        /// The tag
        name: String,
    },
    /// Take a tag from a run
    Untag {
        /// The run
        run: String,
        /// The tag
        name: String,
    },
    /// Keep a run's records and results in the store
    Pin {
        /// The run
        run: String,
    },
    /// Keep them no longer
    Unpin {
        /// The run
        run: String,
    },
    /// Forget a run that is not pinned; what it made stays in the store until gc takes it
    Remove {
        /// The run
        run: String,
    },
}

/// What was set is cut at so many columns in a list; `flow runs show` has it whole.
const SET: usize = 32;

/// Runs the command.
pub fn run(args: &RunsArgs, ui: &Ui) -> Result<(), CliError> {
    let runs = runs_of(&working_dir()?)?;
    let Some(command) = &args.command else {
        return list(args, &runs, ui);
    };
    let (RunsCommand::Show { run }
    | RunsCommand::Tag { run, .. }
    | RunsCommand::Untag { run, .. }
    | RunsCommand::Pin { run }
    | RunsCommand::Unpin { run }
    | RunsCommand::Remove { run }) = command;
    let (id, record) = find(&runs, run)?;
    let done = match command {
        RunsCommand::Show { .. } => {
            show::show(&id, &record, ui);
            return Ok(());
        }
        RunsCommand::Tag { name, .. } => {
            history::check_tag(name)?;
            runs.update(&id, |record| {
                let mut all: Vec<String> = tags(record).map(str::to_owned).collect();
                if !all.contains(name) {
                    all.push(name.clone());
                }
                record["tags"] = all.into();
            })?;
            format!("has the tag `{name}`")
        }
        RunsCommand::Untag { name, .. } => {
            if !tags(&record).any(|tag| tag == name) {
                let message = format!("run {id} has no tag `{name}`");
                return Err(CliError::usage(
                    Diag::new("flow::cli::tag", message).help("`flow runs` shows the tags of runs"),
                ));
            }
            runs.update(&id, |record| {
                let left = tags(record).filter(|tag| tag != name);
                record["tags"] = left.map(str::to_owned).collect();
            })?;
            format!("has the tag `{name}` no longer")
        }
        RunsCommand::Pin { .. } => {
            runs.update(&id, |record| record["pinned"] = true.into())?;
            "is pinned".to_owned()
        }
        RunsCommand::Unpin { .. } => {
            runs.update(&id, |record| record["pinned"] = false.into())?;
            "is not pinned".to_owned()
        }
        RunsCommand::Remove { .. } => {
            if is_pinned(&record) {
                let message = format!("run {id} is pinned and stays");
                return Err(CliError::usage(
                    Diag::new("flow::cli::pinned", message).help(format!("flow runs unpin {id}")),
                ));
            }
            runs.remove(&id)?;
            "is forgotten".to_owned()
        }
    };
    let record = runs.load(&id)?.map(|(_, record)| record);
    ui.event(|| {
        json!({
            "event": "run-changed",
            "run": id,
            "removed": record.is_none(),
            "tags": record.iter().flat_map(tags).collect::<Vec<_>>(),
            "pinned": record.as_ref().is_some_and(is_pinned),
        })
    });
    ui.result(&format!("run {id} {done}\n"));
    Ok(())
}

fn list(args: &RunsArgs, runs: &Runs, ui: &Ui) -> Result<(), CliError> {
    let mut rows = Vec::new();
    let mut more = false;
    for id in runs.list()? {
        let record = match runs.load(&id) {
            Ok(Some((_, record))) => record,
            Ok(None) => continue,
            Err(error) => {
                ui.warning(&error.to_string());
                continue;
            }
        };
        let other = |wanted: &Option<String>, has: &dyn Fn(&str) -> bool| {
            wanted.as_deref().is_some_and(|wanted| !has(wanted))
        };
        let pipeline = text(&record, "pipeline");
        if other(&args.tag, &|tag| tags(&record).any(|known| known == tag))
            || other(&args.pipeline, &|name| pipeline == name)
        {
            continue;
        }
        if rows.len() == args.n {
            more = true;
            break;
        }
        ui.event(|| event(&id, &record));
        rows.push(row(&id, &record));
    }
    if rows.is_empty() {
        ui.answer(&format!("no runs in {}\n", runs.dir().display()));
        let elsewhere = elsewhere().filter(|_| runs.list().is_ok_and(|all| all.is_empty()));
        if let Some(elsewhere) = elsewhere {
            ui.answer(&format!("{elsewhere}\n"));
        }
        return Ok(());
    }
    let mut header = vec![
        "run", "pipeline", "status", "set", "commit", "tags", "headline", "ran", "hit", "time",
    ];
    // What no run has needs no column.
    for name in ["set", "commit", "tags", "headline"] {
        if let Some(at) = header.iter().position(|known| *known == name)
            && rows.iter().all(|row| row[at].is_empty())
        {
            header.remove(at);
            rows.iter_mut().for_each(|row| drop(row.remove(at)));
        }
    }
    let texts = header
        .iter()
        .take_while(|name| !["headline", "ran"].contains(name));
    let least = ["time", "hit", "ran", "commit"];
    ui.answer(&format!(
        "{}\n",
        table::fitted(&header, texts.count(), rows, &least)
    ));
    if more {
        ui.answer("... and earlier ones; -n shows more\n");
    }
    Ok(())
}

fn text<'r>(record: &'r Json, name: &str) -> &'r str {
    record.get(name).and_then(Json::as_str).unwrap_or("?")
}

/// The actions of all stages that were this.
fn sum(record: &Json, what: &str) -> u64 {
    let stages = record.get("stages").and_then(Json::as_object);
    let stages = stages.into_iter().flat_map(Map::values);
    stages
        .filter_map(|stage| stage.get(what).and_then(Json::as_u64))
        .sum()
}

fn headline(record: &Json) -> Option<f64> {
    record.get("headline")?.get("value")?.as_f64()
}

fn wall_s(record: &Json) -> f64 {
    record.get("wall_s").and_then(Json::as_f64).unwrap_or(0.0)
}

fn row(id: &str, record: &Json) -> Vec<String> {
    let pin = is_pinned(record).then_some("(pinned)");
    let marks: Vec<&str> = tags(record).chain(pin).collect();
    vec![
        id.to_owned(),
        text(record, "pipeline").to_owned(),
        text(record, "status").to_owned(),
        table::cut(&asked(record, false), SET),
        Git::of(record).map_or(String::new(), |git| git.short()),
        marks.join(" "),
        headline(record).map_or(String::new(), |value| format!("{value:.4}")),
        sum(record, "ran").to_string(),
        sum(record, "hit").to_string(),
        seconds(wall_s(record)),
    ]
}

fn event(id: &str, record: &Json) -> Json {
    json!({
        "event": "run-listed",
        "run": id,
        "started": when(id),
        "pipeline": record.get("pipeline"),
        "status": record.get("status"),
        "headline": record.get("headline"),
        "ran": sum(record, "ran"),
        "hit": sum(record, "hit"),
        "failed": sum(record, "failed"),
        "wall_s": wall_s(record),
        "tags": tags(record).collect::<Vec<_>>(),
        "pinned": is_pinned(record),
        "set": sets(record).collect::<Vec<_>>(),
        "variant": record.get("variant"),
        "to": record.get("to"),
        "git": record.get("git"),
    })
}
