//! Attention as a composition of operations of burn, for any backend.

use burn::tensor::{Tensor, activation};

/// What is taken from the score of a key that is not seen.
const HIDDEN: f32 = 1e9;

/// As [`super::attention`].
pub fn attention(
    inputs: [Tensor<3>; 3],
    [of_queries, of_keys]: [Tensor<2>; 2],
    heads: usize,
) -> Tensor<3> {
    let [objects, queries, width] = inputs[0].dims();
    let [_, keys, _] = inputs[1].dims();
    if objects * queries * keys * width == 0 {
        return Tensor::zeros([objects, queries, width], &inputs[0].device());
    }
    let each = width / heads;
    let [query, key, value] = inputs;
    let query = seen(query, &of_queries).mul_scalar(1.0 / (each as f32).sqrt());
    let [query, key, value] = [query, seen(key, &of_keys), seen(value, &of_keys)].map(|x| {
        let [objects, points, _] = x.dims();
        x.reshape([objects, points, heads, each]).swap_dims(1, 2)
    });
    let hidden: Tensor<4> = of_keys
        .clone()
        .equal_elem(0.0)
        .float()
        .unsqueeze_dims(&[1, 2]);
    let scores = query.matmul(key.transpose()) - hidden.mul_scalar(HIDDEN);
    let found = activation::softmax(scores, 3).matmul(value).swap_dims(1, 2);
    let any = of_keys.not_equal_elem(0.0).float().max_dim(1);
    let of_queries = of_queries.not_equal_elem(0.0).float() * any;
    let found = found.reshape([objects, queries, width]);
    seen(found, &of_queries)
}

/// Returns zeros for what is not seen.
fn seen(x: Tensor<3>, mask: &Tensor<2>) -> Tensor<3> {
    let shape = x.dims();
    let hidden = mask.clone().equal_elem(0.0).unsqueeze_dim::<3>(2);
    x.mask_fill(hidden.expand(shape), 0.0)
}
