//! How often intervals hold the true value, on simulated scores of two classifiers.
//!
//! ```text
//! cargo run --release -p flow-stages --example stats_coverage -- 2000 399
//! ```
//!
//! The arguments are the number of simulations and the draws of each bootstrap. Prints a Markdown
//! table; `docs/statistics.md` has one with a reading of it.
//!
//! Scores are normal with variance 1 about 0 for negatives and about 2.15 (first classifier) or 2.05
//! (second) for the 7.5 % positives; scores of an object correlate by 0.9 between classifiers. Where
//! there are groups, a share of the variance is common to a group.

#![allow(
    clippy::print_stdout,
    reason = "a program that prints its result, not a stage"
)]

use flow_stages::comparison::{
    Arm, ArmParts, ComparisonOptions, Deal, Estimate, compare, summarise,
};
use flow_stages::evaluation::Metric;
use flow_stages::numeric::rng::Stream;
use flow_stages::numeric::stats::distribution::normal_cdf;
use rayon::prelude::*;

const POSITIVE: f64 = 0.075;
const CORRELATION: f64 = 0.9;
const FOLDS: u64 = 5;
const REPEATS: usize = 2;

/// What is simulated.
struct World {
    name: &'static str,
    objects: usize,
    groups: usize,
    /// Share of a score's variance that is common to its group.
    common: f64,
    /// Objects of a group are all of one class, as copies of a source are; otherwise each group has
    /// a share of positives of its own.
    copies: bool,
    /// Mean scores of positives, by classifier.
    shift: [f64; 2],
}

const WORLDS: [World; 4] = [
    World {
        name: "2,000 objects",
        objects: 2_000,
        groups: 2_000,
        common: 0.0,
        copies: true,
        shift: [2.15, 2.05],
    },
    World {
        name: "666 groups of 3 copies",
        objects: 1_998,
        groups: 666,
        common: 0.6,
        copies: true,
        shift: [2.15, 2.05],
    },
    World {
        name: "20 groups of 100",
        objects: 2_000,
        groups: 20,
        common: 0.05,
        copies: false,
        shift: [2.15, 2.05],
    },
    World {
        name: "600 objects",
        objects: 600,
        groups: 600,
        common: 0.0,
        copies: true,
        shift: [2.15, 2.05],
    },
];

/// Two normal deviates of variance `variance` that correlate by [`CORRELATION`].
fn pair(stream: &mut Stream, variance: f64) -> [f64; 2] {
    let both = (CORRELATION * variance).sqrt() * stream.normal();
    let own = ((1.0 - CORRELATION) * variance).sqrt();
    [both + own * stream.normal(), both + own * stream.normal()]
}

/// Both classifiers on one simulated survey.
fn simulate(world: &World, simulation: u64) -> [Arm; 2] {
    let mut stream = Stream::new(20_26, &[simulation]);
    let size = world.objects / world.groups;
    let mut parts = ArmParts::default();
    let (mut groups, mut scores) = (Vec::new(), [Vec::new(), Vec::new()]);
    let mut folds = vec![Vec::new(); REPEATS];
    for group in 0..world.groups {
        let common = pair(&mut stream, world.common);
        let class = stream.uniform() < POSITIVE;
        let share = POSITIVE * stream.uniform_in(0.2, 1.8);
        let held_out: Vec<u32> = (0..REPEATS).map(|_| stream.below(FOLDS) as u32).collect();
        for _ in 0..size {
            let positive = if world.copies {
                class
            } else {
                stream.uniform() < share
            };
            let own = pair(&mut stream, 1.0 - world.common);
            for a in 0..2 {
                let shift = if positive { world.shift[a] } else { 0.0 };
                scores[a].push(shift + common[a] + own[a]);
            }
            parts.ids.push(format!("{:06}", parts.ids.len()));
            parts.positive.push(positive);
            groups.push(format!("{group:06}"));
            for (folds, &fold) in folds.iter_mut().zip(&held_out) {
                folds.push(fold);
            }
        }
    }
    parts.groups = (size > 1).then_some(groups);
    scores.map(|scores| {
        let deal = |folds: &Vec<u32>| Deal {
            folds: folds.clone(),
            scores: scores.clone(),
        };
        let repeats = folds.iter().map(deal).collect();
        let parts = ArmParts {
            repeats,
            ..parts.clone()
        };
        Arm::from_parts(parts).expect("a simulated arm")
    })
}

/// The metric of a classifier on endless data, where it does not depend on a chosen threshold.
fn truth(metric: Metric, shift: f64) -> Option<f64> {
    match metric {
        Metric::RocAuc => Some(normal_cdf(shift / std::f64::consts::SQRT_2)),
        Metric::Ap => {
            let (mut area, mut recall) = (0.0, 0.0);
            for step in 0..200_000 {
                let threshold = 8.0 - f64::from(step) * 1e-4;
                let (tp, fp) = (normal_cdf(shift - threshold), normal_cdf(-threshold));
                let precision = POSITIVE * tp / (POSITIVE * tp + (1.0 - POSITIVE) * fp);
                area += (tp - recall) * precision;
                recall = tp;
            }
            Some(area)
        }
        _ => None,
    }
}

/// One line of the table: estimates and standard errors over simulations.
fn report(what: &str, truth: Option<f64>, rows: &[(Estimate, Option<f64>)]) {
    let n = rows.len() as f64;
    let mean = rows.iter().map(|r| r.0.value).sum::<f64>() / n;
    let squares: f64 = (rows.iter())
        .map(|r| (r.0.value - mean) * (r.0.value - mean))
        .sum();
    let target = truth.unwrap_or(mean);
    let share = |count: usize| 100.0 * count as f64 / n;
    let above = share(rows.iter().filter(|r| r.0.low > target).count());
    let below = share(rows.iter().filter(|r| r.0.high < target).count());
    let se = rows.iter().filter_map(|r| r.1).sum::<f64>() / n;
    let se = if se > 0.0 {
        format!("{se:.4}")
    } else {
        "-".into()
    };
    println!(
        "| {what} | {target:.4} | {mean:.4} | {:.4} | {se} | {:.1} | {above:.1} | {below:.1} |",
        (squares / (n - 1.0)).sqrt(),
        100.0 - above - below
    );
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|a| a.parse().ok());
    let simulations = arguments.next().unwrap_or(2_000);
    let draws = arguments.next().unwrap_or(399);
    for world in &WORLDS {
        let results: Vec<_> = (0..simulations as u64)
            .into_par_iter()
            .map(|simulation| {
                let options = ComparisonOptions {
                    draws,
                    seed: simulation,
                    ..ComparisonOptions::default()
                };
                let [first, second] = simulate(world, simulation);
                let summary = summarise(&first, &options).expect("a summary");
                let compared = compare(&second, &[first], &options).expect("a comparison");
                (summary.metrics, compared[0].metrics.clone())
            })
            .collect();
        println!(
            "\n{}, {simulations} simulations, {draws} draws\n",
            world.name
        );
        println!("| | true | mean | SD | SE | % covered | % too high | % too low |");
        println!("|---|---|---|---|---|---|---|---|");
        for metric in Metric::COMPARED
            .into_iter()
            .filter(|m| *m != Metric::LogLoss)
        {
            let rows: Vec<_> = results.iter().map(|r| (r.0[&metric], None)).collect();
            report(metric.title(), truth(metric, world.shift[0]), &rows);
        }
        for metric in Metric::COMPARED
            .into_iter()
            .filter(|m| *m != Metric::LogLoss)
        {
            let rows: Vec<_> = (results.iter())
                .map(|r| (r.1[&metric].difference, Some(r.1[&metric].se)))
                .collect();
            let truth = truth(metric, world.shift[0])
                .zip(truth(metric, world.shift[1]))
                .map(|(a, b)| a - b);
            report(&format!("difference in {}", metric.title()), truth, &rows);
        }
    }
}
