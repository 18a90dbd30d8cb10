//! Fitted networks as bytes: one line of JSON that says what they are, and the weights as 32-bit floats, the low byte of
//! each first.

use flow_engine::StageError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::preparation::Preparation;
use crate::fitting::{ArrayAbout, Arrays, FittedNetwork, values_from_bytes, values_to_bytes};
use crate::fused::arithmetic;

/// What fitted networks are. All of a bag have the same layers.
#[derive(Serialize, Deserialize)]
pub struct SavedNetworks<N, A> {
    /// The layers and their sizes.
    pub network: N,
    /// What the outputs are.
    pub about: A,
    /// The padding counts as observations.
    pub padded: bool,
    /// How rows are prepared.
    pub preparation: Preparation,
    /// The number of weights that the fit has changed, of one network.
    pub parameters: usize,
    /// The epoch of each network's weights.
    pub epochs: Vec<usize>,
    /// The arithmetic that they were fitted with.
    pub arithmetic: String,
    /// The arrays of weights of one network.
    arrays: Vec<ArrayAbout>,
    /// The weights of each network.
    #[serde(skip)]
    pub bag: Vec<Arrays>,
}

impl<N, A> SavedNetworks<N, A>
where
    N: Serialize + DeserializeOwned,
    A: Serialize + DeserializeOwned,
{
    /// Takes the networks of a bag, at least one.
    pub fn new(
        (network, about): (N, A),
        padded: bool,
        preparation: Preparation,
        bag: &[FittedNetwork],
    ) -> Self {
        let first = &bag[0].weights;
        Self {
            network,
            about,
            padded,
            preparation,
            parameters: first.parameters(),
            epochs: bag.iter().map(|fitted| fitted.epoch).collect(),
            arithmetic: arithmetic(),
            arrays: first.about.clone(),
            bag: bag.iter().map(|fitted| fitted.weights.clone()).collect(),
        }
    }

    /// Returns the networks as bytes.
    ///
    /// # Errors
    /// Never, for figures that are finite.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StageError> {
        let mut bytes = serde_json::to_vec(self).map_err(std::io::Error::from)?;
        bytes.push(b'\n');
        for arrays in &self.bag {
            values_to_bytes(&arrays.values, &mut bytes);
        }
        Ok(bytes)
    }

    /// Reads what [`Self::to_bytes`] gave.
    ///
    /// # Errors
    /// If the bytes are something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StageError> {
        let unreadable = || StageError::data("flow::data::schema", "a network is unreadable");
        let split = bytes.iter().position(|&byte| byte == b'\n');
        let split = split.ok_or_else(unreadable)?;
        let mut saved: Self =
            serde_json::from_slice(&bytes[..split]).map_err(|e| unreadable().because(e))?;
        let values = values_from_bytes(&bytes[split + 1..]).ok_or_else(unreadable)?;
        let size = values.len() / saved.epochs.len().max(1);
        if values.is_empty() || size * saved.epochs.len() != values.len() {
            return Err(unreadable());
        }
        let arrays = |values: &[f32]| Arrays {
            about: saved.arrays.clone(),
            values: values.to_vec(),
        };
        saved.bag = values.chunks(size).map(arrays).collect();
        match saved.bag.iter().all(Arrays::is_whole) {
            true => Ok(saved),
            false => Err(unreadable()),
        }
    }
}
