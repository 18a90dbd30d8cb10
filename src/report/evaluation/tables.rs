//! The metrics, the confusion matrix, and what plots show, as tables.

use flow_stages::evaluation::Metric;
use flow_stages::inspection::{ClassCurves, CurveBand, Inspection, SliceSet};
use maud::{Markup, html};
use serde_json::Value as Json;

use super::read::EvaluationFiles;
use crate::report::summary::grouped;

/// A figure with three decimals; `-` if it is undefined.
pub fn figure(value: Option<f64>) -> String {
    match value.filter(|value| value.is_finite()) {
        Some(value) => format!("{value:.3}"),
        None => "-".to_owned(),
    }
}

/// An interval; `-` if nothing is known of noise.
fn interval(ends: Option<(f64, f64)>) -> String {
    match ends.filter(|(low, high)| low.is_finite() && high.is_finite()) {
        Some((low, high)) => format!("[{low:.3}, {high:.3}]"),
        None => "-".to_owned(),
    }
}

/// The class of the cells of a column: all but the first hold numbers.
fn number(column: usize) -> Option<&'static str> {
    (column > 0).then_some("number")
}

/// A table with headings, the first column of which is text.
pub fn table(caption: &str, headings: &[&str], rows: &[Vec<String>]) -> Markup {
    html! {
        div.wide {
            table {
                @if !caption.is_empty() { caption { (caption) } }
                thead {
                    tr {
                        @for (at, heading) in headings.iter().enumerate() {
                            th class=[number(at)] scope="col" { (heading) }
                        }
                    }
                }
                tbody {
                    @for row in rows {
                        tr { @for (at, cell) in row.iter().enumerate() { td class=[number(at)] { (cell) } } }
                    }
                }
            }
        }
    }
}

/// The metrics that an evaluation reported, with their intervals.
pub fn metrics(metrics: &Json) -> Markup {
    let order = Metric::BINARY.into_iter().chain(Metric::MACRO);
    let mut seen = Vec::new();
    let mut rows = Vec::new();
    for metric in order {
        let Some(values) = metrics
            .get(metric.key())
            .filter(|_| !seen.contains(&metric))
        else {
            continue;
        };
        seen.push(metric);
        let number = |name: &str| values.get(name).and_then(Json::as_f64);
        let average = values.get("average").and_then(Json::as_str);
        let average = average.map_or(String::new(), |average| format!(" ({average})"));
        let folds = match number("mean").zip(number("std")) {
            Some((mean, std)) => format!("{mean:.3} ± {std:.3}"),
            None => figure(number("mean")),
        };
        rows.push(vec![
            format!("{}{average}", metric.title()),
            figure(number("pooled")),
            interval(number("low").zip(number("high"))),
            folds,
        ]);
    }
    if rows.is_empty() {
        return html! {};
    }
    html! {
        div {
            h4 { "Metrics" }
            p.dim {
                "F1, precision and recall are at thresholds that each fold gets from the others, those named _fixed at "
                "the fixed threshold, and those named _oracle at the best one on the scored objects, which is optimistic. "
                "Of folds, the mean and the standard deviation."
            }
            (table("", &["metric", "all objects", "95 % interval", "folds"], &rows))
        }
    }
}

/// The confusion matrix, with counts and shares of the true class.
pub fn confusion(evaluated: &EvaluationFiles) -> Markup {
    let by_label = (evaluated.inspection.as_ref()).map(|inspection| &inspection.by_label);
    let matrix = evaluated.metrics.get("confusion");
    let classes: Vec<&str> = matrix
        .and_then(|matrix| matrix.get("classes")?.as_array())
        .map_or(Vec::new(), |all| {
            all.iter().filter_map(Json::as_str).collect()
        });
    let positive = evaluated
        .inspection
        .as_ref()
        .and_then(|i| i.positive.as_deref());
    if let (Some(by_label), Some(positive)) =
        (by_label.filter(|all| !all.classes.is_empty()), positive)
    {
        let row = |(name, found, rest): &(String, u64, u64)| (name.clone(), vec![*found, *rest]);
        let mut rows: Vec<(String, Vec<u64>)> = by_label.classes.iter().map(row).collect();
        if rows.len() > 2 {
            let sum = |at: usize| rows[1..].iter().map(|row| row.1[at]).sum();
            rows.push((format!("all but {positive}"), vec![sum(0), sum(1)]));
        }
        let columns = [format!("as {positive}"), "as another class".to_owned()];
        return matrix_table(
            "Objects by true class, and how they are predicted at thresholds that each fold gets from the others; \
             shares are of the true class.",
            &columns,
            &rows,
        );
    }
    let counts = matrix.and_then(|matrix| matrix.get("counts")?.as_array());
    let Some(counts) = counts else {
        return html! {};
    };
    let row = |row: &Json| -> Vec<u64> {
        let cells = row.as_array().into_iter().flatten();
        cells.filter_map(Json::as_u64).collect()
    };
    let names = classes.iter().map(|class| (*class).to_owned());
    let rows: Vec<(String, Vec<u64>)> = names.zip(counts.iter().map(row)).collect();
    let columns: Vec<String> = classes.iter().map(|class| format!("as {class}")).collect();
    matrix_table(
        "Objects by true class, and the class that they are predicted as; shares are of the true class.",
        &columns,
        &rows,
    )
}

fn matrix_table(caption: &str, columns: &[String], rows: &[(String, Vec<u64>)]) -> Markup {
    let cell = |count: u64, row: &[u64]| {
        let total = row.iter().sum::<u64>().max(1);
        let share = 100.0 * count as f64 / total as f64;
        // The color is for the eye, the number says the same.
        let paint = format!(
            "padding-left: 0.75rem; background: color-mix(in srgb, var(--series-0) {:.0}%, transparent)",
            0.45 * share
        );
        html! {
            td.number style=(paint) {
                (grouped(count as usize)) " " span.dim { (format!("{share:.1} %")) }
            }
        }
    };
    html! {
        div {
            h4 { "Confusion" }
            p.dim { (caption) }
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
                                @for count in counts { (cell(*count, counts)) }
                                td.number { (grouped(counts.iter().sum::<u64>() as usize)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Metrics of slices.
pub fn slices(inspection: &Inspection) -> Markup {
    if inspection.slices.is_empty() {
        return html! {};
    }
    html! {
        details {
            summary { "Metrics by " (list(&inspection.slices)) ", as tables" }
            @for slices in &inspection.slices { (slice_table(slices, inspection.positive.as_deref())) }
        }
    }
}

fn list(slices: &[SliceSet]) -> String {
    let names: Vec<&str> = slices.iter().map(|slices| title(slices.by)).collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// What slices are by, in words.
fn title(by: &str) -> &str {
    match by {
        "magnitude" => "magnitude at peak",
        "points" => "number of observations",
        by => by,
    }
}

fn slice_table(slices: &SliceSet, positive: Option<&str>) -> Markup {
    let figures = slices.slices.iter().find(|slice| !slice.figures.is_empty());
    let metrics: Vec<Metric> = figures.map_or(Vec::new(), |slice| {
        slice.figures.iter().map(|figure| figure.metric).collect()
    });
    html! {
        div.wide {
            table {
                caption { "By " (title(slices.by)) }
                thead {
                    tr {
                        th scope="col" { (title(slices.by)) }
                        th.number scope="col" { "objects" }
                        @if let Some(positive) = positive { th.number scope="col" { (positive) } }
                        @for metric in &metrics { th.number scope="col" { (metric.title()) } }
                    }
                }
                tbody {
                    @for slice in &slices.slices {
                        tr {
                            td { (slice.name) }
                            td.number { (grouped(slice.rows as usize)) }
                            @if let Some(positives) = slice.positives { td.number { (grouped(positives as usize)) } }
                            @if slice.figures.is_empty() {
                                td.dim colspan=(metrics.len().max(1)) { "too few to say anything" }
                            }
                            @for found in &slice.figures {
                                td.number {
                                    (figure(found.value))
                                    @if found.interval.is_some() { " " span.dim { (interval(found.interval)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Purity and completeness at thresholds and among the highest scores.
pub fn readings(inspection: &Inspection) -> Markup {
    let classes = inspection.classes.iter();
    let curves = classes.filter_map(|class| Some((class.name.as_str(), class.curves.as_ref()?)));
    html! {
        @for (name, curves) in curves {
            details {
                summary { "Purity and completeness of " (name) ", as tables" }
                (by_threshold(curves))
                (by_budget(curves))
            }
        }
    }
}

fn by_threshold(curves: &ClassCurves) -> Markup {
    let ends = curves.purity.x.first().copied().unwrap_or(1.0);
    let tenth = |x: f64| {
        let tenths = x / ends * 10.0;
        (tenths - tenths.round()).abs() < 1e-9
    };
    let rows = rows(&curves.purity, &curves.completeness, tenth, |x| {
        format!("{}", (x * 1e6).round() / 1e6)
    });
    table(
        "By threshold: the share of the objects that score at least as high which belong to the class (purity), and \
         the share of the class that they are (completeness)",
        &["threshold", "purity", "95 %", "completeness", "95 %"],
        &rows,
    )
}

fn by_budget(curves: &ClassCurves) -> Markup {
    let round = |x: f64| {
        let digits = format!("{x:.0}");
        let first = digits.trim_end_matches('0');
        x >= 10.0 && ["1", "2", "5"].contains(&first)
    };
    let rows = rows(&curves.top_purity, &curves.top_completeness, round, |x| {
        grouped(x as usize)
    });
    table(
        "Among the objects that score highest",
        &["objects", "purity", "95 %", "completeness", "95 %"],
        &rows,
    )
}

/// The places of two curves that `wanted` picks, as rows.
fn rows(
    purity: &CurveBand,
    completeness: &CurveBand,
    wanted: impl Fn(f64) -> bool,
    text: impl Fn(f64) -> String,
) -> Vec<Vec<String>> {
    let places = (0..purity.x.len()).filter(|&at| wanted(purity.x[at]));
    let row = |at: usize| {
        let cells = [purity, completeness].map(|band| {
            let value = figure(Some(band.y[at]));
            [value, interval(Some((band.low[at], band.high[at])))]
        });
        let cells = cells.into_iter().flatten();
        std::iter::once(text(purity.x[at])).chain(cells).collect()
    };
    places.map(row).collect()
}

/// Whether probabilities mean what they say.
pub fn reliability(metrics: &Json) -> Markup {
    let bins = metrics
        .get("reliability")
        .and_then(|all| all.get("bins")?.as_array());
    let Some(bins) = bins.filter(|bins| !bins.is_empty()) else {
        return html! {};
    };
    let row = |bin: &Json| {
        let number = |name: &str| bin.get(name).and_then(Json::as_f64);
        let bound = |name: &str| number(name).map_or(String::new(), |value| format!("{value:.1}"));
        vec![
            format!("{} to {}", bound("from"), bound("to")),
            grouped(number("rows").unwrap_or_default() as usize),
            figure(number("predicted")),
            figure(number("observed")),
            interval(number("low").zip(number("high"))),
        ]
    };
    let rows: Vec<Vec<String>> = bins.iter().map(row).collect();
    html! {
        details {
            summary { "Reliability, as a table" }
            (table(
                "Objects by predicted probability, and the share of them that came true",
                &["probability", "objects", "mean probability", "share", "95 %"],
                &rows,
            ))
        }
    }
}
