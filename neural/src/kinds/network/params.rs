//! The parameters of a network.

use flow_cache::Value;
use flow_engine::kind::{FromParam, ParamWord, Preset};
use flow_engine::{ParamSpec, ParamType, params, words};
use flow_stages::kinds::ModelTarget;

use crate::kinds::fit_params::{self, Sizes, list, sizes};

/// The networks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NetworkName {
    /// Convolutions over the points of each track.
    Cnn,
    /// Attention within each track, then between tracks.
    Transformer,
    /// Recurrent units, and attention over their states.
    GruAttention,
    /// Recurrent units for each track.
    MultiGru,
    /// Layers on features alone.
    Dense,
    /// Several layers of recurrent units.
    GruStack,
    /// Attention over observations with an encoding of their times.
    TimeAttention,
}

words!(NetworkName {
    Cnn = "cnn",
    Transformer = "transformer",
    GruAttention = "gru_attention",
    MultiGru = "multi_gru",
    Dense = "dense",
    GruStack = "gru_stack",
    TimeAttention = "time_attention",
});

/// What an encoding of positions is made from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PositionsName {
    /// The times of the points.
    Time,
    /// Their order.
    Order,
}

words!(PositionsName { Time = "time", Order = "order" });

/// What a layer does to its values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ActivationName {
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// `max(x, 0)`.
    Relu,
    /// `x` times the normal distribution function of `x`.
    Gelu,
}

words!(ActivationName { Sigmoid = "sigmoid", Tanh = "tanh", Relu = "relu", Gelu = "gelu" });

/// What is made small.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LossName {
    /// The cross-entropy.
    CrossEntropy,
    /// The focal loss.
    Focal,
    /// The cross-entropy averaged within each class, and then over classes.
    LogLoss,
}

words!(LossName { CrossEntropy = "cross_entropy", Focal = "focal", LogLoss = "log_loss" });

/// The probability of a class that no row is of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum UnknownClass {
    /// There is none.
    None,
    /// What the largest probability leaves.
    Rest,
}

words!(UnknownClass { None = "none", Rest = "rest" });

/// What a row of each class counts.
#[derive(Clone, Debug, PartialEq)]
pub enum ClassWeights<'a> {
    /// All the same.
    None,
    /// Classes count the same, whatever their number of rows.
    Auto,
    /// By class; 1 for a class that is not named.
    Each(Vec<(&'a str, f64)>),
}

fn class_weights() -> ParamType {
    let (min, max) = (0.0, 1e9);
    let each = Box::new(ParamType::Float { min, max });
    ParamType::OneOf(vec![
        ParamType::Choice(&["none", "auto"]),
        ParamType::Map(each),
    ])
}

impl<'a> FromParam<'a> for ClassWeights<'a> {
    fn absent() -> Self {
        Self::None
    }

    fn fits(ty: &ParamType) -> bool {
        *ty == class_weights()
    }

    fn from_value(value: &'a Value) -> Option<Self> {
        match value.as_str() {
            Some("none") => Some(Self::None),
            Some("auto") => Some(Self::Auto),
            _ => FromParam::from_value(value).map(Self::Each),
        }
    }
}

/// The parameter that chooses the network, and the words that others depend on.
const NETWORK: &str = "architecture";
const CNN: &str = "cnn";
const TRANSFORMER: &str = "transformer";
const GRU_ATTENTION: &str = "gru_attention";
const MULTI_GRU: &str = "multi_gru";
const DENSE: &str = "dense";
const GRU_STACK: &str = "gru_stack";
const TIME_ATTENTION: &str = "time_attention";
const ATTENTION: &[&str] = &[TRANSFORMER, TIME_ATTENTION];
const RECURRENT: &[&str] = &[GRU_ATTENTION, MULTI_GRU, GRU_STACK];
const ACTIVATED: &[&str] = &[DENSE, GRU_STACK];

params! {
    /// The parameters of a network.
    pub struct NetworkParams<'a> {
        architecture: NetworkName = new(ParamType::Choice(NetworkName::WORDS), "The network: `cnn`, convolutions over the points of each track; `transformer`, attention within each track and then between tracks; `gru_attention`, recurrent units in both directions over one track and attention over their states; `multi_gru`, recurrent units for each track; `dense`, layers on features alone; `gru_stack`, several layers of recurrent units over one track; `time_attention`, attention over observations with an encoding of their times. All but `dense` read sequences, and features beside them if there are some.");
        target: ModelTarget = word(ModelTarget::Binary, "Learn the positive class against the rest, or all classes at once (P(positive) is then what binary metrics see).");
        channels: Sizes = new(sizes(), "Channels that come out of each convolution.").or(list(&[32, 64, 128, 128])).only(NETWORK, &[CNN]);
        kernel: usize = int(3, 1, 101, "Neighboring points that each convolution sees; odd.").only(NETWORK, &[CNN]);
        pool: usize = int(2, 1, 16, "Points that become one after each convolution but the last; 1 leaves all.").only(NETWORK, &[CNN]);
        metadata: usize = int(32, 0, 8192, "Units of a layer that the features pass before they are joined with the sequences; 0 joins them as they are.").only(NETWORK, &[CNN]);
        units: Sizes = new(sizes(), "Units of each recurrent layer, in each direction.").or(list(&[64])).with(NETWORK, GRU_STACK, list(&[256, 64, 32, 32])).only(NETWORK, RECURRENT);
        attention: usize = int(64, 1, 8192, "Width of the attention over the states.").only(NETWORK, &[GRU_ATTENTION]);
        width: usize = int(32, 2, 8192, "Width of the attention layers: even, and a multiple of the heads.").with(NETWORK, TIME_ATTENTION, 64).only(NETWORK, ATTENTION);
        heads: usize = int(4, 1, 256, "Heads of each attention layer.").only(NETWORK, ATTENTION);
        layers: usize = int(2, 0, 64, "Attention layers over the points of a track.").with(NETWORK, TIME_ATTENTION, 0).only(NETWORK, ATTENTION);
        cross_layers: usize = int(1, 0, 64, "Attention layers in which the tracks see each other.").only(NETWORK, &[TRANSFORMER]);
        feed_forward: usize = int(128, 1, 65_536, "Units between the two linear layers of each attention layer.").only(NETWORK, ATTENTION);
        positions: PositionsName = word(PositionsName::Time, "What the encoding of positions is made from: the channel `time`, or the `order` of the points.").only(NETWORK, &[TRANSFORMER]);
        queries: usize = int(8, 0, 1024, "Learned queries that look for what they need among the observations; 0 takes the mean of the observations.").only(NETWORK, &[TIME_ATTENTION]);
        centered: bool = bool(true, "Count times from where the object is bright: from the mean time, weighted by the square of the positive ratios of flux to error. This needs the channel `snr`.").only(NETWORK, &[TIME_ATTENTION]);
        lost: f64 = float(0.4, 0.0, 0.99, "Share of the observations that a step leaves out.").only(NETWORK, &[TIME_ATTENTION]);
        shortest: f64 = float(std::f64::consts::TAU, 1e-6, 1e9, "Shortest period of the encoding, in the unit of the channel `time` (in points, with `order`).").with(NETWORK, TIME_ATTENTION, 5.0).only(NETWORK, ATTENTION);
        longest: f64 = float(1e4 * std::f64::consts::TAU, 1e-6, 1e9, "Longest period of the encoding, in the same unit.").with(NETWORK, TIME_ATTENTION, 3000.0).only(NETWORK, ATTENTION);
        noise: f64 = float(0.5, 0.0, 1e6, "Standard deviation of the noise that a step adds to all channels.").only(NETWORK, &[GRU_STACK]);
        spatial_dropout: f64 = float(0.1, 0.0, 0.99, "Share of the channels that a step leaves out after each recurrent layer.").only(NETWORK, &[GRU_STACK]);
        hidden: Sizes = new(sizes(), "Units of each fully connected layer before the outputs.").or(list(&[64])).with(NETWORK, DENSE, list(&[512, 512, 256, 256, 128])).with(NETWORK, TRANSFORMER, list(&[32])).with(NETWORK, TIME_ATTENTION, list(&[32])).with(NETWORK, GRU_STACK, list(&[1024, 256, 64, 32]));
        activation: ActivationName = word(ActivationName::Sigmoid, "What each fully connected layer does to its values.").with(NETWORK, GRU_STACK, "tanh").only(NETWORK, ACTIVATED);
        batch_norm: bool = bool(true, "Normalize the values of a batch behind each layer.").only(NETWORK, &[DENSE]);
        dropout: f64 = float(0.3, 0.0, 0.99, "Share of the values behind each layer that a step leaves out.").with(NETWORK, DENSE, 0.4).with(NETWORK, TRANSFORMER, 0.1).with(NETWORK, GRU_STACK, 0.1).with(NETWORK, TIME_ATTENTION, 0.1);
        loss: LossName = word(LossName::CrossEntropy, "What is made small: the `cross_entropy`; the `focal` loss, in which rows that are predicted well count less (Lin et al. 2017); or the `log_loss` of PLAsTiCC, in which the cross-entropy is averaged within each class and then over classes.").with(NETWORK, CNN, "focal").with(NETWORK, TRANSFORMER, "focal").with(NETWORK, GRU_STACK, "focal").with(NETWORK, DENSE, "log_loss");
        focal_alpha: Option<f64> = new(ParamType::Float { min: 0.0, max: 1.0 }, "With the focal loss and a binary target, what a positive row counts, .75 unless given; others count one minus that.").optional();
        focal_gamma: Option<f64> = new(ParamType::Float { min: 0.0, max: 20.0 }, "The power of one minus the probability of the true class that the focal loss has as a factor; 2 unless given.").optional();
        class_weights: ClassWeights<'a> = new(class_weights(), "What a row counts in the loss: \"auto\" for n / (k n_class), or, with all classes as the target, a table of numbers by class (1 for those not in it).").or("none".into());
        bags: usize = int(1, 1, 100, "Networks that are fitted with other seeds, whose probabilities are averaged.");
        class_99: UnknownClass = word(UnknownClass::None, "The probability of a class `99` that no training row is of: none, or the `rest` (1 - p) / k, where p is the largest of the k others. The probabilities of a row are then divided by their sum.");
        mask: bool = bool(true, "Hide the padding behind the last observation from the network. Otherwise zeros count as observations, up to the `points` of the sequences.");
    }
}

/// Returns all parameters, with the defaults of those who described the networks for their fits.
pub fn specs() -> Vec<ParamSpec> {
    let mut fit = fit_params::specs(&[]);
    for (param, network, value) in [
        ("optimizer", DENSE, Value::from("adam")),
        ("optimizer", GRU_STACK, "adam".into()),
        ("learning_rate", TRANSFORMER, 5e-4.into()),
        ("batch_size", DENSE, 20.into()),
        ("epochs", DENSE, 150.into()),
    ] {
        if let Some(spec) = fit.iter_mut().find(|spec| spec.name == param) {
            spec.presets.push(Preset {
                on: NETWORK,
                word: network,
                value,
            });
        }
    }
    [NetworkParams::specs(), fit].concat()
}
