//! A fit that is stopped in its middle, and goes on.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common::project;
use flow_cache::{Digest, StatCache, Store};
use flow_engine::Event;
use flow_engine::pipeline::Pipeline;
use flow_engine::plan::Plan;
use flow_engine::run::options::{Options, Setting};
use flow_engine::run::{self, Finished};
use flow_neural::kinds::registry;
use flow_testkit::local;

const NETS: &str = r#"
[stages.net]
use = "network"
inputs = { sequences = "sequences", folds = "folds" }
architecture = "multi_gru"
units = [6]
hidden = [6]
epochs = 6
early_stopping = 5
bags = 2
schedule = "plateau"
schedule_epochs = 1
"#;

/// The progress of the fits of a run.
#[derive(Default)]
struct Seen {
    /// The first epoch that each action told of.
    first: Vec<u64>,
    epochs: usize,
    /// When the run was told to stop.
    stopped: Option<Instant>,
}

/// Runs the pipeline in a store, and tells it to stop after a number of epochs of all fits.
fn run_until(pipeline: &Pipeline, home: &Path, epochs: usize) -> (Finished, Seen) {
    let store = Store::open(&home.join("store")).unwrap();
    let stat = StatCache::open(&home.join("stat"));
    let plan = Plan::new(pipeline);
    let cancel = AtomicBool::new(false);
    let setting = Setting {
        plan: &plan,
        store: &store,
        stat: &stat,
        options: &Options {
            jobs: 1,
            ..local::run_options(home, &cancel)
        },
    };
    let net = pipeline.stages.iter().position(|stage| stage.name == "net");
    let (mut seen, mut told) = (Seen::default(), HashSet::new());
    let finished = run::run(setting, HashSet::new(), &mut |event| {
        let Event::Progress {
            action,
            stage,
            progress,
        } = event
        else {
            return;
        };
        if Some(stage) != net || progress.total != 12 {
            return;
        }
        if told.insert(action) {
            seen.first.push(progress.done);
        }
        assert!(
            progress
                .figures
                .iter()
                .any(|(name, value)| name == "loss" && value.is_finite())
        );
        seen.epochs += 1;
        if seen.epochs == epochs {
            cancel.store(true, Ordering::Relaxed);
            seen.stopped = Some(Instant::now());
        }
    });
    (finished.unwrap(), seen)
}

fn digests(pipeline: &Pipeline, home: &Path) -> Vec<Digest> {
    // All are there, so this runs nothing.
    let run = local::run(pipeline, home, 1).ok();
    let net = pipeline
        .stages
        .iter()
        .position(|stage| stage.name == "net")
        .unwrap();
    (0..3)
        .map(|port| run.port(net, port).unwrap().digest().unwrap())
        .collect()
}

#[test]
fn a_stopped_fit_ends_with_the_bytes_of_an_unbroken_one() {
    let project = project(NETS);
    let pipeline = local::sound(&project, "p.toml", &[], &registry());
    let (whole, broken) = (project.path("whole"), project.path("broken"));
    let (_, seen) = run_until(&pipeline, &whole, usize::MAX);
    let all = seen.epochs;
    assert!(
        seen.first.iter().all(|&epoch| epoch == 1),
        "{:?}",
        seen.first
    );
    // In the middle of the second network of the first fit, and then in the next fit.
    let mut epochs = 0;
    for (stop, first) in [(8, 1), (9, 9)] {
        let (_, seen) = run_until(&pipeline, &broken, stop);
        let ended = seen.stopped.expect("it was stopped").elapsed();
        assert!(ended < Duration::from_secs(5), "{ended:?}");
        assert_eq!(seen.first[0], first, "{:?}", seen.first);
        epochs += seen.epochs;
    }
    let (_, seen) = run_until(&pipeline, &broken, usize::MAX);
    assert!(seen.first[0] > 1, "{:?}", seen.first);
    assert_eq!(digests(&pipeline, &broken), digests(&pipeline, &whole));
    // No epoch was lost but those that were under way.
    assert!(
        epochs + seen.epochs <= all + 2,
        "{epochs} {} {all}",
        seen.epochs
    );
}
