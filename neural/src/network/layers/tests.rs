//! Layers against figures of other programs, and what no program says.

use burn::tensor::Tensor;
use serde_json::Value;

use super::super::testing::{assert_near, device, list, tensor, values};
use super::super::{Pass, Weights, flat};
use super::*;

/// The figures for a layer.
fn fixture(layer: &str) -> Value {
    let text = include_str!("../../../tests/fixtures/networks.json");
    serde_json::from_str::<Value>(text).unwrap()[layer].clone()
}

fn read<const D: usize>(value: &Value, shape: [usize; D]) -> Tensor<D> {
    tensor(&list(value), shape)
}

/// Asserts that a layer gives the figures `y` with the weights of the fixture, in a fit.
#[track_caller]
fn assert_as_figures<const D: usize>(figures: &Value, layer: impl Fn(&mut Pass<'_>) -> Tensor<D>) {
    let mut weights = Weights::default();
    layer(&mut Pass::of_fit(&mut weights, 1, 1, &device()));
    let given = figures["weights"].as_object().unwrap();
    assert_eq!(weights.all().len(), given.len());
    for (name, values) in given {
        weights.set(name, flat(list(values), &device()));
    }
    let found = layer(&mut Pass::of_fit(&mut weights, 1, 1, &device()));
    assert_near("y", &values(found), &list(&figures["y"]), 1e-5);
}

#[test]
fn layer_normalization_is_that_of_onnx() {
    let figures = fixture("layer_norm");
    let weights = serde_json::json!({
        "norm.weight": figures["weight"], "norm.bias": figures["bias"],
    });
    let figures = serde_json::json!({ "weights": weights, "y": figures["y"], "x": figures["x"] });
    let x = read(&figures["x"], [2, 5, 8]);
    assert_as_figures(&figures, |pass| layer_norm(x.clone(), "norm", pass));
}

#[test]
fn attention_with_hidden_keys_is_that_of_onnx() {
    let figures = fixture("attention");
    let (x, mask) = (
        read(&figures["x"], [2, 5, 8]),
        read(&figures["mask"], [2, 5]),
    );
    let all = Tensor::ones_like(&mask);
    assert_as_figures(&figures, |pass| {
        attention(x.clone(), x.clone(), [&all, &mask], 2, pass)
    });
}

#[test]
fn activations_are_those_of_their_formulas() {
    let figures = fixture("gelu");
    let x = list(&figures["x"]);
    let gelu = Activation::Gelu.of(flat(x.clone(), &device()));
    assert_near("gelu", &values(gelu), &list(&figures["y"]), 1e-5);
    let of = |activation: Activation| values(activation.of(flat(x.clone(), &device())));
    let expected =
        |f: fn(f64) -> f64| -> Vec<f32> { x.iter().map(|&x| f(f64::from(x)) as f32).collect() };
    assert_near(
        "relu",
        &of(Activation::Relu),
        &expected(|x| x.max(0.0)),
        0.0,
    );
    assert_near("tanh", &of(Activation::Tanh), &expected(libm::tanh), 1e-6);
    let sigmoid = expected(|x| 1.0 / (1.0 + libm::exp(-x)));
    assert_near("sigmoid", &of(Activation::Sigmoid), &sigmoid, 1e-6);
}

#[test]
fn encoders_are_those_of_pytorch() {
    for (name, norm_first) in [("encoder", false), ("encoder_norm_first", true)] {
        let figures = fixture(name);
        let (x, mask) = (
            read(&figures["x"], [2, 5, 8]),
            read(&figures["mask"], [2, 5]),
        );
        let encoder = Encoder {
            heads: 2,
            feed_forward: 12,
            activation: Activation::Relu,
            norm_first,
            dropout: 0.0,
        };
        let named = figures["weights"].as_object().unwrap();
        let named = named
            .iter()
            .map(|(name, values)| (format!("0.{name}"), values.clone()));
        let named: serde_json::Map<String, Value> = named.collect();
        let y = values(masked(read(&figures["y"], [2, 5, 8]), &mask));
        let figures = serde_json::json!({ "weights": named, "y": y });
        assert_as_figures(&figures, |pass| {
            masked(encoder.forward(x.clone(), &mask, "0", pass), &mask)
        });
    }
}

#[test]
fn recurrent_layers_and_their_final_states_are_those_of_pytorch() {
    let figures = fixture("recurrent");
    let (x, mask) = (
        read(&figures["x"], [3, 4, 3]),
        read(&figures["mask"], [3, 4]),
    );
    let layers = Recurrent {
        units: &[2, 2],
        both: true,
        dropout: 0.0,
    };
    // PyTorch fills the states behind the last observation with zeros.
    assert_as_figures(&figures, |pass| {
        masked(layers.forward(x.clone(), &mask, pass), &mask)
    });
    let figures = serde_json::json!({ "weights": figures["weights"], "y": figures["final"] });
    assert_as_figures(&figures, |pass| {
        final_states(layers.forward(x.clone(), &mask, pass))
    });
}

#[test]
fn additive_attention_is_that_of_its_formula() {
    let figures = fixture("additive_attention");
    let x = read(&figures["x"], [2, 3, 4]);
    let (query, mask) = (
        read(&figures["query"], [2, 5]),
        read(&figures["mask"], [2, 3]),
    );
    assert_as_figures(&figures, |pass| {
        additive_attention(x.clone(), query.clone(), &mask, 3, pass)
    });
}

#[test]
fn batch_normalization_and_its_running_moments_are_those_of_pytorch() {
    let figures = fixture("batch_norm");
    let x = [(0, [4, 3]), (1, [5, 3])].map(|(batch, shape)| read(&figures["x"][batch], shape));
    let mut weights = Weights::default();
    batch_norm(
        x[0].clone(),
        "0",
        &mut Pass::of_fit(&mut weights, 1, 1, &device()),
    );
    for (name, key, size) in [("0.weight", "weight", 3), ("0.bias", "bias", 3)] {
        let given = list(&figures[key]);
        assert_eq!(given.len(), size);
        weights.set(name, flat(given, &device()));
    }
    weights.set("0.mean", flat(vec![0.0; 3], &device()));
    weights.set("0.variance", flat(vec![1.0; 3], &device()));
    for (batch, x) in x.iter().enumerate() {
        let mut pass = Pass::of_fit(&mut weights, 1, 1, &device());
        let y = values(batch_norm(x.clone(), "0", &mut pass));
        assert_near("of a batch", &y, &list(&figures["y"][batch]), 1e-5);
    }
    let y = batch_norm(
        x[0].clone(),
        "0",
        &mut Pass::of_prediction(&mut weights, &device()),
    );
    assert_near(
        "of a prediction",
        &values(y),
        &list(&figures["applied"]),
        1e-5,
    );
}

#[test]
fn a_batch_of_one_row_leaves_running_moments_as_they_are() {
    let mut weights = Weights::default();
    let row = tensor(&[3.0, -4.0], [1, 2]);
    let y = batch_norm(row, "0", &mut Pass::of_fit(&mut weights, 1, 1, &device()));
    assert_eq!(values(y), [0.0, 0.0]);
    assert_eq!(
        values(weights.get("0.mean").unwrap().values.clone()),
        [0.0, 0.0]
    );
    assert_eq!(
        values(weights.get("0.variance").unwrap().values.clone()),
        [1.0, 1.0]
    );
}

#[test]
fn pooling_sees_what_the_mask_shows() {
    let x = tensor(
        &[1.0, -5.0, 3.0, -7.0, 9.0, 9.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0],
        [2, 3, 2],
    );
    let mask = tensor(&[1.0, 1.0, 0.0, 0.0, 0.0, 0.0], [2, 3]);
    assert_eq!(values(pooled_max(x.clone(), &mask)), [3.0, -5.0, 0.0, 0.0]);
    assert_eq!(values(pooled_mean(x, &mask)), [2.0, -6.0, 0.0, 0.0]);
}

#[test]
fn waves_have_periods_from_the_longest_to_the_shortest() {
    let times = tensor(&[0.0, 2.0, 25.0], [1, 3]);
    let waves = values(sinusoids(times, 6, 8.0, 200.0));
    let periods = [200.0, 40.0, 8.0];
    for (row, time) in [0.0, 2.0, 25.0].into_iter().enumerate() {
        for (wave, period) in periods.into_iter().enumerate() {
            let angle = std::f64::consts::TAU * time / period;
            let pair = [waves[6 * row + wave], waves[6 * row + 3 + wave]];
            let expected = [libm::sin(angle) as f32, libm::cos(angle) as f32];
            assert_near("wave", &pair, &expected, 1e-5);
        }
    }
}

#[test]
fn dropout_keeps_the_mean_and_noise_its_deviation() {
    let mut weights = Weights::default();
    let ones = || Tensor::<3>::ones([40, 50, 30], &device());
    let mut pass = Pass::of_fit(&mut weights, 1, 1, &device());
    let kept = values(pass.dropout(ones(), 0.25, false));
    let share = kept.iter().filter(|&&x| x > 0.0).count() as f64 / 60_000.0;
    assert!((share - 0.75).abs() < 0.01, "{share}");
    assert!(
        kept.iter()
            .all(|&x| x == 0.0 || (x - 4.0 / 3.0).abs() < 1e-6)
    );
    let spatial = values(pass.dropout(ones(), 0.25, true));
    let same = |object: usize, channel: usize| {
        (0..50).all(|point| {
            spatial[(50 * object + point) * 30 + channel] == spatial[1500 * object + channel]
        })
    };
    assert!((0..40).all(|object| (0..30).all(|channel| same(object, channel))));
    assert!(spatial.contains(&0.0) && spatial.iter().any(|&x| x > 0.0));
    let noise = values(pass.noise(ones(), 0.5));
    let variance = noise
        .iter()
        .map(|x| f64::from(x - 1.0).powi(2))
        .sum::<f64>()
        / 60_000.0;
    assert!((variance - 0.25).abs() < 0.01, "{variance}");
    let mut pass = Pass::of_prediction(&mut weights, &device());
    let all = pass.dropout(ones(), 0.5, false);
    assert!(values(pass.noise(all, 0.5)).iter().all(|&x| x == 1.0));
}
