//! The predictions of one fold's networks for the rows of one shard.

use flow_engine::kind::{Action, StageError};
use flow_stages::learner::objective;
use flow_stages::rows::{ApplyRows, FeatureView, applied_among};
use flow_stages::table::{Predictions, Sequences, row_attrs};

use super::APPLY_SEQUENCES;
use super::classes::add_unknown;
use super::fit::SavedClassifiers;
use super::params::{NetworkParams, UnknownClass};
use crate::fitting::{Application, Samples, SequenceSource};
use crate::kinds::device::device;
use crate::kinds::fit_params::FitParams;
use crate::kinds::host::fit_error;
use crate::kinds::preparation::sequences;

/// Applies the networks of the fold to the rows of the shard.
pub fn apply(action: &mut Action<'_>) -> Result<(), StageError> {
    let bytes = std::fs::read(&action.one("model")?.path)?;
    let saved = SavedClassifiers::from_bytes(&bytes)?;
    let rows = rows(action)?;
    let flat = probabilities(action, &saved, &rows)?;
    let n = rows.object_id.len();
    let known = saved.about.known;
    let mut classes = saved.about.names;
    // With a binary target the second column is the positive class, and only that one is kept.
    let first = known.saturating_sub(classes.len());
    let of_class = |class| (0..n).map(|row| flat[row * known + class]).collect();
    let mut probability: Vec<Vec<f64>> = (first..known).map(of_class).collect();
    if NetworkParams::read(action.params).class_99 == UnknownClass::Rest {
        add_unknown(&mut classes, &mut probability);
    }
    let part = Predictions {
        classes,
        positive: saved.about.positive,
        repeat: vec![0; n],
        fold: vec![None; n],
        label: vec![None; n],
        object_id: rows.object_id,
        probability,
    };
    let attrs = row_attrs(&part.object_id);
    let mut writer = action.create()?;
    part.write(&mut writer)?;
    action.finish("part", writer, attrs)
}

/// The port that the sequences come in through.
fn port(action: &Action<'_>) -> &'static str {
    match action.input(APPLY_SEQUENCES) {
        [] => "sequences",
        _ => APPLY_SEQUENCES,
    }
}

/// Reads the rows of the shard, of which there may be features, sequences or both.
fn rows(action: &Action<'_>) -> Result<ApplyRows, StageError> {
    let features = [ApplyRows::PORT, "features"];
    if features.iter().any(|port| !action.input(port).is_empty()) {
        return ApplyRows::read(action);
    }
    let here = match action.input(port(action)) {
        [part, ..] => Sequences::open(&part.path)?.object_ids().to_vec(),
        [] => Vec::new(),
    };
    let object_id = applied_among(action, &here)?;
    Ok(ApplyRows {
        features: FeatureView::open(&[], &object_id)?,
        object_id,
    })
}

/// Returns the mean probabilities of the networks, row after row with a column for each class.
fn probabilities(
    action: &Action<'_>,
    saved: &SavedClassifiers,
    rows: &ApplyRows,
) -> Result<Vec<f64>, StageError> {
    let (n, known) = (rows.object_id.len(), saved.about.known);
    let mut sums = vec![0.0; n * known];
    if n == 0 {
        return Ok(sums);
    }
    let sequences = sequences(action, port(action), &rows.object_id)?;
    if let Some(first) = sequences.as_ref().and_then(|rows| rows.first()) {
        saved.preparation.alike(first)?;
    }
    let features = saved.preparation.features(&rows.features)?;
    let shape = saved.preparation.shape(objective::outputs(known));
    let network = saved.network.build(shape.clone());
    let application = Application {
        forward: &|batch, pass| network.forward(batch, pass),
        samples: &Samples {
            shape: &shape,
            sequences: sequences.as_ref().map(|rows| rows as &dyn SequenceSource),
            factors: &saved.preparation.factors,
            features: &features,
            padded: saved.padded,
        },
        batch_size: FitParams::read(action.params).batch_size,
        device: &device(action.gpus),
        stop: &action.stop(),
    };
    for arrays in &saved.bag {
        let outputs = application.outputs(arrays, n);
        let outputs = outputs.map_err(|e| fit_error(e, action.fold.unwrap_or_default()))?;
        let p = objective::probabilities(&outputs, known);
        sums.iter_mut().zip(p).for_each(|(sum, p)| *sum += p);
    }
    let size = saved.bag.len() as f64;
    sums.iter_mut().for_each(|sum| *sum /= size);
    Ok(sums)
}
