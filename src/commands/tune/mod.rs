//! `flow tune`: searches for better values of parameters.
//!
//! [`design`] checks the study before anything runs, and [`problem`] makes pipelines of its
//! configurations. A [`study`](mod@study) is made of searches: [`search`] makes one, generation by
//! generation, and [`nested`] makes one in each fold of an outer cross-validation. [`bench`](mod@bench)
//! evaluates configurations for them. [`findings`] holds the results as data: [`progress`] shows them
//! as they grow and [`text`] at the end, [`figures`] has them for programs, and [`files`] and [`apply`]
//! write them. The crate `flow-stages` chooses points and decides when trials are stopped.
//!
//! Begin with [`run`].

mod apply;
mod bench;
mod design;
mod figures;
mod files;
mod findings;
mod nested;
mod problem;
mod progress;
mod search;
mod study;
mod text;

use std::path::PathBuf;
use std::time::Instant;

use self::bench::Bench;
use self::figures::{study_cost, study_figures};
use self::findings::Findings;
use self::problem::Problem;
use self::study::study;
use crate::args::{ExecArgs, FileArgs, StoreArgs};
use crate::commands::run::{AskedFor, Circumstances, Setup};
use crate::error::{CliError, Exit};
use crate::event::OutputWritten;
use crate::project::{read_pipeline, results_dir, shown};
use crate::report::{self, Page, StudyFindings};
use crate::ui::Ui;
use clap::Args;

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

/// Runs the command.
pub fn run(args: &TuneArgs, ui: &Ui) -> Result<Exit, CliError> {
    let started = Instant::now();
    let file = read_pipeline(&args.file)?;
    let registry = flow_neural::kinds::registry();
    let base = file.pipeline(&registry)?;
    let trials = args.trials.map(|trials| trials as usize);
    let problem = Problem::new(&file, &base, registry, trials)?;
    let target = apply::Target::new(args, &base)?;
    let folder = results_dir(args.output.as_deref(), &base, "tune")?;
    let setup = Setup::new(&base.root, &args.store, &args.exec)?;
    let asked = AskedFor {
        sets: args.file.sets.clone(),
        ..AskedFor::default()
    };
    let begun = Circumstances {
        asked: &asked,
        pipeline: &base,
        store: &setup.state.store,
    };
    let mut bench = Bench::new(ui, &problem, &setup, started, begun.record(None));
    progress::started(&bench);
    let ended = study(&mut bench, &setup);
    let written = setup.finish_remote(ui);
    ui.warn_of_store(&setup.state.store);
    let saved = setup.stat.save().map_err(CliError::from);
    let saved = saved.and(written);
    if let Some((path, trace)) = &setup.trace {
        let name = format!("flow tune {}", base.name);
        trace
            .write(path, &name)
            .map_err(|e| CliError::unwritten(path, e))?;
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
            progress::stopped(&bench, error.exit);
            return Ok(error.exit);
        }
    };
    let page = conclude(&bench, &findings, &setup)?;
    files::write(&bench, &findings, &page, &folder)?;
    let wall_s = started.elapsed().as_secs_f64();
    ui.result(&text::text(&bench, &findings, wall_s));
    if let Some(target) = &target {
        let best = findings.searched.best(&bench);
        let values = best.map(|best| best.values).unwrap_or_default();
        let heading = text::heading(&bench, &findings);
        let path = target.write(&problem, &values, &heading)?;
        ui.progress(&format!("wrote {}", shown(path)));
        ui.event(|| OutputWritten {
            path: path.display().to_string(),
            base: None,
        });
    }
    progress::finished(&bench, &findings, started.elapsed().as_secs_f64());
    Ok(Exit::Ok)
}

/// Keeps what was found in the record of the run, and makes the report.
fn conclude(bench: &Bench<'_>, findings: &Findings, setup: &Setup) -> Result<Page, CliError> {
    let found = report::Findings::Study(Box::new(StudyFindings {
        found: study_figures(bench, findings),
        cost: Some(study_cost(bench, findings)),
    }));
    let runs = setup.state.runs();
    runs.attach(&bench.id, &found)?;
    report::of_command((&runs, &setup.state.store), &bench.id, &found)
}
