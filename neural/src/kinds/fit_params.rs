//! The parameters that all kinds have in common that fit networks.

use flow_cache::Value;
use flow_engine::base::diag::Diag;
use flow_engine::command::{claimed, claims_type};
use flow_engine::kind::{Default, FromParam};
use flow_engine::{ParamSpec, ParamType, Params, params, words};

#[cfg(feature = "burn")]
use crate::fitting::{DescentRule, DescentSettings, FitSettings, RateSchedule, RateSettings};

/// How gradients change weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OptimizerName {
    /// Adam with a decay of its own.
    AdamW,
    /// Adam.
    Adam,
}

words!(OptimizerName { AdamW = "adamw", Adam = "adam" });

/// How the learning rate changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScheduleName {
    /// It stays.
    Constant,
    /// Along half a cosine to zero.
    Cosine,
    /// Down after a number of epochs.
    Step,
    /// Down after a number of epochs without improvement.
    Plateau,
}

words!(ScheduleName { Constant = "constant", Cosine = "cosine", Step = "step", Plateau = "plateau" });

/// What fluxes are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FluxScale {
    /// Nothing.
    None,
    /// One factor for all.
    Survey,
}

words!(FluxScale { None = "none", Survey = "survey" });

/// Sizes of layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Sizes(pub Vec<usize>);

/// What [`Sizes`] accept.
pub fn sizes() -> ParamType {
    let (min, max) = (1, 8192);
    ParamType::List(Box::new(ParamType::Int { min, max }))
}

/// Sizes as the value of a parameter.
pub fn list(sizes: &[i64]) -> Value {
    Value::List(sizes.iter().map(|&size| Value::Int(size)).collect())
}

impl<'a> FromParam<'a> for Sizes {
    fn absent() -> Self {
        Self(Vec::new())
    }

    fn fits(ty: &ParamType) -> bool {
        matches!(ty, ParamType::List(ty) if usize::fits(ty))
    }

    fn from_value(value: &'a Value) -> Option<Self> {
        let Value::List(items) = value else {
            return None;
        };
        let sizes = items.iter().map(FromParam::from_value);
        sizes.collect::<Option<_>>().map(Self)
    }
}

params! {
    /// How a network is fitted.
    pub struct FitParams<'a> {
        optimizer: OptimizerName = word(OptimizerName::AdamW, "How gradients change weights: `adamw` (Loshchilov and Hutter 2019) or `adam` (Kingma and Ba 2015), with beta 0.9 and 0.999 and epsilon 1e-8.");
        learning_rate: f64 = float(1e-3, 1e-9, 10.0, "The learning rate that the schedule starts with.");
        weight_decay: Option<f64> = new(ParamType::Float { min: 0.0, max: 10.0 }, "How much of a weight a step takes away, times the learning rate: unless given, .01 with `adamw` and 0 with `adam`, where it is a part of the gradient.").optional();
        clip_norm: Option<f64> = new(ParamType::Float { min: 1e-9, max: 1e9 }, "Shorten gradients that are longer than this, all weights together; not done unless given.").optional();
        schedule: ScheduleName = word(ScheduleName::Constant, "How the learning rate changes: not at all, along half a `cosine` to zero, by a factor after a number of epochs (`step`), or by a factor after a number of epochs without a new least loss (`plateau`).");
        schedule_epochs: usize = int(10, 1, 100_000, "Epochs between two steps, or without a new least loss.").only("schedule", &["step", "plateau"]);
        schedule_factor: f64 = float(0.1, 1e-6, 1.0, "What the learning rate is multiplied by.").only("schedule", &["step", "plateau"]);
        warmup: usize = int(0, 0, 100_000, "Epochs over which the learning rate first grows from near zero.");
        batch_size: usize = int(64, 1, 65_536, "Rows of a batch.");
        epochs: usize = int(100, 1, 100_000, "Epochs; with early stopping, the most there may be.");
        early_stopping: usize = int(20, 0, 100_000, "Epochs without a new least loss of the held-out part of the training rows after which the fit ends, with the weights of its best epoch; 0 for never, with all training rows in the fit.");
        validation_fraction: f64 = float(0.15, 0.01, 0.9, "Share of the training rows, class by class, that early stopping holds out.");
        flux_scale: FluxScale = word(FluxScale::None, "What the channels `flux...` of sequences are multiplied by: nothing, or one factor for the whole `survey`, 1 / log2(largest - smallest flux of the training rows).");
        resources: Vec<(&'a str, &'a Value)> = new(claims_type(), "`cpus`, `memory` (\"2GiB\") and `gpu` (0 or 1) that an action claims, and how many `retries` it has.").optional().unkeyed();
    }
}

/// Returns the parameters with other defaults.
pub fn specs(defaults: &[(&str, Value)]) -> Vec<ParamSpec> {
    let mut specs = FitParams::specs();
    for spec in &mut specs {
        if let Some((_, value)) = defaults.iter().find(|(name, _)| *name == spec.name) {
            spec.default = Default::Is(value.clone());
        }
    }
    specs
}

/// Refuses values that have no effect with the others.
pub fn check(params: &Params) -> Vec<Diag> {
    let (_, mut diags) = claimed(params);
    let given = FitParams::read(params);
    if given.resources.iter().any(|(key, _)| *key == "timeout") {
        let text = "`resources` of a network has no `timeout`".to_owned();
        diags.push(refused(
            params,
            "resources",
            text,
            "limit the number of `epochs` instead",
        ));
    }
    if params.span("validation_fraction").is_some() && given.early_stopping == 0 {
        let text = "`validation_fraction` has no effect without early stopping".to_owned();
        diags.push(refused(
            params,
            "validation_fraction",
            text,
            "early_stopping = 20",
        ));
    }
    if given.warmup >= given.epochs {
        let text = format!(
            "the learning rate would still grow after all {} epochs",
            given.epochs
        );
        let help = "a `warmup` of fewer epochs than `epochs`";
        diags.push(refused(params, "warmup", text, help));
    }
    diags
}

/// Says that a value has no effect, or would deceive, with the others.
pub fn refused(params: &Params, param: &str, message: String, help: &str) -> Diag {
    let diag = Diag::new("flow::params::combination", message).help(help);
    match params.span(param) {
        Some(span) => diag.label(span, "here"),
        None => diag,
    }
}

#[cfg(feature = "burn")]
impl FitParams<'_> {
    /// Returns how the fit goes.
    pub fn settings(&self) -> FitSettings {
        let (epochs, factor) = (self.schedule_epochs, self.schedule_factor);
        let (rule, weight_decay) = match self.optimizer {
            OptimizerName::Adam => (DescentRule::Adam, 0.0),
            OptimizerName::AdamW => (DescentRule::AdamW, 0.01),
        };
        FitSettings {
            descent: DescentSettings {
                rule,
                weight_decay: self.weight_decay.unwrap_or(weight_decay),
                clip_norm: self.clip_norm,
            },
            rate: RateSettings {
                rate: self.learning_rate,
                schedule: match self.schedule {
                    ScheduleName::Constant => RateSchedule::Constant,
                    ScheduleName::Cosine => RateSchedule::Cosine,
                    ScheduleName::Step => RateSchedule::Step { epochs, factor },
                    ScheduleName::Plateau => RateSchedule::Plateau { epochs, factor },
                },
                warmup: self.warmup,
            },
            batch_size: self.batch_size,
            epochs: self.epochs,
            patience: self.early_stopping,
        }
    }
}
