//! Which rows of an artifact count in a fold.

use flow_cache::{Digest, Output, Value};

use crate::kind::error::StageError;
use crate::kind::spec::Rows;
use crate::plan::Feed;

/// Returns an attribute of an output.
pub fn attr<'v>(attrs: &'v Value, name: &str) -> Option<&'v Value> {
    match attrs {
        Value::Map(entries) => entries
            .binary_search_by(|(key, _)| key.as_str().cmp(name))
            .ok()
            .map(|at| &entries[at].1),
        _ => None,
    }
}

/// The rows of a fold, as the attributes of the table of folds give them. `slices` maps `train/FOLD`,
/// `apply/FOLD` and `unlabelled` to a map from a shard's `ids` (and `*` for all rows together) to the digest of the
/// rows and labels that count there. `shards` lists the `ids` of every shard.
pub(crate) struct Slices<'a> {
    pub(crate) attrs: &'a Value,
    pub(crate) fold: &'a str,
    /// Name of the stage that reads them, for people.
    pub(crate) stage: &'a str,
}

impl Slices<'_> {
    pub(crate) fn of(&self, rows: Rows) -> Option<&Value> {
        let slices = attr(self.attrs, "slices")?;
        match rows {
            Rows::Unlabelled => attr(slices, rows.name()),
            // Which copies count follows from the training rows.
            Rows::Copies => self.of(Rows::Train),
            Rows::Train | Rows::Apply => attr(slices, &format!("{}/{}", rows.name(), self.fold)),
        }
    }

    /// Returns the digest of all training rows together.
    pub(crate) fn content(&self) -> Option<Digest> {
        match attr(self.of(Rows::Train)?, "*") {
            Some(Value::Digest(digest)) => Some(*digest),
            _ => None,
        }
    }

    /// Returns the digest of the rows of an artifact that count, or none if no rows count.
    pub(crate) fn find(
        &self,
        rows: Rows,
        output: &Output,
        feed: &Feed<'_>,
    ) -> Result<Option<Digest>, StageError> {
        let Some(slices) = self.of(rows) else {
            return Ok(None);
        };
        let shards = attr(self.attrs, "shards");
        let key = match attr(&output.attrs, "ids") {
            // The table of folds does not know copies by their own names. A part without any changes nothing.
            _ if rows == Rows::Copies => match attr(&output.attrs, "rows") {
                Some(Value::Int(0)) => return Ok(None),
                _ => "*",
            },
            Some(Value::Str(ids))
                if feed.producers.len() > 1 || shards.is_some_and(|s| attr(s, ids).is_some()) =>
            {
                if shards.is_none_or(|s| attr(s, ids).is_none()) {
                    return Err(StageError::data(
                        "flow::data::objects_differ",
                        format!(
                            "the rows that reach port `{}` of stage `{}` are not the objects that the folds were made of",
                            feed.port, self.stage
                        ),
                    )
                    .help("make the folds from the `objects` of the same `ingest` stage"));
                }
                ids.as_str()
            }
            _ => "*",
        };
        Ok(match attr(slices, key) {
            Some(Value::Digest(digest)) => Some(*digest),
            _ => None,
        })
    }
}
