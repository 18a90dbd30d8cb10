//! Attention between the points of an object.

mod composed;
mod layer;
mod tape;
#[cfg(test)]
mod tests;

use burn::tensor::Tensor;

use super::flex::{Input, Values, output};
use layer::Layer;
use tape::AttentionTape;

/// Returns what each query finds, `[objects, queries, width]`, in each of `heads` equal parts of the columns:
///
/// ```text
/// softmax(q k^T / sqrt(width / heads)) v
/// ```
///
/// (Vaswani et al. 2017, equation 1 and section 3.2.2, without the linear layers.) The inputs are queries
/// `[objects, queries, width]`, keys and values `[objects, keys, width]`. Keys whose mask, `[objects, keys]`, is 0 are not
/// seen. What is found is zero for a query whose mask, `[objects, queries]`, is 0, and if no key of the object is seen.
///
/// Panics if the sizes do not fit.
pub fn attention(
    inputs: [Tensor<3>; 3],
    [of_queries, of_keys]: [Tensor<2>; 2],
    heads: usize,
) -> Tensor<3> {
    let [query, key, value] = inputs.each_ref().map(Tensor::dims);
    let [objects, queries, width] = query;
    assert_eq!(key, [objects, key[1], width], "the shape of the keys");
    assert_eq!(value, key, "the shape of the values");
    assert_eq!(of_queries.dims(), [objects, queries], "the mask of queries");
    assert_eq!(of_keys.dims(), [objects, key[1]], "the mask of keys");
    assert!(
        heads > 0 && width.is_multiple_of(heads),
        "heads of equal width"
    );
    match on_cpu(&inputs, [&of_queries, &of_keys], heads) {
        Some(found) => found,
        None => composed::attention(inputs, [of_queries, of_keys], heads),
    }
}

/// Returns what is found if all numbers are on the CPU, and there are some.
fn on_cpu(inputs: &[Tensor<3>; 3], masks: [&Tensor<2>; 2], heads: usize) -> Option<Tensor<3>> {
    let [objects, queries, width] = inputs[0].dims();
    let [_, keys, _] = inputs[1].dims();
    if objects * queries * keys * width == 0 {
        return None;
    }
    let [query, key, value] = inputs;
    let inputs = [Input::of(query)?, Input::of(key)?, Input::of(value)?];
    let layer = Layer {
        heads,
        width,
        queries,
        keys,
    };
    let values = inputs.each_ref().map(Input::values);
    let masks = [Input::of(masks[0])?.values(), Input::of(masks[1])?.values()];
    let (found, objects_seen) = layer.run(
        values.each_ref().map(|values| &**values),
        masks.each_ref().map(|mask| &**mask),
    );
    let found = Values::new(found, [objects, queries, width]);
    let tape = AttentionTape {
        layer,
        objects: objects_seen,
    };
    Some(output(inputs, found, tape))
}
