//! The layer as a composition of operations of burn, for any backend.

use burn::tensor::{Tensor, activation};

use super::weights::GruWeights;

/// As [`super::gru`].
pub fn gru(x: Tensor<3>, weights: GruWeights, mask: Tensor<2>, reverse: bool) -> Tensor<3> {
    let [objects, points, inputs] = x.dims();
    let units = weights.state.dims()[0];
    if objects == 0 || points == 0 {
        return Tensor::zeros([objects, points, units], &x.device());
    }
    let unseen = mask.equal_elem(0.0).unsqueeze_dim::<3>(2);
    let x = x.mask_fill(unseen.clone().expand([objects, points, inputs]), 0.0);
    let products = x
        .reshape([objects * points, inputs])
        .matmul(weights.input)
        .reshape([objects, points, 3 * units])
        + weights.input_bias.unsqueeze();
    let unseen = unseen.expand([objects, points, units]);
    let mut state = Tensor::<2>::zeros([objects, units], &products.device());
    let mut states = Vec::with_capacity(points);
    for step in 0..points {
        let point = if reverse { points - 1 - step } else { step };
        let of_input: Tensor<2> = products.clone().narrow(1, point, 1).squeeze_dim(1);
        let of_state =
            state.clone().matmul(weights.state.clone()) + weights.state_bias.clone().unsqueeze();
        let gates = activation::sigmoid(
            of_input.clone().narrow(1, 0, 2 * units) + of_state.clone().narrow(1, 0, 2 * units),
        );
        let reset = gates.clone().narrow(1, 0, units);
        let update = gates.narrow(1, units, units);
        let new = (of_input.narrow(1, 2 * units, units)
            + reset * of_state.narrow(1, 2 * units, units))
        .tanh();
        let next = new.clone() + update * (state.clone() - new);
        let unseen: Tensor<2, _> = unseen.clone().narrow(1, point, 1).squeeze_dim(1);
        state = next.mask_where(unseen, state);
        states.push(state.clone());
    }
    if reverse {
        states.reverse();
    }
    Tensor::stack(states, 1)
}
