//! End-to-end runs of the binary: every pipeline, what reruns when, faults, real data.

#![allow(clippy::print_stdout)] // a test that skips says so

mod ablate;
mod audit;
mod bad_data;
mod check;
mod cluster;
mod commands;
mod completion;
mod endings;
mod errors;
mod events;
mod executor;
mod faults;
mod first_hour;
mod groupings;
mod hints;
mod history;
mod kills;
mod mallorn;
mod manners;
mod models;
mod networks;
mod own_folders;
mod paths;
mod pipelines;
mod python;
mod recipes;
mod reports;
mod rerun;
mod rights;
mod shared;
mod stores;
mod survey;
mod tsfresh;
mod tune;
mod unmeasured;
