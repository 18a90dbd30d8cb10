//! Training curves: the loss by epoch of every stage that has written one.
//!
//! Such a stage has an output that is called `history`, a CSV table (see [`training_curves`]). A stage
//! below folds has one for each fold, or one table with a column `fold`.

use flow_engine::StageError;
use flow_stages::inspection::{TrainingCurve, fits_of, training_curves};
use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::Recorded;
use super::section::{Drawing, Section, rounded, to_digits};

/// The name of the output that holds training curves.
const PORT: &str = "history";

/// A fit with its curves.
struct Fit {
    /// The fold, or the part of the output by its number.
    name: String,
    /// The curves, or why they cannot be read.
    curves: Result<Vec<TrainingCurve>, String>,
}

/// The section, or nothing if no stage has written training curves.
///
/// # Errors
/// The store cannot be read.
pub fn section(run: &Recorded<'_>) -> Result<Option<Section>, StageError> {
    let stages: Vec<&str> = (run.record.stages.iter())
        .map(|(name, _)| name.as_str())
        .filter(|name| run.port(name, PORT).is_some())
        .collect();
    let mut found: Vec<(&str, Option<Vec<Fit>>)> = Vec::new();
    for stage in stages {
        found.push((stage, fits(run, stage)?));
    }
    Ok((!found.is_empty()).then(|| Section {
        id: "training",
        title: "Training curves".to_owned(),
        html: html! {
            @for (at, (stage, fits)) in found.iter().enumerate() {
                h3 { code { (stage) } }
                @match fits {
                    Some(fits) => {
                        div class="curves" data-stage=(at) {}
                        (table(fits))
                    },
                    None => p.note { "The store no longer has its training curves." },
                }
            }
        },
        drawing: Some(Drawing {
            script: include_str!("assets/training.js"),
            data: found
                .iter()
                .map(|(stage, fits)| data(stage, fits.as_deref()))
                .collect(),
        }),
    }))
}

/// The fits of a stage, or nothing if the store has lost their curves.
fn fits(run: &Recorded<'_>, stage: &str) -> Result<Option<Vec<Fit>>, StageError> {
    let Some(parts) = run.parts(stage, PORT)? else {
        return Ok(None);
    };
    let several = parts.len() > 1;
    let mut fits = Vec::new();
    for (at, part) in parts.into_iter().enumerate() {
        let name = match part.fold {
            Some(fold) => fold,
            None if several => at.to_string(),
            None => String::new(),
        };
        let Ok(text) = String::from_utf8(std::fs::read(&part.path)?) else {
            fits.push(Fit {
                name,
                curves: Err("it is not a text".to_owned()),
            });
            continue;
        };
        for (fit, table) in fits_of(&text) {
            fits.push(Fit {
                name: [&name[..], &fit].join(" ").trim().to_owned(),
                curves: training_curves(&table),
            });
        }
    }
    Ok(Some(fits))
}

fn table(fits: &[Fit]) -> Markup {
    let number = |x: f64| to_digits(x, 4).to_string().replace("null", "-");
    html! {
        div.wide {
            table {
                thead {
                    tr {
                        th scope="col" { "fold" }
                        th scope="col" { "rows" }
                        th.number scope="col" { "epochs" }
                        th.number scope="col" { "lowest loss" }
                        th.number scope="col" { "at epoch" }
                        th.number scope="col" { "last loss" }
                    }
                }
                tbody {
                    @for fit in fits {
                        @match &fit.curves {
                            Ok(curves) => @for curve in curves {
                                tr {
                                    td { (fit.name) }
                                    td { (curve.split) }
                                    td.number { (curve.epochs) }
                                    td.number { (curve.best.map_or("-".to_owned(), |(_, loss)| number(loss))) }
                                    td.number { (curve.best.map_or("-".to_owned(), |(epoch, _)| number(epoch))) }
                                    td.number { (number(curve.last)) }
                                }
                            },
                            Err(why) => tr { td { (fit.name) } td colspan="5" { "Its table cannot be shown: " (why) "." } },
                        }
                    }
                }
            }
        }
    }
}

fn data(stage: &str, fits: Option<&[Fit]>) -> Json {
    let curves = fits.into_iter().flatten().flat_map(|fit| {
        let curves = fit.curves.iter().flatten();
        curves.map(move |curve| {
            let points = curve.points.iter();
            let points = points.map(|(epoch, loss)| json!([rounded(*epoch), rounded(*loss)]));
            json!({"fold": fit.name, "split": curve.split, "points": points.collect::<Vec<Json>>()})
        })
    });
    json!({"stage": stage, "curves": curves.collect::<Vec<Json>>()})
}
