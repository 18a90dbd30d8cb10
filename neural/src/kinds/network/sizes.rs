//! Parameters as the network and the loss that they describe.

use flow_engine::Params;
use flow_engine::kind::StageError;

use super::classes::KnownClasses;
use super::params::{ClassWeights, LossName, NetworkParams};
use crate::fitting::{ClassLosses, LossKind};
use crate::network::ArchitectureSpec;

/// The parameters of the focal loss unless given, those of the report "MALLORN Challenge: Progress Review" (2026).
const ALPHA: f64 = 0.75;
const GAMMA: f64 = 2.0;

/// The parameters that are sizes of networks. Those that do not apply have no value.
const SIZES: [&str; 24] = [
    "architecture",
    "channels",
    "kernel",
    "pool",
    "metadata",
    "units",
    "attention",
    "width",
    "heads",
    "layers",
    "cross_layers",
    "feed_forward",
    "positions",
    "queries",
    "centered",
    "lost",
    "shortest",
    "longest",
    "noise",
    "spatial_dropout",
    "hidden",
    "activation",
    "batch_norm",
    "dropout",
];

/// Returns the network that parameters describe.
///
/// # Errors
/// If a network lacks a parameter, which is a bug.
pub fn network(params: &Params) -> Result<ArchitectureSpec, StageError> {
    let sizes = SIZES.iter().filter_map(|name| {
        let value = params.get(name)?;
        Some(((*name).to_owned(), value.to_json()))
    });
    let sizes = serde_json::Value::Object(sizes.collect());
    serde_json::from_value(sizes)
        .map_err(|e| StageError::failed("flow::neural::misfit", "no such network").because(e))
}

/// Returns what is made small.
pub fn losses(params: &NetworkParams<'_>, known: &KnownClasses) -> ClassLosses {
    let counts = known.counts();
    let rows = known.labels.len() as f64;
    let present = counts.iter().filter(|&&count| count > 0).count() as f64;
    let even = |class: usize| match counts[class] {
        0 => 0.0,
        count => rows / (present * count as f64),
    };
    let mut weights: Vec<f64> = match &params.class_weights {
        ClassWeights::None => vec![1.0; known.count],
        ClassWeights::Auto => (0..known.count).map(even).collect(),
        ClassWeights::Each(given) => {
            let of = |class: &String| given.iter().find(|(name, _)| name == class);
            let of = |class| of(class).map_or(1.0, |(_, weight)| *weight);
            known.all.iter().map(of).collect()
        }
    };
    let kind = match params.loss {
        LossName::Focal => {
            if let [negative, positive] = &mut weights[..]
                && known.names.len() == 1
            {
                let alpha = params.focal_alpha.unwrap_or(ALPHA);
                *negative *= 1.0 - alpha;
                *positive *= alpha;
            }
            LossKind::Focal {
                gamma: params.focal_gamma.unwrap_or(GAMMA),
            }
        }
        LossName::CrossEntropy => LossKind::CrossEntropy,
        LossName::LogLoss => {
            let seen = weights.iter().zip(&counts).filter(|(_, count)| **count > 0);
            let sum: f64 = seen.map(|(weight, _)| *weight).sum();
            for (class, weight) in weights.iter_mut().enumerate() {
                *weight *= even(class) * present / sum;
            }
            LossKind::CrossEntropy
        }
    };
    ClassLosses {
        kind,
        weights: weights.into_iter().map(|weight| weight as f32).collect(),
    }
}
