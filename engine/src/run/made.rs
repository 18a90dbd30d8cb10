//! What the store says of an action that another process has run. What that process says explains; the record
//! counts.

use std::sync::Arc;

use flow_cache::{ActionKey, Output, Record, Store};

use crate::kind::error::StageError;
use crate::run::job::Done;
use crate::run::perform::is_whole;
use crate::run::report::Report;
use crate::run::work::Work;

/// What the store had before a forced action.
pub(crate) struct Before {
    record: Arc<Record>,
    /// All of its bytes were there.
    whole: bool,
    /// The names of what the action writes.
    writes: Vec<String>,
}

impl Before {
    /// Notes what the store has of an action that is about to run. It is none unless the action is forced.
    pub(crate) fn of(work: &Work<'_>, store: &Store) -> Result<Option<Self>, StageError> {
        Ok(match store.find(&work.prepared.key)? {
            Some(record) if work.forced => Some(Self {
                whole: is_whole(store, &record, &work.writes)?,
                writes: work.writes.to_vec(),
                record,
            }),
            _ => None,
        })
    }
}

/// Returns what the store says of an action now. It is none if the action has yet to run.
pub(crate) fn made(
    store: &Store,
    key: &ActionKey,
    before: Option<&Before>,
    report: Option<&Report>,
) -> Result<Option<Done>, StageError> {
    let Some(record) = store.find(key)? else {
        return Ok(None);
    };
    let Some(before) = before else {
        return Ok(Some(match report {
            Some(Report::Hit) => Done::Hit(record),
            Some(Report::Different(outputs)) => Done::Different {
                record,
                outputs: outputs.clone(),
            },
            _ => Done::Ran(record),
        }));
    };
    let outputs = differing(&before.record, &record);
    if !outputs.is_empty() {
        return Ok(Some(Done::Different { record, outputs }));
    }
    // The record alone says nothing here, since it was there before.
    let ran = !before.whole || matches!(report, Some(Report::Ran));
    let whole = ran && is_whole(store, &record, &before.writes)?;
    Ok(whole.then_some(Done::Ran(record)))
}

fn differing(before: &Record, now: &Record) -> Vec<String> {
    let differs = |output: &&Output| {
        let old = before.output(&output.name);
        old.is_none_or(|old| old.digest != output.digest)
    };
    let names = now.outputs.iter().filter(differs);
    names.map(|output| output.name.clone()).collect()
}
