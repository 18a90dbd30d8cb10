//! An earlier evaluation as a few numbers that can be kept in a text file, and paired with a later one.

use std::collections::BTreeMap;

use flow_engine::StageError;
use serde::{Deserialize, Serialize};

use super::{Arm, Deal, Parts};

/// Scores are kept in millionths. Both sides of a comparison are rounded alike, so an evaluation
/// always equals itself, and objects that rounding makes equal are tied on both sides.
const SCALE: f64 = 1e6;

/// Fewer common objects of a class than this are not compared.
const FEWEST: usize = 10;

/// The scores of an evaluation, averaged over repeats, by object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// Objects of the positive class, with their scores in millionths.
    #[serde(default)]
    pub positive: BTreeMap<String, u32>,
    /// All others.
    #[serde(default)]
    pub negative: BTreeMap<String, u32>,
}

impl Scores {
    /// Those of an evaluation.
    pub fn of(arm: &Arm) -> Self {
        let mut scores = Self::default();
        let parts = arm.parts();
        let rows = parts.ids.iter().zip(&parts.positive).zip(arm.average());
        for ((id, &positive), &score) in rows {
            let class = match positive {
                true => &mut scores.positive,
                false => &mut scores.negative,
            };
            class.insert(id.clone(), millionths(score));
        }
        scores
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.positive.len() + self.negative.len()
    }

    /// True without objects.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The score of an object that has this class.
    fn find(&self, id: &str, positive: bool) -> Option<f64> {
        let class = match positive {
            true => &self.positive,
            false => &self.negative,
        };
        class.get(id).map(|&score| f64::from(score) / SCALE)
    }

    fn has(&self, id: &str) -> bool {
        self.positive.contains_key(id) || self.negative.contains_key(id)
    }
}

/// A probability in millionths.
fn millionths(score: f64) -> u32 {
    // Scores are finite, and floats turn into whole numbers by saturation.
    (score * SCALE).round() as u32
}

/// Two evaluations of the objects that they have in common.
pub struct Pair {
    /// The earlier one, in the folds of the later one: out-of-fold scores stay what they are, and only
    /// the choice of thresholds goes by the folds.
    pub base: Arm,
    /// The later one.
    pub now: Arm,
    /// Objects that only the later one has.
    pub appeared: usize,
    /// Objects that only the earlier one has.
    pub gone: usize,
    /// Objects whose class differs; they are left out as well.
    pub relabelled: usize,
}

impl Pair {
    /// Pairs earlier scores with an evaluation.
    ///
    /// # Errors
    /// Fewer than half of the earlier objects, or fewer than ten of a class, are left in common.
    pub fn new(earlier: &Scores, now: &Arm) -> Result<Self, StageError> {
        let parts = now.parts();
        let common: Vec<(usize, f64)> = (0..now.len())
            .filter_map(|i| Some((i, earlier.find(&parts.ids[i], parts.positive[i])?)))
            .collect();
        let known = parts.ids.iter().filter(|id| earlier.has(id)).count();
        let positives = common.iter().filter(|(i, _)| parts.positive[*i]).count();
        let fewest = positives.min(common.len() - positives);
        if 2 * common.len() < earlier.len() || fewest < FEWEST {
            let message = format!(
                "evaluation `{}` has {} of the baseline's {} objects, {positives} of them positive: too few to compare",
                now.name(),
                common.len(),
                earlier.len(),
            );
            return Err(StageError::data("flow::check::objects", message)
                .help("if the data has changed on purpose, run `flow check ... --update`"));
        }
        let side = |name: &str, scores: Vec<f64>| {
            let pick = |values: &[bool]| common.iter().map(|(i, _)| values[*i]).collect();
            let groups = parts.groups.as_ref();
            Arm::from_parts(Parts {
                name: name.into(),
                ids: common.iter().map(|(i, _)| parts.ids[*i].clone()).collect(),
                positive: pick(&parts.positive),
                groups: groups.map(|g| common.iter().map(|(i, _)| g[*i].clone()).collect()),
                repeats: (parts.repeats.iter())
                    .map(|deal| Deal {
                        folds: common.iter().map(|(i, _)| deal.folds[*i]).collect(),
                        scores: scores.clone(),
                    })
                    .collect(),
            })
        };
        let rounded = |i: usize| f64::from(millionths(now.average()[i])) / SCALE;
        Ok(Self {
            base: side("baseline", common.iter().map(|(_, score)| *score).collect())?,
            now: side(
                now.name(),
                common.iter().map(|(i, _)| rounded(*i)).collect(),
            )?,
            appeared: now.len() - known,
            gone: earlier.len() - known,
            relabelled: known - common.len(),
        })
    }
}
