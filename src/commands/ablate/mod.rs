//! `flow ablate`: runs the variants of a pipeline as one graph, and compares them with the base.
//!
//! [`study`] reads the variants and makes one graph of them. [`results`] computes the findings as data,
//! with [`cost`] for what each variant cost. All that is shown is made from the results: [`text`]
//! writes tables and the summary in words, `crate::report` makes the page with the plots, and [`files`]
//! writes everything to disk. The statistics themselves are in the crate `flow-stages`.
//!
//! Begin with [`run`].

mod cost;
mod files;
pub mod results;
pub mod study;
mod text;

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use flow_engine::plan::Plan;

use self::cost::Costs;
use self::results::{AblationResults, FinishedAblation};
use self::study::Study;
use crate::args::{ExecArgs, FileArgs, StoreArgs};
use crate::commands::run::{Run, Setup};
use crate::error::{CliError, Exit};
use crate::event::AblationFinished;
use crate::project::{read_pipeline, results_dir, shown};
use crate::report::Findings;
use crate::ui::Ui;

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
    #[arg(long, value_name = "GLOB")]
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

/// Runs the command.
pub fn run(args: &AblateArgs, ui: &Ui) -> Result<Exit, CliError> {
    let started = Instant::now();
    let file = read_pipeline(&args.file)?;
    let study = Study::new(&file, &args.only)?;
    let pipeline = &study.union.pipeline;
    let dir = results_dir(args.output.as_deref(), pipeline, "ablation")?;
    let setup = Setup::new(&pipeline.root, &args.store, &args.exec)?;
    let plan = Plan::new(pipeline);
    let mut run = Run::new(ui, &plan, &setup, true);
    run.asked.sets.clone_from(&args.file.sets);
    let finished = run.execute(HashSet::new(), true, &mut |_| {});
    let stopped = run.settle(finished);
    let results = if stopped {
        None
    } else {
        match compare(&study, &mut run) {
            Ok(results) => results,
            Err(error) => {
                run.check(Err(error));
                None
            }
        }
    };
    run.close(&setup, "ablate");
    let outcome = run.take_stock(started);
    ui.event(|| outcome.event());
    let Some(mut results) = results else {
        return Ok(run.exit);
    };
    // The record of this run is included, so that its own evaluations count.
    run.check(results.count_tried(&setup.state.runs()));
    let found = Findings::Ablation(results.figures());
    run.keep_findings(&found);
    let page = run.page(&found);
    run.check(page.and_then(|page| files::write(&results, &page, &dir)));
    if !ui.quiet {
        ui.progress("");
        ui.result(&text::tables(&results, &outcome));
        ui.progress(&format!(
            "wrote {}/{{{}}}",
            shown(&dir),
            files::NAMES.join(",")
        ));
    }
    ui.event(|| AblationFinished {
        found: results.figures(),
        run: outcome.run.clone(),
        status: run.status(),
        wall_s: started.elapsed().as_secs_f64(),
        directory: dir.display().to_string(),
    });
    Ok(run.exit)
}

/// Reads the predictions and compares them. Bytes that the store has lost are made again first.
fn compare(study: &Study, run: &mut Run<'_>) -> Result<Option<AblationResults>, CliError> {
    let schemes = study.variants.iter().flat_map(|variant| &variant.schemes);
    let lost = run.artifacts().lost(schemes.map(|(_, stage)| *stage))?;
    if !lost.is_empty() {
        let finished = run.execute(lost, false, &mut |_| {});
        if run.settle(finished) {
            return Ok(None);
        }
    }
    let artifacts = run.artifacts();
    let costs = Costs::new(study, artifacts.plan, &run.slots, &run.summary);
    let finished = FinishedAblation {
        study,
        artifacts,
        failures: &run.failures,
    };
    finished.results(artifacts.plan.pipeline, costs).map(Some)
}
