//! The learner `hessboost`: histogram gradient boosting by the crate of that name, the default.
//!
//! The crate grows the trees. The loss is ours ([`super::objective`]), and the model gives margins that
//! our sigmoid and softmax turn into probabilities. The crate's own objectives are not used because
//! their AVX2 exponential differs in the last bits from the scalar one. The crate then only does
//! comparisons, integer counts and sums in an order that depends on the row count alone.
//!
//! Missing values need no imputation: every split learns to which side they go.

use super::ensemble::{MarginLink, TreeEnsemble};
use super::objective::{self, ClassLoss};
use super::{EarlyStopping, FitJob, LearnError, Learner, LearnerParams, Matrix, Model, Stop};
use super::{check_width, class_counts, shares, split, xgboost};
use ::hessboost::config::{ExtraTrees, GrowPolicy, TrainingParams};
use ::hessboost::data::DMatrix;
use ::hessboost::error::HessboostError;
use ::hessboost::metric::{CustomMetric, EvalMetric};
use ::hessboost::model::{BoostedModel, ImportanceType, Iterations, ModelFormat};
use ::hessboost::objective::{CustomLoss, GradPair, Objective as Loss};
use ::hessboost::training::{RoundEval, Trainer};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;

/// The name of our loss in the model's bytes.
const LOSS: &str = "flow:logistic";

/// The learner `hessboost`; see the module's documentation.
pub struct HessBoost;

impl Learner for HessBoost {
    fn name(&self) -> &'static str {
        "hessboost"
    }

    /// `min_child_weight` 1, `lambda` 1, `colsample` 1, `max_bin` 64 (more bins cost more than they
    /// give at a few thousand rows), trees that grow level by level, leaves of one row or more, and the best
    /// thresholds.
    fn defaults(&self) -> LearnerParams {
        LearnerParams {
            min_child_weight: Some(1.0),
            lambda: Some(1.0),
            colsample: Some(1.0),
            max_bin: Some(64),
            max_leaves: Some(0),
            min_rows: Some(1),
            extra_trees: Some(false),
            ..LearnerParams::default()
        }
    }

    fn fit(&self, job: &FitJob<'_>) -> Result<Box<dyn Model>, LearnError> {
        let params = job.params.resolve(self)?;
        let counts = class_counts(job)?;
        let objective = ClassLoss::new(params.class_weight.resolve(&counts)?);
        let labels: Vec<f32> = job.y.iter().map(|&class| class as f32).collect();
        let data = DMatrix::from_dense_shared(job.x.shared(), job.x.rows(), job.x.cols(), f32::NAN)
            .and_then(|data| data.with_labels(&labels))
            .and_then(|data| match params.min_rows {
                // The crate counts groups in a leaf. If each row is a group, it counts rows.
                Some(2..) => data.with_split_groups(&(0..job.x.rows() as u64).collect::<Vec<_>>()),
                _ => Ok(data),
            })
            .map_err(failed)?;
        let settings = settings(&params, &objective, &counts, job.threads)?;
        let search = RoundSearch {
            job,
            data: &data,
            settings: &settings,
            params: &params,
            objective: &objective,
        };
        let rounds = match params.early_stopping {
            None => params.rounds,
            Some(early) => search.best_rounds(early)?,
        };
        let model = train(Trainer::new(&settings, &data, rounds), job.stop)?;
        let n_classes = job.n_classes;
        Ok(Box::new(HessModel { model, n_classes }))
    }

    fn load(&self, bytes: &[u8]) -> Result<Box<dyn Model>, LearnError> {
        let model = BoostedModel::decode(bytes, ModelFormat::Binary)
            .map_err(|error| LearnError::Model(error.into()))?;
        if model.objective().name() != LOSS {
            let reason = format!("its loss is `{}`", model.objective().name());
            return Err(LearnError::Model(reason.into()));
        }
        let n_classes = model.n_outputs().max(2);
        Ok(Box::new(HessModel { model, n_classes }))
    }
}

/// The crate's parameters for ours, which are resolved.
fn settings(
    params: &LearnerParams,
    objective: &ClassLoss,
    counts: &[usize],
    threads: usize,
) -> Result<TrainingParams, LearnError> {
    let gradients = objective.clone();
    let loss = CustomLoss::new(LOSS, objective.outputs(), move |margins, y, _, out| {
        gradients.derivatives(margins, y, |at, g, h| {
            out[at] = GradPair::new(g as f32, h as f32);
        });
    })
    .with_base_margin(objective.base_margin(counts) as f32)
    // The metric is never looked at, but it must accept this many margins for each row. The root mean
    // square accepts only one.
    .with_default_metric(match objective.outputs() {
        1 => EvalMetric::Rmse,
        _ => EvalMetric::MError,
    });
    let mut builder = TrainingParams::builder()
        .objective(Loss::custom(loss))
        .nthread(threads.max(1))
        .seed(params.seed)
        .eta(params.learning_rate)
        .max_depth(params.max_depth)
        .subsample(params.subsample);
    if let Some(weight) = params.min_child_weight {
        builder = builder.min_child_weight(weight);
    }
    if let Some(lambda) = params.lambda {
        builder = builder.lambda(lambda);
    }
    if let Some(share) = params.colsample {
        builder = builder.colsample_bytree(share);
    }
    if let Some(bins) = params.max_bin {
        builder = builder.max_bin(bins);
    }
    if let Some(leaves @ 1..) = params.max_leaves {
        builder = builder
            .grow_policy(GrowPolicy::LossGuide)
            .max_leaves(leaves);
    }
    if let Some(rows) = params.min_rows {
        builder = builder.min_child_groups(rows);
    }
    if params.extra_trees == Some(true) {
        builder = builder.extra_trees(ExtraTrees::with_seed(params.seed));
    }
    builder.build().map_err(failed)
}

/// Runs the crate, so that it can be stopped between two rounds.
fn train(trainer: Trainer<'_>, stop: Stop<'_>) -> Result<BoostedModel, LearnError> {
    let mut stopped = false;
    let after_round = |_: RoundEval<'_>| {
        stopped = stop();
        match stopped {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    };
    let trained = trainer.on_round(after_round).train().map_err(failed)?;
    match stopped {
        true => Err(LearnError::Stopped),
        false => Ok(trained.model),
    }
}

/// Everything that a fit with early stopping needs besides the held-out rows.
struct RoundSearch<'a> {
    job: &'a FitJob<'a>,
    data: &'a DMatrix,
    settings: &'a TrainingParams,
    params: &'a LearnerParams,
    objective: &'a ClassLoss,
}

impl RoundSearch<'_> {
    /// Returns the round count with the lowest log-loss on held-out rows (see [`EarlyStopping`]).
    fn best_rounds(&self, early: EarlyStopping) -> Result<usize, LearnError> {
        let objective = self.objective;
        let n_classes = objective.n_classes();
        let (kept, held) = split::holdout(self.job.y, n_classes, early.fraction, self.params.seed)?;
        let kept = self.data.select_rows(&kept).map_err(failed)?;
        let held = self.data.select_rows(&held).map_err(failed)?;
        let loss = objective.clone();
        let metric = CustomMetric::new("flow:log_loss", false, move |margins, y, _| {
            let p = objective::probabilities(margins, n_classes);
            loss.log_loss(&p, y.iter().map(|&label| label as usize))
        });
        let patience = NonZeroUsize::new(early.patience).unwrap_or(NonZeroUsize::MIN);
        let trainer = Trainer::new(self.settings, &kept, self.params.rounds)
            .eval(&held, "held out")
            .early_stopping_rounds(patience)
            .custom_metric(Box::new(metric));
        let best = train(trainer, self.job.stop)?.best_iteration();
        Ok(best.map_or(1, |best| best + 1))
    }
}

/// A fitted model of the crate.
struct HessModel {
    model: BoostedModel,
    n_classes: usize,
}

impl Model for HessModel {
    fn predict(&self, x: &Matrix) -> Result<Vec<f64>, LearnError> {
        check_width(x, self.model.n_features())?;
        // The pool has one thread. Outside any pool the crate would start the process-wide one, whose
        // size comes from the environment.
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .map_err(|error| LearnError::Library(error.into()))?;
        let margins = pool
            .install(|| self.model.predict_margin_rows(x.values(), Iterations::Best))
            .map_err(failed)?;
        Ok(objective::probabilities(margins.as_slice(), self.n_classes))
    }

    fn to_bytes(&self) -> Result<Vec<u8>, LearnError> {
        self.model.encode(ModelFormat::Binary).map_err(failed)
    }

    fn importance(&self) -> Vec<f64> {
        let mut gain = vec![0.0; self.model.n_features()];
        for (column, total) in self.model.feature_importance(ImportanceType::TotalGain) {
            gain[column] = total;
        }
        shares(gain)
    }

    fn rounds(&self) -> usize {
        self.model.num_boost_rounds()
    }

    fn n_classes(&self) -> usize {
        self.n_classes
    }

    fn ensemble(&self) -> Option<TreeEnsemble> {
        let link = match self.n_classes {
            2 => MarginLink::Logistic(1.0),
            _ => MarginLink::Softmax,
        };
        xgboost::ensemble(&self.model, link).ok()
    }
}

/// Wraps an error of the crate. Our own checks come first, so any error that is left is unexpected.
fn failed(error: HessboostError) -> LearnError {
    LearnError::Library(error.into())
}
