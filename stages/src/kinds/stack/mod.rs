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
use crate::rows::{cross_fit, crossed_predictions, write_predictions};
use crate::table::{Predictions, no_positive};

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
        let models = crossed_predictions(action)?;
        let params = StackParams::read(action.params);
        let combined = combine(&models, &params, &|| action.checkpoint())?;
        write_predictions(action, "predictions", &combined.predictions)?;
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
        StackMethod::Weighted => mixed(models, |models, rows| em(models, rows, go_on)),
        StackMethod::Nonnegative => mixed(models, |models, rows| {
            go_on().map(|()| nonnegative(models, rows))
        }),
        StackMethod::HillClimb => mixed(models, |models, rows| {
            let climber = match params.metric {
                ClimbMetric::LogLoss => Climb::log_loss(models, rows),
                ClimbMetric::Ap => Climb::average_precision(models, rows)?,
            };
            climb(&climber, params.steps, go_on)
        }),
        StackMethod::Mean => mixed(models, |models, _| {
            go_on().map(|()| vec![1.0 / models.len() as f64; models.len()])
        }),
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

/// Combines the models by a weighted mean.
fn mixed(
    models: &[Predictions],
    weights: impl Fn(&[Predictions], &[usize]) -> Result<Vec<f64>, StageError>,
) -> Result<Combined, StageError> {
    let models = same_classes(models)?;
    crossed(
        &models,
        |rows| weights(&models, rows),
        |w, i| mix(&models, w, i),
    )
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
    let mut predictions = models[0].clone();
    let mut fits = Vec::new();
    for fit in cross_fit(&models[0], fit)? {
        for i in fit.rows {
            for (column, value) in combine(&fit.fitted, i).into_iter().enumerate() {
                predictions.probability[column][i] = value;
            }
        }
        fits.push(
            serde_json::json!({ "repeat": fit.repeat, "fold": fit.fold, "values": fit.fitted }),
        );
    }
    Ok(Combined { predictions, fits })
}
