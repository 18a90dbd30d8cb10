//! What the store has of an evaluation.

use std::collections::BTreeMap;

use flow_engine::StageError;
use flow_stages::evaluation::HiddenRows;
use flow_stages::inspection::{Inspected, Inspection, ObjectFacts};
use flow_stages::table::{Curves, Folds, Objects, Predictions, Truth};
use serde_json::Value as Json;

use crate::report::Recorded;

/// What there is of an evaluation.
pub struct EvaluationFiles {
    /// What it reported, by metric.
    pub metrics: Json,
    /// Its rows, looked at in detail; `None` if they are lost or cannot be scored.
    pub inspection: Option<Inspection>,
    /// Why there is no inspection.
    pub lost: String,
}

/// The port of `evaluate_new` with the classes of objects whose labels are hidden.
const TRUTH: &str = "truth";

/// The facts of objects by name, by the stage that has them.
pub type KnownFacts = BTreeMap<String, BTreeMap<String, ObjectFacts>>;

impl EvaluationFiles {
    /// Reads an evaluation. `known` keeps what is read of light curves.
    ///
    /// # Errors
    /// If the store cannot be read, or a file in it does not fit.
    pub fn read(
        run: &Recorded<'_>,
        stage: &str,
        known: &mut KnownFacts,
    ) -> Result<Self, StageError> {
        let metrics = json(run, stage, "metrics")?;
        let lost = |what: &str| {
            format!(
                "{what}, so there are no curves of `{stage}`. The command under \"Repeat it\" makes them again."
            )
        };
        let none = |why: String| Self {
            metrics: metrics.clone(),
            inspection: None,
            lost: why,
        };
        let Some((from, port)) = run.inputs(stage, "predictions").first().copied() else {
            return Ok(none(lost(
                "The record of this run does not say what was scored",
            )));
        };
        let parts = run.parts(from, port)?;
        let Some([part]) = parts.as_deref() else {
            return Ok(none(lost("The store no longer has the predictions")));
        };
        let (predictions, folds) = match run.inputs(stage, TRUTH).first().copied() {
            None => (
                Predictions::read_out_of_fold(&part.path)?,
                folds(run, stage)?,
            ),
            Some((from, port)) => {
                let parts = run.parts(from, port)?;
                let Some([truth]) = parts.as_deref() else {
                    return Ok(none(lost("The store no longer has the true classes")));
                };
                let hidden = HiddenRows::read(&part.path, &Truth::read(&truth.path)?)?;
                (hidden.predictions, None)
            }
        };
        let threshold = json(run, stage, "threshold")?;
        let inspected = Inspected {
            predictions: &predictions,
            folds: folds.as_ref(),
            threshold: threshold.get("threshold").and_then(Json::as_f64),
            facts: facts(run, stage, known)?,
        };
        Ok(match Inspection::of(&inspected) {
            Ok(inspection) => Self {
                metrics,
                inspection: Some(inspection),
                lost: String::new(),
            },
            Err(error) => none(lost(&format!(
                "The predictions cannot be scored: {}",
                error.message
            ))),
        })
    }
}

/// The JSON of a port; empty if there is none, or the store no longer has it.
fn json(run: &Recorded<'_>, stage: &str, port: &str) -> Result<Json, StageError> {
    let bytes = run.bytes(stage, port)?;
    let json = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    Ok(json.unwrap_or(Json::Null))
}

/// The table of folds that a stage comes from.
fn folds(run: &Recorded<'_>, stage: &str) -> Result<Option<Folds>, StageError> {
    let above = run.upstream(stage).into_iter();
    let Some(folds) = above
        .into_iter()
        .find(|above| run.kind(above) == Some("folds"))
    else {
        return Ok(None);
    };
    match run.parts(folds, "folds")?.as_deref() {
        Some([part]) => Folds::labelled(&part.path).map(Some),
        _ => Ok(None),
    }
}

/// Kinds whose light curves are not of the objects that are scored.
const COPIES: &str = "augment";

/// What is known of the objects: from the light curves that the models saw, or else from the table of objects.
fn facts<'k>(
    run: &Recorded<'_>,
    stage: &str,
    known: &'k mut KnownFacts,
) -> Result<&'k BTreeMap<String, ObjectFacts>, StageError> {
    let above = run.upstream(stage);
    let with = |port: &'static str| {
        let above = above.iter().filter(|above| run.kind(above) != Some(COPIES));
        let mut having = above.filter(move |above| run.port(above, port).is_some());
        having.next().map(|above| ((*above).to_owned(), port))
    };
    for (from, port) in [with("curves"), with("objects")].into_iter().flatten() {
        if known.contains_key(&from) {
            return Ok(known.entry(from).or_default());
        }
        let Some(parts) = run.parts(&from, port)? else {
            continue;
        };
        let mut all = BTreeMap::new();
        for part in parts {
            all.append(&mut match port {
                "curves" => ObjectFacts::of_curves(&Curves::read(&part.path)?),
                _ => ObjectFacts::of_objects(&Objects::read(&part.path)?),
            });
        }
        return Ok(known.entry(from).or_insert(all));
    }
    Ok(known.entry(String::new()).or_default())
}
