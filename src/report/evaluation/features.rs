//! How much the features of models matter, and what groups of features are worth.

use flow_engine::StageError;
use flow_stages::inspection::Importances;
use flow_stages::table::{FeatureTable, GroupWorth, read_importance, read_worth};
use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::tables::figure;
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
            all.push(Self {
                model: model.to_owned(),
                importances: Importances::new(&shares, &makers(run, model)?, TOP),
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
        if run.port(stage, "features").is_none() {
            continue;
        }
        if let Some(part) = run.parts(stage, "features")?.and_then(|mut all| all.pop()) {
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

/// What matters to a model, as tables, with room for plots.
pub fn markup(features: &ModelFeatures) -> Markup {
    let Importances { groups, top } = &features.importances;
    html! {
        h4 { "What matters to " (features.model) }
        p.dim {
            "Importance is the share of what the splits on a feature gain, averaged over folds. It is large for "
            "whatever a model leans on, and says nothing of what the model would lose without it."
        }
        div.plots data-plots="features" data-model=(features.model) {}
        div.wide {
            table {
                caption { "Importance by the stage that made the features" }
                thead {
                    tr {
                        th scope="col" { "features of" }
                        th.number scope="col" { "importance" }
                        th.number scope="col" { "features" }
                        th.number scope="col" { "of which matter" }
                    }
                }
                tbody {
                    @for group in groups.iter().take(GROUPS) {
                        tr {
                            td { (group.name) }
                            td.number { (percent(group.share)) }
                            td.number { (grouped(group.features)) }
                            td.number { (grouped(group.used)) }
                        }
                    }
                }
            }
        }
        @if groups.len() > GROUPS {
            p.dim { (groups.len() - GROUPS) " further groups matter less." }
        }
        details {
            summary { "The " (top.len()) " features that matter most" }
            div.wide {
                table {
                    thead {
                        tr {
                            th scope="col" { "feature" }
                            th scope="col" { "of" }
                            th.number scope="col" { "importance" }
                        }
                    }
                    tbody {
                        @for (name, group, share) in top {
                            tr { td { (name) } td { (group) } td.number { (percent(*share)) } }
                        }
                    }
                }
            }
        }
        @for (stage, groups) in &features.worth { (worth_table(stage, groups)) }
    }
}

fn worth_table(stage: &str, groups: &[GroupWorth]) -> Markup {
    html! {
        div.wide {
            table {
                caption {
                    "What groups of features are worth (" (stage) "): how far metrics of held-out objects fall if the "
                    "values of a group are shuffled among them; mean and standard deviation over folds"
                }
                thead {
                    tr {
                        th scope="col" { "group" }
                        @for name in ["features", "AP falls by", "F1 falls by", "folds"] {
                            th.number scope="col" { (name) }
                        }
                    }
                }
                tbody {
                    @for group in groups {
                        tr {
                            td { (group.group) }
                            td.number { (grouped(group.columns)) }
                            @for (mean, std) in [group.average_precision, group.f1] {
                                td.number {
                                    (figure(Some(mean)))
                                    @if std.is_finite() { " ± " (figure(Some(std))) }
                                }
                            }
                            td.number { (group.folds) }
                        }
                    }
                }
            }
        }
    }
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
            "groups": groups.collect::<Vec<_>>(),
            "top": features.importances.top,
            "worth": worth.collect::<Vec<_>>(),
        })
    };
    models.iter().map(of_model).collect()
}
