//! What is searched: configurations, and the pipeline of each.

use std::collections::BTreeSet;
use std::path::PathBuf;

use flow_engine::pipeline::Pipeline;
use flow_engine::pipeline::file::{PipelineFile, Replace};
use flow_engine::pipeline::study::{Axis, Range, Tune};
use flow_engine::{Code, Diag, Diags, Registry};
use flow_stages::evaluation::Metric;
use flow_stages::tuning::{Design, Dimension, Point, looks};

use super::design::{self, Goal, StudyFolds};
use crate::error::CliError;

/// A study that is ready to be made.
pub struct Problem<'a> {
    /// The pipeline's name.
    pub name: String,
    /// Its file, absolute.
    pub path: PathBuf,
    /// Its text, for pipelines with other values.
    pub file: &'a PipelineFile,
    /// The kinds.
    pub registry: Registry,
    /// What is varied.
    pub axes: Vec<Axis>,
    /// How it is searched.
    pub design: Design,
    /// How it is searched, in the words of the pipeline.
    pub tune: Tune,
    /// The stage whose metric is looked at.
    pub stage: String,
    /// The metric.
    pub metric: Metric,
    /// The cross-validation that the metric comes from.
    pub folds: Option<StudyFolds>,
    /// The fixed threshold of the evaluation.
    pub fixed: f64,
    /// Stages that other values can change.
    pub varied: BTreeSet<String>,
}

/// The part of the cross-validation that is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// All folds and the final fit.
    Whole,
    /// All folds, without the final fit, which no metric needs.
    Crossed,
    /// The first folds.
    First(usize),
}

/// A configuration: values that replace those of the pipeline.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The name that its stages are called by.
    pub name: String,
    /// The values.
    pub values: Vec<Replace>,
}

impl Candidate {
    /// `model.learning_rate = 0.1, model.max_depth = 4`. `axes` are those of the study.
    pub fn text(&self, axes: &[Axis]) -> String {
        let values = self.values.iter().map(|value| {
            let axis = axes.iter().find(|axis| axis.path == value.path);
            let keys = axis.and_then(|axis| keys(axis, &value.value));
            let text = keys.unwrap_or_else(|| value.value.to_string());
            format!("{} = {text}", value.path)
        });
        values.collect::<Vec<String>>().join(", ")
    }

    /// The value of a path, for a table. Empty where the path does not apply.
    pub fn cell(&self, path: &str) -> String {
        let found = self.values.iter().find(|value| value.path == path);
        found.map_or(String::new(), |value| match &value.value {
            toml::Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }

    /// The value of an axis as [`Candidate::cell`] has it, with the keys of a table in place of the table.
    pub fn short_cell(&self, axis: &Axis) -> String {
        let found = self.values.iter().find(|value| value.path == axis.path);
        let keys = found.and_then(|value| keys(axis, &value.value));
        keys.unwrap_or_else(|| self.cell(&axis.path))
    }
}

impl<'a> Problem<'a> {
    /// The study that a file describes, with `trials` instead of its own number of them.
    pub fn new(
        file: &'a PipelineFile,
        base: &Pipeline,
        registry: Registry,
        trials: Option<usize>,
    ) -> Result<Self, CliError> {
        let wrong = |diag: Diag| CliError::usage(diag.resolve(&base.sources));
        let tune = design::tune_of(base).map_err(wrong)?;
        let goal = Goal::new(base, &tune).map_err(wrong)?;
        let above = base.folds_above(goal.stage);
        let root = above.map(|root| &base.stages[root]);
        let folds = root.map(StudyFolds::new);
        let diags = goal.check().into_iter();
        let diags = diags.chain(design::check_folds(&tune, root, folds.as_ref()));
        let diags = diags.chain(design::check_space(&tune, base, above));
        let mut diags: Diags = diags.map(|diag| diag.resolve(&base.sources)).collect();
        let evaluation = &base.stages[goal.stage];
        let problem = Self {
            name: base.name.clone(),
            path: base.file.clone(),
            file,
            registry,
            design: design::design(&tune, &goal, evaluation.pipeline_seed, trials),
            fixed: evaluation
                .params
                .read::<Option<f64>>("threshold")
                .unwrap_or(0.5),
            varied: design::varied(base, &tune.space),
            axes: tune.space.clone(),
            stage: evaluation.name.clone(),
            metric: goal.metric,
            tune,
            folds,
        };
        diags.extend(problem.check_ends());
        match diags.is_empty() {
            true => Ok(problem),
            false => Err(diags.into()),
        }
    }

    /// Finds mistakes that appear when one value is replaced by an end of its range, or by a member of
    /// a choice.
    fn check_ends(&self) -> Diags {
        let mut found: Diags = Vec::new();
        for (axis, dimension) in self.axes.iter().zip(&self.design.space) {
            let ends: Vec<f64> = match dimension {
                Dimension::Choice(n) => (0..*n).map(|i| i as f64).collect(),
                _ => vec![dimension.at(0.0), dimension.at(1.0)],
            };
            for end in ends {
                let candidate = Candidate {
                    name: String::new(),
                    values: vec![replace(axis, end)],
                };
                for diag in self
                    .pipeline(&candidate, None, Coverage::Whole)
                    .err()
                    .unwrap_or_default()
                {
                    let known = |other: &Diag| {
                        other.code == diag.code
                            && other.message == diag.message
                            && other.labels == diag.labels
                    };
                    if !found.iter().any(known) {
                        found.push(diag);
                    }
                }
            }
        }
        found
    }

    /// The metric that is improved, as `evaluate.pr_auc`.
    pub fn objective(&self) -> String {
        format!("{}.{}", self.stage, self.metric.key())
    }

    /// The pipeline as it is.
    pub fn base(&self) -> Candidate {
        Candidate {
            name: "base".into(),
            values: Vec::new(),
        }
    }

    /// A point as a configuration. Values that do not apply beside the others are left out, such as a
    /// parameter of one learner where another is chosen.
    pub fn candidate(&self, number: usize, point: &Point) -> Candidate {
        let values = self.axes.iter().zip(point);
        let mut candidate = Candidate {
            name: format!("trial_{number}"),
            values: values.map(|(axis, &value)| replace(axis, value)).collect(),
        };
        while let Err(diags) = self.pipeline(&candidate, None, Coverage::Whole) {
            let idle = |value: &Replace| {
                let here = |diag: &Diag| {
                    diag.code == Code::NotApplicable
                        && diag
                            .labels
                            .first()
                            .is_some_and(|(span, _)| *span == value.span)
                };
                diags.iter().any(here)
            };
            let before = candidate.values.len();
            candidate.values.retain(|value| !idle(value));
            if candidate.values.len() == before {
                break;
            }
        }
        candidate
    }

    /// The pipeline of a configuration, reduced to what its objective needs. `within` is an outer fold,
    /// of which only the training objects keep their labels.
    pub fn pipeline(
        &self,
        candidate: &Candidate,
        within: Option<usize>,
        part: Coverage,
    ) -> Result<Pipeline, Diags> {
        let mut values = candidate.values.clone();
        if let Some(folds) = &self.folds {
            let mut set = |param: &str, value: toml::Value| {
                values.push(Replace {
                    path: format!("{}.{param}", folds.stage),
                    value,
                    span: self.tune.span,
                });
            };
            if let Some(fold) = within {
                set("within", (fold as i64).into());
            }
            let only = match part {
                Coverage::Whole => None,
                Coverage::Crossed => Some(folds.names.len()),
                Coverage::First(n) => Some(n),
            };
            if let Some(n) = only {
                let names = folds.names[..n.min(folds.names.len())].iter();
                set("only", names.map(String::as_str).collect::<Vec<_>>().into());
            }
        }
        let mut pipeline = self.file.with(&values, &self.registry)?;
        pipeline.restrict(&self.stage).map_err(|diag| vec![diag])?;
        Ok(pipeline)
    }

    /// The numbers of folds after which trials may be stopped.
    pub fn looks(&self) -> Vec<usize> {
        match &self.folds {
            Some(folds) if self.tune.prune => looks(folds.first, folds.names.len()),
            _ => Vec::new(),
        }
    }
}

/// The keys of a table, such as the names of classes, if no other value of the choice has the same ones.
fn keys(axis: &Axis, value: &toml::Value) -> Option<String> {
    let keys = |value: &toml::Value| {
        let keys: Vec<&str> = value.as_table()?.keys().map(String::as_str).collect();
        Some(keys.join("+"))
    };
    let Range::Choice(values) = &axis.range else {
        return None;
    };
    let found = keys(value)?;
    let alike = values.iter().filter_map(keys).filter(|keys| *keys == found);
    (alike.count() == 1).then_some(found)
}

/// The value of an axis at a point, to replace that of the pipeline.
fn replace(axis: &Axis, value: f64) -> Replace {
    Replace {
        path: axis.path.clone(),
        value: match &axis.range {
            Range::Choice(values) => values[value as usize].clone(),
            Range::Numbers { whole: true, .. } => toml::Value::Integer(value as i64),
            Range::Numbers { .. } => toml::Value::Float(value),
        },
        span: axis.span,
    }
}
