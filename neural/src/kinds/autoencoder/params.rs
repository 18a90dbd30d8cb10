//! The parameters of an autoencoder.

use flow_engine::{ParamSpec, ParamType, params, words};

use crate::kinds::fit_params::{self, Sizes, list, sizes};

/// The rows that an autoencoder is fitted on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FitScope {
    /// The training rows of the fold.
    Fold,
    /// Those, and in every fold the rows without a label.
    All,
}

words!(FitScope { Fold = "fold", All = "all" });

params! {
    /// The parameters of an autoencoder, besides those of its fit.
    pub struct AutoencoderParams<'a> {
        scope: FitScope = word(FitScope::Fold, "The rows that it is fitted on, none of whose labels it sees: the training rows of the `fold`, or `all` rows that no fold holds out, which are those and the rows without a label.");
        units: Sizes = new(sizes(), "Units of each recurrent layer of the encoder.").or(list(&[64, 64]));
        hidden: Sizes = new(sizes(), "Units of each layer between the last state and the latent values.").or(list(&[64]));
        latent: usize = int(6, 1, 1024, "Latent values, which become the features.");
        decoder: Sizes = new(sizes(), "Units of each recurrent layer of the decoder.").or(list(&[64]));
        dropout: f64 = float(0.0, 0.0, 0.99, "Share of the values behind each layer that a step leaves out.");
        divergence: f64 = float(1e-3, 0.0, 1e6, "What the divergence of the latent values from a normal distribution counts in the loss, against the squared error.");
        weighted: bool = bool(false, "Squared errors of the flux count by the inverse of its variance, to which the mean variance of the object is added.");
        prefix: &'a str = new(ParamType::Str, "Put before every column name.").or("".into());
    }
}

/// Returns all parameters. Rate, batches and optimizer are those of Yang ("Machine Learning for Real Time Classification
/// of Transient Events: a Recurrent Neural Network Auto-Encoder and Gradient Boosting Classifier", section 4).
pub fn specs() -> Vec<ParamSpec> {
    let fit = fit_params::specs(&[
        ("optimizer", "adam".into()),
        ("batch_size", 128.into()),
        ("schedule", "cosine".into()),
    ]);
    [AutoencoderParams::specs(), fit].concat()
}
