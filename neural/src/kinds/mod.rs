//! The stage kinds that train networks, and the registry of all kinds of the program.

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

fn with_networks(registry: Registry) -> Registry {
    registry
}
