//! `flow runs show`: all that is recorded of a run, but for its single actions.

use std::path::Path;

use serde_json::{Map, Value as Json, json};

use super::{headline, wall_s};
use crate::history::{Git, asked, is_pinned, sets, tags, when};
use crate::project::shown;
use crate::render::table;
use crate::ui::Ui;
use crate::wording::{quoted, seconds};

/// Shows a run.
pub fn show(id: &str, record: &Json, ui: &Ui) {
    ui.event(|| {
        let mut event = Map::new();
        event.insert("event".into(), "run-shown".into());
        event.insert("run".into(), id.into());
        event.insert("started".into(), when(id).into());
        let recorded = record.as_object().into_iter().flatten();
        event.extend(recorded.map(|(name, value)| (name.clone(), value.clone())));
        json!(event)
    });
    let mut text = format!("run {id}\n");
    for (name, value) in facts(id, record) {
        if !value.is_empty() {
            text.push_str(&format!("  {name:<9} {value}\n"));
        }
    }
    for table in [stages(record), metrics(record)].into_iter().flatten() {
        text.push_str(&format!("\n{table}\n"));
    }
    ui.answer(&text);
}

/// What is known in a line; empty where it is not.
fn facts(id: &str, record: &Json) -> Vec<(&'static str, String)> {
    let text = |name: &str| {
        let value = record.get(name).and_then(Json::as_str);
        value.unwrap_or_default().to_owned()
    };
    let path = |path: &str| match path {
        "" => String::new(),
        path => shown(Path::new(path)),
    };
    let outputs = record.get("outputs").and_then(Json::as_array);
    let outputs = outputs.into_iter().flatten().filter_map(Json::as_str);
    let metric = record
        .get("headline")
        .and_then(|h| h.get("metric")?.as_str());
    let metric = metric.zip(headline(record));
    let file = path(&text("file"));
    vec![
        ("started", format!("{} UTC", when(id))),
        ("status", text("status")),
        ("took", seconds(wall_s(record))),
        ("pipeline", text("pipeline")),
        ("file", file.clone()),
        ("variant", text("variant")),
        ("to", text("to")),
        (
            "set",
            sets(record).collect::<Vec<_>>().join("\n            "),
        ),
        ("in", path(&text("cwd"))),
        (
            "again",
            format!("flow run {} {}", quoted(&file), asked(record, true))
                .trim_end()
                .to_owned(),
        ),
        (
            "commit",
            Git::of(record).map_or(String::new(), |git| git.long()),
        ),
        ("flow", text("flow")),
        ("store", path(&text("store"))),
        ("tags", tags(record).collect::<Vec<_>>().join(", ")),
        (
            "pinned",
            if is_pinned(record) { "yes" } else { "" }.to_owned(),
        ),
        ("outputs", outputs.map(path).collect::<Vec<_>>().join(", ")),
        (
            "headline",
            metric.map_or(String::new(), |(name, value)| {
                format!("{name} = {value:.4}")
            }),
        ),
    ]
}

fn stages(record: &Json) -> Option<String> {
    let rows = record
        .get("stages")?
        .as_object()?
        .iter()
        .map(|(name, stage)| {
            let count = |what: &str| stage.get(what).and_then(Json::as_u64).unwrap_or(0);
            let counts = ["actions", "hit", "ran", "failed", "skipped"].map(count);
            let took = stage.get("wall_s").and_then(Json::as_f64).unwrap_or(0.0);
            let mut row = vec![name.clone()];
            row.extend(counts.iter().map(u64::to_string));
            row.push(match counts[2] {
                0 => String::new(),
                _ => seconds(took),
            });
            row
        });
    let header = [
        "stage", "actions", "hit", "ran", "failed", "skipped", "time",
    ];
    Some(table::plain(&header, 1, rows.collect()))
}

fn metrics(record: &Json) -> Option<String> {
    let mut rows = Vec::new();
    for (stage, metrics) in record.get("metrics")?.as_object()? {
        for (name, metric) in metrics.as_object().into_iter().flatten() {
            let figure = |what: &str| metric.get(what).and_then(Json::as_f64);
            let told = |what: &str| figure(what).map_or("-".to_owned(), |v| format!("{v:.4}"));
            if ["pooled", "mean"].iter().any(|what| figure(what).is_some()) {
                let figures = ["pooled", "mean", "std"].map(told);
                rows.push([vec![format!("{stage}.{name}")], figures.to_vec()].concat());
            }
        }
    }
    let header = ["metric", "pooled", "mean", "std"];
    (!rows.is_empty()).then(|| table::plain(&header, 1, rows))
}
