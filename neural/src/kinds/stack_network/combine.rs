//! The networks of the folds, and what they make of the predictions.

use std::collections::BTreeMap;
use std::error::Error;

use burn::tensor::Device;
use flow_engine::kind::{Action, StageError};
use flow_stages::learner::objective;
use flow_stages::rows::{cross_fit, crossed_predictions, one_fold};
use flow_stages::table::{Predictions, no_positive};

use super::StackNetworkParams;
use crate::fitting::{
    Application, ClassLosses, ClassTask, DescentRule, DescentSettings, FitError, FitHost, FitJob,
    FitSettings, FittedNetwork, HistoryRow, LossKind, RateSchedule, RateSettings, Samples, fit,
};
use crate::kinds::host::fit_error;
use crate::network::architectures::Dense;
use crate::network::layers::Activation;
use crate::network::{Architecture, ArchitectureSpec, InputShape};

/// Fits a network for each fold and applies it to the rows of the fold.
pub fn combine(action: &mut Action<'_>, params: &StackNetworkParams) -> Result<(), StageError> {
    let crossed = crossed_predictions(action)?;
    let stacked = Stacked::of(&crossed.models, params)?;
    let failed = |error| fit_error(error, "of predictions");
    let fits = cross_fit(&crossed, |rows| {
        let rows: Vec<usize> = rows
            .iter()
            .copied()
            .filter(|&row| stacked.knows(row))
            .collect();
        if rows.is_empty() {
            return Err(one_fold("the network"));
        }
        stacked.fit(&rows, action).map_err(failed)
    })?;
    // The rows of a fold are computed together, in the same batches however many files and reads they come from.
    let mut features: BTreeMap<(i32, Option<i32>), Vec<f32>> = BTreeMap::new();
    crossed.each_row(&|| action.checkpoint(), |models, row| {
        let fold = (models[0].repeat[row], models[0].fold[row]);
        features
            .entry(fold)
            .or_default()
            .extend(numbers(models, row));
        Ok(())
    })?;
    let mut probabilities = BTreeMap::new();
    for fit in &fits.0 {
        let fold = (fit.repeat, fit.fold);
        let features = features.remove(&fold).unwrap_or_default();
        let p = stacked.probabilities(&fit.fitted, &features, action);
        probabilities.insert(fold, p.map_err(failed)?.into_iter());
    }
    // With a binary target the second column is the positive class, and only that one is kept.
    let first = stacked.classes - crossed.models[0].classes.len();
    crossed.rewrite(action, |models, row| {
        let fold = (models[0].repeat[row], models[0].fold[row]);
        let p = probabilities.get_mut(&fold).into_iter().flatten();
        Ok(p.take(stacked.classes).skip(first).collect())
    })
}

/// The probabilities of all models for a row, as the networks read them.
fn numbers(models: &[Predictions], row: usize) -> impl Iterator<Item = f32> + '_ {
    let columns = models.iter().flat_map(|model| &model.probability);
    columns.map(move |column| column[row] as f32)
}

/// What the networks read, learn and are.
struct Stacked {
    /// The probabilities of all models, row after row that has a fold.
    features: Vec<f32>,
    /// The class of each row as a number; none for a row without a label, or of a class without a column.
    labels: Vec<Option<usize>>,
    classes: usize,
    shape: InputShape,
    network: Box<dyn Architecture>,
    settings: FitSettings,
}

impl Stacked {
    fn of(models: &[Predictions], params: &StackNetworkParams) -> Result<Self, StageError> {
        let first = &models[0];
        let names = &first.classes;
        let binary = names.len() == 1;
        if binary && first.positive_column()?.is_none() {
            return Err(no_positive(None, names));
        }
        let columns = models.iter().flat_map(|model| &model.probability);
        let rows = 0..first.len();
        let label = |row: usize| {
            let place = names
                .iter()
                .position(|name| Some(name) == first.label[row].as_ref());
            match binary {
                true => first.label[row]
                    .as_ref()
                    .map(|_| usize::from(place.is_some())),
                false => place,
            }
        };
        let classes = names.len().max(2);
        let shape = InputShape {
            tracks: Vec::new(),
            channels: Vec::new(),
            points: 0,
            features: columns.count(),
            outputs: objective::outputs(classes),
        };
        let network = ArchitectureSpec::Dense(Dense {
            hidden: vec![params.units],
            activation: Activation::Tanh,
            batch_norm: false,
            dropout: 0.0,
        });
        Ok(Self {
            features: rows.clone().flat_map(|row| numbers(models, row)).collect(),
            labels: rows.map(label).collect(),
            classes,
            network: network.build(shape.clone()),
            shape,
            settings: FitSettings {
                descent: DescentSettings {
                    rule: DescentRule::Adam,
                    weight_decay: 0.0,
                    clip_norm: None,
                },
                rate: RateSettings {
                    rate: params.learning_rate,
                    schedule: RateSchedule::Constant,
                    warmup: 0,
                },
                batch_size: params.batch_size,
                epochs: params.epochs,
                patience: 0,
            },
        })
    }

    fn knows(&self, row: usize) -> bool {
        self.labels[row].is_some()
    }

    fn samples<'a>(&'a self, features: &'a [f32]) -> Samples<'a> {
        Samples {
            shape: &self.shape,
            sequences: None,
            factors: &[],
            features,
            padded: false,
        }
    }

    /// The features of some rows.
    fn features(&self, rows: &[usize]) -> Vec<f32> {
        let width = self.shape.features;
        let each = rows
            .iter()
            .map(|&row| &self.features[row * width..][..width]);
        each.flatten().copied().collect()
    }

    /// Fits a network on rows that have a class.
    fn fit(&self, rows: &[usize], action: &Action<'_>) -> Result<FittedNetwork, FitError> {
        let features = self.features(rows);
        let classes: Vec<usize> = rows.iter().filter_map(|&row| self.labels[row]).collect();
        let all: Vec<usize> = (0..rows.len()).collect();
        fit(&FitJob {
            task: &ClassTask {
                network: &*self.network,
                losses: ClassLosses {
                    kind: LossKind::CrossEntropy,
                    weights: vec![1.0; self.classes],
                },
                classes: &classes,
            },
            samples: &self.samples(&features),
            rows: &all,
            held_out: &[],
            settings: &self.settings,
            seed: action.seed,
            device: &Device::flex().autodiff(),
            host: &ShortFit(action),
        })
    }

    fn probabilities(
        &self,
        fitted: &FittedNetwork,
        features: &[f32],
        action: &Action<'_>,
    ) -> Result<Vec<f64>, FitError> {
        let rows = features.len() / self.shape.features;
        let outputs = Application {
            forward: &|batch, pass| self.network.forward(batch, pass),
            samples: &self.samples(features),
            batch_size: self.settings.batch_size,
            device: &Device::flex(),
            stop: &action.stop(),
        }
        .outputs(&fitted.weights, rows)?;
        Ok(objective::probabilities(&outputs, self.classes))
    }
}

/// The action of a fit that is too short to be gone on with.
struct ShortFit<'a>(&'a Action<'a>);

impl FitHost for ShortFit<'_> {
    fn stop(&self) -> bool {
        self.0.stop()()
    }

    fn progress(&self, _epochs: usize, _history: &[HistoryRow]) {}

    fn name(&self) -> String {
        String::new()
    }

    fn kept(&self) -> Result<Option<Vec<u8>>, Box<dyn Error + Send + Sync>> {
        Ok(None)
    }

    fn keep(&self, _bytes: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }
}
