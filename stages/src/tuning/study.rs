//! A tuning study: trials in generations, and the state after each.
//!
//! A study has no state of its own. The points of a generation follow from the seed and the results of
//! the generations before it, and results are cached like all others. If a study is killed and run
//! again, it makes the same proposals, finds their results, and continues where it ended.

use flow_cache::Value;
use flow_engine::pipeline::study::Sampler;

use super::propose::{TriedPoint, propose};
use super::race::{Race, race};
use super::space::{Dimension, Point};
use crate::evaluation::{Direction, Metric};

/// The number of trials of a study that sets none and is not a grid.
pub const TRIALS: usize = 20;

/// The scores of an evaluation for one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectiveScores {
    /// The value over all out-of-fold rows.
    pub pooled: f64,
    /// The values by fold; `None` if undefined.
    pub folds: Vec<Option<f64>>,
}

/// The reason why an evaluation has no scores for a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoScore {
    /// It has no metric of that name, only these.
    Unknown(Vec<String>),
    /// The metric is undefined on these rows.
    Undefined,
}

impl ObjectiveScores {
    /// Reads the attribute `metrics` that `evaluate` writes.
    ///
    /// # Errors
    /// If the metric is not there, or has no value.
    pub fn read(metrics: &Value, metric: Metric) -> Result<Self, NoScore> {
        let found = metrics.get(metric.key());
        let found = found.filter(|found| found.get("pooled").is_some());
        let Some(found) = found.filter(|_| metric.direction().is_some()) else {
            let names = match metrics {
                Value::Map(entries) => entries.iter().map(|(name, _)| name.clone()).collect(),
                _ => Vec::new(),
            };
            let sound = |name: &String| Metric::from_key(name)?.direction();
            let names = names.into_iter().filter(|name| sound(name).is_some());
            return Err(NoScore::Unknown(names.collect()));
        };
        let number = |value: &Value| match value {
            Value::Float(v) if v.is_finite() => Some(*v),
            _ => None,
        };
        let pooled = found.get("pooled").and_then(number);
        let folds = match found.get("folds") {
            Some(Value::List(folds)) => folds.iter().map(number).collect(),
            _ => Vec::new(),
        };
        Ok(Self {
            pooled: pooled.ok_or(NoScore::Undefined)?,
            folds,
        })
    }
}

/// What is searched, and how.
#[derive(Clone, Debug)]
pub struct Design {
    /// What may be tried.
    pub space: Vec<Dimension>,
    /// How points are proposed.
    pub sampler: Sampler,
    /// The seed of the proposals.
    pub seed: u64,
    /// The number of trials.
    pub trials: usize,
    /// The number of trials in a generation.
    pub parallel: usize,
    /// Which direction of the objective is better.
    pub direction: Direction,
}

/// How a trial ended.
#[derive(Clone, Debug, PartialEq)]
pub enum TrialOutcome {
    /// It was evaluated on all folds.
    Complete(ObjectiveScores),
    /// It fell behind and was stopped.
    Pruned {
        /// The number of folds that it was evaluated on.
        folds: usize,
        /// The bound on its value by the rule that stopped it, which the sampler takes for its value.
        bound: f64,
    },
    /// It could not be evaluated.
    Failed(String),
}

impl TrialOutcome {
    /// The value of a complete trial.
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Complete(scores) => Some(scores.pooled),
            _ => None,
        }
    }

    /// The word for the outcome.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Complete(_) => "complete",
            Self::Pruned { .. } => "pruned",
            Self::Failed(_) => "failed",
        }
    }
}

/// One trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// The number of the trial, from 0.
    pub generation: usize,
    /// The point that was tried.
    pub point: Point,
    /// The outcome.
    pub outcome: TrialOutcome,
}

/// The best configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Best {
    /// The pipeline as it is.
    Base,
    /// The trial with this number.
    Trial(usize),
}

/// A study in progress.
#[derive(Clone, Debug)]
pub struct TuningStudy {
    design: Design,
    base: Option<ObjectiveScores>,
    trials: Vec<Trial>,
    generations: usize,
}

impl TuningStudy {
    /// Returns a study before its first trial, with the scores of the pipeline as it is, if it has any.
    /// Trials have to beat it, but it is not a point of the space.
    pub fn new(design: Design, base: Option<ObjectiveScores>) -> Self {
        Self {
            design,
            base,
            trials: Vec::new(),
            generations: 0,
        }
    }

    /// The design of the study.
    pub fn design(&self) -> &Design {
        &self.design
    }

    /// The scores of the pipeline as it is.
    pub fn base(&self) -> Option<&ObjectiveScores> {
        self.base.as_ref()
    }

    /// The trials so far, in order.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// Returns the points of the next generation; none once the study is at its end.
    pub fn next_generation(&self) -> Vec<Point> {
        let design = &self.design;
        let loss = |outcome: &TrialOutcome| match outcome {
            TrialOutcome::Complete(scores) => Some(design.direction.loss(scores.pooled)),
            TrialOutcome::Pruned { bound, .. } => Some(design.direction.loss(*bound)),
            TrialOutcome::Failed(_) => None,
        };
        let tried: Vec<TriedPoint> = self
            .trials
            .iter()
            .map(|trial| TriedPoint {
                point: trial.point.clone(),
                loss: loss(&trial.outcome),
            })
            .collect();
        let left = design.trials.saturating_sub(tried.len());
        let count = design.parallel.min(left);
        propose(design.sampler, &design.space, design.seed, &tried, count)
    }

    /// Takes in the trials of a generation.
    pub fn tell(&mut self, outcomes: impl IntoIterator<Item = (Point, TrialOutcome)>) {
        let generation = self.generations;
        self.trials
            .extend(outcomes.into_iter().map(|(point, outcome)| Trial {
                generation,
                point,
                outcome,
            }));
        self.generations += 1;
    }

    /// Returns the best configuration so far with its scores. Of equal ones it is the first, and the
    /// pipeline as it is comes before all trials. `None` if nothing could be evaluated.
    pub fn best(&self) -> Option<(Best, &ObjectiveScores)> {
        let mut best = self.base.as_ref().map(|scores| (Best::Base, scores));
        for (number, trial) in self.trials.iter().enumerate() {
            if let TrialOutcome::Complete(scores) = &trial.outcome
                && best.is_none_or(|(_, b)| self.design.direction.better(scores.pooled, b.pooled))
            {
                best = Some((Best::Trial(number), scores));
            }
        }
        best
    }

    /// Decides after the first folds of a trial whether it is stopped. `rest` holds the scores of the
    /// best configuration, on the same folds and on all.
    pub fn race(
        &self,
        trial: &ObjectiveScores,
        best: &ObjectiveScores,
        best_on_all: f64,
    ) -> Option<TrialOutcome> {
        let turn = |scores: &ObjectiveScores| -> Vec<Option<f64>> {
            let direction = self.design.direction;
            let folds = scores.folds.iter();
            folds.map(|v| v.map(|v| -direction.loss(v))).collect()
        };
        match race(&turn(trial), &turn(best)) {
            Race::Open => None,
            Race::Lost(bound) => Some(TrialOutcome::Pruned {
                folds: trial.folds.len(),
                bound: match self.design.direction {
                    Direction::Maximise => best_on_all + bound,
                    Direction::Minimise => best_on_all - bound,
                },
            }),
        }
    }
}

/// Returns after how many folds trials may be stopped: a third and two thirds of `first` (the folds of
/// the first repeat), at least two, and all of `first` if there are more (`all`).
pub fn looks(first: usize, all: usize) -> Vec<usize> {
    let mut looks: Vec<usize> = [first.div_ceil(3), (2 * first).div_ceil(3), first]
        .into_iter()
        .map(|folds| folds.max(2))
        .filter(|&folds| folds < all)
        .collect();
    looks.dedup();
    looks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn design(direction: Direction) -> Design {
        Design {
            space: vec![Dimension::Real {
                low: 0.0,
                high: 1.0,
                log: false,
            }],
            sampler: Sampler::Random,
            seed: 1,
            trials: 5,
            parallel: 2,
            direction,
        }
    }

    fn scores(folds: &[f64]) -> ObjectiveScores {
        ObjectiveScores {
            pooled: folds.iter().sum::<f64>() / folds.len() as f64,
            folds: folds.iter().copied().map(Some).collect(),
        }
    }

    #[test]
    fn a_study_ends_after_its_trials() {
        let mut study = TuningStudy::new(design(Direction::Maximise), None);
        let mut sizes = Vec::new();
        loop {
            let points = study.next_generation();
            if points.is_empty() {
                break;
            }
            sizes.push(points.len());
            study.tell(points.into_iter().map(|point| {
                let value = point[0];
                (point, TrialOutcome::Complete(scores(&[value])))
            }));
        }
        assert_eq!(sizes, [2, 2, 1]);
        let generations: Vec<usize> = study.trials().iter().map(|t| t.generation).collect();
        assert_eq!(generations, [0, 0, 1, 1, 2]);
        let (Best::Trial(best), found) = study.best().unwrap() else {
            panic!("a trial")
        };
        let most = study
            .trials()
            .iter()
            .map(|t| t.point[0])
            .fold(0.0, f64::max);
        assert_eq!((study.trials()[best].point[0], found.pooled), (most, most));
    }

    #[test]
    fn the_best_is_the_first_of_equals_and_failures_do_not_count() {
        for (direction, values, best) in [
            (Direction::Maximise, [0.5, 0.7, 0.7], Best::Trial(1)),
            (Direction::Minimise, [0.5, 0.7, 0.7], Best::Base),
            (Direction::Maximise, [0.5, 0.5, 0.4], Best::Base),
        ] {
            let mut study = TuningStudy::new(design(direction), Some(scores(&[0.5])));
            let complete = |v: f64| (vec![v], TrialOutcome::Complete(scores(&[v])));
            study.tell(values.map(complete));
            study.tell([(vec![0.0], TrialOutcome::Failed("why".into()))]);
            assert_eq!(study.best().unwrap().0, best);
        }
        assert!(
            TuningStudy::new(design(Direction::Maximise), None)
                .best()
                .is_none()
        );
    }

    #[test]
    fn a_trial_that_lags_in_every_fold_is_stopped() {
        let best = scores(&[0.60, 0.61]);
        let lag = scores(&[0.40, 0.41]);
        let study = TuningStudy::new(design(Direction::Maximise), None);
        assert!(matches!(
            study.race(&lag, &best, 0.65),
            Some(TrialOutcome::Pruned { folds: 2, bound }) if (bound - 0.45).abs() < 1e-12
        ));
        assert_eq!(study.race(&best, &lag, 0.5), None);
        let study = TuningStudy::new(design(Direction::Minimise), None);
        assert_eq!(study.race(&lag, &best, 0.65), None);
        assert!(matches!(
            study.race(&best, &lag, 0.5),
            Some(TrialOutcome::Pruned { folds: 2, bound }) if bound > 0.5
        ));
    }

    #[test]
    fn looks_come_after_two_folds_and_before_the_last() {
        assert_eq!(looks(5, 5), [2, 4]);
        assert_eq!(looks(10, 10), [4, 7]);
        assert_eq!(looks(3, 3), [2]);
        assert_eq!(looks(2, 2), [0; 0]);
        assert_eq!(looks(5, 25), [2, 4, 5]);
    }

    #[test]
    fn metrics_are_read_and_unknown_ones_named() {
        let number = Value::Float;
        let metric = |pooled| {
            Value::Map(vec![
                ("folds".into(), Value::List(vec![number(0.4), Value::Null])),
                ("pooled".into(), pooled),
            ])
        };
        let metrics = Value::Map(vec![
            ("f1".into(), metric(number(0.5))),
            ("roc_auc".into(), metric(Value::Null)),
            ("threshold".into(), metric(number(0.5))),
        ]);
        let read = ObjectiveScores::read(&metrics, Metric::F1).unwrap();
        assert_eq!((read.pooled, read.folds), (0.5, vec![Some(0.4), None]));
        assert_eq!(
            ObjectiveScores::read(&metrics, Metric::RocAuc),
            Err(NoScore::Undefined)
        );
        let known = vec!["f1".to_owned(), "roc_auc".to_owned()];
        for metric in [Metric::Mcc, Metric::Threshold] {
            assert_eq!(
                ObjectiveScores::read(&metrics, metric),
                Err(NoScore::Unknown(known.clone()))
            );
        }
    }
}
