//! What a network sees of some objects.

use burn::tensor::Tensor;

/// The sizes of what a network reads, which are the same for all batches.
#[derive(Clone, Debug, PartialEq)]
pub struct InputShape {
    /// The names of the tracks: bands, or one name if all observations are in one sequence.
    pub tracks: Vec<String>,
    /// The names of the channels of each observation.
    pub channels: Vec<String>,
    /// The most observations of a track.
    pub points: usize,
    /// The number of features beside the sequences.
    pub features: usize,
    /// The number of outputs: 1 for a binary target, else the number of classes.
    pub outputs: usize,
}

/// Some objects.
pub struct Batch {
    /// The sequences, one track for each band or one in all; none if there are features only.
    pub tracks: Vec<Track>,
    /// The features, `[objects, features]`, or none.
    pub features: Option<Tensor<2>>,
    /// The number of objects.
    pub objects: usize,
}

/// The observations of some objects in one band, or in all.
pub struct Track {
    /// The channels of the observations, `[objects, points, channels]`. Behind the last observation of an object they
    /// are zero.
    pub values: Tensor<3>,
    /// 1 where an observation is and 0 behind the last one, `[objects, points]`; all 1 if a network is to see the padding
    /// as if it were observations.
    pub mask: Tensor<2>,
}
