//! Kind `minirocket`: 84 fixed convolution kernels with fitted biases (Dempster, Schmidt and Webb 2021), band by
//! band.
//!
//! The biases are quantiles of the kernels' outputs for series that are drawn at random. They are drawn among the
//! training rows of each fold, so that no row that the fold holds out decides what is measured of the others.
//! What is written is a view, the biases of each fold, through which a later stage sees features of the
//! grid: it computes those columns that it reads when it reads them. A model on 200 columns that `select` chose
//! computes 200.

use flow_engine::kind::{
    Action, InputPort, KindSpec, Of, OutputPort, Ports, Rows, Scope, Stage, StageError, Step,
};
use flow_engine::{ParamType, params};

use crate::features::minirocket::GridLayout;
use crate::rows::{COLUMNS, fit_kernels};

/// The kind.
pub struct MiniRocket;

params! {
    struct MiniRocketParams<'a> {
        kernels: usize = int(10_000, 1, 1_000_000, "Features a band, rounded down to a multiple of 84, but at least 84.");
        dilations: usize = int(32, 1, 1_000, "The most dilations of a kernel.");
        normalise: bool = bool(false, "Scale each band's series to mean 0 and standard deviation 1 first, which removes what the bands' relative brightness tells.");
        prefix: &'a str = new(ParamType::Str, "Put before every column name.").or("".into());
    }
}

impl Stage for MiniRocket {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "minirocket",
            version: 1,
            about: "MiniRocket: features from fixed convolutional kernels, with biases fitted inside folds",
            ports: grid_ports("`minirocket_<band>_<number>`: proportions of outputs above a bias"),
            params: MiniRocketParams::specs(),
            steps: grid_steps(),
        }
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let params = MiniRocketParams::read(action.params);
        fit_kernels(action, |bands, points| GridLayout {
            multi: false,
            kernels: params.kernels,
            dilations: params.dilations,
            normalise: params.normalise,
            prefix: params.prefix.into(),
            bands,
            points,
        })
    }
}

/// Returns the ports of a kind that gives features of a grid as they are seen through what its first step
/// writes.
pub(super) fn grid_ports(about: &'static str) -> Ports {
    Ports {
        inputs: vec![
            InputPort::one("grid", "grid"),
            InputPort::one("folds", "folds"),
        ],
        outputs: vec![OutputPort {
            name: "features".into(),
            ty: "features",
            about,
            of: Of::View {
                port: "grid",
                step: 0,
                output: COLUMNS,
            },
        }],
    }
}

/// Returns the steps of such a kind.
pub(super) fn grid_steps() -> Vec<Step> {
    let fit = Step::new("fit", Scope::Fold).rows("grid", Rows::Train);
    vec![fit.writes(COLUMNS).seeded()]
}
