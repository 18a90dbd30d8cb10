//! An earlier evaluation as a few numbers that a text file can keep, so that it can be paired with a
//! later one.

use std::collections::BTreeMap;

use flow_engine::StageError;
use serde::{Deserialize, Serialize};

use super::{Arm, ArmParts, Classes, Deal};

/// Scores are kept in millionths. Both sides of a comparison are rounded alike, so an evaluation
/// always equals itself, and objects that rounding makes equal are tied on both sides.
const SCALE: f64 = 1e6;

/// The number of common objects that each of two classes needs at least.
const FEWEST: usize = 10;

/// The scores of an evaluation, averaged over repeats, by object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptScores {
    /// The classes that have probabilities, in their order, if there is no positive class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Objects of the positive class, with their scores in millionths.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub positive: BTreeMap<String, u32>,
    /// All other objects, with their scores in millionths.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub negative: BTreeMap<String, u32>,
    /// By class, its objects with the probabilities of `columns` in millionths.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub classes: BTreeMap<String, BTreeMap<String, Vec<u32>>>,
}

impl KeptScores {
    /// Takes the scores of an evaluation.
    pub fn of(arm: &Arm) -> Self {
        let mut scores = Self::default();
        let parts = arm.parts();
        let rows = arm.average().chunks_exact(parts.width());
        for (i, (id, row)) in parts.ids.iter().zip(rows).enumerate() {
            let (id, class) = (id.clone(), parts.class_of(i));
            let row = || row.iter().map(|&score| millionths(score));
            match &parts.classes {
                Some(classes) => {
                    let class = scores.classes.entry(classes.names[class].clone());
                    class.or_default().insert(id, row().collect());
                }
                None if class == 1 => scores
                    .positive
                    .extend(row().map(|score| (id.clone(), score))),
                None => scores
                    .negative
                    .extend(row().map(|score| (id.clone(), score))),
            }
        }
        scores.columns = match &parts.classes {
            Some(classes) => classes.names.clone(),
            None => Vec::new(),
        };
        scores
    }

    /// The number of objects.
    pub fn len(&self) -> usize {
        let of_classes = self.classes.values().map(BTreeMap::len).sum::<usize>();
        self.positive.len() + self.negative.len() + of_classes
    }

    /// Returns true if there are no objects.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The scores of object `i` of an arm, if it had the same class.
    fn find(&self, now: &ArmParts, i: usize) -> Option<Vec<f64>> {
        let (id, class) = (&now.ids[i], now.class_of(i));
        let found: &[u32] = match &now.classes {
            Some(classes) => self.classes.get(&classes.names[class])?.get(id)?,
            None if class == 1 => std::slice::from_ref(self.positive.get(id)?),
            None => std::slice::from_ref(self.negative.get(id)?),
        };
        let scores = found.iter().map(|&score| f64::from(score) / SCALE);
        (found.len() == now.width()).then(|| scores.collect())
    }

    fn has(&self, id: &str) -> bool {
        self.positive.contains_key(id)
            || self.negative.contains_key(id)
            || self.classes.values().any(|class| class.contains_key(id))
    }
}

/// A probability in millionths.
fn millionths(score: f64) -> u32 {
    // Scores are finite, and the conversion to a whole number saturates.
    (score * SCALE).round() as u32
}

/// Two evaluations, restricted to the objects that they have in common.
pub struct Pair {
    /// The earlier one, in the folds of the later one. Out-of-fold scores do not change with the folds;
    /// only the choice of thresholds depends on them.
    pub base: Arm,
    /// The later one.
    pub now: Arm,
    /// Objects that only the later one has.
    pub appeared: usize,
    /// Objects that only the earlier one has.
    pub gone: usize,
    /// Objects whose class differs, which are left out as well.
    pub relabelled: usize,
}

impl Pair {
    /// Pairs earlier scores with an evaluation.
    ///
    /// # Errors
    /// If fewer than half of the earlier objects are left in common, or there are no two classes with
    /// ten common objects each.
    pub fn new(earlier: &KeptScores, now: &Arm) -> Result<Self, StageError> {
        let parts = now.parts();
        let common: Vec<(usize, Vec<f64>)> = (0..now.len())
            .filter_map(|i| Some((i, earlier.find(parts, i)?)))
            .collect();
        let known = parts.ids.iter().filter(|id| earlier.has(id)).count();
        let mut of_class: BTreeMap<usize, usize> = BTreeMap::new();
        for (i, _) in &common {
            *of_class.entry(parts.class_of(*i)).or_default() += 1;
        }
        let enough = of_class.values().filter(|&&n| n >= FEWEST).count();
        if 2 * common.len() < earlier.len() || enough < 2 {
            let positive = of_class.get(&1).copied().unwrap_or(0);
            return Err(too_few(now, (common.len(), earlier.len()), positive));
        }
        let side = |name: &str, scores: Vec<f64>| {
            let groups = parts.groups.as_ref();
            let positive = common.iter().filter_map(|(i, _)| parts.positive.get(*i));
            let classes = parts.classes.as_ref().map(|classes| Classes {
                names: classes.names.clone(),
                of: common.iter().map(|(i, _)| classes.of[*i]).collect(),
            });
            Arm::from_parts(ArmParts {
                name: name.into(),
                class: parts.class.clone(),
                ids: common.iter().map(|(i, _)| parts.ids[*i].clone()).collect(),
                positive: positive.copied().collect(),
                classes,
                groups: groups.map(|g| common.iter().map(|(i, _)| g[*i].clone()).collect()),
                repeats: (parts.repeats.iter())
                    .map(|deal| Deal {
                        folds: common.iter().map(|(i, _)| deal.folds[*i]).collect(),
                        scores: scores.clone(),
                    })
                    .collect(),
            })
        };
        let width = parts.width();
        let rounded = |i: usize| {
            let row = &now.average()[i * width..][..width];
            row.iter()
                .map(|&score| f64::from(millionths(score)) / SCALE)
        };
        Ok(Self {
            base: side(
                "baseline",
                common
                    .iter()
                    .flat_map(|(_, scores)| scores.clone())
                    .collect(),
            )?,
            now: side(
                now.name(),
                common.iter().flat_map(|(i, _)| rounded(*i)).collect(),
            )?,
            appeared: now.len() - known,
            gone: earlier.len() - known,
            relabelled: known - common.len(),
        })
    }
}

fn too_few(now: &Arm, (common, earlier): (usize, usize), positive: usize) -> StageError {
    let positive = match now.parts().classes {
        None => format!(", {positive} of them positive"),
        Some(_) => String::new(),
    };
    let message = format!(
        "evaluation `{}` has {common} of the baseline's {earlier} objects{positive}: too few to compare",
        now.name(),
    );
    StageError::data("flow::check::objects", message)
        .help("if the data has changed on purpose, run `flow check ... --update`")
}
