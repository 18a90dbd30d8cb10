//! Kind `stack`: combines the predictions of several models into one.
//!
//! It is cross-fitted: the combination for fold k is fitted on the out-of-fold rows of the other folds
//! of the same repeat, and the one for unlabelled rows on all out-of-fold rows of repeat 0.
//!
//! - `weighted`: a mixture of the models' probabilities. The weights maximise the likelihood of the
//!   true class and are found by expectation-maximisation (Dempster, Laird and Rubin 1977), from
//!   equal weights. All classes are kept.
//! - `nonnegative`: the same mixture, with weights that minimise the squared error of the
//!   probabilities and are not negative (Breiman 1996, "Stacked regressions"; Lawson and Hanson 1974),
//!   scaled to sum to 1. Models that add nothing get 0. All classes are kept.
//! - `hill_climb`: the same mixture, with weights from greedy picks of models (Caruana et al. 2004),
//!   each of which improves `metric` the most. All classes are kept.
//! - `mean`: the mean of the models' probabilities. Nothing is fitted, which is the better choice if the
//!   models are about equally good or positives are few. All classes are kept.
//! - `rank`: the mean of each model's rank of P(positive), scaled to (0, 1). Nothing is fitted; ranks
//!   are taken within a fold, since scores of different fits are not comparable otherwise.
//! - `logistic`: logistic regression (L2) on the models' log-odds of the positive class.

mod scores;
mod weights;

use flow_engine::kind::ParamWord;
use flow_engine::kind::{
    Action, InputPort, KindSpec, OutputPort, Ports, Scope, Stage, StageError, Step,
};
use flow_engine::{Params, params, words};

use self::scores::{fold_ranks, logistic, meta};
use self::weights::{Climb, climb, em, mix, nonnegative};
use crate::rows::{CrossFits, CrossedPredictions, cross_fit, crossed_predictions};

/// The kind.
pub struct Stack;

#[derive(Clone, Copy)]
enum StackMethod {
    Weighted,
    Nonnegative,
    HillClimb,
    Mean,
    Rank,
    Logistic,
}

words!(StackMethod { Weighted = "weighted", Nonnegative = "nonnegative", HillClimb = "hill_climb", Mean = "mean", Rank = "rank", Logistic = "logistic" });

/// What hill climbing improves.
#[derive(Clone, Copy)]
enum ClimbMetric {
    LogLoss,
    Ap,
}

words!(ClimbMetric { LogLoss = "log_loss", Ap = "pr_auc" });

params! {
    struct StackParams {
        method: StackMethod = word(StackMethod::Weighted, "A weighted mean (weights of highest likelihood, of least squares without negative ones, or by hill climbing), a plain mean, a mean of ranks, or logistic regression on log-odds.");
        c: f64 = float(1.0, 1e-9, 1e9, "Weight of the data against the penalty.").only("method", &["logistic"]);
        metric: ClimbMetric = word(ClimbMetric::LogLoss, "What the picks improve: the log-loss of the true class, or the average precision (of the positive class, or else the mean over classes).").only("method", &["hill_climb"]);
        steps: usize = int(50, 1, 1000, "Picks, of which a model may get several.").only("method", &["hill_climb"]);
    }
}

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
        let crossed = crossed_predictions(action)?;
        let params = StackParams::read(action.params);
        let crossed = comparable(crossed, params.method)?;
        let fits = fits(&crossed, &params, &|| action.checkpoint())?;
        match params.method {
            StackMethod::Rank => {
                let ranks = fold_ranks(&crossed, &|| action.checkpoint())?;
                let mut ranks = ranks.into_iter();
                crossed.rewrite(action, |_, _| Ok(ranks.next().into_iter().collect()))?;
            }
            StackMethod::Logistic => crossed.rewrite(action, |models, row| {
                Ok(vec![meta(models, fits.of(&models[0], row)?, row)])
            })?,
            _ => crossed.rewrite(action, |models, row| {
                Ok(mix(models, fits.of(&models[0], row)?, row))
            })?,
        }
        let fits = fits.0.iter().map(|fit| {
            serde_json::json!({ "repeat": fit.repeat, "fold": fit.fold, "values": fit.fitted })
        });
        let fits: Vec<serde_json::Value> = fits.collect();
        let json = serde_json::json!({ "method": params.method.word(), "fits": fits });
        action.write("model", format!("{json:#}\n").as_bytes(), Vec::new())
    }
}

/// Reduces the models to P(positive) if the method is about it, or if they have different classes.
fn comparable(
    crossed: CrossedPredictions,
    method: StackMethod,
) -> Result<CrossedPredictions, StageError> {
    let models = &crossed.models;
    let alike = models.iter().all(|m| m.classes == models[0].classes);
    match method {
        StackMethod::Rank | StackMethod::Logistic => crossed.of_positive(),
        _ if alike => Ok(crossed),
        _ => crossed.of_positive(),
    }
}

/// Fits what the method combines the models by: weights, coefficients, or nothing.
fn fits(
    crossed: &CrossedPredictions,
    params: &StackParams,
    go_on: &dyn Fn() -> Result<(), StageError>,
) -> Result<CrossFits<Vec<f64>>, StageError> {
    let models = &crossed.models;
    cross_fit(crossed, |rows| match params.method {
        StackMethod::Weighted => em(models, rows, go_on),
        StackMethod::Nonnegative => go_on().map(|()| nonnegative(models, rows)),
        StackMethod::HillClimb => {
            let climber = match params.metric {
                ClimbMetric::LogLoss => Climb::log_loss(models, rows),
                ClimbMetric::Ap => Climb::average_precision(models, rows)?,
            };
            climb(&climber, params.steps, go_on)
        }
        StackMethod::Mean => go_on().map(|()| vec![1.0 / models.len() as f64; models.len()]),
        StackMethod::Rank => go_on().map(|()| Vec::new()),
        StackMethod::Logistic => go_on().and_then(|()| logistic(models, rows, params.c)),
    })
}
