//! What this program was built with.

use flow_engine::base::diag::Diag;
use flow_engine::kind::{Resources, Surroundings};

const NOT_BUILT: &str = "flow::neural::not_built";
const NO_GPU: &str = "flow::neural::no_gpu";

/// How to build a program that has networks.
const BUILD: &str =
    "build a program that has them: cargo install --path . --locked --features neural";

fn not_built_text(kind: &str) -> String {
    format!("this program was built without neural networks, which `{kind}` needs")
}

/// Refuses a kind that this program cannot run, and GPUs that it cannot use.
pub fn check(kind: &str, resources: &Resources) -> Vec<Diag> {
    let mut diags = Vec::new();
    if !cfg!(feature = "burn") {
        diags.push(Diag::new(NOT_BUILT, not_built_text(kind)).help(BUILD));
    }
    if resources.gpus > 1 {
        let text = format!("`{kind}` uses one GPU at most");
        diags.push(Diag::new(NO_GPU, text).help("resources = { gpu = 1 }"));
    } else if resources.gpus > 0 && !cfg!(any(feature = "cuda", feature = "wgpu")) {
        let text = "this program was built without what computes on a GPU";
        diags.push(Diag::new(NO_GPU, text).help(
            "leave `gpu` out of `resources`, or build a program that has one: cargo install --path . --locked \
             --features neural-cuda (or neural-wgpu)",
        ));
    }
    diags
}

/// Returns what decides the results of a kind besides its recipe: the device, and the order of sums on it.
#[cfg(feature = "burn")]
pub fn surroundings(resources: &Resources) -> Surroundings {
    use flow_cache::Value;

    use super::device::device_name;
    use crate::fused::arithmetic;

    let mut facts = vec![("device", Value::from(device_name(resources.gpus)))];
    if resources.gpus == 0 {
        facts.push(("arithmetic", arithmetic().into()));
    }
    Surroundings::Known(Value::map(facts))
}

/// Returns nothing, since nothing runs.
#[cfg(not(feature = "burn"))]
pub fn surroundings(_resources: &Resources) -> Surroundings {
    Surroundings::None
}

/// The failure of an action that this program cannot run.
#[cfg(not(feature = "burn"))]
pub fn not_built(kind: &str) -> flow_engine::StageError {
    flow_engine::StageError::failed(NOT_BUILT, not_built_text(kind)).help(BUILD)
}
