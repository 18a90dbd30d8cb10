//! A regression gate: decides whether an evaluation is worse than an earlier one of the same objects,
//! by more than chance explains.
//!
//! The drop of a metric, on scores averaged over repeats, has two sources of chance:
//!
//! - **objects**: other objects of the same kind would have given another difference. Its standard
//!   error `se` is that of the paired bootstrap ([`compare`]);
//! - **seeds**: another deal of the folds and other random numbers of the learner would have given
//!   other scores. Every repeat is such another deal, so the spread of the metric over repeats, `s`,
//!   measures it at no cost. The mean of `R` repeats has the variance `s^2 / R`; the difference of two
//!   evaluations has `noise^2 = s^2 (1 / R_base + 1 / R_now)`, with `s^2` pooled over both.
//!
//! The evaluation is worse if the drop exceeds
//!
//! ```text
//! limit = tolerance + t(1 - a / tests; df) * sqrt(se^2 + noise^2)
//! ```
//!
//! where `a` is the declared rate of false alarms of all tests together (Bonferroni) and `df` is the
//! number of degrees of freedom of the sum of two variances (Welch 1947, "The generalization of
//! 'Student's' problem when several different population variances are involved", Biometrika 34;
//! Satterthwaite 1946). With one repeat the noise of seeds is unknown, and taken to be as large as
//! that of objects.
//!
//! Where only the seed differs, part of the noise of seeds is in `se` as well, which makes the limit
//! larger than needed: the declared rate is an upper bound.

use std::collections::BTreeMap;

use flow_engine::StageError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::compare::figure;
use super::{Arm, ComparisonOptions, Estimate, Pair, compare};
use crate::evaluation::Metric;
use crate::numeric::stats::distribution::{normal_quantile, student_quantile};

/// The metrics of an evaluation that are judged.
pub fn metrics_of(arm: &Arm) -> &'static [Metric] {
    match arm.parts().classes {
        None => &[Metric::Ap, Metric::F1],
        Some(_) => &[Metric::Ap, Metric::F1, Metric::LogLoss],
    }
}

/// The chance with which a drop of [`Judged::detectable`] is caught.
pub const POWER: f64 = 0.93;

/// How much a metric varies from repeat to repeat. Repeats with the same folds and scores, as grouped
/// folds may give, count as one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// The number of repeats of the cross-validation that differ.
    pub repeats: usize,
    /// The standard deviation (over n - 1) of each metric between repeats; empty for one repeat.
    #[serde(default)]
    pub sd: BTreeMap<Metric, f64>,
}

impl Noise {
    /// Measures the noise of an evaluation.
    pub fn of(arm: &Arm) -> Self {
        let parts = arm.parts();
        let mut values: BTreeMap<Metric, Vec<f64>> = BTreeMap::new();
        let mut repeats = 0;
        for (r, deal) in parts.repeats.iter().enumerate() {
            if parts.repeats[..r].contains(deal) {
                continue;
            }
            repeats += 1;
            let figures = arm.scorer_of(deal).figures(&vec![1; arm.len()]);
            for &metric in metrics_of(arm) {
                let found = figure(metric, &figures);
                values.entry(metric).or_default().extend(found);
            }
        }
        let spread = |(metric, values): (Metric, Vec<f64>)| Some((metric, sd(&values)?));
        Self {
            repeats,
            sd: values.into_iter().filter_map(spread).collect(),
        }
    }

    fn df(&self) -> f64 {
        self.repeats.saturating_sub(1) as f64
    }
}

/// The standard deviation over n - 1; `None` for fewer than two values.
fn sd(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt())
}

/// How evaluations are judged.
#[derive(Clone, Debug, PartialEq)]
pub struct GateOptions {
    /// The rate of false alarms of all tests together.
    pub false_alarms: f64,
    /// The number of tests that share it: the judged metrics of all evaluations.
    pub tests: usize,
    /// Drops up to this are of no interest.
    pub tolerance: f64,
    /// The number of draws of the bootstrap.
    pub draws: usize,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for GateOptions {
    fn default() -> Self {
        Self {
            false_alarms: 0.02,
            tests: 2,
            tolerance: 0.0,
            draws: 2000,
            seed: 0,
        }
    }
}

/// What a difference means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// Worse by more than the limit.
    Worse,
    /// Within the limit.
    Ok,
    /// Better by more than the limit.
    Better,
}

impl Judgement {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Worse => "worse",
            Self::Ok => "ok",
            Self::Better => "better",
        }
    }
}

/// One metric, judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judged {
    /// Which.
    pub metric: Metric,
    /// The earlier value, on the common objects.
    pub baseline: f64,
    /// The value now.
    pub now: f64,
    /// Now less earlier, with the interval of the paired bootstrap at 95 %.
    pub difference: Estimate,
    /// Standard error of the difference over objects.
    pub se: f64,
    /// Standard deviation of the difference over seeds. None for one repeat.
    pub noise: Option<f64>,
    /// The drop beyond which it is worse, the rise of a loss.
    pub limit: f64,
    /// The drop on these objects, on average over seeds, that is caught with a chance of
    /// 93 %.
    pub detectable: f64,
    /// What it means.
    pub verdict: Judgement,
}

/// Judges the metrics of a pair of evaluations with their noise.
///
/// # Errors
/// As for [`compare`].
pub fn judge(
    pair: &Pair,
    before: &Noise,
    now: &Noise,
    options: &GateOptions,
) -> Result<Vec<Judged>, StageError> {
    let how = ComparisonOptions {
        draws: options.draws,
        seed: options.seed,
        ..ComparisonOptions::default()
    };
    let comparison = compare(&pair.base, std::slice::from_ref(&pair.now), &how)?.remove(0);
    let judged = metrics_of(&pair.now).iter().filter_map(|&metric| {
        let found = comparison.metrics.get(&metric)?;
        let noise = noise(metric, before, now);
        let objects = (
            found.se * found.se,
            (comparison.units as f64 - 1.0).max(1.0),
        );
        let (variance, df) = sum(objects, noise.unwrap_or(objects));
        let spread = variance.sqrt();
        let seeds = noise.unwrap_or(objects).0.sqrt();
        let level = 1.0 - options.false_alarms / options.tests.max(1) as f64;
        let limit = options.tolerance + student_quantile(level, df) * spread;
        let gain = metric.gain(found.difference.value);
        Some(Judged {
            metric,
            baseline: found.base,
            now: found.arm,
            difference: found.difference,
            se: found.se,
            noise: noise.map(|(variance, _)| variance.sqrt()),
            limit,
            detectable: limit + normal_quantile(POWER) * seeds,
            verdict: if -gain > limit {
                Judgement::Worse
            } else if gain > limit {
                Judgement::Better
            } else {
                Judgement::Ok
            },
        })
    });
    Ok(judged.collect())
}

/// The variance of the difference over seeds, and its degrees of freedom; `None` if neither evaluation
/// has several repeats.
fn noise(metric: Metric, before: &Noise, now: &Noise) -> Option<(f64, f64)> {
    let squares = |noise: &Noise| {
        let sd = noise.sd.get(&metric).copied().unwrap_or(0.0);
        noise.df() * sd * sd
    };
    let df = before.df() + now.df();
    let means = 1.0 / before.repeats.max(1) as f64 + 1.0 / now.repeats.max(1) as f64;
    (df > 0.0).then(|| ((squares(before) + squares(now)) / df * means, df))
}

/// Adds two independent variances, each with its degrees of freedom.
fn sum((a, a_df): (f64, f64), (b, b_df): (f64, f64)) -> (f64, f64) {
    let both = a + b;
    if both == 0.0 {
        return (0.0, a_df);
    }
    (both, both * both / (a * a / a_df + b * b / b_df))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::{ArmParts, Deal, KeptScores};
    use crate::numeric::rng::Stream;

    /// 60 positives and 540 negatives in three repeats of five folds. Scores of repeat r are a signal
    /// that all evaluations share, and noise of its own: `seed` tells evaluations apart, `blur` makes
    /// them worse.
    fn arm(seed: u64, blur: f64) -> Arm {
        let mut shared = Stream::new(1, &[0]);
        let n = 600;
        let positive: Vec<bool> = (0..n).map(|i| i % 10 == 0).collect();
        let signal: Vec<f64> = (positive.iter())
            .map(|&p| shared.normal() + if p { 2.5 } else { 0.0 })
            .collect();
        let repeats = (0..3)
            .map(|repeat| {
                let mut own = Stream::new(seed, &[repeat]);
                let noisy = |&s: &f64| s + (0.2 + blur) * own.normal();
                let scores = signal.iter().map(noisy);
                Deal {
                    scores: scores.map(|x| 1.0 / (1.0 + libm::exp(-x))).collect(),
                    folds: (0..n as u32).map(|i| (i / 10 + i) % 5).collect(),
                }
            })
            .collect();
        Arm::from_parts(ArmParts {
            name: "model".into(),
            ids: (0..n).map(|i| format!("o{i:03}")).collect(),
            positive,
            repeats,
            ..ArmParts::default()
        })
        .unwrap()
    }

    fn judged(base: &Arm, now: &Arm, options: &GateOptions) -> Vec<Judged> {
        let pair = Pair::new(&KeptScores::of(base), now).unwrap();
        judge(&pair, &Noise::of(base), &Noise::of(now), options).unwrap()
    }

    fn options() -> GateOptions {
        GateOptions {
            draws: 200,
            ..GateOptions::default()
        }
    }

    #[test]
    fn an_evaluation_is_as_good_as_itself() {
        let arm = arm(1, 0.0);
        for judged in judged(&arm, &arm, &options()) {
            assert_eq!(judged.difference.value, 0.0);
            assert_eq!(judged.se, 0.0);
            assert_eq!(judged.verdict, Judgement::Ok);
            // The noise of seeds counts nevertheless.
            assert!(judged.limit > 0.0);
        }
    }

    #[test]
    fn another_seed_is_no_regression_and_a_blurred_signal_is() {
        let base = arm(1, 0.0);
        for seed in 2..12 {
            let same = judged(&base, &arm(seed, 0.0), &options());
            assert!(same.iter().all(|j| j.verdict == Judgement::Ok), "{same:?}");
            let worse = judged(&base, &arm(seed, 3.0), &options());
            assert_eq!(worse[0].verdict, Judgement::Worse, "{worse:?}");
            let better = judged(&arm(seed, 3.0), &base, &options());
            assert_eq!(better[0].verdict, Judgement::Better, "{better:?}");
        }
    }

    #[test]
    fn tolerance_and_rate_move_the_limit() {
        let (base, now) = (arm(1, 0.0), arm(2, 0.5));
        let limit = |false_alarms, tests, tolerance| {
            let options = GateOptions {
                false_alarms,
                tests,
                tolerance,
                ..options()
            };
            judged(&base, &now, &options)[0].limit
        };
        let plain = limit(0.01, 2, 0.0);
        assert!((limit(0.01, 2, 0.02) - plain - 0.02).abs() < 1e-12);
        assert!((limit(0.02, 4, 0.0) - plain).abs() < 1e-12);
        assert!(limit(0.1, 2, 0.0) < plain);
    }

    #[test]
    fn the_limit_is_that_of_welch_and_satterthwaite() {
        // By hand: 4 + 12 = 16, df = 256 / (16 / 99 + 144 / 8).
        let (variance, df) = sum((4.0, 99.0), (12.0, 8.0));
        assert_eq!(variance, 16.0);
        assert!((df - 14.095_661_846_496).abs() < 1e-9, "{df}");
        // Two and three repeats: pooled variance (1 * 4 + 2 * 1) / 3 = 2, times 1/2 + 1/3.
        let noise_of = |repeats, sd| Noise {
            repeats,
            sd: [(Metric::Ap, sd)].into(),
        };
        let (variance, df) = noise(Metric::Ap, &noise_of(2, 2.0), &noise_of(3, 1.0)).unwrap();
        assert!((variance - 5.0 / 3.0).abs() < 1e-12 && df == 3.0);
        // One repeat says nothing.
        let one = Noise {
            repeats: 1,
            ..Noise::default()
        };
        assert_eq!(noise(Metric::Ap, &one, &one), None);
    }

    #[test]
    fn equal_repeats_say_nothing_of_seeds() {
        let mut parts = arm(1, 0.0).parts().clone();
        assert_eq!(Noise::of(&arm(1, 0.0)).repeats, 3);
        parts.repeats[2] = parts.repeats[0].clone();
        let two = Noise::of(&Arm::from_parts(parts.clone()).unwrap());
        assert_eq!((two.repeats, two.sd.len()), (2, 2));
        parts.repeats[1] = parts.repeats[0].clone();
        let arm = Arm::from_parts(parts).unwrap();
        assert_eq!(Noise::of(&arm).repeats, 1);
        let judged = &judged(&arm, &self::arm(2, 0.0), &options())[0];
        assert!(judged.noise.is_some(), "the other side has three");
    }

    #[test]
    fn objects_that_come_and_go_are_counted_and_too_few_refused() {
        let now = arm(1, 0.0);
        let mut earlier = KeptScores::of(&now);
        earlier.negative.insert("zzz".into(), 5);
        earlier.positive.remove("o000");
        let relabelled = earlier.negative.remove("o001").unwrap();
        earlier.positive.insert("o001".into(), relabelled);
        let pair = Pair::new(&earlier, &now).unwrap();
        assert_eq!((pair.appeared, pair.gone, pair.relabelled), (1, 1, 1));
        assert_eq!(pair.base.len(), 598);

        earlier.negative = (0..1300).map(|i| (format!("x{i}"), 1)).collect();
        let refused = Pair::new(&earlier, &now).map(|_| ()).unwrap_err();
        assert_eq!(refused.code.as_str(), "flow::check::objects");
    }

    #[test]
    fn scores_are_kept_to_a_millionth() {
        let arm = arm(3, 0.0);
        let scores = KeptScores::of(&arm);
        assert_eq!((scores.positive.len(), scores.len()), (60, 600));
        let pair = Pair::new(&scores, &arm).unwrap();
        assert_eq!(pair.base.average(), pair.now.average());
        for (kept, exact) in pair.now.average().iter().zip(arm.average()) {
            assert!((kept - exact).abs() <= 0.5e-6 + 1e-12);
        }
    }
}
