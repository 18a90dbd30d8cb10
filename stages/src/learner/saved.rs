//! A model as bytes: one line of JSON that says what it is, and the learners' own bytes.

use serde::{Deserialize, Serialize};

use super::bag::Bag;
use super::{LearnError, learner};

/// The line of JSON before the learner's own bytes.
#[derive(Serialize, Deserialize)]
pub struct ModelHeader {
    /// The name of the learner.
    pub learner: String,
    /// The classes, by column of probabilities; with a binary target only the positive class.
    pub classes: Vec<String>,
    /// The class that binary metrics score.
    pub positive: Option<String>,
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The number of boosting rounds; 0 for a linear model.
    pub rounds: usize,
    /// The numbers of bytes of the models of a bag, in their order; empty for a model by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bag: Vec<usize>,
}

/// A model that was read, and what it is.
pub struct SavedModel {
    /// What it is.
    pub header: ModelHeader,
    /// What predicts.
    pub model: Bag,
}

impl ModelHeader {
    /// Reads the header of a model. Returns the learner's own bytes as well.
    ///
    /// # Errors
    /// [`LearnError::Model`] if the bytes do not begin with a header.
    pub fn read(bytes: &[u8]) -> Result<(Self, &[u8]), LearnError> {
        let split = bytes.iter().position(|&b| b == b'\n');
        let split = split.ok_or_else(|| LearnError::Model("it has no header".into()))?;
        let header = serde_json::from_slice(&bytes[..split]);
        Ok((
            header.map_err(|e| LearnError::Model(e.into()))?,
            &bytes[split + 1..],
        ))
    }

    /// Writes a model with this header, whose `bag` is set here.
    ///
    /// # Errors
    /// As for [`super::Model::to_bytes`].
    pub fn write(&mut self, model: &Bag) -> Result<Vec<u8>, LearnError> {
        let bodies = model.to_bytes()?;
        let sizes = bodies.iter().map(Vec::len);
        self.bag = sizes.filter(|_| bodies.len() > 1).collect();
        let mut bytes = serde_json::to_vec(self).map_err(|e| LearnError::Library(e.into()))?;
        bytes.push(b'\n');
        bytes.extend(bodies.iter().flatten());
        Ok(bytes)
    }
}

impl SavedModel {
    /// Reads what [`ModelHeader::write`] wrote.
    ///
    /// # Errors
    /// [`LearnError::Model`] if the bytes are not such a model.
    pub fn read(bytes: &[u8]) -> Result<Self, LearnError> {
        let refuse = |reason: String| LearnError::Model(reason.into());
        let (header, mut rest) = ModelHeader::read(bytes)?;
        let mut bodies = Vec::with_capacity(header.bag.len().max(1));
        for &size in &header.bag {
            let cut = rest.split_at_checked(size);
            let (body, after) = cut.ok_or_else(|| refuse("it ends too early".into()))?;
            bodies.push(body);
            rest = after;
        }
        if bodies.is_empty() {
            bodies.push(rest);
        }
        let name = &header.learner;
        let learner =
            learner(name).ok_or_else(|| refuse(format!("learner `{name}` is not known")))?;
        let model = Bag::load(learner, &bodies)?;
        Ok(SavedModel { header, model })
    }

    /// The index of the class `name` among the classes of the model, of which the binary ones are the rest
    /// and the positive class.
    pub fn class(&self, name: &str) -> Option<usize> {
        let at = self.header.classes.iter().position(|class| class == name)?;
        Some(at + self.first())
    }

    /// The first class that has a column of probabilities: with a binary target, only the positive class is
    /// kept.
    pub fn first(&self) -> usize {
        let classes = self.header.classes.len();
        self.model.n_classes().saturating_sub(classes)
    }
}
