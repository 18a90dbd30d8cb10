//! The objects of an evaluation that are worth looking at, with their light curves.
//!
//! - [`found`]: where a run has them; [`gather`]: reads them;
//! - [`lists`]: the names of lists; [`tables`]: the lists as HTML, which needs no JavaScript;
//! - [`encoded`]: all of it as data for `assets/objects.js`.

mod encoded;
pub mod found;
mod gather;
pub mod lists;
mod tables;

use flow_engine::StageError;
use maud::{Markup, html};

use self::found::Evaluated;
use self::gather::{Gathered, sentences};
use super::Recorded;
use super::section::{Drawing, Section};

/// The section, or nothing if the run has no evaluation. `asked` names objects that it must have.
///
/// # Errors
/// If the store cannot be read.
pub fn section(run: &Recorded<'_>, asked: &[String]) -> Result<Option<Section>, StageError> {
    let meant = Evaluated::meant(run);
    let Some(evaluated) = meant.or_else(|| Evaluated::all(run).first().copied()) else {
        let stages = run.record.stages.iter();
        let is_old = stages.clone().all(|(_, stage)| stage.kind.is_none());
        let note = html! {
            p.note {
                "An earlier version recorded this run, without what its stages read, so its objects cannot be found. "
                code { "flow run" } " records it anew."
            }
        };
        return Ok((is_old && stages.len() > 0).then(|| of(note, None)));
    };
    let Some(predictions) = evaluated.predictions_file()? else {
        let (stage, port) = evaluated.predictions;
        let lost = sentences(&evaluated.lost(stage, port));
        let note = html! { p.note { "There are no objects to show: " (lost) "." } };
        return Ok(Some(of(note, None)));
    };
    let gathered = Gathered::read(evaluated, &predictions, asked)?;
    let drawing = Drawing {
        script: include_str!("../assets/objects.js"),
        data: encoded::data(&gathered),
    };
    Ok(Some(of(tables::html(&gathered), Some(drawing))))
}

fn of(html: Markup, drawing: Option<Drawing>) -> Section {
    Section {
        id: "objects",
        title: "Objects".to_owned(),
        html,
        drawing,
    }
}
