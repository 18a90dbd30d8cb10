//! Losses of classes, from the outputs of a network before the last activation.

use burn::tensor::{Device, Tensor, TensorData, activation};

/// How far predicted probabilities are from the truth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LossKind {
    /// Minus the logarithm of the probability of the true class.
    CrossEntropy,
    /// The cross-entropy times `(1 - p)^gamma`, where p is the probability of the true class (Lin et al. 2017, "Focal Loss
    /// for Dense Object Detection", equation 5).
    Focal {
        /// How much less a row counts that is predicted well.
        gamma: f64,
    },
}

/// The least of `1 - p`, of which the logarithm is taken.
const LEAST_REST: f64 = 1e-7;

/// The loss of rows of some classes.
#[derive(Clone, Debug)]
pub struct ClassLosses {
    /// What is summed.
    pub kind: LossKind,
    /// What a row of each class counts.
    pub weights: Vec<f32>,
}

impl ClassLosses {
    /// Returns the mean loss of rows: `outputs` are `[rows, 1]` for two classes, of which class 1 is the positive one, else
    /// `[rows, classes]`. The weights are not divided by their sum.
    pub fn mean(&self, outputs: Tensor<2>, classes: &[usize]) -> Tensor<1> {
        let device = outputs.device();
        let weights = classes.iter().map(|&class| self.weights[class]).collect();
        let weights = column(weights, &device);
        let (log_p, log_rest) = match outputs.dims()[1] {
            1 => {
                let sign = |&class: &usize| if class == 1 { 1.0 } else { -1.0 };
                let margin = outputs * column(classes.iter().map(sign).collect(), &device);
                let log_rest = activation::log_sigmoid(margin.clone().neg());
                (activation::log_sigmoid(margin), log_rest)
            }
            width => {
                let mut truth = vec![0.0f32; classes.len() * width];
                for (row, &class) in classes.iter().enumerate() {
                    truth[row * width + class] = 1.0;
                }
                let truth = TensorData::new(truth, [classes.len(), width]);
                let truth = Tensor::<2>::from_data(truth, &device);
                let log_p = (activation::log_softmax(outputs, 1) * truth).sum_dim(1);
                let rest = (log_p.clone().exp().neg() + 1.0).clamp_min(LEAST_REST);
                (log_p, rest.log())
            }
        };
        let loss = match self.kind {
            LossKind::CrossEntropy => log_p,
            LossKind::Focal { gamma } => log_rest.mul_scalar(gamma).exp() * log_p,
        };
        (loss * weights).mean().neg()
    }
}

fn column(values: Vec<f32>, device: &Device) -> Tensor<2> {
    let shape = [values.len(), 1];
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::arrays::to_host;
    use super::super::testing::matrix;
    use super::*;

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
                let output = matrix(&[logit], 1, &device).require_grad();
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
            let one = matrix(&[-2.0, 0.5, 3.0, 1.0], 1, &device);
            let two = matrix(&[0.0, -2.0, 0.0, 0.5, 0.0, 3.0, 0.0, 1.0], 2, &device);
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
                let outputs = matrix(outputs, outputs.len() / 2, &device).require_grad();
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
        let outputs = matrix(&outputs, classes.len(), &Device::flex());
        let found = losses.mean(outputs, &labels).into_scalar::<f32>();
        let expected = fixture["logloss_15"].as_f64().unwrap();
        assert!(
            (f64::from(found) - expected).abs() < 1e-5,
            "{found} {expected}"
        );
    }
}
