//! Objects of similar length at a time.

use std::cmp::Reverse;

use burn::tensor::{Int, Tensor};

use super::super::Track;

/// Has `rows` make one row for each object, `[objects, width]`, of groups of objects that are about as long as each other.
///
/// In a batch, all tracks are padded to the longest. Few observations are the rule, so most of that would be padding, on
/// which a network would spend most of its time. Here a group is padded to its own longest, of which the others have at
/// least two thirds. A row must not depend on other objects, nor on padding.
pub fn by_length(track: &Track, mut rows: impl FnMut(&Track) -> Tensor<2>) -> Tensor<2> {
    let lengths = lengths(&track.mask);
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&object| Reverse(lengths[object]));
    let device = track.mask.device();
    let indices = |objects: &[usize]| {
        let objects: Vec<i64> = objects.iter().map(|&object| object as i64).collect();
        Tensor::<1, Int>::from_data(objects.as_slice(), &device)
    };
    let mut made = Vec::new();
    let mut rest = order.as_slice();
    while let Some(&first) = rest.first() {
        let longest = lengths[first];
        let similar = |&object: &usize| lengths[object] * 3 >= longest * 2;
        let (group, shorter) = rest.split_at(rest.partition_point(similar));
        let (at, points) = (indices(group), longest.max(1));
        made.push(rows(&Track {
            values: track
                .values
                .clone()
                .select(0, at.clone())
                .narrow(1, 0, points),
            mask: track.mask.clone().select(0, at).narrow(1, 0, points),
        }));
        rest = shorter;
    }
    let mut places = vec![0; order.len()];
    for (place, &object) in order.iter().enumerate() {
        places[object] = place;
    }
    Tensor::cat(made, 0).select(0, indices(&places))
}

/// The number of points up to the last one that a network is to see, by object.
fn lengths(mask: &Tensor<2>) -> Vec<usize> {
    let [_, points] = mask.dims();
    let mask = mask.clone().into_data();
    let mask = mask.as_slice::<f32>().expect("32-bit floats");
    let objects = mask.chunks(points.max(1));
    let length = |object: &[f32]| object.iter().rposition(|&seen| seen != 0.0);
    objects
        .map(|object| length(object).map_or(0, |last| last + 1))
        .collect()
}
