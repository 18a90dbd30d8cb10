//! A small network and some rows, for tests of fits.

use std::error::Error;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::{Device, Tensor, TensorData};
use flow_stages::numeric::rng::Stream;

use super::{
    ClassLosses, ClassTask, DescentRule, DescentSettings, FitError, FitHost, FitJob, FitSettings,
    FittedNetwork, HistoryRow, LossKind, RateSchedule, RateSettings, Samples, SequenceSource, fit,
};
use crate::network::{Architecture, Batch, Init, InputShape, Pass};

/// Values as a matrix of this width, row after row.
pub fn matrix(values: &[f32], width: usize, device: &Device) -> Tensor<2> {
    let shape = [values.len() / width, width];
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

/// Reads the mean of the observed points of each track and the features, with a layer between and dropout.
pub struct SmallNetwork {
    pub shape: InputShape,
    pub dropout: f64,
}

impl Architecture for SmallNetwork {
    fn misfits(&self, _input: &InputShape) -> Vec<String> {
        Vec::new()
    }

    fn forward(&self, batch: &Batch, pass: &mut Pass<'_>) -> Tensor<2> {
        let mut columns: Vec<Tensor<2>> = batch.features.clone().into_iter().collect();
        for track in &batch.tracks {
            let mask = track.mask.clone().unsqueeze_dim::<3>(2);
            let count = track.mask.clone().sum_dim(1).clamp_min(1.0);
            let sum: Tensor<2> = (track.values.clone() * mask).sum_dim(1).squeeze_dim(1);
            columns.push(sum / count);
        }
        let x = Tensor::cat(columns, 1);
        let width = x.dims()[1];
        let init = |inputs, outputs| Init::Glorot { inputs, outputs };
        let first = pass.weight("first", [width, 8], init(width, 8));
        let shift = pass.weight("shift", [1, 8], Init::Uniform(1.0));
        let x = pass.dropout((x.matmul(first) + shift).tanh(), self.dropout, false);
        let seen = pass.kept("seen", 1, 0.0);
        pass.keep("seen", seen + 1.0);
        let last = pass.weight("last", [8, self.shape.outputs], init(8, self.shape.outputs));
        x.matmul(last) + pass.weight("bias", [1, self.shape.outputs], Init::Constant(0.0))
    }
}

/// Sequences of one track and one channel.
pub struct Curves(pub Vec<(Vec<f32>, usize)>);

impl SequenceSource for Curves {
    fn row(&self, row: usize) -> &[f32] {
        &self.0[row].0
    }

    fn length(&self, row: usize, _track: usize) -> usize {
        self.0[row].1
    }
}

/// Rows of two features, of class 1 where their product is positive.
pub struct Quadrants {
    pub features: Vec<f32>,
    pub classes: Vec<usize>,
}

impl Quadrants {
    pub fn new(rows: usize) -> Self {
        let mut stream = Stream::new(1, &[]);
        let features: Vec<f32> = (0..2 * rows)
            .map(|_| stream.uniform_in(-2.0, 2.0) as f32)
            .collect();
        let class = |pair: &[f32]| usize::from(pair[0] * pair[1] > 0.0);
        Self {
            classes: features.chunks(2).map(class).collect(),
            features,
        }
    }

    /// Fits a small network, with every fourth row held out.
    pub fn fit(
        &self,
        settings: &FitSettings,
        host: &dyn FitHost,
    ) -> Result<FittedNetwork, FitError> {
        let shape = InputShape {
            tracks: Vec::new(),
            channels: Vec::new(),
            points: 0,
            features: 2,
            outputs: 1,
        };
        let samples = Samples {
            shape: &shape,
            sequences: None,
            factors: &[],
            features: &self.features,
            padded: false,
        };
        let network = SmallNetwork {
            shape: shape.clone(),
            dropout: 0.1,
        };
        let task = ClassTask {
            network: &network,
            losses: ClassLosses {
                kind: LossKind::CrossEntropy,
                weights: vec![1.0; 2],
            },
            classes: &self.classes,
        };
        let (held_out, rows): (Vec<usize>, Vec<usize>) =
            (0..self.classes.len()).partition(|row| row % 4 == 0);
        fit(&FitJob {
            task: &task,
            samples: &samples,
            rows: &rows,
            held_out: &held_out,
            settings,
            seed: 5,
            device: &Device::flex().autodiff(),
            host,
        })
    }
}

pub fn settings() -> FitSettings {
    FitSettings {
        descent: DescentSettings {
            rule: DescentRule::AdamW,
            weight_decay: 0.01,
            clip_norm: Some(1.0),
        },
        rate: RateSettings {
            rate: 0.03,
            schedule: RateSchedule::Cosine,
            warmup: 1,
        },
        batch_size: 32,
        epochs: 30,
        patience: 0,
    }
}

/// Keeps the state of a fit, which it stops after a number of batches.
pub struct KeepingHost {
    pub state: Mutex<Option<Vec<u8>>>,
    pub batches: AtomicUsize,
}

impl KeepingHost {
    pub fn new(batches: usize) -> Self {
        Self {
            state: Mutex::new(None),
            batches: AtomicUsize::new(batches),
        }
    }

    pub fn patient() -> Self {
        Self::new(usize::MAX)
    }
}

impl FitHost for KeepingHost {
    fn stop(&self) -> bool {
        let left = self.batches.load(Ordering::Relaxed);
        self.batches
            .store(left.saturating_sub(1), Ordering::Relaxed);
        left == 0
    }

    fn progress(&self, epochs: usize, history: &[HistoryRow]) {
        assert_eq!(history.last().unwrap().epoch, epochs);
    }

    fn name(&self) -> String {
        "quadrants".into()
    }

    fn kept(&self) -> Result<Option<Vec<u8>>, Box<dyn Error + Send + Sync>> {
        Ok(self.state.lock().unwrap().clone())
    }

    fn keep(&self, bytes: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        *self.state.lock().unwrap() = Some(bytes.to_vec());
        Ok(())
    }
}
