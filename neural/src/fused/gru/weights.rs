//! The weights of a layer.

use burn::tensor::Tensor;

/// The weights of a layer of `H` units. The columns of the three gates are side by side, in the order of PyTorch's
/// `nn.GRU`: reset, update, new state.
#[derive(Clone, Debug)]
pub struct GruWeights {
    /// What multiplies the inputs, `[inputs, 3 H]`.
    pub input: Tensor<2>,
    /// What multiplies the state before, `[H, 3 H]`.
    pub state: Tensor<2>,
    /// What is added to the products with the inputs, `[3 H]`.
    pub input_bias: Tensor<1>,
    /// What is added to the products with the state, `[3 H]`.
    pub state_bias: Tensor<1>,
}
