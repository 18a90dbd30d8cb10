//! False alarms and power of the regression gate, on out-of-fold scores of real runs.
//!
//! ```sh
//! cargo run --release -p flow-stages --example gate -- REPEATS FOLDER
//! ```
//!
//! `FOLDER` has, for each survey S, `S.base.parquet` and `S.drop.parquet`: predictions of one model with
//! many repeats, and of a much worse one. Repeats are cut into blocks of `REPEATS`; two blocks of one
//! survey differ in the deal of folds and in the seed of the learner, and in nothing else. A planted drop
//! mixes the scores of a block with those of the worse model, in a proportion that makes average
//! precision fall by .05 in the last blocks; the first ones are tested. `benches/gate/run.sh` makes the
//! files.

#![allow(clippy::print_stdout, reason = "prints its figures")]

use std::path::Path;

use flow_stages::math::metrics::average_precision;
use flow_stages::study::gate::{GateOptions, Judged, Judgement, Noise, judge};
use flow_stages::study::{Arm, Pair, Parts, Scores};
use rayon::prelude::*;

/// Null pairs a survey: the first so many pairs of blocks, in order.
const NULLS: usize = 30;
/// Blocks a survey that planted drops are tested on, each as a baseline for two others.
const TESTED: usize = 5;
/// By how much average precision is made to fall.
const PLANTED: f64 = 0.05;

fn blocks(path: &Path, repeats: usize) -> Vec<Arm> {
    let all = Arm::read("all", path, None).expect("predictions");
    let parts = all.parts();
    let cut = parts.repeats.chunks_exact(repeats).map(|repeats| {
        Arm::from_parts(Parts {
            repeats: repeats.to_vec(),
            ..parts.clone()
        })
    });
    cut.map(|arm| arm.expect("an arm")).collect()
}

/// Scores of `a`, with the share `w` of those of `b`; the folds of `a`.
fn mixed(a: &Arm, b: &Arm, w: f64) -> Arm {
    let mut parts = a.parts().clone();
    for (deal, other) in parts.repeats.iter_mut().zip(&b.parts().repeats) {
        for (score, worse) in deal.scores.iter_mut().zip(&other.scores) {
            *score += w * (worse - *score);
        }
    }
    Arm::from_parts(parts).expect("an arm")
}

/// The share at which average precision falls by [`PLANTED`], on blocks that are not tested.
fn share(base: &[Arm], worse: &Arm) -> f64 {
    let area = |arm: &Arm| {
        average_precision(arm.average(), &arm.parts().positive, None).expect("positives")
    };
    let mean = |w: f64| {
        base.iter()
            .map(|arm| area(&mixed(arm, worse, w)))
            .sum::<f64>()
            / base.len() as f64
    };
    let wanted = mean(0.0) - PLANTED;
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..30 {
        let middle = 0.5 * (low + high);
        match mean(middle) > wanted {
            true => low = middle,
            false => high = middle,
        }
    }
    low
}

fn judged(base: &Arm, now: &Arm) -> Vec<Judged> {
    let pair = Pair::new(&Scores::of(base), now).expect("a pair");
    let options = GateOptions::default();
    judge(&pair, &Noise::of(base), &Noise::of(now), &options).expect("a judgement")
}

/// Counts and means over judgements.
fn tell(title: &str, all: &[Vec<Judged>]) {
    let n = all.len() as f64;
    let worse = |judged: &Judged| judged.verdict == Judgement::Worse;
    let any = all.iter().filter(|pair| pair.iter().any(worse)).count();
    println!("{title}: {any} of {} called worse", all.len());
    for metric in 0..2 {
        let mean = |f: &dyn Fn(&Judged) -> f64| all.iter().map(|p| f(&p[metric])).sum::<f64>() / n;
        let drop = mean(&|j| -j.difference.value);
        let square = mean(&|j| (-j.difference.value - drop).powi(2));
        println!(
            "  {:4} worse {:3}; drop {drop:+.4} +- {:.4}; se {:.4}; noise {:.4}; limit {:.4}; detectable {:.4}",
            all[0][metric].metric.title(),
            all.iter().filter(|pair| worse(&pair[metric])).count(),
            square.sqrt(),
            mean(&|j| j.se),
            mean(&|j| j.noise.unwrap_or(f64::NAN)),
            mean(&|j| j.limit),
            mean(&|j| j.detectable),
        );
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [repeats, folder] = &args[..] else {
        panic!("gate REPEATS FOLDER");
    };
    let repeats: usize = repeats.parse().expect("a number of repeats");
    let mut surveys: Vec<String> = std::fs::read_dir(folder)
        .expect("a folder")
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            Some(name.strip_suffix(".base.parquet")?.to_owned())
        })
        .collect();
    surveys.sort();
    let (mut nulls, mut drops) = (Vec::new(), Vec::new());
    for survey in &surveys {
        let read = |what: &str| {
            blocks(
                &Path::new(folder).join(format!("{survey}.{what}.parquet")),
                repeats,
            )
        };
        let (base, worse) = (read("base"), read("drop"));
        let pairs = (0..base.len()).flat_map(|i| (i + 1..base.len()).map(move |j| (i, j)));
        let pairs: Vec<(usize, usize)> = pairs.take(NULLS).collect();
        nulls.par_extend(
            pairs
                .into_par_iter()
                .map(|(i, j)| judged(&base[i], &base[j])),
        );
        let w = share(&base[TESTED..], &worse[0]);
        let pairs = (0..TESTED).flat_map(|i| [1, 2].map(|step| (i, (i + step) % TESTED)));
        let pairs: Vec<(usize, usize)> = pairs.collect();
        let found: Vec<_> = (pairs.into_par_iter())
            .map(|(i, j)| judged(&base[i], &mixed(&base[j], &worse[1], w)))
            .collect();
        let mean = found.iter().map(|j| -j[0].difference.value).sum::<f64>() / found.len() as f64;
        println!(
            "survey {survey}: AP {:.4}; a share of {w:.2} makes it fall by {mean:.4}",
            found[0][0].baseline
        );
        drops.extend(found);
    }
    tell("null changes", &nulls);
    tell("planted drops", &drops);
}
