//! What differs in what two runs were asked for, in their recipes, and in what they report.

use maud::{Markup, html};
use serde_json::Value as Json;

use super::super::numbers::{plain, signed};
use crate::event::{
    ComparedCircumstance, ComparedStage, DivergenceReason, FieldChange, RunsCompared,
};

/// The most values that a table has, the most fields that are named for a stage, and the longest text of a
/// value.
const ROWS: usize = 100;
const FIELDS: usize = 6;
const TEXT: usize = 80;

/// What the runs were asked for, their pipelines, versions and machines, where these differ.
pub fn circumstances(compared: &RunsCompared) -> Markup {
    let about = [
        ("asked", "In what was asked for"),
        ("pipeline", "In the pipeline"),
        ("version", "In versions"),
        ("host", "In machines"),
    ];
    html! {
        @for (about, heading) in about {
            @let found = compared.circumstances.iter().filter(|found| found.about == about);
            @let found: Vec<&ComparedCircumstance> = found.collect();
            @if !found.is_empty() {
                h3 { (heading) }
                (two_columns(&found))
            }
        }
    }
}

fn two_columns(found: &[&ComparedCircumstance]) -> Markup {
    let cell = |value: &Option<String>| {
        html! { @match value { Some(value) => code { (value) }, None => span.dim { "-" } } }
    };
    html! {
        div.wide {
            table {
                thead { tr { td {} th scope="col" { "A" } th scope="col" { "B" } } }
                tbody {
                    @for found in found.iter().take(ROWS) {
                        tr { th scope="row" { (found.name) } td { (cell(&found.old)) } td { (cell(&found.new)) } }
                    }
                }
            }
        }
        @if found.len() > ROWS {
            p.dim { ((found.len() - ROWS)) " more: " code { "flow compare" } " has all of them in its event." }
        }
    }
}

/// The stages whose recipes or results differ.
pub fn stages(compared: &RunsCompared) -> Markup {
    if compared.stages.is_empty() {
        return html! {
            p.note { "One of the runs was recorded without its actions, so their recipes cannot be compared." }
        };
    }
    let differing: Vec<_> = (compared.stages.iter())
        .filter(|(_, stage)| !stage.equal)
        .collect();
    let same = compared.stages.len() - differing.len();
    html! {
        h3 { "In recipes and results" }
        @if differing.is_empty() {
            p { "All " (same) " stages have the same recipes and the same results." }
        } @else {
            p { (same) " of " (compared.stages.len()) " stages have the same recipes and the same results." }
            (first(compared))
            div.wide {
                table {
                    thead {
                        tr {
                            th scope="col" { "stage" }
                            th scope="col" { "changed" }
                            th.number scope="col" { "actions in A" }
                            th.number scope="col" { "in B" }
                            th.number scope="col" { "same recipe" }
                            th.number scope="col" { "same results" }
                        }
                    }
                    tbody {
                        @for (name, stage) in &differing {
                            tr {
                                th scope="row" { (name) }
                                td.whole { (changed(stage)) }
                                @for actions in stage.actions { td.number { @if let Some(n) = actions { (n) } @else { "-" } } }
                                td.number { (stage.same_recipe) }
                                td.number { (stage.same_outputs) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn changed(stage: &ComparedStage) -> Markup {
    match stage.actions {
        [None, _] => return html! { "only in B" },
        [_, None] => return html! { "only in A" },
        _ => {}
    }
    let changes: Vec<&FieldChange> = stage.fields.iter().flat_map(|f| &f.changes).collect();
    html! {
        @for field in changes.iter().take(FIELDS) { div { (change(field)) } }
        @if changes.len() > FIELDS { div.dim { (changes.len() - FIELDS) " more" } }
        @if stage.without_record > 0 { div.dim { (stage.without_record) " without a record" } }
    }
}

/// `params.kernels: 5000 -> 2000`; of inputs only that they differ.
fn change(field: &FieldChange) -> Markup {
    html! {
        @match (&field.old, &field.new) {
            (Json::Null, Json::Null) => span.dim { (field.path) },
            (Json::Null, new) => code { (field.path) ": new, " (short(new)) },
            (old, Json::Null) => code { (field.path) ": gone, was " (short(old)) },
            (old, new) => code { (field.path) ": " (short(old)) " \u{2192} " (short(new)) },
        }
    }
}

fn short(value: &Json) -> String {
    let text = match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.chars().count() > TEXT {
        true => text.chars().take(TEXT - 1).chain(['\u{2026}']).collect(),
        false => text,
    }
}

/// The first action that came out differently.
fn first(compared: &RunsCompared) -> Markup {
    let Some(first) = &compared.first_divergence else {
        return html! {};
    };
    html! {
        p {
            "The first action to differ is " code { (first.stage) ": " (first.action) } ": "
            @match &first.why {
                DivergenceReason::Recipe { changes } => {
                    "its recipe differs in "
                    @for (at, field) in changes.iter().take(FIELDS).enumerate() { @if at > 0 { ", " } (change(field)) }
                    "."
                },
                DivergenceReason::Nondeterminism => {
                    strong.bad { "its recipe is the same and its bytes are not" } ", so it is not deterministic."
                },
                DivergenceReason::NoRecord { .. } => "its recipes differ, and the store no longer says in what.",
                DivergenceReason::Only { run } => { "only run " code { (run) } " has it." },
            }
        }
    }
}

/// All metrics as the stages report them.
pub fn metrics(compared: &RunsCompared) -> Markup {
    html! {
        @if !compared.metrics.is_empty() {
            details {
                summary { "All metrics as reported" }
                p.dim {
                    "Pooled over the objects of a repeat and averaged over repeats, where the figures above are of scores "
                    "averaged over repeats."
                }
                div.wide {
                    table {
                        thead {
                            tr {
                                th scope="col" { "metric" }
                                th.number scope="col" { "A" }
                                th.number scope="col" { "B" }
                                th.number scope="col" { "difference" }
                            }
                        }
                        tbody {
                            @for (name, found) in compared.metrics.iter() {
                                tr {
                                    th scope="row" { (name) }
                                    @for value in [found.old, found.new] {
                                        td.number { (value.map_or("-".to_owned(), plain)) }
                                    }
                                    td.number { (found.difference.map_or("-".to_owned(), signed)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
