//! Two runs side by side, for people.

use flow_cache::Digest;

use super::differences::{Divergence, RunDifferences, Side, StageDifference, Why};
use crate::history::when;
use crate::record::{About, RecordDifference, Status};
use crate::render::{reason, table};

/// The most fields that are named for a stage.
const FIELDS: usize = 4;

/// The most differences of circumstances that are shown.
const CIRCUMSTANCES: usize = 30;

/// The differences for people.
pub fn text(differences: &RunDifferences) -> String {
    let RunDifferences {
        old,
        new,
        circumstances,
        metrics,
        stages,
        first,
    } = differences;
    let row = |what: &str, of: &dyn Fn(&Side) -> String| vec![what.to_owned(), of(old), of(new)];
    let known = |text: Option<&str>| text.unwrap_or("?").to_owned();
    let rows = vec![
        row("run", &|run| run.id.clone()),
        row("started", &|run| when(&run.id)),
        row("pipeline", &|run| known(run.record.pipeline.as_deref())),
        row("status", &|run| known(run.record.status.map(Status::name))),
    ];
    let mut text = format!("{}\n", table::plain(&["", "old", "new"], 3, rows));
    for table in [
        circumstances_table(circumstances),
        metrics_table(metrics),
        stages_table(stages),
    ] {
        text.extend(table.map(|table| format!("\n{table}\n")));
    }
    match first {
        Some(first) => text.push_str(&first.text()),
        None if old.actions.is_some() && new.actions.is_some() => {
            text.push_str("\nevery action came to the same bytes\n");
        }
        None => {}
    }
    text
}

fn circumstances_table(circumstances: &[RecordDifference]) -> Option<String> {
    let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let row = |found: &RecordDifference| {
        let what = match found.about {
            About::Asked => found.name.clone(),
            about => format!("{} {}", about.name(), found.name),
        };
        vec![what, known(&found.values[0]), known(&found.values[1])]
    };
    let mut rows: Vec<Vec<String>> = circumstances.iter().take(CIRCUMSTANCES).map(row).collect();
    if circumstances.len() > CIRCUMSTANCES {
        let more = format!("{} more", circumstances.len() - CIRCUMSTANCES);
        rows.push(vec![more, String::new(), String::new()]);
    }
    (!rows.is_empty()).then(|| table::plain(&["differs", "old", "new"], 3, rows))
}

fn metrics_table(metrics: &[(String, [Option<f64>; 2])]) -> Option<String> {
    let rows = metrics.iter().map(|(name, [old, new])| {
        let difference = old.zip(*new).map(|(old, new)| new - old);
        let difference = difference.map_or("-".to_owned(), |d| format!("{d:+.4}"));
        vec![
            name.clone(),
            table::figure(*old),
            table::figure(*new),
            difference,
        ]
    });
    let header = ["metric", "old", "new", "difference"];
    (!metrics.is_empty()).then(|| table::plain(&header, 1, rows.collect()))
}

fn stages_table(stages: &[StageDifference]) -> Option<String> {
    let differ = stages.iter().filter(|stage| !stage.is_equal());
    let rows = differ.map(|stage| {
        let number = |n: Option<usize>| n.map_or("-".to_owned(), |n| n.to_string());
        vec![
            stage.name.clone(),
            stage.changed(),
            number(stage.actions[0]),
            number(stage.actions[1]),
            stage.same_recipe.to_string(),
            stage.same_outputs.to_string(),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let header = [
        "stage",
        "changed",
        "old",
        "new",
        "same recipe",
        "same outputs",
    ];
    (!rows.is_empty()).then(|| table::plain(&header, 2, rows))
}

impl StageDifference {
    fn changed(&self) -> String {
        match self.actions {
            [None, _] => return "only in the new run".to_owned(),
            [_, None] => return "only in the old run".to_owned(),
            _ => {}
        }
        let mut parts: Vec<String> = self
            .fields
            .iter()
            .take(FIELDS)
            .map(|(change, _)| reason::change(change))
            .collect();
        if self.fields.len() > FIELDS {
            parts.push(format!("{} more", self.fields.len() - FIELDS));
        }
        if self.unknown > 0 {
            parts.push(format!("{} without a record", self.unknown));
        }
        parts.join("; ")
    }
}

impl Divergence {
    fn text(&self) -> String {
        let mut text = format!("\nfirst to differ: `{}: {}`\n", self.stage, self.label);
        for (name, old, new) in &self.outputs {
            let short = |digest: &Option<Digest>| digest.map_or("-".to_owned(), |d| d.short());
            text.push_str(&format!("  {name}: {} -> {}\n", short(old), short(new)));
        }
        for line in self.why.text() {
            text.push_str(&format!("  {line}\n"));
        }
        text
    }
}

impl Why {
    fn text(&self) -> Vec<String> {
        match self {
            Self::Recipe(changes) => {
                let mut lines = vec!["its recipe differs:".to_owned()];
                lines.extend(changes.iter().map(|c| format!("  {}", reason::change(c))));
                lines
            }
            Self::Nondeterminism => vec![
                "its recipe is the same and its bytes are not: the action is not deterministic"
                    .to_owned(),
            ],
            Self::Unknown(runs) => vec![format!(
                "its recipes differ; in what is not known, since this store has no readable record of {} any more",
                runs.join(" and ")
            )],
            Self::Only(run) => vec![format!("only run {run} has it")],
        }
    }
}
