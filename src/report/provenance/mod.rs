//! Where the numbers of a run come from: its graph with what became of each stage, when actions ran, the account of
//! the data, the recipe of every stage, and how to repeat the run.
//!
//! - `graph` draws the stages, at the places that `layout` finds;
//! - `timeline`: which actions ran when;
//! - `stages`: the recipe of each;
//! - `data`: what `ingest` read and dropped.
//!
//! Begin with [`section`].

mod data;
mod graph;
mod layout;
mod stages;
mod timeline;

use std::collections::HashMap;

use flow_engine::StageError;
use flow_stages::inspection::DataAccount;
use maud::{Markup, html};

use self::graph::{GraphNode, graph};
use self::stages::StageFacts;
use self::timeline::{Timeline, timeline};
use super::Recorded;
use super::section::{Drawing, Section};
use super::summary::grouped;
use crate::record::{GitState, RunRecord};
use crate::wording::{count, seconds};

/// What draws the timeline.
const SCRIPT: &str = include_str!("../assets/provenance.js");

/// The anchor of a stage in the table of recipes.
pub fn anchor(stage: &str) -> String {
    let plain = |c: char| match c {
        c if c.is_ascii_alphanumeric() || c == '_' || c == '-' => c,
        _ => '.',
    };
    format!("stage-{}", stage.chars().map(plain).collect::<String>())
}

/// The section of a run. A page that shows results alone has the account of the data.
///
/// # Errors
/// The store cannot be read.
pub fn section(run: &Recorded<'_>) -> Result<Section, StageError> {
    let section = |html, drawing| Section {
        id: "provenance",
        title: "Provenance".to_owned(),
        html,
        drawing,
    };
    if run.only_results {
        return Ok(section(accounts(run)?, None));
    }
    let record = &run.record;
    let facts = facts(run)?;
    let order: Vec<&str> = record
        .stages
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let timeline = timeline(&run.times, &order);
    let html = html! {
        (drawing(record, &facts))
        (when(record, timeline.as_ref()))
        (accounts(run)?)
        h3 { "Recipes" }
        p {
            "Every number follows from the recipes of a stage and of the stages above it. Equal keys stand for "
            "equal recipes, and equal recipes give equal bytes."
        }
        @for stage in &facts { (stage.details()) }
        (again(record))
    };
    let drawing = Drawing {
        script: SCRIPT,
        data: serde_json::json!({ "timeline": timeline }),
    };
    Ok(section(html, Some(drawing)))
}

/// What is known of each stage, in order.
fn facts<'a>(run: &'a Recorded<'a>) -> Result<Vec<StageFacts<'a>>, StageError> {
    let mut all = Vec::new();
    for (name, stage) in run.record.stages.iter() {
        let first = run.actions(name).first().map(|action| action.key);
        let key = first.or_else(|| stage.keys.iter().flatten().next().copied());
        all.push(StageFacts {
            run,
            name,
            stage,
            recipe: match key {
                Some(key) => run.recipe(&key)?,
                None => None,
            },
        });
    }
    Ok(all)
}

/// The graph, or why there is none.
fn drawing(record: &RunRecord, facts: &[StageFacts<'_>]) -> Markup {
    let place: HashMap<&str, usize> = facts.iter().map(|stage| stage.name).zip(0..).collect();
    let nodes = facts.iter().map(|facts| {
        let references = facts.stage.inputs.values().flatten();
        let kind = facts.stage.kind.clone().unwrap_or_default();
        GraphNode {
            name: facts.name.to_owned(),
            lines: vec![kind, facts.line()],
            verdict: facts.worst(),
            anchor: anchor(facts.name),
            inputs: references
                .filter_map(|reference| place.get(reference.rsplit_once('.')?.0).copied())
                .collect(),
        }
    });
    let known = record.stages.iter().any(|(_, stage)| stage.kind.is_some());
    let [ran, hit, failed] = [
        record.sum(|stage| stage.ran),
        record.sum(|stage| stage.hit),
        record.sum(|stage| stage.failed),
    ];
    let label = format!(
        "{}: {} actions ran, {} were hits, {} failed",
        count(facts.len(), "stage"),
        grouped(ran),
        grouped(hit),
        grouped(failed),
    );
    html! {
        h3 { "Graph" }
        p { (label) ". A box leads to the recipe of its stage." }
        @if known {
            (graph(&nodes.collect::<Vec<_>>(), &label))
        } @else {
            p.dim { "The version of flow that recorded this run did not record what stages read, so there is no graph." }
        }
    }
}

/// What ran when, in words and as a table; the script draws it.
fn when(record: &RunRecord, timeline: Option<&Timeline>) -> Markup {
    let cpu_s: f64 = record
        .stages
        .iter()
        .map(|(_, stage)| stage.figures.cpu_s)
        .sum();
    html! {
        h3 { "Time" }
        @if let Some(timeline) = timeline {
            p {
                (grouped(timeline.actions)) " actions ran within " (seconds(timeline.end_s)) " and used "
                (seconds(cpu_s)) " of CPU."
            }
            div data-figure="actions" {}
            div data-figure="cpu" {}
            details {
                summary { "The longest actions" }
                table {
                    thead { tr { th { "action" } th .number { "time" } th .number { "CPU" } } }
                    tbody {
                        @for (stage, label, wall_s, cpu_s) in &timeline.longest {
                            tr {
                                td { a href={ "#" (anchor(stage)) } { (stage) } ": " (label) }
                                td .number { (seconds(*wall_s)) }
                                td .number { (seconds(*cpu_s)) }
                            }
                        }
                    }
                }
            }
        } @else if record.sum(|stage| stage.ran) == 0 {
            p { "Nothing ran: every action was a hit. The run took " (seconds(record.wall_s)) "." }
        } @else {
            p.dim { "The record does not say when actions ran. They used " (seconds(cpu_s)) " of CPU." }
        }
    }
}

/// The account of every `ingest` stage, if the store still has its report.
fn accounts(run: &Recorded<'_>) -> Result<Markup, StageError> {
    let mut accounts = Vec::new();
    for stage in run.of_kind("ingest") {
        let parts = run.parts(stage, "report")?.unwrap_or_default();
        let account = parts.first().map(|part| DataAccount::read(&part.path));
        accounts.push((stage, account.transpose()?));
    }
    Ok(html! {
        @if !accounts.is_empty() { h3 { "Data" } }
        @for (stage, account) in &accounts {
            @match account {
                Some(account) => (data::account(stage, account)),
                None => p.dim {
                    "The store no longer has the report of " code { (stage) } ". "
                    code { "flow export" } " makes it again."
                },
            }
        }
    })
}

/// How to repeat the run, and what it ran with.
fn again(record: &RunRecord) -> Markup {
    let known = |text: &Option<String>| text.clone().unwrap_or_default();
    let facts = [
        ("command", record.again()),
        ("in", known(&record.cwd)),
        ("pipeline", known(&record.file)),
        ("set", record.set.join(" ")),
        ("variant", known(&record.variant)),
        (
            "commit",
            record.git.as_ref().map_or(String::new(), GitState::long),
        ),
        ("store", known(&record.store)),
    ];
    let host = record.host.as_ref().map(|host| host.facts());
    html! {
        h3 { "To repeat it" }
        dl {
            @for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
                dt { (name) } dd { code { (value) } }
            }
        }
        h4 { "Versions and machine" }
        table {
            tbody {
                @for (name, version) in record.versions() { tr { th scope="row" { (name) } td { (version) } } }
                @for (name, fact) in host.into_iter().flatten() { tr { th scope="row" { (name) } td { (fact) } } }
            }
        }
        @if let Some(text) = &record.resolved {
            details {
                summary { "The resolved pipeline: with what it extends and all that was set" }
                pre { code { (text) } }
            }
        } @else {
            p.dim { "The version of flow that recorded this run did not record the resolved pipeline." }
        }
    }
}
