//! The findings of a study as data. The table, the files and the last event are all made from it.

use flow_cache::{Digest, Runs};
use flow_engine::plan::keys::Slot;
use flow_engine::text::variants::BASE;
use flow_engine::{Pipeline, StageError};
use flow_stages::comparison::{Arm, ArmSummary, Comparison, ComparisonOptions, compare, summarise};

use super::cost::{Cost, Costs};
use super::study::Study;
use crate::error::CliError;
use crate::evaluation::{Artifacts, EvaluationInputs};
use crate::event::{
    AblatedRow, AblatedScheme, AblatedVariant, AblationCost, AblationFigures, AblationOptions,
};
use crate::record::{StageMetrics, tried};

/// The findings of a study.
pub struct AblationResults {
    /// Name of the pipeline.
    pub pipeline: String,
    /// How arms were compared.
    pub options: ComparisonOptions,
    /// The variants, with the base first.
    pub variants: Vec<VariantResult>,
    /// Each evaluation, with all variants that have it.
    pub schemes: Vec<Scheme>,
    /// What it cost.
    pub costs: Costs,
    /// Stages of all variants together. Equal ones count once.
    pub stages: usize,
    /// Stages that a variant has in common with an earlier one.
    pub shared_stages: usize,
}

/// A variant.
pub struct VariantResult {
    /// Its name.
    pub name: String,
    /// What it replaces.
    pub changes: Vec<(String, String)>,
    /// What it cost.
    pub cost: Cost,
}

/// One evaluation of all variants.
pub struct Scheme {
    /// The name of the `evaluate` stage.
    pub name: String,
    /// The base's table of folds.
    pub folds: Option<Digest>,
    /// Configurations that were ever evaluated on it in this project.
    pub tried: Option<usize>,
    /// The variants that have it, in order.
    pub rows: Vec<AblationRow>,
}

/// One variant in one evaluation.
pub struct AblationRow {
    /// Index of the variant.
    pub variant: usize,
    /// `ok`, `failed`, or `skipped` if the run was stopped before.
    pub status: &'static str,
    /// Its metrics, with intervals.
    pub summary: Option<ArmSummary>,
    /// Its differences to the base.
    pub comparison: Option<Comparison>,
    /// The metrics as its `evaluate` stage reports them.
    pub metrics: StageMetrics,
    /// Why something is missing.
    pub note: Option<String>,
}

/// A study after its run.
pub struct FinishedAblation<'a> {
    /// The study.
    pub study: &'a Study,
    /// What is known of its plan.
    pub artifacts: Artifacts<'a>,
    /// What failed.
    pub failures: &'a [(usize, StageError)],
}

impl FinishedAblation<'_> {
    /// Compares everything with the base.
    pub fn results(&self, pipeline: &Pipeline, costs: Costs) -> Result<AblationResults, CliError> {
        let options = ComparisonOptions::default();
        let mut schemes = Vec::new();
        for name in self.study.schemes() {
            schemes.push(self.scheme(name, &options)?);
        }
        let variants = self.study.variants.iter().zip(&costs.variants);
        let variants = variants.map(|(variant, cost)| VariantResult {
            name: variant.name.clone(),
            changes: variant.changes.clone(),
            cost: *cost,
        });
        Ok(AblationResults {
            pipeline: pipeline.name.clone(),
            options,
            variants: variants.collect(),
            schemes,
            costs,
            stages: pipeline.stages.len(),
            shared_stages: self.study.union.shared(),
        })
    }

    fn scheme(&self, name: &str, options: &ComparisonOptions) -> Result<Scheme, CliError> {
        let mut rows: Vec<AblationRow> = Vec::new();
        let mut folds = None;
        let mut base: Option<Arm> = None;
        // The arms that can be compared, with their rows.
        let mut arms: Vec<(usize, Arm)> = Vec::new();
        for (index, variant) in self.study.variants.iter().enumerate() {
            let Some((_, stage)) = variant.schemes.iter().find(|(scheme, _)| scheme == name) else {
                continue;
            };
            let mut row = self.row(index, *stage);
            if row.status == "ok" {
                let inputs = self.artifacts.inputs(*stage);
                match arm(&inputs, &variant.name) {
                    Err(error) => row.note = Some(error.message),
                    Ok(arm) => {
                        row.summary = Some(summarise(&arm, options)?);
                        if variant.name == BASE {
                            folds = inputs.folds.and_then(|port| port.digest());
                            base = Some(arm);
                        } else {
                            match base.as_ref().map(|base| base.comparable(&arm)) {
                                Some(Ok(())) => arms.push((rows.len(), arm)),
                                Some(Err(error)) => row.note = Some(error.message),
                                None => row.note = Some("the base has no scores here".into()),
                            }
                        }
                    }
                }
            }
            rows.push(row);
        }
        if let Some(base) = base.filter(|_| !arms.is_empty()) {
            let (places, arms): (Vec<usize>, Vec<Arm>) = arms.into_iter().unzip();
            for (place, comparison) in places.into_iter().zip(compare(&base, &arms, options)?) {
                rows[place].comparison = Some(comparison);
            }
        }
        Ok(Scheme {
            name: name.to_owned(),
            folds,
            tried: None,
            rows,
        })
    }

    fn row(&self, variant: usize, stage: usize) -> AblationRow {
        let Artifacts { plan, slots, .. } = self.artifacts;
        let done = plan.of_stage(stage).all(|action| {
            let slot = &slots[action];
            matches!(slot, Slot::Done(_) | Slot::Vacant)
        });
        let cause = self.cause(stage);
        AblationRow {
            variant,
            status: match (done, &cause) {
                (true, _) => "ok",
                (false, Some(_)) => "failed",
                (false, None) => "skipped",
            },
            summary: None,
            comparison: None,
            metrics: StageMetrics::reported(&self.artifacts, stage).unwrap_or_default(),
            note: if done { None } else { cause },
        }
    }

    /// The first failure among the actions that a stage needs.
    fn cause(&self, stage: usize) -> Option<String> {
        let plan = self.artifacts.plan;
        let stages = &plan.pipeline.stages;
        let mut needed = vec![false; stage + 1];
        needed[stage] = true;
        for index in (0..=stage).rev() {
            if needed[index] {
                let inputs = stages[index].inputs.iter().flat_map(|input| &input.from);
                inputs.for_each(|from| needed[from.stage] = true);
            }
        }
        let of = |action: usize| plan.coords(action).stage;
        let mut failures = self.failures.iter();
        let (action, error) =
            failures.find(|(action, _)| needed.get(of(*action)).is_some_and(|needed| *needed))?;
        let stage = &stages[of(*action)].name;
        Some(format!("`{stage}` failed: {}", error.message))
    }
}

fn arm(inputs: &EvaluationInputs, name: &str) -> Result<Arm, StageError> {
    inputs.arm(name)?.ok_or_else(|| {
        StageError::data(
            "flow::ablate::no_evaluation",
            "its predictions have no rows",
        )
    })
}

impl AblationResults {
    /// Looks up how often the folds of each evaluation were used.
    pub fn count_tried(&mut self, runs: &Runs) -> Result<(), CliError> {
        for scheme in &mut self.schemes {
            if let Some(folds) = &scheme.folds {
                scheme.tried = Some(tried(runs, &[*folds].into())?);
            }
        }
        Ok(())
    }

    /// The findings for programs.
    pub fn figures(&self) -> AblationFigures {
        let options = &self.options;
        let variants = self.variants.iter().map(|variant| AblatedVariant {
            name: variant.name.clone(),
            changes: variant.changes.iter().cloned().collect(),
            cost: variant.cost.figures(),
        });
        AblationFigures {
            pipeline: self.pipeline.clone(),
            options: AblationOptions {
                draws: options.draws,
                level: options.level,
                margin: options.margin,
                seed: options.seed,
            },
            variants: variants.collect(),
            schemes: self
                .schemes
                .iter()
                .map(|s| self.scheme_figures(s))
                .collect(),
            cost: AblationCost {
                together: self.costs.together.figures(),
                cpu_separate_s: self.costs.separate_s(),
                ratio: self.costs.ratio(),
                stages: self.stages,
                shared_stages: self.shared_stages,
            },
        }
    }

    fn scheme_figures(&self, scheme: &Scheme) -> AblatedScheme {
        let rows = scheme.rows.iter().map(|row| AblatedRow {
            variant: self.variants[row.variant].name.clone(),
            status: row.status.to_owned(),
            note: row.note.clone(),
            summary: row.summary.clone(),
            comparison: row.comparison.clone(),
            metrics: row.metrics.clone(),
        });
        AblatedScheme {
            name: scheme.name.clone(),
            folds: scheme.folds.as_ref().map(ToString::to_string),
            configurations_tried: scheme.tried,
            rows: rows.collect(),
        }
    }
}
