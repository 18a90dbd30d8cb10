//! What comparisons say of two models that differ in nothing but their seed.
//!
//! ```text
//! cargo run --release -p flow-stages --example stats_seeds -- 300
//! ```
//!
//! The argument is the number of simulated surveys: 1,000 objects, 12 features of which 4 tell, 10 %
//! positives. On each, boosted trees on random parts of the rows and columns are cross-validated
//! twice, on the same folds and with other seeds. Any "better" or "worse" is a false alarm.
//! `docs/statistics.md` has the figures.

#![allow(
    clippy::print_stdout,
    reason = "a program that prints its result, not a stage"
)]

use std::sync::Arc;

use flow_stages::comparison::{
    Arm, ArmParts, Comparison, ComparisonOptions, ComparisonVerdict, Deal, compare,
};
use flow_stages::evaluation::Metric;
use flow_stages::learner::{FitJob, LearnerParams, Matrix, learner};
use flow_stages::numeric::kfold;
use flow_stages::numeric::rng::Stream;
use rayon::prelude::*;

const OBJECTS: usize = 1_000;
const FEATURES: usize = 12;
const FOLDS: usize = 5;
const REPEATS: u64 = 5;

/// A matrix of some rows.
fn matrix(rows: &[usize], values: &[f32]) -> Matrix {
    let values = (rows.iter())
        .flat_map(|&row| values[row * FEATURES..][..FEATURES].iter().copied())
        .collect();
    Matrix::new(rows.len(), FEATURES, Arc::new(values)).expect("a matrix")
}

/// Out-of-fold scores of one repeat.
fn scores(values: &[f32], labels: &[usize], folds: &[u32], seed: u64) -> Vec<f64> {
    let learner = learner("hessboost").expect("a learner");
    let mut scores = vec![0.0; OBJECTS];
    for fold in 0..FOLDS as u32 {
        let (held_out, train): (Vec<usize>, Vec<usize>) =
            (0..OBJECTS).partition(|&row| folds[row] == fold);
        let params = LearnerParams {
            rounds: 60,
            learning_rate: 0.1,
            max_depth: 3,
            subsample: 0.7,
            colsample: Some(0.5),
            max_bin: Some(32),
            seed: seed * FOLDS as u64 + u64::from(fold),
            ..LearnerParams::default()
        };
        let y: Vec<usize> = train.iter().map(|&row| labels[row]).collect();
        let model = learner.fit(&FitJob {
            x: &matrix(&train, values),
            y: &y,
            n_classes: 2,
            params: &params,
            threads: 1,
            stop: &|| false,
        });
        let model = model.expect("a model");
        let p = model.predict(&matrix(&held_out, values)).expect("scores");
        for (&row, p) in held_out.iter().zip(p.chunks_exact(2)) {
            scores[row] = p[1];
        }
    }
    scores
}

/// Two arms that differ in their seeds, and the comparison by number of repeats.
fn simulate(survey: u64) -> Vec<Comparison> {
    let mut stream = Stream::new(4, &[survey]);
    let labels: Vec<usize> = (0..OBJECTS)
        .map(|_| usize::from(stream.uniform() < 0.1))
        .collect();
    let mut values = Vec::with_capacity(OBJECTS * FEATURES);
    for &label in &labels {
        for feature in 0..FEATURES {
            let shift = if feature < 4 { 1.1 * label as f64 } else { 0.0 };
            values.push((stream.normal() + shift) as f32);
        }
    }
    let mut arms: [Vec<Deal>; 2] = [Vec::new(), Vec::new()];
    for repeat in 0..REPEATS {
        let folds = kfold::assign(&labels, None, FOLDS, Some((survey, repeat)));
        let folds = folds.expect("folds").folds;
        for (a, deals) in arms.iter_mut().enumerate() {
            let seed = (survey * REPEATS + repeat) * 2 + a as u64;
            deals.push(Deal {
                scores: scores(&values, &labels, &folds, seed),
                folds: folds.clone(),
            });
        }
    }
    let options = ComparisonOptions {
        seed: survey,
        margin: 0.0,
        ..ComparisonOptions::default()
    };
    [1, 3, 5]
        .map(|repeats| {
            let arm = |a: usize| {
                Arm::from_parts(ArmParts {
                    name: format!("seed {a}"),
                    ids: (0..OBJECTS).map(|i| format!("{i:04}")).collect(),
                    positive: labels.iter().map(|&label| label == 1).collect(),
                    repeats: arms[a][..repeats].to_vec(),
                    ..ArmParts::default()
                })
                .expect("an arm")
            };
            compare(&arm(0), &[arm(1)], &options)
                .expect("a comparison")
                .remove(0)
        })
        .into()
}

fn main() {
    let surveys = std::env::args().nth(1).and_then(|a| a.parse().ok());
    let surveys: u64 = surveys.unwrap_or(300);
    let all: Vec<Vec<Comparison>> = (0..surveys).into_par_iter().map(simulate).collect();
    let n = all.len() as f64;
    println!("{surveys} surveys\n");
    println!(
        "| repeats | metric | mean | SD of difference | mean SE | % bootstrap alarms | % corrected t alarms | % naive t alarms |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (r, repeats) in [1, 3, 5].into_iter().enumerate() {
        for metric in Metric::COMPARED
            .into_iter()
            .filter(|m| *m != Metric::LogLoss)
        {
            let found: Vec<_> = all.iter().map(|c| &c[r].metrics[&metric]).collect();
            let mean = |f: &dyn Fn(usize) -> f64| (0..found.len()).map(f).sum::<f64>() / n;
            let value = mean(&|i| found[i].base);
            let sd = mean(&|i| found[i].difference.value * found[i].difference.value).sqrt();
            let se = mean(&|i| found[i].se);
            let alarms = mean(&|i| {
                let verdict = found[i].verdict;
                f64::from(u8::from(
                    verdict == ComparisonVerdict::Better || verdict == ComparisonVerdict::Worse,
                ))
            });
            let t = mean(&|i| {
                let p = found[i].resampled_t.map_or(1.0, |t| t.p);
                f64::from(u8::from(p < 0.05))
            });
            // Without the correction the standard error is smaller by this factor.
            let j = (repeats * FOLDS) as f64;
            let factor = ((1.0 / j + 0.25) * j).sqrt();
            let naive = mean(&|i| {
                let p = found[i].resampled_t.map_or(1.0, |t| {
                    flow_stages::numeric::stats::distribution::student_two_sided(t.t * factor, t.df)
                });
                f64::from(u8::from(p < 0.05))
            });
            println!(
                "| {repeats} | {} | {value:.3} | {sd:.4} | {se:.4} | {:.1} | {:.1} | {:.1} |",
                metric.title(),
                100.0 * alarms,
                100.0 * t,
                100.0 * naive
            );
        }
    }
}
