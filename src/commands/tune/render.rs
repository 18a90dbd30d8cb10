//! A study: as it goes on, as a table, as files, and as events.
//!
//! The files hold nothing that depends on the machine or on what the store knew: a study that was
//! killed and went on leaves the same bytes as an unbroken one. Costs are in events and text only.

use std::path::Path;

use flow_engine::pipeline::file::Replace;
use flow_stages::tuning::{Best, ObjectiveScores, TrialOutcome};
use serde_json::Value as Json;

use super::bench::Bench;
use super::findings::{Findings, Nested, OuterFold, Searched};
use super::problem::Candidate;
use crate::error::{CliError, Exit};
use crate::event::{
    BaseFinished, BestTrial, NestedFigures, NestedFold, OuterFoldFinished, OutputWritten,
    StudyFigures, StudyFinished, StudyFinishedWord, StudyStarted, StudyStopped, TrialFigures,
    TrialFinished, TrialFinishedWord, pretty,
};
use crate::project::shown;
use crate::record::{ByName, Status};
use crate::render::table::plain;
use crate::wording::{count, seconds};

/// Tables for people have so many trials at most: the best.
const SHOWN: usize = 30;

/// The study begins.
pub fn started(bench: &Bench<'_>) {
    let problem = bench.problem;
    let design = &problem.design;
    let axes: Vec<&str> = problem.axes.iter().map(|axis| axis.path.as_str()).collect();
    bench.ui.event(|| StudyStarted {
        run: bench.id.clone(),
        pipeline: problem.name.clone(),
        objective: objective(bench),
        direction: design.direction.name().to_owned(),
        sampler: sampler(bench).to_owned(),
        trials: design.trials,
        parallel: design.parallel,
        space: axes.iter().copied().map(str::to_owned).collect(),
    });
    bench.ui.progress(&format!(
        "study of `{}`: {} of {}, to {} {} ({}, {} at a time)",
        problem.name,
        count(design.trials, "trial"),
        axes.join(", "),
        design.direction.name(),
        objective(bench),
        sampler(bench),
        design.parallel,
    ));
}

/// `evaluate.pr_auc`.
fn objective(bench: &Bench<'_>) -> String {
    format!("{}.{}", bench.problem.stage, bench.problem.metric.key())
}

fn sampler(bench: &Bench<'_>) -> &'static str {
    bench.problem.tune.sampler.name()
}

fn figure(value: f64) -> String {
    format!("{value:.4}")
}

/// The pipeline as it is was evaluated.
pub fn base(bench: &Bench<'_>, within: Option<usize>, scores: Option<&ObjectiveScores>) {
    bench.ui.event(|| BaseFinished {
        within,
        value: scores.map(|scores| scores.pooled),
    });
    let value = scores.map_or("failed".into(), |scores| figure(scores.pooled));
    bench
        .ui
        .progress(&format!("{}as it is: {value}", place(within)));
}

fn place(within: Option<usize>) -> String {
    within.map_or(String::new(), |fold| format!("within fold {fold}, "))
}

/// A generation of trials, those from number `first`, is at its end.
pub fn generation(bench: &Bench<'_>, within: Option<usize>, searched: &Searched, first: usize) {
    let best = searched.study.best();
    for (number, trial) in searched.study.trials().iter().enumerate().skip(first) {
        let candidate = &searched.candidates[number];
        bench.ui.event(|| TrialFinished {
            trial: trial_figures(bench, searched, number),
            event: TrialFinishedWord::TrialFinished,
            within,
            cpu_s: searched.cpu_s[number],
            best: best.map(|(_, scores)| scores.pooled),
        });
        let what = match &trial.outcome {
            TrialOutcome::Complete(scores) => figure(scores.pooled),
            TrialOutcome::Pruned { folds, .. } => format!("pruned after {}", count(*folds, "fold")),
            TrialOutcome::Failed(_) => "failed".into(),
        };
        let star = match best {
            Some((Best::Trial(best), _)) if best == number => ", the best so far",
            _ => "",
        };
        let line = format!(
            "{}trial {number}: {what}{star} ({})",
            place(within),
            values_text(candidate)
        );
        bench.ui.progress(&line);
        if let TrialOutcome::Failed(message) = &trial.outcome {
            bench.ui.warning(&format!(
                "{}trial {number} failed: {message}",
                place(within)
            ));
        }
    }
}

/// `model.learning_rate = 0.1, model.max_depth = 4`.
fn values_text(candidate: &Candidate) -> String {
    let values = candidate.values.iter();
    let values: Vec<String> = values
        .map(|v| format!("{} = {}", v.path, v.value))
        .collect();
    values.join(", ")
}

/// The study within an outer fold is at its end.
pub fn outer_fold(bench: &Bench<'_>, fold: usize, outer: &OuterFold) {
    bench.ui.event(|| OuterFoldFinished {
        fold,
        inner: outer.inner,
        values: by_path(&outer.chosen.values),
    });
}

fn by_path(values: &[Replace]) -> ByName<Json> {
    let json = |value: &toml::Value| serde_json::to_value(value).unwrap_or(Json::Null);
    let values = values.iter();
    values.map(|v| (v.path.clone(), json(&v.value))).collect()
}

fn trial_figures(bench: &Bench<'_>, searched: &Searched, number: usize) -> TrialFigures {
    let trial = &searched.study.trials()[number];
    let all = bench.problem.folds.as_ref().map(|folds| folds.names.len());
    let (folds, bound, error) = match &trial.outcome {
        TrialOutcome::Complete(_) => (Some(all), None, None),
        TrialOutcome::Pruned { folds, bound } => (Some(Some(*folds)), Some(*bound), None),
        TrialOutcome::Failed(message) => (None, None, Some(message.clone())),
    };
    TrialFigures {
        trial: number,
        generation: trial.generation,
        state: trial.outcome.name().to_owned(),
        values: by_path(&searched.candidates[number].values),
        value: trial.outcome.value(),
        folds,
        bound,
        error,
    }
}

/// All that a study found, without what it cost.
fn study_figures(bench: &Bench<'_>, findings: &Findings) -> StudyFigures {
    let problem = bench.problem;
    let searched = &findings.searched;
    let trials = 0..searched.study.trials().len();
    StudyFigures {
        pipeline: problem.name.clone(),
        objective: objective(bench),
        direction: problem.design.direction.name().to_owned(),
        sampler: sampler(bench).to_owned(),
        seed: problem.design.seed,
        parallel: problem.design.parallel,
        prune: problem.tune.prune,
        base: searched.study.base().map(|scores| scores.pooled),
        best: best_trial(bench, findings),
        trials: trials
            .map(|number| trial_figures(bench, searched, number))
            .collect(),
        nested: findings.nested.as_ref().map(nested_figures),
    }
}

fn best_trial(bench: &Bench<'_>, findings: &Findings) -> Option<BestTrial> {
    let searched = &findings.searched;
    let (best, scores) = searched.study.best()?;
    let values = searched.best(bench).map(|best| by_path(&best.values));
    Some(BestTrial {
        trial: match best {
            Best::Base => None,
            Best::Trial(number) => Some(number),
        },
        value: scores.pooled,
        interval: findings.interval,
        values,
    })
}

fn nested_figures(nested: &Nested) -> NestedFigures {
    let folds = nested.folds.iter().map(|fold| NestedFold {
        values: by_path(&fold.chosen.values),
        inner: fold.inner,
        outer: fold.outer,
    });
    NestedFigures {
        inner: nested.inner(),
        outer: nested.tuned,
        outer_base: nested.base,
        optimism: nested.tuned.map(|outer| nested.inner() - outer),
        difference: nested.difference.clone(),
        folds: folds.collect(),
    }
}

/// Writes `study.json` and `trials.csv`.
pub fn files(bench: &Bench<'_>, findings: &Findings, folder: &Path) -> Result<(), CliError> {
    let failed = |error: std::io::Error| {
        CliError::environment(format!("failed to write to {}: {error}", folder.display()))
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    for (name, text) in [
        ("study.json", pretty(&study_figures(bench, findings))?),
        ("trials.csv", csv(bench, &findings.searched)),
    ] {
        let path = folder.join(name);
        flow_cache::write_file(&path, text.as_bytes()).map_err(failed)?;
        bench.ui.progress(&format!("wrote {}", shown(&path)));
        bench.ui.event(|| OutputWritten {
            path: path.display().to_string(),
            base: None,
        });
    }
    Ok(())
}

/// One line a trial: number, generation, state, value (empty unless complete), then a column a value.
fn csv(bench: &Bench<'_>, searched: &Searched) -> String {
    let axes = &bench.problem.axes;
    let head = ["trial", "generation", "state", "value"].map(str::to_owned);
    let head = head
        .into_iter()
        .chain(axes.iter().map(|axis| axis.path.clone()));
    let mut lines = vec![head.collect::<Vec<String>>()];
    for (number, trial) in searched.study.trials().iter().enumerate() {
        let mut line = vec![
            number.to_string(),
            trial.generation.to_string(),
            trial.outcome.name().to_owned(),
            trial
                .outcome
                .value()
                .map_or(String::new(), |v| v.to_string()),
        ];
        line.extend(
            axes.iter()
                .map(|axis| value_of(&searched.candidates[number], &axis.path)),
        );
        lines.push(line);
    }
    let lines = lines.iter().map(|line| {
        let cells: Vec<String> = line.iter().map(|cell| quoted(cell)).collect();
        cells.join(",") + "\n"
    });
    lines.collect()
}

/// The value of a path in a configuration; nothing where it does not apply.
fn value_of(candidate: &Candidate, path: &str) -> String {
    let found = candidate.values.iter().find(|value| value.path == path);
    found.map_or(String::new(), |value| match &value.value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

/// What the study found, for people.
pub fn findings(bench: &Bench<'_>, findings: &Findings, wall_s: f64) {
    let mut text = format!("\n{}\n\n", trials(bench, &findings.searched));
    text.push_str(&format!("{}\n", heading(bench, findings)));
    if let Some(interval) = findings.interval {
        text.push_str(&format!(
            "95 % interval of the best value on these objects: {} to {} (repeat-averaged: {})\n",
            figure(interval.low),
            figure(interval.high),
            figure(interval.value),
        ));
    }
    if let Some(nested) = &findings.nested {
        text.push_str(&nested_text(nested));
    } else {
        text.push_str(
            "the best of many noisy values is optimistic; `nested = true` in [tune] measures by how much\n",
        );
    }
    if let Some(tried) = findings.tried {
        text.push_str(&format!(
            "{} evaluated on these objects and folds so far, by the run history\n",
            count(tried, "configuration")
        ));
    }
    let spent = bench.spent;
    text.push_str(&format!(
        "{} ran, {} of CPU; trials alone and cold: {}",
        count(spent.ran, "action"),
        seconds(spent.cpu_s),
        seconds(findings.searched.cpu_s.iter().sum()),
    ));
    if bench.problem.tune.prune {
        text.push_str(&format!(
            "; pruning saved about {}",
            seconds(findings.saved_s)
        ));
    }
    text.push_str(&format!("\nrun {} ok in {}\n", bench.id, seconds(wall_s)));
    bench.ui.result(&text);
}

/// What won, in one line: also the first line of the pipeline that `--apply` writes.
pub fn heading(bench: &Bench<'_>, findings: &Findings) -> String {
    let searched = &findings.searched;
    let trials = count(searched.study.trials().len(), "trial");
    let base = searched
        .study
        .base()
        .map_or("failed".into(), |scores| figure(scores.pooled));
    let name = &bench.problem.name;
    let objective = objective(bench);
    match searched.study.best() {
        Some((Best::Trial(number), scores)) => format!(
            "best of {trials} of `{name}`: trial {number}, {objective} = {} (as it is: {base})",
            figure(scores.pooled)
        ),
        _ => format!("none of {trials} of `{name}` beats it as it is: {objective} = {base}"),
    }
}

fn trials(bench: &Bench<'_>, searched: &Searched) -> String {
    let axes = &bench.problem.axes;
    let last = |path: &str| path.rsplit('.').next().unwrap_or(path).to_owned();
    let names = axes.iter().map(|axis| {
        let short = last(&axis.path);
        let alike = axes
            .iter()
            .filter(|other| last(&other.path) == short)
            .count();
        if alike > 1 { axis.path.clone() } else { short }
    });
    let head = ["trial", "state"].map(str::to_owned);
    let head: Vec<String> = head
        .into_iter()
        .chain(names)
        .chain([bench.problem.metric.key().to_owned(), "cold CPU".to_owned()])
        .collect();
    let all = searched.study.trials();
    let mut order: Vec<usize> = (0..all.len()).collect();
    let direction = bench.problem.design.direction;
    let value = |n: usize| all[n].outcome.value();
    order.sort_by(|&a, &b| match (value(a), value(b)) {
        (Some(a), Some(b)) if direction.better(a, b) => std::cmp::Ordering::Less,
        (Some(a), Some(b)) if direction.better(b, a) => std::cmp::Ordering::Greater,
        (a, b) => b.is_some().cmp(&a.is_some()),
    });
    let rows = order.iter().take(SHOWN).map(|&number| {
        let candidate = &searched.candidates[number];
        let outcome = &all[number].outcome;
        let mut row = vec![number.to_string(), outcome.name().to_owned()];
        row.extend(axes.iter().map(|axis| value_of(candidate, &axis.path)));
        row.push(match outcome {
            TrialOutcome::Pruned { bound, .. } => format!("< {}", figure(*bound)),
            _ => outcome.value().map_or("-".into(), figure),
        });
        row.push(seconds(searched.cpu_s[number]));
        row
    });
    let mut rows: Vec<Vec<String>> = rows.collect();
    if let Some(scores) = searched.study.base() {
        let mut row = vec!["as it is".to_owned(), String::new()];
        row.extend(axes.iter().map(|_| String::new()));
        row.extend([figure(scores.pooled), String::new()]);
        rows.push(row);
    }
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let mut text = plain(&head, 2, rows);
    if all.len() > SHOWN {
        text.push_str(&format!("\n({} more in trials.csv)", all.len() - SHOWN));
    }
    text
}

fn nested_text(nested: &Nested) -> String {
    let show = |value: Option<f64>| value.map_or("-".into(), figure);
    let rows = nested.folds.iter().enumerate().map(|(fold, outer)| {
        vec![
            fold.to_string(),
            values_text(&outer.chosen),
            figure(outer.inner),
            show(outer.outer),
        ]
    });
    let table = plain(
        &["outer fold", "chosen", "inner", "outer"],
        2,
        rows.collect(),
    );
    let mut text = format!("\n{table}\n\nnested: ");
    text.push_str(&format!(
        "inner best {} on average, on objects the studies never saw {}: optimism {}\n",
        figure(nested.inner()),
        show(nested.tuned),
        nested.tuned.map_or("-".into(), |outer| format!(
            "{:+.4}",
            nested.inner() - outer
        )),
    ));
    text.push_str(&format!(
        "the pipeline as it is, on the same objects: {}",
        show(nested.base)
    ));
    if let Some(difference) = &nested.difference {
        let d = &difference.difference;
        text.push_str(&format!(
            "; tuning gains {:+.4} ({:+.4} to {:+.4}, 95 %): {}",
            d.value,
            d.low,
            d.high,
            verdict(difference),
        ));
    }
    text.push('\n');
    text
}

fn verdict(difference: &flow_stages::comparison::PairedDifference) -> String {
    let word = serde_json::to_value(difference.verdict).unwrap_or_default();
    word.as_str().unwrap_or_default().replace('_', " ")
}

/// The study ended early.
pub fn stopped(bench: &Bench<'_>, exit: Exit) {
    let status = match exit {
        Exit::Interrupted => Status::Interrupted,
        _ => Status::Failed,
    };
    bench.ui.event(|| StudyStopped {
        status,
        pipeline: bench.problem.name.clone(),
        run: bench.id.clone(),
    });
}

/// The last event of a study.
pub fn finished(bench: &Bench<'_>, findings: &Findings, wall_s: f64) {
    bench.ui.event(|| StudyFinished {
        found: study_figures(bench, findings),
        event: StudyFinishedWord::StudyFinished,
        status: Status::Ok,
        run: bench.id.clone(),
        wall_s,
        ran: bench.spent.ran,
        cpu_s: bench.spent.cpu_s,
        saved_cpu_s: findings.saved_s,
        configurations: findings.tried,
    });
}
