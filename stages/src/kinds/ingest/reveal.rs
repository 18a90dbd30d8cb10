//! The true classes of the objects that a survey gives without labels.
//!
//! Those of the demo are known, since it is simulated. Those of files are in a column of their own, `truth`. They are read
//! by a step of their own and leave `ingest` by a port whose type no fit takes, so no light curve carries them.

use flow_engine::{Action, StageError};

use crate::table::Truth;

use super::columns::TRUTH;
use super::demo;
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
    let (Some(given), Some(revealed)) = (given.everybody()?, revealed.everybody()?) else {
        return Ok(Truth::default());
    };
    let labels = given.objects.object_id.iter().zip(&given.objects.label);
    let hidden = labels.filter(|(_, label)| label.is_none());
    let class = |(id, _): (&String, _)| {
        let row = revealed.row(id).ok()?;
        Some((id.clone(), revealed.objects.label[row].clone()?))
    };
    Ok(Truth {
        class: hidden.filter_map(class).collect(),
    })
}
