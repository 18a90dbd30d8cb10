//! The first screen of a run: what came out, what to be careful about, what ran, and how to repeat it.

use flow_engine::StageError;
use flow_stages::evaluation::Metric;
use flow_stages::inspection::ScoredObjects;
use maud::{Markup, html};

use super::Recorded;
use super::section::Section;
use crate::record::{MetricFigures, RunRecord, Status};
use crate::wording::{bytes, quoted, seconds};

/// The section.
///
/// # Errors
/// The store cannot be read.
pub fn section(run: &Recorded<'_>) -> Result<Section, StageError> {
    let record = &run.record;
    let html = html! {
        // What was found is on a screen of its own, and says more than that no metric is named.
        @if run.findings.is_none() || run.record.headline.is_some() { (sentence(run)?) }
        (warnings(record))
        @if !run.only_results {
            (what_ran(record))
            (repeat(record))
        }
    };
    Ok(Section {
        id: "summary",
        title: match run.findings {
            None => "Summary".to_owned(),
            Some(_) => "The run".to_owned(),
        },
        html,
        drawing: None,
    })
}

/// What came out of a run, in a sentence.
///
/// # Errors
/// The store cannot be read.
pub fn sentence(run: &Recorded<'_>) -> Result<Markup, StageError> {
    let headline = headline(run)?;
    Ok(headline
        .unwrap_or_else(|| html! { p.headline { "The pipeline names no metric to quote." } }))
}

/// The metric to quote, as a sentence.
fn headline(run: &Recorded<'_>) -> Result<Option<Markup>, StageError> {
    let record = &run.record;
    let headline = record.headline.as_ref();
    let Some((stage, name)) = headline.and_then(|headline| headline.metric.split_once('.')) else {
        return Ok(None);
    };
    let Some(metric) = record.metrics.of(stage).and_then(|known| known.get(name)) else {
        return Ok(None);
    };
    let all = record.metrics.iter();
    let others: Vec<(&str, MetricFigures)> = all
        .filter(|(other, same, _)| *other != stage && *same == name)
        .map(|(other, _, figures)| (other, figures))
        .collect();
    let scored = scored(run, stage)?;
    Ok(Some(html! {
        p.headline {
            (title(name)) (metric.of_what()) " " strong { (figure(metric.value())) }
            @if let Some(interval) = metric.interval() { " " (interval) }
            @if let Some(scored) = scored { " on " (scored) }
            @for (other, figures) in &others {
                "; " (other) " " (figure(figures.value()))
                @if let Some(interval) = figures.interval() { " " (interval) }
            }
        }
        p.dim {
            "Every object is scored by a model that has not seen it. "
            @if name == "f1" { "The threshold of each fold is chosen on the other folds. " }
            @if metric.low.is_some() { "Brackets are 95 % intervals over the objects." }
        }
    }))
}

/// What people call a metric.
fn title(metric: &str) -> &str {
    Metric::from_key(metric).map_or(metric, |known| known.title())
}

fn figure(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.3}"))
}

/// The objects that an evaluation scores, and how many of them are positive.
fn scored(run: &Recorded<'_>, stage: &str) -> Result<Option<String>, StageError> {
    let Some((from, port)) = run.inputs(stage, "predictions").first().copied() else {
        return Ok(None);
    };
    let parts = run.parts(from, port)?;
    let Some([part]) = parts.as_deref() else {
        return Ok(None);
    };
    let scored = ScoredObjects::read(&part.path)?;
    let mut text = format!("{} objects", grouped(scored.objects));
    if let Some((class, count)) = scored.positives {
        text.push_str(&format!(", {} of them {class}", grouped(count)));
    }
    if scored.repeats > 1 {
        text.push_str(&format!(", {} repeats", scored.repeats));
    }
    Ok(Some(text))
}

/// What a reader must know before trusting the figures.
fn warnings(record: &RunRecord) -> Markup {
    let notes: Vec<(&str, &str)> = record
        .stages
        .iter()
        .flat_map(|(name, stage)| {
            let notes = stage.notes.iter();
            notes.map(move |note| (name.as_str(), note.as_str()))
        })
        .collect();
    html! {
        @match record.status {
            Some(Status::Failed) => p.warning { strong { "The run failed." } " What follows is what had finished." },
            Some(Status::Interrupted) => p.warning { strong { "The run was stopped." } " What follows is what had finished." },
            _ => {}
        }
        @for (what, told) in [("What failed", &record.failures), ("Warnings", &record.warnings)] {
            @if !told.is_empty() {
                div.warning {
                    strong { (what) }
                    ul.plain { @for line in told { li { (line) } } }
                }
            }
        }
        @if !notes.is_empty() {
            div.warning {
                strong { "What the stages say" }
                ul.plain {
                    @for (stage, note) in &notes { li { (stage) ": " (note) } }
                }
            }
        }
    }
}

/// A table of the stages: what ran and what the store answered.
fn what_ran(record: &RunRecord) -> Markup {
    let failed = record.sum(|stage| stage.failed + stage.skipped) > 0;
    html! {
        h3 { "What ran" }
        p {
            (grouped(record.sum(|stage| stage.ran))) " of "
            (grouped(record.sum(|stage| stage.actions))) " actions ran, and the store answered "
            (grouped(record.sum(|stage| stage.hit))) ". The run took " (seconds(record.wall_s)) "."
        }
        div.wide {
            table {
                thead {
                    tr {
                        th scope="col" { "stage" }
                        th scope="col" { "kind" }
                        @for heading in ["actions", "hit", "ran"] { th.number scope="col" { (heading) } }
                        @if failed {
                            th.number scope="col" { "failed" }
                            th.number scope="col" { "skipped" }
                        }
                        @for heading in ["time", "CPU", "rows", "size"] { th.number scope="col" { (heading) } }
                    }
                }
                tbody {
                    @for (name, stage) in record.stages.iter() {
                        @let figures = &stage.figures;
                        tr {
                            td { (name) }
                            td { (stage.kind.as_deref().unwrap_or("")) }
                            td.number { (grouped(figures.actions)) }
                            td.number { (grouped(figures.hit)) }
                            td.number { (grouped(figures.ran)) }
                            @if failed {
                                td.number.bad { (grouped(figures.failed)) }
                                td.number { (grouped(figures.skipped)) }
                            }
                            td.number { @if figures.ran > 0 { (seconds(figures.wall_s)) } }
                            td.number { @if figures.ran > 0 { (seconds(figures.cpu_s)) } }
                            td.number { @if let Some(rows) = stage.rows { (rows) } }
                            td.number { @if let Some(size) = stage.size { (bytes(size)) } }
                        }
                    }
                }
            }
        }
    }
}

/// The command that repeats the run.
fn repeat(record: &RunRecord) -> Markup {
    if record.file.is_none() {
        return html! {};
    }
    let folder = record.cwd.as_deref();
    html! {
        h3 { "Repeat it" }
        pre { code {
            @if let Some(folder) = folder.filter(|_| !record.command.is_empty()) { "cd " (quoted(folder)) "\n" }
            (record.again())
        } }
        @if let Some(git) = &record.git {
            p.dim { "The project was at commit " code { (git.long()) } "." }
        }
    }
}

/// A number with its thousands apart: `3,043`.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let all = [0, 12, 123, 1234, 123456, 1234567].map(grouped);
        assert_eq!(all, ["0", "12", "123", "1,234", "123,456", "1,234,567"]);
    }
}
