//! Attention, and the encoder of a transformer.

use burn::tensor::Tensor;

use super::super::{Init, Pass};
use super::{Activation, layer_norm, linear, masked_softmax};
use crate::fused;

/// Returns what each query finds among the keys, `[objects, queries, width]`: scaled dot products in several heads
/// (Vaswani et al. 2017, section 3.2). `heads` divides the width. Keys that their mask, `[objects, keys]`, hides are not
/// seen. For a query that its mask, `[objects, queries]`, hides, and if all keys are hidden, the result is the bias of the
/// output.
pub fn attention(
    queries: Tensor<3>,
    keys: Tensor<3>,
    masks: [&Tensor<2>; 2],
    heads: usize,
    pass: &mut Pass<'_>,
) -> Tensor<3> {
    let [_, _, width] = queries.dims();
    let inputs = [
        linear(queries, "query", width, pass),
        linear(keys.clone(), "key", width, pass),
        linear(keys, "value", width, pass),
    ];
    let found = fused::attention(inputs, masks.map(Tensor::clone), heads);
    linear(found, "output", width, pass)
}

/// Returns the mean of the observations of each object by weights `softmax(v tanh(W h + U s))` (Bahdanau, Cho and Bengio
/// 2015, section 3.1 and appendix A.1.2), `[objects, channels]`, where `h` is an observation and `s` the query of the
/// object, `[objects, any]`. It is zero for an object of which the mask shows nothing.
pub fn additive_attention(
    x: Tensor<3>,
    query: Tensor<2>,
    mask: &Tensor<2>,
    width: usize,
    pass: &mut Pass<'_>,
) -> Tensor<2> {
    let [objects, points, _] = x.dims();
    let query: Tensor<3> = linear(query, "query", width, pass).unsqueeze_dim(1);
    let energy = Activation::Tanh.of(linear(x.clone(), "key", width, pass) + query);
    let score = pass.weight(
        "score",
        [width, 1],
        Init::Uniform(1.0 / (width as f32).sqrt()),
    );
    let scores = energy.reshape([objects * points, width]).matmul(score);
    let weights = masked_softmax(scores.reshape([objects, points]), mask.clone());
    let any = mask.clone().max_dim(1);
    let weights: Tensor<3> = weights.unsqueeze_dim(1);
    weights.matmul(x).squeeze_dim(1) * any
}

/// A layer of the encoder of a transformer (Vaswani et al. 2017, section 3.1).
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    /// The number of heads, which divides the width of what it reads.
    pub heads: usize,
    /// The number of units of the layer between two linear ones.
    pub feed_forward: usize,
    /// The activation of that layer.
    pub activation: Activation,
    /// Each part reads what is normalized, and its result is added to what is not (Xiong et al. 2020, figure 1b).
    /// Otherwise the sum is normalized.
    pub norm_first: bool,
    /// The share of what each part adds that a step of a fit leaves out.
    pub dropout: f64,
}

impl Encoder {
    /// Returns the observations after they have seen each other, `[objects, points, width]`. Points that the mask hides
    /// see nothing.
    pub fn forward(
        &self,
        x: Tensor<3>,
        mask: &Tensor<2>,
        name: &str,
        pass: &mut Pass<'_>,
    ) -> Tensor<3> {
        pass.within(name, |pass| {
            let seen = |x: Tensor<3>, pass: &mut Pass<'_>| {
                pass.within("attention", |pass| {
                    attention(x.clone(), x, [mask, mask], self.heads, pass)
                })
            };
            let x = self.added(x, "norm", pass, seen);
            self.added(x, "norm2", pass, |x, pass| {
                let [_, _, width] = x.dims();
                let inner = linear(x, "inner", self.feed_forward, pass);
                let inner = pass.dropout(self.activation.of(inner), self.dropout, false);
                linear(inner, "outer", width, pass)
            })
        })
    }

    fn added(
        &self,
        x: Tensor<3>,
        norm: &str,
        pass: &mut Pass<'_>,
        part: impl FnOnce(Tensor<3>, &mut Pass<'_>) -> Tensor<3>,
    ) -> Tensor<3> {
        let read = match self.norm_first {
            true => layer_norm(x.clone(), norm, pass),
            false => x.clone(),
        };
        let found = part(read, pass);
        let sum = x + pass.dropout(found, self.dropout, false);
        match self.norm_first {
            true => sum,
            false => layer_norm(sum, norm, pass),
        }
    }
}
