//! The epochs of a fit.

use std::error::Error;

use burn::tensor::Device;

use super::arrays::{Arrays, to_host};
use super::descent::{Descent, DescentSettings};
use super::error::FitError;
use super::order::shuffled;
use super::rate::{RatePlace, RateSchedule, RateSettings};
use super::samples::Samples;
use super::state::{BestEpoch, FitState, HistoryRow, PlateauCount};
use super::task::Task;
use crate::network::{Pass, Weights};

/// The settings of a fit.
#[derive(Clone, Debug, PartialEq)]
pub struct FitSettings {
    /// How gradients change weights.
    pub descent: DescentSettings,
    /// How far.
    pub rate: RateSettings,
    /// The number of rows of a batch.
    pub batch_size: usize,
    /// The most epochs.
    pub epochs: usize,
    /// The number of epochs without a new least loss of the held-out rows after which the fit ends, with the weights of
    /// the best epoch; 0 for never.
    pub patience: usize,
}

/// A fit.
pub struct FitJob<'a> {
    /// What is learned.
    pub task: &'a dyn Task,
    /// What it is learned from.
    pub samples: &'a Samples<'a>,
    /// The rows that are fitted on.
    pub rows: &'a [usize],
    /// The rows that tell which epoch is the best; none if nothing does.
    pub held_out: &'a [usize],
    /// The settings.
    pub settings: &'a FitSettings,
    /// The seed of the weights, the order of rows, dropout and noise.
    pub seed: u64,
    /// Where it is computed; gradients must be on.
    pub device: &'a Device,
    /// The outer world.
    pub host: &'a dyn FitHost,
}

/// The outer world of a fit.
pub trait FitHost: Sync {
    /// Returns true if the fit is to end. It is asked before each batch.
    fn stop(&self) -> bool;

    /// Is told after each epoch what was reached so far.
    fn progress(&self, epochs: usize, history: &[HistoryRow]);

    /// Says what is fitted, so that no state of another fit is taken for one of this.
    fn name(&self) -> String;

    /// Returns the bytes that were kept last, if there are any. They are whole.
    ///
    /// # Errors
    /// If the place where they are kept cannot be reached.
    fn kept(&self) -> Result<Option<Vec<u8>>, Box<dyn Error + Send + Sync>>;

    /// Keeps bytes in the place of those that were kept before.
    ///
    /// # Errors
    /// If they cannot be written.
    fn keep(&self, bytes: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// What a fit came to.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedNetwork {
    /// The weights: those of the best epoch if one was chosen.
    pub weights: Arrays,
    /// The epoch that they are from, counted from 1.
    pub epoch: usize,
    /// The number of epochs that were run.
    pub epochs: usize,
    /// The number of rows of an epoch.
    pub rows: usize,
    /// What was reached after each epoch.
    pub history: Vec<HistoryRow>,
}

/// Fits a network. If the host has kept the state of this fit, it goes on from there, and ends with the same bytes.
///
/// # Errors
/// [`FitError::Rows`] if the rows cannot be learned from, [`FitError::Diverged`] if a loss or a weight becomes infinite or
/// NaN, [`FitError::Stopped`], or [`FitError::Checkpoint`].
pub fn fit(job: &FitJob<'_>) -> Result<FittedNetwork, FitError> {
    job.samples.check(job.rows, job.settings.batch_size)?;
    if job.rows.len() < 2 {
        let rows = job.rows.len();
        return Err(FitError::Rows {
            reason: format!("there are {rows} rows to fit on, and a network needs two or more"),
            help: "label more objects; with `early_stopping = 0`, none of them are held out",
        });
    }
    let mut run = FitRun::begin(job)?;
    while !run.is_done() {
        run.epoch()?;
    }
    Ok(run.finish())
}

/// A fit that is under way.
struct FitRun<'a> {
    job: &'a FitJob<'a>,
    name: String,
    weights: Weights,
    descent: Descent,
    state: FitState,
}

impl<'a> FitRun<'a> {
    fn begin(job: &'a FitJob<'a>) -> Result<Self, FitError> {
        let name = job.host.name();
        let kept = job.host.kept().map_err(FitError::Checkpoint)?;
        let state = kept.and_then(|bytes| FitState::from_bytes(&bytes, &name));
        let state = state.unwrap_or_else(|| FitState {
            epochs: 0,
            steps: 0,
            weights: Arrays::default(),
            moments: Vec::new(),
            best: None,
            plateau: PlateauCount::default(),
            history: Vec::new(),
        });
        Ok(Self {
            job,
            name,
            weights: state.weights.to_weights(job.device),
            descent: Descent::new(&job.settings.descent, &state.moments, job.device),
            state,
        })
    }

    fn is_done(&self) -> bool {
        let patience = self.job.settings.patience;
        let waited = |best: &BestEpoch| self.state.epochs - best.epoch >= patience;
        let enough = patience > 0 && self.state.best.as_ref().is_some_and(waited);
        enough || self.state.epochs >= self.job.settings.epochs
    }

    fn epoch(&mut self) -> Result<(), FitError> {
        let epoch = self.state.epochs + 1;
        let fitted = self.steps(epoch)?;
        self.state.history.push(fitted);
        let arrays = Arrays::of(&self.weights);
        if arrays.values.iter().any(|value| !value.is_finite()) {
            return Err(FitError::Diverged {
                epoch,
                what: "a weight",
            });
        }
        self.state.weights = arrays;
        let mut loss = self.state.history[self.state.history.len() - 1].loss;
        if !self.job.held_out.is_empty() {
            let judged = self.judge(epoch)?;
            loss = judged.loss;
            self.state.history.push(judged);
            if self.state.best.as_ref().is_none_or(|best| loss < best.loss) {
                self.state.best = Some(BestEpoch {
                    epoch,
                    loss,
                    values: self.state.weights.values.clone(),
                });
            }
        }
        if let RateSchedule::Plateau { epochs, .. } = self.job.settings.rate.schedule {
            self.state.plateau.count(loss, epochs);
        }
        self.state.epochs = epoch;
        self.state.moments = self.descent.moments();
        let bytes = self.state.to_bytes(&self.name);
        self.job.host.keep(&bytes).map_err(FitError::Checkpoint)?;
        self.job.host.progress(epoch, &self.state.history);
        Ok(())
    }

    /// The steps of an epoch. Returns the mean loss and the score as the steps saw them, with dropout and noise.
    fn steps(&mut self, epoch: usize) -> Result<HistoryRow, FitError> {
        let FitJob {
            settings, device, ..
        } = *self.job;
        let batches = shuffled(self.job.rows, settings.batch_size, self.job.seed, epoch);
        let mut sums = EpochSums::default();
        for rows in &batches {
            self.go_on()?;
            let batch = self.job.samples.batch(rows, device);
            let step = self.state.steps;
            let mut pass = Pass::of_fit(&mut self.weights, self.job.seed, step, device);
            let outcome = self.job.task.outcome(rows, &batch, &mut pass);
            sums.add(rows, &outcome.loss, outcome.outputs.as_ref());
            if !sums.loss.is_finite() {
                return Err(diverged(epoch));
            }
            let rate = settings.rate.at(&RatePlace {
                step,
                steps_per_epoch: batches.len() as u64,
                epochs: settings.epochs,
                plateaus: self.state.plateau.seen,
            });
            let gradients = outcome.loss.backward();
            self.descent.step(&mut self.weights, gradients, rate);
            self.state.steps += 1;
        }
        Ok(sums.row(epoch, false, self.job.task))
    }

    /// The loss and the score of the rows that are not fitted on.
    fn judge(&self, epoch: usize) -> Result<HistoryRow, FitError> {
        let device = self.job.device.clone().inner();
        let mut weights = self.state.weights.to_weights(&device);
        let mut sums = EpochSums::default();
        for rows in self
            .job
            .held_out
            .chunks(self.job.settings.batch_size.max(1))
        {
            self.go_on()?;
            let batch = self.job.samples.batch(rows, &device);
            let mut pass = Pass::of_prediction(&mut weights, &device);
            let outcome = self.job.task.outcome(rows, &batch, &mut pass);
            sums.add(rows, &outcome.loss, outcome.outputs.as_ref());
        }
        match sums.loss.is_finite() {
            true => Ok(sums.row(epoch, true, self.job.task)),
            false => Err(diverged(epoch)),
        }
    }

    fn go_on(&self) -> Result<(), FitError> {
        match self.job.host.stop() {
            true => Err(FitError::Stopped),
            false => Ok(()),
        }
    }

    fn finish(self) -> FittedNetwork {
        let mut weights = self.state.weights;
        let mut epoch = self.state.epochs;
        if let Some(best) = self.state.best.filter(|_| self.job.settings.patience > 0) {
            weights.values = best.values;
            epoch = best.epoch;
        }
        FittedNetwork {
            weights,
            epoch,
            epochs: self.state.epochs,
            rows: self.job.rows.len(),
            history: self.state.history,
        }
    }
}

fn diverged(epoch: usize) -> FitError {
    FitError::Diverged {
        epoch,
        what: "the loss",
    }
}

/// What the batches of an epoch came to so far.
#[derive(Default)]
struct EpochSums {
    rows: Vec<usize>,
    outputs: Vec<f32>,
    /// The sum of the losses of all rows.
    loss: f64,
}

impl EpochSums {
    fn add(
        &mut self,
        rows: &[usize],
        loss: &burn::tensor::Tensor<1>,
        outputs: Option<&burn::tensor::Tensor<2>>,
    ) {
        self.loss += f64::from(loss.clone().into_scalar::<f32>()) * rows.len() as f64;
        self.rows.extend(rows);
        if let Some(outputs) = outputs {
            self.outputs.extend(to_host(outputs));
        }
    }

    fn row(&self, epoch: usize, held_out: bool, task: &dyn Task) -> HistoryRow {
        let score = match self.outputs.is_empty() {
            true => None,
            false => task.score(&self.rows, &self.outputs),
        };
        HistoryRow {
            epoch,
            held_out,
            loss: self.loss / self.rows.len() as f64,
            score,
        }
    }
}
