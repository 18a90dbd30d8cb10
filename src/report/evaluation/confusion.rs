//! The confusion matrix, with counts and shares of the true class.

use flow_stages::inspection::ByLabel;
use maud::{Markup, html};
use serde_json::Value as Json;

use super::read::EvaluationFiles;
use crate::report::summary::grouped;

/// The confusion matrix: by true class if one class is scored, otherwise as the evaluation reported it.
pub fn markup(evaluated: &EvaluationFiles) -> Markup {
    let inspection = evaluated.inspection.as_ref();
    let by_label = inspection.filter(|inspection| !inspection.by_label.classes.is_empty());
    let positive =
        by_label.and_then(|inspection| Some((inspection, inspection.positive.as_ref()?)));
    html! {
        div {
            h4 { "Confusion" }
            @if inspection.is_some_and(|inspection| inspection.repeats > 1) {
                p.dim { "An object counts once in each repeat." }
            }
            @match positive {
                Some((inspection, positive)) => {
                    (of_positive(&inspection.by_label, positive))
                    @if let Some(all) = &inspection.most_probable {
                        details {
                            summary { "By the most probable class" }
                            (square("and their most probable class", &all.classes, &all.counts))
                        }
                    }
                }
                None => (reported(&evaluated.metrics)),
            }
        }
    }
}

fn of_positive(by_label: &ByLabel, positive: &str) -> Markup {
    let row = |(name, found, rest): &(String, u64, u64)| (name.clone(), vec![*found, *rest]);
    let mut rows: Vec<(String, Vec<u64>)> = by_label.classes.iter().map(row).collect();
    if rows.len() > 2 {
        let sum = |at: usize| rows[1..].iter().map(|row| row.1[at]).sum();
        rows.push((format!("all but {positive}"), vec![sum(0), sum(1)]));
    }
    let columns = [format!("as {positive}"), "as another class".to_owned()];
    let what = "and how they are predicted at thresholds that each fold gets from the others";
    table(what, &columns, &rows)
}

/// The matrix that the evaluation reported, if it did.
fn reported(metrics: &Json) -> Markup {
    let list = |value: Option<&Json>| value.and_then(Json::as_array).cloned().unwrap_or_default();
    let matrix = metrics.get("confusion");
    let classes = list(matrix.and_then(|matrix| matrix.get("classes")));
    let classes: Vec<String> = (classes.iter().filter_map(Json::as_str))
        .map(str::to_owned)
        .collect();
    let counts = list(matrix.and_then(|matrix| matrix.get("counts")));
    let row = |row: &Json| list(Some(row)).iter().filter_map(Json::as_u64).collect();
    let counts: Vec<Vec<u64>> = counts.iter().map(row).collect();
    match counts.is_empty() {
        true => html! { p.dim { "A fold has no threshold, so nothing is predicted." } },
        false => square(
            "and the class that they are predicted as",
            &classes,
            &counts,
        ),
    }
}

/// A matrix with the same classes in rows and columns.
fn square(what: &str, classes: &[String], counts: &[Vec<u64>]) -> Markup {
    let rows = classes.iter().cloned().zip(counts.iter().cloned());
    let columns: Vec<String> = classes.iter().map(|class| format!("as {class}")).collect();
    table(what, &columns, &rows.collect::<Vec<_>>())
}

fn table(what: &str, columns: &[String], rows: &[(String, Vec<u64>)]) -> Markup {
    html! {
        p.dim { "Objects by true class, " (what) "; shares are of the true class." }
        div.wide {
            table {
                thead {
                    tr {
                        th scope="col" { "true class" }
                        @for column in columns { th.number scope="col" { (column) } }
                        th.number scope="col" { "all" }
                    }
                }
                tbody {
                    @for (name, counts) in rows {
                        tr {
                            th scope="row" style="white-space: nowrap" { (name) }
                            @for count in counts { (cell(*count, counts.iter().sum())) }
                            td.number style=(ROOM) { (grouped(counts.iter().sum::<u64>() as usize)) }
                        }
                    }
                }
            }
        }
    }
}

/// Room between a number and the colored cell beside it.
const ROOM: &str = "padding-left: 0.75rem";

fn cell(count: u64, of: u64) -> Markup {
    let share = 100.0 * count as f64 / of.max(1) as f64;
    // The color is for the eye, the number says the same.
    let paint = format!(
        "{ROOM}; background: color-mix(in srgb, var(--series-0) {:.0}%, transparent)",
        0.45 * share
    );
    html! {
        td.number style=(paint) { (grouped(count as usize)) " " span.dim { (format!("{share:.1} %")) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn files(metrics: Json) -> EvaluationFiles {
        EvaluationFiles {
            metrics,
            inspection: None,
            lost: String::new(),
        }
    }

    #[test]
    fn shares_are_of_the_true_class() {
        let confusion = json!({"classes": ["AGN", "<SN>"], "counts": [[3, 1], [0, 0]]});
        let html = markup(&files(json!({ "confusion": confusion }))).into_string();
        let text = html.replace("<span class=\"dim\">", "");
        assert!(
            text.contains("3 75.0 %") && text.contains("1 25.0 %"),
            "{text}"
        );
        // A class without objects has no shares, and a name is no markup.
        assert!(
            text.contains("0 0.0 %") && text.contains("as &lt;SN&gt;"),
            "{text}"
        );
        let none = json!({"confusion": {"classes": ["AGN", "SN"], "counts": null}});
        for metrics in [none, json!({}), Json::Null] {
            let html = markup(&files(metrics)).into_string();
            assert!(html.contains("nothing is predicted"), "{html}");
        }
    }

    #[test]
    fn the_rest_is_the_sum_of_its_classes() {
        let by_label = ByLabel {
            classes: vec![
                ("TDE".into(), 8, 2),
                ("AGN".into(), 3, 1000),
                ("SN".into(), 1, 200),
            ],
        };
        let html = of_positive(&by_label, "TDE").into_string();
        let (_, rest) = html.split_once("all but TDE").expect("a sum");
        assert!(rest.contains("4 <") && rest.contains("1,200 <"), "{rest}");
    }
}
