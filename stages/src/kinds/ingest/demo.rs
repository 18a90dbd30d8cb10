//! The built-in demo surveys, which are simulated: see [`crate::simulation`].

use std::collections::{BTreeMap, BTreeSet};

use flow_engine::StageError;
use flow_engine::base::suggest::closest;

use crate::simulation::{
    DemoConfig, DemoError, ObjectPlan, SPLITS, catalogue_where, simulate, split_of, surveys,
};
use crate::table::{Curves, Survey, Truth, listed};

use super::columns::Regroup;
use super::params::IngestParams;
use super::reject::Tally;

fn config(params: &IngestParams<'_>, seed: u64) -> DemoConfig {
    DemoConfig {
        survey: params.demo_survey(),
        objects: params.labelled,
        positives: params.positives,
        unlabelled: params.unlabelled,
        copies: params.copies,
        seed,
        difficulty: params.difficulty,
    }
}

/// The labels that a survey gives, before `classes` regroups them.
pub(super) fn labels(params: &IngestParams<'_>) -> impl Iterator<Item = &'static str> {
    let populations = params.demo_survey().populations.iter();
    populations.map(|population| population.name)
}

/// Returns what a survey cannot be asked for: the parameter, what is wrong with it, and what helps.
pub(super) fn contradiction(params: &IngestParams<'_>) -> Option<(&'static str, String, String)> {
    let survey = params.demo_survey();
    let name = survey.name;
    // A text that is no pattern is told of elsewhere.
    let rules = Regroup::of(params).ok()?;
    let classes = || labels(params).map(|label| rules.class(label));
    if let Some(positive) = params.positive
        && !classes().any(|class| class == positive)
    {
        let near = closest(positive, classes()).unwrap_or(rules.class(survey.first_class()));
        return Some((
            "positive",
            format!("the demo survey `{name}` has no class `{positive}`"),
            format!(
                "set `positive = \"{near}\"`; the classes are: {}",
                listed(BTreeSet::from_iter(classes()).into_iter())
            ),
        ));
    }
    if params.difficulty.is_some() && survey.unless_given.difficulty.is_none() {
        let with = surveys::ALL.into_iter();
        let mut with = with.filter(|survey| survey.unless_given.difficulty.is_some());
        let other = with.next().map_or("mallorn", |survey| survey.name);
        return Some((
            "difficulty",
            format!("`difficulty` is about TDE, and the demo survey `{name}` has none"),
            format!("remove it, or set `survey = \"{other}\"`"),
        ));
    }
    None
}

/// The splits that have objects, in order. The seed shuffles names and classes, and has no effect on
/// which splits there are.
pub(super) fn splits(params: &IngestParams<'_>) -> Result<Vec<String>, DemoError> {
    // Sources are dealt over all splits in turn.
    let some = catalogue_where(&config(params, 0), |source, _| source < SPLITS)?;
    let mut splits: Vec<String> = some.into_iter().map(|plan| plan.split).collect();
    splits.sort();
    splits.dedup();
    Ok(splits)
}

fn wrong(error: DemoError) -> StageError {
    StageError::data("flow::params::demo", error.to_string())
        .help(format!("set `{}`", error.remedy()))
        .with_source(error)
}

fn rules(params: &IngestParams<'_>) -> Result<Regroup, StageError> {
    Regroup::of(params).map_err(|text| StageError::data("flow::params::classes", text))
}

/// Returns the classes of the objects without a label.
///
/// # Errors
/// If the parameters do not fit together.
pub(super) fn truth(params: &IngestParams<'_>, seed: u64) -> Result<Truth, StageError> {
    let rules = rules(params)?;
    let hidden = catalogue_where(&config(params, seed), |_, labelled| !labelled);
    let class = hidden
        .map_err(wrong)?
        .into_iter()
        .map(|plan| (plan.object_id, rules.class(plan.class).to_owned()));
    Ok(Truth {
        class: class.collect::<BTreeMap<_, _>>(),
    })
}

/// Simulates the objects of one split.
///
/// # Errors
/// If the parameters do not fit together, or `checkpoint` fails.
pub(super) fn read(
    params: &IngestParams<'_>,
    split: &str,
    seed: u64,
    survey: Survey,
    checkpoint: &dyn Fn() -> Result<(), StageError>,
) -> Result<(Curves, Tally), StageError> {
    let config = config(params, seed);
    // The classes of the survey are those of all labelled objects.
    let here = (0..SPLITS).find(|source| split_of(*source) == split);
    let all = catalogue_where(&config, |source, labelled| {
        labelled || Some(source % SPLITS) == here
    });
    let all = all.map_err(wrong)?;
    let rules = rules(params)?;
    let classes = all
        .iter()
        .filter(|plan| plan.labelled)
        .map(|plan| rules.class(plan.class).to_string());
    let classes: BTreeSet<String> = classes.collect();
    let mut plans: Vec<&ObjectPlan> = all.iter().filter(|plan| plan.split == split).collect();
    plans.sort_by(|a, b| a.object_id.cmp(&b.object_id));
    let mut curves = Curves::new(Survey {
        classes: classes.into_iter().collect(),
        ..survey
    });
    for plan in plans {
        checkpoint()?;
        let object = simulate(&config, plan).map_err(wrong)?;
        let all = &mut curves.objects;
        all.object_id.push(object.object_id);
        let label = rules.class(object.class);
        all.label.push(object.labelled.then(|| label.to_string()));
        let regrouped = object.labelled && label != object.class;
        all.raw_label
            .push(regrouped.then(|| object.class.to_string()));
        all.redshift.push(object.redshift);
        all.redshift_err.push(object.redshift_err);
        all.ebv.push(Some(object.ebv));
        all.split.push(Some(object.split));
        all.group.push(Some(format!("source_{:05}", object.group)));
        curves.time.extend(object.time);
        curves.band.extend(object.band.into_iter().map(u16::from));
        curves.flux.extend(object.flux);
        curves.flux_err.extend(object.flux_err);
        curves.offsets.push(curves.time.len());
    }
    let kept = curves.time.len() as u64;
    Ok((
        curves,
        Tally {
            read: kept,
            kept,
            ..Tally::default()
        },
    ))
}
