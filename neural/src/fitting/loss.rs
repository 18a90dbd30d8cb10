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
