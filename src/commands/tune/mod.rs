//! `flow tune`: searches for better values of parameters.
//!
//! [`problem`] checks what is to be searched before anything runs. [`search`] makes a study, generation by
//! generation, and [`nested`] one in each fold of an outer cross-validation; both have configurations
//! evaluated by [`bench`]. [`render`] shows all of it, and [`apply`] writes the best values as a pipeline.
//! How points are chosen and trials are stopped is not here but in the crate `flow-stages`.
//!
//! Begin with [`run`].

mod apply;
mod bench;
mod nested;
mod problem;
mod render;
mod search;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use flow_engine::Diag;
use flow_stages::comparison::{Arm, ComparisonOptions, Estimate, summarise};
use flow_stages::evaluation::Metric;
use flow_stages::tuning::Best;

pub use bench::Bench;
pub use nested::{Nested, OuterFold};
pub use problem::{Candidate, Problem};
pub use search::Searched;

use crate::args::{ExecArgs, FileArgs, StoreArgs};
use crate::commands::run::Setup;
use crate::error::{CliError, Exit};
use crate::event::OutputWritten;
use crate::project::{read_pipeline, results_dir, shown};
use crate::record::{Status, tried};
use crate::ui::Ui;
use bench::Found;
use problem::Part;

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
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=flow_engine::pipeline::study::MOST))]
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

/// What a study came to.
pub struct Findings {
    /// The study.
    pub searched: Searched,
    /// The value of the best configuration with the interval of its objects, where statistics know
    /// the metric.
    pub interval: Option<Estimate>,
    /// Nested cross-validation, where asked for.
    pub nested: Option<Nested>,
    /// Configurations that were ever evaluated on these objects and folds, by the history of runs.
    pub tried: Option<usize>,
    /// CPU seconds that pruning saved, nested studies included: an estimate.
    pub saved_s: f64,
}

/// Runs the command.
pub fn run(args: &TuneArgs, ui: &Ui) -> Result<Exit, CliError> {
    let started = Instant::now();
    let file = read_pipeline(&args.file)?;
    let registry = flow_stages::kinds::registry();
    let base = file.pipeline(&registry)?;
    let trials = args.trials.map(|trials| trials as usize);
    let problem = Problem::new(&file, &base, registry, trials)?;
    let target = apply::Target::new(args, &base)?;
    let folder = results_dir(args.output.as_deref(), &base, "tune")?;
    let setup = Setup::new(&base.root, &args.store, &args.exec)?;
    let mut bench = Bench::new(ui, &problem, &setup, started);
    render::started(&bench);
    let ended = study(&mut bench, &setup);
    let saved = setup.stat.save().map_err(CliError::from);
    if let Some((path, trace)) = &setup.trace {
        let name = format!("flow tune {}", base.name);
        trace.write(path, &name).map_err(|e| {
            CliError::environment(format!("failed to write {}: {e}", path.display()))
        })?;
    }
    let findings = match ended.and_then(|findings| saved.map(|()| findings)) {
        Ok(findings) => findings,
        Err(error) => {
            if error.exit == Exit::Interrupted {
                ui.progress(
                    "interrupted: what had finished is kept, and the next run goes on from there",
                );
            }
            error.diags.iter().for_each(|diag| ui.diag(diag));
            render::stopped(&bench, error.exit);
            return Ok(error.exit);
        }
    };
    render::files(&bench, &findings, &folder)?;
    render::findings(&bench, &findings, started.elapsed().as_secs_f64());
    if let Some(target) = &target {
        let best = findings.searched.best(&bench);
        let values = best.map(|best| best.values).unwrap_or_default();
        let heading = render::heading(&bench, &findings);
        let path = target.write(&problem, &values, &heading)?;
        ui.progress(&format!("wrote {}", shown(path)));
        ui.event(|| OutputWritten {
            path: path.display().to_string(),
            base: None,
        });
    }
    render::finished(&bench, &findings, started.elapsed().as_secs_f64());
    Ok(Exit::Ok)
}

/// Makes the study, and the nested ones.
fn study(bench: &mut Bench<'_>, setup: &Setup) -> Result<Findings, CliError> {
    let searched = search::search(bench, None, &mut |bench, searched| {
        bench.save(Status::Interrupted, search::record(bench, searched))
    })?;
    let complete = searched
        .study
        .trials()
        .iter()
        .any(|t| t.outcome.value().is_some());
    if !complete {
        bench.save(Status::Failed, search::record(bench, &searched))?;
        let diag = Diag::new("flow::tune::all_failed", "no trial could be evaluated");
        let reason = searched
            .study
            .trials()
            .iter()
            .find_map(|t| match &t.outcome {
                flow_stages::tuning::TrialOutcome::Failed(message) => Some(message),
                _ => None,
            });
        return Err(CliError {
            exit: Exit::Stage,
            diags: vec![
                reason
                    .iter()
                    .fold(diag, |diag, why| diag.help(format!("the first: {why}"))),
            ],
        });
    }
    let mut arms = vec![bench.problem.base()];
    arms.extend(searched.best(bench).filter(|_| {
        searched
            .study
            .best()
            .is_some_and(|(best, _)| best != Best::Base)
    }));
    let found = bench.evaluate(&arms, None, Part::Crossed, true)?;
    let interval = found
        .last()
        .and_then(|found| interval(found, bench.problem.metric));
    let folds = found.iter().rev().find_map(|found| found.folds.clone());
    let nested = match &folds {
        Some((_, table)) if bench.problem.tune.nested => {
            Some(nested::nested(bench, &table.clone())?)
        }
        _ => None,
    };
    bench.save(Status::Ok, search::record(bench, &searched))?;
    let tried = match &folds {
        Some((digest, _)) => Some(tried(&setup.state.runs(), digest)?),
        None => None,
    };
    let inner = nested.iter().flat_map(|nested| &nested.folds);
    let saved_s = searched.saved_s + inner.map(|fold| fold.searched.saved_s).sum::<f64>();
    Ok(Findings {
        searched,
        interval,
        nested,
        tried,
        saved_s,
    })
}

/// The value of a configuration with its interval: none for metrics that the statistics do not know.
fn interval(found: &Found, metric: Metric) -> Option<Estimate> {
    if !Metric::COMPARED.contains(&metric) {
        return None;
    }
    let folds: Option<&PathBuf> = found.folds.as_ref().map(|(_, path)| path);
    let arm = Arm::read(
        "best",
        found.predictions.as_ref()?,
        folds.map(PathBuf::as_path),
    )
    .ok()?;
    let summary = summarise(&arm, &ComparisonOptions::default()).ok()?;
    summary.metrics.get(&metric).copied()
}
