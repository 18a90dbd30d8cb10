//! What the tests of layers and networks share.

use burn::tensor::Tensor;

use super::{Batch, InputShape, Pass, Track, Weights};
pub use crate::fused::testing::{
    assert_near, assert_same_with_threads, device, list, numbers, tensor, values,
};

/// What a network reads: tracks and channels by name, points, features, and 2 outputs.
pub fn shape(tracks: usize, channels: &[&str], points: usize, features: usize) -> InputShape {
    InputShape {
        tracks: (0..tracks).map(|track| format!("t{track}")).collect(),
        channels: channels.iter().map(|&name| name.into()).collect(),
        points,
        features,
        outputs: 2,
    }
}

/// Objects by the number of observations of each of their tracks. The values depend on the place of the object in the
/// list, unless `order` gives other places.
pub fn batch_of(input: &InputShape, lengths: &[Vec<usize>], order: &[usize]) -> Batch {
    let (points, channels) = (input.points, input.channels.len());
    let track = |track: usize| {
        let (mut all, mut mask) = (Vec::new(), Vec::new());
        for &object in order {
            let length = lengths[object][track];
            let mut row = numbers(&format!("{object} {track}"), length * channels);
            row.resize(points * channels, 0.0);
            all.extend(row);
            mask.extend((0..points).map(|point| if point < length { 1.0 } else { 0.0 }));
        }
        Track {
            values: tensor(&all, [order.len(), points, channels]),
            mask: tensor(&mask, [order.len(), points]),
        }
    };
    let features = order
        .iter()
        .flat_map(|object| numbers(&format!("{object}"), input.features));
    let features: Vec<f32> = features.collect();
    Batch {
        tracks: (0..input.tracks.len()).map(track).collect(),
        features: (input.features > 0).then(|| tensor(&features, [order.len(), input.features])),
        objects: order.len(),
    }
}

/// Objects in their order, of each of which a track has a different number of observations: 5, 1, 3, none.
pub fn batch(input: &InputShape) -> Batch {
    let lengths: Vec<Vec<usize>> = (0..4)
        .map(|object| {
            (0..input.tracks.len())
                .map(|track| [5, 1, 3, 0][(object + track) % 4])
                .collect()
        })
        .collect();
    batch_of(input, &lengths, &[0, 1, 2, 3])
}

/// Asserts that the gradients of `loss`, for each array of weights along one random direction, are those of central
/// differences.
#[track_caller]
pub fn assert_gradients(what: &str, loss: impl Fn(&mut Pass<'_>) -> Tensor<1>) {
    let mut weights = Weights::default();
    let of = |weights: &mut Weights| loss(&mut Pass::of_fit(weights, 3, 7, &device()));
    of(&mut weights);
    let mut fresh = weights.fresh();
    let gradients = of(&mut fresh).backward();
    for (at, weight) in fresh.all().iter().enumerate().filter(|(_, w)| w.trained) {
        let direction = numbers(&weight.name, weight.values.dims()[0]);
        let length = direction.iter().map(|x| x * x).sum::<f32>().sqrt();
        let direction: Vec<f32> = direction.iter().map(|x| x / length).collect();
        let gradient = weight
            .values
            .grad(&gradients)
            .map_or(vec![0.0; direction.len()], values);
        let expected: f32 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
        let moved = |step: f32| {
            let mut moved = weights.fresh();
            let before = values(weights.all()[at].values.clone());
            let after = before.iter().zip(&direction).map(|(w, d)| w + step * d);
            let after: Vec<f32> = after.collect();
            moved.set(&weight.name, tensor(&after, [after.len()]).require_grad());
            values(of(&mut moved))[0]
        };
        // A step may go over the corner of a maximum. A smaller one then does not, and is less exact elsewhere.
        let mut found = Vec::new();
        let near = [8e-3, 2e-3, 5e-4].into_iter().any(|step| {
            found.push((moved(step) - moved(-step)) / (2.0 * step));
            (found[found.len() - 1] - expected).abs() <= 5e-5 + 0.01 * expected.abs()
        });
        let name = &weight.name;
        assert!(near, "{what}, {name}: {expected}, by differences {found:?}");
    }
}

/// Returns a sum of all values, each with another factor.
pub fn mixed<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    let count = x.dims().iter().product();
    let factors = numbers("mixed", count);
    (x.reshape([count]) * tensor(&factors, [count])).sum()
}
