//! The stage kinds that train networks, and the registry of all kinds of the program.

mod autoencoder;
mod built;
#[cfg(feature = "burn")]
mod device;
mod fit_params;
mod history;
#[cfg(feature = "burn")]
mod host;
mod network;
#[cfg(feature = "burn")]
mod preparation;
#[cfg(feature = "burn")]
mod saved;
mod stack_network;

use std::ffi::OsString;

use flow_engine::Registry;

/// Returns all kinds, as [`flow_stages::kinds::registry`] does, with those of this crate.
pub fn registry() -> Registry {
    with_networks(flow_stages::kinds::registry())
}

/// Returns all kinds, as [`flow_stages::kinds::registry_with`] does, with those of this crate.
pub fn registry_with(guard: Vec<OsString>) -> Registry {
    with_networks(flow_stages::kinds::registry_with(guard))
}

fn with_networks(mut registry: Registry) -> Registry {
    registry.add(autoencoder::AutoencoderKind);
    registry.add(network::NetworkKind);
    registry.add(stack_network::StackNetworkKind);
    registry
}
