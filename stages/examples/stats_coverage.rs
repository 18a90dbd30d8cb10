//! experiment
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "prints")]
use flow_stages::math::rng::Stream;
use flow_stages::math::stats::bootstrap::{Distribution, Units};
use flow_stages::math::stats::distribution::*;
use flow_stages::math::stats::weighted::{Figures, Ranking};
use rayon::prelude::*;

#[derive(Clone, Copy)]
struct World {
    name: &'static str,
    n: usize,
    groups: usize,
    share: f64,
    effect: f64,
    d: [f64; 2],
    rho: f64,
}

struct Data {
    positive: Vec<bool>,
    scores: [Vec<f64>; 2],
    group: Vec<u32>,
    deals: Vec<Vec<u32>>,
}

fn make(w: &World, sim: u64) -> Data {
    let mut s = Stream::new(77, &[sim]);
    let per = w.n / w.groups;
    let mut data = Data {
        positive: vec![],
        scores: [vec![], vec![]],
        group: vec![],
        deals: vec![],
    };
    let triples = per == 3;
    let mut fold_of_group: Vec<Vec<u32>> = vec![];
    for _ in 0..2 {
        fold_of_group.push((0..w.groups).map(|_| s.below(5) as u32).collect());
    }
    for g in 0..w.groups {
        // shared effects: common, per arm, and prevalence
        let common = s.normal();
        let own = [s.normal(), s.normal()];
        let label = s.uniform() < w.share;
        let prevalence = if triples {
            0.0
        } else if w.groups < w.n {
            w.share * s.uniform_in(0.2, 1.8)
        } else {
            w.share
        };
        for _ in 0..per {
            let y = if triples {
                label
            } else {
                s.uniform() < prevalence
            };
            let e = s.normal();
            let r = w.rho.sqrt();
            let q = (1.0 - w.rho).sqrt();
            let (ge, ie) = (w.effect.sqrt(), (1.0 - w.effect).sqrt());
            for a in 0..2 {
                let group = r * common + q * own[a];
                let indiv = r * e + q * s.normal();
                data.scores[a].push(if y { w.d[a] } else { 0.0 } + ge * group + ie * indiv);
            }
            data.positive.push(y);
            data.group.push(g as u32);
        }
    }
    for r in 0..2 {
        data.deals.push(
            data.group
                .iter()
                .map(|&g| fold_of_group[r][g as usize])
                .collect(),
        );
    }
    data
}

fn upper(t: f64) -> f64 {
    1.0 - normal_cdf(t)
}
fn population(pi: f64, d: f64) -> [f64; 2] {
    let (mut ap, mut best, mut last) = (0.0, 0.0f64, 0.0);
    for i in 0..400_000 {
        let t = 12.0 - i as f64 * 20.0 / 400_000.0;
        let (tp, fp) = (pi * upper(t - d), (1.0 - pi) * upper(t));
        if tp > 0.0 {
            ap += (tp - last) / pi * tp / (tp + fp);
            best = best.max(2.0 * tp / (tp + fp + pi));
        }
        last = tp;
    }
    [ap, best]
}

/// [low, high] for percentile, expanded, BCa, t
fn intervals(value: f64, draws: Vec<f64>, jack: &[f64], units: usize) -> [(f64, f64); 4] {
    let perc = Distribution::new(draws.clone(), 10_000_000);
    let ex = Distribution::new(draws.clone(), units);
    let mut sorted = draws;
    sorted.sort_by(f64::total_cmp);
    let m = sorted.len() as f64;
    let z0 = normal_quantile(
        ((sorted.partition_point(|&v| v < value) as f64
            + 0.5 * sorted.iter().filter(|&&v| v == value).count() as f64)
            / m)
            .clamp(0.5 / m, 1.0 - 0.5 / m),
    );
    let mean = jack.iter().sum::<f64>() / jack.len() as f64;
    let (mut a3, mut a2) = (0.0, 0.0);
    for j in jack {
        let u = mean - j;
        a3 += u * u * u;
        a2 += u * u;
    }
    let a = if a2 > 0.0 {
        a3 / (6.0 * a2 * a2.sqrt())
    } else {
        0.0
    };
    let bca = |z: f64| {
        let u = z0 + (z0 + z) / (1.0 - a * (z0 + z));
        let p = normal_cdf(u);
        let at = (p * (m + 1.0) - 1.0).clamp(0.0, m - 1.0);
        let lo = at as usize;
        let hi = (lo + 1).min(sorted.len() - 1);
        sorted[lo] + (at - lo as f64) * (sorted[hi] - sorted[lo])
    };
    let half = student_quantile(0.975, units as f64 - 1.0)
        * perc.se()
        * (units as f64 / (units as f64 - 1.0)).sqrt();
    [
        perc.interval(0.95),
        ex.interval(0.95),
        (bca(-1.95996), bca(1.95996)),
        (value - half, value + half),
    ]
}

fn main() {
    let args: Vec<usize> = std::env::args()
        .skip(1)
        .map(|a| a.parse().unwrap())
        .collect();
    let (sims, draws) = (args[0], args[1]);
    let base = World {
        name: "objects",
        n: 2000,
        groups: 2000,
        share: 0.075,
        effect: 0.0,
        d: [2.35, 2.3],
        rho: 0.9,
    };
    let worlds = [
        base,
        World {
            name: "null",
            d: [2.35, 2.35],
            ..base
        },
        World {
            name: "small",
            n: 600,
            groups: 600,
            d: [2.35, 2.3],
            ..base
        },
        World {
            name: "triples",
            n: 1998,
            groups: 666,
            effect: 0.6,
            ..base
        },
        World {
            name: "20 splits",
            groups: 20,
            effect: 0.05,
            ..base
        },
    ];
    for w in worlds.iter() {
        let truth = [population(w.share, w.d[0]), population(w.share, w.d[1])];
        let rows: Vec<(Vec<f64>, Vec<[(f64, f64); 4]>, Vec<f64>)> = (0..sims as u64)
            .into_par_iter()
            .map(|sim| {
                let data = make(w, sim);
                let rank: Vec<Ranking> = (0..2)
                    .map(|a| Ranking::new(&data.scores[a], &data.positive, &data.deals))
                    .collect();
                let units = if w.groups == w.n {
                    Units::rows(w.n)
                } else {
                    Units::groups(&data.group, w.groups)
                };
                let fig = |c: &[u32]| -> Vec<f64> {
                    let f: Vec<Figures> = rank.iter().map(|r| r.figures(c)).collect();
                    let (a, b) = (
                        f[0].average_precision.unwrap(),
                        f[1].average_precision.unwrap(),
                    );
                    vec![a, a - b, f[0].f1, f[0].f1 - f[1].f1]
                };
                let whole = fig(&vec![1; w.n]);
                let jack: Vec<Vec<f64>> = if w.groups == w.n && sim % 1 == 0 {
                    // rows in blocks: leave out one in turn
                    (0..w.n)
                        .map(|u| {
                            let mut c = vec![1; w.n];
                            c[u] = 0;
                            fig(&c)
                        })
                        .collect()
                } else {
                    (0..w.groups)
                        .map(|g| {
                            let c: Vec<u32> = data
                                .group
                                .iter()
                                .map(|&x| u32::from(x as usize != g))
                                .collect();
                            fig(&c)
                        })
                        .collect()
                };
                let d = units.draws(draws, sim, fig);
                let ints = (0..4)
                    .map(|k| {
                        intervals(
                            whole[k],
                            d.iter().map(|v| v[k]).collect(),
                            &jack.iter().map(|v| v[k]).collect::<Vec<_>>(),
                            w.groups,
                        )
                    })
                    .collect();
                let se = (0..4)
                    .map(|k| Distribution::new(d.iter().map(|v| v[k]).collect(), 9).se())
                    .collect();
                (whole, ints, se)
            })
            .collect();
        let n = rows.len() as f64;
        let names = ["AP", "AP diff", "F1", "F1 diff"];
        for k in 0..4 {
            let mean = rows.iter().map(|r| r.0[k]).sum::<f64>() / n;
            let sd = (rows.iter().map(|r| (r.0[k] - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
            let se = rows.iter().map(|r| r.2[k]).sum::<f64>() / n;
            let pop = [
                truth[0][0],
                truth[0][0] - truth[1][0],
                truth[0][1],
                truth[0][1] - truth[1][1],
            ][k];
            print!(
                "{:10} {:8} mean {mean:.4} pop {pop:.4} sd {sd:.4} se {se:.4}",
                w.name, names[k]
            );
            for (m, label) in ["perc", "exp", "bca", "t"].iter().enumerate() {
                let cover = |target: f64| {
                    let (mut below, mut above) = (0, 0);
                    for r in &rows {
                        let (l, h) = r.1[k][m];
                        if target < l {
                            below += 1
                        }
                        if target > h {
                            above += 1
                        }
                    }
                    format!(
                        "{:.1} ({:.1}/{:.1})",
                        100.0 * (n - (below + above) as f64) / n,
                        100.0 * below as f64 / n,
                        100.0 * above as f64 / n
                    )
                };
                print!("  {label}: pop {} mean {}", cover(pop), cover(mean));
            }
            println!();
        }
    }
}
