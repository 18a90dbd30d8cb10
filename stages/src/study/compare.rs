//! Summaries of arms, and paired differences between them.

use std::collections::BTreeMap;

use flow_engine::StageError;
use serde::{Deserialize, Serialize};

use super::{Arm, Metric, Options, Unit};
use crate::math::metrics::{Confusion, average_precision, cross_fitted_threshold, roc_auc};
use crate::math::stats::bootstrap::{Distribution, Units};
use crate::math::stats::distribution::normal_quantile;
use crate::math::stats::multiple::holm;
use crate::math::stats::resampled::{ResampledT, Rope};
use crate::math::stats::weighted::Figures;

/// A value and the interval that holds the true one with confidence [`Options::level`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// On the data as it is.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The metrics of one arm.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The arm.
    pub name: String,
    /// Objects that were scored.
    pub objects: usize,
    /// Those of the positive class.
    pub positives: usize,
    /// Repeats of the cross-validation that scores are averaged over.
    pub repeats: usize,
    /// What the bootstrap drew.
    pub unit: Unit,
    /// How many of them there are.
    pub units: usize,
    /// Every metric, with its interval.
    pub metrics: BTreeMap<Metric, Estimate>,
}

/// What a difference means, given its noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// More than the base, and the difference is not noise.
    Better,
    /// Less than the base, and the difference is not noise.
    Worse,
    /// The whole interval lies within the margin: too small to matter, whether noise or not.
    Equivalent,
    /// The data cannot tell. [`Difference::detectable`] says what they could have shown.
    Inconclusive,
}

/// A paired difference in one metric: arm less base.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The base's value.
    pub base: f64,
    /// The arm's value.
    pub arm: f64,
    /// Arm less base.
    pub difference: Estimate,
    /// Standard error of the difference.
    pub se: f64,
    /// Two-sided p-value of no difference.
    pub p: f64,
    /// The same, adjusted for the number of arms (Holm). Verdicts go by this.
    pub p_holm: f64,
    /// Nadeau and Bengio's corrected t over the differences by repeat and fold; `None` if fewer than
    /// two folds have a value.
    pub resampled_t: Option<ResampledT>,
    /// Posterior chances that the arm is worse than, equal to and better than the base within
    /// [`Options::margin`] (Benavoli et al.), from the same differences.
    pub bayes: Option<Rope>,
    /// [`Options::margin`].
    pub margin: f64,
    /// The true difference that this comparison would call better or worse with a chance of 80 %:
    /// (z(1/2 + level/2) + z(0.8)) times `se`, 2.8 standard errors at 95 %. For one arm alone,
    /// before Holm's adjustment.
    pub detectable: f64,
    /// What it means.
    pub verdict: Verdict,
}

/// One arm against the base.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The arm.
    pub name: String,
    /// What it is compared with.
    pub base: String,
    /// What the bootstrap drew.
    pub unit: Unit,
    /// How many of them there are.
    pub units: usize,
    /// Every metric. Average precision is the primary one: the others explain it, and a finding
    /// that only they show is a hint.
    pub metrics: BTreeMap<Metric, Difference>,
}

impl Comparison {
    /// The difference in the primary metric, average precision.
    pub fn primary(&self) -> &Difference {
        &self.metrics[&Metric::Ap]
    }
}

/// What is drawn for `arm`.
fn units(arm: &Arm, options: &Options) -> Result<(Unit, Units), StageError> {
    match (options.unit, arm.group_units()) {
        (None | Some(Unit::Group), Some(groups)) => Ok((Unit::Group, groups)),
        (None | Some(Unit::Object), _) => Ok((Unit::Object, Units::rows(arm.len()))),
        (Some(Unit::Group), None) => Err(StageError::data(
            "flow::study::folds",
            format!("arm `{}` has no groups to draw", arm.name()),
        )
        .help("set `group_by` in its `folds` stage, or draw objects")),
    }
}

impl Metric {
    /// The metric among figures; `None` where undefined.
    fn of(self, figures: &Figures) -> Option<f64> {
        match self {
            Metric::Ap => figures.average_precision,
            Metric::F1 => Some(figures.f1),
            Metric::Precision => Some(figures.precision),
            Metric::Recall => Some(figures.recall),
            Metric::RocAuc => figures.roc_auc,
        }
    }
}

/// All metrics of an arm, with intervals.
///
/// # Errors
/// `options` ask for groups that the arm does not have.
pub fn summarise(arm: &Arm, options: &Options) -> Result<Summary, StageError> {
    let (unit, units) = units(arm, options)?;
    let draws = units.draws(options.draws, options.seed, |w| arm.ranking.figures(w));
    let whole = arm.ranking.figures(&vec![1; arm.len()]);
    let metrics = (Metric::ALL.into_iter())
        .filter_map(|metric| {
            let value = metric.of(&whole)?;
            let values = draws.iter().filter_map(|figures| metric.of(figures));
            let (low, high) =
                Distribution::new(values.collect(), units.len()).interval(options.level);
            Some((metric, Estimate { value, low, high }))
        })
        .collect();
    Ok(Summary {
        name: arm.name().into(),
        objects: arm.len(),
        positives: arm.positives(),
        repeats: arm.parts().repeats.len(),
        unit,
        units: units.len(),
        metrics,
    })
}

/// Paired differences of `others` to `base`, in the order of `others`.
///
/// # Errors
/// An arm was not scored on the base's objects and folds (see [`Arm::comparable`]), or `options` ask
/// for groups that there are not.
pub fn compare(
    base: &Arm,
    others: &[Arm],
    options: &Options,
) -> Result<Vec<Comparison>, StageError> {
    for arm in others {
        base.comparable(arm)?;
    }
    let (unit, units) = units(base, options)?;
    let draws = units.draws(options.draws, options.seed, |w| {
        let base = base.ranking.figures(w);
        let others: Vec<Figures> = others.iter().map(|arm| arm.ranking.figures(w)).collect();
        (base, others)
    });
    let ones = vec![1; base.len()];
    let whole = base.ranking.figures(&ones);
    let base_folds = fold_figures(base);
    let mut comparisons = Vec::new();
    for (a, arm) in others.iter().enumerate() {
        let figures = arm.ranking.figures(&ones);
        let folds = fold_figures(arm);
        let mut metrics = BTreeMap::new();
        for metric in Metric::ALL {
            let (Some(base_value), Some(arm_value)) = (metric.of(&whole), metric.of(&figures))
            else {
                continue;
            };
            let values = (draws.iter())
                .filter_map(|(base, others)| Some(metric.of(&others[a])? - metric.of(base)?));
            let distribution = Distribution::new(values.collect(), units.len());
            let (low, high) = distribution.interval(options.level);
            let by_fold: Vec<f64> = (base_folds.iter().zip(&folds))
                .filter_map(|(base, arm)| {
                    Some(metric.of(arm.as_ref()?)? - metric.of(base.as_ref()?)?)
                })
                .collect();
            let resampled_t = ResampledT::of(&by_fold, test_over_train(base));
            let se = distribution.se();
            let p = distribution.p();
            let z = normal_quantile(0.5 + 0.5 * options.level) + normal_quantile(0.8);
            let difference = Difference {
                base: base_value,
                arm: arm_value,
                difference: Estimate {
                    value: arm_value - base_value,
                    low,
                    high,
                },
                se,
                p,
                p_holm: p,
                bayes: resampled_t.map(|t| t.rope(options.margin)),
                resampled_t,
                margin: options.margin,
                detectable: z * se,
                verdict: Verdict::Inconclusive,
            };
            metrics.insert(metric, difference);
        }
        comparisons.push(Comparison {
            name: arm.name().into(),
            base: base.name().into(),
            unit,
            units: units.len(),
            metrics,
        });
    }
    judge(&mut comparisons, options);
    Ok(comparisons)
}

/// Adjusts p-values over the arms, metric by metric, and draws conclusions.
fn judge(comparisons: &mut [Comparison], options: &Options) {
    for metric in Metric::ALL {
        let mut differences: Vec<&mut Difference> = (comparisons.iter_mut())
            .filter_map(|comparison| comparison.metrics.get_mut(&metric))
            .collect();
        let p: Vec<f64> = differences.iter().map(|d| d.p).collect();
        for (difference, p_holm) in differences.iter_mut().zip(holm(&p)) {
            difference.p_holm = p_holm;
            difference.verdict = verdict(difference, options);
        }
    }
}

fn verdict(difference: &Difference, options: &Options) -> Verdict {
    let Estimate { value, low, high } = difference.difference;
    if -options.margin < low && high < options.margin {
        Verdict::Equivalent
    } else if difference.p_holm > 1.0 - options.level {
        Verdict::Inconclusive
    } else if value > 0.0 {
        Verdict::Better
    } else {
        Verdict::Worse
    }
}

/// Mean of 1 / (k - 1) over repeats: rows that test over rows that train.
fn test_over_train(arm: &Arm) -> f64 {
    let repeats = &arm.parts().repeats;
    let ratios = repeats.iter().map(|deal| {
        let k = deal.folds.iter().max().map_or(1, |&fold| fold + 1);
        1.0 / f64::from(k.saturating_sub(1).max(1))
    });
    ratios.sum::<f64>() / repeats.len() as f64
}

/// The metrics of every fold of every repeat, of that repeat's own scores; `None` for a fold without
/// positives, where they mean nothing.
fn fold_figures(arm: &Arm) -> Vec<Option<Figures>> {
    let truth = &arm.parts().positive;
    let mut all = Vec::new();
    for deal in &arm.parts().repeats {
        let nested = cross_fitted_threshold(&deal.scores, truth, &deal.folds);
        for fold in 0..nested.thresholds.len() as u32 {
            let rows: Vec<usize> = (0..truth.len())
                .filter(|&i| deal.folds[i] == fold)
                .collect();
            let labels: Vec<bool> = rows.iter().map(|&i| truth[i]).collect();
            let scores: Vec<f64> = rows.iter().map(|&i| deal.scores[i]).collect();
            let predicted: Vec<bool> = rows.iter().map(|&i| nested.predicted[i]).collect();
            let counts = Confusion::of(&predicted, &labels);
            all.push(labels.contains(&true).then(|| Figures {
                average_precision: average_precision(&scores, &labels, None),
                roc_auc: roc_auc(&scores, &labels, None),
                f1: counts.f1(),
                precision: counts.precision(),
                recall: counts.recall(),
            }));
        }
    }
    all
}
