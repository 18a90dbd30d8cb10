//! What is searched, checked before anything runs.

use std::collections::BTreeSet;
use std::path::PathBuf;

use flow_engine::pipeline::Pipeline;
use flow_engine::pipeline::file::{PipelineFile, Replace};
use flow_engine::pipeline::study::{Axis, Range, Sampler, Tune};
use flow_engine::{Diag, Diags, Registry, Span};
use flow_stages::evaluation::{Direction, Metric};
use flow_stages::rows::FINAL;
use flow_stages::tuning::{self, Design, Dimension, Point, TRIALS, looks};

use crate::commands::examples;
use crate::error::CliError;
use crate::evaluation::METRICS;

/// A study, ready to be made.
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
    /// How.
    pub design: Design,
    /// How, in the words of the pipeline.
    pub tune: Tune,
    /// The stage whose metric is looked at.
    pub stage: String,
    /// The metric.
    pub metric: Metric,
    /// The cross-validation that the metric stems from.
    pub folds: Option<Folds>,
    /// The fixed threshold of the evaluation.
    pub fixed: f64,
    /// Stages that other values can change.
    pub varied: BTreeSet<String>,
}

/// The cross-validation of a study.
pub struct Folds {
    /// The stage that deals it.
    pub stage: String,
    /// The names of its folds, without the final fit.
    pub names: Vec<String>,
    /// How many of them are in the first repeat.
    pub first: usize,
}

/// The part of the cross-validation that is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All folds and the final fit.
    Whole,
    /// All folds, without the final fit, which no metric needs.
    Crossed,
    /// The first folds.
    First(usize),
}

/// A configuration: values in the place of those of the pipeline.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What its stages are called by.
    pub name: String,
    /// The values.
    pub values: Vec<Replace>,
}

/// Values that are no matter of search.
const FIXED: &str = "pipeline";

impl<'a> Problem<'a> {
    /// The study that a file describes, with `trials` instead of its own number of them.
    pub fn new(
        file: &'a PipelineFile,
        base: &Pipeline,
        registry: Registry,
        trials: Option<usize>,
    ) -> Result<Self, CliError> {
        let tune = tune_of(base).map_err(|diag| CliError::usage(resolved(diag, base)))?;
        let (index, metric, span) =
            objective(base, &tune).map_err(|diag| CliError::usage(resolved(diag, base)))?;
        let stage = base.stages[index].name.clone();
        let root = base.folds_above(index);
        let folds = root.map(|root| folds(base, root));
        let mut diags = Vec::new();
        let direction = metric.direction();
        if direction.is_none() {
            let message = format!("`{}` is no measure of quality", metric.key());
            diags.push(
                Diag::new("flow::tune::objective", message)
                    .label(span, "cannot be improved")
                    .help(format!(
                        "objective = \"{stage}.pr_auc\"; f1, roc_auc and log_loss are others"
                    )),
            );
        }
        check_folds(base, root, &tune, folds.as_ref(), &mut diags);
        let axes = tune.space.clone();
        for axis in &axes {
            if let Some(root) = root.map(|root| &base.stages[root].name)
                && let Some(name) = axis.path.split('.').next()
                && (name == root || name == FIXED)
            {
                let message = format!(
                    "`{}` cannot be searched: trials are compared on the same objects and folds",
                    axis.path
                );
                diags.push(
                    Diag::new("flow::tune::folds", message)
                        .label(axis.span, "changes the folds")
                        .help("take it out of the space; `[variants]` and `flow ablate` compare such choices"),
                );
            }
        }
        let mut problem = Self {
            name: base.name.clone(),
            path: base.file.clone(),
            file,
            registry,
            design: Design {
                space: axes.iter().map(dimension).collect(),
                sampler: tune.sampler,
                seed: tune.seed.unwrap_or(base.stages[index].pipeline_seed),
                trials: 0,
                parallel: tune.parallel,
                // Without one, the study is not made.
                direction: direction.unwrap_or(Direction::Maximise),
            },
            fixed: base.stages[index]
                .params
                .opt_float("threshold")
                .unwrap_or(0.5),
            varied: varied(base, &axes),
            axes,
            tune,
            stage,
            metric,
            folds,
        };
        let points = tuning::size(&problem.design.space).and_then(|n| usize::try_from(n).ok());
        let default = match problem.tune.sampler {
            Sampler::Grid => points.unwrap_or(TRIALS),
            _ => TRIALS,
        };
        problem.design.trials = trials.or(problem.tune.trials).unwrap_or(default);
        diags = diags
            .into_iter()
            .map(|diag| resolved(diag, base))
            .chain(problem.check_ends())
            .collect();
        if diags.is_empty() {
            Ok(problem)
        } else {
            Err(diags.into())
        }
    }

    /// Mistakes that show where one value is replaced by an end of its range, or by one of a choice.
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
                    .pipeline(&candidate, None, Part::Whole)
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

    /// The pipeline as it is.
    pub fn base(&self) -> Candidate {
        Candidate {
            name: "base".into(),
            values: Vec::new(),
        }
    }

    /// A point as a configuration. Values that do not apply beside the others (a parameter of one
    /// learner where another is chosen) are left out.
    pub fn candidate(&self, number: usize, point: &Point) -> Candidate {
        let values = self.axes.iter().zip(point);
        let mut candidate = Candidate {
            name: format!("trial_{number}"),
            values: values.map(|(axis, &value)| replace(axis, value)).collect(),
        };
        while let Err(diags) = self.pipeline(&candidate, None, Part::Whole) {
            let idle = |value: &Replace| {
                let here = |diag: &Diag| {
                    diag.code == "flow::params::not_applicable"
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

    /// The pipeline of a configuration, reduced to what its objective needs; `within` is the outer
    /// fold of which only the training objects have labels.
    pub fn pipeline(
        &self,
        candidate: &Candidate,
        within: Option<usize>,
        part: Part,
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
                Part::Whole => None,
                Part::Crossed => Some(folds.names.len()),
                Part::First(n) => Some(n),
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

    /// After how many folds trials may be stopped.
    pub fn looks(&self) -> Vec<usize> {
        match &self.folds {
            Some(folds) if self.tune.prune => looks(folds.first, folds.names.len()),
            _ => Vec::new(),
        }
    }
}

fn resolved(diag: Diag, base: &Pipeline) -> Diag {
    diag.resolve(&base.sources)
}

fn tune_of(base: &Pipeline) -> Result<Tune, Diag> {
    let diag = match &base.tune {
        Some(tune) if tune.space.is_empty() => {
            let message = "the study has no space to search";
            Diag::new("flow::tune::space", message).label(tune.span, "no `space`")
        }
        Some(tune) => return Ok(tune.clone()),
        None => {
            let message = "the pipeline has no `[tune]`, which says what to search";
            Diag::new("flow::tune::space", message)
        }
    };
    Err(examples::space(base).into_iter().fold(diag, Diag::help))
}

/// Stage, metric, and where they are named. Without word of it: average precision in the stage of the
/// headline, or in the only stage that has metrics.
fn objective(base: &Pipeline, tune: &Tune) -> Result<(usize, Metric, Span), Diag> {
    let has_metrics = |index: &usize| {
        base.stages[*index]
            .ports
            .outputs
            .iter()
            .any(|o| o.ty == METRICS)
    };
    let all: Vec<usize> = (0..base.stages.len()).filter(has_metrics).collect();
    let named = |index: usize| base.stages[index].name.clone();
    let names = || all.iter().map(|&i| named(i)).collect::<Vec<_>>().join(", ");
    if let Some(objective) = &tune.objective {
        if let Some(&stage) = all.iter().find(|&&i| named(i) == objective.stage) {
            let unknown = || {
                let (stage, metric) = (&objective.stage, &objective.metric);
                let message = format!("`{stage}` has no metric `{metric}`");
                Diag::new("flow::tune::objective", message).label(objective.span, "no such metric")
            };
            let metric = Metric::from_key(&objective.metric).ok_or_else(unknown)?;
            return Ok((stage, metric, objective.span));
        }
        let message = format!("`{}` has no metrics", objective.stage);
        let diag = Diag::new("flow::tune::objective", message).label(objective.span, "no metrics");
        return Err(match all.as_slice() {
            [] => examples::evaluation(base)
                .into_iter()
                .fold(diag, Diag::help),
            _ => diag.help(format!("stages with metrics: {}", names())),
        });
    }
    let headline = base.headline.as_ref().map(|(stage, _)| *stage);
    let stage = match (headline.filter(|stage| all.contains(stage)), all.as_slice()) {
        (Some(stage), _) => stage,
        (None, [one]) => *one,
        (None, _) => {
            let message = "the study does not say which metric to improve";
            let diag =
                Diag::new("flow::tune::objective", message).label(tune.span, "no `objective`");
            return Err(match all.as_slice() {
                [] => examples::evaluation(base)
                    .into_iter()
                    .fold(diag, Diag::help),
                [first, ..] => diag.help(format!(
                    "objective = \"{}.pr_auc\"; stages with metrics: {}",
                    named(*first),
                    names()
                )),
            });
        }
    };
    Ok((stage, Metric::Ap, tune.span))
}

fn folds(base: &Pipeline, root: usize) -> Folds {
    let stage = &base.stages[root];
    let names: Vec<String> = stage
        .layout
        .folds
        .iter()
        .filter(|n| *n != FINAL)
        .cloned()
        .collect();
    let repeat = |name: &String| name.split('.').next().map(str::to_owned);
    let first = names.first().and_then(repeat);
    Folds {
        stage: stage.name.clone(),
        first: names.iter().filter(|name| repeat(name) == first).count(),
        names,
    }
}

/// Pruning and nesting need folds, and have them to themselves.
fn check_folds(
    base: &Pipeline,
    root: Option<usize>,
    tune: &Tune,
    folds: Option<&Folds>,
    diags: &mut Diags,
) {
    let asked = match (tune.nested, tune.prune) {
        (true, _) => "nested",
        (_, true) => "prune",
        _ => return,
    };
    let diag = |message: String| {
        Diag::new("flow::tune::folds", message).label(tune.span, format!("`{asked} = true` here"))
    };
    let Some(root) = root.map(|root| &base.stages[root]) else {
        diags.push(
            diag(format!(
                "`{asked}` needs a cross-validation, and the objective has none above it"
            ))
            .help(format!(
                "remove `{asked}`, or evaluate predictions that come from a `folds` stage"
            )),
        );
        return;
    };
    for param in ["only", "within"] {
        if let Some(span) = root.params.span(param) {
            diags.push(
                Diag::new(
                    "flow::tune::folds",
                    format!("`{asked}` decides on `{param}` of `{}` itself", root.name),
                )
                .label(span, "given here")
                .help(format!("remove `{param}` from the stage `{}`", root.name)),
            );
        }
    }
    if tune.prune && folds.is_some_and(|folds| looks(folds.first, folds.names.len()).is_empty()) {
        diags.push(
            diag(
                "trials can be stopped after two folds at the earliest, and there are no more"
                    .into(),
            )
            .help(format!(
                "remove `prune`, or set `k = 3` or more in the stage `{}`",
                root.name
            )),
        );
    }
}

/// Names of the stages that the axes change, and of all below them.
fn varied(base: &Pipeline, axes: &[Axis]) -> BTreeSet<String> {
    let mut varied: Vec<bool> = Vec::with_capacity(base.stages.len());
    for stage in &base.stages {
        let named = |axis: &Axis| axis.path.split('.').next() == Some(stage.name.as_str());
        let mut inputs = stage.inputs.iter().flat_map(|binding| &binding.from);
        let below = inputs.any(|from| varied[from.stage]);
        varied.push(below || axes.iter().any(named));
    }
    let stages = base.stages.iter().zip(varied);
    stages
        .filter(|(_, v)| *v)
        .map(|(s, _)| s.name.clone())
        .collect()
}

fn dimension(axis: &Axis) -> Dimension {
    match &axis.range {
        Range::Choice(values) => Dimension::Choice(values.len()),
        &Range::Numbers {
            low,
            high,
            whole,
            log,
            steps: Some(steps),
        } => Dimension::steps(low, high, log, whole, steps),
        &Range::Numbers {
            low,
            high,
            whole: true,
            log,
            ..
        } => Dimension::Whole {
            low: low as i64,
            high: high as i64,
            log,
        },
        &Range::Numbers { low, high, log, .. } => Dimension::Real { low, high, log },
    }
}

/// The value of an axis at a point, in the place of that of the pipeline.
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
