//! False alarms and power of the regression gate, on out-of-fold scores of real runs.
//!
//! ```sh
//! cargo run --release -p flow-stages --example gate -- REPEATS FOLDER
//! ```
//!
//! `FOLDER` has, for each survey S, `S.base.parquet` and `S.drop.parquet`: predictions of one model with
//! many repeats, and of a much worse one with 2 x `REPEATS`. Two sets of `REPEATS` repeats without one in
//! common differ in the deal of folds and in the seed of the learner, and in nothing else: a null change.
//! A planted drop mixes the scores of the second set with those of the worse model, in a proportion that
//! makes average precision fall by .05 on average over other pairs, with other repeats of the worse
//! model. `benches/gate/run.sh` makes the files.

#![allow(clippy::print_stdout, reason = "prints its figures")]

use std::path::Path;

use flow_stages::comparison::gate::{GateOptions, Judged, Judgement, Noise, judge};
use flow_stages::comparison::{Arm, ArmParts, KeptScores, Pair};
use flow_stages::numeric::metrics::average_precision;
use flow_stages::numeric::rng::Stream;
use rayon::prelude::*;

/// Null changes a survey.
const NULLS: usize = 30;
/// Planted drops a survey.
const DROPS: usize = 10;
/// By how much average precision is made to fall.
const PLANTED: f64 = 0.05;
/// Pairs that the proportion is found with.
const TRIED: usize = 20;

/// Repeats of an evaluation as one of its own.
fn some(all: &Arm, repeats: &[usize]) -> Arm {
    let parts = all.parts();
    Arm::from_parts(ArmParts {
        repeats: repeats.iter().map(|&r| parts.repeats[r].clone()).collect(),
        ..parts.clone()
    })
    .expect("an arm")
}

/// Two sets of `n` repeats without one in common. What for, survey and number name the draw.
fn pair(all: &Arm, n: usize, draw: [u64; 3]) -> (Arm, Arm) {
    let mut order: Vec<usize> = (0..all.parts().repeats.len()).collect();
    Stream::new(2026, &draw).shuffle(&mut order);
    (some(all, &order[..n]), some(all, &order[n..2 * n]))
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

/// The share of the worse scores at which average precision falls by [`PLANTED`].
fn share(pairs: &[(Arm, Arm)], worse: &Arm) -> f64 {
    let area = |arm: &Arm| {
        average_precision(arm.average(), &arm.parts().positive, None).expect("positives")
    };
    let drop = |w: f64| {
        let drops = pairs
            .iter()
            .map(|(base, now)| area(base) - area(&mixed(now, worse, w)));
        drops.sum::<f64>() / pairs.len() as f64
    };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..20 {
        let middle = 0.5 * (low + high);
        match drop(middle) < PLANTED {
            true => low = middle,
            false => high = middle,
        }
    }
    low
}

fn judged(base: &Arm, now: &Arm) -> Vec<Judged> {
    let pair = Pair::new(&KeptScores::of(base), now).expect("a pair");
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
        let square = mean(&|j| {
            let apart = -j.difference.value - drop;
            apart * apart
        });
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
    for (index, survey) in surveys.iter().enumerate() {
        let read = |what: &str| {
            let path = Path::new(folder).join(format!("{survey}.{what}.parquet"));
            Arm::read(survey, &path, None).expect("predictions")
        };
        let (base, worse) = (read("base"), read("drop"));
        let pair = |what, number| pair(&base, repeats, [what, index as u64, number as u64]);
        let found = (0..NULLS).into_par_iter().map(|p| {
            let (base, now) = pair(0, p);
            judged(&base, &now)
        });
        nulls.extend(found.collect::<Vec<_>>());
        let tried: Vec<(Arm, Arm)> = (0..TRIED).map(|p| pair(1, p)).collect();
        let first: Vec<usize> = (0..repeats).collect();
        let second: Vec<usize> = (repeats..2 * repeats).collect();
        let w = share(&tried, &some(&worse, &first));
        let worse = some(&worse, &second);
        let found = (0..DROPS).into_par_iter().map(|p| {
            let (base, now) = pair(2, p);
            judged(&base, &mixed(&now, &worse, w))
        });
        let found: Vec<Vec<Judged>> = found.collect();
        let mean = found.iter().map(|j| -j[0].difference.value).sum::<f64>() / DROPS as f64;
        println!(
            "survey {survey}: AP {:.4}; a share of {w:.2} makes it fall by {mean:.4}",
            found[0][0].baseline
        );
        drops.extend(found);
    }
    tell("null changes", &nulls);
    tell("planted drops", &drops);
}
