//! Fits as actions: an action is the outer world of a fit, and its outputs are what the fit came to.

use std::error::Error;
use std::fmt::Write as _;

use flow_cache::Value;
use flow_engine::kind::{Action, StageError};
use flow_stages::learner::split::holdout;
use flow_stages::numeric::rng::Stream;

use super::device::device;
use super::fit_params::FitParams;
use super::history::SEEN;
use crate::fitting::{
    FitError, FitHost, FitJob, FittedNetwork, HistoryRow, Samples, Task, fit as fit_network,
};
use crate::fused::keep_freed_memory;

/// The path of the random stream that the seeds of the networks of a bag come from.
const BAG: u64 = 4;

/// The action of a fit of one of several networks.
struct ActionHost<'a> {
    action: &'a Action<'a>,
    /// The number of the network, and how many there are.
    bag: (usize, usize),
    /// The most epochs of each.
    epochs: usize,
}

impl FitHost for ActionHost<'_> {
    fn stop(&self) -> bool {
        self.action.stop()()
    }

    fn progress(&self, epochs: usize, history: &[HistoryRow]) {
        let (number, of) = self.bag;
        let (done, total) = (number * self.epochs + epochs, of * self.epochs);
        self.action
            .progress_with(done as u64, total as u64, &figures(epochs, history));
    }

    fn name(&self) -> String {
        let (number, of) = self.bag;
        format!("network {number} of {of}")
    }

    fn kept(&self) -> Result<Option<Vec<u8>>, Box<dyn Error + Send + Sync>> {
        Ok(self.action.saved(&self.file())?)
    }

    fn keep(&self, bytes: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(self.action.save(&self.file(), bytes)?)
    }
}

impl ActionHost<'_> {
    fn file(&self) -> String {
        format!("{}.state", self.bag.0)
    }
}

/// What an epoch came to: the losses first, since a narrow terminal cuts the line.
fn figures(epoch: usize, history: &[HistoryRow]) -> Vec<(&'static str, f64)> {
    let last = || history.iter().filter(|row| row.epoch == epoch);
    let losses = last().map(|row| match row.held_out {
        true => ("validation_loss", row.loss),
        false => ("loss", row.loss),
    });
    let scores = last().filter_map(|row| match row.held_out {
        true => Some(("validation_score", row.score?)),
        false => Some(("score", row.score?)),
    });
    losses.chain(scores).collect()
}

/// Writes the history of a fit as lines of CSV: bag, epoch, split, loss, score.
fn lines(bag: usize, history: &[HistoryRow], out: &mut String) {
    for row in history {
        let split = if row.held_out { "validation" } else { "train" };
        let score = row.score.map_or(String::new(), |score| score.to_string());
        let _ = writeln!(out, "{bag},{},{split},{},{score}", row.epoch, row.loss);
    }
}

/// Says in which fold a network could not be fitted, and what to try.
pub fn fit_error(error: FitError, fold: &str) -> StageError {
    let code = match &error {
        FitError::Stopped => return StageError::interrupted(),
        FitError::Diverged { .. } => "flow::neural::diverged",
        FitError::Rows { .. } => "flow::neural::rows",
        FitError::Checkpoint(_) => "flow::environment::io",
    };
    let error = match error {
        // The store says best what is wrong with it.
        FitError::Checkpoint(error) => match error.downcast::<StageError>() {
            Ok(error) => return *error,
            Err(error) => FitError::Checkpoint(error),
        },
        error => error,
    };
    let help: &[&str] = match &error {
        FitError::Diverged { .. } => &[
            "lower `learning_rate`, or set `clip_norm = 1.0`",
            "look for features and fluxes with huge values: `clip`, or `scale` with method = \"robust\"",
        ],
        FitError::Rows { help, .. } => &[help],
        _ => &[],
    };
    let failed = StageError::data(code, format!("fold {fold}")).because(error);
    help.iter().fold(failed, |failed, &help| failed.help(help))
}

/// Refuses a network whose sizes do not fit its input.
pub fn refuse(misfits: Vec<String>) -> Result<(), StageError> {
    if misfits.is_empty() {
        return Ok(());
    }
    let text = format!("the network does not fit: {}", misfits.join("; "));
    Err(StageError::data("flow::neural::misfit", text)
        .help("change the sizes of the network, or the `sequences` stage"))
}

/// Networks that are fitted on the same rows with other seeds.
pub struct BagFit<'a> {
    /// The action.
    pub action: &'a Action<'a>,
    /// How each is fitted.
    pub params: &'a FitParams<'a>,
    /// The number of networks.
    pub size: usize,
    /// The rows.
    pub samples: &'a Samples<'a>,
    /// What is learned.
    pub task: &'a dyn Task,
    /// The class of each row that is no copy and the number of classes, by which rows are held out.
    pub classes: (&'a [usize], usize),
    /// For each copy, the row that it is a copy of. Copies are the last rows.
    pub copies: &'a [usize],
}

impl BagFit<'_> {
    /// Fits the networks. The first has the seed of the action.
    ///
    /// # Errors
    /// Those of [`fit_network`].
    pub fn fit(&self) -> Result<Vec<FittedNetwork>, StageError> {
        keep_freed_memory();
        let mut seeds = Stream::new(self.action.seed, &[BAG]);
        let fold = self.action.fold.unwrap_or_default();
        let mut fitted = Vec::with_capacity(self.size);
        for number in 0..self.size {
            let seed = match number {
                0 => self.action.seed,
                _ => seeds.next_u64(),
            };
            fitted.push(self.one(number, seed).map_err(|e| fit_error(e, fold))?);
        }
        Ok(fitted)
    }

    fn one(&self, number: usize, seed: u64) -> Result<FittedNetwork, FitError> {
        let (classes, count) = self.classes;
        let (mut rows, held_out): (Vec<usize>, _) =
            match self.params.early_stopping {
                0 => ((0..classes.len()).collect(), Vec::new()),
                _ => holdout(classes, count, self.params.validation_fraction, seed).map_err(
                    |error| FitError::Rows {
                        reason: error.to_string(),
                        help: "`early_stopping = 0` fits on all training rows",
                    },
                )?,
            };
        // A copy of a row that is held out would tell of it.
        let copies = self.copies.iter().enumerate();
        let seen = copies.filter(|(_, source)| rows.binary_search(source).is_ok());
        let seen: Vec<usize> = seen.map(|(copy, _)| classes.len() + copy).collect();
        rows.extend(seen);
        fit_network(&FitJob {
            task: self.task,
            samples: self.samples,
            rows: &rows,
            held_out: &held_out,
            settings: &self.params.settings(),
            seed,
            device: &device(self.action.gpus).autodiff(),
            host: &ActionHost {
                action: self.action,
                bag: (number, self.size),
                epochs: self.params.epochs,
            },
        })
    }
}

/// Writes networks as the output `model`, with facts about their fits, and their histories as the output `epochs`.
///
/// # Errors
/// If they cannot be written.
pub fn write(
    action: &mut Action<'_>,
    bytes: &[u8],
    bag: &[FittedNetwork],
    (rows, copies): (usize, usize),
) -> Result<(), StageError> {
    let first = bag.first().map_or(0, |fitted| fitted.weights.parameters());
    let epochs = bag.iter().map(|fitted| fitted.epochs).max().unwrap_or(0);
    let mut counts = vec![("parameters", first), ("epochs", epochs), ("rows", rows)];
    counts.extend((copies > 0).then_some(("copies", copies)));
    let fact = |(name, count): (&str, usize)| (name.to_owned(), Value::Int(count as i64));
    let facts = counts.into_iter().map(fact).collect();
    action.write("model", bytes, facts)?;
    let mut history = String::new();
    for (number, fitted) in bag.iter().enumerate() {
        lines(number, &fitted.history, &mut history);
    }
    let seen = bag.iter().map(|fitted| fitted.rows).min().unwrap_or(0);
    action.write("epochs", history.as_bytes(), vec![fact((SEEN, seen))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_come_before_scores_and_those_of_the_fit_first() {
        let row = |epoch, held_out, loss, score| HistoryRow {
            epoch,
            held_out,
            loss,
            score,
        };
        let scored = [
            row(1, false, 0.9, Some(0.1)),
            row(1, true, 0.8, Some(0.2)),
            row(2, false, 0.7, Some(0.3)),
            row(2, true, 0.6, Some(0.4)),
        ];
        let expected = [
            ("loss", 0.7),
            ("validation_loss", 0.6),
            ("score", 0.3),
            ("validation_score", 0.4),
        ];
        assert_eq!(figures(2, &scored), expected);
        assert_eq!(figures(1, &[row(1, false, 0.5, None)]), [("loss", 0.5)]);
    }
}
