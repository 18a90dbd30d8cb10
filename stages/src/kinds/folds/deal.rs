//! Deals labelled objects to folds.

use std::collections::BTreeMap;
use std::io::Write;

use flow_cache::Value;
use flow_engine::kind::StageError;

use super::survey::SurveyRows;
use super::{FoldsParams, Stratify};
use crate::numeric::kfold;
use crate::numeric::rng::Stream;
use crate::table::{Folds, PIECE, ids_digest};

/// The folds that labelled objects were dealt to.
pub(super) struct Deal {
    /// The rows of the survey that have a label in the table, ascending.
    pub labelled: Vec<usize>,
    /// The rows of the table that have a label.
    pub folds: Folds,
    /// What the user should know.
    pub notes: Vec<Value>,
}

/// Deals the labelled objects of a survey.
///
/// # Errors
/// If no object has a label, one lacks its group, or there are too few to deal.
pub(super) fn assign(
    rows: &SurveyRows,
    params: &FoldsParams<'_>,
    seed: u64,
) -> Result<Deal, StageError> {
    let mut labelled: Vec<usize> = (0..rows.len())
        .filter(|&row| rows.label(row).is_some())
        .collect();
    if labelled.is_empty() {
        return Err(nothing_labelled(rows.len()));
    }
    let strata = match params.stratify {
        Some(Stratify::Label) => label_strata(&labelled, rows),
        _ => class_strata(&labelled, rows)?,
    };
    let groups = params.group_by;
    let groups = groups.map(|column| group_numbers(&labelled, rows, column));
    let mut dealer = Dealer {
        strata,
        groups: groups.transpose()?,
        k: params.k,
        seed: params.shuffle.then_some(seed),
    };
    if let Some(within) = params.within {
        let inside = dealer.narrow(within as u32)?;
        let mut inside = inside.iter();
        labelled.retain(|_| inside.next().is_some_and(|&inside| inside));
    }
    let mut folds = Folds {
        classes: rows.survey.classes.clone(),
        positive: rows.survey.positive.clone(),
        ..Folds::default()
    };
    let mut notes = Vec::new();
    for repeat in 0..params.repeats {
        let assignment = dealer.deal(repeat as u64)?;
        if repeat == 0 && assignment.smallest_class < dealer.k {
            notes.push(Value::Str(dealer.rare(&assignment)));
        }
        let dealt = assignment.folds.iter().map(|&fold| Some(fold as i32));
        folds.repeats.push(dealt.collect());
    }
    let labels = || labelled.iter().filter_map(|&row| rows.label(row));
    folds.label = labels().map(|(label, _)| Some(label.clone())).collect();
    if labels().any(|(_, raw)| raw.is_some()) {
        folds.raw_label = labels().map(|(_, raw)| raw.clone()).collect();
    }
    folds.object_id = labelled.iter().map(|&row| rows.id(row).into()).collect();
    folds.group = labelled
        .iter()
        .map(|&row| rows.group(row).cloned())
        .collect();
    Ok(Deal {
        labelled,
        folds,
        notes,
    })
}

impl Deal {
    /// Writes the table of folds, which has the unlabelled objects of the survey too.
    ///
    /// # Errors
    /// If the writer fails.
    pub fn write(&self, rows: &SurveyRows, to: impl Write + Send) -> Result<(), StageError> {
        let all = &self.folds;
        let mut writer = all.writer(to)?;
        let mut next = 0;
        for first in (0..rows.len()).step_by(PIECE) {
            let mut piece = Folds {
                repeats: vec![Vec::with_capacity(PIECE); all.repeats.len()],
                ..Folds::default()
            };
            for row in first..rows.len().min(first + PIECE) {
                let dealt = (self.labelled.get(next) == Some(&row)).then_some(next);
                next += usize::from(dealt.is_some());
                piece.object_id.push(rows.id(row).into());
                piece.group.push(rows.group(row).cloned());
                piece.label.push(dealt.and_then(|at| all.label[at].clone()));
                if !all.raw_label.is_empty() {
                    let raw = dealt.and_then(|at| all.raw_label[at].clone());
                    piece.raw_label.push(raw);
                }
                for (column, folds) in piece.repeats.iter_mut().zip(&all.repeats) {
                    column.push(dealt.and_then(|at| folds[at]));
                }
            }
            piece.append_to(&mut writer)?;
        }
        writer.finish()
    }
}

fn nothing_labelled(rows: usize) -> StageError {
    StageError::data(
        "flow::data::folds",
        format!("none of the {rows} objects has a label: there is nothing to deal into folds"),
    )
    .help("name the column that holds the classes: `label` in the `columns` of the `ingest` stage")
}

/// The classes as strata.
///
/// # Errors
/// If a label is none of the classes.
fn class_strata(labelled: &[usize], rows: &SurveyRows) -> Result<Strata, StageError> {
    let classes = &rows.survey.classes;
    let labels = labelled.iter().filter_map(|&row| rows.label(row));
    let of = labels.map(|(class, _)| {
        classes.binary_search(class).map_err(|_| {
            StageError::data(
                "flow::data::schema",
                format!("class `{class}` is not in the survey's list"),
            )
        })
    });
    Ok(Strata {
        of: of.collect::<Result<_, _>>()?,
        names: classes.to_vec(),
        called: "class",
    })
}

/// The labels of the survey, whatever classes they are in.
fn label_strata(labelled: &[usize], rows: &SurveyRows) -> Strata {
    let labels = labelled.iter().filter_map(|&row| rows.label(row));
    let labels: Vec<&String> = labels
        .map(|(label, raw)| raw.as_ref().unwrap_or(label))
        .collect();
    let mut names = labels.clone();
    names.sort();
    names.dedup();
    Strata {
        of: labels
            .iter()
            .map(|label| names.partition_point(|name| name < label))
            .collect(),
        names: names.into_iter().cloned().collect(),
        called: "label",
    }
}

/// Returns a digest of all that makes scores comparable: which objects are dealt to which folds, their
/// groups, and which of them are of the positive class. If there is no such class, it has all classes.
pub(super) fn deal_digest(folds: &Folds) -> Value {
    let mut texts = Vec::with_capacity(folds.object_id.len() * (folds.repeats.len() + 3));
    for (row, id) in folds.object_id.iter().enumerate() {
        let Some(label) = &folds.label[row] else {
            continue;
        };
        let class = match &folds.positive {
            Some(positive) => (label == positive).to_string(),
            None => label.clone(),
        };
        let group = folds.group[row].clone().unwrap_or_default();
        texts.extend([id.clone(), class, group]);
        let dealt = folds.repeats.iter().map(|folds| folds[row]);
        texts.extend(dealt.map(|fold| fold.map_or(String::new(), |fold| fold.to_string())));
    }
    ids_digest(texts)
}

/// What the folds have equal shares of.
struct Strata {
    /// The stratum of each labelled object, as its place in `names`.
    of: Vec<usize>,
    names: Vec<String>,
    /// What the user calls one of them.
    called: &'static str,
}

/// Deals labelled objects to folds.
struct Dealer {
    strata: Strata,
    /// The group of each object, if some stay together.
    groups: Option<Vec<usize>>,
    k: usize,
    /// The shuffle; `None` keeps the order of the objects.
    seed: Option<u64>,
}

impl Dealer {
    fn deal(&self, repeat: u64) -> Result<kfold::Assignment, StageError> {
        let shuffle = self.seed.map(|seed| (seed, repeat));
        kfold::assign(&self.strata.of, self.groups.as_deref(), self.k, shuffle)
            .map_err(|e| StageError::data("flow::data::folds", e.to_string()).with_source(e))
    }

    /// A note that a class or label has fewer objects than there are folds.
    fn rare(&self, assignment: &kfold::Assignment) -> String {
        format!(
            "the rarest {}, `{}`, has {} labelled objects for {} folds: some folds have none",
            self.strata.called,
            self.strata.names[self.rarest()],
            assignment.smallest_class,
            self.k
        )
    }

    /// The stratum with the fewest objects; of equal ones the first.
    fn rarest(&self) -> usize {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for &stratum in &self.strata.of {
            *counts.entry(stratum).or_default() += 1;
        }
        let rarest = counts.into_iter().min_by_key(|(stratum, n)| (*n, *stratum));
        rarest.map_or(0, |(stratum, _)| stratum)
    }

    /// Restricts the deal to the objects that train in fold `fold` of repeat 0. Returns for each object
    /// whether it does.
    fn narrow(&mut self, fold: u32) -> Result<Vec<bool>, StageError> {
        let inside: Vec<bool> = self.deal(0)?.folds.iter().map(|&f| f != fold).collect();
        self.strata.of = kept(&self.strata.of, &inside);
        self.groups = self.groups.as_ref().map(|groups| kept(groups, &inside));
        // The draws differ from those that dealt the outer folds.
        let path = [INNER, u64::from(fold)];
        self.seed = self.seed.map(|seed| Stream::new(seed, &path).next_u64());
        Ok(inside)
    }
}

fn kept(values: &[usize], inside: &[bool]) -> Vec<usize> {
    let both = values.iter().zip(inside);
    both.filter(|(_, inside)| **inside)
        .map(|(value, _)| *value)
        .collect()
}

/// Separates the random numbers of inner folds from those of repeats.
const INNER: u64 = u64::MAX;

fn group_numbers(
    labelled: &[usize],
    rows: &SurveyRows,
    column: &str,
) -> Result<Vec<usize>, StageError> {
    let mut numbers = BTreeMap::new();
    let mut names = Vec::with_capacity(labelled.len());
    for &row in labelled {
        let name = rows.group(row).ok_or_else(|| {
            StageError::data(
                "flow::data::no_group",
                format!("object `{}` has no `{column}` to group by", rows.id(row)),
            )
            .help("leave `group_by` out, or map the column in the `ingest` stage")
        })?;
        numbers.insert(name, 0);
        names.push(name);
    }
    for (number, value) in numbers.values_mut().enumerate() {
        *value = number;
    }
    Ok(names.iter().map(|name| numbers[name]).collect())
}
