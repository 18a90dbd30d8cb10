//! The parameters of a model, and the classes that it tells apart.

use flow_cache::Value;
use flow_engine::kind::{FromParam, StageError};
use flow_engine::{ParamType, params, words};

use crate::learner::{ClassWeight, EarlyStopping, LEARNERS, LearnerParams};
use crate::rows::{SAMPLE_ABOUT, TrainRows, binary_labels, sample_type};

/// The classes that a model has to tell apart.
#[derive(Clone, Copy, PartialEq)]
pub enum ModelTarget {
    /// The positive class from the rest.
    Binary,
    /// All classes from each other.
    Classes,
}

words!(ModelTarget { Binary = "binary", Classes = "classes" });

impl ModelTarget {
    /// The class of each row as a number, and how many classes there are.
    ///
    /// # Errors
    /// If the survey names no positive class, for a binary target.
    pub fn labels(self, rows: &TrainRows) -> Result<(Vec<usize>, usize), StageError> {
        match self {
            Self::Binary => Ok((binary_labels(rows)?, 2)),
            Self::Classes => Ok((rows.label.clone(), rows.classes.len())),
        }
    }

    /// The class of each of these labels as a number. Labels are places in the list of classes of `rows`.
    pub fn numbers(self, rows: &TrainRows, labels: &[usize]) -> Vec<usize> {
        let positive = rows.positive.as_ref();
        let positive = positive.and_then(|class| rows.classes.binary_search(class).ok());
        let number = |&label: &usize| match self {
            Self::Binary => usize::from(Some(label) == positive),
            Self::Classes => label,
        };
        labels.iter().map(number).collect()
    }
}

const HESS: &[&str] = &["hessboost"];
const BOOSTED: &[&str] = &["hessboost", "gbdt"];
/// The parameter whose values bring the defaults of other programs, and these values.
const PRESET: &str = "preset";
const LIGHTGBM: &str = "lightgbm";
const XGBOOST: &str = "xgboost";

params! {
    /// The parameters of a model.
    pub struct ModelParams<'a> {
        learner: &'a str = choice(LEARNERS[0], &LEARNERS, "Gradient-boosted trees: `hessboost` (histograms, missing values learned) or `gbdt` (exact splits, one thread, at most 2,000 columns, missing values imputed by the median). Linear, on standardised columns whose missing values are imputed by the median within the fit: `logistic` (multinomial) or `ridge` (one class against the rest, turned into probabilities).");
        preset: Option<&'a str> = new(ParamType::Choice(&[LIGHTGBM, XGBOOST]), "Take the defaults of LightGBM (trees that grow leaf by leaf) or of XGBoost (level by level) for all parameters that are not given.").optional().unkeyed().only("learner", HESS);
        target: ModelTarget = word(ModelTarget::Binary, "Learn the positive class against the rest, or all classes at once (P(positive) is then what binary metrics see).");
        rounds: usize = int(150, 1, 100_000, "Boosting rounds; with early stopping, the most there may be.").with(PRESET, LIGHTGBM, 100).with(PRESET, XGBOOST, 100).only("learner", BOOSTED);
        learning_rate: f64 = float(0.05, 1e-6, 1.0, "Shrinkage of each tree.").with(PRESET, LIGHTGBM, 0.1).with(PRESET, XGBOOST, 0.3).only("learner", BOOSTED);
        max_depth: usize = int(4, 1, 16, "Levels of splits in a tree.").with(PRESET, LIGHTGBM, 16).with(PRESET, XGBOOST, 6).only("learner", BOOSTED);
        subsample: f64 = float(1.0, 0.01, 1.0, "Share of the rows that each round draws.").only("learner", BOOSTED);
        scale_pos_weight: ClassWeight = new(class_weight(), "Weight of the positive class, or \"auto\" for n_negative / n_positive (with classes, n / (k n_class)).").or("none".into());
        sample: Option<usize> = new(sample_type(), SAMPLE_ABOUT).optional();
        bags: Option<usize> = new(ParamType::Int { min: 1, max: 100 }, "Models that are fitted with other seeds, whose probabilities are averaged; 1 unless given.").optional().only("learner", BOOSTED);
        early_stopping: usize = int(0, 0, 100_000, "Rounds without improvement after which fitting stops, judged on a part of the training rows; 0 for never. The model is then fitted anew on all of them.").only("learner", BOOSTED);
        early_stopping_fraction: f64 = float(0.2, 0.01, 0.9, "Share of the training rows that early stopping is judged on.").only("learner", BOOSTED);
        colsample: Option<f64> = float(1.0, 0.0001, 1.0, "Share of the columns that each tree may split on, drawn anew for each tree (with classes, each class has its own trees); rounded down, at least one column.").only("learner", HESS);
        max_bin: Option<usize> = int(64, 2, 65_535, "Most histogram bins a column.").with(PRESET, LIGHTGBM, 255).with(PRESET, XGBOOST, 256).only("learner", HESS);
        lambda: Option<f64> = float(1.0, 0.0, 1e9, "L2 penalty on leaf values.").with(PRESET, LIGHTGBM, 0.0).only("learner", HESS);
        max_leaves: Option<usize> = new(ParamType::Int { min: 0, max: 65_536 }, "Most leaves of a tree, which then grows leaf by leaf where the loss falls most; 0, as if not given, for trees that grow level by level. `max_depth` limits both.").optional().with(PRESET, LIGHTGBM, 31).only("learner", HESS);
        min_rows: Option<usize> = new(ParamType::Int { min: 1, max: 1_000_000 }, "Fewest rows in a leaf; 1 unless given.").optional().with(PRESET, LIGHTGBM, 20).only("learner", HESS);
        extra_trees: Option<bool> = new(ParamType::Bool, "Try each column at one random threshold per node, and not at all of them. Single trees get worse, the sum of many less dependent on the training rows; false unless given.").optional().only("learner", HESS);
        min_child_weight: Option<f64> = float(1.0, 0.0, 1e9, "Least sum of second derivatives in a leaf.").with(PRESET, LIGHTGBM, 0.001).only("learner", HESS);
        pseudo_rounds: Option<usize> = new(ParamType::Int { min: 1, max: 20 }, "Rounds of self-training: how often the model labels the rows of the input `unlabelled` and is fitted anew with those that it is sure of; 1 unless given.").optional();
        pseudo_confidence: Option<f64> = new(ParamType::Float { min: 0.5, max: 1.0 }, "The probability of its class from which on an unlabelled row counts as one of that class; 0.95 unless given.").optional();
        min_samples: Option<usize> = int(5, 1, 1_000_000, "A node of this many rows or fewer is not split.").only("learner", &["gbdt"]);
        c: Option<f64> = float(1.0, 1e-9, 1e9, "What the loss of the rows counts against the penalty; less makes coefficients smaller.").only("learner", &["logistic"]);
        alpha: Option<f64> = new(ParamType::Float { min: 1e-9, max: 1e12 }, "L2 penalty on coefficients; unless given, the one of .001, .01, ..., 100,000 that is best for left-out training rows.").optional().only("learner", &["ridge"]);
    }
}

fn class_weight() -> ParamType {
    let (min, max) = (1e-9, 1e9);
    ParamType::OneOf(vec![
        ParamType::Choice(&["none", "auto"]),
        ParamType::Float { min, max },
    ])
}

impl<'a> FromParam<'a> for ClassWeight {
    fn absent() -> Self {
        Self::None
    }

    fn fits(ty: &ParamType) -> bool {
        *ty == class_weight()
    }

    fn from_value(value: &'a Value) -> Option<Self> {
        match value.as_str() {
            Some("none") => Some(Self::None),
            Some("auto") => Some(Self::Auto),
            _ => value.as_float().map(Self::Value),
        }
    }
}

impl ModelParams<'_> {
    /// Returns the parameters as the learner takes them.
    pub fn for_learner(&self, seed: u64) -> LearnerParams {
        let params = LearnerParams {
            class_weight: self.scale_pos_weight,
            seed,
            min_child_weight: self.min_child_weight,
            min_samples: self.min_samples,
            lambda: self.lambda,
            colsample: self.colsample,
            max_bin: self.max_bin,
            max_leaves: self.max_leaves,
            min_rows: self.min_rows,
            extra_trees: self.extra_trees,
            c: self.c,
            alpha: self.alpha,
            ..LearnerParams::default()
        };
        if !BOOSTED.contains(&self.learner) {
            return params;
        }
        LearnerParams {
            rounds: self.rounds,
            learning_rate: self.learning_rate,
            max_depth: self.max_depth,
            subsample: self.subsample,
            early_stopping: (self.early_stopping > 0).then_some(EarlyStopping {
                fraction: self.early_stopping_fraction,
                patience: self.early_stopping,
            }),
            ..params
        }
    }
}
