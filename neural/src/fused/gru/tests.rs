//! Both ways of the layer against figures of another program, a plain reference in f64, and each other.

use burn::tensor::Tensor;
use serde_json::Value;

use super::super::testing::{
    assert_near, assert_same_with_threads, device, fixture, list, numbers, on, tensor, values,
};
use super::{GruWeights, composed, gru};

type Layer = fn(Tensor<3>, GruWeights, Tensor<2>, bool) -> Tensor<3>;

const WAYS: [(&str, Layer); 2] = [("fused", gru), ("composed", composed::gru)];

/// A layer and its input as plain numbers.
#[derive(Clone)]
struct Case {
    objects: usize,
    points: usize,
    inputs: usize,
    units: usize,
    x: Vec<f32>,
    mask: Vec<f32>,
    weights: [Vec<f32>; 4],
    reverse: bool,
}

/// The states, and gradients of the sum of their products with fixed numbers.
#[derive(Debug, PartialEq)]
struct Outcome {
    states: Vec<f32>,
    x: Vec<f32>,
    weights: [Vec<f32>; 4],
}

impl Case {
    fn new([objects, points, inputs, units]: [usize; 4]) -> Self {
        let weight = |name: &str, size: usize| {
            let scale = 1.5 / (units as f32).sqrt();
            numbers(name, size).iter().map(|x| x * scale).collect()
        };
        Self {
            objects,
            points,
            inputs,
            units,
            x: numbers("x", objects * points * inputs),
            mask: vec![1.0; objects * points],
            weights: [
                weight("input", inputs * 3 * units),
                weight("state", units * 3 * units),
                weight("input bias", 3 * units),
                weight("state bias", 3 * units),
            ],
            reverse: false,
        }
    }

    /// With curves of several lengths, and one observation missing in the middle.
    fn masked(sizes: [usize; 4]) -> Self {
        let mut case = Self::new(sizes);
        let [objects, points, ..] = sizes;
        for object in 0..objects {
            let length = (object * 7 + 3) % (points + 1);
            let row = &mut case.mask[object * points..][..points];
            row[length..].fill(0.0);
            row[points / 2] = 0.0;
        }
        case
    }

    fn reversed(self) -> Self {
        Self {
            reverse: true,
            ..self
        }
    }

    fn of_fixture(direction: &Value, x: &Value) -> Self {
        Self {
            x: list(x),
            weights: ["input", "state", "input_bias", "state_bias"]
                .map(|name| list(&direction[name])),
            ..Self::new([2, 5, 3, 4])
        }
    }

    /// What the states are multiplied by.
    fn factors(&self) -> Vec<f32> {
        numbers("factors", self.objects * self.points * self.units)
    }

    fn tensors(&self) -> (Tensor<3>, GruWeights, Tensor<2>) {
        let gates = 3 * self.units;
        let [input, state, input_bias, state_bias] = &self.weights;
        let weights = GruWeights {
            input: tensor(input, [self.inputs, gates]).require_grad(),
            state: tensor(state, [self.units, gates]).require_grad(),
            input_bias: tensor(input_bias, [gates]).require_grad(),
            state_bias: tensor(state_bias, [gates]).require_grad(),
        };
        let x = tensor(&self.x, [self.objects, self.points, self.inputs]).require_grad();
        (x, weights, tensor(&self.mask, [self.objects, self.points]))
    }

    /// Computes with one of the ways. `loss` makes a number of the states.
    fn run(&self, layer: Layer, loss: impl Fn(Tensor<3>) -> Tensor<1>) -> Outcome {
        let (x, weights, mask) = self.tensors();
        let states = layer(x.clone(), weights.clone(), mask, self.reverse);
        let gradients = loss(states.clone()).backward();
        let of = |tensor: Tensor<2>| values(tensor.grad(&gradients).unwrap());
        let of_bias = |tensor: Tensor<1>| values(tensor.grad(&gradients).unwrap());
        Outcome {
            states: values(states),
            x: values(x.grad(&gradients).unwrap()),
            weights: [
                of(weights.input),
                of(weights.state),
                of_bias(weights.input_bias),
                of_bias(weights.state_bias),
            ],
        }
    }

    fn outcome(&self, layer: Layer) -> Outcome {
        let factors = tensor(&self.factors(), [self.objects, self.points, self.units]);
        self.run(layer, |states| (states * factors.clone()).sum())
    }

    /// The states by the formulas, in f64.
    fn reference(&self) -> Vec<f64> {
        let (points, units) = (self.points, self.units);
        let mut states = vec![0.0; self.objects * points * units];
        for object in 0..self.objects {
            let mut h = vec![0.0; units];
            for step in 0..points {
                let point = if self.reverse {
                    points - 1 - step
                } else {
                    step
                };
                if self.mask[object * points + point] != 0.0 {
                    h = self.step(object * points + point, &h);
                }
                states[(object * points + point) * units..][..units].copy_from_slice(&h);
            }
        }
        states
    }

    fn step(&self, row: usize, h: &[f64]) -> Vec<f64> {
        let x = &self.x[row * self.inputs..][..self.inputs];
        let x: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
        let units = self.units;
        let sum = |left: &[f64], of: usize, gate: usize| -> f64 {
            let bias = f64::from(self.weights[of + 2][gate]);
            let weight = |i: usize| f64::from(self.weights[of][i * 3 * units + gate]);
            let terms = left.iter().enumerate().map(|(i, x)| x * weight(i));
            bias + terms.sum::<f64>()
        };
        let sigmoid = |x: f64| 1.0 / (1.0 + libm::exp(-x));
        let next = (0..units).map(|u| {
            let r = sigmoid(sum(&x, 0, u) + sum(h, 1, u));
            let z = sigmoid(sum(&x, 0, units + u) + sum(h, 1, units + u));
            let n = libm::tanh(sum(&x, 0, 2 * units + u) + r * sum(h, 1, 2 * units + u));
            (1.0 - z) * n + z * h[u]
        });
        next.collect()
    }

    /// The sum of the products of the states of the reference with the fixed numbers.
    fn reference_loss(&self) -> f64 {
        let states = self.reference();
        let terms = states.iter().zip(self.factors());
        terms.map(|(state, factor)| state * f64::from(factor)).sum()
    }

    /// The gradient of that sum with respect to a number that `place` finds, by differences of the reference.
    fn difference(&self, place: impl Fn(&mut Self) -> &mut f32) -> f32 {
        let mut moved = self.clone();
        let at = *place(&mut moved);
        let step = 1.0 / 1024.0;
        *place(&mut moved) = at + step;
        let (above, high) = (f64::from(at + step), moved.reference_loss());
        *place(&mut moved) = at - step;
        let (below, low) = (f64::from(at - step), moved.reference_loss());
        ((high - low) / (above - below)) as f32
    }
}

#[track_caller]
fn assert_alike(what: &str, got: &Outcome, expected: &Outcome, tolerance: f32) {
    assert_near(what, &got.states, &expected.states, tolerance);
    assert_near(&format!("{what} x"), &got.x, &expected.x, tolerance);
    for (i, (a, b)) in got.weights.iter().zip(&expected.weights).enumerate() {
        assert_near(&format!("{what} weights {i}"), a, b, tolerance);
    }
}

#[test]
fn states_and_gradients_are_those_of_onnx_runtime() {
    let figures = &fixture()["gru"];
    for (way, layer) in WAYS {
        let case = Case::of_fixture(&figures["forward"], &figures["x"]);
        let outcome = case.run(layer, |states| states.powi_scalar(2).sum());
        let states = list(&figures["forward"]["states"]);
        assert_near(way, &outcome.states, &states, 2e-6);
        let expected = &figures["gradients_of_sum_of_squared_states_forward"];
        for (i, name) in ["input", "state", "input_bias", "state_bias"]
            .into_iter()
            .enumerate()
        {
            assert_near(name, &outcome.weights[i], &list(&expected[name]), 2e-6);
        }
        let case = Case::of_fixture(&figures["reverse"], &figures["x"]).reversed();
        let outcome = case.outcome(layer);
        assert_near(
            way,
            &outcome.states,
            &list(&figures["reverse"]["states"]),
            2e-6,
        );
    }
}

#[test]
fn gradients_are_differences_of_a_plain_reference() {
    for case in [
        Case::masked([5, 6, 3, 4]),
        Case::masked([5, 6, 3, 4]).reversed(),
    ] {
        let expected = Outcome {
            states: case.reference().iter().map(|&x| x as f32).collect(),
            x: (0..case.x.len())
                .map(|i| case.difference(|case| &mut case.x[i]))
                .collect(),
            weights: [0, 1, 2, 3].map(|which| {
                (0..case.weights[which].len())
                    .map(|i| case.difference(|case| &mut case.weights[which][i]))
                    .collect()
            }),
        };
        for (way, layer) in WAYS {
            assert_alike(way, &case.outcome(layer), &expected, 2e-5);
        }
    }
}

#[test]
fn both_ways_agree_in_all_shapes() {
    let shapes = [
        [1, 1, 1, 1],
        [1, 9, 2, 3],
        [70, 1, 5, 8],
        [40, 13, 12, 24],
        [67, 20, 64, 33],
    ];
    for shape in shapes {
        for case in [
            Case::new(shape),
            Case::masked(shape),
            Case::masked(shape).reversed(),
        ] {
            let what = format!("{shape:?}");
            let expected = case.outcome(composed::gru);
            assert_alike(&what, &case.outcome(gru), &expected, 3e-5);
        }
    }
}

#[test]
fn padding_changes_nothing() {
    let mut short = Case::new([3, 4, 2, 5]);
    let mut long = Case::new([3, 7, 2, 5]);
    long.weights = short.weights.clone();
    long.mask = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0].repeat(3);
    short.x = (0..3)
        .flat_map(|object| long.x[object * 14..][..8].to_vec())
        .collect();
    for reverse in [false, true] {
        short.reverse = reverse;
        long.reverse = reverse;
        for (way, layer) in WAYS {
            let few = short.run(layer, |states| states.sum());
            let many = long.run(layer, |states| states.narrow(1, 0, 4).sum());
            let seen = many.states.chunks(35).flat_map(|rows| rows[..20].to_vec());
            assert_near(way, &seen.collect::<Vec<_>>(), &few.states, 1e-6);
            for (a, b) in many.weights.iter().zip(&few.weights) {
                assert_near(way, a, b, 1e-5);
            }
        }
    }
}

#[test]
fn no_observation_leaves_states_and_gradients_of_zero() {
    let mut case = Case::new([2, 3, 2, 4]);
    case.mask.fill(0.0);
    case.x.fill(f32::NAN);
    for (way, layer) in WAYS {
        let outcome = case.outcome(layer);
        let weights = outcome.weights.concat();
        let all = [outcome.states, outcome.x, weights].concat();
        assert!(all.iter().all(|&x| x == 0.0), "{way}");
    }
}

#[test]
fn nan_stays_in_its_object() {
    let mut case = Case::new([2, 3, 2, 4]);
    case.x[2] = f32::NAN;
    for (way, layer) in WAYS {
        let states = case.outcome(layer).states;
        assert!(states[..4].iter().all(|x| x.is_finite()), "{way}");
        assert!(states[4..12].iter().all(|x| x.is_nan()), "{way}");
        assert!(states[12..].iter().all(|x| x.is_finite()), "{way}");
    }
}

#[test]
fn huge_inputs_saturate() {
    let mut case = Case::new([1, 2, 1, 3]);
    case.x = vec![f32::MAX, -f32::MAX];
    for (way, layer) in WAYS {
        let states = case.outcome(layer).states;
        assert!(states.iter().all(|x| x.abs() <= 1.0), "{way}: {states:?}");
    }
}

#[test]
fn nothing_in_gives_nothing() {
    for shape in [[0, 3, 2, 4], [2, 0, 2, 4]] {
        let case = Case::new(shape);
        let (x, weights, mask) = case.tensors();
        for (way, layer) in WAYS {
            let states = layer(x.clone(), weights.clone(), mask.clone(), false);
            assert_eq!(states.dims(), [shape[0], shape[1], 4], "{way}");
        }
    }
}

#[test]
fn tensors_without_a_memory_give_the_same_states() {
    let case = Case::masked([3, 4, 2, 5]);
    let plain = device().inner();
    let [input, state, input_bias, state_bias] = &case.weights;
    let weights = GruWeights {
        input: on(&plain, input, [2, 15]),
        state: on(&plain, state, [5, 15]),
        input_bias: on(&plain, input_bias, [15]),
        state_bias: on(&plain, state_bias, [15]),
    };
    let states = gru(
        on(&plain, &case.x, [3, 4, 2]),
        weights,
        on(&plain, &case.mask, [3, 4]),
        false,
    );
    assert_eq!(values(states), case.outcome(gru).states);
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let case = Case::masked([70, 30, 24, 40]);
    assert_same_with_threads(|| {
        let outcome = case.outcome(gru);
        [outcome.states, outcome.x, outcome.weights.concat()].concat()
    });
}
