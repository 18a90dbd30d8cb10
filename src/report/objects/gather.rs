//! Everything that the page shows of objects, read from the artifacts of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use flow_engine::{Diag, StageError};
use flow_stages::inspection::{
    FeatureRange, FeatureSource, Judgement, ModelOpinions, ObjectFit, ObjectList, ObservedObjects,
    UnlabelledChoice, fits, moved, survey_labels,
};
use flow_stages::table::{Reason, read_importance, read_reasons};

use super::found::{Evaluated, StageFiles};

/// The most objects of a list.
pub const MOST_OF_LIST: usize = 40;

/// Objects of each class in the sample.
const SAMPLE_OF_CLASS: usize = 8;

/// The most observations in a page, which are about 1.2 MB.
const MOST_OBSERVATIONS: usize = 56_000;

/// The most points of fitted curves in a page, over all stages, objects and bands.
const MOST_FIT_POINTS: usize = 56_000;

/// The most models of which the page has probabilities.
const MOST_MODELS: usize = 24;

/// The most features that are compared with those of classes.
const MOST_FEATURES: usize = 12;

/// Feature tables with more bytes are not searched: they are transforms with ten thousands of columns, whose names
/// say nothing.
const MOST_TABLE_BYTES: u64 = 64 << 20;

/// Which features moved scores, by object and class.
pub type Moved = BTreeMap<String, BTreeMap<String, Vec<Reason>>>;

/// Fitted curves by stage and object.
pub type Fits<'r> = Vec<(&'r str, BTreeMap<String, ObjectFit>)>;

/// What the page shows of objects.
pub struct Gathered<'r> {
    /// The evaluation.
    pub evaluated: Evaluated<'r>,
    /// What it makes of all objects.
    pub judgement: Judgement,
    /// The lists.
    pub lists: Vec<ObjectList>,
    /// The names of the objects in the page.
    pub ids: BTreeSet<String>,
    /// Those that were asked for and are nowhere.
    pub unknown: Vec<String>,
    /// The stage of the light curves, and what is missing if its bytes are gone.
    pub curves: Option<&'r str>,
    /// A sentence that says why there are no light curves.
    pub no_curves: Option<String>,
    /// The light curves.
    pub observed: ObservedObjects,
    /// The labels that the survey gave, where `classes` put them into another class.
    pub labels: BTreeMap<String, String>,
    /// The curves of models, by stage and object.
    pub fits: Fits<'r>,
    /// What every model says, the one that is evaluated first.
    pub models: Vec<(&'r str, ModelOpinions)>,
    /// The number of models in the run.
    pub all_models: usize,
    /// The stage that gives reasons, with those of the objects.
    pub reasons: Option<(&'r str, Moved)>,
    /// The features that matter most to the model.
    pub features: Vec<FeatureRange>,
}

impl<'r> Gathered<'r> {
    /// Reads it from the predictions that are evaluated. `asked` names further objects that the page must have.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn read(
        evaluated: Evaluated<'r>,
        predictions: &Path,
        asked: &[String],
    ) -> Result<Self, StageError> {
        // If there are no more objects than this, the page may have room for all of them.
        let choice = UnlabelledChoice {
            all: MOST_OBSERVATIONS,
            candidates: MOST_OF_LIST,
            sampled: SAMPLE_OF_CLASS,
            asked,
        };
        let judgement = Judgement::read(predictions, &choice)?;
        let kinds = judgement.kinds().into_iter();
        let lists: Vec<ObjectList> = kinds
            .map(|kind| judgement.list(kind, MOST_OF_LIST))
            .collect();
        let listed = lists.iter().flat_map(|list| list.objects.iter().copied());
        let places: BTreeSet<usize> = listed.chain(judgement.sample(SAMPLE_OF_CLASS)).collect();
        let name = |place: usize| judgement.objects[place].id.clone();
        let chosen: BTreeSet<String> = places
            .into_iter()
            .map(name)
            .chain(asked.iter().cloned())
            .collect();
        let (curves, observed, no_curves) = light_curves(&evaluated, &chosen)?;
        let known = |id: &&String| judgement.place(id).is_some() || observed.get(id).is_some();
        let (ids, unknown): (Vec<&String>, Vec<&String>) = chosen.iter().partition(known);
        let unknown = unknown.into_iter().cloned().collect();
        let observed_ids = observed.objects.iter().map(|object| object.id.clone());
        let ids: BTreeSet<String> = ids.into_iter().cloned().chain(observed_ids).collect();
        let wanted: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
        let (models, all_models) = models(&evaluated, &wanted)?;
        Ok(Self {
            labels: survey_labels(&evaluated.objects()?, &wanted)?,
            fits: fitted(&evaluated, &wanted, &observed)?,
            reasons: reasons(&evaluated, &wanted)?,
            features: features(&evaluated, &wanted, &judgement)?,
            models,
            all_models,
            evaluated,
            lists,
            unknown,
            curves,
            no_curves,
            observed,
            judgement,
            ids,
        })
    }

    /// Whether all objects are in the page.
    pub fn is_complete(&self) -> bool {
        self.ids.len() >= self.of()
    }

    /// The number of objects that there are.
    pub fn of(&self) -> usize {
        let judged = self.judgement.objects.len() + self.judgement.unshown.objects;
        self.observed.of.max(judged)
    }
}

/// The stage of the light curves, these, and why there are none.
type LightCurves<'r> = (Option<&'r str>, ObservedObjects, Option<String>);

fn light_curves<'r>(
    evaluated: &Evaluated<'r>,
    chosen: &BTreeSet<String>,
) -> Result<LightCurves<'r>, StageError> {
    let wanted = chosen.iter().map(String::as_str).collect();
    let none = |why: String| (None, ObservedObjects::default(), Some(why));
    let Some(curves) = evaluated.curves()? else {
        return Ok(none("No stage above the predictions has any.".into()));
    };
    Ok(match curves.files {
        Some(files) => {
            let observed = ObservedObjects::read(&files, &wanted, Some(MOST_OBSERVATIONS))?;
            (Some(curves.stage), observed, None)
        }
        None => none(sentences(&evaluated.lost(curves.stage, curves.port))),
    })
}

/// What a diagnostic says, and how it is mended.
pub fn sentences(diag: &Diag) -> String {
    let texts = std::iter::once(&diag.message).chain(&diag.help);
    texts.cloned().collect::<Vec<_>>().join(": ")
}

/// What the models of a run say, and how many models there are.
type Models<'r> = (Vec<(&'r str, ModelOpinions)>, usize);

fn models<'r>(
    evaluated: &Evaluated<'r>,
    wanted: &BTreeSet<&str>,
) -> Result<Models<'r>, StageError> {
    let (own, _) = evaluated.predictions;
    let mut all = evaluated.in_run("predictions")?;
    all.sort_by_key(|found| found.stage != own);
    let mut models = Vec::new();
    for found in all.iter().take(MOST_MODELS) {
        if let [file] = found.files.as_slice() {
            models.push((found.stage, ModelOpinions::read(file, wanted)?));
        }
    }
    Ok((models, all.len()))
}

fn fitted<'r>(
    evaluated: &Evaluated<'r>,
    wanted: &BTreeSet<&str>,
    observed: &ObservedObjects,
) -> Result<Fits<'r>, StageError> {
    let bands = &observed.survey.bands;
    let stages = evaluated.in_run("fitted")?;
    let curves = stages.len() * wanted.len() * bands.len();
    let most = (MOST_FIT_POINTS / curves.max(1)).clamp(12, 40);
    let read = |found: &StageFiles<'r>| -> Result<_, StageError> {
        Ok((found.stage, fits(&found.files, wanted, bands, most)?))
    };
    stages.iter().map(read).collect()
}

fn reasons<'r>(
    evaluated: &Evaluated<'r>,
    wanted: &BTreeSet<&str>,
) -> Result<Option<(&'r str, Moved)>, StageError> {
    let run = evaluated.run;
    let (model, _) = evaluated.predictions;
    let found = evaluated.in_run("reasons")?.into_iter();
    let of_model = |found: &StageFiles<'_>| {
        let inputs = run.inputs(found.stage, "model");
        inputs.iter().any(|(stage, _)| *stage == model)
    };
    let mut found = found.filter(of_model);
    let Some(StageFiles { stage, files }) = found.next() else {
        return Ok(None);
    };
    let mut rows = Vec::new();
    for file in &files {
        rows.extend(read_reasons(file)?);
    }
    Ok(Some((stage, moved(&rows, wanted))))
}

fn features(
    evaluated: &Evaluated<'_>,
    wanted: &BTreeSet<&str>,
    judgement: &Judgement,
) -> Result<Vec<FeatureRange>, StageError> {
    // The tables of features are no part of what a page of results alone is made from.
    if evaluated.run.only_results {
        return Ok(Vec::new());
    }
    let importance = evaluated.above_of("importance")?;
    let Some([file]) = importance.first().map(|found| found.files.as_slice()) else {
        return Ok(Vec::new());
    };
    let importance = read_importance(file)?;
    let stages = &evaluated.run.record.stages;
    let is_small = |stage: &str| {
        let size = stages.get(stage).and_then(|stage| stage.size);
        size.is_none_or(|size| size <= MOST_TABLE_BYTES)
    };
    let tables = evaluated.above_with("features", is_small)?;
    let labels = judgement.objects.iter();
    let labels = labels.filter_map(|object| Some((object.id.as_str(), object.label.as_deref()?)));
    let source = FeatureSource {
        tables: tables.into_iter().map(|found| found.files).collect(),
        labels: &labels.collect(),
        wanted,
    };
    source.ranges(&importance, MOST_FEATURES)
}
