//! The findings of a study, for people.

use flow_stages::tuning::{Best, TrialOutcome};

use super::bench::Bench;
use super::findings::{Findings, Nested, Searched};
use crate::render::table;
use crate::wording::{count, seconds};

/// The most trials that tables for people show. They are the best ones.
const SHOWN: usize = 30;

fn figure(value: f64) -> String {
    format!("{value:.4}")
}

/// The findings of the study, for people.
pub fn text(bench: &Bench<'_>, findings: &Findings, wall_s: f64) -> String {
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
        text.push_str(&nested_text(bench, nested));
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
    text
}

/// The winner in one line. It is also the first line of the pipeline that `--apply` writes.
pub fn heading(bench: &Bench<'_>, findings: &Findings) -> String {
    let searched = &findings.searched;
    let trials = count(searched.study.trials().len(), "trial");
    let base = searched
        .study
        .base()
        .map_or("failed".into(), |scores| figure(scores.pooled));
    let name = &bench.problem.name;
    let objective = bench.problem.objective();
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
        row.extend(axes.iter().map(|axis| candidate.short_cell(axis)));
        row.push(match outcome {
            TrialOutcome::Pruned { bound, .. } => format!("< {}", figure(*bound)),
            _ => table::figure(outcome.value()),
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
    let mut text = table::plain(&head, 2, rows);
    if all.len() > SHOWN {
        text.push_str(&format!("\n({} more in trials.csv)", all.len() - SHOWN));
    }
    text
}

fn nested_text(bench: &Bench<'_>, nested: &Nested) -> String {
    let axes = &bench.problem.axes;
    let rows = nested.folds.iter().enumerate().map(|(fold, outer)| {
        vec![
            fold.to_string(),
            outer.chosen.text(axes),
            figure(outer.inner),
            table::figure(outer.outer),
        ]
    });
    let table = table::plain(
        &["outer fold", "chosen", "inner", "outer"],
        2,
        rows.collect(),
    );
    let mut text = format!("\n{table}\n\nnested: ");
    text.push_str(&format!(
        "inner best {} on average, on objects the studies never saw {}: optimism {}\n",
        figure(nested.inner()),
        table::figure(nested.tuned),
        nested.tuned.map_or("-".into(), |outer| format!(
            "{:+.4}",
            nested.inner() - outer
        )),
    ));
    text.push_str(&format!(
        "the pipeline as it is, on the same objects: {}",
        table::figure(nested.base)
    ));
    if let Some(difference) = &nested.difference {
        let d = &difference.difference;
        text.push_str(&format!(
            "; tuning gains {:+.4} ({:+.4} to {:+.4}, 95 %): {}",
            d.value,
            d.low,
            d.high,
            difference.verdict.word(),
        ));
    }
    text.push('\n');
    text
}
