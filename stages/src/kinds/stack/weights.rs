//! Weights of a mixture of models.

use flow_engine::StageError;

use crate::numeric::hill_climb::hill_climb;
use crate::numeric::metrics::{average_precision, multiclass};
use crate::numeric::nnls;
use crate::table::Predictions;

/// The number of steps of expectation-maximisation, far more than a handful of models needs to
/// converge.
const EM_STEPS: usize = 500;
/// Likelihoods are kept this far from 0.
const EDGE: f64 = 1e-7;

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

/// The weights of highest likelihood.
pub(super) fn em(
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

/// The weighted mean of the models' probabilities of a row, by class.
pub(super) fn mix(models: &[Predictions], weights: &[f64], row: usize) -> Vec<f64> {
    (0..models[0].classes.len())
        .map(|column| {
            let parts = models.iter().zip(weights);
            let sum: f64 = parts.map(|(m, w)| m.probability[column][row] * w).sum();
            sum.clamp(0.0, 1.0)
        })
        .collect()
}

/// The weights of least squares that are not negative: of the probabilities of all classes, against 1 for the
/// true class and 0 for the others. They are scaled to sum to 1. Equal weights if no row tells anything.
pub(super) fn nonnegative(models: &[Predictions], rows: &[usize]) -> Vec<f64> {
    let k = models.len();
    let mut gram = vec![0.0; k * k];
    let mut target = vec![0.0; k];
    for (column, class) in models[0].classes.iter().enumerate() {
        for &i in rows {
            let truth = models[0].label[i].as_ref() == Some(class);
            for (a, model) in models.iter().enumerate() {
                let p = model.probability[column][i];
                target[a] += if truth { p } else { 0.0 };
                for (b, other) in models.iter().enumerate() {
                    gram[a * k + b] += p * other.probability[column][i];
                }
            }
        }
    }
    let weights = nnls::nonnegative(&gram, &target);
    let sum: f64 = weights.iter().sum();
    if sum > 0.0 {
        weights.into_iter().map(|w| w / sum).collect()
    } else {
        vec![1.0 / k as f64; k]
    }
}

/// The rows on which models are picked, and how a mixture of them scores.
pub(super) struct Climb {
    /// By model and row, the probability of the true class, or of all classes one after another.
    probabilities: Vec<Vec<f64>>,
    truth: Truth,
}

enum Truth {
    /// The mean logarithm of the probability of the true class counts.
    Likely,
    /// The average precision for one class counts.
    Positive(Vec<bool>),
    /// The mean of the average precisions for this many classes counts.
    Classes(Vec<usize>, usize),
}

impl Climb {
    /// Picks by the log-loss.
    pub(super) fn log_loss(models: &[Predictions], rows: &[usize]) -> Self {
        let of = |model| rows.iter().map(|&i| likelihood(model, i)).collect();
        Self {
            probabilities: models.iter().map(of).collect(),
            truth: Truth::Likely,
        }
    }

    /// Picks by the average precision.
    ///
    /// # Errors
    /// If the positive class has no column, or none is named and a row is of a class without column.
    pub(super) fn average_precision(
        models: &[Predictions],
        rows: &[usize],
    ) -> Result<Self, StageError> {
        if let Some((column, positive)) = models[0].positive_column()? {
            let of =
                |model: &Predictions| rows.iter().map(|&i| model.probability[column][i]).collect();
            let is = |&i: &usize| models[0].label[i].as_deref() == Some(positive);
            return Ok(Self {
                probabilities: models.iter().map(of).collect(),
                truth: Truth::Positive(rows.iter().map(is).collect()),
            });
        }
        let of = |model: &Predictions| {
            let row = |&i: &usize| model.probability.iter().map(move |column| column[i]);
            rows.iter().flat_map(row).collect()
        };
        let classes = rows.iter().map(|&i| models[0].class_of(i));
        Ok(Self {
            probabilities: models.iter().map(of).collect(),
            truth: Truth::Classes(classes.collect::<Result<_, _>>()?, models[0].classes.len()),
        })
    }

    /// The score of a mixture, of which more is better; NaN if it is undefined.
    fn score(&self, weights: &[f64]) -> f64 {
        let n = self.probabilities.first().map_or(0, Vec::len);
        let mut mixture = vec![0.0; n];
        for (model, weight) in self.probabilities.iter().zip(weights) {
            for (sum, p) in mixture.iter_mut().zip(model) {
                *sum += weight * p;
            }
        }
        let score = match &self.truth {
            Truth::Likely => {
                let sum: f64 = mixture.iter().map(|p| libm::log(p.max(EDGE))).sum();
                (n > 0).then(|| sum / n as f64)
            }
            Truth::Positive(labels) => average_precision(&mixture, labels, None),
            Truth::Classes(labels, n_classes) => {
                multiclass::average_precision_macro(&mixture, labels, *n_classes)
            }
        };
        score.unwrap_or(f64::NAN)
    }
}

/// The weights of the best mixture on the way of this many picks.
pub(super) fn climb(
    climber: &Climb,
    steps: usize,
    go_on: &dyn Fn() -> Result<(), StageError>,
) -> Result<Vec<f64>, StageError> {
    hill_climb(climber.probabilities.len(), steps, |weights| {
        go_on().map(|()| climber.score(weights))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::testing::doubtful;

    /// A model, the same with its classes confused, and one that knows nothing.
    fn models(n_classes: usize) -> Vec<Predictions> {
        let good = doubtful(400, n_classes);
        let mut confused = good.clone();
        confused.probability.rotate_left(1);
        let mut constant = good.clone();
        let equal = 1.0 / n_classes.max(2) as f64;
        constant.probability.iter_mut().for_each(|p| p.fill(equal));
        vec![confused, constant, good]
    }

    fn rows() -> Vec<usize> {
        (0..400).collect()
    }

    fn squared_error(models: &[Predictions], weights: &[f64]) -> f64 {
        let of = |i: usize| {
            let classes = models[0].classes.iter().zip(mix(models, weights, i));
            let errors = classes.map(|(class, p)| {
                let truth = f64::from(u8::from(models[0].label[i].as_ref() == Some(class)));
                (truth - p) * (truth - p)
            });
            errors.sum::<f64>()
        };
        rows().into_iter().map(of).sum()
    }

    #[test]
    fn a_mixture_of_least_squares_is_better_than_its_parts() {
        for n_classes in [2, 3] {
            let models = models(n_classes);
            let weights = nonnegative(&models, &rows());
            assert!(
                (weights.iter().sum::<f64>() - 1.0).abs() < 1e-12,
                "{weights:?}"
            );
            assert!(
                weights.iter().all(|&w| w >= 0.0) && weights[2] > 0.5,
                "{weights:?}"
            );
            let best = squared_error(&models, &weights);
            for single in [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]] {
                assert!(best < squared_error(&models, &single), "{weights:?}");
            }
        }
        assert_eq!(nonnegative(&models(2), &[]), [1.0 / 3.0; 3]);
    }

    #[test]
    fn picks_improve_what_they_are_asked_to() {
        let models = models(3);
        let go = || Ok(());
        let mut without = models.clone();
        without.iter_mut().for_each(|model| model.positive = None);
        for climber in [
            Climb::log_loss(&models, &rows()),
            Climb::average_precision(&models, &rows()).unwrap(),
            Climb::average_precision(&without, &rows()).unwrap(),
        ] {
            let singles = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
            let best = singles.map(|single| climber.score(&single));
            let best = best.into_iter().fold(f64::NEG_INFINITY, f64::max);
            let first = climb(&climber, 1, &go).unwrap();
            assert_eq!(climber.score(&first), best);
            let last = climb(&climber, 20, &go).unwrap();
            assert!(climber.score(&last) >= best && last[2] > 0.0, "{last:?}");
            assert!((last.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
        // The exaggerating model is tempered by the one that knows nothing.
        let climber = Climb::log_loss(&models, &rows());
        let tempered = climb(&climber, 50, &go).unwrap();
        assert!(tempered[1] > 0.0 && tempered[2] > 0.0, "{tempered:?}");
        let single = climb(&climber, 1, &go).unwrap();
        assert!(climber.score(&tempered) > climber.score(&single) + 0.01);
        let nothing = Climb::log_loss(&models, &[]);
        assert_eq!(climb(&nothing, 5, &go).unwrap(), [1.0 / 3.0; 3]);
    }

    #[test]
    fn a_class_without_a_column_is_named() {
        let mut models = models(3);
        models[0].positive = None;
        models[0].label[7] = Some("Z".into());
        let error = Climb::average_precision(&models, &rows()).err().unwrap();
        assert_eq!(error.code.as_str(), "flow::data::unknown_class");
    }
}
