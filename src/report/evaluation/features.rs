//! How much the features of models matter, and what groups of features are worth.

use flow_engine::StageError;
use flow_stages::inspection::Importances;
use flow_stages::table::{FeatureTable, GroupWorth, read_importance, read_worth};
use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::tables::{self, figure};
use crate::report::Recorded;
use crate::report::summary::grouped;

/// The features that are named one by one.
const TOP: usize = 25;
/// The groups that are named.
const GROUPS: usize = 15;

/// What matters to a model.
pub struct ModelFeatures {
    /// The stage of the model.
    model: String,
    importances: Importances,
    /// What the groups of features are: those of a stage, or those with names that begin alike.
    grouped_by: &'static str,
    /// The stages that say what groups of its features are worth, and what they say.
    worth: Vec<(String, Vec<GroupWorth>)>,
}

impl ModelFeatures {
    /// Reads what the store has of the models behind a stage.
    ///
    /// # Errors
    /// If the store cannot be read, or a file in it does not fit.
    pub fn read(run: &Recorded<'_>, stage: &str) -> Result<Vec<Self>, StageError> {
        let mut all = Vec::new();
        for model in run.upstream(stage) {
            let parts = match run.port(model, "importance") {
                Some(_) => run.parts(model, "importance")?,
                None => None,
            };
            let Some([part]) = parts.as_deref() else {
                continue;
            };
            let shares = read_importance(&part.path)?;
            let makers = makers(run, model)?;
            all.push(Self {
                model: model.to_owned(),
                importances: Importances::new(&shares, &makers, TOP),
                grouped_by: match makers.is_empty() {
                    true => "how the names of features begin",
                    false => "the stage that made the features",
                },
                worth: worth(run, model)?,
            });
        }
        all.sort_by(|a, b| a.model.cmp(&b.model));
        Ok(all)
    }
}

/// The stages above a model with the names of their features, those that stand first in the pipeline first: later
/// ones pass on what they were given. None for a report of results alone, which must not depend on whether the
/// store still has features.
fn makers(run: &Recorded<'_>, model: &str) -> Result<Vec<(String, Vec<String>)>, StageError> {
    let above = run.upstream(model);
    let stages = run.record.stages.iter().map(|(name, _)| name.as_str());
    let mut makers = Vec::new();
    for stage in stages.filter(|name| !run.only_results && above.contains(name)) {
        if let Some(part) = run.first_part(stage, "features")? {
            let table = FeatureTable::open(&part.path)?;
            makers.push((stage.to_owned(), table.columns().to_vec()));
        }
    }
    Ok(makers)
}

/// What stages of the kind `reasons` say of a model.
fn worth(run: &Recorded<'_>, model: &str) -> Result<Vec<(String, Vec<GroupWorth>)>, StageError> {
    let mut all = Vec::new();
    for stage in run.of_kind("reasons") {
        let of_model = run
            .inputs(stage, "model")
            .iter()
            .any(|from| from.0 == model);
        if !of_model || run.port(stage, "permutation").is_none() {
            continue;
        }
        if let Some([part]) = run.parts(stage, "permutation")?.as_deref() {
            all.push((stage.to_owned(), read_worth(&part.path)?));
        }
    }
    Ok(all)
}

/// What matters to a model: room for plots, and tables.
pub fn markup(features: &ModelFeatures) -> Markup {
    let Importances { groups, top } = &features.importances;
    let by_stage = groups.iter().take(GROUPS).map(|group| {
        vec![
            group.name.clone(),
            percent(group.share),
            grouped(group.features),
            grouped(group.used),
        ]
    });
    let one_by_one = top.iter().map(|(name, group, share)| {
        let name = format!("{name} ({group})");
        vec![name, percent(*share)]
    });
    html! {
        h4 { "What matters to " (features.model) }
        p.dim {
            "Importance is the share of the model that rests on a feature, averaged over folds: of trees, what its "
            "splits gain. It says nothing of what the model would lose without it."
        }
        div.plots data-plots="features" data-model=(features.model) {}
        details {
            summary { "What matters to " (features.model) ", as tables" }
            (tables::table(
                &format!("Importance by {}", features.grouped_by),
                &["features of", "importance", "features", "of which matter"],
                &by_stage.collect::<Vec<_>>(),
            ))
            @if groups.len() > GROUPS {
                p.dim { (groups.len() - GROUPS) " further groups matter less." }
            }
            (tables::table(
                &format!("The {} features that matter most", top.len()),
                &["feature", "importance"],
                &one_by_one.collect::<Vec<_>>(),
            ))
            @for (stage, groups) in &features.worth { (worth_table(stage, groups)) }
        }
    }
}

fn worth_table(stage: &str, groups: &[GroupWorth]) -> Markup {
    let drop = |(mean, std): (f64, f64)| match std.is_finite() {
        true => format!("{} ± {}", figure(Some(mean)), figure(Some(std))),
        false => figure(Some(mean)),
    };
    let rows = groups.iter().map(|group| {
        vec![
            group.group.clone(),
            grouped(group.columns),
            drop(group.average_precision),
            drop(group.f1),
            group.folds.to_string(),
        ]
    });
    tables::table(
        &format!(
            "What groups of features are worth ({stage}): how far metrics of held-out objects fall if the values of a \
             group are shuffled among them, mean and standard deviation over folds"
        ),
        &["group", "features", "AP falls by", "F1 falls by", "folds"],
        &rows.collect::<Vec<_>>(),
    )
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// What the script draws.
pub fn drawn(models: &[ModelFeatures]) -> Json {
    let of_model = |features: &ModelFeatures| {
        let worth = features.worth.iter().map(|(stage, groups)| {
            let groups = groups.iter().map(|group| {
                json!({
                    "group": group.group,
                    "pr_auc": [group.average_precision.0, group.average_precision.1],
                    "f1": [group.f1.0, group.f1.1],
                })
            });
            json!({ "stage": stage, "groups": groups.collect::<Vec<_>>() })
        });
        let groups = features.importances.groups.iter().take(GROUPS);
        json!({
            "model": features.model,
            "by": features.grouped_by,
            "groups": groups.collect::<Vec<_>>(),
            "top": features.importances.top,
            "worth": worth.collect::<Vec<_>>(),
        })
    };
    models.iter().map(of_model).collect()
}
