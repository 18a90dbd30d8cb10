//! The metrics, and what plots show, as tables.

use flow_stages::evaluation::Metric;
use flow_stages::inspection::{ClassCurves, CurveBand, Inspection, SliceSet};
use maud::{Markup, html};
use serde_json::Value as Json;

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
    let mut averaged = false;
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
        averaged |= average.is_some();
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
                @if averaged {
                    "F1, precision and recall are means over classes, of the most probable class of each object. "
                } @else {
                    "F1, precision and recall are at thresholds that each fold gets from the others, those named _fixed at "
                    "the fixed threshold, and those named _oracle at the best one on the scored objects, which is optimistic. "
                }
                "Of folds, the mean and the standard deviation."
            }
            (table("", &["metric", "all objects", "95 % interval", "folds"], &rows))
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn metrics_have_their_figures() {
        let f1 = json!({"pooled": 0.66666, "low": 0.6, "high": 0.7, "mean": 0.65, "std": 0.01});
        let text = metrics(&json!({"f1": f1, "threshold": {"pooled": null}})).into_string();
        for part in [
            "F1<",
            "0.667",
            "[0.600, 0.700]",
            "0.650 ± 0.010",
            ">threshold<",
            ">-<",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.contains("at thresholds that each fold gets"), "{text}");
        let f1 = json!({"pooled": 0.5, "average": "macro"});
        let text = metrics(&json!({"f1": f1})).into_string();
        assert!(text.contains("F1 (macro)"), "{text}");
        assert!(text.contains("means over classes"), "{text}");
        assert_eq!(metrics(&Json::Null).into_string(), "");
    }

    #[test]
    fn places_are_picked_by_their_numbers() {
        let band = |y: f64| CurveBand {
            x: vec![1.0, 10.0, 30.0, 200.0],
            y: vec![y; 4],
            low: vec![f64::NAN; 4],
            high: vec![f64::NAN; 4],
        };
        let curves = ClassCurves {
            precision: band(0.0),
            roc: band(0.0),
            purity: band(0.0),
            completeness: band(0.0),
            top_purity: band(0.5),
            top_completeness: band(0.25),
        };
        let text = by_budget(&curves).into_string();
        assert!(text.contains(">10<") && text.contains(">200<") && text.contains(">0.250<"));
        assert!(!text.contains(">30<") && !text.contains("NaN"), "{text}");
    }
}
