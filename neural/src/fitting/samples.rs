//! Batches of objects, as a network sees them.

use burn::tensor::{Device, Tensor, TensorData};

use super::error::FitError;
use crate::network::{Batch, InputShape, Track};

/// The most values of the sequences of a batch: 1 GiB.
const MOST_VALUES: usize = 1 << 28;

/// Where the sequences of objects come from.
pub trait SequenceSource: Sync {
    /// The observations of an object, `[tracks, points, channels]`, one after the other.
    fn row(&self, row: usize) -> &[f32];

    /// The number of observations of an object in a track.
    fn length(&self, row: usize, track: usize) -> usize;
}

/// What is known of some objects, ready to be made into batches.
pub struct Samples<'a> {
    /// The sizes of what the network reads.
    pub shape: &'a InputShape,
    /// The sequences, if there are any.
    pub sequences: Option<&'a dyn SequenceSource>,
    /// What each channel is multiplied by.
    pub factors: &'a [f32],
    /// The features, `[objects, features]`, without missing values.
    pub features: &'a [f32],
    /// The padding counts as observations.
    pub padded: bool,
}

impl Samples<'_> {
    /// Returns the batch of the objects `rows`. Tracks are as long as the longest one of these objects, and at least one
    /// point; if the padding counts, they have all points.
    pub fn batch(&self, rows: &[usize], device: &Device) -> Batch {
        let tracks = match self.sequences {
            Some(source) => (0..self.shape.tracks.len())
                .map(|track| self.track(source, track, rows, device))
                .collect(),
            None => Vec::new(),
        };
        let width = self.shape.features;
        let features = (width > 0).then(|| {
            let each = rows
                .iter()
                .map(|&row| &self.features[row * width..][..width]);
            let values: Vec<f32> = each.flatten().copied().collect();
            Tensor::from_data(TensorData::new(values, [rows.len(), width]), device)
        });
        Batch {
            tracks,
            features,
            objects: rows.len(),
        }
    }

    fn track(
        &self,
        source: &dyn SequenceSource,
        track: usize,
        rows: &[usize],
        device: &Device,
    ) -> Track {
        let (points, channels) = (self.shape.points, self.shape.channels.len());
        let lengths = rows.iter().map(|&row| source.length(row, track));
        let longest = match self.padded {
            true => points,
            false => lengths.clone().max().unwrap_or(0).max(1),
        };
        let mut values = vec![0.0f32; rows.len() * longest * channels];
        let mut mask = vec![f32::from(u8::from(self.padded)); rows.len() * longest];
        for (place, (&row, length)) in rows.iter().zip(lengths).enumerate() {
            mask[place * longest..][..length].fill(1.0);
            let seen = &source.row(row)[track * points * channels..][..length * channels];
            let out = &mut values[place * longest * channels..];
            for (out, seen) in out.chunks_mut(channels).zip(seen.chunks(channels)) {
                for ((out, &seen), factor) in out.iter_mut().zip(seen).zip(self.factors) {
                    // What is not known counts as zero, like the padding.
                    *out = if seen.is_nan() { 0.0 } else { seen * factor };
                }
            }
        }
        let shape = [rows.len(), longest, channels];
        Track {
            values: Tensor::from_data(TensorData::new(values, shape), device),
            mask: Tensor::from_data(TensorData::new(mask, [rows.len(), longest]), device),
        }
    }

    /// Refuses batches of `size` objects that would not fit into memory, and objects of which nothing is known.
    ///
    /// # Errors
    /// [`FitError::Rows`] with one of the two.
    pub fn check(&self, rows: &[usize], size: usize) -> Result<(), FitError> {
        let shape = self.shape;
        let tracks = shape.tracks.len();
        let Some(source) = self.sequences else {
            return Ok(());
        };
        let values = [
            size.min(rows.len()),
            tracks,
            shape.points,
            shape.channels.len(),
        ];
        let values = values.into_iter().try_fold(1usize, usize::checked_mul);
        if values.is_none_or(|values| values > MOST_VALUES) {
            return Err(FitError::Rows {
                reason: format!(
                    "a batch of {size} objects with {tracks} tracks of {} points and {} channels takes more than 1 GiB",
                    shape.points,
                    shape.channels.len(),
                ),
                help: "lower `batch_size`, or `points` of the `sequences` stage",
            });
        }
        let seen = |&row: &usize| (0..tracks).any(|track| source.length(row, track) > 0);
        if shape.features == 0 && !rows.iter().any(seen) {
            return Err(FitError::Rows {
                reason: format!(
                    "none of the {} training rows has an observation in its sequence",
                    rows.len()
                ),
                help: "look at what makes the sequences, or add `features` to the inputs of the network",
            });
        }
        Ok(())
    }
}

/// Returns what each channel is multiplied by so that fluxes of one survey are comparable: `1 / log2(largest - smallest)`
/// flux of the rows, for the channels whose names begin with `flux`, such as `flux_err`, and 1 for all others (Chaini and
/// Kumar 2020, "Astronomical Classification of Light Curves with an Ensemble of Gated Recurrent Units", equation 1).
/// Where fluxes lie within 2, the logarithm would not make them smaller, and all factors are 1.
pub fn survey_factors(source: &dyn SequenceSource, shape: &InputShape, rows: &[usize]) -> Vec<f32> {
    let (points, channels) = (shape.points, shape.channels.len());
    let scaled = |name: &str| name.starts_with("flux");
    let is_flux = |name: &str| scaled(name) && !name.starts_with("flux_err");
    let (mut least, mut most) = (f32::INFINITY, f32::NEG_INFINITY);
    for &row in rows {
        for track in 0..shape.tracks.len() {
            let seen = source.length(row, track) * channels;
            let seen = &source.row(row)[track * points * channels..][..seen];
            for point in seen.chunks(channels) {
                for (&value, name) in point.iter().zip(&shape.channels) {
                    if is_flux(name) && value.is_finite() {
                        (least, most) = (least.min(value), most.max(value));
                    }
                }
            }
        }
    }
    let range = f64::from(most) - f64::from(least);
    let factor = match range > 2.0 {
        true => (1.0 / libm::log2(range)) as f32,
        false => 1.0,
    };
    let factors = shape.channels.iter();
    factors
        .map(|name| if scaled(name) { factor } else { 1.0 })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::arrays::to_host;
    use super::super::testing::Curves;
    use super::*;

    fn shape_of(channels: &[&str], points: usize) -> InputShape {
        InputShape {
            tracks: vec!["all".into()],
            channels: channels.iter().map(|&name| name.into()).collect(),
            points,
            features: 0,
            outputs: 1,
        }
    }

    #[test]
    fn tracks_are_as_long_as_the_longest_one_of_the_batch() {
        let gap = f32::NAN;
        let curves = Curves(vec![
            (vec![1.0, 2.0, 3.0, gap, gap, gap, gap, gap], 2),
            (vec![5.0, 6.0, 7.0, 8.0, 9.0, 10.0, gap, gap], 3),
            (vec![gap; 8], 0),
        ]);
        let shape = shape_of(&["flux", "time"], 4);
        let mut samples = Samples {
            shape: &shape,
            sequences: Some(&curves),
            factors: &[0.5, 1.0],
            features: &[],
            padded: false,
        };
        let device = Device::flex();
        let batch = samples.batch(&[2, 0], &device);
        let track = &batch.tracks[0];
        assert_eq!(to_host(&track.mask), [0.0, 0.0, 1.0, 1.0]);
        // What is missing within an observation counts as zero.
        assert_eq!(
            to_host(&track.values),
            [0.0, 0.0, 0.0, 0.0, 0.5, 2.0, 1.5, 0.0]
        );
        assert!(batch.features.is_none());
        assert_eq!(samples.batch(&[2], &device).tracks[0].mask.dims(), [1, 1]);
        samples.padded = true;
        let track = &samples.batch(&[0], &device).tracks[0];
        assert_eq!(to_host(&track.mask), [1.0; 4]);
        assert_eq!(
            to_host(&track.values),
            [0.5, 2.0, 1.5, 0.0, 0.0, 0.0, 0.0, 0.0]
        );
        let error = samples.check(&[2], 8).unwrap_err().to_string();
        assert!(error.contains("none of the 1 training rows"), "{error}");
        samples.check(&[2, 0], 8).unwrap();
        let huge = shape_of(&["flux", "time"], 1 << 20);
        samples.shape = &huge;
        let error = samples.check(&[0; 1000], 256).unwrap_err().to_string();
        assert!(error.contains("a batch of 256 objects"), "{error}");
    }

    #[test]
    fn fluxes_of_a_survey_share_a_factor() {
        let curves = Curves(vec![
            (vec![-4.0, 1.0, 9.0, 28.0, 1.0, 9.0], 2),
            (vec![900.0, 900.0, 900.0, 900.0, 900.0, 900.0], 1),
        ]);
        let shape = shape_of(&["flux", "flux_err", "time"], 2);
        // The largest flux is 28, the least -4, and the base 2 logarithm of 32 is 5.
        assert_eq!(survey_factors(&curves, &shape, &[0]), [0.2, 0.2, 1.0]);
        // Fluxes of one value have no range.
        assert_eq!(survey_factors(&curves, &shape, &[1]), [1.0; 3]);
        assert_eq!(survey_factors(&curves, &shape, &[]), [1.0; 3]);
    }
}
