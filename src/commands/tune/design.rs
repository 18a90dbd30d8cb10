//! The study as the pipeline describes it, checked before anything runs.

use std::collections::BTreeSet;

use flow_engine::pipeline::study::{Axis, Objective, Range, Sampler, Tune};
use flow_engine::pipeline::{Pipeline, StageDecl};
use flow_engine::{Diag, Diags, Span};
use flow_stages::evaluation::{Direction, Metric};
use flow_stages::rows::FINAL;
use flow_stages::tuning::{self, Design, Dimension, TRIALS, looks};

use crate::commands::examples;
use crate::evaluation::METRICS;

/// What a study improves.
pub struct Goal {
    /// The stage that has the metric.
    pub stage: usize,
    /// The metric.
    pub metric: Metric,
    name: String,
    span: Span,
}

/// The cross-validation of a study.
pub struct StudyFolds {
    /// The stage that deals it.
    pub stage: String,
    /// The names of its folds, without the final fit.
    pub names: Vec<String>,
    /// The number of folds in the first repeat.
    pub first: usize,
}

/// The section whose values are never searched.
const FIXED: &str = "pipeline";

/// The section `[tune]` of a pipeline.
pub fn tune_of(base: &Pipeline) -> Result<Tune, Diag> {
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

impl Goal {
    /// What `objective` names. Without it, this is average precision in the stage of the headline, or
    /// in the only stage that has metrics.
    pub fn new(base: &Pipeline, tune: &Tune) -> Result<Self, Diag> {
        let has_metrics = |index: &usize| {
            let outputs = &base.stages[*index].ports.outputs;
            outputs.iter().any(|output| output.ty == METRICS)
        };
        let all: Vec<usize> = (0..base.stages.len()).filter(has_metrics).collect();
        match &tune.objective {
            Some(objective) => Self::named(base, &all, objective),
            None => Self::implied(base, &all, tune.span),
        }
    }

    fn named(base: &Pipeline, all: &[usize], objective: &Objective) -> Result<Self, Diag> {
        let Objective {
            stage: name,
            metric,
            span,
        } = objective;
        let wrong = |message: String, label: &str| {
            Diag::new("flow::tune::objective", message).label(*span, label)
        };
        let Some(&stage) = all.iter().find(|&&stage| base.stages[stage].name == *name) else {
            let diag = wrong(format!("`{name}` has no metrics"), "no metrics");
            return Err(with_examples(diag, base, all, |names| {
                format!("stages with metrics: {names}")
            }));
        };
        let unknown = || {
            let message = format!("`{name}` has no metric `{metric}`");
            wrong(message, "no such metric")
        };
        Ok(Self {
            stage,
            metric: Metric::from_key(metric).ok_or_else(unknown)?,
            name: name.clone(),
            span: *span,
        })
    }

    fn implied(base: &Pipeline, all: &[usize], span: Span) -> Result<Self, Diag> {
        let headline = base.headline.as_ref().map(|(stage, _)| *stage);
        let stage = match (headline.filter(|stage| all.contains(stage)), all) {
            (Some(stage), _) => stage,
            (None, [one]) => *one,
            (None, _) => {
                let message = "the study does not say which metric to improve";
                let diag =
                    Diag::new("flow::tune::objective", message).label(span, "no `objective`");
                return Err(with_examples(diag, base, all, |names| {
                    let first = &base.stages[all[0]].name;
                    format!("objective = \"{first}.pr_auc\"; stages with metrics: {names}")
                }));
            }
        };
        Ok(Self {
            stage,
            metric: Metric::Ap,
            name: base.stages[stage].name.clone(),
            span,
        })
    }

    /// Returns a diagnostic if the metric has no direction in which it is better.
    pub fn check(&self) -> Option<Diag> {
        if self.metric.direction().is_some() {
            return None;
        }
        let message = format!("`{}` is no measure of quality", self.metric.key());
        let diag = Diag::new("flow::tune::objective", message);
        let diag = diag.label(self.span, "cannot be improved");
        Some(diag.help(format!(
            "objective = \"{}.pr_auc\"; f1, roc_auc and log_loss are others",
            self.name
        )))
    }
}

/// A diagnostic with the names of the stages that have metrics, or, if there are none, with what would
/// make one.
fn with_examples(
    diag: Diag,
    base: &Pipeline,
    all: &[usize],
    help: impl FnOnce(&str) -> String,
) -> Diag {
    let names = all.iter().map(|&stage| base.stages[stage].name.as_str());
    let names: Vec<&str> = names.collect();
    match names.is_empty() {
        true => examples::evaluation(base)
            .into_iter()
            .fold(diag, Diag::help),
        false => diag.help(help(&names.join(", "))),
    }
}

impl StudyFolds {
    /// The folds that a stage deals.
    pub fn new(stage: &StageDecl) -> Self {
        let names = stage.layout.folds.iter().filter(|name| *name != FINAL);
        let names: Vec<String> = names.cloned().collect();
        let repeat = |name: &String| name.split('.').next().map(str::to_owned);
        let first = names.first().and_then(repeat);
        Self {
            stage: stage.name.clone(),
            first: names.iter().filter(|name| repeat(name) == first).count(),
            names,
        }
    }
}

/// Checks that pruning and nesting have folds, and that `root`, the stage that deals them, leaves
/// `only` and `within` to them.
pub fn check_folds(tune: &Tune, root: Option<&StageDecl>, folds: Option<&StudyFolds>) -> Diags {
    let asked = match (tune.nested, tune.prune) {
        (true, _) => "nested",
        (_, true) => "prune",
        _ => return Vec::new(),
    };
    let diag = |message: String| {
        Diag::new("flow::tune::folds", message).label(tune.span, format!("`{asked} = true` here"))
    };
    let Some(root) = root else {
        let message =
            format!("`{asked}` needs a cross-validation, and the objective has none above it");
        return vec![diag(message).help(format!(
            "remove `{asked}`, or evaluate predictions that come from a `folds` stage"
        ))];
    };
    let mut diags = Diags::new();
    for param in ["only", "within"] {
        if let Some(span) = root.params.span(param) {
            let message = format!("`{asked}` decides on `{param}` of `{}` itself", root.name);
            diags.push(
                Diag::new("flow::tune::folds", message)
                    .label(span, "given here")
                    .help(format!("remove `{param}` from the stage `{}`", root.name)),
            );
        }
    }
    if tune.prune && folds.is_some_and(|folds| looks(folds.first, folds.names.len()).is_empty()) {
        let message =
            "trials can be stopped after two folds at the earliest, and there are no more";
        diags.push(diag(message.to_owned()).help(format!(
            "remove `prune`, or set `k = 3` or more in the stage `{}`",
            root.name
        )));
    }
    diags
}

/// Checks that nothing is searched that changes the objects or folds on which trials are compared. `root`
/// is the stage that deals the folds.
pub fn check_space(tune: &Tune, base: &Pipeline, root: Option<usize>) -> Diags {
    let Some(root) = root else {
        return Vec::new();
    };
    let folds = &base.stages[root];
    let deals = |axis: &&Axis| {
        let stage = axis.path.split('.').next();
        stage.is_some_and(|stage| stage == folds.name || stage == FIXED)
    };
    let diag = |axis: &Axis| {
        let message = format!(
            "`{}` cannot be searched: trials are compared on the same objects and folds",
            axis.path
        );
        Diag::new("flow::tune::folds", message)
            .label(axis.span, "changes the folds")
            .help("take it out of the space; `[variants]` and `flow ablate` compare such choices")
    };
    let fixed = tune.space.iter().filter(deals).map(diag);
    fixed.chain(check_classes(tune, base, root)).collect()
}

/// Checks that the folds do not depend on the classes, if these are searched.
fn check_classes(tune: &Tune, base: &Pipeline, root: usize) -> Option<Diag> {
    let folds = &base.stages[root];
    if folds.params.read::<Option<&str>>("stratify") == Some("label") {
        return None;
    }
    let above = |name: &str| {
        let inputs = folds.inputs.iter().flat_map(|input| &input.from);
        inputs
            .map(|from| &base.stages[from.stage])
            .any(|stage| stage.name == name)
    };
    let mut axes = tune.space.iter();
    let classes = axes.find(|axis| {
        let mut parts = axis.path.split('.');
        parts.next().is_some_and(above) && parts.next() == Some("classes")
    })?;
    let message = format!(
        "`{}` cannot be searched while every fold has the same share of each class",
        classes.path
    );
    let diag = Diag::new("flow::tune::folds", message)
        .label(classes.span, "other classes are other folds")
        .help(format!(
            "set `stratify = \"label\"` in the stage `{}`: folds then follow the labels of the survey, whatever classes they are in",
            folds.name
        ));
    Some(diag)
}

/// The study for the search: what may be tried, and how. `trials` replaces its own number of trials.
pub fn design(tune: &Tune, goal: &Goal, seed: u64, trials: Option<usize>) -> Design {
    let space: Vec<Dimension> = tune.space.iter().map(dimension).collect();
    let points = tuning::size(&space).and_then(|n| usize::try_from(n).ok());
    let default = match tune.sampler {
        Sampler::Grid => points.unwrap_or(TRIALS),
        _ => TRIALS,
    };
    Design {
        space,
        sampler: tune.sampler,
        seed: tune.seed.unwrap_or(seed),
        trials: trials.or(tune.trials).unwrap_or(default),
        parallel: tune.parallel,
        // A metric without a direction never gets here, because the study is refused.
        direction: goal.metric.direction().unwrap_or(Direction::Maximise),
    }
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

/// Names of the stages that the axes change, and of all stages below them.
pub fn varied(base: &Pipeline, axes: &[Axis]) -> BTreeSet<String> {
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
