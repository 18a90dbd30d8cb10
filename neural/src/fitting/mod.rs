//! The fit of a network: losses, batches, epochs, checkpoints.
