//! Kind `stack`: combines the predictions of several models into one.
//!
//! It is cross-fitted: the combination for fold k is fitted on the out-of-fold rows of the other folds
//! of the same repeat, and the one for unlabelled rows on all out-of-fold rows of repeat 0.
//!
//! - `weighted`: a mixture of the models' probabilities. The weights maximise the likelihood of the
//!   true class and are found by expectation-maximisation (Dempster, Laird and Rubin 1977), from
//!   equal weights. All classes are kept.
//! - `mean`: the mean of the models' probabilities. Nothing is fitted, which is the better choice if the
//!   models are about equally good or positives are few. All classes are kept.
//! - `rank`: the mean of each model's rank of P(positive), scaled to (0, 1). Nothing is fitted; ranks
//!   are taken within a fold, since scores of different fits are not comparable otherwise.
//! - `logistic`: logistic regression (L2) on the models' log-odds of the positive class.

use flow_cache::Value;
use flow_engine::kind::ParamWord;
use flow_engine::kind::{
    Action, InputPort, KindSpec, OutputPort, Ports, Scope, Stage, StageError, Step,
};
use flow_engine::{Params, params, words};

use crate::numeric::linear::{Logistic, LogisticOptions};
use crate::numeric::rank::midranks;
use crate::rows;
use crate::table::{Folds, Predictions, no_positive};

/// The kind.
pub struct Stack;

#[derive(Clone, Copy)]
enum StackMethod {
    Weighted,
    Mean,
    Rank,
    Logistic,
}

words!(StackMethod { Weighted = "weighted", Mean = "mean", Rank = "rank", Logistic = "logistic" });

params! {
    struct StackParams {
        method: StackMethod = word(StackMethod::Weighted, "Weighted mean with fitted weights, plain mean, mean of ranks, or logistic regression on log-odds.");
        c: f64 = float(1.0, 1e-9, 1e9, "Weight of the data against the penalty.").only("method", &["logistic"]);
    }
}

/// The number of steps of expectation-maximisation, far more than a handful of models needs to
/// converge.
const EM_STEPS: usize = 500;
/// Probabilities are kept this far from 0 and 1 before a logarithm is taken.
const EDGE: f64 = 1e-7;

impl Stage for Stack {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "stack",
            version: 1,
            about: "Combines several models' predictions, cross-fitted",
            ports: Ports {
                inputs: vec![InputPort::many("predictions", "predictions")],
                outputs: vec![
                    OutputPort::of(
                        "predictions",
                        "predictions",
                        0,
                        "a prediction like any model's",
                    ),
                    OutputPort::of(
                        "model",
                        "model",
                        0,
                        "JSON: weights or coefficients by repeat and fold",
                    ),
                ],
            },
            params: StackParams::specs(),
            steps: vec![
                Step::new("combine", Scope::Whole)
                    .crossed()
                    .port("predictions")
                    .writes("predictions")
                    .writes("model"),
            ],
        }
    }

    fn opaque(&self, _params: &Params, output: &str) -> bool {
        output == "model"
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let mut models = Vec::new();
        for part in action.input("predictions") {
            models.push(Predictions::read(&part.path)?);
        }
        let first = models
            .first()
            .ok_or_else(|| StageError::data("flow::data::no_rows", "there is nothing to stack"))?;
        for other in &models[1..] {
            same_rows(first, other)?;
        }
        if let Some(folds) = &action.folds {
            rows::held_out(first, &Folds::read(&folds.path)?)?;
        }
        let params = StackParams::read(action.params);
        let combined = combine(&models, &params, &|| action.checkpoint())?;
        let attrs = vec![(
            "rows".to_owned(),
            Value::Int(combined.predictions.len() as i64),
        )];
        let mut writer = action.create()?;
        combined.predictions.write(&mut writer)?;
        action.finish("predictions", writer, attrs)?;
        let json = serde_json::json!({ "method": params.method.word(), "fits": combined.fits });
        action.write("model", format!("{json:#}\n").as_bytes(), Vec::new())
    }
}

/// Combines the models as the parameters say.
fn combine(
    models: &[Predictions],
    params: &StackParams,
    go_on: &dyn Fn() -> Result<(), StageError>,
) -> Result<Combined, StageError> {
    match params.method {
        StackMethod::Weighted => {
            let models = same_classes(models)?;
            crossed(
                &models,
                |rows| em_weights(&models, rows, go_on),
                |w, i| mix(&models, w, i),
            )
        }
        StackMethod::Mean => {
            let models = same_classes(models)?;
            let equal =
                |_: &[usize]| go_on().map(|()| vec![1.0 / models.len() as f64; models.len()]);
            crossed(&models, equal, |w, i| mix(&models, w, i))
        }
        StackMethod::Rank => {
            let models = positive_only(models)?;
            let ranks = fold_ranks(&models);
            let none = |_: &[usize]| go_on().map(|()| Vec::new());
            crossed(&models, none, |_, i| vec![ranks[i]])
        }
        StackMethod::Logistic => {
            let models = positive_only(models)?;
            crossed(
                &models,
                |rows| go_on().and_then(|()| logistic(&models, rows, params.c)),
                |w, i| vec![meta(&models, w, i)],
            )
        }
    }
}

fn same_rows(a: &Predictions, b: &Predictions) -> Result<(), StageError> {
    if a.object_id == b.object_id && a.repeat == b.repeat && a.fold == b.fold && a.label == b.label
    {
        return Ok(());
    }
    Err(StageError::data(
        "flow::data::folds_differ",
        "the predictions to stack are not of the same objects and folds",
    )
    .help("feed all models from the same `folds` stage"))
}

fn same_classes(models: &[Predictions]) -> Result<Vec<Predictions>, StageError> {
    if models.iter().all(|m| m.classes == models[0].classes) {
        Ok(models.to_vec())
    } else {
        positive_only(models)
    }
}

/// Reduces the models to P(positive).
fn positive_only(models: &[Predictions]) -> Result<Vec<Predictions>, StageError> {
    models
        .iter()
        .map(|model| {
            let (column, positive) = model
                .positive_column()?
                .ok_or_else(|| no_positive(None, &model.classes))?;
            Ok(Predictions {
                classes: vec![positive.to_owned()],
                probability: vec![model.probability[column].clone()],
                ..model.clone()
            })
        })
        .collect()
}

struct Combined {
    predictions: Predictions,
    fits: Vec<serde_json::Value>,
}

/// Fits for each repeat and fold on the rows of the other folds, and combines the rows of that fold.
fn crossed(
    models: &[Predictions],
    fit: impl Fn(&[usize]) -> Result<Vec<f64>, StageError>,
    combine: impl Fn(&[f64], usize) -> Vec<f64>,
) -> Result<Combined, StageError> {
    let first = &models[0];
    let mut folds: Vec<(i32, Option<i32>)> = (0..first.len())
        .map(|i| (first.repeat[i], first.fold[i]))
        .collect();
    folds.sort_unstable();
    folds.dedup();
    let mut predictions = first.clone();
    let mut fits = Vec::new();
    for (repeat, fold) in folds {
        let others: Vec<usize> = (0..first.len())
            .filter(|&i| {
                first.repeat[i] == repeat && first.fold[i].is_some() && first.fold[i] != fold
            })
            .collect();
        let fitted = fit(&others)?;
        for i in 0..first.len() {
            if (first.repeat[i], first.fold[i]) == (repeat, fold) {
                for (column, value) in combine(&fitted, i).into_iter().enumerate() {
                    predictions.probability[column][i] = value;
                }
            }
        }
        fits.push(serde_json::json!({ "repeat": repeat, "fold": fold, "values": fitted }));
    }
    Ok(Combined { predictions, fits })
}

/// The probability that a model gives to the true class of a row. If the model has one column, every
/// other class gets the rest.
fn likelihood(model: &Predictions, row: usize) -> f64 {
    let label = model.label[row].as_deref();
    match model.classes.iter().position(|c| Some(c.as_str()) == label) {
        Some(column) => model.probability[column][row],
        None if model.classes.len() == 1 => 1.0 - model.probability[0][row],
        None => 0.0,
    }
}

fn em_weights(
    models: &[Predictions],
    rows: &[usize],
    go_on: &dyn Fn() -> Result<(), StageError>,
) -> Result<Vec<f64>, StageError> {
    let k = models.len();
    let mut weights = vec![1.0 / k as f64; k];
    if rows.is_empty() {
        return Ok(weights);
    }
    let likelihoods: Vec<f64> = rows
        .iter()
        .flat_map(|&i| models.iter().map(move |m| likelihood(m, i).max(EDGE)))
        .collect();
    for _ in 0..EM_STEPS {
        go_on()?;
        let mut next = vec![0.0; k];
        for row in likelihoods.chunks(k) {
            let total: f64 = row.iter().zip(&weights).map(|(p, w)| p * w).sum();
            for j in 0..k {
                next[j] += row[j] * weights[j] / total;
            }
        }
        weights = next.into_iter().map(|w| w / rows.len() as f64).collect();
    }
    Ok(weights)
}

fn mix(models: &[Predictions], weights: &[f64], row: usize) -> Vec<f64> {
    (0..models[0].classes.len())
        .map(|column| {
            let parts = models.iter().zip(weights);
            let sum: f64 = parts.map(|(m, w)| m.probability[column][row] * w).sum();
            sum.clamp(0.0, 1.0)
        })
        .collect()
}

/// The mean over models of each row's rank within its own repeat and fold, divided by n + 1.
fn fold_ranks(models: &[Predictions]) -> Vec<f64> {
    let first = &models[0];
    let mut groups = std::collections::BTreeMap::<_, Vec<usize>>::new();
    for i in 0..first.len() {
        groups
            .entry((first.repeat[i], first.fold[i]))
            .or_default()
            .push(i);
    }
    let mut mean = vec![0.0; first.len()];
    for rows in groups.values() {
        for model in models {
            let scores: Vec<f64> = rows.iter().map(|&i| model.probability[0][i]).collect();
            for (&i, rank) in rows.iter().zip(midranks(&scores)) {
                mean[i] += rank / (rows.len() + 1) as f64 / models.len() as f64;
            }
        }
    }
    mean
}

fn log_odds(p: f64) -> f64 {
    let p = p.clamp(EDGE, 1.0 - EDGE);
    libm::log(p / (1.0 - p))
}

/// The coefficients, with the intercept last.
fn logistic(models: &[Predictions], rows: &[usize], c: f64) -> Result<Vec<f64>, StageError> {
    let features: Vec<f64> = rows
        .iter()
        .flat_map(|&i| models.iter().map(move |m| log_odds(m.probability[0][i])))
        .collect();
    let labels: Vec<bool> = rows
        .iter()
        .map(|&i| models[0].label[i].as_ref() == models[0].classes.first())
        .collect();
    let options = LogisticOptions {
        c,
        ..LogisticOptions::default()
    };
    let fitted = Logistic::fit(&features, models.len(), &labels, options)
        .map_err(|e| StageError::data("flow::model::fit", e.to_string()).with_source(e))?;
    let mut values = fitted.coefficients;
    values.push(fitted.intercept);
    Ok(values)
}

fn meta(models: &[Predictions], fitted: &[f64], row: usize) -> f64 {
    let features: Vec<f64> = models
        .iter()
        .map(|m| log_odds(m.probability[0][row]))
        .collect();
    let (coefficients, intercept) = fitted.split_at(models.len());
    Logistic {
        coefficients: coefficients.to_vec(),
        intercept: intercept[0],
    }
    .probability(&features)
}
