//! The earlier record that best explains why an action misses.

use std::collections::HashMap;
use std::sync::Arc;

use crate::digest::ActionKey;
use crate::error::StoreError;
use crate::index::Index;
use crate::recipe::Recipe;
use crate::record::{Labels, Record};
use crate::store::{Store, guard};

/// Of how many recent records of a kind the most similar one is chosen.
const CANDIDATES: usize = 64;

/// The keys of records by their labels, in order of age.
#[derive(Default)]
pub(crate) struct Neighbours {
    by_label: HashMap<(String, String), Vec<(u64, ActionKey)>>,
    by_kind: HashMap<String, Vec<(u64, ActionKey)>>,
}

impl Neighbours {
    fn scan(index: &mut Index) -> Result<Self, StoreError> {
        let mut found = Self::default();
        index.for_each_row(|_, row, payload| {
            let labels = Labels::decode(payload)?;
            let entry = (labels.finished_unix, row.key);
            let label = (labels.stage.to_owned(), labels.action.to_owned());
            found.by_label.entry(label).or_default().push(entry);
            found
                .by_kind
                .entry(labels.kind.to_owned())
                .or_default()
                .push(entry);
            Ok(())
        })?;
        let lists = found
            .by_label
            .values_mut()
            .chain(found.by_kind.values_mut());
        lists.for_each(|list| list.sort_unstable());
        Ok(found)
    }
}

impl Store {
    /// The record to compare a missing action with: the most recent one of the same stage and
    /// action labels; else, of the most recent ones of the same kind, the one that differs least.
    ///
    /// Considers the records that the store held at the first call, which is what "earlier" means
    /// to a run. Nothing is found where nothing is comparable, or the records cannot be read.
    pub fn nearest(&self, stage: &str, action: &str, recipe: &Recipe) -> Option<Arc<Record>> {
        let neighbours = match self.neighbours.get() {
            Some(neighbours) => neighbours,
            None => {
                let scanned = Neighbours::scan(&mut guard(&self.index)).ok()?;
                self.neighbours.get_or_init(|| scanned)
            }
        };
        let key = recipe.key();
        let read = |candidate: &ActionKey| {
            let other = *candidate != key;
            other
                .then(|| self.lookup(candidate).ok().flatten())
                .flatten()
        };
        let label = (stage.to_owned(), action.to_owned());
        if let Some(list) = neighbours.by_label.get(&label)
            && let Some(record) = list.iter().rev().find_map(|(_, k)| read(k))
        {
            return Some(record);
        }
        let kind = recipe.get("kind")?;
        let kind = kind.as_str().filter(|k| !k.is_empty())?;
        let recent = neighbours.by_kind.get(kind)?.iter().rev().take(CANDIDATES);
        recent
            .filter_map(|(_, candidate)| read(candidate))
            .min_by_key(|record| recipe.diff(&record.recipe).len())
    }
}
