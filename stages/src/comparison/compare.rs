//! Summaries of arms, and paired differences between them.

use std::collections::BTreeMap;

use flow_engine::StageError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Arm, ComparisonOptions, Unit};
use crate::evaluation::{Estimate, Metric, ScoredRepeat, drawn};
use crate::numeric::stats::bootstrap::{Distribution, Units};
use crate::numeric::stats::multiple::holm;
use crate::numeric::stats::resampled::{ResampledT, Rope};
use crate::numeric::stats::weighted::SampleFigures;

/// The metrics of one arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ArmSummary {
    /// The arm.
    pub name: String,
    /// Objects that were scored.
    pub objects: usize,
    /// Those of the positive class; none without one.
    pub positives: Option<usize>,
    /// Repeats of the cross-validation that scores are averaged over.
    pub repeats: usize,
    /// What the bootstrap drew.
    pub unit: Unit,
    /// How many of them there are.
    pub units: usize,
    /// Every metric, with its interval.
    #[schemars(with = "BTreeMap<String, Estimate>")]
    pub metrics: BTreeMap<Metric, Estimate>,
}

/// What a difference means, given its noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ComparisonVerdict {
    /// More than the base, and the difference is not noise.
    Better,
    /// Less than the base, and the difference is not noise.
    Worse,
    /// The whole interval lies within the margin: too small to matter, whether noise or not.
    Equivalent,
    /// The data cannot tell. `detectable` says what they could have shown.
    Inconclusive,
}

impl ComparisonVerdict {
    /// All verdicts, the good ones first.
    pub const ALL: [Self; 4] = [
        Self::Better,
        Self::Worse,
        Self::Equivalent,
        Self::Inconclusive,
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Equivalent => "equivalent",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// A paired difference in one metric: arm less base.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairedDifference {
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
    /// Nadeau and Bengio's corrected t over the differences by repeat and fold. None if fewer than
    /// two folds have a value.
    pub resampled_t: Option<ResampledT>,
    /// Posterior chances that the arm is worse than, equal to and better than the base within
    /// `margin` (Benavoli et al.), from the same differences.
    pub bayes: Option<Rope>,
    /// The smallest difference of interest.
    pub margin: f64,
    /// The true difference that this comparison would call better or worse with a chance of 80 %:
    /// t(1/2 + level/2) + t(0.8) times `se`, 2.8 standard errors at 95 %. For one arm alone, before
    /// Holm's adjustment.
    pub detectable: f64,
    /// What it means.
    pub verdict: ComparisonVerdict,
}

/// One arm against the base.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    #[schemars(with = "BTreeMap<String, PairedDifference>")]
    pub metrics: BTreeMap<Metric, PairedDifference>,
}

impl Comparison {
    /// The difference in the primary metric, average precision.
    pub fn primary(&self) -> &PairedDifference {
        &self.metrics[&Metric::Ap]
    }
}

/// The units that are drawn for `arm`.
fn units(arm: &Arm, options: &ComparisonOptions) -> Result<(Unit, Units), StageError> {
    match (options.unit, arm.group_units()) {
        (None | Some(Unit::Group), Some(groups)) => Ok((Unit::Group, groups)),
        (None | Some(Unit::Object), _) => Ok((Unit::Object, Units::rows(arm.len()))),
        (Some(Unit::Group), None) => Err(StageError::data(
            "flow::study::units",
            format!("arm `{}` has no groups to draw", arm.name()),
        )
        .help("set `group_by` in its `folds` stage, or draw objects")),
    }
}

/// Returns a metric among figures; `None` if it is undefined or not compared.
pub(super) fn figure(metric: Metric, figures: &SampleFigures) -> Option<f64> {
    match metric {
        Metric::Ap => figures.average_precision,
        Metric::F1 => figures.f1,
        Metric::Precision => figures.precision,
        Metric::Recall => figures.recall,
        Metric::RocAuc => figures.roc_auc,
        Metric::LogLoss => figures.log_loss,
        _ => None,
    }
}

fn p_value(metric: Metric, value: f64, draws: &Distribution) -> f64 {
    if metric.is_chosen() {
        draws.standard_p(value)
    } else {
        draws.percentile_p()
    }
}

/// Collects the values of a figure on draws.
///
/// # Errors
/// If nothing can be said of noise.
fn distribution(
    values: impl Iterator<Item = Option<f64>>,
    units: usize,
    options: &ComparisonOptions,
) -> Result<Distribution, StageError> {
    let values: Vec<Option<f64>> = values.collect();
    let defined = values.iter().flatten().count();
    drawn(values, units).ok_or_else(|| {
        StageError::data(
            "flow::study::units",
            format!(
                "too few units to draw from: {defined} of {} draws of {units} have objects of both classes",
                options.draws
            ),
        )
        .help("intervals need more labelled objects, or groups, of either class")
    })
}

/// All metrics of an arm, with intervals.
///
/// # Errors
/// If `options` ask for groups and the arm has none, or there are too few objects or groups of one
/// class to draw from.
pub fn summarise(arm: &Arm, options: &ComparisonOptions) -> Result<ArmSummary, StageError> {
    let (unit, units) = units(arm, options)?;
    let draws = units.draws(options.draws, options.seed, |counts| arm.figures(counts));
    let whole = arm.figures(&vec![1; arm.len()]);
    let mut metrics = BTreeMap::new();
    for metric in Metric::COMPARED {
        if let Some(value) = figure(metric, &whole) {
            let values = draws.iter().map(|figures| figure(metric, figures));
            let draws = distribution(values, units.len(), options)?;
            metrics.insert(metric, Estimate::of(metric, value, &draws, options.level));
        }
    }
    Ok(ArmSummary {
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
/// If an arm was not scored on the base's objects and folds (see [`Arm::comparable`]), or [`summarise`]
/// fails.
pub fn compare(
    base: &Arm,
    others: &[Arm],
    options: &ComparisonOptions,
) -> Result<Vec<Comparison>, StageError> {
    for arm in others {
        base.comparable(arm)?;
    }
    let (unit, units) = units(base, options)?;
    // Each draw holds the base's figures, then those of each arm.
    let draws = units.draws(options.draws, options.seed, |counts| {
        let arms = std::iter::once(base).chain(others);
        arms.map(|arm| arm.figures(counts)).collect()
    });
    let mut comparisons = Vec::new();
    for (a, arm) in others.iter().enumerate() {
        let pairs = draws
            .iter()
            .map(|draw: &Vec<SampleFigures>| (&draw[0], &draw[a + 1]));
        comparisons.push(Comparison {
            name: arm.name().into(),
            base: base.name().into(),
            unit,
            units: units.len(),
            metrics: differences(base, arm, pairs, units.len(), options)?,
        });
    }
    judge(&mut comparisons, options);
    Ok(comparisons)
}

/// Returns the differences of one arm to the base, not yet judged. `draws` has the figures of both.
fn differences<'a>(
    base: &Arm,
    arm: &Arm,
    draws: impl Iterator<Item = (&'a SampleFigures, &'a SampleFigures)> + Clone,
    units: usize,
    options: &ComparisonOptions,
) -> Result<BTreeMap<Metric, PairedDifference>, StageError> {
    let ones = vec![1; base.len()];
    let whole = (base.figures(&ones), arm.figures(&ones));
    let folds = (fold_figures(base), fold_figures(arm));
    let mut metrics = BTreeMap::new();
    for metric in Metric::COMPARED {
        let less = |base: &SampleFigures, arm: &SampleFigures| {
            Some(figure(metric, arm)? - figure(metric, base)?)
        };
        let (Some(base_value), Some(arm_value)) =
            (figure(metric, &whole.0), figure(metric, &whole.1))
        else {
            continue;
        };
        let value = arm_value - base_value;
        let values = draws.clone().map(|(base, arm)| less(base, arm));
        let drawn = distribution(values, units, options)?;
        let by_fold: Vec<f64> = (folds.0.iter().zip(&folds.1))
            .filter_map(|(base, arm)| less(base.as_ref()?, arm.as_ref()?))
            .collect();
        let resampled_t = ResampledT::of(&by_fold, test_over_train(base));
        let p = p_value(metric, value, &drawn);
        let difference = PairedDifference {
            base: base_value,
            arm: arm_value,
            difference: Estimate::of(metric, value, &drawn, options.level),
            se: drawn.se(),
            p,
            p_holm: p,
            bayes: resampled_t.map(|t| t.rope(options.margin)),
            resampled_t,
            margin: options.margin,
            detectable: drawn.detectable(options.level),
            verdict: ComparisonVerdict::Inconclusive,
        };
        metrics.insert(metric, difference);
    }
    Ok(metrics)
}

/// Adjusts p-values over the arms, metric by metric, and draws conclusions.
fn judge(comparisons: &mut [Comparison], options: &ComparisonOptions) {
    for metric in Metric::COMPARED {
        let mut differences: Vec<&mut PairedDifference> = (comparisons.iter_mut())
            .filter_map(|comparison| comparison.metrics.get_mut(&metric))
            .collect();
        let p: Vec<f64> = differences.iter().map(|d| d.p).collect();
        for (difference, p_holm) in differences.iter_mut().zip(holm(&p)) {
            difference.p_holm = p_holm;
            difference.verdict = verdict(metric, difference, options);
        }
    }
}

fn verdict(
    metric: Metric,
    difference: &PairedDifference,
    options: &ComparisonOptions,
) -> ComparisonVerdict {
    let Estimate { value, low, high } = difference.difference;
    if -options.margin < low && high < options.margin {
        ComparisonVerdict::Equivalent
    } else if difference.p_holm > 1.0 - options.level {
        ComparisonVerdict::Inconclusive
    } else if metric.gain(value) > 0.0 {
        ComparisonVerdict::Better
    } else {
        ComparisonVerdict::Worse
    }
}

/// The mean of 1 / (k - 1) over repeats: the ratio of held-out rows to training rows.
fn test_over_train(arm: &Arm) -> f64 {
    let repeats = &arm.parts().repeats;
    let ratios = repeats.iter().map(|deal| {
        let k = deal.folds.iter().max().map_or(1, |&fold| fold + 1);
        1.0 / f64::from(k.saturating_sub(1).max(1))
    });
    ratios.sum::<f64>() / repeats.len() as f64
}

/// The metrics of every fold of every repeat, from the scores of that repeat; `None` for a fold without
/// positives, where they mean nothing. Metrics over all classes are computed as for draws, so that both
/// sides average over the same classes.
fn fold_figures(arm: &Arm) -> Vec<Option<SampleFigures>> {
    let parts = arm.parts();
    let mut all = Vec::new();
    for deal in &parts.repeats {
        if parts.classes.is_some() {
            let scorer = arm.scorer_of(deal);
            let folds = deal.folds.iter().max().map_or(0, |&last| last + 1);
            all.extend((0..folds).map(|fold| {
                let here = |&f: &u32| u32::from(f == fold);
                let counts: Vec<u32> = deal.folds.iter().map(here).collect();
                Some(scorer.figures(&counts))
            }));
            continue;
        }
        let scored = ScoredRepeat::binary(&deal.scores, &parts.positive, &deal.folds);
        all.extend(scored.folds.iter().map(|rows| {
            // No metric at a fixed threshold is asked for, so its value does not matter.
            let value = |metric| rows.value(metric, f64::NAN);
            rows.has_positives().then(|| SampleFigures {
                average_precision: value(Metric::Ap),
                roc_auc: value(Metric::RocAuc),
                f1: value(Metric::F1),
                precision: value(Metric::Precision),
                recall: value(Metric::Recall),
                mcc: value(Metric::Mcc),
                log_loss: None,
            })
        }));
    }
    all
}
