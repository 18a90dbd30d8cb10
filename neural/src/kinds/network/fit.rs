//! The fit of one fold.

use flow_engine::kind::{Action, StageError};
use flow_stages::learner::objective;
use flow_stages::rows::TrainRows;
use serde::{Deserialize, Serialize};

use super::classes::KnownClasses;
use super::params::NetworkParams;
use super::sizes;
use crate::fitting::{ClassTask, Samples, SequenceSource};
use crate::kinds::fit_params::FitParams;
use crate::kinds::host::{BagFit, refuse, write};
use crate::kinds::preparation::{Preparation, sequences};
use crate::kinds::saved::SavedNetworks;
use crate::network::ArchitectureSpec;

/// What the outputs of networks are.
#[derive(Serialize, Deserialize)]
pub struct OutputClasses {
    /// The classes that have a column of probabilities: with a binary target the positive one.
    pub names: Vec<String>,
    /// The class that binary metrics score.
    pub positive: Option<String>,
    /// The number of classes that are told apart.
    pub known: usize,
}

/// The networks of a fold.
pub type SavedClassifiers = SavedNetworks<ArchitectureSpec, OutputClasses>;

/// Fits networks on the training rows of the fold.
pub fn fit(action: &mut Action<'_>) -> Result<(), StageError> {
    let params = NetworkParams::read(action.params);
    let fit = FitParams::read(action.params);
    let rows = TrainRows::read(action)?;
    let known = KnownClasses::of(&rows, params.target, params.class_99)?;
    let sequences = sequences(action, "sequences", &rows.object_id)?;
    let preparation = Preparation::fit(&rows.features, sequences.as_ref(), fit.flux_scale)?;
    let features = preparation.features(&rows.features)?;
    let shape = preparation.shape(objective::outputs(known.count));
    let spec = sizes::network(action.params)?;
    let network = spec.build(shape.clone());
    refuse(network.misfits(&shape))?;
    let bag = BagFit {
        action,
        params: &fit,
        size: params.bags,
        samples: &Samples {
            shape: &shape,
            sequences: sequences.as_ref().map(|rows| rows as &dyn SequenceSource),
            factors: &preparation.factors,
            features: &features,
            padded: !params.mask,
        },
        task: &ClassTask {
            network: &*network,
            losses: sizes::losses(&params, &known),
            classes: &known.labels,
        },
        classes: (&known.labels, known.count),
    }
    .fit()?;
    let about = OutputClasses {
        names: known.names,
        positive: rows.positive,
        known: known.count,
    };
    let saved = SavedClassifiers::new((spec, about), !params.mask, preparation, &bag);
    write(action, &saved.to_bytes()?, &bag, rows.object_id.len())
}
