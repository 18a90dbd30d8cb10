//! Fits from end to end, and their parts against figures from elsewhere.

use std::sync::atomic::Ordering;

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::Value;

use super::arrays::to_host;
use super::descent::Descent;
use super::order::shuffled;
use super::rate::RatePlace;
use super::state::{FitState, PlateauCount};
use super::testing::{Curves, KeepingHost, Quadrants, settings};
use super::*;
use crate::network::{InputShape, Weight, Weights};

fn rows(values: &[f32], width: usize, device: &Device) -> Tensor<2> {
    let shape = [values.len() / width, width];
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

/// Alpha, gamma, the class, and for each logit the loss and its slope.
type FocalCase = (f64, f64, usize, [f64; 6], [f64; 6]);

/// Figures of the binary focal loss from formula 5 of Lin et al. (2017) in 64-bit floats, slopes from 5-point
/// differences.
#[test]
fn focal_losses_and_their_slopes_are_those_of_the_formula() {
    let logits = [-3.0f32, -1.0, 0.0, 0.5, 2.0, 4.0];
    let cases: [FocalCase; 6] = [
        (
            0.75,
            2.0,
            0,
            [
                2.73208311e-05,
                0.00566451438,
                0.0433216988,
                0.0943529002,
                0.412519545,
                0.968726809,
            ],
            [
                7.87179616e-05,
                0.0131452825,
                0.0745716988,
                0.131537955,
                0.269178433,
                0.271598963,
            ],
        ),
        (
            0.75,
            2.0,
            1,
            [
                2.07471033,
                0.526401228,
                0.129965096,
                0.0506801179,
                0.00135267213,
                4.40367729e-06,
            ],
            [
                -0.84506241,
                -0.576176042,
                -0.223715096,
                -0.103452748,
                -0.00365320515,
                -1.30128984e-05,
            ],
        ),
        (
            0.5,
            0.0,
            0,
            [
                0.0242936758,
                0.156630844,
                0.34657359,
                0.487038492,
                1.06346401,
                2.00907496,
            ],
            [
                0.0237129366,
                0.134470711,
                0.25,
                0.311229666,
                0.440398539,
                0.491006895,
            ],
        ),
        (
            0.5,
            0.0,
            1,
            [
                1.52429368,
                0.656630844,
                0.34657359,
                0.237038492,
                0.0634640055,
                0.00907496396,
            ],
            [
                -0.476287063,
                -0.365529289,
                -0.25,
                -0.188770334,
                -0.059601461,
                -0.00899310498,
            ],
        ),
        (
            0.9,
            1.0,
            0,
            [
                0.000230429757,
                0.00842490435,
                0.034657359,
                0.0606323308,
                0.187339198,
                0.394587864,
            ],
            [
                0.00044442277,
                0.0133920474,
                0.0423286795,
                0.0616367326,
                0.099911729,
                0.103532249,
            ],
        ),
        (
            0.9,
            1.0,
            1,
            [
                2.61360489,
                0.8640641,
                0.311916231,
                0.161085008,
                0.0136171708,
                0.000293803573,
            ],
            [
                -0.940610214,
                -0.713384608,
                -0.380958116,
                -0.228552127,
                -0.0247823672,
                -0.000579672534,
            ],
        ),
    ];
    let device = Device::flex().autodiff();
    for (alpha, gamma, class, losses, slopes) in cases {
        let kind = LossKind::Focal { gamma };
        let weights = vec![(1.0 - alpha) as f32, alpha as f32];
        let of = ClassLosses { kind, weights };
        for ((&logit, loss), slope) in logits.iter().zip(losses).zip(slopes) {
            let output = rows(&[logit], 1, &device).require_grad();
            let found = of.mean(output.clone(), &[class]);
            let gradients = found.backward();
            let found = f64::from(found.into_scalar::<f32>());
            let found_slope = to_host(&output.grad(&gradients).unwrap())[0];
            let close = |a: f64, b: f64| (a - b).abs() < 3e-6 * b.abs() + 1e-9;
            assert!(
                close(found, loss),
                "{alpha} {gamma} {class} {logit}: {found} {loss}"
            );
            assert!(
                (f64::from(found_slope) - slope).abs() < 1e-6,
                "{logit}: {found_slope} {slope}"
            );
        }
    }
}

/// With two outputs, one of which is 0, the softmax is that of one output.
#[test]
fn losses_of_two_outputs_are_those_of_one() {
    let device = Device::flex();
    for kind in [LossKind::CrossEntropy, LossKind::Focal { gamma: 1.5 }] {
        let weights = vec![0.5, 2.0];
        let of = ClassLosses { kind, weights };
        let classes = [0, 1, 1, 0];
        let one = rows(&[-2.0, 0.5, 3.0, 1.0], 1, &device);
        let two = rows(&[0.0, -2.0, 0.0, 0.5, 0.0, 3.0, 0.0, 1.0], 2, &device);
        let one = of.mean(one, &classes).into_scalar::<f32>();
        let two = of.mean(two, &classes).into_scalar::<f32>();
        assert!((one - two).abs() < 1e-6, "{one} {two}");
    }
}

#[test]
fn losses_of_certain_outputs_are_finite_with_finite_slopes() {
    let device = Device::flex().autodiff();
    for gamma in [0.0, 0.5, 2.0] {
        for outputs in [&[90.0f32, -90.0][..], &[90.0, -90.0, 0.0, -90.0, 90.0, 0.0]] {
            let kind = LossKind::Focal { gamma };
            let of = ClassLosses {
                kind,
                weights: vec![1.0; 3],
            };
            let outputs = rows(outputs, outputs.len() / 2, &device).require_grad();
            let loss = of.mean(outputs.clone(), &[0, 1]);
            let slopes = to_host(&outputs.grad(&loss.backward()).unwrap());
            assert!(loss.into_scalar::<f32>().is_finite());
            assert!(slopes.iter().all(|slope| slope.is_finite()), "{slopes:?}");
        }
    }
}

/// The weighted log-loss of PLAsTiCC over 90 rows, see `stages/tests/fixtures/plasticc_logloss.json`.
#[test]
fn weighted_cross_entropies_are_the_log_loss_of_plasticc() {
    let text = include_str!("../../../stages/tests/fixtures/plasticc_logloss.json");
    let fixture: Value = serde_json::from_str(text).unwrap();
    let list = |of: &Value| -> Vec<f64> {
        let list = of.as_array().unwrap().iter();
        list.map(|value| value.as_f64().unwrap()).collect()
    };
    let classes = list(&fixture["classes"]);
    let labels: Vec<usize> = list(&fixture["y"])
        .iter()
        .map(|y| classes.iter().position(|class| class == y).unwrap())
        .collect();
    let weights = list(&fixture["weights"]);
    let mut counts = vec![0.0; classes.len()];
    labels.iter().for_each(|&label| counts[label] += 1.0);
    let all: f64 = weights.iter().sum();
    let of_class = |class: usize| weights[class] * labels.len() as f64 / (counts[class] * all);
    let losses = ClassLosses {
        kind: LossKind::CrossEntropy,
        weights: (0..classes.len())
            .map(|class| of_class(class) as f32)
            .collect(),
    };
    let outputs: Vec<f32> = fixture["p"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(&list)
        .map(|p| libm::log(p.max(1e-15)) as f32)
        .collect();
    let outputs = rows(&outputs, classes.len(), &Device::flex());
    let found = losses.mean(outputs, &labels).into_scalar::<f32>();
    let expected = fixture["logloss_15"].as_f64().unwrap();
    assert!(
        (f64::from(found) - expected).abs() < 1e-5,
        "{found} {expected}"
    );
}

/// Steps of PyTorch's AdamW and Adam in 64-bit floats: a rate of 0.1, a decay of 0.01, and gradients `2 (x - target)`.
#[test]
fn steps_are_those_of_adam_and_adamw() {
    let traces: [(DescentRule, [[f64; 3]; 4]); 2] = [
        (
            DescentRule::AdamW,
            [
                [0.899000001, -1.898, 0.399500001],
                [0.798677707, -1.79624589, 0.299990236],
                [0.699555824, -1.69484281, 0.202370132],
                [0.602288615, -1.59390311, 0.107852911],
            ],
        ),
        (
            DescentRule::Adam,
            [
                [0.900000001, -1.9, 0.400000001],
                [0.800567242, -1.80014061, 0.300883878],
                [0.702215783, -1.70052484, 0.203546618],
                [0.605588859, -1.60126285, 0.109196888],
            ],
        ),
    ];
    let device = Device::flex().autodiff();
    let target = rows(&[0.2, 0.3, -0.1], 3, &device).reshape([3]);
    for (rule, trace) in traces {
        let settings = DescentSettings {
            rule,
            weight_decay: 0.01,
            clip_norm: None,
        };
        let mut weights = Weights::default();
        let values = rows(&[1.0, -2.0, 0.5], 3, &device)
            .reshape([3])
            .require_grad();
        weights.add(Weight {
            name: "x".into(),
            shape: vec![3],
            values,
            trained: true,
        });
        let mut descent = Descent::new(&settings, &[], &device);
        for expected in trace {
            // What is kept and read again goes on in the same way.
            descent = Descent::new(&settings, &descent.moments(), &device);
            let away: Tensor<1> = weights.all()[0].values.clone() - target.clone();
            let gradients = away.square().sum().backward();
            descent.step(&mut weights, gradients, 0.1);
            let found = to_host(&weights.all()[0].values);
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (f64::from(*found) - expected).abs() < 1e-5,
                    "{found} {expected}"
                );
            }
        }
    }
}

#[test]
fn long_gradients_are_shortened_together() {
    let device = Device::flex().autodiff();
    let settings = DescentSettings {
        rule: DescentRule::Adam,
        weight_decay: 0.0,
        clip_norm: Some(2.5),
    };
    let mut weights = Weights::default();
    for (name, value) in [("a", 3.0), ("b", 4.0)] {
        let values = rows(&[value], 1, &device).reshape([1]).require_grad();
        weights.add(Weight {
            name: name.into(),
            shape: vec![1],
            values,
            trained: true,
        });
    }
    let mut descent = Descent::new(&settings, &[], &device);
    let [a, b] = [0, 1].map(|i| weights.all()[i].values.clone());
    let gradients = (a * 3.0 + b * 4.0).backward();
    descent.step(&mut weights, gradients, 0.1);
    let moments = descent.moments();
    let first: Vec<f32> = moments
        .iter()
        .map(|m| m.as_ref().unwrap().first[0])
        .collect();
    // Their norm was 5, and a tenth of each enters the moment.
    assert!(
        (first[0] - 0.15).abs() < 1e-6 && (first[1] - 0.2).abs() < 1e-6,
        "{first:?}"
    );
}

#[test]
fn rates_follow_their_schedule() {
    let at = |schedule, warmup, step| {
        let settings = RateSettings {
            rate: 2.0,
            schedule,
            warmup,
        };
        settings.at(&RatePlace {
            step,
            steps_per_epoch: 10,
            epochs: 4,
            plateaus: 2,
        })
    };
    assert_eq!(at(RateSchedule::Constant, 0, 39), 2.0);
    assert_eq!(at(RateSchedule::Constant, 1, 4), 2.0 * 5.0 / 11.0);
    assert_eq!(at(RateSchedule::Cosine, 0, 0), 2.0);
    assert!((at(RateSchedule::Cosine, 0, 20) - 1.0).abs() < 1e-12);
    assert!((at(RateSchedule::Cosine, 2, 30) - 1.0).abs() < 1e-12);
    let (epochs, factor) = (2, 0.5);
    assert_eq!(at(RateSchedule::Step { epochs, factor }, 0, 19), 2.0);
    assert_eq!(at(RateSchedule::Step { epochs, factor }, 0, 20), 1.0);
    assert_eq!(at(RateSchedule::Plateau { epochs, factor }, 0, 0), 0.5);
    let mut count = PlateauCount::default();
    [1.0, 2.0, 3.0, 0.5, 0.6, 0.7]
        .iter()
        .for_each(|&loss| count.count(loss, 2));
    assert_eq!((count.seen, count.waited), (2, 0));
}

#[test]
fn an_epoch_has_every_row_once_and_no_batch_of_one() {
    let rows: Vec<usize> = (10..43).collect();
    let batches = shuffled(&rows, 8, 3, 1);
    assert_eq!(
        batches.iter().map(Vec::len).collect::<Vec<_>>(),
        [8, 8, 8, 9]
    );
    let mut all = batches.concat();
    assert_ne!(all, rows);
    all.sort_unstable();
    assert_eq!(all, rows);
    assert_ne!(shuffled(&rows, 8, 3, 2), batches);
    assert_ne!(shuffled(&rows, 8, 4, 1), batches);
    assert_eq!(shuffled(&rows, 100, 3, 1).len(), 1);
    assert_eq!(shuffled(&[7], 1, 3, 1), [[7]]);
}

fn shape_of(channels: &[&str], points: usize) -> InputShape {
    InputShape {
        tracks: vec!["all".into()],
        channels: channels.iter().map(|&name| name.into()).collect(),
        points,
        features: 0,
        outputs: 1,
    }
}

#[test]
fn tracks_are_as_long_as_the_longest_one_of_the_batch() {
    let gap = f32::NAN;
    let curves = Curves(vec![
        (vec![1.0, 2.0, 3.0, gap, gap, gap, gap, gap], 2),
        (vec![5.0, 6.0, 7.0, 8.0, 9.0, 10.0, gap, gap], 3),
        (vec![gap; 8], 0),
    ]);
    let shape = shape_of(&["flux", "time"], 4);
    let mut samples = Samples {
        shape: &shape,
        sequences: Some(&curves),
        factors: &[0.5, 1.0],
        features: &[],
        padded: false,
    };
    let device = Device::flex();
    let batch = samples.batch(&[2, 0], &device);
    let track = &batch.tracks[0];
    assert_eq!(to_host(&track.mask), [0.0, 0.0, 1.0, 1.0]);
    // What is missing within an observation counts as zero.
    assert_eq!(
        to_host(&track.values),
        [0.0, 0.0, 0.0, 0.0, 0.5, 2.0, 1.5, 0.0]
    );
    assert!(batch.features.is_none());
    assert_eq!(samples.batch(&[2], &device).tracks[0].mask.dims(), [1, 1]);
    samples.padded = true;
    let track = &samples.batch(&[0], &device).tracks[0];
    assert_eq!(to_host(&track.mask), [1.0; 4]);
    assert_eq!(
        to_host(&track.values),
        [0.5, 2.0, 1.5, 0.0, 0.0, 0.0, 0.0, 0.0]
    );
    let error = samples.check(&[2], 8).unwrap_err();
    assert!(
        error.to_string().contains("none of the 1 training rows"),
        "{error}"
    );
    samples.check(&[2, 0], 8).unwrap();
    let huge = shape_of(&["flux", "time"], 1 << 20);
    samples.shape = &huge;
    let error = samples.check(&[0; 1000], 256).unwrap_err();
    assert!(error.to_string().contains("lower `batch_size`"), "{error}");
}

#[test]
fn fluxes_of_a_survey_share_a_factor() {
    let curves = Curves(vec![
        (vec![-4.0, 1.0, 9.0, 28.0, 1.0, 9.0], 2),
        (vec![900.0, 900.0, 900.0, 900.0, 900.0, 900.0], 1),
    ]);
    let shape = shape_of(&["flux", "flux_err", "time"], 2);
    // The largest flux is 28, the least -4, and the base 2 logarithm of 32 is 5.
    assert_eq!(survey_factors(&curves, &shape, &[0]), [0.2, 0.2, 1.0]);
    // Fluxes of one value have no range.
    assert_eq!(survey_factors(&curves, &shape, &[1]), [1.0; 3]);
    assert_eq!(survey_factors(&curves, &shape, &[]), [1.0; 3]);
}

#[test]
fn a_fit_learns_and_says_how_well() {
    let fitted = Quadrants::new(240)
        .fit(&settings(), &KeepingHost::patient())
        .unwrap();
    assert_eq!((fitted.epoch, fitted.epochs), (30, 30));
    assert_eq!(fitted.history.len(), 60);
    let [fit, held_out] = &fitted.history[58..] else {
        panic!("two rows an epoch");
    };
    assert!(fit.epoch == 30 && !fit.held_out && held_out.held_out);
    assert!(
        fit.loss < 0.4 && held_out.loss < 0.4,
        "{fit:?} {held_out:?}"
    );
    assert!(held_out.score.unwrap() > 0.9, "{held_out:?}");
    assert!(fitted.history[0].loss > 0.6, "{:?}", fitted.history[0]);
    // 2 x 8 + 8 + 8 + 1 weights are fitted, and one is counted up by each pass that fits.
    assert_eq!(fitted.weights.parameters(), 33);
    assert_eq!(fitted.weights.values.len(), 34);
    let seen = fitted
        .weights
        .about
        .iter()
        .position(|about| about.name == "seen");
    let before: usize = fitted.weights.about[..seen.unwrap()]
        .iter()
        .map(ArrayAbout::size)
        .sum();
    assert!(
        fitted.weights.values[before] >= 180.0,
        "6 batches in 30 epochs"
    );
}

#[test]
fn a_fit_that_was_stopped_goes_on_and_ends_with_the_same_bytes() {
    let rows = Quadrants::new(100);
    let mut settings = settings();
    settings.epochs = 5;
    settings.rate.schedule = RateSchedule::Plateau {
        epochs: 1,
        factor: 0.5,
    };
    let whole = KeepingHost::patient();
    let unbroken = rows.fit(&settings, &whole).unwrap();
    let broken = KeepingHost::new(0);
    let mut stops = 0;
    let fitted = loop {
        // An epoch has 4 batches; the last ones are for the rows that are held out.
        broken.batches.store(5 + stops % 2, Ordering::Relaxed);
        match rows.fit(&settings, &broken) {
            Err(FitError::Stopped) => stops += 1,
            done => break done.unwrap(),
        }
        assert!(stops < 20);
    };
    assert!(stops > 3, "{stops}");
    assert_eq!(fitted, unbroken);
    let [broken, whole] = [broken, whole].map(|host| host.state.into_inner().unwrap().unwrap());
    assert_eq!(broken, whole);
}

#[test]
fn a_damaged_or_foreign_state_is_not_gone_on_from() {
    let rows = Quadrants::new(60);
    let settings = FitSettings {
        epochs: 2,
        ..settings()
    };
    let host = KeepingHost::patient();
    let whole = rows.fit(&settings, &host).unwrap();
    let bytes = host.state.lock().unwrap().clone().unwrap();
    let read = FitState::from_bytes(&bytes, "quadrants").unwrap();
    assert_eq!(read.to_bytes("quadrants"), bytes);
    assert!(FitState::from_bytes(&bytes, "another").is_none());
    for end in [0, 10, 31, 40, bytes.len() - 1] {
        assert!(
            FitState::from_bytes(&bytes[..end], "quadrants").is_none(),
            "{end}"
        );
    }
    for at in [3, bytes.len() / 2, bytes.len() - 40] {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        assert!(FitState::from_bytes(&bytes, "quadrants").is_none(), "{at}");
        *host.state.lock().unwrap() = Some(bytes);
        assert_eq!(rows.fit(&settings, &host).unwrap(), whole);
    }
}

#[test]
fn a_fit_ends_once_its_best_epoch_is_long_ago() {
    let mut settings = settings();
    settings.rate.rate = 0.5;
    settings.rate.schedule = RateSchedule::Constant;
    settings.epochs = 200;
    settings.patience = 4;
    let host = KeepingHost::patient();
    let fitted = Quadrants::new(60).fit(&settings, &host).unwrap();
    assert_eq!(fitted.epochs, fitted.epoch + 4);
    assert!(fitted.epochs < 200);
    let held_out = fitted.history.iter().filter(|row| row.held_out);
    let least = held_out.min_by(|a, b| a.loss.total_cmp(&b.loss)).unwrap();
    assert_eq!(least.epoch, fitted.epoch);
    // What has ended is not gone on with, and gives the weights of the best epoch again.
    host.batches.store(0, Ordering::Relaxed);
    assert_eq!(Quadrants::new(60).fit(&settings, &host).unwrap(), fitted);
}

#[test]
fn a_loss_that_is_no_number_ends_the_fit() {
    let mut rows = Quadrants::new(40);
    rows.features[6] = f32::INFINITY;
    let error = rows.fit(&settings(), &KeepingHost::patient()).unwrap_err();
    assert!(error.to_string().contains("in epoch 1"), "{error}");
    let mut steep = settings();
    steep.rate.rate = 1e38;
    steep.descent.weight_decay = 10.0;
    let error = Quadrants::new(40)
        .fit(&steep, &KeepingHost::patient())
        .unwrap_err();
    assert!(
        matches!(error, FitError::Diverged { epoch: 1, .. }),
        "{error}"
    );
}

#[test]
fn batches_may_be_larger_than_the_data_and_rows_too_few() {
    let settings = FitSettings {
        batch_size: 1000,
        epochs: 2,
        ..settings()
    };
    let host = KeepingHost::patient();
    assert!(Quadrants::new(12).fit(&settings, &host).is_ok());
    let error = Quadrants::new(2).fit(&settings, &host).unwrap_err();
    assert!(error.to_string().contains("1 rows to fit on"), "{error}");
}

#[test]
fn threads_change_no_bytes() {
    let rows = Quadrants::new(100);
    let settings = FitSettings {
        epochs: 3,
        ..settings()
    };
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| rows.fit(&settings, &KeepingHost::patient()).unwrap())
    };
    assert_eq!(on(1), on(4));
}
