//! How much each parameter of a study matters, judged by the trials that were made.
//!
//! This is PED-ANOVA (Watanabe, Bansal and Hutter, "PED-ANOVA: efficiently quantifying hyperparameter
//! importance in arbitrary subspaces", IJCAI 2023, equation 6): in each dimension, the Pearson divergence
//!
//! ```text
//! D = sum over u of q(u) (p(u) / q(u) - 1)^2
//! ```
//!
//! between p, the density of the best trials, and q, the density of all trials. If the best trials have
//! the same values of a parameter as all others, D is zero and the parameter does not matter. D does not
//! ask where the sampler looked, because p and q come from the same trials.
//!
//! A few trials differ from others by chance, so D is never quite zero. The level of chance is measured:
//! as many trials are drawn at random as count as the best, 200 times, and their D is computed in the
//! same way.

use super::space::Dimension;
use super::tpe::truncated_density;
use crate::numeric::rng::Stream;

/// The share of the trials that count as the best, and the most trials that do.
const BEST: (f64, usize) = (0.25, 100);

/// The fewest trials of which anything can be said.
const FEWEST: usize = 8;

/// The number of places at which the densities of a numeric parameter are compared.
const GRID: usize = 64;

/// The number of random choices of trials that measure the level of chance, and the part of them that
/// lies below that level.
const CHANCE: (u64, f64) = (200, 0.95);

/// How much one parameter matters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Importance {
    /// Pearson divergence between the values of the best trials and those of all trials, 0 or more.
    pub divergence: f64,
    /// The divergence that 95 % of random choices of as many trials stay below.
    pub chance: f64,
}

/// How much a parameter matters. `trials` has a value and a loss for each trial that has the parameter:
/// a number, or the index of a choice. The loss of a trial that was not evaluated to the end is `None`,
/// which counts as worse than all others. `number` tells the random numbers of parameters apart.
///
/// Returns `None` for fewer than eight trials, or if fewer than eight have a loss.
pub fn importance(
    dimension: &Dimension,
    trials: &[(f64, Option<f64>)],
    number: u64,
) -> Option<Importance> {
    let complete = trials.iter().filter(|(_, loss)| loss.is_some()).count();
    if complete < FEWEST {
        return None;
    }
    let mut ranked: Vec<usize> = (0..trials.len()).collect();
    ranked.sort_by(|&a, &b| match (trials[a].1, trials[b].1) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a, b) => a.is_none().cmp(&b.is_none()),
    });
    let n = ((BEST.0 * trials.len() as f64).ceil() as usize).clamp(1, BEST.1.min(complete));
    let values: Vec<f64> = trials.iter().map(|(value, _)| *value).collect();
    let densities = Densities::new(dimension, &values, n);
    let mut drawn: Vec<f64> = (0..CHANCE.0)
        .map(|draw| {
            let mut stream = Stream::new(0, &[number, draw]);
            densities.divergence(&chosen(trials.len(), n, &mut stream))
        })
        .collect();
    drawn.sort_by(f64::total_cmp);
    let at = (CHANCE.1 * CHANCE.0 as f64) as usize;
    Some(Importance {
        divergence: densities.divergence(&ranked[..n]),
        chance: drawn[at.min(drawn.len() - 1)],
    })
}

/// Draws `n` of the numbers below `of`, each at most once.
fn chosen(of: usize, n: usize, stream: &mut Stream) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..of).collect();
    for i in 0..n {
        let other = i + stream.below((of - i) as u64) as usize;
        numbers.swap(i, other);
    }
    numbers.truncate(n);
    numbers
}

/// The share of each trial in the density at each place.
struct Densities {
    places: usize,
    /// For each trial, its density at the places. It sums to one, nearly for numbers.
    of_trial: Vec<f64>,
    /// The mean over all trials.
    all: Vec<f64>,
}

impl Densities {
    /// The densities of values. Their width is that of a density of `n` trials.
    fn new(dimension: &Dimension, values: &[f64], n: usize) -> Self {
        let places = match dimension {
            Dimension::Choice(options) => *options,
            _ => GRID,
        };
        // Scott's rule in one dimension, and the bounds of the sampler.
        let n = n as f64;
        let width = (0.2 * libm::pow(n, -0.2)).max(1.0 / (n + 1.0).min(100.0));
        let mut of_trial = Vec::with_capacity(values.len() * places);
        for &value in values {
            match dimension {
                Dimension::Choice(_) => {
                    of_trial.extend((0..places).map(|i| f64::from(u8::from(i as f64 == value))));
                }
                _ => {
                    let center = dimension.unit(value);
                    of_trial.extend((0..places).map(|i| {
                        let u = (i as f64 + 0.5) / places as f64;
                        truncated_density(center, width, u) / places as f64
                    }));
                }
            }
        }
        let everyone: Vec<usize> = (0..values.len()).collect();
        let mut densities = Self {
            places,
            of_trial,
            all: Vec::new(),
        };
        densities.all = densities.mean(&everyone);
        densities
    }

    fn mean(&self, trials: &[usize]) -> Vec<f64> {
        let mut sum = vec![0.0; self.places];
        for &trial in trials {
            let density = &self.of_trial[trial * self.places..][..self.places];
            sum.iter_mut().zip(density).for_each(|(sum, d)| *sum += d);
        }
        let n = trials.len().max(1) as f64;
        sum.iter_mut().for_each(|sum| *sum /= n);
        sum
    }

    /// The Pearson divergence of some of the trials from all of them.
    fn divergence(&self, trials: &[usize]) -> f64 {
        let some = self.mean(trials);
        let places = some.iter().zip(&self.all);
        // Where no trial lies, both densities are zero and nothing is added.
        let places = places.filter(|(_, all)| **all > 0.0);
        places
            .map(|(some, all)| (some - all) * (some - all) / all)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn real() -> Dimension {
        Dimension::Real {
            low: 0.0,
            high: 1.0,
            log: false,
        }
    }

    type Tried = Vec<(f64, Option<f64>)>;

    /// Values of two parameters, and a loss that only the first decides.
    fn trials(n: u64) -> (Tried, Tried) {
        let drawn = (0..n).map(|i| {
            let mut stream = Stream::new(9, &[i]);
            let (a, b) = (stream.uniform(), stream.uniform());
            ((a, Some((a - 0.3).abs())), (b, Some((a - 0.3).abs())))
        });
        drawn.unzip()
    }

    #[test]
    fn what_decides_the_loss_matters_and_the_rest_does_not() {
        for n in [20, 60, 400] {
            let (decides, idle) = trials(n);
            let decides = importance(&real(), &decides, 0).unwrap();
            let idle = importance(&real(), &idle, 1).unwrap();
            assert!(decides.divergence > decides.chance, "{n}: {decides:?}");
            assert!(decides.divergence > 3.0 * idle.divergence, "{n}: {idle:?}");
            assert!(idle.divergence < 2.0 * idle.chance, "{n}: {idle:?}");
        }
    }

    #[test]
    fn the_divergence_of_options_is_that_of_their_shares() {
        // The best quarter has option 1 alone, which half of all trials have: D = sum (p - q)^2 / q.
        let trials: Tried = (0..32)
            .map(|i| (f64::from(u8::from(i < 16)), Some(f64::from(i))))
            .collect();
        let found = importance(&Dimension::Choice(2), &trials, 0).unwrap();
        assert!((found.divergence - 1.0).abs() < 1e-12, "{found:?}");
        assert!(found.chance < 1.0, "{found:?}");
    }

    #[test]
    fn few_trials_and_equal_values_say_nothing() {
        let seven: Tried = (0..7).map(|i| (0.1, Some(f64::from(i)))).collect();
        assert_eq!(importance(&real(), &seven, 0), None);
        let mut more = seven.clone();
        more.extend([(0.5, None); 30]);
        assert_eq!(
            importance(&real(), &more, 0),
            None,
            "only seven have a loss"
        );
        let equal: Tried = (0..30).map(|i| (0.4, Some(f64::from(i)))).collect();
        let found = importance(&real(), &equal, 0).unwrap();
        assert!(
            found.divergence < 1e-12 && found.chance < 1e-12,
            "{found:?}"
        );
    }

    #[test]
    fn a_trial_without_a_loss_counts_as_the_worst() {
        let mut trials: Tried = (0..12).map(|i| (0.2, Some(f64::from(i)))).collect();
        trials.extend([(0.9, None); 12]);
        let found = importance(&real(), &trials, 0).unwrap();
        assert!(found.divergence > found.chance, "{found:?}");
    }
}
