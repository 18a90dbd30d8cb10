//! Both ways of the operation against a plain reference in f64, and each other.

use burn::tensor::Tensor;

use super::super::testing::{
    assert_near, assert_same_with_threads, device, numbers, on, tensor, values,
};
use super::{NormShape, NormWeights, Normed, RunningStatistics, composed, norm_relu_pool};

type Layer = fn(Tensor<3>, NormWeights, RunningStatistics, Tensor<2>, NormShape) -> Normed;

const WAYS: [(&str, Layer); 2] = [
    ("fused", norm_relu_pool),
    ("composed", composed::norm_relu_pool),
];

/// The operation and its input as plain numbers.
#[derive(Clone)]
struct Case {
    objects: usize,
    points: usize,
    channels: usize,
    x: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
    mask: Vec<f32>,
    shape: NormShape,
}

/// The results, and gradients of the sum of the products of the values with fixed numbers.
struct Outcome {
    values: Vec<f32>,
    mask: Vec<f32>,
    mean: Vec<f32>,
    variance: Vec<f32>,
    x: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Case {
    fn new([objects, points, channels]: [usize; 3], pool: usize) -> Self {
        Self {
            objects,
            points,
            channels,
            x: numbers("x", objects * points * channels)
                .iter()
                .map(|x| 3.0 * x + 2.0)
                .collect(),
            scale: numbers("scale", channels),
            shift: numbers("shift", channels),
            mask: vec![1.0; objects * points],
            shape: NormShape { pool, fit: true },
        }
    }

    /// With curves of several lengths; what is not observed is NaN.
    fn masked(sizes: [usize; 3], pool: usize) -> Self {
        let mut case = Self::new(sizes, pool);
        for object in 0..case.objects {
            let length = (object * 5 + 2) % (case.points + 1);
            let rows = object * case.points + length..(object + 1) * case.points;
            case.x[rows.start * case.channels..rows.end * case.channels].fill(f32::NAN);
            case.mask[rows].fill(0.0);
        }
        case
    }

    fn of_prediction(mut self) -> Self {
        self.shape.fit = false;
        self
    }

    fn groups(&self) -> usize {
        self.points / self.shape.pool
    }

    fn factors(&self) -> Vec<f32> {
        numbers("factors", self.objects * self.groups() * self.channels)
    }

    fn running(&self) -> [Vec<f32>; 2] {
        let variance = numbers("variance", self.channels);
        let variance = variance.iter().map(|x| x + 1.5).collect();
        [numbers("mean", self.channels), variance]
    }

    fn run(&self, layer: Layer) -> Outcome {
        let channels = [self.channels];
        let x = tensor(&self.x, [self.objects, self.points, self.channels]).require_grad();
        let weights = NormWeights {
            scale: tensor(&self.scale, channels).require_grad(),
            shift: tensor(&self.shift, channels).require_grad(),
        };
        let [mean, variance] = self.running();
        let running = RunningStatistics {
            mean: tensor(&mean, channels),
            variance: tensor(&variance, channels),
        };
        let mask = tensor(&self.mask, [self.objects, self.points]);
        let normed = layer(x.clone(), weights.clone(), running, mask, self.shape);
        let factors = tensor(&self.factors(), normed.values.dims());
        let gradients = (normed.values.clone() * factors).sum().backward();
        Outcome {
            values: values(normed.values),
            mask: values(normed.mask),
            mean: values(normed.running.mean),
            variance: values(normed.running.variance),
            x: values(x.grad(&gradients).unwrap()),
            scale: values(weights.scale.grad(&gradients).unwrap()),
            shift: values(weights.shift.grad(&gradients).unwrap()),
        }
    }

    /// Mean and variance (divisor `n`) of a channel, and the number of observed points.
    fn statistics(&self, channel: usize) -> (f64, f64, f64) {
        let rows = 0..self.objects * self.points;
        let seen: Vec<f64> = rows
            .filter(|&row| self.mask[row] != 0.0)
            .map(|row| f64::from(self.x[row * self.channels + channel]))
            .collect();
        let count = seen.len() as f64;
        let mean = seen.iter().sum::<f64>() / count;
        let squares = seen.iter().map(|x| (x - mean) * (x - mean));
        (mean, squares.sum::<f64>() / count, count)
    }

    /// The values by the formula, in f64.
    fn reference(&self) -> Vec<f64> {
        let [mean, variance] = self.running();
        let mut pooled = vec![0.0_f64; self.objects * self.groups() * self.channels];
        for (at, pooled) in pooled.iter_mut().enumerate() {
            let channel = at % self.channels;
            let group = at / self.channels;
            let (object, group) = (group / self.groups(), group % self.groups());
            let (mean, variance) = match self.shape.fit {
                true => (self.statistics(channel).0, self.statistics(channel).1),
                false => (f64::from(mean[channel]), f64::from(variance[channel])),
            };
            for i in 0..self.shape.pool {
                let row = object * self.points + group * self.shape.pool + i;
                if self.mask[row] != 0.0 {
                    let x = f64::from(self.x[row * self.channels + channel]);
                    let normal = (x - mean) / (variance + 1e-5).sqrt();
                    let scale = f64::from(self.scale[channel]);
                    *pooled = pooled.max(normal * scale + f64::from(self.shift[channel]));
                }
            }
        }
        pooled
    }

    fn reference_loss(&self) -> f64 {
        let values = self.reference();
        let terms = values.iter().zip(self.factors());
        terms.map(|(value, factor)| value * f64::from(factor)).sum()
    }

    /// The gradient of that sum by differences of the reference.
    fn difference(&self, place: impl Fn(&mut Self) -> &mut f32) -> f32 {
        let mut moved = self.clone();
        let at = *place(&mut moved);
        let step = 1.0 / 65536.0;
        *place(&mut moved) = at + step;
        let (above, high) = (f64::from(at + step), moved.reference_loss());
        *place(&mut moved) = at - step;
        let (below, low) = (f64::from(at - step), moved.reference_loss());
        ((high - low) / (above - below)) as f32
    }
}

#[test]
fn values_and_gradients_are_those_of_a_plain_reference() {
    let cases = [
        Case::new([3, 4, 2], 2),
        Case::masked([5, 7, 3], 2),
        Case::masked([4, 7, 3], 1),
        Case::masked([3, 7, 2], 3),
        Case::masked([5, 7, 3], 2).of_prediction(),
    ];
    for case in cases {
        let expected: Vec<f32> = case.reference().iter().map(|&x| x as f32).collect();
        let indices = 0..case.x.len();
        let x: Vec<f32> = indices
            .map(|i| match case.x[i].is_nan() {
                true => 0.0,
                false => case.difference(|case| &mut case.x[i]),
            })
            .collect();
        let channels = 0..case.channels;
        let scale = channels
            .clone()
            .map(|i| case.difference(|case| &mut case.scale[i]));
        let shift = channels.map(|i| case.difference(|case| &mut case.shift[i]));
        let (scale, shift): (Vec<f32>, Vec<f32>) = (scale.collect(), shift.collect());
        for (way, layer) in WAYS {
            let outcome = case.run(layer);
            assert_near(way, &outcome.values, &expected, 2e-6);
            assert_near(way, &outcome.x, &x, 2e-5);
            assert_near(way, &outcome.scale, &scale, 2e-5);
            assert_near(way, &outcome.shift, &shift, 2e-5);
        }
    }
}

#[test]
fn running_statistics_follow_the_observed_points() {
    let case = Case::masked([6, 9, 3], 2);
    let [before_mean, before_variance] = case.running();
    for (way, layer) in WAYS {
        let outcome = case.run(layer);
        for channel in 0..3 {
            let (mean, variance, count) = case.statistics(channel);
            let unbiased = variance * count / (count - 1.0);
            let expected = [
                0.9 * before_mean[channel] + 0.1 * mean as f32,
                0.9 * before_variance[channel] + 0.1 * unbiased as f32,
            ];
            let got = [outcome.mean[channel], outcome.variance[channel]];
            assert_near(way, &got, &expected, 1e-6);
        }
        let outcome = case.clone().of_prediction().run(layer);
        assert_eq!(outcome.mean, before_mean, "{way}");
        assert_eq!(outcome.variance, before_variance, "{way}");
    }
}

#[test]
fn a_group_is_observed_if_one_of_its_points_is() {
    let mut case = Case::new([1, 7, 1], 2);
    case.mask = vec![1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0];
    for (way, layer) in WAYS {
        let outcome = case.run(layer);
        assert_eq!(outcome.mask, [1.0, 0.0, 1.0], "{way}");
        assert_eq!(outcome.values[1], 0.0, "{way}");
    }
}

#[test]
fn fewer_than_two_observed_points_leave_the_running_statistics() {
    for seen in [0, 1] {
        let mut case = Case::new([2, 3, 2], 1);
        case.mask.fill(0.0);
        case.mask[..seen].fill(1.0);
        for (way, layer) in WAYS {
            let outcome = case.run(layer);
            let running = [outcome.mean, outcome.variance];
            assert_eq!(running, case.running(), "{way}");
            let all = [outcome.values, outcome.x, outcome.scale].concat();
            assert!(all.iter().all(|x| x.is_finite()), "{way}");
        }
    }
}

#[test]
fn nan_of_an_observation_reaches_its_channel_alone() {
    let mut case = Case::new([2, 4, 2], 2);
    case.x[1] = f32::NAN;
    for (way, layer) in WAYS {
        let outcome = case.run(layer);
        let of = |channel: usize| outcome.values.iter().skip(channel).step_by(2);
        assert!(of(0).all(|x| x.is_finite()), "{way}");
        assert!(of(1).all(|x| x.is_nan()), "{way}");
        assert!(outcome.mean[1].is_nan() && outcome.mean[0].is_finite());
        let outcome = case.clone().of_prediction().run(layer);
        let nan = outcome.values.iter().map(|x| x.is_nan());
        assert!(nan.eq((0..8).map(|i| i == 1)), "{way}");
    }
}

#[test]
fn both_ways_agree_in_all_shapes() {
    for sizes in [[1, 3, 1], [70, 5, 9], [33, 20, 64]] {
        for pool in [1, 2, 3] {
            for case in [
                Case::new(sizes, pool),
                Case::masked(sizes, pool),
                Case::masked(sizes, pool).of_prediction(),
            ] {
                let what = format!("{sizes:?} {pool}");
                let got = case.run(norm_relu_pool);
                let expected = case.run(composed::norm_relu_pool);
                assert_near(&what, &got.values, &expected.values, 1e-5);
                assert_near(&what, &got.mask, &expected.mask, 0.0);
                assert_near(&what, &got.mean, &expected.mean, 1e-6);
                assert_near(&what, &got.variance, &expected.variance, 1e-5);
                assert_near(&what, &got.x, &expected.x, 1e-4);
                assert_near(&what, &got.scale, &expected.scale, 1e-4);
                assert_near(&what, &got.shift, &expected.shift, 1e-5);
            }
        }
    }
}

#[test]
fn nothing_in_gives_nothing() {
    for (objects, points) in [(0, 4), (3, 1), (3, 0)] {
        let case = Case::new([objects, points, 2], 2);
        let plain = device().inner();
        for (way, layer) in WAYS {
            let [mean, variance] = case.running();
            let weights = NormWeights {
                scale: on(&plain, &case.scale, [2]),
                shift: on(&plain, &case.shift, [2]),
            };
            let running = RunningStatistics {
                mean: on(&plain, &mean, [2]),
                variance: on(&plain, &variance, [2]),
            };
            let x = on(&plain, &case.x, [objects, points, 2]);
            let mask = on(&plain, &case.mask, [objects, points]);
            let normed = layer(x, weights, running, mask, case.shape);
            assert_eq!(normed.values.dims(), [objects, points / 2, 2], "{way}");
            assert_eq!(normed.mask.dims(), [objects, points / 2], "{way}");
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let case = Case::masked([70, 30, 40], 2);
    assert_same_with_threads(|| {
        let outcome = case.run(norm_relu_pool);
        let of_weights = [outcome.scale, outcome.shift, outcome.mean].concat();
        [outcome.values, outcome.x, outcome.variance, of_weights].concat()
    });
}
