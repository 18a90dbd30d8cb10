//! `flow check`: does a pipeline still give what its committed baseline says?
//!
//! The hard part is exact: a stage whose recipe is that of the baseline must give the same bytes. The
//! soft part is statistical: the metrics of changed stages may not drop by more than noise explains.
//!
//! [`recipes`] describes what decides the results of a stage, and [`baseline`] keeps that and the
//! scores in a file. [`results`] compares the two states as data; [`text`] shows them to people and
//! [`junit`] to servers that run tests. The gate, by which a drop is judged, is in the crate
//! `flow-stages`.
//!
//! Begin with [`run`].

mod baseline;
mod junit;
pub mod recipes;
pub mod results;
mod text;

use std::fmt::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use flow_engine::plan::Plan;
use flow_engine::{Diag, Pipeline};
use flow_stages::comparison::gate::GateOptions;

use self::baseline::{Baseline, BaselineFile, replace};
use self::recipes::{Standing, states};
use self::results::{CheckResults, Taken, scored};
use crate::args::{ExecArgs, PipelineArgs, StoreArgs, values};
use crate::commands::run::{AskedFor, Run, Setup};
use crate::error::{CliError, Exit};
use crate::evaluation::evaluations;
use crate::event::BaselineUpdated;
use crate::project::{load_pipeline, shown, working_dir};
use crate::report::{CheckFindings, Findings};
use crate::ui::Ui;
use crate::wording::{bytes, quoted};

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
    /// Write a report to look at, in one file of HTML
    #[arg(long, value_name = "FILE", conflicts_with = "update", value_hint = clap::ValueHint::FilePath)]
    pub html: Option<PathBuf>,
    /// How often a check may fail where nothing has become worse, all metrics together
    #[arg(long, value_name = "RATE", default_value = "0.02", value_parser = values::rate)]
    pub false_alarms: f64,
    /// Drops of a metric up to this are accepted, beyond what noise explains
    #[arg(long, value_name = "DROP", default_value = "0", value_parser = values::difference)]
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

/// Runs the command.
pub fn run(args: &CheckArgs, ui: &Ui) -> Result<Exit, CliError> {
    let started = Instant::now();
    let pipeline = load_pipeline(&args.pipeline, None)?;
    let place = BaselineFile::new(&args.baseline, &args.pipeline)?;
    // It is better to hear of a wrong baseline before the run than after it.
    let earlier = match args.update {
        true => place.replaced()?,
        false => Some(place.read(&pipeline.name)?),
    };
    if let (Some(earlier), false) = (&earlier, args.update) {
        has_evaluations(earlier, &pipeline, &place)?;
    }
    let setup = Setup::new(&pipeline.root, &args.store, &args.exec)?;
    let plan = Plan::new(&pipeline);
    let mut run = Run::new(ui, &plan, &setup, false);
    run.asked = AskedFor::new(&args.pipeline);
    run.bring_up_to_date();
    if run.exit == Exit::Ok {
        run.audit(args.audit);
        // Results that should be equal are not.
        if run.exit == Exit::Stage {
            run.exit = Exit::Regression;
        }
    }
    let taken = match run.exit {
        Exit::Ok => take(&mut run, &setup),
        _ => Ok(None),
    };
    let taken = taken.unwrap_or_else(|error| {
        run.check(Err(error));
        None
    });
    run.close(&setup, "check");
    run.finish(started);
    let Some(taken) = taken.filter(|_| run.exit == Exit::Ok) else {
        return Ok(run.exit);
    };
    if args.update {
        let now = taken.baseline(&pipeline.name);
        return update(&place, earlier.as_ref(), &now, ui);
    }
    let Some(earlier) = earlier else {
        return Ok(run.exit);
    };
    let options = GateOptions {
        false_alarms: args.false_alarms,
        tolerance: args.tolerance,
        ..GateOptions::default()
    };
    let results = CheckResults::new(&earlier, &place, &taken, options)?;
    let diags = failures(&results, &pipeline, &place);
    write_reports(args, &results)?;
    conclude(args, &results, &diags, &mut run)?;
    ui.result(&text::text(&results, args.explain));
    diags.iter().for_each(|diag| ui.diag(diag));
    ui.event(|| results.event(&run.id));
    Ok(match diags.is_empty() {
        true => Exit::Ok,
        false => Exit::Regression,
    })
}

/// Writes the reports that are asked for.
fn write_reports(args: &CheckArgs, results: &CheckResults) -> Result<(), CliError> {
    if let Some(path) = &args.junit {
        replace(&working_dir()?.join(path), junit::text(results).as_bytes())?;
    }
    if let Some(path) = &args.markdown {
        let text = text::markdown(results);
        replace(&working_dir()?.join(path), text.as_bytes())?;
    }
    Ok(())
}

/// Keeps what was found in the record of the run, and makes the page if it is asked for.
fn conclude(
    args: &CheckArgs,
    results: &CheckResults,
    diags: &[Diag],
    run: &mut Run<'_>,
) -> Result<(), CliError> {
    let found = Findings::Check(CheckFindings {
        found: results.event(&run.id),
        failures: diags.iter().map(|diag| diag.message.clone()).collect(),
        earlier: Vec::new(),
    });
    run.keep_findings(&found);
    match &args.html {
        Some(path) => replace(
            &working_dir()?.join(path),
            run.page(&found)?.html().as_bytes(),
        ),
        None => Ok(()),
    }
}

/// Reads what is compared: recipes of stages and scores of evaluations. Bytes that the store has lost
/// are made again first. Returns `None` if that fails.
fn take(run: &mut Run<'_>, setup: &Setup) -> Result<Option<Taken>, CliError> {
    let evaluations = evaluations(run.artifacts().plan.pipeline);
    let lost = run.artifacts().lost(evaluations.iter().copied())?;
    if !lost.is_empty() {
        let finished = run.execute(lost, false, &mut |_| {});
        if run.settle(finished) || run.exit != Exit::Ok {
            return Ok(None);
        }
    }
    let artifacts = run.artifacts();
    let stages = states(&artifacts, &setup.stat)?;
    let scored = scored(&artifacts, &evaluations)?;
    Ok(Some(Taken { stages, scored }))
}

/// Fails unless the pipeline still has what the baseline compares.
fn has_evaluations(
    earlier: &Baseline,
    now: &Pipeline,
    place: &BaselineFile,
) -> Result<(), CliError> {
    let has = |name: &String| now.stages.iter().any(|stage| stage.name == *name);
    match earlier.evaluations.keys().find(|name| !has(name)) {
        Some(name) => Err(CliError::usage(place.diag(
            "flow::check::foreign",
            format!(
                "the baseline has an evaluation `{name}`, and the pipeline has none of that name"
            ),
        ))),
        None => Ok(()),
    }
}

/// Writes a baseline and says how it differs from the one before.
fn update(
    place: &BaselineFile,
    earlier: Option<&Baseline>,
    now: &Baseline,
    ui: &Ui,
) -> Result<Exit, CliError> {
    let same = earlier == Some(now);
    let size = match same {
        true => now.text()?.len() as u64,
        false => now.write(place)?,
    };
    let stages: Vec<_> = (now.stages.iter())
        .map(|(name, state)| (name.clone(), state.clone()))
        .collect();
    let before = earlier.map(|earlier| &earlier.stages).cloned();
    let standings = recipes::standings(&before.unwrap_or_default(), &stages);
    let mut text = String::new();
    for (name, standing) in &standings {
        let what = match standing {
            _ if earlier.is_none() => continue,
            Standing::Same => continue,
            Standing::Nondeterministic(_) => "other results by the same recipe",
            Standing::Changed(_) => "another recipe",
            Standing::New => "new",
            Standing::Gone => "gone",
        };
        let _ = writeln!(text, "{name}: {what}");
    }
    for (name, evaluation) in &now.evaluations {
        let old = earlier.and_then(|earlier| earlier.evaluations.get(name));
        for (metric, value) in &evaluation.metrics {
            match old.and_then(|old| old.metrics.get(metric)) {
                Some(was) if was != value => {
                    let _ = writeln!(text, "{name}.{metric}: {was:.4} -> {value:.4}");
                }
                _ => {}
            }
        }
    }
    let _ = match same {
        true => writeln!(text, "{} is up to date", place.shown),
        false => writeln!(text, "wrote {} ({})", place.shown, bytes(size)),
    };
    ui.result(&text);
    ui.event(|| BaselineUpdated {
        path: place.path.display().to_string(),
        changed: !same,
        bytes: size,
    });
    Ok(Exit::Ok)
}

/// Says why a check fails, with one diagnostic for each stage and one for all metrics.
fn failures(results: &CheckResults, pipeline: &Pipeline, place: &BaselineFile) -> Vec<Diag> {
    let mut diags = Vec::new();
    for (name, standing) in &results.stages {
        let Standing::Nondeterministic(outputs) = standing else {
            continue;
        };
        let names: Vec<String> = outputs.iter().map(|(o, _, _)| format!("`{o}`")).collect();
        let message = format!(
            "nondeterminism: stage `{name}` has the recipe of the baseline and other bytes in {}",
            names.join(", ")
        );
        let diag = Diag::new("flow::check::nondeterminism", message)
            .help("look for unseeded random numbers, the clock, the order of threads, and files or programs that it does not declare")
            .help(format!("run it again and compare: flow run {} --audit", quoted(&shown(&pipeline.file))));
        let stage = pipeline.stages.iter().find(|stage| stage.name == *name);
        diags.push(match stage {
            Some(stage) => diag
                .label(stage.span, "this stage")
                .resolve(&pipeline.sources),
            None => diag,
        });
    }
    let worse: Vec<String> = (results.worse().iter())
        .map(|(evaluation, metric)| {
            let change = metric.difference.value;
            format!(
                "{} of `{}` {} by {:.4}, from {:.4} to {:.4} (limit {:.4})",
                text::title(metric.metric, evaluation.average),
                evaluation.name,
                if change < 0.0 { "fell" } else { "rose" },
                change.abs(),
                metric.baseline,
                metric.now,
                metric.limit
            )
        })
        .collect();
    if !worse.is_empty() {
        let message = format!("regression: {}", worse.join("; "));
        diags.push(
            Diag::new("flow::check::regression", message)
                .help("`--explain` names what differs from the baseline")
                .help(format!("if this is wanted, accept it: {}", place.update)),
        );
    }
    diags
}
