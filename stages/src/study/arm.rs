//! One evaluation as numbers.

use std::collections::BTreeMap;
use std::path::Path;

use flow_engine::StageError;

use crate::math::stats::bootstrap::Units;
use crate::math::stats::weighted::Ranking;
use crate::score::out_of_fold;
use crate::table::{Folds, Predictions};

/// One repeat of a cross-validation, by object.
#[derive(Clone, Debug, PartialEq)]
pub struct Deal {
    /// The fold that held the object out, from 0.
    pub folds: Vec<u32>,
    /// The score that the object got there, P(positive).
    pub scores: Vec<f64>,
}

/// What an [`Arm`] is made of. All lists but `repeats` have one entry an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts {
    /// Shown in tables and messages.
    pub name: String,
    /// The objects, in the order of their bytes, without repeats.
    pub ids: Vec<String>,
    /// True for objects of the positive class.
    pub positive: Vec<bool>,
    /// What was kept together, if the folds were grouped.
    pub groups: Option<Vec<String>>,
    /// At least one.
    pub repeats: Vec<Deal>,
}

/// The out-of-fold scores of one evaluation.
#[derive(Clone, Debug)]
pub struct Arm {
    parts: Parts,
    /// Means over repeats.
    average: Vec<f64>,
    /// Sorted by `average`.
    pub(super) ranking: Ranking,
}

impl Arm {
    /// Reads the `predictions` of an evaluation, and groups from the table of its `folds` stage if
    /// that was grouped. Rows without a fold are left out.
    ///
    /// # Errors
    /// A file is unreadable; there is no positive class (macro metrics are not compared); the folds
    /// are not those of the predictions; or what [`Arm::from_parts`] refuses.
    pub fn read(name: &str, predictions: &Path, folds: Option<&Path>) -> Result<Arm, StageError> {
        let predictions = Predictions::read(predictions)?;
        let positive = predictions.positive.as_ref().and_then(|class| {
            let column = predictions.classes.iter().position(|c| c == class)?;
            Some((class.as_str(), column))
        });
        let (class, column) = positive.ok_or_else(|| {
            error(
                "flow::study::positive",
                format!("arm `{name}` has no positive class: only binary metrics are compared"),
            )
            .help("name one in the `ingest` stage: positive = \"...\"")
        })?;
        let deals = out_of_fold(&predictions)?;
        let mut parts = Parts {
            name: name.into(),
            ..Parts::default()
        };
        for (r, deal) in deals.iter().enumerate() {
            let ids = || {
                deal.rows
                    .iter()
                    .map(|&(row, _)| &predictions.object_id[row])
            };
            let (scores, truth) = deal.scores(&predictions, column, class);
            if r == 0 {
                parts.ids = ids().cloned().collect();
                parts.positive = truth;
            } else if !ids().eq(&parts.ids) || truth != parts.positive {
                return Err(error(
                    "flow::study::objects",
                    format!("in arm `{name}` repeat {r} is not of the objects of repeat 0"),
                ));
            }
            parts.repeats.push(Deal {
                folds: deal.rows.iter().map(|&(_, fold)| fold).collect(),
                scores,
            });
        }
        if let Some(path) = folds {
            parts.groups = groups(&parts, &Folds::read(path)?)?;
        }
        Arm::from_parts(parts)
    }

    /// From scores that were kept elsewhere.
    ///
    /// # Errors
    /// There is no repeat, lengths differ, ids are out of order, a score is not a number, a group is
    /// held out in two folds, or one of the classes has no object.
    pub fn from_parts(parts: Parts) -> Result<Arm, StageError> {
        check(&parts)?;
        let n = parts.repeats.len() as f64;
        let average: Vec<f64> = (0..parts.ids.len())
            .map(|i| parts.repeats.iter().map(|deal| deal.scores[i]).sum::<f64>() / n)
            .collect();
        let folds: Vec<Vec<u32>> = parts.repeats.iter().map(|d| d.folds.clone()).collect();
        let ranking = Ranking::new(&average, &parts.positive, &folds);
        Ok(Arm {
            parts,
            average,
            ranking,
        })
    }

    /// What it is made of.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.parts.name
    }

    /// Number of objects.
    pub fn len(&self) -> usize {
        self.parts.ids.len()
    }

    /// True without objects, which cannot be.
    pub fn is_empty(&self) -> bool {
        self.parts.ids.is_empty()
    }

    /// Number of objects of the positive class.
    pub fn positives(&self) -> usize {
        self.parts.positive.iter().filter(|&&p| p).count()
    }

    /// By object, the mean of its scores over repeats: the scores that are compared.
    pub fn average(&self) -> &[f64] {
        &self.average
    }

    /// Groups numbered from 0 by object, and how many there are; `None` if folds were not grouped.
    pub(super) fn group_units(&self) -> Option<Units> {
        let groups = self.parts.groups.as_ref()?;
        let mut numbers: BTreeMap<&str, u32> = groups.iter().map(|g| (g.as_str(), 0)).collect();
        for (number, value) in numbers.values_mut().enumerate() {
            *value = number as u32;
        }
        let of_row: Vec<u32> = groups.iter().map(|g| numbers[g.as_str()]).collect();
        Some(Units::groups(&of_row, numbers.len()))
    }

    /// That `other` was scored on the same objects in the same folds, so that differences are paired.
    ///
    /// # Errors
    /// It was not; the message says in what they differ.
    pub fn comparable(&self, other: &Arm) -> Result<(), StageError> {
        let (a, b) = (&self.parts, &other.parts);
        let arms = format!("arms `{}` and `{}`", a.name, b.name);
        if a.ids != b.ids {
            return Err(different_objects(a, b));
        }
        if let Some(i) = (0..a.ids.len()).find(|&i| a.positive[i] != b.positive[i]) {
            let text = format!("{arms} disagree on the class of object `{}`", a.ids[i]);
            return Err(error("flow::study::objects", text)
                .help("compare arms that were made of the same `ingest` stage"));
        }
        let same = a.repeats.len() == b.repeats.len()
            && (a.repeats.iter().zip(&b.repeats)).all(|(x, y)| x.folds == y.folds)
            && a.groups == b.groups;
        if same {
            return Ok(());
        }
        let text = if a.repeats.len() == b.repeats.len() {
            format!("{arms} were not scored in the same folds")
        } else {
            let (m, n) = (a.repeats.len(), b.repeats.len());
            format!("{arms} have {m} and {n} repeats")
        };
        Err(error("flow::study::folds", text).help(
            "the same folds for all arms: leave the `folds` stage, its seed and the labelled objects as they are",
        ))
    }
}

fn error(code: &'static str, message: impl Into<String>) -> StageError {
    StageError::data(code, message)
}

/// Group by object, from the folds table of the same evaluation; `None` if no object has one.
fn groups(parts: &Parts, folds: &Folds) -> Result<Option<Vec<String>>, StageError> {
    let mut groups = Vec::with_capacity(parts.ids.len());
    for (i, id) in parts.ids.iter().enumerate() {
        let row = folds.object_id.binary_search(id);
        let held_out = |r: usize, row: usize| folds.repeats.get(r).and_then(|f| f[row]);
        let fits = row.is_ok_and(|row| {
            (parts.repeats.iter().enumerate())
                .all(|(r, deal)| held_out(r, row) == Some(deal.folds[i] as i32))
        });
        if !fits {
            let name = &parts.name;
            return Err(error(
                "flow::study::folds",
                format!(
                    "the folds of arm `{name}` are not those of its predictions: object `{id}`"
                ),
            )
            .help("give the table of the `folds` stage that the predictions came from"));
        }
        if let Ok(row) = row {
            groups.extend(folds.group[row].clone());
        }
    }
    Ok((!groups.is_empty()).then_some(groups))
}

fn check(parts: &Parts) -> Result<(), StageError> {
    let (name, n) = (&parts.name, parts.ids.len());
    let wrong = |what: String| Err(error("flow::study::parts", format!("arm `{name}`: {what}")));
    let lengths = parts.positive.len() == n
        && parts.groups.as_ref().is_none_or(|groups| groups.len() == n)
        && (parts.repeats.iter()).all(|deal| deal.folds.len() == n && deal.scores.len() == n);
    if !lengths || parts.repeats.is_empty() {
        return wrong("its columns are not of one length, or it has no repeat".into());
    }
    if let Some(pair) = parts.ids.windows(2).find(|pair| pair[0] >= pair[1]) {
        let (a, b) = (&pair[0], &pair[1]);
        return wrong(format!(
            "its objects are not in order, each once: `{a}` comes before `{b}`"
        ));
    }
    for deal in &parts.repeats {
        if let Some(i) = deal.scores.iter().position(|score| !score.is_finite()) {
            let (id, score) = (&parts.ids[i], deal.scores[i]);
            return wrong(format!("object `{id}` has the score {score}"));
        }
        let mut fold_of = BTreeMap::new();
        for (group, &fold) in parts.groups.iter().flatten().zip(&deal.folds) {
            if *fold_of.entry(group).or_insert(fold) != fold {
                return wrong(format!("group `{group}` is held out in two folds"));
            }
        }
    }
    for (class, name_of) in [(true, "positive"), (false, "negative")] {
        if !parts.positive.contains(&class) {
            return Err(error(
                "flow::study::positive",
                format!("arm `{name}` has no {name_of} object: there is nothing to compare"),
            )
            .help("check `positive` and `classes` of the `ingest` stage"));
        }
    }
    Ok(())
}

/// Says which objects one arm has and the other lacks.
fn different_objects(a: &Parts, b: &Parts) -> StageError {
    let lacking = |x: &Parts, y: &Parts| {
        let missing: Vec<&str> = (x.ids.iter())
            .filter(|id| y.ids.binary_search(id).is_err())
            .map(String::as_str)
            .collect();
        let some = missing[..missing.len().min(3)].join("`, `");
        match missing.len() {
            0 => String::new(),
            n => format!(
                "; `{}` lacks {n} that `{}` has, among them `{some}`",
                y.name, x.name
            ),
        }
    };
    error(
        "flow::study::objects",
        format!(
            "arms `{}` and `{}` were not scored on the same objects{}{}",
            a.name,
            b.name,
            lacking(a, b),
            lacking(b, a)
        ),
    )
    .help("compare arms that were made of the same `ingest` stage and the same `folds` stage")
}
