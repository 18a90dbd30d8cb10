//! The digests of the rows that train in a fold, and of the rows that its models are applied to, shard
//! by shard.

use std::collections::BTreeMap;

use flow_cache::{Digester, Value};
use flow_engine::kind::{Rows, StageError};

use super::deal::Deal;
use super::survey::SurveyRows;
use crate::rows;
use crate::table::Folds;

/// The number of objects in each shard.
pub(super) fn shard_rows(survey: &SurveyRows) -> Value {
    let shards = survey.shards.iter();
    let rows: BTreeMap<String, Value> = shards
        .map(|(ids, count)| (ids.clone(), Value::Int(*count as i64)))
        .collect();
    Value::Map(rows.into_iter().collect())
}

/// For every role, fold and shard: the digest of the rows that count, with their labels if a fit sees
/// them; and by shard that of the rows without a label. Shards without such rows are left out.
pub(super) fn slices(
    survey: &SurveyRows,
    deal: &Deal,
    names: &[String],
) -> Result<Value, StageError> {
    let folds = &deal.folds;
    let mut slices = BTreeMap::new();
    for name in names {
        let fold = rows::parse(name)?;
        for role in [Rows::Train, Rows::Apply] {
            let mut parts = Parts::new(survey, (role == Rows::Train).then_some(folds));
            for at in rows::rows_of(folds, fold, role) {
                parts.push(deal.labelled[at], Some(at));
            }
            if fold.is_none() && role == Rows::Apply {
                parts.push_unlabelled(deal);
            }
            slices.extend(parts.digests(format!("{}/{name}", role.name())));
        }
    }
    // They are the same in every fold, and there even if no final fit applies to them.
    let mut parts = Parts::new(survey, None);
    parts.push_unlabelled(deal);
    slices.extend(parts.digests(Rows::Unlabelled.name().to_owned()));
    Ok(Value::Map(slices.into_iter().collect()))
}

/// The rows that count, of all shards and of each.
struct Parts<'a> {
    survey: &'a SurveyRows,
    /// The table with the labels that count too.
    labels: Option<&'a Folds>,
    all: Slice,
    by_shard: BTreeMap<usize, Slice>,
}

impl<'a> Parts<'a> {
    fn new(survey: &'a SurveyRows, labels: Option<&'a Folds>) -> Self {
        Self {
            survey,
            labels,
            all: Slice::new(labels),
            by_shard: BTreeMap::new(),
        }
    }

    /// Takes the next row of the survey, with its place in the table of labelled rows.
    fn push(&mut self, row: usize, labelled: Option<usize>) {
        let labels = self.labels;
        let of_shard = self.by_shard.entry(self.survey.shard(row));
        for slice in [
            &mut self.all,
            of_shard.or_insert_with(|| Slice::new(labels)),
        ] {
            slice.text(self.survey.id(row));
            if let (Some(folds), Some(at)) = (labels, labelled) {
                slice.text(folds.label[at].as_deref().unwrap_or_default());
                // A fit also checks its features against the raw labels.
                if let Some(raw) = folds.raw_label.get(at) {
                    slice.text(raw.as_deref().unwrap_or_default());
                }
            }
        }
    }

    /// Takes all rows that have no label in the table.
    fn push_unlabelled(&mut self, deal: &Deal) {
        let mut labelled = deal.labelled.iter().peekable();
        for row in 0..self.survey.len() {
            if labelled.next_if_eq(&&row).is_none() {
                self.push(row, None);
            }
        }
    }

    /// The digests under a name, if there are rows.
    fn digests(self, name: String) -> Option<(String, Value)> {
        let survey = self.survey;
        let parts = self.by_shard.into_iter();
        let mut digests: BTreeMap<String, Value> = parts
            .map(|(shard, slice)| (survey.shards[shard].0.clone(), slice.digest()))
            .collect();
        if digests.is_empty() {
            return None;
        }
        digests.insert("*".into(), self.all.digest());
        Some((name, Value::Map(digests.into_iter().collect())))
    }
}

/// The canonical bytes of a set of rows.
#[derive(Default)]
struct Slice(Digester);

impl Slice {
    fn new(labels: Option<&Folds>) -> Self {
        let mut slice = Self::default();
        if let Some(folds) = labels {
            slice.text(folds.positive.as_deref().unwrap_or_default());
            for class in &folds.classes {
                slice.text(class);
            }
        }
        slice
    }

    fn text(&mut self, text: &str) {
        self.0.put(&(text.len() as u64).to_le_bytes());
        self.0.put(text.as_bytes());
    }

    fn digest(self) -> Value {
        Value::Digest(self.0.finish())
    }
}
