//! What a study found: its trials one after the other, which parameters mattered, the best values, and
//! how far to believe them.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::ablation::verdict;
use super::findings::StudyFindings;
use super::numbers::{difference, plain, with_interval};
use super::section::{Drawing, Section, rounded};
use crate::event::{NestedFigures, SearchedRange, StudyFigures, TrialFigures};
use crate::record::ByName;
use crate::wording::{count, seconds};

/// The most trials that plots show, and that tables do: those are the best ones.
const DRAWN: usize = 2000;
const LISTED: usize = 200;

/// The longest text of a value that a table or an axis has.
const TEXT: usize = 28;

/// The section.
pub fn section(study: &StudyFindings) -> Section {
    let found = &study.found;
    Section {
        id: "study",
        title: "The search".to_owned(),
        html: html! {
            (lead(study))
            div class="history" {}
            (best(found))
            h3 { "Which parameters mattered" }
            (importances(found))
            div class="plots parameters" {}
            div class="parallel" {}
            @if let Some(nested) = &found.nested { (nested_part(nested)) }
            (trials(study))
        },
        drawing: Some(Drawing {
            script: include_str!("assets/study.js"),
            data: data(found),
        }),
    }
}

fn figure(value: f64) -> String {
    format!("{value:.4}")
}

/// Returns true if `a` is better than `b`.
fn better(found: &StudyFigures, a: f64, b: f64) -> bool {
    match found.direction.as_str() {
        "minimise" => a < b,
        _ => a > b,
    }
}

/// The best value, and what to think of it.
fn lead(study: &StudyFindings) -> Markup {
    let found = &study.found;
    let state = |state: &str| found.trials.iter().filter(|t| t.state == state).count();
    let states = ["complete", "pruned", "failed"].map(|name| (name, state(name)));
    let states = states.iter().filter(|(_, n)| *n > 0);
    let states: Vec<String> = states.map(|(name, n)| format!("{n} {name}")).collect();
    let metric = &found.objective;
    html! {
        p.headline {
            @match &found.best {
                None => "No trial could be evaluated.",
                Some(best) => {
                    (metric) " " strong { (figure(best.value)) }
                    @match best.trial {
                        Some(trial) => { " by trial " (trial) },
                        None => ", by the pipeline as it is: no trial beats it",
                    }
                    @if let (Some(_), Some(base)) = (best.trial, found.base) {
                        ", " (figure(base)) " as it is"
                    }
                },
            }
        }
        p.dim {
            (count(found.trials.len(), "trial")) " (" (states.join(", ")) "), to " (found.direction) " " code { (metric) }
            ", by the sampler " code { (found.sampler) } " with seed " (found.seed) ", " (found.parallel) " at a time. "
            @if let Some(interval) = found.best.as_ref().and_then(|best| best.interval) {
                "95 % interval of the best over its objects, scores averaged over repeats: "
                (with_interval(&interval)) ". "
            }
            @if let Some(cost) = &study.cost {
                (count(cost.ran, "action")) " ran in this run, " (seconds(cost.cpu_s)) " of CPU"
                @if found.prune { "; pruning saved about " (seconds(cost.saved_cpu_s)) }
                ". "
                @if let Some(tried) = cost.configurations {
                    (count(tried, "configuration")) " evaluated on these objects and folds so far."
                }
            }
        }
        @match found.nested.as_ref().map(|nested| (nested, nested.optimism)) {
            Some((nested, Some(optimism))) => p.note {
                "The best of many noisy values is too good: here by about " strong { (format!("{optimism:+.4}")) }
                ". The searches that were made in each outer fold chose values with " (figure(nested.inner))
                " in the inner folds, and these came to " (nested.outer.map_or("-".to_owned(), figure))
                " on objects that no search had seen."
            },
            _ => p.note {
                "The best of many noisy values is too good. " code { "nested = true" } " in " code { "[tune]" }
                " measures by how much."
            },
        }
    }
}

/// The best values as a part of a pipeline.
fn best(found: &StudyFigures) -> Markup {
    let values = found.best.as_ref().and_then(|best| best.values.as_ref());
    html! {
        @if let Some(values) = values.filter(|values| !values.is_empty()) {
            h3 { "The best values" }
            pre { code { (as_toml(values)) } }
            p.dim {
                code { "flow tune ... --apply tuned.toml" } " writes them as a pipeline that extends this one."
            }
        }
    }
}

fn as_toml(values: &ByName<Json>) -> String {
    let values = values.iter().map(|(path, value)| {
        // What TOML does not have cannot be searched.
        let value = toml::Value::try_from(value).map(|value| value.to_string());
        (path.as_str(), value.unwrap_or_default())
    });
    stage_tables(values)
}

/// Values by their dotted paths as tables of stages: `[stages.model]`, then a line for each value.
pub fn stage_tables<'v>(values: impl Iterator<Item = (&'v str, String)>) -> String {
    let mut stages: BTreeMap<&str, String> = BTreeMap::new();
    for (path, value) in values {
        if let Some((stage, rest)) = path.split_once('.') {
            let lines = stages.entry(stage).or_default();
            lines.push_str(&format!("{rest} = {value}\n"));
        }
    }
    let tables = stages
        .iter()
        .map(|(stage, lines)| format!("[stages.{stage}]\n{lines}"));
    tables.collect::<Vec<String>>().join("\n")
}

/// How much each parameter matters, as a table beside the plot.
fn importances(found: &StudyFigures) -> Markup {
    let mut known: Vec<_> = (found.importance.iter())
        .filter_map(|(path, importance)| Some((path, (*importance)?)))
        .collect();
    known.sort_by(|(_, a), (_, b)| b.divergence.total_cmp(&a.divergence));
    if known.is_empty() {
        return html! {
            p.dim { "It takes eight complete trials to say which parameters matter." }
        };
    }
    html! {
        div class="importance" {}
        div.wide {
            table {
                thead {
                    tr {
                        th scope="col" { "parameter" }
                        th.number scope="col" { "importance" }
                        th.number scope="col" { "by chance" }
                        th scope="col" { "searched" }
                    }
                }
                tbody {
                    @for (path, importance) in &known {
                        @let matters = importance.divergence > importance.chance;
                        tr {
                            th scope="row" { (path) }
                            td.number { (plain(importance.divergence)) }
                            td.number { (plain(importance.chance)) }
                            td.whole {
                                @if let Some(range) = found.space.get(path) { (range_text(range)) }
                                @if !matters { span.dim { " (no more than chance)" } }
                            }
                        }
                    }
                }
            }
        }
        p.dim {
            "Importance by PED-ANOVA: how far the values of the best quarter of the trials lie from those of all trials "
            "(Pearson divergence). 95 % of random choices of as many trials stay below the level of chance."
        }
    }
}

fn range_text(range: &SearchedRange) -> String {
    match range {
        SearchedRange::Numbers {
            low,
            high,
            log,
            whole,
            steps,
        } => {
            let steps = steps.map_or(String::new(), |n| format!(", {n} values"));
            let what = if *whole { "whole numbers " } else { "" };
            let log = if *log { ", by logarithm" } else { "" };
            format!("{what}{low} to {high}{log}{steps}")
        }
        SearchedRange::Choice { choice } => {
            let choice: Vec<String> = choice.iter().map(short).collect();
            choice.join(" | ")
        }
    }
}

/// A value in a few letters.
fn short(value: &Json) -> String {
    let text = match value {
        Json::String(text) => text.clone(),
        // The rules of a grouping of classes: their names say enough.
        Json::Object(rules) => rules.keys().cloned().collect::<Vec<String>>().join("+"),
        other => other.to_string(),
    };
    match text.chars().count() > TEXT {
        true => text.chars().take(TEXT - 1).chain(['\u{2026}']).collect(),
        false => text,
    }
}

/// What the nested cross-validation says.
fn nested_part(nested: &NestedFigures) -> Markup {
    html! {
        h3 { "How good it really is" }
        p {
            "On objects that no search had seen, the chosen values come to "
            (nested.outer.map_or("-".to_owned(), figure)) ", and the pipeline as it is to "
            (nested.outer_base.map_or("-".to_owned(), figure)) "."
            @if let Some(found) = &nested.difference {
                " The search gains " (difference(&found.difference)) ": " (verdict(found.verdict)) "."
            }
        }
        div class="nested" {}
        div.wide {
            table {
                thead {
                    tr {
                        th.number scope="col" { "outer fold" }
                        th.number scope="col" { "inner" }
                        th.number scope="col" { "outer" }
                        th scope="col" { "chosen" }
                    }
                }
                tbody {
                    @for (at, fold) in nested.folds.iter().enumerate() {
                        tr {
                            td.number { (at) }
                            td.number { (figure(fold.inner)) }
                            td.number { (fold.outer.map_or("-".to_owned(), figure)) }
                            td {
                                @if fold.values.is_empty() { span.dim { "as it is" } }
                                @for (path, value) in fold.values.iter() { code { (path) " = " (short(value)) } " " }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The trials, the best first.
fn ranked(found: &StudyFigures) -> Vec<&TrialFigures> {
    let mut trials: Vec<&TrialFigures> = found.trials.iter().collect();
    trials.sort_by(|a, b| match (a.value, b.value) {
        (Some(x), Some(y)) if better(found, x, y) => Ordering::Less,
        (Some(x), Some(y)) if better(found, y, x) => Ordering::Greater,
        (a, b) => b.is_some().cmp(&a.is_some()),
    });
    trials
}

fn trials(study: &StudyFindings) -> Markup {
    let found = &study.found;
    let ranked = ranked(found);
    let cpu_s = study.cost.as_ref().map(|cost| &cost.trials_cpu_s);
    html! {
        details {
            summary { "All trials, the best first" }
            div.wide {
                table {
                    thead {
                        tr {
                            th.number scope="col" { "trial" }
                            th scope="col" { "state" }
                            th.number scope="col" { "value" }
                            @for (path, _) in found.space.iter() { th scope="col" { (path) } }
                            @if cpu_s.is_some() { th.number scope="col" { "CPU, cold" } }
                        }
                    }
                    tbody {
                        @for trial in ranked.iter().take(LISTED) {
                            tr {
                                td.number { (trial.trial) }
                                td { (trial.state) }
                                td.number {
                                    @match (trial.value, trial.bound) {
                                        (Some(value), _) => (figure(value)),
                                        (None, Some(bound)) => { "no better than " (figure(bound)) },
                                        (None, None) => "-",
                                    }
                                }
                                @for (path, _) in found.space.iter() {
                                    td { @if let Some(value) = trial.values.get(path) { (short(value)) } }
                                }
                                @if let Some(s) = cpu_s.and_then(|all| all.get(trial.trial)) {
                                    td.number { (seconds(*s)) }
                                }
                            }
                        }
                    }
                }
            }
            @if ranked.len() > LISTED {
                p.dim { ((ranked.len() - LISTED)) " more are in " code { "trials.csv" } "." }
            }
            @for trial in ranked.iter().filter(|trial| trial.error.is_some()).take(LISTED) {
                p.warning { "Trial " (trial.trial) " failed: " (trial.error.as_deref().unwrap_or("")) }
            }
        }
    }
}

fn data(found: &StudyFigures) -> Json {
    let axes = found.space.iter().map(|(path, range)| match range {
        SearchedRange::Numbers {
            low,
            high,
            log,
            whole,
            ..
        } => {
            let (low, high) = (rounded(*low), rounded(*high));
            json!({"path": path, "low": low, "high": high, "log": log, "whole": whole})
        }
        SearchedRange::Choice { choice } => {
            json!({"path": path, "choice": choice.iter().map(short).collect::<Vec<String>>()})
        }
    });
    let importance = found.importance.iter().filter_map(|(path, importance)| {
        let found = (*importance)?;
        Some(json!([
            path,
            rounded(found.divergence),
            rounded(found.chance)
        ]))
    });
    let nested = found.nested.as_ref().map(|nested| {
        let folds = nested.folds.iter();
        let folds = folds.map(|f| json!([rounded(f.inner), f.outer.map(rounded)]));
        folds.collect::<Vec<Json>>()
    });
    json!({
        "objective": found.objective,
        "minimise": found.direction == "minimise",
        "base": found.base.map(rounded),
        "best": found.best.as_ref().and_then(|best| best.trial),
        "axes": axes.collect::<Vec<Json>>(),
        "trials": drawn(found).into_iter().map(|t| trial_data(found, t)).collect::<Vec<Json>>(),
        "importance": importance.collect::<Vec<Json>>(),
        "nested": nested,
    })
}

/// The trials that are drawn: all of them, or those that were the best so far and an even choice of the
/// others.
fn drawn(found: &StudyFigures) -> Vec<&TrialFigures> {
    let step = found.trials.len().div_ceil(DRAWN).max(1);
    let mut best: Option<f64> = None;
    let keep = |trial: &&TrialFigures| {
        let rises = trial.value.is_some_and(|value| {
            let rises = best.is_none_or(|best| better(found, value, best));
            if rises {
                best = Some(value);
            }
            rises
        });
        rises || trial.trial.is_multiple_of(step)
    };
    found.trials.iter().filter(keep).collect()
}

/// Number, generation, state, value or bound, and the values: numbers, or places among the choices.
fn trial_data(found: &StudyFigures, trial: &TrialFigures) -> Json {
    let values = found.space.iter().map(|(path, range)| {
        let value = trial.values.get(path)?;
        match range {
            SearchedRange::Numbers { .. } => value.as_f64().map(rounded),
            SearchedRange::Choice { choice } => choice
                .iter()
                .position(|known| known == value)
                .map(Json::from),
        }
    });
    json!([
        trial.trial,
        trial.generation,
        trial.state,
        trial.value.or(trial.bound).map(rounded),
        values.collect::<Vec<Option<Json>>>(),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A study of trials with these values; what is not a number was pruned.
    fn study(values: &[Option<f64>]) -> StudyFigures {
        let trials = values.iter().enumerate().map(|(trial, value)| {
            json!({
                "trial": trial, "generation": trial / 2, "state": if value.is_some() { "complete" } else { "pruned" },
                "values": {"model.rounds": trial}, "value": value, "bound": value.is_none().then_some(0.1),
            })
        });
        let study = json!({
            "pipeline": "p", "objective": "evaluate.log_loss", "direction": "minimise", "sampler": "random",
            "seed": 1, "parallel": 2, "prune": true, "base": null, "best": null,
            "trials": trials.collect::<Vec<Json>>(),
            "space": {"model.rounds": {"low": 0.0, "high": 9.0, "whole": true, "log": false, "steps": null}},
        });
        serde_json::from_value(study).expect("a study")
    }

    #[test]
    fn the_best_trial_comes_first_and_those_without_a_value_last() {
        let found = study(&[Some(0.4), None, Some(0.2), Some(0.3)]);
        let order: Vec<usize> = ranked(&found).iter().map(|trial| trial.trial).collect();
        assert_eq!(order, [2, 3, 0, 1]);
    }

    #[test]
    fn of_many_trials_those_that_were_the_best_so_far_are_drawn() {
        let values: Vec<Option<f64>> = (0..9001)
            .map(|i| Some(if i == 4321 { 0.0 } else { 1.0 }))
            .collect();
        let found = study(&values);
        let numbers: Vec<usize> = drawn(&found).iter().map(|trial| trial.trial).collect();
        assert!(
            numbers.len() <= DRAWN && numbers.contains(&4321),
            "{}",
            numbers.len()
        );
        assert_eq!(drawn(&study(&values[..50])).len(), 50);
    }

    #[test]
    fn values_become_tables_of_stages() {
        let values = json!({"model.rounds": 5, "rocket.kernels": 100, "model.inputs.features": ["a"], "model.x": "t"});
        let values: ByName<Json> = serde_json::from_value(values).expect("values");
        assert_eq!(
            as_toml(&values),
            "[stages.model]\nrounds = 5\ninputs.features = [\"a\"]\nx = \"t\"\n\n[stages.rocket]\nkernels = 100\n"
        );
    }

    #[test]
    fn what_a_trial_says_cannot_leave_its_place() {
        let mut found = study(&[Some(0.4)]);
        found.trials[0].error = Some("<script>alert(1)</script>".to_owned());
        let html = section(&StudyFindings { found, cost: None })
            .html
            .into_string();
        assert!(html.contains("&lt;script&gt;") && !html.contains("<script>"));
    }
}
