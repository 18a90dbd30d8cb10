//! `flow check`: does a pipeline still give what its committed baseline says?
//!
//! The hard part is exact: a stage whose recipe is that of the baseline must give the same bytes. The
//! soft part is statistical: the metrics of changed stages may not drop by more than noise explains.

mod baseline;
pub mod recipes;
pub mod results;

use std::fmt::Write;
use std::time::Instant;

use flow_engine::plan::Plan;
use flow_engine::{Diag, Pipeline};
use flow_stages::study::gate::GateOptions;
use serde_json::json;

use self::baseline::{Baseline, Place, replace};
use self::recipes::{StageState, Standing, states};
use self::results::{Results, Scored, lost, scored};
use crate::cli::CheckArgs;
use crate::commands::run::{Asked, Run, Setup};
use crate::error::{CliError, Exit};
use crate::project::{load_pipeline, shown, working_dir};
use crate::render::{bytes, check, junit, quoted};
use crate::ui::Ui;

/// Runs the command.
pub fn run(args: &CheckArgs, ui: &Ui) -> Result<Exit, CliError> {
    let started = Instant::now();
    let pipeline = load_pipeline(&args.pipeline, None)?;
    let place = Place::new(&args.baseline, &args.pipeline)?;
    // A wrong baseline is better heard of before the run than after it.
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
    run.asked = Asked::of(&args.pipeline);
    run.bring_up_to_date();
    if run.exit == Exit::Ok {
        run.audit(args.audit);
        // Results that should be equal and are not.
        if run.exit == Exit::Stage {
            run.exit = Exit::Regression;
        }
    }
    let found = match run.exit {
        Exit::Ok => take(&plan, &mut run, &setup),
        _ => Ok(None),
    };
    let found = found.unwrap_or_else(|error| {
        run.check(Err(error));
        None
    });
    run.close(&setup, "check");
    let report = run.finish(started);
    let Some((stages, scored)) = found.filter(|_| run.exit == Exit::Ok) else {
        return Ok(run.exit);
    };
    if args.update {
        let now = results::baseline(&pipeline.name, &report, stages, &scored);
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
    let stages = results::named(&report, stages);
    let results = Results::new(&earlier, &place, &stages, &scored, &report, &options)?;
    if let Some(path) = &args.junit {
        replace(&working_dir()?.join(path), junit::text(&results).as_bytes())?;
    }
    if let Some(path) = &args.markdown {
        let text = check::markdown(&results);
        replace(&working_dir()?.join(path), text.as_bytes())?;
    }
    ui.result(&check::text(&results, args.explain));
    let diags = failures(&results, &pipeline, &place);
    diags.iter().for_each(|diag| ui.diag(diag));
    ui.event(|| results.json(&report.run));
    Ok(match diags.is_empty() {
        true => Exit::Ok,
        false => Exit::Regression,
    })
}

/// The stages, and the scores of evaluations.
type Taken = (Vec<StageState>, Vec<Scored>);

/// What is compared: recipes of stages and scores of evaluations. Bytes that the store has lost are
/// made again first. None if that went wrong.
fn take(plan: &Plan<'_>, run: &mut Run<'_>, setup: &Setup) -> Result<Option<Taken>, CliError> {
    let store = &setup.state.store;
    let lost = lost(plan, &run.slots, store)?;
    if !lost.is_empty() {
        let finished = run.execute(lost, false, &mut |_| {});
        if run.settle(finished) || run.exit != Exit::Ok {
            return Ok(None);
        }
    }
    let stages = states(plan, &run.slots, store, &setup.stat)?;
    Ok(Some((stages, scored(plan, &run.slots, store)?)))
}

/// That the pipeline still has what the baseline compares.
fn has_evaluations(earlier: &Baseline, now: &Pipeline, place: &Place) -> Result<(), CliError> {
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

/// Writes a baseline and says in what it differs from the one before.
fn update(
    place: &Place,
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
    ui.event(|| {
        json!({
            "event": "baseline-updated",
            "path": place.path.display().to_string(),
            "changed": !same,
            "bytes": size,
        })
    });
    Ok(Exit::Ok)
}

/// Why a check fails, one diagnostic for each stage and one for all metrics.
fn failures(results: &Results, pipeline: &Pipeline, place: &Place) -> Vec<Diag> {
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
                check::title(metric.metric, evaluation.average),
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
