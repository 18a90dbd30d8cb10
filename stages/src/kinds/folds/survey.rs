//! What the deal needs of all objects of a survey, in some 40 bytes an object.

use std::collections::BTreeMap;
use std::path::Path;

use flow_cache::Value;
use flow_engine::kind::StageError;

use crate::table::{Objects, Survey, ids_digest};

/// The class of an object, and what the survey called it if `classes` regrouped it.
pub(super) type Label = (String, Option<String>);

/// The objects of all shards, in the order of their bytes.
pub(super) struct SurveyRows {
    /// What the shards share.
    pub survey: Survey,
    /// By shard, the digest of its ids and the number of its objects.
    pub shards: Vec<(String, usize)>,
    /// The ids of all shards, one after the other, and where each ends.
    ids: String,
    ends: Vec<usize>,
    shard: Vec<u32>,
    labels: Interned<Label>,
    /// Empty if objects are not kept together.
    groups: Interned<String>,
    /// The places of the rows above, in the order of the ids.
    order: Vec<u32>,
}

impl SurveyRows {
    /// Reads the objects of shards, with the column that keeps them together.
    ///
    /// # Errors
    /// If a table is unreadable, an object is in two shards, the shards are of different surveys, or the labels are no
    /// classes.
    pub fn read<'p>(
        parts: impl IntoIterator<Item = &'p Path>,
        group_by: Option<&str>,
    ) -> Result<Self, StageError> {
        let mut rows = Self {
            survey: Survey::default(),
            shards: Vec::new(),
            ids: String::new(),
            ends: Vec::new(),
            shard: Vec::new(),
            labels: Interned::default(),
            groups: Interned::default(),
            order: Vec::new(),
        };
        let mut surveys = Vec::new();
        for path in parts {
            let objects = Objects::read(path)?;
            rows.add(&objects, group_by);
            surveys.push(objects.survey);
        }
        rows.survey = Survey::join(&surveys)?;
        let labels = rows.labels.of.iter().map(|label| rows.labels.get(*label));
        let labels: Vec<Option<String>> = labels.flatten().map(|(l, _)| Some(l.clone())).collect();
        Objects::classes(&labels, "label")?;
        rows.sort()?;
        Ok(rows)
    }

    fn add(&mut self, objects: &Objects, group_by: Option<&str>) {
        let ids = match ids_digest(&objects.object_id) {
            Value::Str(ids) => ids,
            other => format!("{other:?}"),
        };
        let shard = self.shards.len() as u32;
        self.shards.push((ids, objects.len()));
        for (i, id) in objects.object_id.iter().enumerate() {
            self.ids.push_str(id);
            self.ends.push(self.ids.len());
            self.shard.push(shard);
            let label = objects.label[i].clone();
            self.labels
                .push(label.map(|label| (label, objects.raw_label[i].clone())));
            match group_by {
                Some("split") => self.groups.push(objects.split[i].clone()),
                Some(_) => self.groups.push(objects.group[i].clone()),
                None => {}
            }
        }
    }

    fn sort(&mut self) -> Result<(), StageError> {
        let mut order: Vec<u32> = (0..self.ends.len() as u32).collect();
        order.sort_by(|&a, &b| self.id_at(a).cmp(self.id_at(b)));
        let mut pairs = order.windows(2);
        if let Some(pair) = pairs.find(|pair| self.id_at(pair[0]) == self.id_at(pair[1])) {
            return Err(StageError::data(
                "flow::data::object_twice",
                format!("object `{}` is in two shards", self.id_at(pair[0])),
            )
            .help("put all observations of an object into one file"));
        }
        self.order = order;
        Ok(())
    }

    fn id_at(&self, place: u32) -> &str {
        let place = place as usize;
        let first = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.ids[first..self.ends[place]]
    }

    /// The number of objects.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// The object of a row.
    pub fn id(&self, row: usize) -> &str {
        self.id_at(self.order[row])
    }

    /// The shard of a row, as its place in `shards`.
    pub fn shard(&self, row: usize) -> usize {
        self.shard[self.order[row] as usize] as usize
    }

    /// The label of a row; `None` for an unlabelled object.
    pub fn label(&self, row: usize) -> Option<&Label> {
        self.labels.get(self.labels.of[self.order[row] as usize])
    }

    /// The group of a row, if objects are kept together and it has one.
    pub fn group(&self, row: usize) -> Option<&String> {
        let code = self.groups.of.get(self.order[row] as usize)?;
        self.groups.get(*code)
    }
}

/// A column with few distinct values.
struct Interned<T> {
    codes: BTreeMap<T, u32>,
    values: Vec<T>,
    /// By row, the place in `values` plus 1; 0 for none.
    of: Vec<u32>,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self {
            codes: BTreeMap::new(),
            values: Vec::new(),
            of: Vec::new(),
        }
    }
}

impl<T: Ord + Clone> Interned<T> {
    fn push(&mut self, value: Option<T>) {
        let code = value.map_or(0, |value| {
            let next = self.values.len() as u32 + 1;
            *self.codes.entry(value).or_insert_with_key(|value| {
                self.values.push(value.clone());
                next
            })
        });
        self.of.push(code);
    }

    fn get(&self, code: u32) -> Option<&T> {
        self.values.get((code as usize).checked_sub(1)?)
    }
}
