//! Both ways of attention against a plain reference in f64 and each other.

use burn::tensor::Tensor;

use super::super::testing::{
    assert_near, assert_same_with_threads, device, numbers, on, tensor, values,
};
use super::{attention, composed};

type Way = fn([Tensor<3>; 3], [Tensor<2>; 2], usize) -> Tensor<3>;

const WAYS: [(&str, Way); 2] = [("fused", attention), ("composed", composed::attention)];

/// An attention and its input as plain numbers.
struct Case {
    objects: usize,
    /// The number of queries, and that of keys and of values.
    counts: [usize; 3],
    width: usize,
    heads: usize,
    inputs: [Vec<f32>; 3],
    masks: [Vec<f32>; 2],
}

impl Case {
    /// Objects of which some points are not seen, and of the second none.
    fn new([objects, queries, keys, width, heads]: [usize; 5]) -> Self {
        let counts = [queries, keys, keys];
        let of = |at: usize, name: &str| numbers(name, objects * counts[at] * width);
        let mask = |count: usize, step: usize| {
            let seen = |at: usize| at / count != 1 && (at * step) % 5 != 3;
            (0..objects * count)
                .map(|at| f32::from(u8::from(seen(at))))
                .collect()
        };
        Self {
            objects,
            counts,
            width,
            heads,
            inputs: [of(0, "query"), of(1, "key"), of(2, "value")],
            masks: [mask(queries, 3), mask(keys, 7)],
        }
    }

    fn tensors(&self) -> ([Tensor<3>; 3], [Tensor<2>; 2]) {
        let input = |at: usize| {
            tensor(
                &self.inputs[at],
                [self.objects, self.counts[at], self.width],
            )
            .require_grad()
        };
        let mask = |at: usize| tensor(&self.masks[at], [self.objects, self.counts[at]]);
        ([input(0), input(1), input(2)], [mask(0), mask(1)])
    }

    /// What is found, and gradients of the sum of its products with fixed numbers.
    fn outcome(&self, way: Way) -> [Vec<f32>; 4] {
        let (inputs, masks) = self.tensors();
        let found = way(inputs.clone(), masks, self.heads);
        let factors = numbers("factors", self.inputs[0].len());
        let factors = tensor(&factors, [self.objects, self.counts[0], self.width]);
        let gradients = (found.clone() * factors).sum().backward();
        let [query, key, value] = inputs.map(|input| values(input.grad(&gradients).unwrap()));
        [values(found), query, key, value]
    }

    /// What is found, in f64.
    fn plain(&self) -> Vec<f32> {
        let each = self.width / self.heads;
        let at = |input: usize, object: usize, point: usize, column: usize| {
            let row = object * self.counts[input] + point;
            f64::from(self.inputs[input][row * self.width + column])
        };
        let mut found = Vec::new();
        for object in 0..self.objects {
            for query in 0..self.counts[0] {
                for column in 0..self.width {
                    let columns = column / each * each..(column / each + 1) * each;
                    let (mut sum, mut total) = (0.0, 0.0);
                    for key in 0..self.counts[1] {
                        if self.masks[1][object * self.counts[1] + key] == 0.0 {
                            continue;
                        }
                        let products = columns
                            .clone()
                            .map(|c| at(0, object, query, c) * at(1, object, key, c));
                        let weight = libm::exp(products.sum::<f64>() / (each as f64).sqrt());
                        sum += weight * at(2, object, key, column);
                        total += weight;
                    }
                    let seen = self.masks[0][object * self.counts[0] + query] != 0.0 && total > 0.0;
                    found.push(if seen { (sum / total) as f32 } else { 0.0 });
                }
            }
        }
        found
    }
}

const SIZES: [[usize; 5]; 5] = [
    [1, 1, 1, 1, 1],
    [3, 4, 5, 6, 2],
    [2, 1, 40, 8, 4],
    [5, 37, 23, 12, 3],
    [2, 3, 3, 4, 1],
];

#[test]
fn both_ways_find_what_the_formula_says() {
    for sizes in SIZES {
        let case = Case::new(sizes);
        for (name, way) in WAYS {
            assert_near(name, &case.outcome(way)[0], &case.plain(), 2e-6);
        }
    }
}

#[test]
fn gradients_by_hand_are_those_of_the_composition() {
    for sizes in SIZES {
        let case = Case::new(sizes);
        let (fused, composed) = (case.outcome(attention), case.outcome(composed::attention));
        for (fused, composed) in fused.iter().zip(&composed) {
            assert_near("gradients", fused, composed, 1e-5);
        }
    }
}

#[test]
fn what_is_not_seen_may_be_anything() {
    for (name, way) in WAYS {
        let clean = Case::new([3, 4, 5, 6, 2]);
        let mut dirty = Case::new([3, 4, 5, 6, 2]);
        for (input, mask) in dirty.inputs.iter_mut().zip([0, 1, 1]) {
            for (row, seen) in input.chunks_exact_mut(6).zip(&clean.masks[mask]) {
                if *seen == 0.0 {
                    row.fill(f32::NAN);
                }
            }
        }
        assert_eq!(clean.outcome(way), dirty.outcome(way), "{name}");
    }
}

#[test]
fn large_scores_choose_one_key_and_nan_stays() {
    let mut case = Case::new([1, 2, 3, 2, 1]);
    case.masks = [vec![1.0; 2], vec![1.0; 3]];
    case.inputs[0] = vec![1e18, 0.0, f32::NAN, 0.0];
    case.inputs[1] = vec![-1e18, 0.0, 1e18, 0.0, 0.0, 0.0];
    for (name, way) in WAYS {
        let found = case.outcome(way)[0].clone();
        assert_near(name, &found[..2], &case.inputs[2][2..4], 1e-6);
        assert!(found[2..].iter().all(|x| x.is_nan()), "{name}");
    }
}

#[test]
fn nothing_to_see_is_no_mistake() {
    for (name, way) in WAYS {
        let none = |points| Tensor::<3>::zeros([2, points, 4], &device());
        let mask = |points| Tensor::<2>::ones([2, points], &device());
        let found = way([none(3), none(0), none(0)], [mask(3), mask(0)], 2);
        assert_eq!(values(found), [0.0; 24], "{name}");
    }
}

#[test]
fn without_a_memory_the_numbers_are_the_same() {
    let case = Case::new([3, 4, 5, 6, 2]);
    let device = burn::tensor::Device::flex();
    let input = |at: usize| on(&device, &case.inputs[at], [3, case.counts[at], 6]);
    let mask = |at: usize| on(&device, &case.masks[at], [3, case.counts[at]]);
    let found = attention([input(0), input(1), input(2)], [mask(0), mask(1)], 2);
    assert_eq!(values(found), case.outcome(attention)[0]);
}

#[test]
fn the_bytes_do_not_depend_on_threads() {
    let case = Case::new([9, 37, 23, 12, 3]);
    assert_same_with_threads(|| case.outcome(attention).concat());
}
