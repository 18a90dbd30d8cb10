//! End-to-end runs of the binary: every pipeline, what reruns when, faults, real data.

mod bad_data;
mod faults;
mod harness;
mod mallorn;
mod pipelines;
mod rerun;
mod survey;
