//! Gated recurrent units and attention over their states.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::super::layers::{Recurrent, additive_attention, final_states};
use super::super::misfits::Misfits;
use super::super::{Batch, InputShape, Pass};
use super::Design;
use super::shared::Head;

/// The single-channel GRU with attention of the report "MALLORN Astronomical Classification Challenge" (2025, section 4):
/// gated recurrent units in both directions on the observations of all bands in one sequence, and additive attention over
/// their states, whose query is the final states. What it finds is joined with the features before the classifier.
///
/// The report gives the layers, not their sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GruAttention {
    /// The number of units of each layer, in each direction.
    pub units: Vec<usize>,
    /// The width of the attention.
    pub attention: usize,
    /// The number of units of each layer of the classifier.
    pub hidden: Vec<usize>,
    /// The share of units that a step of a fit leaves out after each layer.
    pub dropout: f64,
}

impl Default for GruAttention {
    fn default() -> Self {
        Self {
            units: vec![64],
            attention: 64,
            hidden: vec![64],
            dropout: 0.3,
        }
    }
}

impl Design for GruAttention {
    fn misfits(&self, input: &InputShape) -> Vec<String> {
        Misfits::default()
            .one_track(input)
            .recurrent(&self.units)
            .sizes("the width of the attention", &[self.attention])
            .sizes("the units of each layer", &self.hidden)
            .share("dropout", self.dropout)
            .found()
    }

    fn forward(&self, input: &InputShape, batch: &Batch, pass: &mut Pass<'_>) -> Tensor<2> {
        let track = &batch.tracks[0];
        let layers = Recurrent {
            units: &self.units,
            both: true,
            dropout: self.dropout,
        };
        let states = pass.within("encoder", |pass| {
            layers.forward(track.values.clone(), &track.mask, pass)
        });
        let query = final_states(states.clone());
        let found = pass.within("attention", |pass| {
            additive_attention(states, query, &track.mask, self.attention, pass)
        });
        let head = Head {
            hidden: &self.hidden,
            dropout: self.dropout,
            outputs: input.outputs,
        };
        head.forward(found, batch, pass)
    }
}
