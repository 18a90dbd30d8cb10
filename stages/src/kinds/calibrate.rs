//! Kind `calibrate`: makes of a model's scores probabilities that say how often a class is the true one.
//!
//! It is cross-fitted: the map for fold k is fitted on the out-of-fold rows of the other folds of the same
//! repeat, and the one for unlabelled rows on all out-of-fold rows of repeat 0.
//!
//! - `isotonic`: any map that does not decrease, for each class against the rest. It bends as the data
//!   want, needs some dozens of rows of a class, and gives many rows the same probability.
//! - `platt`: a logistic curve on the log-odds of each class against the rest. It has two numbers a class and
//!   keeps the order of the rows of a fold.
//! - `temperature`: the logarithms of all probabilities divided by one number.
//!
//! With `isotonic` and `platt`, the probabilities of several classes are scaled to sum to 1. If all of a row
//! are 0, they become equal.

use flow_engine::kind::ParamWord;
use flow_engine::kind::{
    Action, InputPort, KindSpec, OutputPort, Ports, Scope, Stage, StageError, Step,
};
use flow_engine::{Params, params, words};

use crate::evaluation::out_of_fold;
use crate::numeric::calibration::isotonic::Isotonic;
use crate::numeric::calibration::platt::Platt;
use crate::numeric::calibration::{log_odds, temperature};
use crate::rows::{self, CrossFits, CrossedPredictions, cross_fit, crossed_predictions};
use crate::table::Predictions;

/// The kind.
pub struct Calibrate;

#[derive(Clone, Copy, Debug)]
enum CalibrationMethod {
    Isotonic,
    Platt,
    Temperature,
}

words!(CalibrationMethod { Isotonic = "isotonic", Platt = "platt", Temperature = "temperature" });

params! {
    struct CalibrateParams {
        method: CalibrationMethod = word(CalibrationMethod::Isotonic, "Steps that do not decrease (isotonic regression), a logistic curve on log-odds (Platt), or one temperature for all classes.");
    }
}

impl Stage for Calibrate {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "calibrate",
            version: 1,
            about: "Corrects probabilities so that they are as frequent as they say, cross-fitted",
            ports: Ports {
                inputs: vec![InputPort::one("predictions", "predictions")],
                outputs: vec![
                    OutputPort::of(
                        "predictions",
                        "predictions",
                        0,
                        "the predictions with corrected probabilities",
                    ),
                    OutputPort::of("model", "model", 0, "JSON: the maps by repeat and fold"),
                ],
            },
            params: CalibrateParams::specs(),
            steps: vec![
                Step::new("calibrate", Scope::Whole)
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
        let method = CalibrateParams::read(action.params).method;
        let fits = maps(&crossed, method, &|| action.checkpoint())?;
        crossed.rewrite(action, |models, row| calibrated(&fits, &models[0], row))?;
        let classes = &crossed.models[0].classes;
        let fits = fits.0.iter().map(|fit| {
            let values = fit.fitted.json(classes);
            serde_json::json!({ "repeat": fit.repeat, "fold": fit.fold, "values": values })
        });
        let fits: Vec<serde_json::Value> = fits.collect();
        let json = serde_json::json!({ "method": method.word(), "fits": fits });
        action.write("model", format!("{json:#}\n").as_bytes(), Vec::new())
    }
}

/// The maps of one fold.
enum Map {
    /// For each class against the rest.
    Isotonic(Vec<Isotonic>),
    /// For each class against the rest.
    Platt(Vec<Platt>),
    /// For all classes.
    Temperature(f64),
}

/// Fits the maps of the folds.
fn maps(
    crossed: &CrossedPredictions,
    method: CalibrationMethod,
    go_on: &dyn Fn() -> Result<(), StageError>,
) -> Result<CrossFits<Map>, StageError> {
    let predictions = &crossed.models[0];
    // All rows that are learned from have a label.
    out_of_fold(predictions)?;
    cross_fit(crossed, |rows| {
        go_on()?;
        Map::fit(predictions, rows, method)
    })
}

/// The probabilities of a row as the map of its fold has them.
fn calibrated(
    fits: &CrossFits<Map>,
    predictions: &Predictions,
    row: usize,
) -> Result<Vec<f64>, StageError> {
    let columns = predictions.probability.iter();
    let mut probabilities: Vec<f64> = columns.map(|column| column[row]).collect();
    fits.of(predictions, row)?.apply(&mut probabilities);
    Ok(probabilities)
}

impl Map {
    /// Fits the map on some rows.
    fn fit(
        predictions: &Predictions,
        rows: &[usize],
        method: CalibrationMethod,
    ) -> Result<Self, StageError> {
        if rows.is_empty() {
            return Err(rows::one_fold("a calibration"));
        }
        let of = |column: usize| -> (Vec<f64>, Vec<bool>) {
            let class = &predictions.classes[column];
            let pair = |&i: &usize| {
                let p = predictions.probability[column][i];
                (p, predictions.label[i].as_ref() == Some(class))
            };
            rows.iter().map(pair).unzip()
        };
        let columns = 0..predictions.classes.len();
        Ok(match method {
            CalibrationMethod::Isotonic => Self::Isotonic(
                columns
                    .map(|column| {
                        let (scores, labels) = of(column);
                        let outcomes: Vec<f64> =
                            labels.iter().map(|&l| f64::from(u8::from(l))).collect();
                        Isotonic::fit(&scores, &outcomes, None)
                    })
                    .collect(),
            ),
            CalibrationMethod::Platt => Self::Platt(
                columns
                    .map(|column| {
                        let (scores, labels) = of(column);
                        let scores: Vec<f64> = scores.into_iter().map(log_odds).collect();
                        Platt::fit(&scores, &labels)
                    })
                    .collect(),
            ),
            CalibrationMethod::Temperature => {
                Self::Temperature(best_temperature(predictions, rows)?)
            }
        })
    }

    /// Replaces the probabilities of a row.
    fn apply(&self, row: &mut [f64]) {
        match self {
            Self::Isotonic(maps) => {
                for (p, map) in row.iter_mut().zip(maps) {
                    *p = map.value(*p).clamp(0.0, 1.0);
                }
                normalise(row);
            }
            Self::Platt(curves) => {
                for (p, curve) in row.iter_mut().zip(curves) {
                    *p = curve.probability(log_odds(*p));
                }
                normalise(row);
            }
            Self::Temperature(t) => match row {
                [p] => {
                    let mut both = [*p, 1.0 - *p];
                    temperature::apply(&mut both, *t);
                    *p = both[0];
                }
                row => temperature::apply(row, *t),
            },
        }
    }

    /// The map as JSON.
    fn json(&self, classes: &[String]) -> serde_json::Value {
        fn by_class<T>(
            classes: &[String],
            maps: &[T],
            json: impl Fn(&T) -> serde_json::Value,
        ) -> serde_json::Value {
            let pairs = classes.iter().zip(maps);
            pairs
                .map(|(class, map)| (class.clone(), json(map)))
                .collect()
        }
        match self {
            Self::Isotonic(maps) => by_class(
                classes,
                maps,
                |map| serde_json::json!({ "x": map.x, "y": map.y }),
            ),
            Self::Platt(curves) => by_class(
                classes,
                curves,
                |curve| serde_json::json!({ "a": curve.a, "b": curve.b }),
            ),
            Self::Temperature(t) => serde_json::json!({ "temperature": t }),
        }
    }
}

/// The temperature of least log-loss. One column of probabilities stands for two classes.
fn best_temperature(predictions: &Predictions, rows: &[usize]) -> Result<f64, StageError> {
    if let [column] = predictions.probability.as_slice() {
        let both = rows.iter().flat_map(|&i| [column[i], 1.0 - column[i]]);
        let is = |&i: &usize| predictions.label[i].as_ref() == predictions.classes.first();
        let labels: Vec<usize> = rows.iter().map(|i| usize::from(!is(i))).collect();
        return Ok(temperature::fit(&both.collect::<Vec<_>>(), &labels, 2));
    }
    let columns = &predictions.probability;
    let all = rows
        .iter()
        .flat_map(|&i| columns.iter().map(move |column| column[i]));
    let labels = rows.iter().map(|&i| predictions.class_of(i));
    let labels: Vec<usize> = labels.collect::<Result<_, _>>()?;
    Ok(temperature::fit(
        &all.collect::<Vec<_>>(),
        &labels,
        columns.len(),
    ))
}

/// Scales the probabilities of several classes to sum to 1.
fn normalise(row: &mut [f64]) {
    if row.len() < 2 {
        return;
    }
    let sum: f64 = row.iter().sum();
    let equal = 1.0 / row.len() as f64;
    for p in row {
        *p = if sum > 0.0 { *p / sum } else { equal };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::metrics;
    use crate::rows::testing::{crossed, doubtful, flipped, rewritten};

    const METHODS: [CalibrationMethod; 3] = [
        CalibrationMethod::Isotonic,
        CalibrationMethod::Platt,
        CalibrationMethod::Temperature,
    ];

    fn tried(
        predictions: &Predictions,
        method: CalibrationMethod,
    ) -> Result<Predictions, StageError> {
        let (_folder, crossed) = crossed(std::slice::from_ref(predictions))?;
        let fits = maps(&crossed, method, &|| Ok(()))?;
        rewritten(&crossed, |models, row| calibrated(&fits, &models[0], row))
    }

    fn run(predictions: &Predictions, method: CalibrationMethod) -> Predictions {
        tried(predictions, method).unwrap()
    }

    /// The Brier score and the log-loss of the first class over the out-of-fold rows.
    fn losses(predictions: &Predictions) -> [f64; 2] {
        let rows = (0..predictions.len()).filter(|&i| predictions.fold[i].is_some());
        let pair = |i: usize| {
            let label = predictions.label[i].as_ref() == predictions.classes.first();
            (predictions.probability[0][i], label)
        };
        let (scores, labels): (Vec<f64>, Vec<bool>) = rows.map(pair).unzip();
        [
            metrics::brier(&scores, &labels).unwrap(),
            metrics::log_loss(&scores, &labels).unwrap(),
        ]
    }

    #[test]
    fn scores_that_exaggerate_are_corrected() {
        for classes in [1, 2, 3] {
            let predictions = doubtful(600, classes);
            for method in METHODS {
                let better = run(&predictions, method);
                let (before, after) = (losses(&predictions), losses(&better));
                assert!(
                    after[0] < 0.95 * before[0],
                    "{classes} {method:?}: {before:?} {after:?}"
                );
                // Steps at 0 and 1 cost much where they are wrong.
                let steps = matches!(method, CalibrationMethod::Isotonic);
                assert!(
                    steps || after[1] < 0.85 * before[1],
                    "{classes} {method:?}: {before:?} {after:?}"
                );
                for i in 0..better.len() {
                    let row: Vec<f64> = better.probability.iter().map(|p| p[i]).collect();
                    assert!(row.iter().all(|p| (0.0..=1.0).contains(p)), "{row:?}");
                    let sum: f64 = row.iter().sum();
                    assert!(classes == 1 || (sum - 1.0).abs() < 1e-12, "{row:?}");
                }
            }
        }
    }

    #[test]
    fn labels_of_a_fold_have_no_say_in_its_map() {
        let predictions = doubtful(300, 2);
        for method in METHODS {
            let (before, after) = (
                run(&predictions, method),
                run(&flipped(&predictions), method),
            );
            let mut others_differ = false;
            for i in 0..before.len() {
                let same = before.probability[0][i] == after.probability[0][i];
                match before.fold[i] {
                    Some(0) => assert!(same, "{method:?}: {i}"),
                    _ => others_differ |= !same,
                }
            }
            assert!(others_differ, "{method:?}");
        }
    }

    #[test]
    fn odd_rows_are_refused_or_harmless() {
        let one_fold = {
            let mut all = doubtful(40, 1);
            all.fold.fill(Some(3));
            all.label.fill(Some("A".into()));
            all
        };
        for method in METHODS {
            let error = tried(&one_fold, method).unwrap_err();
            assert_eq!(error.code.as_str(), "flow::data::one_fold");
            assert!(!error.help.is_empty());
            // Certain, constant, and without a row of the class.
            let mut constant = doubtful(40, 2);
            constant.probability[0].fill(1.0);
            constant.probability[1].fill(0.0);
            constant
                .label
                .iter_mut()
                .for_each(|label| *label = Some("B".into()));
            let found = run(&constant, method);
            let p = &found.probability[0];
            assert!(
                p.iter().all(|p| (0.0..=0.501).contains(p)),
                "{method:?}: {p:?}"
            );
        }
        let mut unlabelled = doubtful(40, 1);
        unlabelled.label[3] = None;
        let error = tried(&unlabelled, METHODS[0]).unwrap_err();
        assert_eq!(error.code.as_str(), "flow::data::no_label");
        let mut strange = doubtful(40, 2);
        strange.label[3] = Some("Z".into());
        let error = tried(&strange, CalibrationMethod::Temperature).unwrap_err();
        assert_eq!(error.code.as_str(), "flow::data::unknown_class");
    }
}
