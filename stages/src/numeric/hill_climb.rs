//! Selection with replacement: which mixture of models a few greedy picks lead to.

/// Picks models one after another, each time the one with which the mixture of all picks so far scores
/// highest, and returns the weights of the best mixture on the way: the share of the picks that each
/// model has (Caruana et al. 2004, "Ensemble selection from libraries of models", section 2). A model can be
/// picked again and again. Of equal scores, the earliest model and the shortest way win.
///
/// `score` gets weights that sum to 1; more is better. A score that is NaN is never picked. If all are,
/// the models get equal weights.
pub fn hill_climb<E>(
    n_models: usize,
    steps: usize,
    mut score: impl FnMut(&[f64]) -> Result<f64, E>,
) -> Result<Vec<f64>, E> {
    let mut picks = vec![0_usize; n_models];
    let mut best = (f64::NEG_INFINITY, vec![1.0 / n_models as f64; n_models]);
    for step in 1..=steps {
        let mut highest: Option<(f64, usize, Vec<f64>)> = None;
        for model in 0..n_models {
            picks[model] += 1;
            let weights: Vec<f64> = picks.iter().map(|&n| n as f64 / step as f64).collect();
            picks[model] -= 1;
            let value = score(&weights)?;
            let better = highest.as_ref().is_none_or(|(most, ..)| value > *most);
            if !value.is_nan() && better {
                highest = Some((value, model, weights));
            }
        }
        let Some((value, model, weights)) = highest else {
            break;
        };
        picks[model] += 1;
        if value > best.0 {
            best = (value, weights);
        }
    }
    Ok(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn climb(n: usize, steps: usize, score: impl Fn(&[f64]) -> f64) -> Vec<f64> {
        hill_climb(n, steps, |w| Ok::<_, Infallible>(score(w))).unwrap_or_else(|e| match e {})
    }

    #[test]
    fn the_best_mixture_is_found() {
        let target = [0.5, 0.0, 0.3, 0.2];
        let near = |w: &[f64]| -> f64 {
            let squares = w.iter().zip(target).map(|(w, t)| (w - t) * (w - t));
            -squares.sum::<f64>()
        };
        let weights = climb(4, 10, near);
        for (ours, wanted) in weights.iter().zip(target) {
            assert!((ours - wanted).abs() < 1e-12, "{weights:?}");
        }
        // One step is the best single model.
        assert_eq!(climb(4, 1, near), [1.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn the_way_may_lead_past_the_best() {
        // Anything but the second model alone is worse.
        let weights = climb(3, 8, |w| if w[1] == 1.0 { 1.0 } else { -w[1] });
        assert_eq!(weights, [0.0, 1.0, 0.0]);
    }

    #[test]
    fn ties_and_undefined_scores_are_settled() {
        assert_eq!(climb(3, 5, |_| 1.0), [1.0, 0.0, 0.0]);
        assert_eq!(climb(2, 5, |_| f64::NAN), [0.5, 0.5]);
        assert_eq!(climb(2, 0, |_| 1.0), [0.5, 0.5]);
        let second = climb(2, 3, |w| if w[0] > 0.0 { f64::NAN } else { 1.0 });
        assert_eq!(second, [0.0, 1.0]);
        assert_eq!(
            hill_climb(2, 3, |_| Err::<f64, _>("stopped")),
            Err("stopped")
        );
    }
}
