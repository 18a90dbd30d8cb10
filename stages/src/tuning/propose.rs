//! What to try next, given the results so far.
//!
//! A proposal is a pure function of the seed, the number of the trial and the results before it: no
//! state is kept anywhere, and a study that is played again makes the same proposals.

use std::collections::HashSet;

use flow_engine::pipeline::study::Sampler;

use super::space::{Dimension, Point, grid_point, size};
use super::tpe;
use crate::numeric::rng::Stream;

/// The number of points that are drawn at random before the Parzen estimator has enough results.
pub const STARTUP: usize = 10;

/// The number of draws that are repeated because the point was tried already, before all other points
/// are listed.
const REDRAWS: u64 = 50;

/// A point that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct TriedPoint {
    /// The point.
    pub point: Point,
    /// The loss; less is better. `None` if it could not be measured, which counts as worst of all.
    pub loss: Option<f64>,
}

/// Proposes the next `count` points, to be tried at the same time; fewer if the space has no more. No
/// point comes twice. Trials are numbered from 0 in the order of `tried`.
pub fn propose(
    sampler: Sampler,
    space: &[Dimension],
    seed: u64,
    tried: &[TriedPoint],
    count: usize,
) -> Vec<Point> {
    let total = size(space);
    let mut ranked: Vec<&TriedPoint> = tried.iter().collect();
    // The sort is stable, so that of equal losses the earlier comes first.
    ranked.sort_by(|a, b| match (a.loss, b.loss) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a, b) => a.is_none().cmp(&b.is_none()),
    });
    let mut taken: HashSet<Vec<u64>> = tried.iter().map(|tried| bits(&tried.point)).collect();
    let mut proposed: Vec<Point> = Vec::with_capacity(count);
    while proposed.len() < count && total.is_none_or(|total| (taken.len() as u64) < total) {
        let trial = (tried.len() + proposed.len()) as u64;
        let draw = |attempt: u64| {
            let mut stream = Stream::new(seed, &[trial, attempt]);
            if sampler == Sampler::Tpe && tried.len() >= STARTUP {
                // Points that are being tried count as bad, so that the others go elsewhere.
                let pending = proposed.iter();
                let ranked = ranked.iter().map(|tried| &tried.point).chain(pending);
                tpe::propose(space, &ranked.collect::<Vec<_>>(), &mut stream)
            } else {
                space.iter().map(|d| d.at(stream.uniform())).collect()
            }
        };
        let is_new = |point: &Point| !taken.contains(&bits(point));
        let drawn = match sampler {
            Sampler::Grid => None,
            _ => (0..REDRAWS).map(draw).find(is_new),
        };
        let next = drawn.or_else(|| {
            let all = (0..total?).map(|i| grid_point(space, i));
            all.into_iter().find(is_new)
        });
        let Some(point) = next else { break };
        taken.insert(bits(&point));
        proposed.push(point);
    }
    proposed
}

fn bits(point: &Point) -> Vec<u64> {
    point.iter().map(|value| value.to_bits()).collect()
}

#[cfg(test)]
mod tests;
