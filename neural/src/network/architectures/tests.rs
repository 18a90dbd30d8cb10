//! What holds for all networks.

use burn::tensor::Tensor;

use super::super::testing::{
    assert_gradients, assert_near, assert_same_with_threads, batch, batch_of, device, mixed, shape,
    values,
};
use super::super::{Batch, InputShape, Pass, Weight, Weights};
use super::*;

const CHANNELS: [&str; 3] = ["time", "flux", "snr"];

/// A small network of each kind with what it reads.
fn small() -> Vec<(&'static str, ArchitectureSpec, InputShape)> {
    let (tracks, merged) = (shape(2, &CHANNELS, 6, 2), shape(1, &CHANNELS, 6, 2));
    let cnn = Cnn {
        channels: vec![4, 3],
        hidden: vec![3],
        metadata: 2,
        ..Cnn::default()
    };
    let transformer = Transformer {
        width: 4,
        heads: 2,
        layers: 1,
        feed_forward: 5,
        hidden: vec![3],
        ..Transformer::default()
    };
    let multi = MultiGru {
        units: vec![3],
        hidden: vec![3],
        ..MultiGru::default()
    };
    let attention = GruAttention {
        units: vec![3, 2],
        attention: 4,
        hidden: vec![3],
        ..GruAttention::default()
    };
    let stack = GruStack {
        units: vec![4, 2],
        hidden: vec![5, 3],
        ..GruStack::default()
    };
    let dense = Dense {
        hidden: vec![5, 3],
        ..Dense::default()
    };
    let time = TimeAttention {
        width: 4,
        heads: 2,
        layers: 1,
        feed_forward: 5,
        queries: 2,
        shortest: 0.5,
        longest: 4.0,
        hidden: vec![3],
        ..TimeAttention::default()
    };
    vec![
        ("cnn", ArchitectureSpec::Cnn(cnn), tracks.clone()),
        (
            "transformer",
            ArchitectureSpec::Transformer(transformer),
            tracks.clone(),
        ),
        (
            "gru_attention",
            ArchitectureSpec::GruAttention(attention),
            merged.clone(),
        ),
        ("multi_gru", ArchitectureSpec::MultiGru(multi), tracks),
        ("dense", ArchitectureSpec::Dense(dense), shape(0, &[], 0, 4)),
        (
            "gru_stack",
            ArchitectureSpec::GruStack(stack),
            merged.clone(),
        ),
        (
            "time_attention",
            ArchitectureSpec::TimeAttention(time),
            merged,
        ),
    ]
}

/// Returns the weights behind one step of a fit, in which running statistics have seen a batch.
fn fitted(spec: &ArchitectureSpec, input: &InputShape) -> Weights {
    let mut weights = Weights::default();
    let network = spec.build(input.clone());
    network.forward(
        &batch(input),
        &mut Pass::of_fit(&mut weights, 3, 7, &device()),
    );
    weights
}

fn applied(spec: &ArchitectureSpec, input: &InputShape, batch: &Batch) -> Vec<f32> {
    let mut weights = fitted(spec, input);
    let mut pass = Pass::of_prediction(&mut weights, &device());
    values(spec.build(input.clone()).forward(batch, &mut pass))
}

/// The number of trained values of a network.
fn parameters(spec: &ArchitectureSpec, input: &InputShape) -> usize {
    fitted(spec, input).parameters()
}

#[test]
fn gradients_are_those_of_differences() {
    for (name, spec, input) in small() {
        let network = spec.build(input.clone());
        let batch = batch(&input);
        assert_gradients(name, |pass| mixed(network.forward(&batch, pass)));
    }
}

#[test]
fn padding_changes_nothing() {
    for (name, spec, input) in small() {
        let lengths = [vec![6, 3], vec![1, 0]];
        let few = applied(&spec, &input, &batch_of(&input, &lengths, &[0, 1]));
        for points in [7, 9] {
            let longer = InputShape {
                points,
                ..input.clone()
            };
            let more = applied(&spec, &input, &batch_of(&longer, &lengths, &[0, 1]));
            assert_near(name, &more, &few, 1e-5);
        }
    }
}

#[test]
fn what_padding_holds_changes_nothing() {
    for (name, spec, input) in small().into_iter().filter(|(name, ..)| *name != "dense") {
        let clean = batch(&input);
        let mut dirty = batch(&input);
        for track in &mut dirty.tracks {
            let hidden = track.mask.clone().sub_scalar(1.0).mul_scalar(-7.0);
            track.values = track.values.clone() + hidden.unsqueeze_dim(2);
        }
        let [clean, dirty] = [&clean, &dirty].map(|batch| applied(&spec, &input, batch));
        assert_near(name, &dirty, &clean, 1e-5);
    }
}

#[test]
fn objects_do_not_see_each_other_in_a_prediction() {
    for (name, spec, input) in small() {
        let lengths = [vec![6, 3], vec![1, 0], vec![4, 5]];
        let all = applied(&spec, &input, &batch_of(&input, &lengths, &[0, 1, 2]));
        let turned = applied(&spec, &input, &batch_of(&input, &lengths, &[2, 0, 1]));
        let turned: Vec<f32> = [&turned[2..], &turned[..2]].concat();
        assert_near(name, &turned, &all, 1e-5);
        let alone = applied(&spec, &input, &batch_of(&input, &lengths, &[1]));
        assert_near(name, &alone, &all[2..4], 1e-5);
    }
}

#[test]
fn objects_without_observations_and_single_objects_have_finite_outputs_and_gradients() {
    for (name, spec, input) in small() {
        let network = spec.build(input.clone());
        for lengths in [
            vec![vec![0, 0]],
            vec![vec![1, 0]],
            vec![vec![0, 0], vec![0, 0]],
        ] {
            let order: Vec<usize> = (0..lengths.len()).collect();
            let batch = batch_of(&input, &lengths, &order);
            assert!(
                applied(&spec, &input, &batch).iter().all(|x| x.is_finite()),
                "{name}"
            );
            let mut weights = fitted(&spec, &input).fresh();
            let outputs = network.forward(&batch, &mut Pass::of_fit(&mut weights, 1, 1, &device()));
            let fresh = weights.all().to_vec();
            let gradients = mixed(outputs).backward();
            for weight in fresh.iter().filter(|weight| weight.trained) {
                let gradient = weight.values.grad(&gradients).map_or(Vec::new(), values);
                assert!(
                    gradient.iter().all(|x| x.is_finite()),
                    "{name}: {}",
                    weight.name
                );
            }
            for weight in weights.all() {
                let finite = values(weight.values.clone()).iter().all(|x| x.is_finite());
                assert!(finite, "{name}: {}", weight.name);
            }
        }
    }
}

#[test]
fn steps_have_draws_of_their_own_and_the_same_again() {
    for (name, spec, input) in small() {
        let outputs = |step| {
            let mut weights = fitted(&spec, &input);
            let mut pass = Pass::of_fit(&mut weights, 5, step, &device());
            values(spec.build(input.clone()).forward(&batch(&input), &mut pass))
        };
        assert_eq!(outputs(1), outputs(1), "{name}");
        assert_ne!(outputs(1), outputs(2), "{name}");
    }
}

#[test]
fn the_bytes_of_a_step_do_not_depend_on_threads() {
    for (name, tracks) in [
        ("cnn", 2),
        ("transformer", 2),
        ("multi_gru", 1),
        ("time_attention", 1),
    ] {
        let input = shape(tracks, &CHANNELS, 40, 2);
        let network = usual(name).build(input.clone());
        let lengths = (0..16).map(|object| vec![(7 * object) % 41, (5 * object) % 41]);
        let lengths: Vec<Vec<usize>> = lengths.collect();
        let order: Vec<usize> = (0..16).collect();
        let batch = batch_of(&input, &lengths, &order);
        assert_same_with_threads(|| {
            let mut weights = Weights::default();
            let outputs = network.forward(&batch, &mut Pass::of_fit(&mut weights, 1, 1, &device()));
            let gradients = mixed(outputs.clone()).backward();
            let trained = weights.all().iter().filter(|weight| weight.trained);
            let of = |weight: &Weight| weight.values.grad(&gradients).map_or(Vec::new(), values);
            values(outputs)
                .into_iter()
                .chain(trained.flat_map(of))
                .collect()
        });
    }
}

/// A network of this name as it is described.
fn usual(name: &str) -> ArchitectureSpec {
    serde_json::from_value(serde_json::json!({ "architecture": name })).unwrap()
}

#[test]
fn networks_are_as_large_as_described() {
    let six = shape(
        6,
        &[
            "time",
            "flux",
            "flux_err",
            "snr",
            "log_flux",
            "cumulative_time",
        ],
        200,
        2,
    );
    let six = InputShape { outputs: 1, ..six };
    let merged = InputShape {
        tracks: vec!["all".into()],
        ..six.clone()
    };
    for (name, described, count) in [
        ("cnn", 545_000_usize, 538_337),
        ("transformer", 175_000, 172_961),
    ] {
        assert_eq!(parameters(&usual(name), &six), count, "{name}");
        assert!(described.abs_diff(count) * 20 <= described, "{name}");
    }
    let dense = InputShape {
        outputs: 14,
        ..shape(0, &[], 0, 156)
    };
    let layers = [156, 512, 512, 256, 256, 128];
    let expected = layers.windows(2).map(|pair| (pair[0] + 3) * pair[1]);
    assert_eq!(
        parameters(&usual("dense"), &dense),
        expected.sum::<usize>() + 129 * 14
    );
    let gru = |inputs: usize, units: usize| 2 * 3 * units * (inputs + units + 2);
    let stack = gru(6, 256) + gru(512, 64) + gru(128, 32) + gru(64, 32);
    let head = 67 * 1024 + 1025 * 256 + 257 * 64 + 65 * 32 + 33;
    assert_eq!(parameters(&usual("gru_stack"), &merged), stack + head);
    let small = parameters(&usual("time_attention"), &merged);
    assert!((30_000..80_000).contains(&small), "{small}");
}

#[test]
fn sizes_that_do_not_fit_are_said() {
    let (tracks, merged) = (shape(2, &CHANNELS, 6, 2), shape(1, &CHANNELS, 6, 2));
    let features = shape(0, &[], 0, 3);
    let cases: [(serde_json::Value, &InputShape, &str); 17] = [
        (
            serde_json::json!({"architecture": "cnn"}),
            &features,
            "there are none",
        ),
        (
            serde_json::json!({"architecture": "cnn"}),
            &tracks,
            "6 points become less than one",
        ),
        (
            serde_json::json!({"architecture": "cnn", "pool": 1, "kernel": 4}),
            &tracks,
            "must be odd",
        ),
        (
            serde_json::json!({"architecture": "cnn", "channels": []}),
            &tracks,
            "no convolution",
        ),
        (
            serde_json::json!({"architecture": "cnn", "pool": 0}),
            &tracks,
            "at least 1",
        ),
        (
            serde_json::json!({"architecture": "transformer", "heads": 5}),
            &tracks,
            "5 heads cannot share a width of 32",
        ),
        (
            serde_json::json!({"architecture": "transformer", "heads": 0}),
            &tracks,
            "0 heads",
        ),
        (
            serde_json::json!({"architecture": "transformer", "width": 9, "heads": 3}),
            &tracks,
            "must be even",
        ),
        (
            serde_json::json!({"architecture": "transformer", "shortest": 9.0, "longest": 2.0}),
            &tracks,
            "must be positive and grow",
        ),
        (
            serde_json::json!({"architecture": "transformer"}),
            &shape(2, &["flux"], 6, 0),
            "the channel `time`",
        ),
        (
            serde_json::json!({"architecture": "time_attention"}),
            &shape(1, &["time"], 6, 0),
            "the channel `snr`",
        ),
        (
            serde_json::json!({"architecture": "time_attention", "lost": 1.0}),
            &merged,
            "less than 1, not 1",
        ),
        (
            serde_json::json!({"architecture": "gru_attention"}),
            &tracks,
            "there are 2 tracks",
        ),
        (
            serde_json::json!({"architecture": "gru_stack", "units": []}),
            &merged,
            "no layer of recurrent units",
        ),
        (
            serde_json::json!({"architecture": "multi_gru", "units": [0]}),
            &tracks,
            "at least 1",
        ),
        (
            serde_json::json!({"architecture": "dense"}),
            &merged,
            "there are sequences",
        ),
        (
            serde_json::json!({"architecture": "dense"}),
            &shape(0, &[], 0, 0),
            "reads features",
        ),
    ];
    for (spec, input, sentence) in cases {
        let built = serde_json::from_value::<ArchitectureSpec>(spec.clone()).unwrap();
        let misfits = built.build(input.clone()).misfits(input);
        assert!(
            misfits.iter().any(|misfit| misfit.contains(sentence)),
            "{spec}: {misfits:?}"
        );
    }
    for (name, spec, input) in small() {
        assert_eq!(spec.build(input.clone()).misfits(&input), [""; 0], "{name}");
    }
}

#[test]
fn networks_are_written_and_read_back() {
    for (name, spec, _) in small() {
        let text = serde_json::to_string(&spec).unwrap();
        assert!(
            text.contains(&format!("\"architecture\":\"{name}\"")),
            "{text}"
        );
        assert_eq!(
            serde_json::from_str::<ArchitectureSpec>(&text).unwrap(),
            spec
        );
    }
    let unknown = serde_json::json!({"architecture": "cnn", "widths": [3]});
    assert!(serde_json::from_value::<ArchitectureSpec>(unknown).is_err());
}

#[test]
fn a_mask_of_ones_shows_the_padding() {
    for (name, spec, input) in small().into_iter().filter(|(name, ..)| *name != "dense") {
        let masked = batch(&input);
        let mut seen = batch(&input);
        for track in &mut seen.tracks {
            track.mask = Tensor::ones_like(&track.mask);
        }
        let [masked, seen] = [&masked, &seen].map(|batch| applied(&spec, &input, batch));
        assert_ne!(masked, seen, "{name}");
    }
}
