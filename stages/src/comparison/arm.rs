//! One evaluation as numbers: an arm of a comparison of classifiers.

use std::collections::BTreeMap;
use std::path::Path;

use flow_engine::StageError;

use crate::evaluation::{Repeat, out_of_fold};
use crate::numeric::stats::bootstrap::Units;
use crate::numeric::stats::classes::ClassRanking;
use crate::numeric::stats::weighted::{Ranking, SampleFigures};
use crate::table::{Folds, Predictions};

/// One repeat of a cross-validation, by object.
#[derive(Clone, Debug, PartialEq)]
pub struct Deal {
    /// The number of the fold that held the object out, from 0.
    pub folds: Vec<u32>,
    /// The score that the object got there, P(positive). If [`ArmParts::classes`] is set, the
    /// probabilities of all its classes, object by object.
    pub scores: Vec<f64>,
}

/// The classes of the objects, if there is no positive class.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Classes {
    /// The classes that have probabilities.
    pub names: Vec<String>,
    /// The class of each object.
    pub of: Vec<usize>,
}

/// The parts of an [`Arm`]. All lists but `repeats` have one entry per object; `positive` is empty if
/// `classes` is set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ArmParts {
    /// The name that tables and messages show.
    pub name: String,
    /// The objects, in the order of their bytes, without repeats.
    pub ids: Vec<String>,
    /// The name of the positive class, if it is known.
    pub class: Option<String>,
    /// True for objects of the positive class.
    pub positive: Vec<bool>,
    /// The classes of all objects, if there is no positive class.
    pub classes: Option<Classes>,
    /// The group of each object, if the folds were grouped.
    pub groups: Option<Vec<String>>,
    /// The repeats, at least one.
    pub repeats: Vec<Deal>,
}

/// The out-of-fold scores of one evaluation.
#[derive(Clone, Debug)]
pub struct Arm {
    parts: ArmParts,
    /// The mean scores over the repeats.
    average: Vec<f64>,
    /// The rows of `average`, ready for the metrics of samples.
    scorer: Scorer,
}

/// Scores, ready for the metrics of samples.
#[derive(Clone, Debug)]
pub(super) enum Scorer {
    Positive(Ranking),
    Classes(ClassRanking),
}

impl Scorer {
    fn new(parts: &ArmParts, scores: &[f64], folds: &[Vec<u32>]) -> Self {
        match &parts.classes {
            None => Self::Positive(Ranking::new(scores, &parts.positive, folds)),
            Some(classes) => {
                Self::Classes(ClassRanking::new(scores, &classes.of, classes.names.len()))
            }
        }
    }

    /// The metrics of the sample in which object i counts `counts[i]` times.
    pub(super) fn figures(&self, counts: &[u32]) -> SampleFigures {
        match self {
            Self::Positive(ranking) => ranking.figures(counts),
            Self::Classes(ranking) => ranking.figures(counts),
        }
    }
}

impl Arm {
    /// Reads the `predictions` of an evaluation, and the groups from the table of its `folds` stage if
    /// that was grouped. Rows without a fold are left out.
    ///
    /// # Errors
    /// If a file is unreadable, the positive class that is named is no class of the predictions, the
    /// folds are not those of the predictions, or [`Arm::from_parts`] fails.
    pub fn read(name: &str, predictions: &Path, folds: Option<&Path>) -> Result<Arm, StageError> {
        let predictions = Predictions::read_out_of_fold(predictions)?;
        let deals = out_of_fold(&predictions)?;
        let mut parts = ArmParts::of(name, &predictions, &deals)?;
        if let Some(path) = folds {
            parts.groups = groups(&parts, &predictions, &deals, &Folds::labelled(path)?)?;
        }
        Arm::from_parts(parts)
    }

    /// Makes an arm of scores that were kept elsewhere.
    ///
    /// # Errors
    /// If there is no repeat, lengths differ, ids are out of order, a score is not a number, a group is
    /// held out in two folds, or a class has no object.
    pub fn from_parts(parts: ArmParts) -> Result<Arm, StageError> {
        check(&parts)?;
        let n = parts.repeats.len() as f64;
        let average: Vec<f64> = (0..parts.repeats[0].scores.len())
            .map(|i| parts.repeats.iter().map(|deal| deal.scores[i]).sum::<f64>() / n)
            .collect();
        let folds: Vec<Vec<u32>> = parts.repeats.iter().map(|d| d.folds.clone()).collect();
        Ok(Arm {
            scorer: Scorer::new(&parts, &average, &folds),
            parts,
            average,
        })
    }

    /// The parts that the arm is made of.
    pub fn parts(&self) -> &ArmParts {
        &self.parts
    }

    /// The name of the arm.
    pub fn name(&self) -> &str {
        &self.parts.name
    }

    /// The number of objects.
    pub fn len(&self) -> usize {
        self.parts.ids.len()
    }

    /// Returns true if there are no objects, which cannot happen.
    pub fn is_empty(&self) -> bool {
        self.parts.ids.is_empty()
    }

    /// The number of objects of the positive class; `None` if there is no such class.
    pub fn positives(&self) -> Option<usize> {
        let positive = || self.parts.positive.iter().filter(|&&p| p).count();
        self.parts.classes.is_none().then(positive)
    }

    /// The metrics of the sample in which object i counts `counts[i]` times.
    pub(super) fn figures(&self, counts: &[u32]) -> SampleFigures {
        self.scorer.figures(counts)
    }

    /// The scores of one repeat.
    pub(super) fn scorer_of(&self, deal: &Deal) -> Scorer {
        Scorer::new(&self.parts, &deal.scores, std::slice::from_ref(&deal.folds))
    }

    /// The mean scores of the objects over the repeats, which are the scores that are compared.
    pub fn average(&self) -> &[f64] {
        &self.average
    }

    /// The group of each object, numbered from 0, and the number of groups; `None` if folds were not
    /// grouped.
    pub(super) fn group_units(&self) -> Option<Units> {
        self.parts.groups.as_deref().map(Units::named)
    }

    /// Checks that `other` was scored on the same objects in the same folds, so that differences are
    /// paired.
    ///
    /// # Errors
    /// If it was not; the message says in what they differ.
    pub fn comparable(&self, other: &Arm) -> Result<(), StageError> {
        let (a, b) = (&self.parts, &other.parts);
        let arms = format!("arms `{}` and `{}`", a.name, b.name);
        if a.ids != b.ids {
            return Err(different_objects(a, b));
        }
        let names = |parts: &ArmParts| parts.classes.as_ref().map(|classes| classes.names.clone());
        if names(a) != names(b) {
            let text = format!("{arms} were not scored for the same classes");
            return Err(error("flow::study::objects", text).help(
                "the same `positive`, `classes` and `target` for all arms: other figures by the same name are not compared",
            ));
        }
        if let Some(i) = (0..a.ids.len()).find(|&i| a.class_of(i) != b.class_of(i)) {
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

impl ArmParts {
    /// Takes the parts from predictions, without groups.
    ///
    /// # Errors
    /// If the positive class that is named has no column, a label has none, or repeats hold different
    /// objects.
    pub fn of(name: &str, predictions: &Predictions, deals: &[Repeat]) -> Result<Self, StageError> {
        let mut parts = ArmParts {
            name: name.into(),
            class: predictions.positive.clone(),
            ..ArmParts::default()
        };
        let positive = predictions.positive_column()?;
        for (r, deal) in deals.iter().enumerate() {
            let rows = || deal.rows.iter().map(|&(row, _)| row);
            let (scores, truth, classes) = match positive {
                Some((column, class)) => {
                    let (scores, truth) = deal.scores(predictions, column, class);
                    (scores, truth, None)
                }
                None => {
                    let (scores, of) = deal.probabilities(predictions)?;
                    let names = predictions.classes.clone();
                    (scores, Vec::new(), Some(Classes { names, of }))
                }
            };
            let ids = || rows().map(|row| &predictions.object_id[row]);
            if r == 0 {
                parts.ids = ids().cloned().collect();
                (parts.positive, parts.classes) = (truth, classes);
            } else if !ids().eq(&parts.ids) || truth != parts.positive || classes != parts.classes {
                return Err(error(
                    "flow::study::objects",
                    format!(
                        "in arm `{name}` repeat {} is not of the objects of repeat {}",
                        deal.number, deals[0].number
                    ),
                ));
            }
            parts.repeats.push(Deal {
                folds: deal.places(),
                scores,
            });
        }
        Ok(parts)
    }

    /// The number of values that a repeat has for each object.
    pub(super) fn width(&self) -> usize {
        self.classes
            .as_ref()
            .map_or(1, |classes| classes.names.len())
    }

    /// The class of an object: 1 for the positive class, or an index into `classes`.
    pub(super) fn class_of(&self, object: usize) -> usize {
        match &self.classes {
            Some(classes) => classes.of[object],
            None => usize::from(self.positive[object]),
        }
    }
}

fn error(code: &'static str, message: impl Into<String>) -> StageError {
    StageError::data(code, message)
}

/// Returns the group of each object, from the table of folds of the same evaluation; `None` if no
/// object has one.
fn groups(
    parts: &ArmParts,
    predictions: &Predictions,
    deals: &[Repeat],
    folds: &Folds,
) -> Result<Option<Vec<String>>, StageError> {
    let mut groups = Vec::with_capacity(parts.ids.len());
    for (i, id) in parts.ids.iter().enumerate() {
        let row = folds.object_id.binary_search(id).ok();
        let fits = |row: &usize| {
            deals.iter().all(|deal| {
                let dealt = folds.repeats.get(deal.number as usize);
                dealt.is_some_and(|dealt| dealt[*row] == predictions.fold[deal.rows[i].0])
            })
        };
        let row = row.filter(fits).ok_or_else(|| {
            let name = &parts.name;
            error(
                "flow::study::folds",
                format!(
                    "the folds of arm `{name}` are not those of its predictions: object `{id}`"
                ),
            )
            .help("give the table of the `folds` stage that the predictions came from")
        })?;
        groups.extend(folds.group[row].clone());
    }
    Ok((!groups.is_empty()).then_some(groups))
}

fn check(parts: &ArmParts) -> Result<(), StageError> {
    let (name, n) = (&parts.name, parts.ids.len());
    let wrong = |what: String| Err(error("flow::study::parts", format!("arm `{name}`: {what}")));
    let known = match &parts.classes {
        Some(classes) => {
            let there = classes.of.iter().all(|&class| class < classes.names.len());
            there && parts.positive.is_empty() && classes.of.len() == n
        }
        None => parts.positive.len() == n,
    };
    let lengths = known
        && parts.groups.as_ref().is_none_or(|groups| groups.len() == n)
        && (parts.repeats.iter())
            .all(|deal| deal.folds.len() == n && deal.scores.len() == n * parts.width());
    if !lengths || parts.repeats.is_empty() {
        return wrong("its columns are not of one length, or it has no repeat".into());
    }
    if n == 0 {
        return wrong("it has no object".into());
    }
    if let Some(pair) = parts.ids.windows(2).find(|pair| pair[0] >= pair[1]) {
        let (a, b) = (&pair[0], &pair[1]);
        return wrong(format!(
            "its objects are not in order, each once: `{a}` comes before `{b}`"
        ));
    }
    for deal in &parts.repeats {
        if let Some(i) = deal.scores.iter().position(|score| !score.is_finite()) {
            let (id, score) = (&parts.ids[i / parts.width()], deal.scores[i]);
            return wrong(format!("object `{id}` has the score {score}"));
        }
        let mut fold_of = BTreeMap::new();
        for (group, &fold) in parts.groups.iter().flatten().zip(&deal.folds) {
            if *fold_of.entry(group).or_insert(fold) != fold {
                return wrong(format!("group `{group}` is held out in two folds"));
            }
        }
    }
    let one_class = |what: String| {
        let message = format!("arm `{name}` has {what}: there is nothing to compare");
        Err(error("flow::study::positive", message)
            .help("check `positive` and `classes` of the `ingest` stage"))
    };
    let first = parts.class_of(0);
    if (1..n).any(|i| parts.class_of(i) != first) {
        return Ok(());
    }
    match &parts.classes {
        Some(classes) => one_class(format!("objects of `{}` alone", classes.names[first])),
        None if first == 0 => one_class("no positive object".into()),
        None => one_class("no negative object".into()),
    }
}

/// Says which objects one arm has and the other lacks.
fn different_objects(a: &ArmParts, b: &ArmParts) -> StageError {
    let lacking = |x: &ArmParts, y: &ArmParts| {
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
