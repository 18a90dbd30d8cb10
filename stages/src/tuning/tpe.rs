//! A tree-structured Parzen estimator, which proposes points where good points are dense and bad ones
//! are not.
//!
//! Bergstra, Bardenet, Bengio and Kegl, "Algorithms for hyper-parameter optimization" (NIPS 2011),
//! section 4: the observed points are split at a quantile of the loss, and densities l and g are fitted
//! to the better points and to the others. Of some draws from l, the one with the largest l/g is
//! proposed, which has the largest expected improvement. As in BOHB (Falkner, Klein and Hutter, ICML
//! 2018) a density is one mixture over all dimensions, so that values that go well together are drawn
//! together:
//!
//! - one component for each point, and one wide one, the prior; all weigh the same;
//! - in a numeric dimension a normal density on the unit interval, truncated, of width
//!   0.2 n^(-1/(d+4)) for n points in d dimensions (Scott's rule), at least 1/min(100, n+1);
//! - in a choice of c options the point's own option with weight 1 + 1/n and the others with 1/n.
//!
//! It was written for this project because the crates that offer it draw from a generator of the thread
//! or use the system's mathematical library, which would make proposals depend on the machine.

use super::space::{Dimension, Point};
use crate::numeric::rng::Stream;

/// The number of draws from l, of which the best is proposed.
const CANDIDATES: usize = 24;

/// The share of the points that count as good, and the most points that do.
const GOOD: (f64, usize) = (0.15, 25);

/// Proposes a point given the points seen so far, best first.
pub fn propose(space: &[Dimension], ranked: &[&Point], stream: &mut Stream) -> Point {
    let n_good = ((GOOD.0 * ranked.len() as f64).ceil() as usize).clamp(1, GOOD.1);
    let (good, bad) = ranked.split_at(n_good.min(ranked.len()));
    let (good, bad) = (Density::new(space, good), Density::new(space, bad));
    let mut best: Option<(f64, Point)> = None;
    for _ in 0..CANDIDATES {
        let point = good.draw(stream);
        let gain = good.log(&point) - bad.log(&point);
        if best.as_ref().is_none_or(|(most, _)| gain > *most) {
            best = Some((gain, point));
        }
    }
    best.map(|(_, point)| point).unwrap_or_default()
}

/// A Parzen estimator of the density of some points.
struct Density<'a> {
    space: &'a [Dimension],
    /// The points in unit coordinates; a choice is its index.
    centres: Vec<Vec<f64>>,
    width: f64,
}

impl<'a> Density<'a> {
    fn new(space: &'a [Dimension], points: &[&Point]) -> Self {
        let n = points.len().max(1) as f64;
        let scott = 0.2 * libm::pow(n, -1.0 / (space.len() as f64 + 4.0));
        Self {
            space,
            centres: points.iter().map(|point| units(space, point)).collect(),
            width: scott.max(1.0 / (points.len() as f64 + 1.0).min(100.0)),
        }
    }

    fn draw(&self, stream: &mut Stream) -> Point {
        let component = stream.below(self.centres.len() as u64 + 1) as usize;
        let centre = self.centres.get(component);
        let dimensions = self.space.iter().enumerate();
        dimensions
            .map(|(d, dimension)| match (dimension, centre) {
                (Dimension::Choice(n), Some(centre)) => {
                    let other = 1.0 / self.centres.len() as f64;
                    let own = 1.0 / (1.0 + *n as f64 * other);
                    if stream.uniform() < own {
                        centre[d]
                    } else {
                        stream.below(*n as u64) as f64
                    }
                }
                (_, Some(centre)) => dimension.at(truncated(centre[d], self.width, stream)),
                (_, None) => dimension.at(stream.uniform()),
            })
            .collect()
    }

    /// The logarithm of the density at a point.
    fn log(&self, point: &Point) -> f64 {
        let at = units(self.space, point);
        let mut logs: Vec<f64> = self
            .centres
            .iter()
            .map(|c| self.component(c, &at))
            .collect();
        // The prior is even over numbers and over options.
        logs.push(
            self.space
                .iter()
                .map(|dimension| match dimension {
                    Dimension::Choice(n) => -libm::log(*n as f64),
                    _ => 0.0,
                })
                .sum(),
        );
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logs.iter().map(|log| libm::exp(log - most)).sum();
        most + libm::log(sum / logs.len() as f64)
    }

    fn component(&self, centre: &[f64], at: &[f64]) -> f64 {
        let dimensions = self.space.iter().zip(centre.iter().zip(at));
        dimensions
            .map(|(dimension, (&centre, &at))| match dimension {
                Dimension::Choice(n) => {
                    let other = 1.0 / self.centres.len() as f64;
                    let own = if centre == at { 1.0 } else { 0.0 };
                    libm::log((own + other) / (1.0 + *n as f64 * other))
                }
                _ => log_truncated(centre, self.width, at),
            })
            .sum()
    }
}

/// Converts numbers to unit coordinates; a choice stays an index.
fn units(space: &[Dimension], point: &Point) -> Vec<f64> {
    space
        .iter()
        .zip(point)
        .map(|(dimension, &value)| match dimension {
            Dimension::Choice(_) => value,
            _ => dimension.unit(value),
        })
        .collect()
}

/// The density at `u` of a normal distribution that is cut off outside of 0 to 1.
pub(super) fn truncated_density(mean: f64, width: f64, u: f64) -> f64 {
    libm::exp(log_truncated(mean, width, u))
}

/// A normal deviate between 0 and 1, by rejection. The mean lies there, so at least about a third of
/// the draws does too for widths below 1.
fn truncated(mean: f64, width: f64, stream: &mut Stream) -> f64 {
    for _ in 0..1000 {
        let u = mean + width * stream.normal();
        if (0.0..=1.0).contains(&u) {
            return u;
        }
    }
    mean
}

fn log_truncated(mean: f64, width: f64, u: f64) -> f64 {
    let below = |x: f64| 0.5 * (1.0 + libm::erf((x - mean) / (width * std::f64::consts::SQRT_2)));
    let z = (u - mean) / width;
    -0.5 * z * z
        - libm::log(width * libm::sqrt(2.0 * std::f64::consts::PI) * (below(1.0) - below(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn densities_integrate_to_one() {
        let space = [
            Dimension::Real {
                low: 0.0,
                high: 1.0,
                log: false,
            },
            Dimension::Choice(3),
        ];
        let points = [vec![0.0, 1.0], vec![0.4, 2.0]];
        let density = Density::new(&space, &points.iter().collect::<Vec<_>>());
        let steps = 5000;
        let mut sum = 0.0;
        for option in 0..3 {
            for i in 0..steps {
                let u = (f64::from(i) + 0.5) / f64::from(steps);
                sum += libm::exp(density.log(&vec![u, f64::from(option)])) / f64::from(steps);
            }
        }
        assert!((sum - 1.0).abs() < 1e-3, "{sum}");
    }

    #[test]
    fn proposals_stay_near_the_good_points() {
        let space = [Dimension::Real {
            low: 0.0,
            high: 10.0,
            log: false,
        }];
        // Values closer to 7 are better.
        let mut points: Vec<Point> = (0..40).map(|i| vec![f64::from(i) / 4.0]).collect();
        points.sort_by(|a, b| (a[0] - 7.0).abs().total_cmp(&(b[0] - 7.0).abs()));
        let ranked: Vec<&Point> = points.iter().collect();
        let near = (0..100)
            .filter(|&i| {
                let point = propose(&space, &ranked, &mut Stream::new(1, &[i]));
                (point[0] - 7.0).abs() < 2.0
            })
            .count();
        assert!(near > 90, "{near} of 100");
    }
}
