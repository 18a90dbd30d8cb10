//! Layers of gated recurrent units.

use burn::tensor::Tensor;

use super::super::{Init, Pass};
use crate::fused::{self, GruWeights};

/// Layers of gated recurrent units, each of which reads the states of the one before.
#[derive(Clone, Copy, Debug)]
pub struct Recurrent<'a> {
    /// The number of units of each layer, in each direction.
    pub units: &'a [usize],
    /// Each layer also reads the points from the last to the first.
    pub both: bool,
    /// The share of the units that a step of a fit leaves out at all points of an object, after each layer (Tompson et
    /// al. 2015, section 3.2).
    pub dropout: f64,
}

impl Recurrent<'_> {
    /// Returns the states of the last layer after each point, `[objects, points, units]`, and behind them those of the
    /// other direction if there is one. A point that the mask hides leaves the state as it is, and the first state is
    /// zero. The layers are named by their numbers.
    pub fn forward(&self, mut x: Tensor<3>, mask: &Tensor<2>, pass: &mut Pass<'_>) -> Tensor<3> {
        for (layer, &units) in self.units.iter().enumerate() {
            x = pass.within(&layer.to_string(), |pass| {
                let states = one_way(x.clone(), mask, (units, false), pass);
                match self.both {
                    true => Tensor::cat(vec![states, one_way(x, mask, (units, true), pass)], 2),
                    false => states,
                }
            });
            x = pass.dropout(x, self.dropout, true);
        }
        x
    }
}

fn one_way(
    x: Tensor<3>,
    mask: &Tensor<2>,
    (units, reverse): (usize, bool),
    pass: &mut Pass<'_>,
) -> Tensor<3> {
    let [_, _, inputs] = x.dims();
    let gates = 3 * units;
    let bound = Init::Uniform(1.0 / (units as f32).sqrt());
    let name = if reverse { "backward" } else { "forward" };
    let weights = pass.within(name, |pass| GruWeights {
        input: pass.weight("input", [inputs, gates], bound),
        input_bias: pass.weight("input_bias", [gates], bound),
        state: pass.weight("state", [units, gates], bound),
        state_bias: pass.weight("state_bias", [gates], bound),
    });
    fused::gru(x, weights, mask.clone(), reverse)
}

/// Returns the states after the last point that each direction has read, `[objects, 2 * units]`, of the states of layers
/// of both directions.
pub fn final_states(states: Tensor<3>) -> Tensor<2> {
    let [_, points, both] = states.dims();
    let units = both / 2;
    let last = states.clone().narrow(1, points - 1, 1).narrow(2, 0, units);
    let first = states.narrow(1, 0, 1).narrow(2, units, units);
    Tensor::cat(vec![last, first], 2).squeeze_dim(1)
}
