//! The features of one shard in one fold.

use flow_engine::kind::{Action, StageError};
use flow_stages::table::{FeatureWriter, Sequences, row_attrs};

use super::fit::SavedAutoencoder;
use super::params::AutoencoderParams;
use crate::fitting::{Application, Samples, SequenceSource};
use crate::kinds::device::device;
use crate::kinds::fit_params::FitParams;
use crate::kinds::host::fit_error;
use crate::kinds::preparation::sequences;
use crate::network::Autoencoder;

/// Describes every row of the shard by the latent values and the error of its reconstruction.
pub fn encode(action: &mut Action<'_>) -> Result<(), StageError> {
    let bytes = std::fs::read(&action.one("model")?.path)?;
    let saved = SavedAutoencoder::from_bytes(&bytes)?;
    let mut objects = Vec::new();
    for part in action.input("sequences") {
        objects.extend_from_slice(Sequences::open(&part.path)?.object_ids());
    }
    let values = features(action, &saved, &objects)?;
    let prefix = AutoencoderParams::read(action.params).prefix;
    let latent = (1..=saved.network.latent).map(|number| format!("{prefix}latent_{number}"));
    let error = format!("{prefix}reconstruction_error");
    let columns: Vec<String> = latent.chain([error]).collect();
    let mut writer = FeatureWriter::new(action.create()?, &columns)?;
    writer.push(&objects, &values)?;
    let writer = writer.finish()?;
    action.finish("features", writer, row_attrs(&objects))
}

fn features(
    action: &Action<'_>,
    saved: &SavedAutoencoder,
    objects: &[String],
) -> Result<Vec<f32>, StageError> {
    let rows = sequences(action, "sequences", objects)?;
    if let Some(first) = rows.as_ref().and_then(|rows| rows.first()) {
        saved.preparation.alike(first)?;
    }
    let shape = saved.preparation.shape(0);
    let network = Autoencoder::new(saved.network.clone(), &shape);
    let application = Application {
        forward: &|batch, pass| network.features(batch, pass),
        samples: &Samples {
            shape: &shape,
            sequences: rows.as_ref().map(|rows| rows as &dyn SequenceSource),
            factors: &saved.preparation.factors,
            features: &[],
            padded: saved.padded,
        },
        batch_size: FitParams::read(action.params).batch_size,
        device: &device(action.gpus),
        stop: &action.stop(),
    };
    let outputs = application.outputs(&saved.bag[0], objects.len());
    outputs.map_err(|e| fit_error(e, action.fold.unwrap_or_default()))
}
