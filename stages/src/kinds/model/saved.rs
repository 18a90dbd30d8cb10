//! A model as bytes: one line of JSON, and the learner's own bytes.

use std::error::Error;

use flow_engine::kind::StageError;

use crate::learner::bag::Bag;
use crate::learner::learner;

/// The header before the learner's own bytes in a model, as one line of JSON.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct ModelHeader {
    pub learner: String,
    /// The classes, by column of probabilities; with a binary target only the positive class.
    pub classes: Vec<String>,
    pub positive: Option<String>,
    pub columns: Vec<String>,
    pub rounds: usize,
    /// The numbers of bytes of the models of a bag, in their order; empty for a model by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bag: Vec<usize>,
}

/// Reads a model that a fit wrote.
///
/// # Errors
/// If the bytes are not such a model.
pub fn read_model(bytes: &[u8]) -> Result<(ModelHeader, Bag), StageError> {
    let unreadable = |e: Box<dyn Error + Send + Sync>| {
        StageError::data("flow::data::schema", "a model is unreadable").because(e)
    };
    let split = bytes
        .iter()
        .position(|&b| b == b'\n')
        .ok_or_else(|| unreadable("it has no header".into()))?;
    let header: ModelHeader =
        serde_json::from_slice(&bytes[..split]).map_err(|e| unreadable(e.into()))?;
    let mut rest = &bytes[split + 1..];
    let mut bodies = Vec::with_capacity(header.bag.len().max(1));
    for &size in &header.bag {
        let (body, after) = rest
            .split_at_checked(size)
            .ok_or_else(|| unreadable("it ends too early".into()))?;
        bodies.push(body);
        rest = after;
    }
    if bodies.is_empty() {
        bodies.push(rest);
    }
    let learner = learner(&header.learner)
        .ok_or_else(|| unreadable(format!("learner `{}` is not known", header.learner).into()))?;
    let model = Bag::load(learner, &bodies).map_err(|e| unreadable(e.into()))?;
    Ok((header, model))
}
