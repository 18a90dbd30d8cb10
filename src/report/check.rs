//! What a check found: the baseline against now, why it failed, and how earlier checks came out.

use flow_stages::comparison::gate::{Judged, Judgement};
use flow_stages::evaluation::{Direction, Metric};
use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::findings::CheckFindings;
use super::numbers::{difference, ends, metric, name, plain};
use super::section::{Drawing, Section, rounded, to_digits};
use crate::event::{CheckFinished, CheckedEvaluation, CheckedStage};
use crate::wording::count;

/// The section.
pub fn section(check: &CheckFindings) -> Section {
    let CheckFindings { found, earlier, .. } = check;
    Section {
        id: "check",
        title: "The check".to_owned(),
        html: html! {
            (lead(check))
            @for (at, (name, evaluation)) in found.evaluations.iter().enumerate() {
                (block(name, evaluation, at))
            }
            @if !earlier.is_empty() {
                h3 { "Earlier checks" }
                p.dim {
                    (count(earlier.len(), "earlier check")) " against " code { (found.baseline) }
                    " in the records of this project."
                }
                div class="plots past" {}
            }
            (stages(found))
        },
        drawing: Some(Drawing {
            script: concat!(
                include_str!("assets/forest.js"),
                include_str!("assets/check.js")
            ),
            data: data(found, earlier),
        }),
    }
}

/// The verdict, and why.
fn lead(check: &CheckFindings) -> Markup {
    let found = &check.found;
    html! {
        p.headline {
            @match found.verdict.as_str() {
                "ok" => { strong.good { "Passed" } " against " code { (found.baseline) } },
                "regression" => { strong.bad { "Regression" } " against " code { (found.baseline) } },
                _ => { strong.bad { "Not deterministic" } ": not what " code { (found.baseline) } " has" },
            }
        }
        @for failure in &check.failures { p.warning { (failure) } }
        p.dim {
            "Figures are of scores averaged over repeats, on the objects that both sides have. A metric fails if it becomes "
            "worse by more than its limit, which counts the noise of objects and of seeds. Where nothing has become worse, at "
            "most " (to_digits(100.0 * found.false_alarms, 3)) " % of checks fail."
        }
    }
}

/// One evaluation.
fn block(name_of: &str, evaluation: &CheckedEvaluation, at: usize) -> Markup {
    html! {
        h3 { "Scored by " code { (name_of) } }
        @if let Some(objects) = evaluation.objects {
            p.dim {
                (count(objects, "object")) " in common"
                @if let Some(positives) = evaluation.positives { ", " (positives) " of them positive" }
                @if let (Some(now), Some(before)) = (evaluation.repeats, evaluation.baseline_repeats) {
                    "; " (count(now, "repeat")) " now, " (before) " in the baseline"
                }
                @if let Some(average) = &evaluation.average { "; " (average) " averages over classes" }
                "."
            }
        }
        @if !evaluation.metrics.is_empty() {
            div class="forests" data-evaluation=(at) {}
            (judged_table(evaluation))
        }
        @for note in &evaluation.notes { p.note { (note) } }
    }
}

fn judged_table(evaluation: &CheckedEvaluation) -> Markup {
    html! {
        div.wide {
            table {
                thead {
                    tr {
                        th scope="col" { "metric" }
                        th.number scope="col" { "baseline" }
                        th.number scope="col" { "now" }
                        th.number scope="col" { "difference" }
                        th.number scope="col" { abbr title="The largest change for the worse that passes" { "limit" } }
                        th scope="col" { "verdict" }
                        th.number scope="col" { abbr title="The drop that is caught with a chance of 93 %" { "catches" } }
                    }
                }
                tbody {
                    @for (_, judged) in evaluation.metrics.iter() {
                        tr {
                            th scope="row" { (name(judged.metric)) }
                            td.number { (plain(judged.baseline)) }
                            td.number { (plain(judged.now)) }
                            td.number { (difference(&judged.difference)) }
                            td.number { (plain(judged.limit)) }
                            td { (verdict(judged.verdict)) }
                            td.number { (plain(judged.detectable)) }
                        }
                    }
                }
            }
        }
    }
}

fn verdict(judgement: Judgement) -> Markup {
    let class = match judgement {
        Judgement::Worse => "bad",
        Judgement::Better => "good",
        Judgement::Ok => "",
    };
    html! { span class=(class) { (judgement.word()) } }
}

/// How the stages stand to the baseline: in short, then those that differ.
fn stages(found: &CheckFinished) -> Markup {
    let stages = found.stages.iter();
    let same = stages
        .clone()
        .filter(|(_, stage)| matches!(stage, CheckedStage::Same))
        .count();
    html! {
        h3 { "What differs from the baseline" }
        p {
            (count(same, "stage")) " of " (found.stages.len())
            " with the recipe and the bytes of the baseline."
        }
        @if same < found.stages.len() {
            div.wide {
                table {
                    thead { tr { th scope="col" { "stage" } th scope="col" { "differs" } } }
                    tbody {
                        @for (name, stage) in stages.filter(|(_, stage)| !matches!(stage, CheckedStage::Same)) {
                            tr { th scope="row" { (name) } td { (standing(stage)) } }
                        }
                    }
                }
            }
        }
    }
}

fn standing(stage: &CheckedStage) -> Markup {
    html! {
        @match stage {
            CheckedStage::Same => "the same",
            CheckedStage::New => "not in the baseline",
            CheckedStage::Gone => "no longer in the pipeline",
            CheckedStage::Changed { changes } => {
                @for change in changes { div { code { (change) } } }
            },
            CheckedStage::Nondeterministic { outputs } => {
                span.bad { "The same recipe gave other bytes:" }
                @for (name, output) in outputs.iter() {
                    div { (name) " was " code { (start(&output.baseline)) } ", is " code { (start(&output.now)) } }
                }
            },
        }
    }
}

/// The start of a digest.
fn start(digest: &str) -> &str {
    digest.get(..15).unwrap_or(digest)
}

fn data(found: &CheckFinished, earlier: &[CheckFinished]) -> Json {
    let evaluations = found.evaluations.iter().map(|(name, evaluation)| {
        let metrics = evaluation.metrics.iter();
        let metrics = metrics.map(|(key, judged)| {
            json!({
                "metric": metric(judged.metric),
                "found": judged_data(judged),
                "past": past(earlier, found, name, key),
            })
        });
        json!({"name": name, "metrics": metrics.collect::<Vec<Json>>()})
    });
    json!({ "evaluations": evaluations.collect::<Vec<Json>>() })
}

/// Which way a metric becomes worse: -1 for a metric of which more is better.
fn worse(metric: Metric) -> f64 {
    match metric.direction() {
        Some(Direction::Minimise) => 1.0,
        _ => -1.0,
    }
}

/// A difference as `flow.forest` draws it.
fn judged_data(judged: &Judged) -> Json {
    let [value, low, high] = ends(&judged.difference);
    json!({
        "value": value,
        "low": low,
        "high": high,
        "before": rounded(judged.baseline),
        "after": rounded(judged.now),
        "limit": rounded(worse(judged.metric) * judged.limit),
        "verdict": judged.verdict.word(),
    })
}

/// A metric in earlier checks and this one: the run, the value, that of the baseline, the last value that
/// passes, and the verdict.
fn past(earlier: &[CheckFinished], found: &CheckFinished, evaluation: &str, metric: &str) -> Json {
    let checks = earlier.iter().chain([found]).filter_map(|check| {
        let judged = check.evaluations.get(evaluation)?.metrics.get(metric)?;
        let floor = judged.baseline + worse(judged.metric) * judged.limit;
        let figures = [judged.now, judged.baseline, floor].map(rounded);
        let [now, baseline, floor] = figures;
        Some(json!([
            check.run,
            now,
            baseline,
            floor,
            judged.verdict.word()
        ]))
    });
    checks.collect()
}
