//! The kinds that train networks, in pipelines that run in the test's own process.

mod autoencoder;
mod common;
mod network;
mod resume;
mod stack_network;
