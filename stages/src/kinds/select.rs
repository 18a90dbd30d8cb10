//! Kind `select`: chooses feature columns on the training rows of each fold.
//!
//! Its output is a view: the columns' names, fitted fold by fold, through which the same feature tables
//! are read. Nothing is copied. Several `select` stages can be chained.

use flow_engine::kind::{
    Action, InputPort, KindSpec, Of, OutputPort, Ports, Rows, Scope, Stage, StageError, Step,
};
use flow_engine::{ParamType, params, words};

use super::model::ModelTarget;
use crate::learner::{FitJob, LearnError, LearnerParams, learner};
use crate::rows::{
    COLUMNS, FittedView, SAMPLE_ABOUT, TrainRows, patterns, sample_note, sample_type,
};
use crate::selection::fresh::{Correction, Test, p_values, select_by, variance};

/// The kind.
pub struct Select;

#[derive(Clone, Copy)]
enum SelectMethod {
    Fresh,
    Variance,
    Importance,
}

words!(SelectMethod { Fresh = "fresh", Variance = "variance", Importance = "importance" });
words!(Test { MannWhitney = "mann_whitney", KolmogorovSmirnov = "kolmogorov_smirnov" });
words!(Correction { By = "by", Bh = "bh" });

params! {
    struct SelectParams<'a> {
        method: SelectMethod = word(SelectMethod::Fresh, "How a column is judged: by a test of its association with the class (FRESH, Christ et al. 2018), by its variance, or by its gain in a boosted model.");
        target: ModelTarget = word(ModelTarget::Binary, "What it is judged against: the positive class, or every class against the rest.").only("method", &["fresh", "importance"]);
        test: Test = word(Test::MannWhitney, "Test for columns with more than two values; those with two get Fisher's exact test.").only("method", &["fresh"]);
        fdr: f64 = float(0.05, 0.0, 1.0, "Expected share of irrelevant columns among those chosen.").only("method", &["fresh"]);
        correction: Correction = word(Correction::By, "Benjamini-Yekutieli or Benjamini-Hochberg.").only("method", &["fresh"]);
        min_variance: f64 = float(0.0, 0.0, f64::MAX, "Columns must have a larger variance.").only("method", &["variance"]);
        rounds: usize = int(50, 1, 10_000, "Boosting rounds of the model that judges.").only("method", &["importance"]);
        top_k: usize = int(0, 0, 10_000_000, "Keep at most this many, the best; 0 for no limit.").only("method", &["fresh", "importance"]);
        keep: Vec<&'a str> = new(ParamType::List(Box::new(ParamType::Str)), "Names or globs of columns that are kept whatever their merit, such as `[\"redshift\", \"color_*\"]`; they do not count for `top_k`.").optional();
        sample: Option<usize> = new(sample_type(), SAMPLE_ABOUT).optional();
        judge: Vec<&'a str> = new(ParamType::List(Box::new(ParamType::Str)), "Names or globs of the columns that are judged; all others are kept. Without it, all are judged.").optional();
    }
}

impl Stage for Select {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "select",
            version: 1,
            about: "Selects feature columns on the training rows of each fold",
            ports: view_ports("the same tables, seen through the chosen columns"),
            params: SelectParams::specs(),
            steps: vec![
                Step::new("fit", Scope::Fold)
                    .rows("features", Rows::Train)
                    .writes(COLUMNS)
                    .seeded(),
            ],
        }
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let params = SelectParams::read(action.params);
        let rows = TrainRows::sampled(action, params.sample)?;
        let names = rows.features.names();
        let keep = patterns(&params.keep)?;
        let judge = patterns(&params.judge)?;
        let matches = |set: &[glob::Pattern], name: &str| set.iter().any(|p| p.matches(name));
        let kept =
            |name: &str| matches(&keep, name) || (!judge.is_empty() && !matches(&judge, name));
        let (fixed, judged): (Vec<usize>, Vec<usize>) =
            (0..names.len()).partition(|&i| kept(&names[i]));
        let job = SelectJob {
            action,
            params: &params,
            rows: &rows,
        };
        let chosen = match params.method {
            SelectMethod::Variance => job.by_variance(&judged)?,
            SelectMethod::Importance => job.by_importance(&judged)?,
            SelectMethod::Fresh => job.by_test(&judged)?,
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
        let chosen = all.iter().map(|&i| names[i].clone()).collect();
        let of = names.len();
        let note = sample_note(action, rows.object_id.len(), rows.of);
        FittedView::Choice(chosen).write(action, of, note)
    }
}

/// Returns the ports of a kind that gives feature tables as they are seen through what its first step writes.
pub(super) fn view_ports(about: &'static str) -> Ports {
    Ports {
        inputs: vec![
            InputPort::many("features", "features"),
            InputPort::one("folds", "folds"),
        ],
        outputs: vec![OutputPort {
            name: "features".into(),
            ty: "features",
            about,
            of: Of::View {
                port: "features",
                step: 0,
                output: COLUMNS,
            },
        }],
    }
}

/// The columns of one fold, judged.
struct SelectJob<'a> {
    action: &'a Action<'a>,
    params: &'a SelectParams<'a>,
    rows: &'a TrainRows,
}

impl SelectJob<'_> {
    fn by_variance(&self, columns: &[usize]) -> Result<Vec<usize>, StageError> {
        let n = self.rows.object_id.len();
        let mut chosen = Vec::new();
        self.rows.in_blocks(self.action, columns, |block, values| {
            let least = self.params.min_variance;
            let varies = |j: &usize| variance(&values[j * n..(j + 1) * n]) > least;
            chosen.extend((0..block.len()).filter(varies).map(|j| block[j]));
        })?;
        Ok(chosen)
    }

    fn by_test(&self, columns: &[usize]) -> Result<Vec<usize>, StageError> {
        let (labels, classes) = self.params.target.labels(self.rows)?;
        let n = self.rows.object_id.len();
        let mut p = Vec::with_capacity(columns.len());
        self.rows.in_blocks(self.action, columns, |block, values| {
            let column = |j: usize, to: &mut Vec<f32>| {
                to.clear();
                to.extend_from_slice(&values[j * n..(j + 1) * n]);
            };
            let test = self.params.test;
            p.extend(p_values(block.len(), column, &labels, classes, test));
        })?;
        let relevant = select_by(&p, self.params.fdr, self.params.correction);
        let mut chosen: Vec<usize> = (0..columns.len()).filter(|&i| relevant[i]).collect();
        chosen.sort_by(|&a, &b| p[a].total_cmp(&p[b]).then(a.cmp(&b)));
        Ok(self.best(columns, chosen))
    }

    fn by_importance(&self, columns: &[usize]) -> Result<Vec<usize>, StageError> {
        let (labels, n_classes) = self.params.target.labels(self.rows)?;
        let params = LearnerParams {
            rounds: self.params.rounds,
            seed: self.action.seed,
            ..LearnerParams::default()
        };
        let failed = |error: LearnError| match error {
            LearnError::Stopped => StageError::interrupted(),
            error => StageError::failed("flow::model::fit", error.to_string()).with_source(error),
        };
        let learner = learner("hessboost")
            .ok_or_else(|| StageError::failed("flow::model::fit", "no learner"))?;
        let job = FitJob {
            x: &self.rows.features.matrix(columns)?,
            y: &labels,
            n_classes,
            params: &params,
            threads: self.action.threads,
            stop: &self.action.stop(),
        };
        let gain = learner.fit(&job).map_err(failed)?.importance();
        let mut chosen: Vec<usize> = (0..columns.len()).filter(|&i| gain[i] > 0.0).collect();
        chosen.sort_by(|&a, &b| gain[b].total_cmp(&gain[a]).then(a.cmp(&b)));
        Ok(self.best(columns, chosen))
    }

    /// Returns the first `top_k` of places in `columns` in order of merit, as columns.
    fn best(&self, columns: &[usize], mut places: Vec<usize>) -> Vec<usize> {
        match self.params.top_k {
            0 => {}
            k => places.truncate(k),
        }
        places.into_iter().map(|i| columns[i]).collect()
    }
}
