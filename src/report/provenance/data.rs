//! The account of the data, as tables: what was read, and what was dropped and why.

use flow_stages::inspection::{DataAccount, LeftOut, ReasonAccount, RowAccount};
use maud::{Markup, html};

use super::anchor;
use crate::report::summary::grouped;

/// The most files that are listed.
const FILES: usize = 20;

/// The tables of one `ingest` stage.
pub fn account(stage: &str, account: &DataAccount) -> Markup {
    html! {
        h4 { "What " a href={ "#" (anchor(stage)) } { (stage) } " read" }
        p {
            (grouped(account.objects)) " objects, of which " (grouped(account.unlabelled)) " have no label"
            @if !account.labels.is_empty() {
                "; labelled: "
                @for (at, (class, count)) in account.labels.iter().enumerate() {
                    @if at > 0 { ", " } (class) " " (grouped(*count))
                }
            }
            "."
        }
        table {
            thead { tr { th { "" } th .number { "read" } th .number { "kept" } th .number { "dropped" } } }
            tbody {
                (rows("observations", &account.observations))
                @if account.catalogue.read > 0 { (rows("objects", &account.catalogue)) }
            }
        }
        (reasons(account))
        (left_out("without light curves", &account.without_light_curve))
        (left_out("without usable observations", &account.unusable))
        (bands(account))
        (files(account))
    }
}

fn rows(what: &str, rows: &RowAccount) -> Markup {
    let dropped: usize = rows.dropped.values().map(|reason| reason.count).sum();
    html! {
        tr {
            th scope="row" { (what) }
            @for count in [rows.read, rows.kept, dropped] { td .number { (grouped(count)) } }
        }
    }
}

/// Why rows were dropped, why others look odd, and which values stand for none.
fn reasons(account: &DataAccount) -> Markup {
    let mut all: Vec<(String, &ReasonAccount)> = Vec::new();
    all.extend(
        account
            .dropped()
            .map(|(what, reason, count)| (format!("dropped {what}: {reason}"), count)),
    );
    for (what, rows) in [
        ("observations", &account.observations),
        ("objects", &account.catalogue),
    ] {
        let odd = rows.odd.iter();
        all.extend(odd.map(|(reason, count)| (format!("kept {what} with {reason}"), count)));
        let missing = rows.missing.iter();
        all.extend(missing.map(|(column, count)| (format!("no value in {what}: {column}"), count)));
    }
    html! {
        @if all.is_empty() {
            p { "No row was dropped, and none looks odd." }
        } @else {
            table {
                thead { tr { th { "rows" } th .number { "count" } th { "such as" } } }
                tbody {
                    @for (what, reason) in all {
                        tr { td { (what) } td .number { (grouped(reason.count)) } td { (places(reason)) } }
                    }
                }
            }
        }
    }
}

fn places(reason: &ReasonAccount) -> Markup {
    html! {
        @for (at, place) in reason.examples.iter().enumerate() {
            @if at > 0 { ", " }
            code { (place.file) ":" (place.line) }
            @if !place.value.is_empty() { " " q { (place.value) } }
        }
    }
}

fn left_out(what: &str, left: &LeftOut) -> Markup {
    html! {
        @if left.count > 0 {
            p { "Left out " (grouped(left.count)) " objects " (what) ", such as " (left.examples.join(", ")) "." }
        }
    }
}

fn bands(account: &DataAccount) -> Markup {
    html! {
        @if !account.bands.is_empty() {
            p {
                "Observations by band: "
                @for (at, (band, count)) in account.bands.iter().enumerate() {
                    @if at > 0 { ", " } (band) " " (grouped(*count))
                }
                "."
            }
        }
    }
}

fn files(account: &DataAccount) -> Markup {
    html! {
        @if !account.files.is_empty() {
            table {
                thead { tr { th { "file" } th .number { "objects" } th .number { "read" } th .number { "kept" } } }
                tbody {
                    @for file in account.files.iter().take(FILES) {
                        tr {
                            td { code { (file.file) } }
                            @for count in [file.objects, file.read, file.kept] { td .number { (grouped(count)) } }
                        }
                    }
                }
            }
            @if account.files.len() > FILES {
                p .muted { "and " (account.files.len() - FILES) " more files, in the output " code { "report" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_names_what_was_dropped_and_where() {
        let report = serde_json::json!({
            "objects": 2, "labels": {"TDE": 1}, "unlabelled": 1,
            "catalogue": {"read": 0, "kept": 0, "dropped": {}, "odd": {}},
            "observations": {"read": 1500, "kept": 1499, "odd": {}, "dropped": {"empty flux": {
                "count": 1, "examples": [{"file": "a<b.csv", "line": 3, "value": ""}]}}},
            "bands": {"g": 1499},
            "without_light_curve": {"count": 0, "examples": []},
            "unusable": {"count": 1, "examples": ["x"]},
            "files": (0..25).map(|n| serde_json::json!({
                "file": format!("{n}.csv"), "objects": 1, "read": 2, "kept": 2})).collect::<Vec<_>>(),
        });
        let read: DataAccount = serde_json::from_value(report).expect("an account");
        let text = account("ingest", &read).into_string();
        for part in [
            "dropped observations: empty flux",
            "a&lt;b.csv:3",
            "1,500",
            "without usable observations, such as x",
            "and 5 more files",
            "href=\"#stage-ingest\"",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
