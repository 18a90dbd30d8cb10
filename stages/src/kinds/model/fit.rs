//! The fit of one fold.

use flow_cache::Value;
use flow_engine::kind::{Action, Fault, StageError};

use super::more::{LabelledRows, SelfTraining};
use super::params::{ModelParams, ModelTarget};
use crate::learner::bag::Bag;
use crate::learner::saved::ModelHeader;
use crate::learner::{FitJob, LearnError, learner};
use crate::rows::{TrainRows, sample_note};

/// Fits a model on the training rows of the fold.
pub fn fit(action: &mut Action<'_>) -> Result<(), StageError> {
    let params = ModelParams::read(action.params);
    let rows = TrainRows::sampled(action, params.sample)?;
    let (labels, n_classes) = params.target.labels(&rows)?;
    let classes = match params.target {
        ModelTarget::Binary => rows.positive.iter().cloned().collect(),
        ModelTarget::Classes => rows.classes.clone(),
    };
    let known = LabelledRows::of(action, &rows, (params.target, labels))?;
    let training = SelfTraining::of(action, rows.features.names(), &params)?;
    let learner = learner(params.learner).ok_or_else(|| {
        let message = format!("no learner `{}`", params.learner);
        StageError::failed("flow::model::learner", message)
    })?;
    let job = FitJob {
        x: &known.x,
        y: &known.y,
        n_classes,
        params: &params.for_learner(action.seed),
        threads: action.threads,
        stop: &action.stop(),
    };
    let bags = params.bags.unwrap_or(1);
    let failed = |e| fit_error(e, action.fold.unwrap_or_default());
    let model = Bag::fit(learner, &job, bags).map_err(failed)?;
    let (model, pseudo_labelled) = match &training {
        None => (model, None),
        Some(training) => {
            let trained = training.go_on(model, &known, (learner, job, bags));
            let (model, labelled) = trained.map_err(failed)?;
            (model, Some(labelled))
        }
    };
    let mut header = ModelHeader {
        learner: learner.name().into(),
        classes,
        positive: rows.positive.clone(),
        columns: rows.features.names().to_vec(),
        rounds: model.rounds(),
        bag: Vec::new(),
    };
    let bytes = header
        .write(&model)
        .map_err(|e| StageError::failed("flow::model::write", e.to_string()).with_source(e))?;
    let mut facts = facts(&[
        ("columns", Some(header.columns.len())),
        ("rounds", Some(header.rounds)),
        ("rows", Some(rows.object_id.len())),
        (
            "training_rows",
            (rows.of > rows.object_id.len()).then_some(rows.of),
        ),
        ("copies", (known.copies > 0).then_some(known.copies)),
        ("pseudo_labelled", pseudo_labelled),
    ]);
    facts.extend(sample_note(action, rows.object_id.len(), rows.of));
    action.write("model", &bytes, facts)?;
    write_gain(action, &header.columns, &model.importance())
}

/// Writes the columns with a gain, and their gains.
fn write_gain(action: &mut Action<'_>, columns: &[String], gain: &[f64]) -> Result<(), StageError> {
    let used = columns.iter().zip(gain);
    let gain: Vec<_> = used.filter(|(_, gain)| **gain > 0.0).collect();
    let gain = serde_json::to_vec(&gain).map_err(std::io::Error::from)?;
    action.write("gain", &gain, Vec::new())
}

/// The counts that there are, as attributes.
fn facts(counts: &[(&str, Option<usize>)]) -> Vec<(String, Value)> {
    let fact = |(name, count): &(&str, Option<usize>)| {
        Some(((*name).to_owned(), Value::Int((*count)? as i64)))
    };
    counts.iter().filter_map(fact).collect()
}

/// Says in which fold a learner could not fit, and whose fault it is.
pub fn fit_error(error: LearnError, fold: &str) -> StageError {
    let fault = match error {
        LearnError::Stopped => return StageError::interrupted(),
        LearnError::Unsupported { .. } | LearnError::Parameter { .. } | LearnError::Data(_) => {
            Fault::Data
        }
        _ => Fault::Stage,
    };
    StageError::new(fault, "flow::model::fit", format!("fold {fold}")).because(error)
}
