//! Two runs side by side, what differs first.
//!
//! [`mod@paired`] compares their evaluations; [`differing`] shows what differs in what was asked for and in
//! the recipes, as `flow compare` finds it.

mod differing;
mod paired;

use flow_engine::StageError;
use flow_stages::comparison::{ChangedObject, Sides};
use flow_stages::evaluation::Metric;
use maud::{Markup, html};
use serde_json::{Value as Json, json};

use self::paired::{Paired, paired};
use super::Recorded;
use super::ablation::{paired_data, paired_table, verdict};
use super::numbers::{difference, metric, name, plain};
use super::section::{Drawing, Section, rounded};
use super::summary;
use crate::event::RunsCompared;
use crate::wording::count;

/// The most objects that a list shows, and that the plot does.
const LISTED: usize = 40;
const DRAWN: usize = 1000;

/// The section.
///
/// # Errors
/// The store cannot be read.
pub fn section(
    first: &Recorded<'_>,
    second: &Recorded<'_>,
    compared: &RunsCompared,
) -> Result<Section, StageError> {
    let pairs = paired(first, second)?;
    let sentences = [summary::sentence(first)?, summary::sentence(second)?];
    Ok(Section {
        id: "pair",
        title: "What differs".to_owned(),
        html: html! {
            (lead(&pairs))
            p.dim {
                "A is run " code { (first.id) } ", B is run " code { (second.id) } ". Differences are B less A."
            }
            (differing::circumstances(compared))
            (differing::stages(compared))
            @for (at, pair) in pairs.iter().enumerate() { (block(pair, at)) }
            (differing::metrics(compared))
            h3 { "Each by itself" }
            @for (letter, sentence) in ["A", "B"].into_iter().zip(&sentences) {
                h4 { (letter) }
                (sentence)
            }
        },
        drawing: Some(Drawing {
            script: concat!(
                include_str!("../assets/forest.js"),
                include_str!("../assets/pair.js")
            ),
            data: json!({ "pairs": pairs.iter().map(data).collect::<Vec<Json>>() }),
        }),
    })
}

/// The difference in the primary metric of each evaluation.
fn lead(pairs: &[Paired]) -> Markup {
    html! {
        @if pairs.is_empty() {
            p.headline { "No evaluation is in both runs." }
        }
        @for pair in pairs {
            @if let Some(found) = pair.found(Metric::Ap) {
                p.headline {
                    @if pairs.len() > 1 { (pair.stage) ": " }
                    (name(Metric::Ap)) " " strong { (plain(found.base)) " \u{2192} " (plain(found.arm)) }
                    ", " (difference(&found.difference)) ": " (verdict(found.verdict))
                }
            }
        }
    }
}

/// One evaluation that both runs have.
fn block(pair: &Paired, at: usize) -> Markup {
    html! {
        h3 { "Scored by " code { (pair.stage) } }
        @for note in &pair.notes { p.note { (note) } }
        @if let Some(comparison) = &pair.comparison {
            @let rows: Vec<_> = (comparison.metrics.iter())
                .map(|(metric, found)| (pair.stage.as_str(), *metric, found))
                .collect();
            div class="forests" data-pair=(at) {}
            (paired_table(None, ["A", "B"], &rows))
        }
        @if let Some(sides) = &pair.sides { (changed(sides, at)) }
    }
}

/// The objects that are classified otherwise.
fn changed(sides: &Sides, at: usize) -> Markup {
    html! {
        h4 { "Objects that changed sides" }
        div.wide {
            table {
                thead {
                    tr { td {} th.number scope="col" { "right in B" } th.number scope="col" { "wrong in B" } }
                }
                tbody {
                    tr {
                        th scope="row" { "right in A" }
                        td.number { (sides.both_right) }
                        td.number.bad { (sides.lost.len()) }
                    }
                    tr {
                        th scope="row" { "wrong in A" }
                        td.number.good { (sides.gained.len()) }
                        td.number { (sides.both_wrong) }
                    }
                }
            }
        }
        p.dim {
            "An object is right if it is so in more than half of the repeats, at the thresholds that other folds choose, or as "
            "its most probable class."
            @if sides.unpaired > 0 {
                " " (count(sides.unpaired, "object")) " that only one run has, or that have another class there, are left out."
            }
        }
        div class="changed" data-pair=(at) {}
        (objects("Wrong in A, right in B", &sides.gained))
        (objects("Right in A, wrong in B", &sides.lost))
    }
}

fn objects(heading: &str, list: &[ChangedObject]) -> Markup {
    html! {
        @if !list.is_empty() {
            details open[list.len() <= 10] {
                summary { (heading) ": " (count(list.len(), "object")) }
                div.wide {
                    table {
                        thead {
                            tr {
                                th scope="col" { "object" }
                                th scope="col" { "class" }
                                th.number scope="col" { "score in A" }
                                th.number scope="col" { "score in B" }
                                th.number scope="col" { "right in A" }
                                th.number scope="col" { "right in B" }
                            }
                        }
                        tbody { @for object in list.iter().take(LISTED) { (object_row(object)) } }
                    }
                }
                @if list.len() > LISTED {
                    p.dim { "The " (LISTED) " whose scores differ most." }
                }
            }
        }
    }
}

fn object_row(object: &ChangedObject) -> Markup {
    let share = |share: f64| format!("{:.0} %", 100.0 * share);
    html! {
        tr {
            th scope="row" { (object.id) }
            td { (class(object)) }
            @for score in object.scores { td.number { (plain(score)) } }
            @for right in object.right { td.number { (share(right)) } }
        }
    }
}

fn class(object: &ChangedObject) -> &str {
    match (&object.class, object.positive) {
        (Some(class), _) => class,
        (None, true) => "positive",
        (None, false) => "other",
    }
}

fn data(pair: &Paired) -> Json {
    let metrics = pair.comparison.iter().flat_map(|found| &found.metrics);
    let metrics = metrics
        .map(|(which, found)| json!({"metric": metric(*which), "found": paired_data(found)}));
    let objects = pair.sides.iter().flat_map(|sides| {
        let half = DRAWN / 2;
        let gained = sides.gained.iter().take(half).map(|object| (object, 1));
        gained.chain(sides.lost.iter().take(half).map(|object| (object, 0)))
    });
    let objects = objects.map(|(object, gained)| {
        let [a, b] = object.scores.map(rounded);
        json!([object.id, class(object), a, b, gained])
    });
    json!({
        "name": pair.stage,
        "margin": pair.margin,
        "metrics": metrics.collect::<Vec<Json>>(),
        "objects": objects.collect::<Vec<Json>>(),
    })
}
