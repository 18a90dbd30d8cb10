//! Deals labelled objects to folds.

use std::collections::BTreeMap;

use flow_cache::Value;
use flow_engine::kind::StageError;

use super::{FoldsParams, Stratify};
use crate::numeric::kfold;
use crate::numeric::rng::Stream;
use crate::table::{Folds, Objects, Survey, ids_digest};

/// Deals the labelled objects of all shards, and returns notes on the result.
///
/// # Errors
/// If no object has a label, one lacks its group, one is in two shards, or there are too few to deal.
pub(super) fn assign(
    shards: &[Objects],
    params: &FoldsParams<'_>,
    seed: u64,
) -> Result<(Folds, Vec<Value>), StageError> {
    let survey = Survey::join(shards.iter().map(|s| &s.survey))?;
    Objects::classes(shards.iter().flat_map(|s| &s.label), "label")?;
    let rows = sorted_rows(shards)?;
    let column = params.group_by;
    let group_of = |&(shard, i): &(&Objects, usize)| match column {
        Some("split") => shard.split[i].clone(),
        Some(_) => shard.group[i].clone(),
        None => None,
    };
    let mut labelled: Vec<usize> = (0..rows.len())
        .filter(|&i| rows[i].0.label[rows[i].1].is_some())
        .collect();
    if labelled.is_empty() {
        return Err(nothing_labelled(rows.len()));
    }
    let strata = match params.stratify {
        Some(Stratify::Label) => label_strata(&labelled, &rows),
        _ => class_strata(&labelled, &rows, &survey.classes)?,
    };
    let groups = column.map(|column| group_numbers(&labelled, &rows, group_of, column));
    let groups = groups.transpose()?;
    let mut dealer = Dealer {
        strata,
        groups,
        k: params.k,
        seed: params.shuffle.then_some(seed),
    };
    if let Some(within) = params.within {
        let inside = dealer.narrow(within as u32)?;
        let mut inside = inside.iter();
        labelled.retain(|_| inside.next().is_some_and(|&inside| inside));
    }
    let (label, raw_label) = labels(&rows, &labelled);
    let mut repeats = Vec::new();
    let mut notes = Vec::new();
    for repeat in 0..params.repeats {
        let assignment = dealer.deal(repeat as u64)?;
        if repeat == 0 && assignment.smallest_class < dealer.k {
            notes.push(Value::Str(dealer.rare(&assignment)));
        }
        let mut of_row = vec![None; rows.len()];
        for (&row, &fold) in labelled.iter().zip(&assignment.folds) {
            of_row[row] = Some(fold as i32);
        }
        repeats.push(of_row);
    }
    let folds = Folds {
        classes: survey.classes,
        positive: survey.positive,
        object_id: rows.iter().map(|(s, i)| s.object_id[*i].clone()).collect(),
        label,
        raw_label,
        group: rows.iter().map(group_of).collect(),
        repeats,
    };
    Ok((folds, notes))
}

/// The rows of all shards, as the shard and the place in it, in the order of `object_id`.
fn sorted_rows(shards: &[Objects]) -> Result<Vec<(&Objects, usize)>, StageError> {
    let mut rows: Vec<(&Objects, usize)> = shards
        .iter()
        .flat_map(|s| (0..s.len()).map(move |i| (s, i)))
        .collect();
    rows.sort_by(|a, b| a.0.object_id[a.1].cmp(&b.0.object_id[b.1]));
    if let Some(pair) = rows
        .windows(2)
        .find(|p| p[0].0.object_id[p[0].1] == p[1].0.object_id[p[1].1])
    {
        return Err(StageError::data(
            "flow::data::object_twice",
            format!(
                "object `{}` is in two shards",
                pair[0].0.object_id[pair[0].1]
            ),
        )
        .help("put all observations of an object into one file"));
    }
    Ok(rows)
}

/// For each row, the label and what the survey calls it; `None` for rows that are not `labelled`.
fn labels(
    rows: &[(&Objects, usize)],
    labelled: &[usize],
) -> (Vec<Option<String>>, Vec<Option<String>>) {
    let (mut label, mut raw_label) = (vec![None; rows.len()], vec![None; rows.len()]);
    for &row in labelled {
        let (shard, i) = rows[row];
        label[row].clone_from(&shard.label[i]);
        raw_label[row].clone_from(&shard.raw_label[i]);
    }
    if raw_label.iter().all(Option::is_none) {
        raw_label.clear();
    }
    (label, raw_label)
}

fn nothing_labelled(rows: usize) -> StageError {
    StageError::data(
        "flow::data::folds",
        format!("none of the {rows} objects has a label: there is nothing to deal into folds"),
    )
    .help("name the column that holds the classes: `label` in the `columns` of the `ingest` stage")
}

/// The class of each labelled row, as its place in the survey's list.
fn class_numbers(
    labelled: &[usize],
    rows: &[(&Objects, usize)],
    classes: &[String],
) -> Result<Vec<usize>, StageError> {
    labelled
        .iter()
        .filter_map(|&i| rows[i].0.label[rows[i].1].as_ref())
        .map(|class| {
            classes.binary_search(class).map_err(|_| {
                StageError::data(
                    "flow::data::schema",
                    format!("class `{class}` is not in the survey's list"),
                )
            })
        })
        .collect()
}

/// The classes as strata.
///
/// # Errors
/// If a label is none of the classes.
fn class_strata(
    labelled: &[usize],
    rows: &[(&Objects, usize)],
    classes: &[String],
) -> Result<Strata, StageError> {
    Ok(Strata {
        of: class_numbers(labelled, rows, classes)?,
        names: classes.to_vec(),
        called: "class",
    })
}

/// The labels of the survey, whatever classes they are in.
fn label_strata(labelled: &[usize], rows: &[(&Objects, usize)]) -> Strata {
    let label = |&row: &usize| {
        let (shard, i) = rows[row];
        let raw = shard.raw_label[i].as_ref();
        raw.or(shard.label[i].as_ref()).cloned().unwrap_or_default()
    };
    let labels: Vec<String> = labelled.iter().map(label).collect();
    let mut names = labels.clone();
    names.sort();
    names.dedup();
    Strata {
        of: labels
            .iter()
            .map(|label| names.partition_point(|name| name < label))
            .collect(),
        names,
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
    rows: &[(&Objects, usize)],
    group_of: impl Fn(&(&Objects, usize)) -> Option<String>,
    column: &str,
) -> Result<Vec<usize>, StageError> {
    let mut numbers = BTreeMap::new();
    let mut names = Vec::with_capacity(labelled.len());
    for &i in labelled {
        let name = group_of(&rows[i]).ok_or_else(|| {
            StageError::data(
                "flow::data::no_group",
                format!(
                    "object `{}` has no `{column}` to group by",
                    rows[i].0.object_id[rows[i].1]
                ),
            )
            .help("leave `group_by` out, or map the column in the `ingest` stage")
        })?;
        numbers.insert(name.clone(), 0);
        names.push(name);
    }
    for (number, value) in numbers.values_mut().enumerate() {
        *value = number;
    }
    Ok(names.iter().map(|name| numbers[name]).collect())
}
