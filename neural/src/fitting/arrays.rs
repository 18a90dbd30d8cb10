//! Weights outside of any device, as they are kept in files.

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::network::{Weight, Weights, flat};

/// Weights as plain numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arrays {
    /// What each array is, in the order of the weights.
    pub about: Vec<ArrayAbout>,
    /// The values of all arrays, one after the other.
    pub values: Vec<f32>,
}

/// What an array of weights is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArrayAbout {
    /// The name of the weights.
    pub name: String,
    /// Their shape.
    pub shape: Vec<usize>,
    /// The fit changes them by gradients.
    pub trained: bool,
}

impl ArrayAbout {
    /// The number of values.
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }
}

impl Arrays {
    /// Copies weights from their device.
    pub fn of(weights: &Weights) -> Self {
        let mut arrays = Self::default();
        for weight in weights.all() {
            arrays.about.push(ArrayAbout {
                name: weight.name.clone(),
                shape: weight.shape.clone(),
                trained: weight.trained,
            });
            arrays.values.extend(to_host(&weight.values));
        }
        arrays
    }

    /// Copies the weights to a device. If it computes gradients, they are ready to have some.
    pub fn to_weights(&self, device: &Device) -> Weights {
        let mut weights = Weights::default();
        let mut rest = &self.values[..];
        for about in &self.about {
            let (values, after) = rest.split_at(about.size());
            rest = after;
            let values = flat(values.to_vec(), device);
            let values = match about.trained && device.is_autodiff() {
                true => values.require_grad(),
                false => values,
            };
            weights.add(Weight {
                name: about.name.clone(),
                shape: about.shape.clone(),
                values,
                trained: about.trained,
            });
        }
        weights
    }

    /// Returns true if the values are as many as the shapes say, and no two arrays have one name.
    pub fn is_whole(&self) -> bool {
        let mut names: Vec<&str> = self.about.iter().map(|about| about.name.as_str()).collect();
        names.sort_unstable();
        let count = self.about.iter().try_fold(0usize, |sum, about| {
            let shape = about.shape.iter();
            sum.checked_add(shape.copied().try_fold(1usize, usize::checked_mul)?)
        });
        count == Some(self.values.len()) && names.windows(2).all(|pair| pair[0] != pair[1])
    }

    /// The number of values that a fit changes.
    pub fn parameters(&self) -> usize {
        let trained = self.about.iter().filter(|about| about.trained);
        trained.map(ArrayAbout::size).sum()
    }
}

/// Copies a tensor from its device.
pub fn to_host<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor
        .try_to_vec_as::<f32>()
        .expect("a tensor of 32-bit floats can be read as such")
}

/// Appends values as bytes, the low byte of each first.
pub fn values_to_bytes(values: &[f32], bytes: &mut Vec<u8>) {
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

/// Reads values that [`values_to_bytes`] wrote; none if the bytes are no whole number of values.
pub fn values_from_bytes(bytes: &[u8]) -> Option<Vec<f32>> {
    let (values, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| {
        values
            .iter()
            .map(|&value| f32::from_le_bytes(value))
            .collect()
    })
}
