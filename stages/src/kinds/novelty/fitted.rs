//! What the kind `novelty` fits: a forest and a classifier on all classes, and the same again without each class.

use std::sync::Arc;

use flow_engine::StageError;
use flow_engine::kind::{Action, Fault, ParamWord};

use super::{NoveltyMethod, NoveltyParams};
use crate::kinds::model::fit_error;
use crate::learner::hessboost::HessBoost;
use crate::learner::{FitJob, Learner, LearnerParams, Matrix, Model};
use crate::numeric::entropy::evenness;
use crate::numeric::isolation::{ForestOptions, IsolationForest};
use crate::rows::{FeatureView, TrainRows};

/// The novelty by a classifier that could not be fitted, because there were fewer than two classes. A product with
/// it is the novelty by the forest.
pub(super) const NO_CLASSIFIER: f64 = 1.0;

/// The header before the forests and classifiers, as one line of JSON.
#[derive(serde::Serialize, serde::Deserialize)]
struct FittedHeader {
    columns: Vec<String>,
    classes: Vec<String>,
    method: String,
    /// The bytes of each classifier; none where there were fewer than two classes.
    classifiers: Vec<Option<usize>>,
}

/// What a fold fitted. The lists have an entry for all classes and then one without each class, or none if the method
/// does not use them.
pub(super) struct Fitted {
    pub columns: Vec<String>,
    pub classes: Vec<String>,
    pub method: NoveltyMethod,
    forests: Vec<IsolationForest>,
    classifiers: Vec<Option<Box<dyn Model>>>,
}

impl Fitted {
    /// Fits on the training rows of the action's fold: once on all, and once without each class.
    pub fn fit(action: &Action<'_>, rows: &TrainRows) -> Result<Self, StageError> {
        let params = NoveltyParams::read(action.params);
        let columns: Vec<usize> = (0..rows.features.names().len()).collect();
        let matrix = rows.features.matrix(&columns)?;
        let mut fitted = Self {
            columns: rows.features.names().to_vec(),
            classes: rows.classes.clone(),
            method: params.method,
            forests: Vec::new(),
            classifiers: Vec::new(),
        };
        let fits = rows.classes.len() + 1;
        for fit in 0..fits {
            action.checkpoint()?;
            action.progress(fit as u64, fits as u64);
            let kept = (0..rows.label.len()).filter(|&i| rows.label[i] + 1 != fit);
            let kept: Vec<usize> = kept.collect();
            if params.method.uses_forest() {
                let options = ForestOptions {
                    trees: params.trees,
                    sample: params.sample,
                };
                let (values, width) = (matrix.values(), matrix.cols());
                let forest = IsolationForest::fit(values, width, &kept, &options, action.seed);
                fitted.forests.push(forest);
            }
            if params.method.uses_classifier() {
                let classifier = classifier(action, &matrix, &rows.label, &kept)?;
                fitted.classifiers.push(classifier);
            }
        }
        match (params.method, fitted.classifiers.first()) {
            (NoveltyMethod::Classifier, Some(None)) => Err(one_class(action)),
            _ => Ok(fitted),
        }
    }

    /// Returns the scores of some rows, in the order of [`super::names`].
    pub fn scores(&self, features: &FeatureView, rows: usize) -> Result<Vec<Vec<f64>>, StageError> {
        let columns = features.indices(&self.columns)?;
        let mut forest = vec![Vec::with_capacity(rows); self.forests.len()];
        let mut row = Vec::with_capacity(columns.len());
        for i in 0..rows {
            row.clear();
            features.gather(i, &columns, &mut row);
            for (scores, fitted) in forest.iter_mut().zip(&self.forests) {
                scores.push(fitted.score(&row));
            }
        }
        let mut unsure = vec![vec![NO_CLASSIFIER; rows]; self.classifiers.len()];
        if rows > 0 && !unsure.is_empty() {
            let matrix = features.matrix(&columns)?;
            let fitted = self.classifiers.iter();
            for (scores, model) in unsure.iter_mut().zip(fitted) {
                if let Some(model) = model {
                    *scores = doubts(&**model, &matrix)?;
                }
            }
        }
        Ok(match self.method {
            NoveltyMethod::Forest => forest,
            NoveltyMethod::Classifier => unsure,
            NoveltyMethod::Both => {
                let both = forest.iter().zip(&unsure);
                let product = both.map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).collect());
                let product: Vec<Vec<f64>> = product.collect();
                [product, forest, unsure].concat()
            }
        })
    }

    /// Returns all of this as bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StageError> {
        let bodies = self.classifiers.iter().map(|model| match model {
            Some(model) => model.to_bytes().map(Some),
            None => Ok(None),
        });
        let bodies: Vec<Option<Vec<u8>>> = bodies
            .collect::<Result<_, _>>()
            .map_err(|e| StageError::failed("flow::model::write", e.to_string()).with_source(e))?;
        let header = FittedHeader {
            columns: self.columns.clone(),
            classes: self.classes.clone(),
            method: self.method.word().to_owned(),
            classifiers: bodies
                .iter()
                .map(|body| body.as_ref().map(Vec::len))
                .collect(),
        };
        let mut bytes = serde_json::to_vec(&header).map_err(std::io::Error::from)?;
        bytes.push(b'\n');
        for forest in &self.forests {
            bytes.extend(forest.to_bytes());
        }
        bytes.extend(bodies.iter().flatten().flatten());
        Ok(bytes)
    }

    /// Reads what [`Fitted::to_bytes`] wrote.
    ///
    /// # Errors
    /// If it did not.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StageError> {
        let unreadable = || {
            StageError::data(
                "flow::data::schema",
                "forests and classifiers are unreadable",
            )
        };
        let split = bytes
            .iter()
            .position(|&b| b == b'\n')
            .ok_or_else(unreadable)?;
        let header: FittedHeader =
            serde_json::from_slice(&bytes[..split]).map_err(|e| unreadable().because(e))?;
        let method = NoveltyMethod::of(&header.method).ok_or_else(unreadable)?;
        let fits = header.classes.len() + 1;
        let count = |used| if used { fits } else { 0 };
        let mut rest = &bytes[split + 1..];
        let forests = (0..count(method.uses_forest()))
            .map(|_| IsolationForest::from_bytes(&mut rest, header.columns.len()));
        let forests: Vec<_> = forests.collect::<Option<_>>().ok_or_else(unreadable)?;
        if header.classifiers.len() != count(method.uses_classifier()) {
            return Err(unreadable());
        }
        let mut classifiers = Vec::with_capacity(header.classifiers.len());
        for size in header.classifiers {
            let Some(size) = size else {
                classifiers.push(None);
                continue;
            };
            let (body, after) = rest.split_at_checked(size).ok_or_else(unreadable)?;
            rest = after;
            let model = HessBoost.load(body).map_err(|e| unreadable().because(e))?;
            classifiers.push(Some(model));
        }
        Ok(Self {
            columns: header.columns,
            classes: header.classes,
            method,
            forests,
            classifiers,
        })
    }
}

/// Fits a classifier on the rows `kept`, which knows only the classes that they have. `None` if there are fewer than two.
fn classifier(
    action: &Action<'_>,
    matrix: &Matrix,
    label: &[usize],
    kept: &[usize],
) -> Result<Option<Box<dyn Model>>, StageError> {
    let mut known: Vec<usize> = kept.iter().map(|&i| label[i]).collect();
    known.sort_unstable();
    known.dedup();
    if known.len() < 2 {
        return Ok(None);
    }
    let failed = |e| fit_error(e, action.fold.unwrap_or_default());
    let values: Vec<f32> = kept.iter().flat_map(|&i| matrix.row(i)).copied().collect();
    let x = Matrix::new(kept.len(), matrix.cols(), Arc::new(values)).map_err(failed)?;
    // The classes without gaps, so that the one that is left out has no probability.
    let place = |&i: &usize| known.partition_point(|&class| class < label[i]);
    let y: Vec<usize> = kept.iter().map(place).collect();
    let job = FitJob {
        x: &x,
        y: &y,
        n_classes: known.len(),
        params: &settings(action),
        threads: action.threads,
        stop: &action.stop(),
    };
    HessBoost.fit(&job).map(Some).map_err(failed)
}

/// Small trees of few columns, as many of which as possible see something else.
fn settings(action: &Action<'_>) -> LearnerParams {
    LearnerParams {
        rounds: NoveltyParams::read(action.params).rounds,
        learning_rate: 0.083,
        max_depth: 16,
        seed: action.seed,
        max_leaves: Some(5),
        min_rows: Some(10),
        min_child_weight: Some(0.001),
        colsample: Some(0.1),
        ..LearnerParams::default()
    }
}

/// Returns how unsure a classifier is of each row: 0 if one class is certain, and 1 if all are equally likely.
fn doubts(model: &dyn Model, matrix: &Matrix) -> Result<Vec<f64>, StageError> {
    let probabilities = model
        .predict(matrix)
        .map_err(|e| StageError::failed("flow::model::predict", e.to_string()).with_source(e))?;
    let rows = probabilities.chunks_exact(model.n_classes());
    Ok(rows.map(evenness).collect())
}

fn one_class(action: &Action<'_>) -> StageError {
    let fold = action.fold.unwrap_or_default();
    let message = format!("the training rows of fold {fold} have fewer than two classes");
    StageError::new(Fault::Data, "flow::novelty::classes", message)
        .help("a classifier needs two; use method = \"forest\", which needs no classes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_fit_is_refused() {
        let header = |method: &str, classifiers: &str| {
            format!(
                "{{\"columns\":[\"x\"],\"classes\":[\"A\"],\"method\":\"{method}\",\"classifiers\":{classifiers}}}\n"
            )
        };
        // Two fits are expected. Without forests, both may lack a classifier.
        assert!(Fitted::from_bytes(header("classifier", "[null,null]").as_bytes()).is_ok());
        for bytes in [
            String::new(),
            "{}\n".into(),
            header("classifier", "[null]"),
            header("classifier", "[null,8]"),
            header("classifier", "[null,8]") + "no model",
            header("both", "[null,null]"),
            header("forest", "[]"),
            header("neither", "[]"),
        ] {
            let refused = Fitted::from_bytes(bytes.as_bytes()).map(|_| ());
            let error = refused.expect_err(&bytes);
            assert_eq!(error.code.as_str(), "flow::data::schema", "{bytes}");
        }
    }
}
