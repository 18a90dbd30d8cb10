//! Kind `select`: chooses feature columns on the training rows of each fold.
//!
//! What it gives is a view: the columns' names, fitted fold by fold, through which the same feature
//! tables are read. Nothing is copied. Several can be chained.

use std::io::Write;

use flow_cache::Value;
use flow_engine::kind::{
    Action, InputPort, KindSpec, Of, OutputPort, Ports, Rows, Scope, Stage, StageError, Step,
};
use flow_engine::{ParamSpec, ParamType};

use crate::learner::{LearnError, LearnerParams, learner};
use crate::rows::{TrainRows, binary_labels};
use crate::selection::fresh::{Correction, Test, p_values, select_by, variance};

/// The kind.
pub struct Select;

/// Values that are transposed and judged at a time: a few tens of megabytes, and well below a second.
const BLOCK: usize = 4 << 20;

impl Stage for Select {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "select",
            version: 1,
            about: "Selects feature columns on the training rows of each fold",
            ports: Ports {
                inputs: vec![
                    InputPort::many("features", "features"),
                    InputPort::one("folds", "folds"),
                ],
                outputs: vec![OutputPort {
                    name: "features".into(),
                    ty: "features",
                    about: "the same tables, seen through the chosen columns",
                    of: Of::View {
                        port: "features",
                        step: 0,
                        output: "columns",
                    },
                }],
            },
            params: vec![
                ParamSpec::choice("method", "fresh", &["fresh", "variance", "importance"], "How a column is judged: by a test of its association with the class (FRESH, Christ et al. 2018), by its variance, or by its gain in a boosted model."),
                ParamSpec::choice("target", "binary", &["binary", "classes"], "What it is judged against: the positive class, or every class against the rest.").only("method", &["fresh", "importance"]),
                ParamSpec::choice("test", "mann_whitney", &["mann_whitney", "kolmogorov_smirnov"], "Test for columns with more than two values; those with two get Fisher's exact test.").only("method", &["fresh"]),
                ParamSpec::float("fdr", 0.05, 0.0, 1.0, "Expected share of irrelevant columns among those chosen.").only("method", &["fresh"]),
                ParamSpec::choice("correction", "by", &["by", "bh"], "Benjamini-Yekutieli or Benjamini-Hochberg.").only("method", &["fresh"]),
                ParamSpec::float("min_variance", 0.0, 0.0, f64::MAX, "Columns must have a larger variance.").only("method", &["variance"]),
                ParamSpec::int("rounds", 50, 1, 10_000, "Boosting rounds of the model that judges.").only("method", &["importance"]),
                ParamSpec::int("top_k", 0, 0, 10_000_000, "Keep at most this many, the best; 0 for no limit.").only("method", &["fresh", "importance"]),
                ParamSpec::new("keep", ParamType::List(Box::new(ParamType::Str)), "Names or globs of columns that are kept whatever their merit, such as `[\"redshift\", \"color_*\"]`; they do not count for `top_k`.").optional(),
                ParamSpec::new("judge", ParamType::List(Box::new(ParamType::Str)), "Names or globs of the columns that are judged; all others are kept. Without it, all are judged.").optional(),
            ],
            steps: vec![
                Step::new("fit", Scope::Fold)
                    .rows("features", Rows::Train)
                    .writes("columns")
                    .seeded(),
            ],
        }
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let rows = TrainRows::read(action)?;
        let names = rows.features.names();
        let keep = patterns(&action.params.strs("keep"))?;
        let judge = patterns(&action.params.strs("judge"))?;
        let matches = |set: &[glob::Pattern], name: &str| set.iter().any(|p| p.matches(name));
        let kept =
            |name: &str| matches(&keep, name) || (!judge.is_empty() && !matches(&judge, name));
        let (fixed, judged): (Vec<usize>, Vec<usize>) =
            (0..names.len()).partition(|&i| kept(&names[i]));
        let chosen = match action.params.str("method") {
            "variance" => by_variance(action, &rows, &judged)?,
            "importance" => by_importance(action, &rows, &judged)?,
            _ => by_test(action, &rows, &judged)?,
        };
        let mut all: Vec<usize> = fixed.into_iter().chain(chosen).collect();
        all.sort_unstable();
        if all.is_empty() {
            return Err(StageError::failed(
                "flow::select::none",
                format!(
                    "none of {} columns was selected in fold {}",
                    names.len(),
                    action.fold.unwrap_or("")
                ),
            )
            .help(format!(
                "keep some whatever their merit, as in `keep = [{}]`, or be less strict, as in `fdr = 1.0`",
                serde_json::json!(names[0])
            )));
        }
        let chosen: Vec<&String> = all.iter().map(|&i| &names[i]).collect();
        let text = serde_json::to_string(&chosen).map_err(std::io::Error::from)?;
        let mut writer = action.create()?;
        writer.write_all(text.as_bytes())?;
        let attrs = vec![
            ("columns".to_owned(), Value::Int(chosen.len() as i64)),
            ("of".to_owned(), Value::Int(names.len() as i64)),
        ];
        action.finish("columns", writer, attrs)
    }
}

/// Compiles names and globs.
///
/// # Errors
/// One is not a valid glob.
pub fn patterns(texts: &[&str]) -> Result<Vec<glob::Pattern>, StageError> {
    texts
        .iter()
        .map(|text| {
            glob::Pattern::new(text).map_err(|e| {
                StageError::data(
                    "flow::params::glob",
                    format!("`{text}` is not a valid pattern"),
                )
                .because(e)
            })
        })
        .collect()
}

/// Calls `judge` with blocks of transposed columns: (columns of the block, values one column after
/// the other).
fn in_blocks(
    action: &Action<'_>,
    rows: &TrainRows,
    columns: &[usize],
    mut judge: impl FnMut(&[usize], &[f32]),
) -> Result<(), StageError> {
    let width = (BLOCK / rows.object_id.len().max(1)).max(1);
    for (index, block) in columns.chunks(width).enumerate() {
        action.checkpoint()?;
        action.progress((index * width) as u64, columns.len() as u64);
        judge(block, &rows.features.transposed(block));
    }
    Ok(())
}

fn by_variance(
    action: &Action<'_>,
    rows: &TrainRows,
    columns: &[usize],
) -> Result<Vec<usize>, StageError> {
    let least = action.params.float("min_variance");
    let n = rows.object_id.len();
    let mut chosen = Vec::new();
    in_blocks(action, rows, columns, |block, values| {
        let varies = |j: &usize| variance(&values[j * n..(j + 1) * n]) > least;
        chosen.extend((0..block.len()).filter(varies).map(|j| block[j]));
    })?;
    Ok(chosen)
}

fn target(action: &Action<'_>, rows: &TrainRows) -> Result<(Vec<usize>, usize), StageError> {
    if action.params.str("target") == "classes" {
        Ok((rows.label.clone(), rows.classes.len()))
    } else {
        Ok((binary_labels(rows)?, 2))
    }
}

fn by_test(
    action: &Action<'_>,
    rows: &TrainRows,
    columns: &[usize],
) -> Result<Vec<usize>, StageError> {
    let (labels, classes) = target(action, rows)?;
    let test = match action.params.str("test") {
        "kolmogorov_smirnov" => Test::KolmogorovSmirnov,
        _ => Test::MannWhitney,
    };
    let correction = match action.params.str("correction") {
        "bh" => Correction::Bh,
        _ => Correction::By,
    };
    let n = rows.object_id.len();
    let mut p = Vec::with_capacity(columns.len());
    in_blocks(action, rows, columns, |block, values| {
        let column = |j: usize, to: &mut Vec<f32>| {
            to.clear();
            to.extend_from_slice(&values[j * n..(j + 1) * n]);
        };
        p.extend(p_values(block.len(), column, &labels, classes, test));
    })?;
    let relevant = select_by(&p, action.params.float("fdr"), correction);
    let mut chosen: Vec<usize> = (0..columns.len()).filter(|&i| relevant[i]).collect();
    chosen.sort_by(|&a, &b| p[a].total_cmp(&p[b]).then(a.cmp(&b)));
    Ok(best(
        action,
        chosen.into_iter().map(|i| columns[i]).collect(),
    ))
}

fn by_importance(
    action: &Action<'_>,
    rows: &TrainRows,
    columns: &[usize],
) -> Result<Vec<usize>, StageError> {
    let (labels, classes) = target(action, rows)?;
    let params = LearnerParams {
        rounds: action.params.usize("rounds"),
        seed: action.seed,
        ..LearnerParams::default()
    };
    let failed = |error: LearnError| match error {
        LearnError::Stopped => StageError::interrupted(),
        error => StageError::failed("flow::model::fit", error.to_string()).with_source(error),
    };
    let learner =
        learner("hessboost").ok_or_else(|| StageError::failed("flow::model::fit", "no learner"))?;
    let matrix = rows.features.matrix(columns)?;
    let model = learner
        .fit(
            &matrix,
            &labels,
            classes,
            &params,
            action.threads,
            &action.stop(),
        )
        .map_err(failed)?;
    let gain = model.importance();
    let mut chosen: Vec<usize> = (0..columns.len()).filter(|&i| gain[i] > 0.0).collect();
    chosen.sort_by(|&a, &b| gain[b].total_cmp(&gain[a]).then(a.cmp(&b)));
    Ok(best(
        action,
        chosen.into_iter().map(|i| columns[i]).collect(),
    ))
}

/// The first `top_k` of columns in order of merit.
fn best(action: &Action<'_>, mut columns: Vec<usize>) -> Vec<usize> {
    match action.params.usize("top_k") {
        0 => {}
        k => columns.truncate(k),
    }
    columns
}
