//! The parameters of the learners, with one set of defaults.

use super::{LearnError, Learner};

/// The parameters of a learner. Rounds, learning rate, depth, subsample and early stopping are those of
/// boosted learners; linear ones do not read them. Parameters that only some learners have are optional:
/// `None` is the learner's own default ([`Learner::defaults`]).
#[derive(Clone, Debug, PartialEq)]
pub struct LearnerParams {
    /// The number of boosting rounds, at least 1; with early stopping, the most rounds.
    pub rounds: usize,
    /// Shrinkage of each tree, in (0, 1].
    pub learning_rate: f64,
    /// The number of levels of splits in a tree, 1 to 16.
    pub max_depth: usize,
    /// The share of the rows that each round draws without replacement, in (0, 1].
    pub subsample: f64,
    /// Weights of the classes in the loss.
    pub class_weight: ClassWeight,
    /// Stops at the round that is best on held-out training rows.
    pub early_stopping: Option<EarlyStopping>,
    /// The seed of every random draw.
    pub seed: u64,
    /// The least sum of second derivatives in a leaf, not negative.
    pub min_child_weight: Option<f64>,
    /// A node of this many rows or fewer is not split, at least 1.
    pub min_samples: Option<usize>,
    /// L2 penalty on leaf values, not negative.
    pub lambda: Option<f64>,
    /// The share of the columns that each tree may split on, in (0, 1].
    pub colsample: Option<f64>,
    /// The most histogram bins for each column, 2 to 65,535.
    pub max_bin: Option<usize>,
    /// The most leaves of a tree, at least 2, for trees that grow leaf by leaf; 0 for trees that grow
    /// level by level. `max_depth` limits both.
    pub max_leaves: Option<usize>,
    /// The fewest rows in a leaf, at least 1.
    pub min_rows: Option<usize>,
    /// Whether each column is tried at one random threshold per node (extremely randomized trees; Geurts,
    /// Ernst and Wehenkel 2006), and not at all of them.
    pub extra_trees: Option<bool>,
    /// What the loss of the rows counts against the penalty of a logistic regression, above 0.
    pub c: Option<f64>,
    /// The penalty of a ridge regression, above 0; 0 for the one that is best for left-out rows.
    pub alpha: Option<f64>,
}

impl Default for LearnerParams {
    /// Returns 150 rounds of depth 4 with learning rate .05 on all rows, unweighted, without early
    /// stopping, seed 0, and the learner's own defaults for the rest.
    fn default() -> Self {
        LearnerParams {
            rounds: 150,
            learning_rate: 0.05,
            max_depth: 4,
            subsample: 1.0,
            class_weight: ClassWeight::None,
            early_stopping: None,
            seed: 0,
            min_child_weight: None,
            min_samples: None,
            lambda: None,
            colsample: None,
            max_bin: None,
            max_leaves: None,
            min_rows: None,
            extra_trees: None,
            c: None,
            alpha: None,
        }
    }
}

/// Weights of the classes in the loss. They change what is learned, and so the probabilities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClassWeight {
    /// Every row counts as one.
    None,
    /// With two classes, each positive counts `n_negative / n_positive` (XGBoost's `scale_pos_weight`).
    /// With more, class `c` counts `n / (k n_c)`, over the `k` classes that occur.
    Auto,
    /// Each positive counts this much, above 0. For two classes only.
    Value(f64),
}

impl ClassWeight {
    /// Returns the weight of each class, given the number of rows of each. A class without rows has
    /// weight 1.
    ///
    /// # Errors
    /// [`LearnError::Parameter`] for a value that is not positive, or with more than two classes.
    pub fn resolve(self, counts: &[usize]) -> Result<Vec<f64>, LearnError> {
        let refuse = |reason: String| {
            Err(LearnError::Parameter {
                name: "class_weight",
                reason,
            })
        };
        match (self, counts) {
            (ClassWeight::None, _) => Ok(vec![1.0; counts.len()]),
            (ClassWeight::Value(w), _) if !(w.is_finite() && w > 0.0) => {
                refuse(format!("is {w}; it must be above 0"))
            }
            (ClassWeight::Value(w), [_, _]) => Ok(vec![1.0, w]),
            (ClassWeight::Value(_), _) => refuse(format!(
                "is a number, which needs two classes; there are {}: use auto or none",
                counts.len()
            )),
            (ClassWeight::Auto, &[negative, positive]) => {
                Ok(vec![1.0, negative as f64 / positive as f64])
            }
            (ClassWeight::Auto, _) => {
                let rows: usize = counts.iter().sum();
                let present = counts.iter().filter(|&&n| n > 0).count();
                let weight = |&n: &usize| match n {
                    0 => 1.0,
                    n => rows as f64 / (present * n) as f64,
                };
                Ok(counts.iter().map(weight).collect())
            }
        }
    }
}

/// Early stopping on a stratified part of the training rows.
///
/// A first fit on the rows outside the held-out part finds the round with the lowest weighted log-loss
/// on that part. The model is then fitted anew on *all* training rows for that many rounds, so no
/// labelled row is wasted. It costs up to two fits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EarlyStopping {
    /// The share of each class that is held out, in (0, 1).
    pub fraction: f64,
    /// The number of rounds without improvement after which the first fit ends, at least 1.
    pub patience: usize,
}

impl LearnerParams {
    /// Returns these parameters with the defaults of `learner` filled in, which a fit uses and a recipe
    /// should name.
    ///
    /// # Errors
    /// [`LearnError::Unsupported`] for a parameter that does not apply to the learner,
    /// [`LearnError::Parameter`] for one that is out of range.
    pub fn resolve(&self, learner: &dyn Learner) -> Result<LearnerParams, LearnError> {
        let defaults = learner.defaults();
        let refuse = |name| LearnError::Unsupported {
            learner: learner.name(),
            name,
            supported: defaults.names(),
        };
        fn pick<T>(given: Option<T>, default: Option<T>) -> Result<Option<T>, ()> {
            match (given, default) {
                (Some(_), None) => Err(()),
                (given, default) => Ok(given.or(default)),
            }
        }
        let resolved = LearnerParams {
            min_child_weight: pick(self.min_child_weight, defaults.min_child_weight)
                .map_err(|()| refuse("min_child_weight"))?,
            min_samples: pick(self.min_samples, defaults.min_samples)
                .map_err(|()| refuse("min_samples"))?,
            lambda: pick(self.lambda, defaults.lambda).map_err(|()| refuse("lambda"))?,
            colsample: pick(self.colsample, defaults.colsample)
                .map_err(|()| refuse("colsample"))?,
            max_bin: pick(self.max_bin, defaults.max_bin).map_err(|()| refuse("max_bin"))?,
            max_leaves: pick(self.max_leaves, defaults.max_leaves)
                .map_err(|()| refuse("max_leaves"))?,
            min_rows: pick(self.min_rows, defaults.min_rows).map_err(|()| refuse("min_rows"))?,
            extra_trees: pick(self.extra_trees, defaults.extra_trees)
                .map_err(|()| refuse("extra_trees"))?,
            c: pick(self.c, defaults.c).map_err(|()| refuse("c"))?,
            alpha: pick(self.alpha, defaults.alpha).map_err(|()| refuse("alpha"))?,
            ..self.clone()
        };
        resolved.check()?;
        Ok(resolved)
    }

    /// The names of the parameters that are set, the common ones first.
    fn names(&self) -> Vec<&'static str> {
        let mut names = vec![
            "rounds",
            "learning_rate",
            "max_depth",
            "subsample",
            "class_weight",
            "early_stopping",
            "seed",
        ];
        let optional = [
            ("min_child_weight", self.min_child_weight.is_some()),
            ("min_samples", self.min_samples.is_some()),
            ("lambda", self.lambda.is_some()),
            ("colsample", self.colsample.is_some()),
            ("max_bin", self.max_bin.is_some()),
            ("max_leaves", self.max_leaves.is_some()),
            ("min_rows", self.min_rows.is_some()),
            ("extra_trees", self.extra_trees.is_some()),
            ("c", self.c.is_some()),
            ("alpha", self.alpha.is_some()),
        ];
        names.extend(
            optional
                .iter()
                .filter(|(_, set)| *set)
                .map(|(name, _)| *name),
        );
        names
    }

    /// Refuses values out of range.
    fn check(&self) -> Result<(), LearnError> {
        const SHARE: &str = "must be above 0 and at most 1";
        const PENALTY: &str = "must not be negative";
        const COUNT: &str = "must be at least 1";
        let share = |v: f64| v > 0.0 && v <= 1.0;
        let penalty = |v: f64| v.is_finite() && v >= 0.0;
        let early = |good: fn(EarlyStopping) -> bool| self.early_stopping.is_none_or(good);
        let fraction = early(|e| e.fraction > 0.0 && e.fraction < 1.0);
        let bins = |n| (2..=65_535).contains(&n);
        let min_child_weight = self.min_child_weight.is_none_or(penalty);
        let checks = [
            ("rounds", self.rounds >= 1, COUNT),
            ("learning_rate", share(self.learning_rate), SHARE),
            (
                "max_depth",
                (1..=16).contains(&self.max_depth),
                "must be 1 to 16",
            ),
            ("subsample", share(self.subsample), SHARE),
            (
                "early_stopping.fraction",
                fraction,
                "must be above 0 and below 1",
            ),
            ("early_stopping.patience", early(|e| e.patience >= 1), COUNT),
            ("min_child_weight", min_child_weight, PENALTY),
            (
                "min_samples",
                self.min_samples.is_none_or(|n| n >= 1),
                COUNT,
            ),
            ("lambda", self.lambda.is_none_or(penalty), PENALTY),
            ("colsample", self.colsample.is_none_or(share), SHARE),
            (
                "max_bin",
                self.max_bin.is_none_or(bins),
                "must be 2 to 65535",
            ),
            (
                "max_leaves",
                self.max_leaves.is_none_or(|n| n != 1),
                "must be 0 or at least 2",
            ),
            ("min_rows", self.min_rows.is_none_or(|n| n >= 1), COUNT),
            (
                "c",
                self.c.is_none_or(|c| c.is_finite() && c > 0.0),
                "must be above 0",
            ),
            ("alpha", self.alpha.is_none_or(penalty), PENALTY),
        ];
        match checks.into_iter().find(|(_, good, _)| !good) {
            None => Ok(()),
            Some((name, _, reason)) => Err(LearnError::Parameter {
                name,
                reason: reason.into(),
            }),
        }
    }
}
