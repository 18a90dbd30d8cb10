//! A variational autoencoder of recurrent layers.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::layers::{Activation, Hidden, Recurrent, linear, masked};
use super::misfits::Misfits;
use super::{Batch, InputShape, Mode, Pass, Track};

/// The sizes of an [`Autoencoder`].
///
/// The defaults are those of Yang ("Machine Learning for Real Time Classification of Transient Events: a Recurrent Neural
/// Network Auto-Encoder and Gradient Boosting Classifier", sections 3 and 4): two layers of 64 gated recurrent units, two
/// fully connected layers, and six latent values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AutoencoderSpec {
    /// The number of units of each recurrent layer of the encoder.
    pub units: Vec<usize>,
    /// The number of units of each layer between the last state and the latent values.
    pub hidden: Vec<usize>,
    /// The number of latent values.
    pub latent: usize,
    /// The number of units of each recurrent layer of the decoder.
    pub decoder: Vec<usize>,
    /// The share of units that a step of a fit leaves out after each layer.
    pub dropout: f64,
    /// What the divergence of the latent values counts in the loss, against the squared error.
    pub divergence: f64,
    /// Squared errors count by the inverse of the variance of the flux, to which the mean variance of the object is added.
    pub weighted: bool,
}

impl Default for AutoencoderSpec {
    fn default() -> Self {
        Self {
            units: vec![64, 64],
            hidden: vec![64],
            latent: 6,
            decoder: vec![64],
            dropout: 0.0,
            divergence: 1e-3,
            weighted: false,
        }
    }
}

/// A variational autoencoder (Kingma and Welling 2014, appendix B) of the fluxes of one sequence.
///
/// The encoder reads all channels of the observations and makes a mean and a variance of each latent value. The decoder
/// is told what is known of an observation besides its flux, which are the channels of time and band, and reconstructs
/// the channels of flux from that and the latent values.
#[derive(Clone, Debug)]
pub struct Autoencoder {
    spec: AutoencoderSpec,
    /// The channels of flux.
    targets: Vec<usize>,
    /// The channel of the error of each of them, if all have one.
    errors: Option<Vec<usize>>,
    /// What the decoder is told of an observation.
    given: Vec<usize>,
}

/// What the encoder makes of each object, `[objects, latent]`.
struct Latent {
    mean: Tensor<2>,
    /// The logarithm of the variance.
    spread: Tensor<2>,
}

impl Autoencoder {
    /// The autoencoder for batches of this shape. Ask [`Self::misfits`] before its first pass.
    pub fn new(spec: AutoencoderSpec, input: &InputShape) -> Self {
        let places = |holds: &dyn Fn(&str) -> bool| -> Vec<usize> {
            let channels = input.channels.iter().enumerate();
            let found = channels.filter(|(_, name)| holds(name));
            found.map(|(at, _)| at).collect()
        };
        let targets = places(&is_flux);
        let errors = targets.iter().map(|&at| {
            let error = input.channels[at].replacen("flux", "flux_err", 1);
            input.channels.iter().position(|name| *name == error)
        });
        Self {
            errors: errors.collect(),
            given: places(&is_given),
            targets,
            spec,
        }
    }

    /// Returns what does not fit between the sizes and the input, one sentence each.
    pub fn misfits(&self, input: &InputShape) -> Vec<String> {
        let spec = &self.spec;
        let reads = input.tracks.len() == 1;
        Misfits::default()
            .one_track(input)
            .recurrent(&spec.units)
            .recurrent(&spec.decoder)
            .sizes("the units of each layer", &spec.hidden)
            .sizes("the latent values", &[spec.latent])
            .share("dropout", spec.dropout)
            .unless(spec.divergence >= 0.0 && spec.divergence.is_finite(), || {
                format!("the divergence must count at least 0, not {}", spec.divergence)
            })
            .unless(!reads || !self.targets.is_empty(), || {
                "it reconstructs the channel `flux`, and the sequences have none".into()
            })
            .unless(!reads || !self.given.is_empty(), || {
                "its decoder must be told the channel `time` or another one of time or band, and the sequences have none".into()
            })
            .unless(!reads || !spec.weighted || self.errors.is_some(), || {
                "it weights by the channel `flux_err`, and the sequences have none".into()
            })
            .found()
    }

    /// Returns the mean over the objects of the squared error of their fluxes plus the weighted divergence, `[1]`.
    pub fn loss(&self, batch: &Batch, pass: &mut Pass<'_>) -> Tensor<1> {
        let track = &batch.tracks[0];
        let latent = self.encoded(track, pass);
        let error = self.error(track, latent.drawn(pass), pass);
        let divergence = latent.divergence().mul_scalar(self.spec.divergence);
        (error + divergence).mean()
    }

    /// Returns the means of the latent values and behind them the error of the fluxes, `[objects, latent + 1]`. They are
    /// NaN for an object without observations.
    pub fn features(&self, batch: &Batch, pass: &mut Pass<'_>) -> Tensor<2> {
        let track = &batch.tracks[0];
        let latent = self.encoded(track, pass);
        let error = self.error(track, latent.mean.clone(), pass);
        let all = Tensor::cat(vec![latent.mean, error.unsqueeze_dim(1)], 1);
        let unseen = track.mask.clone().max_dim(1).equal_elem(0.0);
        let shape = all.dims();
        all.mask_fill(unseen.expand(shape), f32::NAN)
    }

    fn encoded(&self, track: &Track, pass: &mut Pass<'_>) -> Latent {
        let layers = Recurrent {
            units: &self.spec.units,
            both: false,
            dropout: self.spec.dropout,
        };
        let hidden = Hidden {
            units: &self.spec.hidden,
            activation: Activation::Relu,
            batch_norm: false,
            dropout: self.spec.dropout,
        };
        pass.within("encoder", |pass| {
            let states = layers.forward(track.values.clone(), &track.mask, pass);
            let last = states.dims()[1] - 1;
            let x = states.narrow(1, last, 1).squeeze_dim(1);
            let x = pass.within("hidden", |pass| hidden.forward(x, pass));
            Latent {
                mean: linear(x.clone(), "mean", self.spec.latent, pass),
                spread: linear(x, "spread", self.spec.latent, pass),
            }
        })
    }

    /// Returns the fluxes that the decoder makes of latent values, `[objects, points, targets]`.
    fn decoded(&self, track: &Track, latent: Tensor<2>, pass: &mut Pass<'_>) -> Tensor<3> {
        let [objects, points, _] = track.values.dims();
        let latent: Tensor<3> = latent.unsqueeze_dim(1);
        let latent = latent.expand([objects, points, self.spec.latent]);
        let given = chosen(&track.values, &self.given);
        let layers = Recurrent {
            units: &self.spec.decoder,
            both: false,
            dropout: self.spec.dropout,
        };
        pass.within("decoder", |pass| {
            let x = Tensor::cat(vec![given, latent], 2);
            let states = layers.forward(x, &track.mask, pass);
            linear(states, "output", self.targets.len(), pass)
        })
    }

    /// Returns the mean squared error of the fluxes of each object, `[objects]`; 0 without observations.
    fn error(&self, track: &Track, latent: Tensor<2>, pass: &mut Pass<'_>) -> Tensor<1> {
        let fluxes = masked(chosen(&track.values, &self.targets), &track.mask);
        let made = masked(self.decoded(track, latent, pass), &track.mask);
        let weights = self.weights(track);
        let total = over(weights.clone());
        let error = over((fluxes - made).square() * weights);
        error / total.clamp_min(f32::MIN_POSITIVE)
    }

    /// Returns what each flux counts, `[objects, points, targets]`; 0 where there is none.
    fn weights(&self, track: &Track) -> Tensor<3> {
        let [objects, points, _] = track.values.dims();
        let shape = [objects, points, self.targets.len()];
        let shown: Tensor<3> = track.mask.clone().unsqueeze_dim(2);
        let shown = shown.expand(shape);
        let Some(errors) = self.errors.as_ref().filter(|_| self.spec.weighted) else {
            return shown;
        };
        let variances = masked(chosen(&track.values, errors).square(), &track.mask);
        let count = over(shown.clone()).clamp_min(1.0);
        let mean = (over(variances.clone()) / count).clamp_min(1e-12);
        let mean: Tensor<3> = mean.unsqueeze_dims(&[1, 2]);
        shown * mean.clone() / (variances + mean)
    }
}

impl Latent {
    /// Returns latent values drawn from their distribution in a fit (Kingma and Welling 2014, section 2.4), and their means in
    /// a prediction.
    fn drawn(&self, pass: &mut Pass<'_>) -> Tensor<2> {
        if pass.mode() == Mode::Apply {
            return self.mean.clone();
        }
        let deviates = pass.normal(self.mean.dims());
        self.mean.clone() + self.spread.clone().mul_scalar(0.5).exp() * deviates
    }

    /// Returns the divergence of Kullback and Leibler of each object from a normal distribution (Kingma and Welling 2014,
    /// appendix B), `[objects]`.
    fn divergence(&self) -> Tensor<1> {
        let spread = self.spread.clone();
        let terms = spread.clone().exp() + self.mean.clone().square() - spread;
        terms
            .sub_scalar(1.0)
            .mul_scalar(0.5)
            .sum_dim(1)
            .squeeze_dim(1)
    }
}

/// A channel of flux: `flux`, or one of a band.
fn is_flux(name: &str) -> bool {
    name == "flux" || name.starts_with("flux_") && !name.starts_with("flux_err")
}

/// A channel that says when or in which band an observation was made.
fn is_given(name: &str) -> bool {
    let of_time = ["time", "time_step", "cumulative_time"].contains(&name);
    of_time || name == "wavelength" || name.starts_with("band_")
}

/// Returns some of the channels.
fn chosen(values: &Tensor<3>, channels: &[usize]) -> Tensor<3> {
    let channel = |&at: &usize| values.clone().narrow(2, at, 1);
    Tensor::cat(channels.iter().map(channel).collect(), 2)
}

/// Returns the sum over the points and channels of each object.
fn over(x: Tensor<3>) -> Tensor<1> {
    let [objects, points, channels] = x.dims();
    x.reshape([objects, points * channels])
        .sum_dim(1)
        .squeeze_dim(1)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{
        assert_gradients, assert_near, batch_of, device, shape, tensor, values,
    };
    use super::super::{Weights, flat};
    use super::*;

    const CHANNELS: [&str; 4] = ["time", "flux", "flux_err", "band_g"];

    fn small(input: &InputShape) -> Autoencoder {
        let spec = AutoencoderSpec {
            units: vec![3, 2],
            hidden: vec![4],
            latent: 2,
            decoder: vec![3],
            divergence: 0.5,
            ..AutoencoderSpec::default()
        };
        Autoencoder::new(spec, input)
    }

    fn features(network: &Autoencoder, batch: &Batch) -> Vec<f32> {
        let mut weights = Weights::default();
        values(network.features(batch, &mut Pass::of_prediction(&mut weights, &device())))
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let input = shape(1, &CHANNELS, 6, 0);
        let mut network = small(&input);
        let batch = batch_of(&input, &[vec![6], vec![1], vec![4]], &[0, 1, 2]);
        for (weighted, dropout) in [(false, 0.0), (true, 0.3)] {
            network.spec.weighted = weighted;
            network.spec.dropout = dropout;
            assert_gradients("autoencoder", |pass| network.loss(&batch, pass));
        }
    }

    #[test]
    fn features_depend_on_the_observations_of_the_object_alone() {
        let input = shape(1, &CHANNELS, 6, 0);
        let network = small(&input);
        let lengths = [vec![6], vec![1], vec![4]];
        let all = features(&network, &batch_of(&input, &lengths, &[0, 1, 2]));
        let longer = InputShape {
            points: 9,
            ..input.clone()
        };
        let padded = features(&network, &batch_of(&longer, &lengths, &[0, 1, 2]));
        assert_near("padded", &padded, &all, 1e-5);
        let alone = features(&network, &batch_of(&input, &lengths, &[1]));
        assert_near("alone", &alone, &all[3..6], 1e-5);
        let none = features(&network, &batch_of(&input, &[vec![0], vec![2]], &[0, 1]));
        assert!(none[..3].iter().all(|x| x.is_nan()) && none[3..].iter().all(|x| x.is_finite()));
    }

    #[test]
    fn a_batch_without_observations_has_a_finite_loss_and_gradients() {
        let input = shape(1, &CHANNELS, 3, 0);
        let mut network = small(&input);
        network.spec.weighted = true;
        let mut weights = Weights::default();
        let batch = batch_of(&input, &[vec![0]], &[0]);
        let loss = network.loss(&batch, &mut Pass::of_fit(&mut weights, 1, 1, &device()));
        let gradients = loss.backward();
        for weight in weights.all() {
            let gradient = weight.values.grad(&gradients).map_or(Vec::new(), values);
            assert!(gradient.iter().all(|x| x.is_finite()), "{}", weight.name);
        }
    }

    #[test]
    fn the_last_feature_is_the_mean_squared_error() {
        let input = shape(1, &CHANNELS, 3, 0);
        let mut network = small(&input);
        let mut weights = Weights::default();
        let batch = batch_of(&input, &[vec![2]], &[0]);
        network.features(&batch, &mut Pass::of_prediction(&mut weights, &device()));
        weights.set("decoder.output.bias", flat(vec![0.25], &device()));
        weights.set("decoder.output.weight", flat(vec![0.0; 3], &device()));
        let mut last = |network: &Autoencoder| {
            let features =
                network.features(&batch, &mut Pass::of_prediction(&mut weights, &device()));
            values(features)[2]
        };
        let row = values(batch.tracks[0].values.clone());
        let squares = [row[1] - 0.25, row[5] - 0.25].map(|x| x * x);
        assert_near(
            "even",
            &[last(&network)],
            &[(squares[0] + squares[1]) / 2.0],
            1e-5,
        );
        network.spec.weighted = true;
        let variances = [row[2], row[6]].map(|x| x * x);
        let counts = variances.map(|v| 1.0 / (v + (variances[0] + variances[1]) / 2.0));
        let mean = (squares[0] * counts[0] + squares[1] * counts[1]) / (counts[0] + counts[1]);
        assert_near("weighted", &[last(&network)], &[mean], 1e-5);
    }

    /// The figure is that of NumPy 2.3.
    #[test]
    fn the_divergence_is_that_of_normal_distributions() {
        let latent = Latent {
            mean: tensor(&[0.5, -1.0, 0.2], [1, 3]),
            spread: tensor(&[-0.3, 0.4, 0.0], [1, 3]),
        };
        assert_near(
            "divergence",
            &values(latent.divergence()),
            &[0.711_321_5],
            1e-6,
        );
    }

    #[test]
    fn fluxes_of_several_bands_are_all_reconstructed() {
        let input = shape(
            1,
            &[
                "time",
                "flux_g",
                "flux_r",
                "flux_err_g",
                "flux_err_r",
                "snr_g",
            ],
            4,
            0,
        );
        let network = small(&input);
        assert_eq!((&network.targets, &network.given), (&vec![1, 2], &vec![0]));
        assert_eq!(network.errors, Some(vec![3, 4]));
        assert_eq!(network.misfits(&input), [""; 0]);
    }

    #[test]
    fn sizes_that_do_not_fit_are_said() {
        let said = |spec: AutoencoderSpec, tracks, channels: &[&str], sentence: &str| {
            let input = shape(tracks, channels, 4, 0);
            let misfits = Autoencoder::new(spec, &input).misfits(&input);
            assert!(
                misfits.iter().any(|misfit| misfit.contains(sentence)),
                "{misfits:?}"
            );
        };
        let usual = AutoencoderSpec::default();
        said(usual.clone(), 2, &CHANNELS, "there are 2 tracks");
        said(usual.clone(), 0, &[], "there are none");
        said(usual.clone(), 1, &["time"], "the channel `flux`");
        said(usual.clone(), 1, &["flux"], "the channel `time`");
        let weighted = AutoencoderSpec {
            weighted: true,
            ..usual.clone()
        };
        said(weighted, 1, &["time", "flux"], "the channel `flux_err`");
        let none = AutoencoderSpec { latent: 0, ..usual };
        said(none, 1, &CHANNELS, "latent values must be at least 1");
    }
}
