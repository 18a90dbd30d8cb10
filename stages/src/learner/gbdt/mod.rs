//! The learner `gbdt`: exact-split boosted trees grown by the crate of that name, made safe.
//!
//! This file has the learner, the boosting loop and the model. Only `workarounds` calls the crate, and
//! says what is wrong with it. `tree` is the part of a grown tree that a model keeps.
//!
//! Missing values are imputed by the median of the column's training rows (0 when all are missing).
//!
//! The loss is Friedman's (2001, Annals of Statistics 29, 1189, section 4.5): y = +-1, F is half the
//! log-odds, residual r = 2y / (1 + exp(2yF)), leaf value sum(w r) / sum(w |r| (2 - |r|)). With more
//! than two classes one such problem is fitted for each class against the rest and the probabilities
//! are divided by their sum.

mod tree;
mod workarounds;

use super::objective::{ClassLoss, sigmoid};
use super::{FitJob, LearnError, Learner, LearnerParams, Matrix, Model, Stop};
use super::{check_width, class_counts, shares, split};
use serde::{Deserialize, Serialize};
use tree::{Tree, TreeNode};
use workarounds::Grower;

/// The most columns of a matrix. With more, exact splits would take minutes, and the sorted copies
/// gigabytes.
pub const MAX_COLUMNS: usize = 2_000;
/// A class share is kept this far from 0 and 1 where a fit starts from its log-odds.
const MIN_SHARE: f64 = 1e-6;

/// The learner `gbdt`; see the module's documentation.
pub struct Gbdt;

impl Learner for Gbdt {
    fn name(&self) -> &'static str {
        "gbdt"
    }

    /// `min_samples` is 1: nodes are split while they hold more than one row.
    fn defaults(&self) -> LearnerParams {
        LearnerParams {
            min_samples: Some(1),
            ..LearnerParams::default()
        }
    }

    /// As for [`Learner::fit`], but with one thread, whatever the job says.
    fn fit(&self, job: &FitJob<'_>) -> Result<Box<dyn Model>, LearnError> {
        let params = job.params.resolve(self)?;
        let counts = class_counts(job)?;
        let x = job.x;
        if x.cols() > MAX_COLUMNS {
            return Err(LearnError::Data(format!(
                "learner `gbdt` takes at most {MAX_COLUMNS} columns and got {}; select fewer \
                 features, or use learner `hessboost`",
                x.cols()
            )));
        }
        let loss = ClassLoss::new(params.class_weight.resolve(&counts)?);
        let mut training = Training::new(job, loss, &params)?;
        let all: Vec<usize> = (0..x.rows()).collect();
        let rounds = match params.early_stopping {
            None => params.rounds,
            Some(early) => {
                let (kept, held) =
                    split::holdout(job.y, job.n_classes, early.fraction, params.seed)?;
                let watch = Some((&held[..], early.patience));
                training.boost(&kept, params.rounds, watch)?.rounds()
            }
        };
        Ok(Box::new(training.boost(&all, rounds, None)?))
    }

    fn load(&self, bytes: &[u8]) -> Result<Box<dyn Model>, LearnError> {
        let model: GbdtModel =
            serde_json::from_slice(bytes).map_err(|e| LearnError::Model(e.into()))?;
        model.check()?;
        Ok(Box::new(model))
    }
}

/// One training set, with the data that all fits on it share.
struct Training<'a> {
    y: &'a [usize],
    loss: ClassLoss,
    params: &'a LearnerParams,
    medians: Vec<f32>,
    grower: Grower,
    stop: Stop<'a>,
}

impl<'a> Training<'a> {
    fn new(
        job: &FitJob<'a>,
        loss: ClassLoss,
        params: &'a LearnerParams,
    ) -> Result<Self, LearnError> {
        let mut columns = Vec::new();
        for column in 0..job.x.cols() {
            go_on(job.stop)?;
            columns.push(ImputedColumn::of(job.x, column));
        }
        let weights: Vec<f64> = job.y.iter().map(|&class| loss.weight(class)).collect();
        Ok(Training {
            y: job.y,
            loss,
            params,
            medians: columns.iter().map(|column| column.median).collect(),
            grower: Grower::new(job.x, columns, &weights),
            stop: job.stop,
        })
    }

    /// Boosts on `fit_rows` for `rounds` rounds. With `watch` = (held-out rows, patience) it stops
    /// early, and the model ends with the round that has the lowest log-loss on these rows.
    fn boost(
        &mut self,
        fit_rows: &[usize],
        rounds: usize,
        watch: Option<(&[usize], usize)>,
    ) -> Result<GbdtModel, LearnError> {
        let n_classes = self.loss.n_classes();
        let positives = positives(n_classes);
        let mut model = GbdtModel {
            n_classes,
            medians: self.medians.clone(),
            learning_rate: self.params.learning_rate,
            start: positives.clone().map(|c| self.start(fit_rows, c)).collect(),
            trees: Vec::with_capacity(rounds),
            gain: vec![0.0; self.medians.len()],
        };
        // margins[problem][row] has all rows, including those that this fit does not see.
        let mut margins: Vec<Vec<f64>> = model
            .start
            .iter()
            .map(|&start| vec![start; self.y.len()])
            .collect();
        let (mut best, mut best_loss) = (1, f64::INFINITY);
        for round in 0..rounds {
            let sample = split::subsample(fit_rows, self.params.subsample, self.params.seed, round);
            let mut trees = Vec::with_capacity(margins.len());
            for (class, margins) in positives.clone().zip(&mut margins) {
                go_on(self.stop)?;
                let signs = self.y.iter().map(|&y| if y == class { 1.0 } else { -1.0 });
                let residual = |(y, margin): (f64, &f64)| 2.0 * y * sigmoid(-2.0 * y * margin);
                self.grower.aim(signs.zip(margins.iter()).map(residual));
                let mut tree = self.grower.grow(&sample, self.params)?;
                self.add_gain(&tree, &sample, &mut model.gain);
                for (row, margin) in margins.iter_mut().enumerate() {
                    let value = tree.value(|column| self.grower.rank(row, column));
                    *margin += self.params.learning_rate * value;
                }
                self.grower.restore_thresholds(&mut tree);
                trees.push(tree);
            }
            model.trees.push(trees);
            if let Some((held, patience)) = watch {
                let mut p = Vec::with_capacity(held.len() * n_classes);
                for &row in held {
                    push_probabilities(margins.iter().map(|m| m[row]), &mut p);
                }
                let loss = self.loss.log_loss(&p, held.iter().map(|&row| self.y[row]));
                if loss < best_loss {
                    (best, best_loss) = (round + 1, loss);
                } else if round + 1 - best >= patience {
                    break;
                }
            }
        }
        if watch.is_some() {
            model.trees.truncate(best);
        }
        Ok(model)
    }

    /// Returns half the log-odds of the weighted share of `class` among `rows`.
    fn start(&self, rows: &[usize], class: usize) -> f64 {
        let (mut positive, mut total) = (0.0, 0.0);
        for &row in rows {
            let weight = self.grower.weight(row);
            total += weight;
            if self.y[row] == class {
                positive += weight;
            }
        }
        let share: f64 = positive / total;
        let share = share.clamp(MIN_SHARE, 1.0 - MIN_SHARE);
        0.5 * libm::log(share / (1.0 - share))
    }

    /// Adds to each column the drop of the weighted sum of squares of the targets by its splits.
    fn add_gain(&self, tree: &Tree, sample: &[usize], gain: &mut [f64]) {
        let mut sums = vec![(0.0, 0.0); tree.0.len()];
        for &row in sample {
            let (weight, target) = (self.grower.weight(row), self.grower.target(row));
            tree.walk(
                |column| self.grower.rank(row, column),
                |node| {
                    sums[node].0 += weight * target;
                    sums[node].1 += weight;
                },
            );
        }
        let score = |(sum, weight): (f64, f64)| {
            if weight > 0.0 {
                sum * sum / weight
            } else {
                0.0
            }
        };
        for (node, &at) in tree.0.iter().zip(&sums) {
            if let TreeNode::Split {
                column,
                left,
                right,
                ..
            } = *node
            {
                let drop = score(sums[left]) + score(sums[right]) - score(at);
                gain[column] += drop.max(0.0);
            }
        }
    }
}

fn go_on(stop: Stop<'_>) -> Result<(), LearnError> {
    match stop() {
        true => Err(LearnError::Stopped),
        false => Ok(()),
    }
}

/// The classes that have a problem of their own: class 1 of two, else every class.
fn positives(n_classes: usize) -> std::ops::Range<usize> {
    if n_classes == 2 { 1..2 } else { 0..n_classes }
}

/// Appends a row's class probabilities, given the margin of each problem.
fn push_probabilities(margins: impl Iterator<Item = f64>, out: &mut Vec<f64>) {
    let from = out.len();
    out.extend(margins.map(|margin| sigmoid(2.0 * margin)));
    match out[from..] {
        [p] => {
            out[from] = 1.0 - p;
            out.push(p);
        }
        _ => {
            let sum: f64 = out[from..].iter().sum();
            let equal = 1.0 / (out.len() - from) as f64;
            for p in &mut out[from..] {
                *p = if sum > 0.0 { *p / sum } else { equal };
            }
        }
    }
}

/// Returns the value, or the column's median if it is missing.
fn imputed(value: f32, median: f32) -> f32 {
    if value.is_nan() { median } else { value }
}

/// A column of the training rows.
struct ImputedColumn {
    /// The value that replaces a missing value: the median of the others, 0 if there are none.
    median: f32,
    /// The distinct values after imputation, ascending.
    distinct: Vec<f32>,
}

impl ImputedColumn {
    fn of(x: &Matrix, column: usize) -> Self {
        let values = (0..x.rows()).map(|row| x.row(row)[column]);
        // Adding 0 turns -0 into 0, which compare equal but sort apart.
        let mut present: Vec<f32> = values.filter(|v| !v.is_nan()).map(|v| v + 0.0).collect();
        present.sort_unstable_by(f32::total_cmp);
        let missing = present.len() < x.rows();
        let median = match present.len() {
            0 => 0.0,
            n if n % 2 == 1 => present[n / 2],
            n => present[n / 2 - 1] / 2.0 + present[n / 2] / 2.0,
        };
        present.dedup();
        let at = present.partition_point(|&v| v < median);
        if missing && present.get(at) != Some(&median) {
            present.insert(at, median);
        }
        Self {
            median,
            distinct: present,
        }
    }
}

/// A fitted model: `trees[round][problem]`, where the problems are those of [`positives`].
#[derive(Debug, Serialize, Deserialize)]
struct GbdtModel {
    n_classes: usize,
    learning_rate: f64,
    /// The value that replaces a missing value, for each column.
    medians: Vec<f32>,
    /// The margin that each problem starts from: half a log-odds.
    start: Vec<f64>,
    trees: Vec<Vec<Tree>>,
    /// The total gain of each column.
    gain: Vec<f64>,
}

impl GbdtModel {
    /// Refuses a model that was read but cannot be used.
    fn check(&self) -> Result<(), LearnError> {
        let columns = self.medians.len();
        let problems = positives(self.n_classes).len();
        let refuse = |reason: String| Err(LearnError::Model(reason.into()));
        if self.n_classes < 2 || self.start.len() != problems || self.gain.len() != columns {
            return refuse("its parts do not fit together".into());
        }
        for trees in &self.trees {
            if trees.len() != problems {
                return refuse(format!("a round of {} trees, not {problems}", trees.len()));
            }
            for tree in trees {
                tree.check(columns)
                    .map_err(|e| LearnError::Model(e.into()))?;
            }
        }
        Ok(())
    }
}

impl Model for GbdtModel {
    fn predict(&self, x: &Matrix) -> Result<Vec<f64>, LearnError> {
        check_width(x, self.medians.len())?;
        let mut p = Vec::with_capacity(x.rows() * self.n_classes);
        for row in (0..x.rows()).map(|row| x.row(row)) {
            let margins = self.start.iter().enumerate().map(|(problem, &start)| {
                self.trees.iter().fold(start, |margin, trees| {
                    let value = trees[problem].value(|c| imputed(row[c], self.medians[c]));
                    margin + self.learning_rate * value
                })
            });
            push_probabilities(margins, &mut p);
        }
        Ok(p)
    }

    fn to_bytes(&self) -> Result<Vec<u8>, LearnError> {
        serde_json::to_vec(self).map_err(|e| LearnError::Library(e.into()))
    }

    fn importance(&self) -> Vec<f64> {
        shares(self.gain.clone())
    }

    fn rounds(&self) -> usize {
        self.trees.len()
    }

    fn n_classes(&self) -> usize {
        self.n_classes
    }
}
