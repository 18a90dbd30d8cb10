//! Kind `multirocket`: four statistics of MiniRocket's convolutions of a series and of its first differences (Tan,
//! Dempster, Bergmeir and Webb 2022), band by band. What is fitted, and what is written, are as in
//! `minirocket`.

use flow_engine::kind::{Action, KindSpec, Stage, StageError};
use flow_engine::{ParamType, params};

use super::minirocket::{grid_ports, grid_steps};
use crate::features::minirocket::GridLayout;
use crate::rows::fit_kernels;

/// The kind.
pub struct MultiRocket;

params! {
    struct MultiRocketParams<'a> {
        kernels: usize = int(1_250, 1, 250_000, "Biases a band, rounded down to a multiple of 84, but at least 84; each gives eight features. The paper has 6,250.");
        dilations: usize = int(32, 1, 1_000, "The most dilations of a kernel.");
        normalise: bool = bool(false, "Scale each band's series to mean 0 and standard deviation 1 first, which removes what the bands' relative brightness tells.");
        prefix: &'a str = new(ParamType::Str, "Put before every column name.").or("".into());
    }
}

impl Stage for MultiRocket {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "multirocket",
            version: 1,
            about: "MultiRocket: four statistics of fixed convolutional kernels, with biases fitted inside folds",
            ports: grid_ports(
                "`multirocket_<band>_<number>_ppv`, `_lspv`, `_mpv` and `_mipv`, and `multirocket_<band>_diff_...` of differences",
            ),
            params: MultiRocketParams::specs(),
            steps: grid_steps(),
        }
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let params = MultiRocketParams::read(action.params);
        fit_kernels(action, |bands, points| GridLayout {
            multi: true,
            kernels: params.kernels,
            dilations: params.dilations,
            normalise: params.normalise,
            prefix: params.prefix.into(),
            bands,
            points,
        })
    }
}
