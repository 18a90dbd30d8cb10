//! The weights of a network by name.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};

/// One array of weights.
#[derive(Clone, Debug)]
pub struct Weight {
    /// Its name, which says where in the network it is: `encoder.g.0.weight`.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, row-major.
    pub values: Tensor<1>,
    /// The fit changes it by gradients. Running means of batch normalization are not changed so.
    pub trained: bool,
}

/// All weights of a network, in the order in which its first pass has used them.
#[derive(Clone, Debug, Default)]
pub struct Weights {
    all: Vec<Weight>,
    places: BTreeMap<String, usize>,
}

impl Weights {
    /// Adds weights. Panics if there are some of the name, which is a bug of the architecture.
    pub fn add(&mut self, weight: Weight) {
        let before = self.places.insert(weight.name.clone(), self.all.len());
        assert!(before.is_none(), "two weights are called `{}`", weight.name);
        self.all.push(weight);
    }

    /// Returns the weights called `name`.
    pub fn get(&self, name: &str) -> Option<&Weight> {
        self.places.get(name).map(|&place| &self.all[place])
    }

    /// Returns all weights.
    pub fn all(&self) -> &[Weight] {
        &self.all
    }

    /// Returns all weights, for changes of their values.
    pub fn all_mut(&mut self) -> &mut [Weight] {
        &mut self.all
    }

    /// Replaces the values of the weights called `name`. Panics if there are none.
    pub fn set(&mut self, name: &str, values: Tensor<1>) {
        let place = self.places[name];
        self.all[place].values = values;
    }

    /// The number of values that the fit changes.
    pub fn parameters(&self) -> usize {
        let trained = self.all.iter().filter(|weight| weight.trained);
        trained
            .map(|weight| weight.shape.iter().product::<usize>())
            .sum()
    }

    /// Returns the same weights without a memory of how they were computed, ready to have gradients.
    pub fn fresh(&self) -> Self {
        let mut fresh = self.clone();
        for weight in &mut fresh.all {
            let values = weight.values.clone().detach();
            weight.values = match weight.trained {
                true => values.require_grad(),
                false => values,
            };
        }
        fresh
    }
}

/// Returns a tensor of one dimension on the device.
pub fn flat(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let shape = [values.len()];
    Tensor::from_data(TensorData::new(values, shape), device)
}
