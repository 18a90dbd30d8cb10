//! Training curves: the loss by epoch of every stage that has written one, and what else it has measured.
//!
//! Such a stage has an output that is called `history`, a CSV table (see [`training_curves`]). A stage
//! below folds has one for each fold, or one table with a column `fold`.

use flow_engine::StageError;
use flow_stages::inspection::{LOSS, TrainingCurve, thinning, training_curves};
use flow_stages::rows::FINAL;
use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::Recorded;
use super::section::{Drawing, Section, rounded, to_digits};

/// The name of the output that holds training curves.
const PORT: &str = "history";

/// The most curves that have a row each in the table. The rows of more can be unfolded.
const ROWS: usize = 12;

/// A part of the output with its curves, which all name their fold if there is one.
type Part = Result<Vec<TrainingCurve>, String>;

/// The section, or nothing if no stage has written training curves.
///
/// # Errors
/// The store cannot be read.
pub fn section(run: &Recorded<'_>) -> Result<Option<Section>, StageError> {
    let stages: Vec<&str> = (run.record.stages.iter())
        .map(|(name, _)| name.as_str())
        .filter(|name| run.port(name, PORT).is_some())
        .collect();
    let mut found: Vec<(&str, Option<Vec<Part>>)> = Vec::new();
    for stage in stages {
        found.push((stage, parts(run, stage)?));
    }
    Ok((!found.is_empty()).then(|| Section {
        id: "training",
        title: "Training curves".to_owned(),
        html: html! {
            @for (at, (stage, parts)) in found.iter().enumerate() {
                h3 { code { (stage) } }
                @match parts {
                    Some(parts) => {
                        div class="curves" data-stage=(at) {}
                        (tables(parts))
                    },
                    None => p.note { "The store no longer has its training curves." },
                }
            }
        },
        drawing: Some(Drawing {
            script: include_str!("assets/training.js"),
            data: found
                .iter()
                .map(|(stage, parts)| data(stage, parts.as_deref().unwrap_or_default()))
                .collect(),
        }),
    }))
}

/// The parts of a stage's output, or nothing if the store has lost them. A part that is no such table says which one it
/// is, and why.
fn parts(run: &Recorded<'_>, stage: &str) -> Result<Option<Vec<Part>>, StageError> {
    let Some(parts) = run.parts(stage, PORT)? else {
        return Ok(None);
    };
    let several = parts.len() > 1;
    let mut read = Vec::new();
    for (at, part) in parts.into_iter().enumerate() {
        let name = match part.fold {
            Some(fold) => fold,
            None if several => at.to_string(),
            None => String::new(),
        };
        let text = String::from_utf8(std::fs::read(&part.path)?);
        let curves = text
            .map_err(|_| "it is not a text".to_owned())
            .and_then(|text| training_curves(&text));
        read.push(match curves {
            Ok(mut curves) => {
                let nameless = curves.iter_mut().filter(|curve| curve.fold.is_empty());
                nameless.for_each(|curve| curve.fold.clone_from(&name));
                Ok(curves)
            }
            Err(why) => Err(format!("The table {name} cannot be shown: {why}.").replace("  ", " ")),
        });
    }
    Ok(Some(read))
}

/// What a fit is called: its fold, and its number if it is not the first one of the fold.
fn fit_name(curve: &TrainingCurve) -> String {
    match curve.bag.as_str() {
        "" | "0" => curve.fold.clone(),
        bag => format!("{} bag {bag}", curve.fold).trim_start().to_owned(),
    }
}

fn number(x: f64) -> String {
    to_digits(x, 4).to_string().replace("null", "-")
}

fn tables(parts: &[Part]) -> Markup {
    let losses: Vec<&TrainingCurve> = (parts.iter().flatten().flatten())
        .filter(|curve| curve.measure == LOSS)
        .collect();
    html! {
        @if losses.len() > ROWS {
            (summary(&losses))
            details {
                summary { "Each fit" }
                (table(&losses))
            }
        } @else if !losses.is_empty() {
            (table(&losses))
        }
        @for part in parts {
            @if let Err(why) = part {
                p.note { (why) }
            }
        }
    }
}

/// A row for each set of rows, over all fits.
fn summary(losses: &[&TrainingCurve]) -> Markup {
    let mut splits: Vec<&str> = losses.iter().map(|curve| curve.split.as_str()).collect();
    splits.sort_unstable();
    splits.dedup();
    html! {
        div.wide {
            table {
                thead {
                    tr {
                        th scope="col" { "rows" }
                        th.number scope="col" { "fits" }
                        th.number scope="col" { "epochs" }
                        th.number scope="col" { "lowest loss" }
                        th.number scope="col" { "at epoch" }
                        th.number scope="col" { "last loss" }
                    }
                }
                tbody {
                    @for split in splits {
                        @let of = |figure: fn(&TrainingCurve) -> f64| {
                            let curves = losses.iter().filter(|curve| curve.split == split);
                            middle(curves.map(|curve| figure(curve)).collect())
                        };
                        tr {
                            td { (split) }
                            td.number { (losses.iter().filter(|curve| curve.split == split).count()) }
                            td.number { (of(|curve| curve.points.len() as f64)) }
                            td.number { (of(|curve| curve.lowest().map_or(f64::NAN, |(_, loss)| loss))) }
                            td.number { (of(|curve| curve.lowest().map_or(f64::NAN, |(epoch, _)| epoch))) }
                            td.number { (of(TrainingCurve::last)) }
                        }
                    }
                }
            }
        }
        p.dim { "Medians over the fits, with the least and the greatest." }
    }
}

/// The median of the finite figures, with the least and the greatest one where these differ.
fn middle(mut figures: Vec<f64>) -> String {
    figures.retain(|figure| figure.is_finite());
    figures.sort_by(f64::total_cmp);
    let [least, .., greatest] = figures[..] else {
        return figures.first().map_or("-".to_owned(), |only| number(*only));
    };
    let half = figures.len() / 2;
    let median = match figures.len() % 2 {
        0 => f64::midpoint(figures[half - 1], figures[half]),
        _ => figures[half],
    };
    if least == greatest {
        return number(median);
    }
    format!(
        "{} [{}, {}]",
        number(median),
        number(least),
        number(greatest)
    )
}

fn table(losses: &[&TrainingCurve]) -> Markup {
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
                    @for curve in losses {
                        tr {
                            td { (fit_name(curve)) }
                            td { (curve.split) }
                            td.number { (curve.points.len()) }
                            td.number { (curve.lowest().map_or("-".to_owned(), |(_, loss)| number(loss))) }
                            td.number { (curve.lowest().map_or("-".to_owned(), |(epoch, _)| number(epoch))) }
                            td.number { (number(curve.last())) }
                        }
                    }
                }
            }
        }
    }
}

fn data(stage: &str, parts: &[Part]) -> Json {
    let curves = || parts.iter().flatten().flatten();
    let step = thinning(curves());
    let curves = curves().map(|curve| {
        let points = curve.thinned(step).into_iter();
        let points = points.map(|(epoch, value)| json!([rounded(epoch), rounded(value)]));
        json!({
            "measure": curve.measure,
            "fold": fit_name(curve),
            "final": curve.fold == FINAL,
            "split": curve.split,
            "points": points.collect::<Vec<Json>>(),
        })
    });
    json!({"stage": stage, "curves": curves.collect::<Vec<Json>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_the_median_and_its_range() {
        assert_eq!(middle(vec![3.0, f64::NAN, 1.0]), "2 [1, 3]");
        assert_eq!(middle(vec![5.0, 0.25, 1.0]), "1 [0.25, 5]");
        assert_eq!(middle(vec![2.0, 2.0]), "2");
        assert_eq!(middle(vec![2.0]), "2");
        assert_eq!(middle(vec![f64::INFINITY]), "-");
    }
}
