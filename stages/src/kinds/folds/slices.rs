//! The digests of the rows that train in a fold, and of the rows that its models are applied to, shard
//! by shard.

use std::collections::BTreeMap;

use flow_cache::{Digest, Value};
use flow_engine::kind::{Rows, StageError};

use crate::rows;
use crate::table::{Folds, Objects, ids_digest};

fn ids_of(shard: &Objects) -> String {
    match ids_digest(&shard.object_id) {
        Value::Str(ids) => ids,
        other => format!("{other:?}"),
    }
}

/// The number of objects in each shard.
pub(super) fn shard_rows(shards: &[Objects]) -> Value {
    let rows: BTreeMap<String, Value> = shards
        .iter()
        .map(|s| (ids_of(s), Value::Int(s.len() as i64)))
        .collect();
    Value::Map(rows.into_iter().collect())
}

/// For every role, fold and shard: the digest of the rows that count, with their labels if a fit sees
/// them; and by shard that of the rows without a label. Shards without such rows are left out.
pub(super) fn slices(
    folds: &Folds,
    shards: &[Objects],
    names: &[String],
) -> Result<Value, StageError> {
    let mut slices = BTreeMap::new();
    let shard_ids: Vec<String> = shards.iter().map(ids_of).collect();
    let mut shard_of = vec![0; folds.object_id.len()];
    for (index, shard) in shards.iter().enumerate() {
        for id in &shard.object_id {
            if let Ok(row) = folds.object_id.binary_search(id) {
                shard_of[row] = index;
            }
        }
    }
    let places = Places {
        shard_ids,
        shard_of,
    };
    for name in names {
        for role in [Rows::Train, Rows::Apply] {
            let rows = rows::rows_of(folds, rows::parse(name)?, role);
            if !rows.is_empty() {
                let key = format!("{}/{name}", role.name());
                slices.insert(key, places.entries(folds, role, rows));
            }
        }
    }
    // They are the same in every fold, and there even if no final fit applies to them.
    let rows = rows::rows_of(folds, None, Rows::Unlabelled);
    if !rows.is_empty() {
        let key = Rows::Unlabelled.name().to_owned();
        slices.insert(key, places.entries(folds, Rows::Unlabelled, rows));
    }
    Ok(Value::Map(slices.into_iter().collect()))
}

/// In which shards the rows of a table of folds are.
struct Places {
    /// By shard, the digest of its ids.
    shard_ids: Vec<String>,
    /// By row, the shard.
    shard_of: Vec<usize>,
}

impl Places {
    /// The digests of these rows: by shard, and of all together.
    fn entries(&self, folds: &Folds, role: Rows, rows: Vec<usize>) -> Value {
        let mut all = Slice::new(folds, role);
        let mut by_shard: BTreeMap<usize, Slice> = BTreeMap::new();
        for row in rows {
            all.push(folds, row);
            by_shard
                .entry(self.shard_of[row])
                .or_insert_with(|| Slice::new(folds, role))
                .push(folds, row);
        }
        let mut entries: BTreeMap<String, Value> = by_shard
            .into_iter()
            .map(|(shard, slice)| (self.shard_ids[shard].clone(), slice.digest()))
            .collect();
        entries.insert("*".into(), all.digest());
        Value::Map(entries.into_iter().collect())
    }
}

/// The canonical bytes of a set of rows.
struct Slice {
    bytes: Vec<u8>,
    labels: bool,
}

impl Slice {
    fn new(folds: &Folds, role: Rows) -> Self {
        let mut slice = Self {
            bytes: Vec::new(),
            labels: role == Rows::Train,
        };
        if slice.labels {
            slice.text(folds.positive.as_deref().unwrap_or_default());
            for class in &folds.classes {
                slice.text(class);
            }
        }
        slice
    }

    fn text(&mut self, text: &str) {
        self.bytes
            .extend_from_slice(&(text.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn push(&mut self, folds: &Folds, row: usize) {
        self.text(&folds.object_id[row]);
        if self.labels {
            self.text(folds.label[row].as_deref().unwrap_or_default());
            // A fit also checks its features against the raw labels.
            if let Some(raw) = folds.raw_label.get(row) {
                self.text(raw.as_deref().unwrap_or_default());
            }
        }
    }

    fn digest(&self) -> Value {
        Value::Digest(Digest::of(&self.bytes))
    }
}
