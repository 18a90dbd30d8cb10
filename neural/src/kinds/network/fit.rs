//! The fit of one fold.

use flow_engine::kind::{Action, StageError};
use flow_stages::learner::objective;
use serde::{Deserialize, Serialize};

use super::known::KnownRows;
use super::params::NetworkParams;
use super::sizes;
use crate::fitting::{ClassTask, Samples};
use crate::kinds::fit_params::FitParams;
use crate::kinds::host::{BagFit, refuse, write};
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
    let rows = KnownRows::read(action)?;
    let shape = rows
        .preparation
        .shape(objective::outputs(rows.classes.count));
    let spec = sizes::network(action.params)?;
    let network = spec.build(shape.clone());
    refuse(network.misfits(&shape))?;
    let labels = &rows.classes.labels;
    let bag = BagFit {
        action,
        params: &FitParams::read(action.params),
        size: params.bags,
        samples: &Samples {
            shape: &shape,
            sequences: rows.source(),
            factors: &rows.preparation.factors,
            features: &rows.features,
            padded: !params.mask,
        },
        task: &ClassTask {
            network: &*network,
            losses: sizes::losses(&params, &rows.classes),
            classes: labels,
        },
        classes: (&labels[..rows.count], rows.classes.count),
        copies: &rows.copies,
    }
    .fit()?;
    let about = OutputClasses {
        names: rows.classes.names,
        positive: rows.positive,
        known: rows.classes.count,
    };
    let saved = SavedClassifiers::new((spec, about), !params.mask, rows.preparation, &bag);
    write(
        action,
        &saved.to_bytes()?,
        &bag,
        (rows.count, rows.copies.len()),
    )
}
