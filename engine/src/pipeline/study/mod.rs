//! `[tune]`: what a study varies, how it proposes values, and which metric it improves.
//!
//! ```toml
//! [tune]
//! trials = 40
//! sampler = "tpe"                    # tpe | random | grid
//! objective = "evaluate.pr_auc"
//! parallel = 4                       # trials that are proposed at a time
//! prune = true                       # stop trials that fall behind after some folds
//! nested = true                      # tune inside an outer cross-validation, too
//! seed = 1
//!
//! [tune.space]
//! "model.learning_rate" = { log = [0.01, 0.3] }
//! "model.max_depth" = { int = [2, 8] }
//! "model.target" = { choice = ["binary", "classes"] }
//! ```
//!
//! This file reads the section, and `range` one range of the space. Nothing here proposes values or runs
//! trials: the engine only hands the description on. Begin with [`Tune`] and [`read`].

mod range;

use range::{is_range, no_range, read_range};

use crate::base::diag::{Diag, Diags, Span};
use crate::base::suggest::did_you_mean;
use crate::pipeline::resolve::Targets;
use crate::text::expect::{table, unknown_key, wrong};
use crate::text::node::{Entry, Item, Table};

/// A study.
#[derive(Clone, Debug, PartialEq)]
pub struct Tune {
    /// Number of trials in all. A grid without a number tries every point.
    pub trials: Option<usize>,
    /// How points are proposed.
    pub sampler: Sampler,
    /// The metric to improve, if one is given.
    pub objective: Option<Objective>,
    /// Number of trials that are proposed together, each without the results of the others.
    pub parallel: usize,
    /// Trials that fall behind are stopped after some folds.
    pub prune: bool,
    /// The study is made within each fold of an outer cross-validation as well.
    pub nested: bool,
    /// Seed of the proposals. If none is given, it is that of the pipeline.
    pub seed: Option<u64>,
    /// What is varied, in the order of the text.
    pub space: Vec<Axis>,
    /// Where the section is.
    pub span: Span,
}

/// How points are proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampler {
    /// Tree-structured Parzen estimator.
    Tpe,
    /// Random points.
    Random,
    /// All points of a finite space.
    Grid,
}

impl Sampler {
    /// Returns its word in a pipeline.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tpe => "tpe",
            Self::Random => "random",
            Self::Grid => "grid",
        }
    }
}

/// A metric of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objective {
    /// Name of the stage.
    pub stage: String,
    /// Name of the metric.
    pub metric: String,
    /// Where it is named.
    pub span: Span,
}

/// One value that is varied.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Dotted path.
    pub path: String,
    /// What it may be.
    pub range: Range,
    /// Where that is said.
    pub span: Span,
}

/// What a value may be.
#[derive(Clone, Debug, PartialEq)]
pub enum Range {
    /// Numbers from `low` to `high`, both included, and `low < high`.
    Numbers {
        /// Smallest value.
        low: f64,
        /// Largest value.
        high: f64,
        /// Whole numbers only.
        whole: bool,
        /// Evenly spaced by logarithm. `low` is then above 0.
        log: bool,
        /// Only this many values, evenly spaced.
        steps: Option<usize>,
    },
    /// One of these.
    Choice(Vec<toml::Value>),
}

/// Keys of `[tune]`.
pub const KEYS: [&str; 8] = [
    "trials",
    "sampler",
    "objective",
    "parallel",
    "prune",
    "nested",
    "seed",
    "space",
];

/// The keys of which every range has exactly one.
pub const RANGES: [&str; 5] = ["int", "float", "log", "int_log", "choice"];

/// The most trials that a study may have.
pub const MOST: i64 = 100_000;

/// The most trials that one generation may have. The pipelines of a generation are joined into one graph,
/// so this limits its size.
pub const AT_A_TIME: i64 = 1_000;

/// Reads `[tune]`, or returns none if there is no such section. What `space` names is checked elsewhere.
pub fn read(root: &Table, targets: &Targets<'_>, diags: &mut Diags) -> Option<Tune> {
    let section = table(root, "tune", diags)?;
    let span = root.get("tune").map_or(Span::default(), |e| e.key_span);
    let mut tune = Tune {
        trials: None,
        sampler: Sampler::Tpe,
        objective: None,
        parallel: 1,
        prune: false,
        nested: false,
        seed: None,
        space: Vec::new(),
        span,
    };
    let mut sampler_span = span;
    for entry in section.iter() {
        match (entry.key.as_str(), &entry.node.item) {
            ("trials", Item::Int(n @ 1..=MOST)) => tune.trials = usize::try_from(*n).ok(),
            ("parallel", Item::Int(n @ 1..=AT_A_TIME)) => {
                tune.parallel = usize::try_from(*n).unwrap_or(1);
            }
            ("trials", _) => {
                diags.push(wrong(entry, &format!("a whole number from 1 to {MOST}")));
            }
            ("parallel", _) => {
                diags.push(wrong(
                    entry,
                    &format!("a whole number from 1 to {AT_A_TIME}"),
                ));
            }
            ("sampler", Item::Str(word)) => match word.as_str() {
                "tpe" => tune.sampler = Sampler::Tpe,
                "random" => tune.sampler = Sampler::Random,
                "grid" => (tune.sampler, sampler_span) = (Sampler::Grid, entry.node.span),
                _ => diags.push(unknown_sampler(word, entry)),
            },
            ("sampler", _) => diags.push(wrong(entry, "\"tpe\", \"random\" or \"grid\"")),
            ("objective", item) => tune.objective = objective(entry, item, targets, diags),
            ("prune", Item::Bool(v)) => tune.prune = *v,
            ("nested", Item::Bool(v)) => tune.nested = *v,
            ("prune" | "nested", _) => diags.push(wrong(entry, "true or false")),
            ("seed", Item::Int(n @ 0..)) => tune.seed = u64::try_from(*n).ok(),
            ("seed", _) => diags.push(wrong(entry, "a whole number, at least 0")),
            ("space", Item::Table(paths)) => tune.space = space(paths, diags),
            ("space", _) => diags.push(wrong(entry, "a table from STAGE.PARAM to ranges")),
            _ => diags.push(unknown_key(entry, "`[tune]`", &KEYS)),
        }
    }
    if tune.sampler == Sampler::Grid {
        check_grid(&tune, sampler_span, diags);
    }
    Some(tune)
}

fn unknown_sampler(word: &str, entry: &Entry) -> Diag {
    let diag = Diag::new(
        "flow::tune::sampler",
        format!("there is no sampler `{word}`"),
    )
    .label(entry.node.span, "unknown sampler");
    did_you_mean(diag, word, ["tpe", "random", "grid"], "samplers")
}

fn objective(
    entry: &Entry,
    item: &Item,
    targets: &Targets<'_>,
    diags: &mut Diags,
) -> Option<Objective> {
    let span = entry.node.span;
    let parts = match item {
        Item::Str(text) => text
            .split_once('.')
            .filter(|(_, metric)| !metric.is_empty()),
        _ => None,
    };
    let Some((stage, metric)) = parts else {
        let wanted = "\"STAGE.METRIC\", such as \"evaluate.pr_auc\"";
        diags.push(wrong(entry, wanted));
        return None;
    };
    targets.stage(stage, span, diags)?;
    Some(Objective {
        stage: stage.to_owned(),
        metric: metric.to_owned(),
        span,
    })
}

/// Reads `[tune.space]`, whose dotted keys are tables in tables here.
fn space(paths: &Table, diags: &mut Diags) -> Vec<Axis> {
    let mut axes = Vec::new();
    let mut left: Vec<(String, usize, &Entry)> = Vec::new();
    left.extend(paths.iter().map(|entry| (entry.key.clone(), 1, entry)));
    left.reverse();
    while let Some((path, depth, entry)) = left.pop() {
        match &entry.node.item {
            // The first level consists of stages, so a range is at the second level or deeper.
            Item::Table(inner) if depth == 1 || !is_range(inner) => {
                let mut inner: Vec<_> = inner
                    .iter()
                    .map(|e| (format!("{path}.{}", e.key), depth + 1, e))
                    .collect();
                if inner.is_empty() {
                    diags.push(no_range(&path, entry.node.span));
                }
                inner.reverse();
                left.extend(inner);
            }
            Item::Table(range) => {
                if let Some(range) = read_range(&path, entry, range, diags) {
                    axes.push(Axis {
                        path,
                        range,
                        span: entry.node.span,
                    });
                }
            }
            // A value that is not in a stage is reported when the names in `space` are checked.
            _ if depth == 1 => {}
            _ => diags.push(no_range(&path, entry.node.span)),
        }
    }
    axes
}

/// Checks that every dimension of a grid is finite.
fn check_grid(tune: &Tune, span: Span, diags: &mut Diags) {
    for axis in &tune.space {
        if let Range::Numbers {
            whole: false,
            steps: None,
            low,
            high,
            log,
        } = axis.range
        {
            let word = if log { "log" } else { "float" };
            let path = &axis.path;
            diags.push(
                Diag::new(
                    "flow::tune::grid",
                    format!("a grid cannot try every number of `{}`", axis.path),
                )
                .label(axis.span, "infinitely many values")
                .label(span, "a grid")
                .help(format!(
                    "say how many to try:\n\"{path}\" = {{ {word} = [{low:?}, {high:?}], steps = 5 }}"
                )),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::diag::SourceId;
    use crate::text::node::parse;

    fn read_tune(text: &str) -> (Option<Tune>, Diags) {
        let mut diags = Vec::new();
        let root = parse(SourceId(0), text, &mut diags);
        let targets = Targets::new([("score", None)]);
        let tune = read(&root, &targets, &mut diags);
        (tune, diags)
    }

    #[test]
    fn a_study_is_read_with_its_defaults() {
        let (tune, diags) = read_tune("[tune]\n");
        assert!(diags.is_empty());
        let tune = tune.unwrap();
        assert_eq!((tune.trials, tune.parallel, tune.seed), (None, 1, None));
        assert_eq!(tune.sampler, Sampler::Tpe);
        assert!(!tune.prune && !tune.nested && tune.space.is_empty());
        assert_eq!(read_tune("").0, None);
    }

    #[test]
    fn ranges_keep_the_order_of_the_text() {
        let text = "[tune.space]\nb.x = { int = [1, 9] }\na.y.z = { log = [0.1, 10], steps = 3 }\nb.c = { choice = [[\"p\"], [\"p\", \"q\"]] }\n";
        let (tune, diags) = read_tune(text);
        assert!(diags.is_empty(), "{diags:?}");
        let space = tune.unwrap().space;
        let paths: Vec<&str> = space.iter().map(|axis| axis.path.as_str()).collect();
        assert_eq!(paths, ["b.x", "b.c", "a.y.z"]);
        let Range::Numbers {
            low,
            high,
            whole,
            log,
            steps,
        } = space[2].range
        else {
            panic!("numbers")
        };
        assert_eq!(
            (low, high, whole, log, steps),
            (0.1, 10.0, false, true, Some(3))
        );
        let Range::Choice(values) = &space[1].range else {
            panic!("a choice")
        };
        assert_eq!(values[1].to_string(), "[\"p\", \"q\"]");
    }

    #[test]
    fn every_mistake_is_told() {
        let wrong = [
            ("trials = 0", "flow::params::type"),
            ("sampler = \"gird\"", "flow::tune::sampler"),
            ("objective = \"score\"", "flow::params::type"),
            ("objective = \"scor.f1\"", "flow::pipeline::unknown_stage"),
            ("prun = true", "flow::pipeline::unknown_key"),
            ("space.a.x = 3", "flow::tune::range"),
            ("space.a.x = {}", "flow::tune::range"),
            ("space.a.x = { int = [3, 3] }", "flow::tune::range"),
            ("space.a.x = { int = [0.5, 3] }", "flow::tune::range"),
            ("space.a.x = { int = 3 }", "flow::params::type"),
            ("space.a.x = { log = [0, 3] }", "flow::tune::range"),
            ("space.a.x = { choice = [1] }", "flow::tune::range"),
            ("space.a.x = { choice = [1, 1] }", "flow::tune::range"),
            (
                "space.a.x = { int = [1, 2], float = [1, 2] }",
                "flow::tune::range",
            ),
            ("space.a.x = { in = [1, 2] }", "flow::pipeline::unknown_key"),
            (
                "space.a.x = { int = [1, 9], steps = 1 }",
                "flow::params::type",
            ),
            (
                "sampler = \"grid\"\nspace.a.x = { float = [1, 2] }",
                "flow::tune::grid",
            ),
        ];
        for (text, code) in wrong {
            let (_, diags) = read_tune(&format!("[tune]\n{text}\n"));
            let codes: Vec<&str> = diags.iter().map(|diag| diag.code.as_str()).collect();
            assert_eq!(codes, [code], "{text}");
        }
    }
}
