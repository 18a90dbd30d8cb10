//! `flow runs`: the history of a project, tags and pins.
//!
//! This file lists runs and changes their records; [`show`] shows all of one record. Other modules read
//! records and find runs by name, because `compare`, `export` and shell completion need that too.
//!
//! Begin with [`run`].

mod show;

use clap::{Args, Subcommand};
use flow_cache::Runs;
use flow_engine::Diag;

use crate::error::CliError;
use crate::event::{RunChanged, RunListed};
use crate::history::{check_tag, find, when};
use crate::project::{elsewhere, runs_of, shown, working_dir};
use crate::record::{self, GitState, RunRecord, Status};
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
  flow runs show last --resolved > again.toml
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
        /// Print only its pipeline, as TOML with all that was set and extended in place
        #[arg(long)]
        resolved: bool,
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

/// A list cuts the values that were set to this many columns. `flow runs show` has them whole.
const SET: usize = 32;

/// Runs the command.
pub fn run(args: &RunsArgs, ui: &Ui) -> Result<(), CliError> {
    let runs = runs_of(&working_dir()?)?;
    let Some(command) = &args.command else {
        return list(args, &runs, ui);
    };
    let (RunsCommand::Show { run, .. }
    | RunsCommand::Tag { run, .. }
    | RunsCommand::Untag { run, .. }
    | RunsCommand::Pin { run }
    | RunsCommand::Unpin { run }
    | RunsCommand::Remove { run }) = command;
    let (id, record) = find(&runs, run)?;
    if let RunsCommand::Show { resolved, .. } = command {
        return match resolved {
            true => show::resolved(&id, &record, ui),
            false => show::show(&id, &record, &runs, ui),
        };
    }
    let done = change(command, &id, &record, &runs)?;
    let record = runs.load::<RunRecord>(&id)?.map(|(_, record)| record);
    ui.event(|| RunChanged {
        run: id.clone(),
        removed: record.is_none(),
        pinned: record.as_ref().is_some_and(|record| record.pinned),
        tags: record.map(|record| record.tags).unwrap_or_default(),
    });
    ui.result(&format!("run {id} {done}\n"));
    Ok(())
}

/// Changes a run as a command asks, and says what its state is now.
fn change(
    command: &RunsCommand,
    id: &str,
    record: &RunRecord,
    runs: &Runs,
) -> Result<String, CliError> {
    match command {
        RunsCommand::Show { .. } => Ok(String::new()),
        RunsCommand::Tag { name, .. } => {
            check_tag(name)?;
            record::tag(runs, id, |tags| {
                if !tags.contains(name) {
                    tags.push(name.clone());
                }
            })?;
            Ok(format!("has the tag `{name}`"))
        }
        RunsCommand::Untag { name, .. } => {
            if !record.tags.contains(name) {
                let message = format!("run {id} has no tag `{name}`");
                return Err(CliError::usage(
                    Diag::new("flow::cli::tag", message).help("`flow runs` shows the tags of runs"),
                ));
            }
            record::tag(runs, id, |tags| tags.retain(|tag| tag != name))?;
            Ok(format!("has the tag `{name}` no longer"))
        }
        RunsCommand::Pin { .. } => {
            record::pin(runs, id, true)?;
            Ok("is pinned".to_owned())
        }
        RunsCommand::Unpin { .. } => {
            record::pin(runs, id, false)?;
            Ok("is not pinned".to_owned())
        }
        RunsCommand::Remove { .. } => {
            if record.pinned {
                let message = format!("run {id} is pinned and stays");
                return Err(CliError::usage(
                    Diag::new("flow::cli::pinned", message).help(format!("flow runs unpin {id}")),
                ));
            }
            runs.remove(id)?;
            Ok("is forgotten".to_owned())
        }
    }
}

fn list(args: &RunsArgs, runs: &Runs, ui: &Ui) -> Result<(), CliError> {
    let mut rows = Vec::new();
    let mut more = false;
    for id in runs.list()? {
        let record: RunRecord = match runs.load(&id) {
            Ok(Some((_, record))) => record,
            Ok(None) => continue,
            Err(error) => {
                ui.warning(&error.to_string());
                continue;
            }
        };
        if !is_wanted(args, &record) {
            continue;
        }
        if rows.len() == args.n {
            more = true;
            break;
        }
        rows.push(row(&id, &record));
        ui.event(|| event(&id, record));
    }
    if rows.is_empty() {
        ui.answer(&format!("no runs in {}\n", shown(runs.dir())));
        let elsewhere = elsewhere().filter(|_| runs.list().is_ok_and(|all| all.is_empty()));
        if let Some(elsewhere) = elsewhere {
            ui.answer(&format!("{elsewhere}\n"));
        }
        return Ok(());
    }
    ui.answer(&format!("{}\n", rows_table(rows)));
    if more {
        ui.answer("... and earlier ones; -n shows more\n");
    }
    Ok(())
}

fn is_wanted(args: &RunsArgs, record: &RunRecord) -> bool {
    let tag = args
        .tag
        .as_ref()
        .is_none_or(|tag| record.tags.contains(tag));
    let wanted = args.pipeline.as_deref();
    tag && wanted.is_none_or(|wanted| pipeline(record) == wanted)
}

fn rows_table(mut rows: Vec<Vec<String>>) -> String {
    let mut header = vec![
        "run", "pipeline", "by", "status", "set", "commit", "tags", "headline", "warnings", "ran",
        "hit", "time",
    ];
    // A column that is empty for every run is left out.
    for name in ["by", "set", "commit", "tags", "headline", "warnings"] {
        if let Some(at) = header.iter().position(|known| *known == name)
            && rows.iter().all(|row| row[at].is_empty())
        {
            header.remove(at);
            rows.iter_mut().for_each(|row| drop(row.remove(at)));
        }
    }
    let texts = header
        .iter()
        .take_while(|name| !["headline", "warnings", "ran"].contains(name));
    let least = ["time", "hit", "ran", "by", "commit", "warnings"];
    table::fitted(&header, texts.count(), rows, &least)
}

fn pipeline(record: &RunRecord) -> &str {
    record.pipeline.as_deref().unwrap_or("?")
}

fn row(id: &str, record: &RunRecord) -> Vec<String> {
    let pin = record.pinned.then_some("(pinned)");
    let marks: Vec<&str> = record.tags.iter().map(String::as_str).chain(pin).collect();
    let headline = record.headline_value();
    let by = record.by().filter(|by| *by != "run");
    let warnings = Some(record.warnings.len()).filter(|count| *count > 0);
    vec![
        id.to_owned(),
        pipeline(record).to_owned(),
        by.unwrap_or_default().to_owned(),
        record.status.map_or("?", Status::name).to_owned(),
        table::cut(&record.asked(false), SET),
        record.git.as_ref().map_or(String::new(), GitState::short),
        marks.join(" "),
        headline.map_or(String::new(), |value| format!("{value:.4}")),
        warnings.map_or(String::new(), |count| count.to_string()),
        record.sum(|stage| stage.ran).to_string(),
        record.sum(|stage| stage.hit).to_string(),
        seconds(record.wall_s),
    ]
}

fn event(id: &str, record: RunRecord) -> RunListed {
    RunListed {
        run: id.to_owned(),
        started: when(id),
        ran: record.sum(|stage| stage.ran),
        hit: record.sum(|stage| stage.hit),
        failed: record.sum(|stage| stage.failed),
        by: record.by().map(str::to_owned),
        warnings: record.warnings.len(),
        pipeline: record.pipeline,
        status: record.status,
        headline: record.headline,
        wall_s: record.wall_s,
        tags: record.tags,
        pinned: record.pinned,
        set: record.set,
        variant: record.variant,
        to: record.to,
        git: record.git,
    }
}
