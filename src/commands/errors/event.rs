//! The objects that an evaluation has wrong, for programs.

use flow_stages::inspection::Judged;

use super::WrongObjects;
use crate::event::{ErrorsListed, ListOfErrors, PeakFigures, WrongObject};
use crate::report::objects::lists;

/// The event.
pub fn event(wrong: &WrongObjects<'_>) -> ErrorsListed {
    let lists = wrong.lists.iter().map(|list| ListOfErrors {
        list: lists::id(list.kind).to_owned(),
        of: list.of,
        objects: wrong.of(list).map(|judged| object(wrong, judged)).collect(),
    });
    ErrorsListed {
        run: wrong.evaluated.run.id.clone(),
        evaluation: wrong.evaluated.stage.to_owned(),
        predictions: wrong.evaluated.predictions.0.to_owned(),
        curves: wrong.curves.map(str::to_owned),
        positive: wrong.judgement.positive.clone(),
        objects: wrong.judged(),
        lists: lists.collect(),
    }
}

fn object(wrong: &WrongObjects<'_>, judged: &Judged) -> WrongObject {
    let observed = wrong.observed.get(&judged.id);
    let peak = observed.and_then(|observed| observed.peak);
    WrongObject {
        object_id: judged.id.clone(),
        class: judged.label.clone(),
        predicted: judged.predicted.clone(),
        score: judged.score,
        threshold: judged.threshold,
        repeats: judged.repeats,
        wrong: judged.wrong,
        redshift: observed.and_then(|observed| observed.redshift),
        points: observed.map(|observed| observed.points),
        peak: peak.map(|peak| PeakFigures {
            time: peak.time,
            band: wrong.observed.survey.bands[peak.band].clone(),
            flux: peak.flux,
            magnitude: peak.magnitude(),
        }),
    }
}
