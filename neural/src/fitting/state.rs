//! All that a fit remembers between two epochs, and the same as bytes.
//!
//! The bytes are a line of JSON and the values of the weights, of the moments and of the best weights (32-bit floats, the low
//! byte first). A fit that goes on from them ends with the same bytes as one that was never interrupted.

use serde::{Deserialize, Serialize};

use super::arrays::{ArrayAbout, Arrays, values_from_bytes, values_to_bytes};
use super::descent::Moments;

/// One figure of the history of a fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryRow {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// The rows were not fitted on.
    pub held_out: bool,
    /// The mean loss.
    pub loss: f64,
    /// How good the outputs are, larger being better.
    pub score: Option<f64>,
}

/// The state of a fit after an epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct FitState {
    /// The number of epochs that are done.
    pub epochs: usize,
    /// The number of steps that are done.
    pub steps: u64,
    /// The weights.
    pub weights: Arrays,
    /// The moments of the gradients, in the order of the weights.
    pub moments: Vec<Option<Moments>>,
    /// The epoch with the least loss, that loss, and the values of its weights.
    pub best: Option<BestEpoch>,
    /// The plateaus that the learning rate has seen.
    pub plateau: PlateauCount,
    /// What was reached after each epoch.
    pub history: Vec<HistoryRow>,
}

/// The epoch with the least loss so far.
#[derive(Clone, Debug, PartialEq)]
pub struct BestEpoch {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Its loss.
    pub loss: f64,
    /// The values of its weights.
    pub values: Vec<f32>,
}

/// Counts epochs without a new least loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlateauCount {
    /// The number of plateaus so far.
    pub seen: u32,
    /// The number of epochs since the last new least loss or the last plateau.
    pub waited: usize,
    /// The least loss.
    pub least: Option<f64>,
}

/// The line of JSON.
#[derive(Serialize, Deserialize)]
struct StateHeader {
    /// What is fitted; a state of another fit is of no use.
    fit: String,
    epochs: usize,
    steps: u64,
    weights: Vec<ArrayAbout>,
    /// The number of steps of each array's moments.
    times: Vec<Option<usize>>,
    best: Option<(usize, f64)>,
    plateau: PlateauCount,
    history: Vec<HistoryRow>,
}

impl FitState {
    /// Returns the state as bytes. `fit` says what is fitted.
    pub fn to_bytes(&self, fit: &str) -> Vec<u8> {
        let header = StateHeader {
            fit: fit.to_owned(),
            epochs: self.epochs,
            steps: self.steps,
            weights: self.weights.about.clone(),
            times: self
                .moments
                .iter()
                .map(|m| m.as_ref().map(|m| m.time))
                .collect(),
            best: self.best.as_ref().map(|best| (best.epoch, best.loss)),
            plateau: self.plateau,
            history: self.history.clone(),
        };
        let mut bytes = serde_json::to_vec(&header).unwrap_or_default();
        bytes.push(b'\n');
        values_to_bytes(&self.weights.values, &mut bytes);
        for moments in self.moments.iter().flatten() {
            values_to_bytes(&moments.first, &mut bytes);
            values_to_bytes(&moments.second, &mut bytes);
        }
        if let Some(best) = &self.best {
            values_to_bytes(&best.values, &mut bytes);
        }
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote for the same `fit`; none for bytes of another fit, or too few or too many.
    pub fn from_bytes(bytes: &[u8], fit: &str) -> Option<Self> {
        let line = bytes.iter().position(|&byte| byte == b'\n')?;
        let header: StateHeader = serde_json::from_slice(&bytes[..line]).ok()?;
        if header.fit != fit || header.times.len() > header.weights.len() {
            return None;
        }
        let values = values_from_bytes(&bytes[line + 1..])?;
        let mut rest = &values[..];
        let mut take = |count: usize| {
            let (taken, after) = rest.split_at_checked(count)?;
            rest = after;
            Some(taken.to_vec())
        };
        let sizes: Vec<usize> = header.weights.iter().map(ArrayAbout::size).collect();
        let all = sizes.iter().sum();
        let weights = Arrays {
            about: header.weights,
            values: take(all)?,
        };
        let mut moments = Vec::with_capacity(header.times.len());
        for (time, &size) in header.times.iter().zip(&sizes) {
            moments.push(match time {
                Some(time) => Some(Moments {
                    time: *time,
                    first: take(size)?,
                    second: take(size)?,
                }),
                None => None,
            });
        }
        let best = match header.best {
            Some((epoch, loss)) => Some(BestEpoch {
                epoch,
                loss,
                values: take(all)?,
            }),
            None => None,
        };
        let state = Self {
            epochs: header.epochs,
            steps: header.steps,
            weights,
            moments,
            best,
            plateau: header.plateau,
            history: header.history,
        };
        (rest.is_empty() && state.weights.is_whole()).then_some(state)
    }
}

impl PlateauCount {
    /// Counts an epoch with this loss. After `epochs` epochs without a new least one, there is a plateau more.
    pub fn count(&mut self, loss: f64, epochs: usize) {
        if self.least.is_none_or(|least| loss < least) {
            self.least = Some(loss);
            self.waited = 0;
            return;
        }
        self.waited += 1;
        if self.waited >= epochs {
            self.seen += 1;
            self.waited = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plateau_is_some_epochs_without_a_new_least_loss() {
        let mut count = PlateauCount::default();
        [1.0, 2.0, 3.0, 0.5, 0.6, 0.7]
            .iter()
            .for_each(|&loss| count.count(loss, 2));
        assert_eq!((count.seen, count.waited), (2, 0));
    }
}
