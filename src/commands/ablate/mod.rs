//! `flow ablate`: runs the variants of a pipeline as one graph, and compares them with the base.

mod cost;
mod files;
pub mod results;
pub mod study;

use std::collections::HashSet;
use std::time::Instant;

use flow_engine::plan::Plan;
use serde_json::Value as Json;

use self::cost::Costs;
use self::results::{Finished, Results};
use self::study::Study;
use crate::cli::AblateArgs;
use crate::commands::run::{Run, Setup};
use crate::error::{CliError, Exit};
use crate::project::{read_pipeline, results_dir, shown};
use crate::render::ablation;
use crate::ui::Ui;

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
        match compare(&study, &plan, &mut run, &setup) {
            Ok(results) => results,
            Err(error) => {
                run.check(Err(error));
                None
            }
        }
    };
    run.close(&setup, "ablate");
    let report = run.report(started);
    ui.event(|| report.event(pipeline));
    let Some(mut results) = results else {
        return Ok(run.exit);
    };
    // With the record of this run, so that its own evaluations count.
    run.check(results.count_tried(&setup.state.runs()));
    run.check(files::write(&results, &dir));
    if !ui.quiet {
        ui.progress("");
        ui.result(&ablation::tables(&results, &report));
        ui.progress(&format!(
            "wrote {}/{{{}}}",
            shown(&dir),
            files::NAMES.join(",")
        ));
    }
    ui.event(|| {
        let mut event = results.json();
        if let Json::Object(fields) = &mut event {
            fields.shift_insert(0, "event".into(), "ablation-finished".into());
        }
        event["run"] = report.run.clone().into();
        event["status"] = run.status().name().into();
        event["wall_s"] = started.elapsed().as_secs_f64().into();
        event["directory"] = dir.display().to_string().into();
        event
    });
    Ok(run.exit)
}

/// Reads what was predicted and compares it. Bytes that the store has lost are made again first.
fn compare(
    study: &Study,
    plan: &Plan<'_>,
    run: &mut Run<'_>,
    setup: &Setup,
) -> Result<Option<Results>, CliError> {
    let lost = finished(study, plan, run, setup).lost()?;
    if !lost.is_empty() {
        let finished = run.execute(lost, false, &mut |_| {});
        if run.settle(finished) {
            return Ok(None);
        }
    }
    let costs = Costs::new(study, plan, &run.slots, &run.summary);
    let found = finished(study, plan, run, setup);
    found.results(plan.pipeline, costs).map(Some)
}

fn finished<'a>(
    study: &'a Study,
    plan: &'a Plan<'a>,
    run: &'a Run<'_>,
    setup: &'a Setup,
) -> Finished<'a> {
    Finished {
        study,
        plan,
        slots: &run.slots,
        failures: &run.failures,
        store: &setup.state.store,
    }
}
