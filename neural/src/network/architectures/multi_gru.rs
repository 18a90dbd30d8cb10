//! Gated recurrent units for each track.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::super::layers::{Recurrent, final_states};
use super::super::misfits::Misfits;
use super::super::{Batch, InputShape, Pass};
use super::Design;
use super::lengths::by_length;
use super::shared::Head;

/// The multi-channel GRU of the report "MALLORN Astronomical Classification Challenge" (2025, section 4): for each track
/// gated recurrent units in both directions, whose final states are joined with the features before the classifier.
///
/// The report gives the layers, not their sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MultiGru {
    /// The number of units of each layer of a track, in each direction.
    pub units: Vec<usize>,
    /// The number of units of each layer of the classifier.
    pub hidden: Vec<usize>,
    /// The share of units that a step of a fit leaves out after each layer.
    pub dropout: f64,
}

impl Default for MultiGru {
    fn default() -> Self {
        Self {
            units: vec![64],
            hidden: vec![64],
            dropout: 0.3,
        }
    }
}

impl Design for MultiGru {
    fn misfits(&self, input: &InputShape) -> Vec<String> {
        Misfits::default()
            .some_track(input)
            .recurrent(&self.units)
            .sizes("the units of each layer", &self.hidden)
            .share("dropout", self.dropout)
            .found()
    }

    fn forward(&self, input: &InputShape, batch: &Batch, pass: &mut Pass<'_>) -> Tensor<2> {
        let layers = Recurrent {
            units: &self.units,
            both: true,
            dropout: self.dropout,
        };
        let tracks = batch.tracks.iter().enumerate();
        let rows = tracks.map(|(at, track)| {
            pass.within(&format!("track{at}"), |pass| {
                by_length(track, |track| {
                    final_states(layers.forward(track.values.clone(), &track.mask, pass))
                })
            })
        });
        let rows = Tensor::cat(rows.collect(), 1);
        let head = Head {
            hidden: &self.hidden,
            dropout: self.dropout,
            outputs: input.outputs,
        };
        head.forward(rows, batch, pass)
    }
}
