//! The fit of one fold.

use burn::tensor::Tensor;
use flow_engine::Params;
use flow_engine::kind::{Action, Rows, StageError};
use flow_stages::rows::{FeatureView, of_action};

use super::params::{AutoencoderParams, FitScope};
use crate::fitting::{Outcome, Samples, SequenceSource, Task};
use crate::kinds::fit_params::FitParams;
use crate::kinds::host::{BagFit, refuse, write};
use crate::kinds::preparation::{Preparation, sequences};
use crate::kinds::saved::SavedNetworks;
use crate::network::{Autoencoder, AutoencoderSpec, Batch, Pass};

/// The autoencoder of a fold.
pub type SavedAutoencoder = SavedNetworks<AutoencoderSpec, ()>;

/// Learns to reconstruct the fluxes of rows.
struct Reconstruction(Autoencoder);

impl Task for Reconstruction {
    fn outcome(&self, _rows: &[usize], batch: &Batch, pass: &mut Pass<'_>) -> Outcome {
        let loss: Tensor<1> = self.0.loss(batch, pass);
        Outcome {
            loss,
            outputs: None,
        }
    }

    fn score(&self, _rows: &[usize], _outputs: &[f32]) -> Option<f64> {
        None
    }
}

/// Fits an autoencoder on the training rows of the fold, and on those without a label if they are to be seen as well.
pub fn fit(action: &mut Action<'_>) -> Result<(), StageError> {
    let fit = FitParams::read(action.params);
    let objects = objects(action)?;
    let rows = sequences(action, "sequences", &objects)?;
    let none = FeatureView::open(&[], &objects)?;
    let preparation = Preparation::fit(&none, rows.as_ref(), fit.flux_scale)?;
    let shape = preparation.shape(0);
    let spec = spec(action.params);
    let network = Autoencoder::new(spec.clone(), &shape);
    refuse(network.misfits(&shape))?;
    // Without labels, rows of one class are held out at random.
    let classes = vec![0; objects.len()];
    let bag = BagFit {
        action,
        params: &fit,
        size: 1,
        samples: &Samples {
            shape: &shape,
            sequences: rows.as_ref().map(|rows| rows as &dyn SequenceSource),
            factors: &preparation.factors,
            features: &[],
            padded: false,
        },
        task: &Reconstruction(network),
        classes: (&classes, 1),
        copies: &[],
    }
    .fit()?;
    let saved = SavedAutoencoder::new((spec, ()), false, preparation, &bag);
    write(action, &saved.to_bytes()?, &bag, (objects.len(), 0))
}

/// The rows that are fitted on, in the order of their bytes.
fn objects(action: &Action<'_>) -> Result<Vec<String>, StageError> {
    let with_role = |role| {
        let (folds, wanted) = of_action(action, role)?;
        let ids = wanted.into_iter().map(|i| folds.object_id[i].clone());
        Ok::<Vec<String>, StageError>(ids.collect())
    };
    let mut ids = with_role(Rows::Train)?;
    if AutoencoderParams::read(action.params).scope == FitScope::All {
        ids.extend(with_role(Rows::Unlabelled)?);
        ids.sort_unstable();
        ids.dedup();
    }
    Ok(ids)
}

fn spec(params: &Params) -> AutoencoderSpec {
    let given = AutoencoderParams::read(params);
    AutoencoderSpec {
        units: given.units.0,
        hidden: given.hidden.0,
        latent: given.latent,
        decoder: given.decoder.0,
        dropout: given.dropout,
        divergence: given.divergence,
        weighted: given.weighted,
    }
}
