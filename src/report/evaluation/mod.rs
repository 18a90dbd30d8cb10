//! The evaluations of a run: curves with bands, counts by class, metrics of slices, and what features matter.
//!
//! - [`read`]: what the store has of an evaluation;
//! - [`tables`]: the metrics and what plots show, as tables; [`confusion`]: the confusion matrix;
//! - [`features`]: importances, and what groups of features are worth.
//!
//! `assets/evaluation.js` draws the plots. All figures come from `flow_stages::inspection`.

mod confusion;
mod features;
mod read;
mod tables;

use std::collections::BTreeMap;

use flow_engine::StageError;
use flow_stages::inspection::{Inspection, ObjectFacts};
use maud::{Markup, html};
use serde_json::{Value as Json, json};

use self::features::ModelFeatures;
use self::read::EvaluationFiles;
use super::Recorded;
use super::provenance::anchor;
use super::section::{Drawing, Section, to_digits};
use crate::report::summary::grouped;

/// The section; `None` if the run has no evaluation.
///
/// # Errors
/// If the store cannot be read, or a file in it does not fit.
pub fn section(run: &Recorded<'_>) -> Result<Option<Section>, StageError> {
    let mut stages = run.of_kind("evaluate");
    stages.extend(run.of_kind("evaluate_new"));
    if stages.is_empty() {
        return Ok(None);
    }
    // Evaluations of one run are mostly of the same light curves, which take longest to read.
    let mut facts: BTreeMap<String, BTreeMap<String, ObjectFacts>> = BTreeMap::new();
    let (mut blocks, mut data) = (Vec::new(), Vec::new());
    for &stage in &stages {
        let evaluated = EvaluationFiles::read(run, stage, &mut facts)?;
        let features = ModelFeatures::read(run, stage)?;
        blocks.push(html! {
            div.evaluation data-evaluation=(stage) {
                @if stages.len() > 1 { h3 { (stage) } }
                @if !run.only_results { (recipes(run, stage)) }
                (block(&evaluated, &features))
            }
        });
        let mut figures = short(drawn(&evaluated));
        figures["name"] = json!(stage);
        figures["features"] = short(features::drawn(&features));
        figures["expected"] = expected(&evaluated.metrics);
        data.push(figures);
    }
    let title = if stages.len() > 1 {
        "Evaluations"
    } else {
        "Evaluation"
    };
    Ok(Some(Section {
        id: "evaluation",
        title: title.to_owned(),
        html: html! { @for block in &blocks { (block) } },
        drawing: Some(Drawing {
            script: include_str!("../assets/evaluation.js"),
            data: json!({ "evaluations": data }),
        }),
    }))
}

/// Links to the recipes of an evaluation and of what it scored.
fn recipes(run: &Recorded<'_>, stage: &str) -> Markup {
    let scored = run.inputs(stage, "predictions").into_iter();
    html! {
        p.dim {
            "Recipes: " a href={ "#" (anchor(stage)) } { (stage) }
            @for (from, _) in scored { ", " a href={ "#" (anchor(from)) } { (from) } }
        }
    }
}

/// What is said of one evaluation.
fn block(evaluated: &EvaluationFiles, features: &[ModelFeatures]) -> Markup {
    html! {
        @match &evaluated.inspection {
            Some(inspection) => {
                p { (sentence(inspection)) }
                @for class in &inspection.classes {
                    @if class.curves.is_none() { p.note { (few(class.positives, inspection.rows, &class.name)) } }
                }
            }
            None => p.note { (evaluated.lost) },
        }
        div data-plots="curves" {}
        div.plots {
            (tables::metrics(&evaluated.metrics))
            (confusion::markup(evaluated))
        }
        @if let Some(inspection) = &evaluated.inspection {
            div data-plots="slices" {}
            (tables::slices(inspection))
            (tables::readings(inspection))
        }
        (tables::reliability(&evaluated.metrics))
        @for model in features { (features::markup(model)) }
    }
}

/// Why a class has no curves.
fn few(positives: u64, rows: usize, class: &str) -> String {
    format!(
        "{class} has {} of the {} objects that are scored. Its curves would be noise, and are left out.",
        grouped(positives as usize),
        grouped(rows)
    )
}

/// How much there is to score, and where the bands come from.
fn sentence(inspection: &Inspection) -> String {
    let mut text = format!("{} objects are scored", grouped(inspection.rows));
    match (&inspection.positive, inspection.classes.first()) {
        (Some(class), Some(first)) => {
            text.push_str(&format!(
                ", {} of them {class}",
                grouped(first.positives as usize)
            ));
        }
        _ => text.push_str(&format!(", of {} classes", inspection.classes.len())),
    }
    if inspection.repeats > 1 {
        text.push_str(&format!(
            ", in {} repeats, over which curves are averaged",
            inspection.repeats
        ));
    }
    text.push_str(match inspection.draws {
        0 => ". The repeats have different objects, so nothing can be said of noise.",
        _ => ". Bands and brackets hold the true value with 95 % confidence, each by itself: ",
    });
    if inspection.draws > 0 {
        let of = match inspection.groups {
            Some(groups) => format!("{} groups of objects", grouped(groups)),
            None => "objects".to_owned(),
        };
        text.push_str(&format!("{} draws of the {of}.", grouped(inspection.draws)));
    }
    text
}

/// What the script draws of an evaluation.
fn drawn(evaluated: &EvaluationFiles) -> Json {
    let mut data = match &evaluated.inspection {
        Some(inspection) => json!(inspection),
        None => json!({}),
    };
    let reliability = evaluated.metrics.get("reliability");
    let bins = reliability.and_then(|all| all.get("bins"));
    data["reliability"] = bins.cloned().unwrap_or(json!([]));
    data
}

/// What the evaluation reported, with the ends of intervals. Figures keep all digits, so that a plot rounds them
/// as tables do.
fn expected(metrics: &Json) -> Json {
    let ends = |name: &str| {
        let number = |field: &str| metrics.get(name).and_then(|metric| metric.get(field));
        json!([number("pooled"), number("low"), number("high")])
    };
    json!({
        "precision": ends("precision"),
        "recall": ends("recall"),
        "f1": ends("f1"),
        "pr_auc": ends("pr_auc"),
        "roc_auc": ends("roc_auc"),
    })
}

/// The same with four significant digits of each number.
fn short(mut data: Json) -> Json {
    fn shorten(value: &mut Json) {
        match value {
            Json::Array(items) => items.iter_mut().for_each(shorten),
            Json::Object(fields) => fields.values_mut().for_each(shorten),
            Json::Number(number) => {
                if let Some(float) = number.as_f64().filter(|_| number.is_f64()) {
                    *value = to_digits(float, 4);
                }
            }
            _ => {}
        }
    }
    shorten(&mut data);
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_wherever_they_are() {
        let data = json!({"a": [0.123456, {"b": 1234567, "c": null}], "d": f64::NAN});
        let expected = json!({"a": [0.1235, {"b": 1234567, "c": null}], "d": null});
        assert_eq!(short(data), expected);
    }
}
