//! The lists of objects as HTML tables, which need no JavaScript.

use flow_stages::inspection::{Judged, ObjectList};
use maud::{Markup, html};

use super::gather::Gathered;
use super::lists;
use crate::report::summary::grouped;

/// What the section says before its script has run.
pub fn html(all: &Gathered<'_>) -> Markup {
    html! {
        p {
            (which(all))
            @if let Some(stage) = all.curves {
                " The light curves are those of the stage " code { (stage) } ", which the model saw."
            }
        }
        @if let Some(why) = &all.no_curves { p.note { "There are no light curves. " (why) } }
        @if !all.unknown.is_empty() {
            p.warning { "The run has no object of the name " (all.unknown.join(", ")) "." }
        }
        div.viewer {}
        @for (at, list) in all.lists.iter().enumerate() {
            details.list open[at == 0] {
                summary { (lists::title(list.kind)) ": " (count(list)) ", " (lists::about(list.kind, &all.judgement)) }
                @if !list.objects.is_empty() { (table(all, list)) }
            }
        }
    }
}

/// How many of the objects are in the page.
fn which(all: &Gathered<'_>) -> Markup {
    let stage = html! { code { (all.evaluated.stage) } };
    if all.is_complete() {
        return html! { "All " (grouped(all.of())) " objects of " (stage) "." };
    }
    html! {
        (grouped(all.ids.len())) " of the " (grouped(all.of())) " objects of " (stage)
        ": the first of each list, and some of every class. "
        code { "flow report --object ID" } " adds others."
    }
}

fn count(list: &ObjectList) -> String {
    match list.objects.len() {
        shown if shown < list.of => format!("the first {shown} of {}", list.of),
        shown => shown.to_string(),
    }
}

fn table(all: &Gathered<'_>, list: &ObjectList) -> Markup {
    let judged = list
        .objects
        .iter()
        .map(|&place| &all.judgement.objects[place]);
    let several = judged.clone().any(|judged| judged.repeats > 1);
    html! {
        div.wide {
            table {
                thead {
                    tr {
                        @for name in ["object", "class", "predicted"] { th scope="col" { (name) } }
                        @for name in ["score", "threshold"] { th.number scope="col" { (name) } }
                        @if several { th.number scope="col" { "wrong in" } }
                        @for name in ["peak", "z", "points"] { th.number scope="col" { (name) } }
                    }
                }
                tbody {
                    @for judged in judged { (row(all, judged, several)) }
                }
            }
        }
    }
}

fn row(all: &Gathered<'_>, judged: &Judged, several: bool) -> Markup {
    let observed = all.observed.get(&judged.id);
    let peak = observed.and_then(|observed| observed.peak);
    let band = |band: usize| {
        all.observed
            .survey
            .bands
            .get(band)
            .map_or("", String::as_str)
    };
    let redshift = observed.and_then(|observed| observed.redshift);
    html! {
        tr {
            td { a href=(format!("#object={}", in_link(&judged.id))) { (judged.id) } }
            td {
                (judged.label.as_deref().unwrap_or("-"))
                @if let Some(raw) = all.labels.get(&judged.id) { " (" (raw) ")" }
            }
            td { (judged.predicted) }
            td.number { (format!("{:.3}", judged.score)) }
            td.number { @if let Some(threshold) = judged.threshold { (format!("{threshold:.3}")) } }
            @if several { td.number { (judged.wrong) " of " (judged.repeats) } }
            td.number { @if let Some(peak) = peak { (format!("{:.2} {}", peak.magnitude(), band(peak.band))) } }
            td.number { @if let Some(z) = redshift { (format!("{z:.3}")) } }
            td.number { @if let Some(observed) = observed { (observed.points) } }
        }
    }
}

/// A name as a part of a link, as `encodeURIComponent` writes it.
fn in_link(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&b);
    let bytes = name.bytes();
    let parts = bytes.map(|b| match plain(b) {
        true => char::from(b).to_string(),
        false => format!("%{b:02X}"),
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_links_are_encoded() {
        assert_eq!(in_link("SN 2020/a_b.1"), "SN%202020%2Fa_b.1");
        assert_eq!(in_link("ü"), "%C3%BC");
    }
}
