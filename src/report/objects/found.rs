//! Where a run has the objects of an evaluation: predictions, light curves, fits and features.

use std::path::PathBuf;

use flow_cache::StoreError;
use flow_engine::Diag;

use crate::evaluation::METRICS;
use crate::report::Recorded;
use crate::wording::quoted;

/// The type of a port with light curves.
const CURVES: &str = "curves";

/// The kind whose light curves are copies of objects, which nobody has observed.
const COPIES: &str = "augment";

/// The port through which stages get the table of folds.
const FOLDS: &str = "folds";

/// The port through which an evaluation gets predictions, and the type of such ports.
const PREDICTIONS: &str = "predictions";
/// The port through which it gets the classes of objects whose labels are hidden.
const TRUTH: &str = "truth";

/// Some files of a stage.
#[derive(Clone, Debug, PartialEq)]
pub struct StageFiles<'r> {
    /// The stage.
    pub stage: &'r str,
    /// The parts of one of its ports.
    pub files: Vec<PathBuf>,
}

/// A port with light curves.
pub struct CurvesPort<'r> {
    /// The stage.
    pub stage: &'r str,
    /// The port.
    pub port: &'r str,
    /// Its parts, or nothing if the store has lost one.
    pub files: Option<Vec<PathBuf>>,
}

/// An evaluation of a run, with what it read.
#[derive(Clone, Copy)]
pub struct Evaluated<'r> {
    /// The run.
    pub run: &'r Recorded<'r>,
    /// The stage that evaluates.
    pub stage: &'r str,
    /// The stage and the port with the predictions that it scores.
    pub predictions: (&'r str, &'r str),
}

impl<'r> Evaluated<'r> {
    /// The evaluations of a run, in the order of its pipeline.
    pub fn all(run: &'r Recorded<'r>) -> Vec<Self> {
        let scores = |stage: &'r str| {
            let (model, port) = run.inputs(stage, PREDICTIONS).first().copied()?;
            // Objects whose labels are hidden were not held out by a fold.
            if !run.inputs(stage, TRUTH).is_empty() {
                return None;
            }
            let reports = run.ports(stage).any(|(_, port)| port.ty == METRICS);
            reports.then_some(Self {
                run,
                stage,
                predictions: (model, port),
            })
        };
        let stages = run.record.stages.iter();
        stages.filter_map(|(name, _)| scores(name)).collect()
    }

    /// The evaluation that is meant if nobody names one: the one that the pipeline quotes, or the only one.
    pub fn meant(run: &'r Recorded<'r>) -> Option<Self> {
        let all = Self::all(run);
        let headline = run.record.headline.as_ref();
        let quoted = headline.and_then(|headline| headline.metric.split_once('.'));
        let of_headline = |found: &&Self| quoted.is_some_and(|(stage, _)| stage == found.stage);
        match (all.iter().find(of_headline), all.as_slice()) {
            (Some(found), _) => Some(*found),
            (None, [only]) => Some(*only),
            (None, _) => None,
        }
    }

    /// The file of the predictions that are scored, if the store has it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn predictions_file(&self) -> Result<Option<PathBuf>, StoreError> {
        let (stage, port) = self.predictions;
        let found = files(self.run, stage, port)?;
        Ok(found.and_then(|mut files| files.pop()))
    }

    /// Says that the bytes of a port are gone, and which command makes them again.
    pub fn lost(&self, stage: &str, port: &str) -> Diag {
        let (id, name) = (&self.run.id, format!("{stage}.{port}"));
        let message = format!("the store no longer has the bytes of `{name}` of run {id}");
        let (name, file) = (quoted(&name), quoted(&format!("{stage}.parquet")));
        Diag::new("flow::cli::evicted", message).help(format!(
            "this makes them again: flow export {id} {name} -o {file}"
        ))
    }

    /// The light curves that the model saw: those of the nearest stage above the predictions.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn curves(&self) -> Result<Option<CurvesPort<'r>>, StoreError> {
        for stage in self.above() {
            if self.run.kind(stage) == Some(COPIES) {
                continue;
            }
            if let Some(port) = port_of(self.run, stage, CURVES) {
                let files = files(self.run, stage, port)?;
                return Ok(Some(CurvesPort { stage, port, files }));
            }
        }
        Ok(None)
    }

    /// Tables of objects, which have the labels that the survey gave.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn objects(&self) -> Result<Vec<PathBuf>, StoreError> {
        let found = self.above_of("objects")?.into_iter().next();
        Ok(found.map(|found| found.files).unwrap_or_default())
    }

    /// The stages with ports of a type, in the order of the pipeline, as far as the store has their bytes.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn in_run(&self, ty: &str) -> Result<Vec<StageFiles<'r>>, StoreError> {
        let stages = self.run.record.stages.iter();
        self.with_ports(stages.map(|(name, _)| name.as_str()), ty)
    }

    /// The same of the stages above the predictions, the nearest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn above_of(&self, ty: &str) -> Result<Vec<StageFiles<'r>>, StoreError> {
        self.above_with(ty, |_| true)
    }

    /// The same of those stages that are `wanted`. The files of others are not checked.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn above_with(
        &self,
        ty: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<StageFiles<'r>>, StoreError> {
        let stages = self.above().into_iter().filter(|stage| wanted(stage));
        self.with_ports(stages, ty)
    }

    fn with_ports(
        &self,
        stages: impl Iterator<Item = &'r str>,
        ty: &str,
    ) -> Result<Vec<StageFiles<'r>>, StoreError> {
        let mut found = Vec::new();
        for stage in stages {
            let Some(port) = port_of(self.run, stage, ty) else {
                continue;
            };
            if let Some(files) = files(self.run, stage, port)? {
                found.push(StageFiles { stage, files });
            }
        }
        Ok(found)
    }

    /// The stage with the predictions, and those above it that data come from, the nearest first. A table of folds
    /// is no way to data: it comes from the survey as that was read, whatever the model saw of it.
    fn above(&self) -> Vec<&'r str> {
        let mut stages = vec![self.predictions.0];
        let mut next = 0;
        while let Some(stage) = stages
            .get(next)
            .and_then(|name| self.run.record.stages.get(name))
        {
            let data = stage.inputs.iter().filter(|(port, _)| *port != FOLDS);
            for (above, _) in data
                .flat_map(|(_, from)| from)
                .filter_map(|from| from.split_once('.'))
            {
                if !stages.contains(&above) {
                    stages.push(above);
                }
            }
            next += 1;
        }
        stages
    }
}

/// The first port of a type that is no view, and no part of which belongs to a fold.
fn port_of<'r>(run: &'r Recorded<'r>, stage: &str, ty: &str) -> Option<&'r str> {
    let whole = run.ports(stage).filter(|(_, port)| {
        port.ty == ty && !port.view && port.parts.iter().all(|part| part.fold.is_none())
    });
    whole.map(|(name, _)| name).next()
}

fn files(run: &Recorded<'_>, stage: &str, port: &str) -> Result<Option<Vec<PathBuf>>, StoreError> {
    let parts = run.parts(stage, port)?;
    let parts = parts.filter(|parts| !parts.is_empty());
    Ok(parts.map(|parts| parts.into_iter().map(|part| part.path).collect()))
}
