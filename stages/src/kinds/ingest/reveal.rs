//! The true classes of the objects that a survey gives without labels.
//!
//! Those of the demo are known, since it is simulated. Those of files are in a column of their own, `truth`. They are read
//! by a step of their own and leave `ingest` by a port whose type no fit takes, so no light curve carries them.

use flow_engine::{Action, StageError};

use crate::table::Truth;

use super::columns::TRUTH;
use super::demo;
use super::ids::{Ids, told_apart};
use super::params::{Format, IngestParams};
use super::request::Request;

/// Returns true if the survey has true classes.
pub(super) fn is_known(params: &IngestParams<'_>) -> bool {
    params.format == Format::Demo || column(params).is_some()
}

/// The name of the column with the true classes.
fn column<'a>(params: &IngestParams<'a>) -> Option<&'a str> {
    let mut columns = params.columns.iter();
    columns
        .find(|(key, _)| *key == TRUTH)
        .map(|(_, name)| *name)
}

/// Returns the true class of every object without a label.
///
/// # Errors
/// If a file cannot be read, or lacks the column.
pub(super) fn truth(action: &Action<'_>) -> Result<Truth, StageError> {
    let params = IngestParams::read(action.params);
    if params.format == Format::Demo {
        return demo::truth(&params, action.seed);
    }
    let checkpoint = || action.checkpoint();
    let given = Request::of(action, &checkpoint);
    let mut revealed = Request::of(action, &checkpoint);
    let name = column(&params).unwrap_or(TRUTH);
    revealed.params.columns.retain(|(key, _)| *key != "label");
    revealed.params.columns.push(("label", name));
    revealed.params.nulls.retain(|(key, _)| *key != "label");
    told_apart(|doubtful| {
        let files = match given.objects_files() {
            Ok(files) => files,
            Err(error) => return (Err(error), Vec::new()),
        };
        let mut hidden = Ids::new(doubtful);
        let (sums, mut twice) = given.list(&files, doubtful, &mut |id, object| {
            if object.is_some_and(|object| object.label.is_none()) {
                hidden.add(id, 0);
            }
        });
        if let Err(error) = sums {
            return (Err(error), twice);
        }
        twice.extend(hidden.sort());
        let mut truth = Truth::default();
        let (sums, more) = revealed.list(&files, doubtful, &mut |id, object| {
            let class = object.and_then(|object| object.class);
            if let Some(class) = class.filter(|_| hidden.has(id)) {
                truth.class.insert(id.to_owned(), class.to_owned());
            }
        });
        twice.extend(more);
        (sums.map(|_| truth), twice)
    })
}
