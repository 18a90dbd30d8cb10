//! Parameters as the network and the loss that they describe.

use flow_engine::Params;
use flow_engine::kind::StageError;

use super::classes::KnownClasses;
use super::params::{ClassWeights, LossName, NetworkParams};
use crate::fitting::{ClassLosses, LossKind};
use crate::network::{ArchitectureSpec, InputShape};

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

/// Returns what does not fit between the sizes themselves, whatever the network reads, one sentence each.
pub fn misfits(params: &Params) -> Vec<String> {
    let Ok(spec) = network(params) else {
        return Vec::new();
    };
    let reads = !matches!(spec, ArchitectureSpec::Dense(_));
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    // An input that any network of sound sizes can read.
    let input = InputShape {
        tracks: names(if reads { &["all"] } else { &[] }),
        channels: names(if reads {
            &["time", "flux", "flux_err", "snr", "wavelength", "band_g"]
        } else {
            &[]
        }),
        points: if reads { 1 << 20 } else { 0 },
        features: 1,
        outputs: 1,
    };
    spec.build(input.clone()).misfits(&input)
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

#[cfg(test)]
mod tests {
    use flow_engine::kind::ParamWord;
    use flow_testkit::{Project, local};

    use super::super::params::NetworkName;
    use super::*;
    use crate::kinds::fit_params::FitParams;
    use crate::kinds::registry;

    /// The checked parameters of a network of which only these are given.
    fn with<T>(given: &str, read: impl FnOnce(&Params) -> T) -> T {
        let project = Project::with(&format!(
            "[pipeline]\nname = \"p\"\n[stages.ingest]\nuse = \"ingest\"\nformat = \"demo\"\n\
             [stages.folds]\nuse = \"folds\"\ninputs = {{ objects = \"ingest\" }}\n\
             [stages.domain]\nuse = \"domain\"\ninputs = {{ curves = \"ingest\" }}\n\
             [stages.net]\nuse = \"network\"\ninputs = {{ features = \"domain\", folds = \"folds\" }}\n{given}\n"
        ));
        let pipeline = local::sound(&project, "p.toml", &[], &registry());
        let net = pipeline.stages.iter().find(|stage| stage.name == "net");
        read(&net.unwrap().params)
    }

    #[test]
    fn sizes_unless_given_are_those_of_the_networks() {
        for word in NetworkName::WORDS {
            let spec = serde_json::json!({ "architecture": word });
            let spec: ArchitectureSpec = serde_json::from_value(spec).unwrap();
            let given = format!("architecture = \"{word}\"");
            with(&given, |params| {
                assert_eq!(network(params).unwrap(), spec);
                assert_eq!(misfits(params), [""; 0]);
            });
        }
    }

    #[test]
    fn fits_unless_given_are_those_of_who_described_the_networks() {
        let settings = |given: &str| with(given, |params| FitParams::read(params).settings());
        let transformer = settings("architecture = \"transformer\"");
        assert_eq!((transformer.rate.rate, transformer.batch_size), (5e-4, 64));
        assert_eq!((transformer.epochs, transformer.patience), (100, 20));
        assert_eq!(transformer.descent.weight_decay, 0.01);
        let dense = settings("architecture = \"dense\"");
        assert_eq!(
            (dense.rate.rate, dense.batch_size, dense.epochs),
            (1e-3, 20, 150)
        );
        assert_eq!(dense.descent.weight_decay, 0.0);
    }

    #[test]
    fn rows_count_as_their_class_says() {
        let weights = |given: &str| {
            with(&format!("architecture = \"cnn\"\n{given}"), |params| {
                let params = NetworkParams::read(params);
                let binary = params.target == flow_stages::kinds::ModelTarget::Binary;
                let all = ["A", "B", "C"].map(String::from);
                let all = &all[..if binary { 2 } else { 3 }];
                let known = KnownClasses {
                    names: all[usize::from(binary)..].to_vec(),
                    labels: vec![0, 0, 0, 1],
                    count: all.len(),
                    all: all.to_vec(),
                    unknown: None,
                };
                losses(&params, &known)
            })
        };
        let focal = weights("");
        assert_eq!(
            (focal.kind, &focal.weights[..]),
            (LossKind::Focal { gamma: 2.0 }, &[0.25, 0.75][..])
        );
        let even = weights("loss = \"cross_entropy\"\nclass_weights = \"auto\"");
        assert_eq!(
            (even.kind, &even.weights[..]),
            (LossKind::CrossEntropy, &[4.0 / 6.0, 2.0][..])
        );
        let classes = "target = \"classes\"\n";
        let given = weights(&format!(
            "{classes}loss = \"cross_entropy\"\nclass_weights = {{ B = 3.0 }}"
        ));
        assert_eq!(given.weights, [1.0, 3.0, 1.0]);
        // The mean over rows is then the log-loss of PLAsTiCC, in which a class without rows has no part.
        let plasticc = weights(&format!(
            "{classes}loss = \"log_loss\"\nclass_weights = {{ B = 3.0 }}"
        ));
        assert_eq!(plasticc.weights, [1.0 / 3.0, 3.0, 0.0]);
    }
}
