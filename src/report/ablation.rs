//! What an ablation found: what each variant is worth, with intervals, and what it costs.

use flow_stages::comparison::{ComparisonVerdict, PairedDifference, Unit};
use flow_stages::evaluation::Metric;
use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::numbers::{difference, ends, metric, name, plain, with_interval};
use super::section::{Drawing, Section, rounded, to_digits};
use crate::event::{AblatedRow, AblatedScheme, AblatedVariant, AblationFigures};
use crate::wording::{count, seconds};

/// The most variants that a plot shows, and the table of every metric: those that differ most. The other
/// tables have all of them.
const DRAWN: usize = 60;

/// The section.
pub fn section(found: &AblationFigures) -> Section {
    Section {
        id: "ablation",
        title: "What the parts are worth".to_owned(),
        html: html! {
            (lead(found))
            @for (at, scheme) in found.schemes.iter().enumerate() { (block(found, scheme, at)) }
            (costs(found))
        },
        drawing: Some(Drawing {
            script: concat!(
                include_str!("assets/forest.js"),
                include_str!("assets/ablation.js")
            ),
            data: data(found),
        }),
    }
}

/// The verdicts on the primary metric, counted.
fn lead(found: &AblationFigures) -> Markup {
    let variants = found.variants.len().saturating_sub(1);
    html! {
        @for scheme in &found.schemes {
            p.headline {
                @if found.schemes.len() > 1 { (scheme.name) ": " }
                @match counted(scheme) {
                    Some(text) => strong { (text) },
                    None => "nothing could be compared",
                }
            }
        }
        p.dim {
            (count(variants, "variant")) " against the pipeline as it is (" code { "base" } "), by average precision on "
            "the same objects in the same folds. A difference counts if it is unlikely by chance after Holm's adjustment "
            "for the number of variants. \"Equivalent\" means smaller than " (found.options.margin)
            " either way with confidence. \"Inconclusive\" means that these data cannot tell."
        }
    }
}

/// `1 worse, 5 inconclusive`, or nothing where nothing is compared.
fn counted(scheme: &AblatedScheme) -> Option<String> {
    let of = |verdict| {
        let found = scheme.rows.iter().filter_map(primary);
        found.filter(|found| found.verdict == verdict).count()
    };
    let words = ComparisonVerdict::ALL.into_iter().filter_map(|verdict| {
        let n = of(verdict);
        (n > 0).then(|| format!("{n} {}", verdict.word()))
    });
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn primary(row: &AblatedRow) -> Option<&PairedDifference> {
    compared(row, Metric::Ap)
}

fn compared(row: &AblatedRow, metric: Metric) -> Option<&PairedDifference> {
    row.comparison.as_ref()?.metrics.get(&metric)
}

/// The metrics that a scheme compares, the primary one first.
fn metrics(scheme: &AblatedScheme) -> Vec<Metric> {
    let has = |metric: &Metric| {
        let mut rows = scheme.rows.iter();
        rows.any(|row| {
            let summary = row.summary.as_ref();
            summary.is_some_and(|summary| summary.metrics.contains_key(metric))
        })
    };
    Metric::COMPARED.into_iter().filter(has).collect()
}

/// One evaluation of all variants.
fn block(found: &AblationFigures, scheme: &AblatedScheme, at: usize) -> Markup {
    html! {
        h3 { "Scored by " code { (scheme.name) } }
        (about(found, scheme))
        div class="forests" data-scheme=(at) {}
        (figures(scheme))
        @for row in &scheme.rows {
            @if let Some(note) = &row.note {
                p.warning { strong { (row.variant) } ": " (note) }
            }
        }
        (every_metric(scheme))
    }
}

/// What the comparison rests on.
fn about(found: &AblationFigures, scheme: &AblatedScheme) -> Markup {
    let Some(summary) = scheme.rows.iter().find_map(|row| row.summary.as_ref()) else {
        return html! {};
    };
    let drawn = match summary.unit {
        Unit::Object => "objects".to_owned(),
        Unit::Group => format!("{} groups of objects", summary.units),
    };
    html! {
        p.dim {
            (summary.objects) " objects"
            @if let Some(positives) = summary.positives { ", " (positives) " of them positive" }
            ", scores averaged over " (count(summary.repeats, "repeat")) ". Intervals of "
            (to_digits(100.0 * found.options.level, 3)) " % by " (found.options.draws) " bootstrap draws of " (drawn) "."
            @if summary.positives.is_none() { " Figures are macro averages over the classes." }
            @if let Some(tried) = scheme.configurations_tried.filter(|tried| *tried > 1) {
                " " (tried) " configurations have been evaluated on these folds so far: the best of many looks better "
                "than it is."
            }
        }
    }
}

/// The metrics of each variant, with what the primary one differs by.
fn figures(scheme: &AblatedScheme) -> Markup {
    let others = metrics(scheme);
    let others: Vec<Metric> = others.into_iter().filter(|m| *m != Metric::Ap).collect();
    html! {
        div.wide {
            table {
                thead {
                    tr {
                        th scope="col" { "variant" }
                        th.number scope="col" { "average precision" }
                        th.number scope="col" { "less that of base" }
                        th scope="col" { "verdict" }
                        th.number scope="col" { abbr title="The true difference that would have been found with a chance of 80 %" { "detects" } }
                        @for metric in &others { th.number scope="col" { (name(*metric)) } }
                    }
                }
                tbody {
                    @for row in &scheme.rows {
                        tr {
                            th scope="row" { (row.variant) }
                            td.number { @if let Some(ap) = estimate(row, Metric::Ap) { (with_interval(&ap)) } }
                            @match primary(row) {
                                Some(found) => {
                                    td.number { (difference(&found.difference)) }
                                    td { (verdict(found.verdict)) }
                                    td.number { (plain(found.detectable)) }
                                },
                                None => {
                                    td {}
                                    td.dim { (standing(row)) }
                                    td {}
                                },
                            }
                            @for metric in &others {
                                td.number { @if let Some(found) = estimate(row, *metric) { (plain(found.value)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn estimate(row: &AblatedRow, metric: Metric) -> Option<flow_stages::evaluation::Estimate> {
    row.summary.as_ref()?.metrics.get(&metric).copied()
}

/// What stands in the place of a verdict.
fn standing(row: &AblatedRow) -> &str {
    match (row.status.as_str(), &row.note) {
        ("ok", None) => "",
        ("ok", Some(_)) => "not compared",
        (status, _) => status,
    }
}

/// A verdict, colored if it is a finding.
pub fn verdict(verdict: ComparisonVerdict) -> Markup {
    let class = match verdict {
        ComparisonVerdict::Better => "good",
        ComparisonVerdict::Worse => "bad",
        ComparisonVerdict::Equivalent | ComparisonVerdict::Inconclusive => "",
    };
    html! { span class=(class) { (verdict.word()) } }
}

/// The differences in every metric, for those who want them.
fn every_metric(scheme: &AblatedScheme) -> Markup {
    let (drawn, left_out) = drawn(scheme);
    let rows: Vec<(&str, Metric, &PairedDifference)> = (drawn.into_iter())
        .flat_map(|row| {
            let metrics = row.comparison.iter().flat_map(|c| &c.metrics);
            metrics.map(|(metric, found)| (row.variant.as_str(), *metric, found))
        })
        .collect();
    html! {
        @if !rows.is_empty() {
            details {
                summary { "Every metric of every variant" }
                (paired_table(Some("variant"), ["base", "variant"], &rows))
                p.dim {
                    "Average precision is the primary metric. The others explain it, and a finding that only they show is "
                    "a hint."
                    @if left_out > 0 {
                        " These are the variants that differ most; " code { "ablation.json" } " has the " (left_out)
                        " others."
                    }
                }
            }
        }
    }
}

/// The variants that plots show, and how many were compared besides.
fn drawn(scheme: &AblatedScheme) -> (Vec<&AblatedRow>, usize) {
    let all: Vec<&AblatedRow> = (scheme.rows.iter())
        .filter(|row| row.comparison.is_some())
        .collect();
    let size = |row: &AblatedRow| primary(row).map_or(0.0, |found| found.difference.value.abs());
    let mut sizes: Vec<f64> = all.iter().map(|row| size(row)).collect();
    sizes.sort_by(|a, b| b.total_cmp(a));
    let least = sizes.get(DRAWN - 1).copied().unwrap_or(0.0);
    let n = all.len();
    let drawn = all.into_iter().filter(|row| size(row) >= least);
    let drawn: Vec<&AblatedRow> = drawn.take(DRAWN).collect();
    let left_out = n - drawn.len();
    (drawn, left_out)
}

/// Paired differences, a row each. The headings say what they are of, unless all are of one thing, and
/// what comes before and after.
pub fn paired_table(
    what: Option<&str>,
    [before, after]: [&str; 2],
    rows: &[(&str, Metric, &PairedDifference)],
) -> Markup {
    html! {
        div.wide {
            table {
                thead {
                    tr {
                        @if let Some(what) = what { th scope="col" { (what) } }
                        th scope="col" { "metric" }
                        th.number scope="col" { (before) }
                        th.number scope="col" { (after) }
                        th.number scope="col" { "difference" }
                        th.number scope="col" { abbr title="Two-sided p-value, after Holm's adjustment" { "p" } }
                        th scope="col" { "verdict" }
                        th.number scope="col" { "detects" }
                    }
                }
                tbody {
                    @for (name_of_row, metric, found) in rows {
                        tr {
                            @if what.is_some() { td { (name_of_row) } }
                            td { (name(*metric)) }
                            td.number { (plain(found.base)) }
                            td.number { (plain(found.arm)) }
                            td.number { (difference(&found.difference)) }
                            td.number { (plain(found.p_holm)) }
                            td { (verdict(found.verdict)) }
                            td.number { (plain(found.detectable)) }
                        }
                    }
                }
            }
        }
    }
}

/// What each variant changes, and what it costs.
fn costs(found: &AblationFigures) -> Markup {
    let cost = &found.cost;
    html! {
        h3 { "What the variants change and cost" }
        p {
            (count(cost.shared_stages, "stage")) " and " (count(cost.together.shared_actions, "action"))
            " are in common with earlier variants. This run took " (seconds(cost.together.cpu_now_s))
            " of CPU. With nothing in the store it takes " (seconds(cost.together.cpu_cold_s))
            @if let Some(ratio) = cost.ratio {
                ", " (to_digits(100.0 * ratio, 2)) " % of the " (seconds(cost.cpu_separate_s))
                " of separate cold runs"
            }
            "."
        }
        div class="costs" {}
        div.wide {
            table {
                thead {
                    tr {
                        th scope="col" { "variant" }
                        th scope="col" { "changes" }
                        th.number scope="col" { "actions" }
                        th.number scope="col" { "shared" }
                        th.number scope="col" { abbr title="CPU of a run of this variant alone with nothing in the store" { "CPU cold" } }
                        th.number scope="col" { abbr title="CPU that it added to this run" { "CPU now" } }
                        th.number scope="col" { "saved" }
                    }
                }
                tbody { @for variant in &found.variants { (cost_row(variant)) } }
            }
        }
    }
}

fn cost_row(variant: &AblatedVariant) -> Markup {
    let cost = &variant.cost;
    html! {
        tr {
            th scope="row" { (variant.name) }
            td.whole {
                @for (path, value) in variant.changes.iter() { div { code { (path) " = " (value) } } }
            }
            td.number { (cost.actions) }
            td.number { (cost.shared_actions) }
            td.number { (seconds(cost.cpu_cold_s)) }
            td.number { (seconds(cost.cpu_now_s)) }
            td.number { (format!("{:.0} %", 100.0 * cost.saved)) }
        }
    }
}

fn data(found: &AblationFigures) -> Json {
    let costs = found.variants.iter().take(DRAWN).map(|variant| {
        let cost = &variant.cost;
        let figures = [cost.cpu_cold_s, cost.cpu_now_s].map(|s| to_digits(s, 3));
        json!([variant.name, figures[0], figures[1]])
    });
    json!({
        "margin": found.options.margin,
        "level": found.options.level,
        "schemes": found.schemes.iter().map(scheme_data).collect::<Vec<Json>>(),
        "costs": costs.collect::<Vec<Json>>(),
    })
}

/// The differences that are drawn, and how many variants are not.
fn scheme_data(scheme: &AblatedScheme) -> Json {
    let metrics = metrics(scheme);
    let (drawn, left_out) = drawn(scheme);
    let rows = drawn.iter().map(|row| {
        let cells = metrics.iter().map(|metric| match compared(row, *metric) {
            Some(found) => paired_data(found),
            None => Json::Null,
        });
        json!({"name": row.variant, "found": cells.collect::<Vec<Json>>()})
    });
    json!({
        "name": scheme.name,
        "metrics": metrics.iter().map(|m| metric(*m)).collect::<Vec<Json>>(),
        "rows": rows.collect::<Vec<Json>>(),
        "left_out": left_out,
    })
}

/// A paired difference as `flow.forest` draws it.
pub fn paired_data(found: &PairedDifference) -> Json {
    let [value, low, high] = ends(&found.difference);
    json!({
        "value": value,
        "low": low,
        "high": high,
        "before": rounded(found.base),
        "after": rounded(found.arm),
        "p": to_digits(found.p_holm, 3),
        "verdict": found.verdict.word(),
    })
}
