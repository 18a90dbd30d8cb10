//! What groups of features are worth: how far the metrics of the held-out rows fall if the values of a group
//! are dealt to other rows (Breiman 2001, "Random forests", Machine Learning 45, 5, section 10).
//!
//! The columns of a group move together, so that what they say jointly is lost, and what other groups say in
//! their place is not. The model is not fitted anew: the drop says what this model uses, and not what a
//! model without the group would lose.

use flow_cache::Value;
use flow_engine::kind::{Action, Rows, StageError};
use serde::{Deserialize, Serialize};

use super::{ReasonsParams, model};
use crate::learner::Matrix;
use crate::learner::saved::SavedModel;
use crate::numeric::metrics::{Confusion, average_precision, best_f1_threshold};
use crate::numeric::rng::Stream;
use crate::rows::{self, FeatureView};
use crate::table::{GroupWorth, no_positive, write_worth};

/// What shuffling a group did in one fold.
#[derive(Serialize, Deserialize)]
struct GroupDrop {
    group: String,
    columns: usize,
    average_precision: f64,
    f1: f64,
}

/// Shuffles each group among the held-out rows of the fold.
pub fn permute(action: &mut Action<'_>) -> Result<(), StageError> {
    let final_fit = rows::parse(action.fold.unwrap_or(rows::FINAL))?.is_none();
    let drops = match final_fit {
        true => Vec::new(),
        false => of_fold(action)?,
    };
    let bytes = serde_json::to_vec(&drops).map_err(std::io::Error::from)?;
    action.write("drops", &bytes, Vec::new())
}

/// The drops of a fold; none if it holds out no rows.
fn of_fold(action: &Action<'_>) -> Result<Vec<GroupDrop>, StageError> {
    let (folds, wanted) = rows::of_action(action, Rows::Apply)?;
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let saved = model(action)?;
    let object_id: Vec<String> = wanted.iter().map(|&i| folds.object_id[i].clone()).collect();
    let view = FeatureView::open(action.input("features"), &object_id)?;
    let x = view.matrix(&view.indices(&saved.header.columns)?)?;
    let positive = saved.header.positive.as_deref();
    let class = positive.and_then(|name| saved.class(name));
    let class = class.ok_or_else(|| no_positive(positive, &saved.header.classes))?;
    let is = |&i: &usize| folds.label[i].as_deref() == positive;
    let held_out = HeldOut {
        labels: wanted.iter().map(is).collect(),
        saved,
        class,
        x,
    };
    held_out.drops(action)
}

/// The held-out rows of a fold and its model.
struct HeldOut {
    saved: SavedModel,
    /// The index of the positive class.
    class: usize,
    x: Matrix,
    /// Whether each row is positive.
    labels: Vec<bool>,
}

impl HeldOut {
    /// The drops of all groups; none if the fold holds out no positive or nothing else.
    fn drops(&self, action: &Action<'_>) -> Result<Vec<GroupDrop>, StageError> {
        let params = ReasonsParams::read(action.params);
        let scores = self.scores(&self.x)?;
        let whole = average_precision(&scores, &self.labels, None);
        // F1 is measured at one threshold, which is the best one before anything is shuffled.
        let threshold = best_f1_threshold(&scores, &self.labels);
        let (Some(whole), Some(threshold)) = (whole, threshold) else {
            return Ok(Vec::new());
        };
        let f1 = |scores: &[f64]| Confusion::at(scores, &self.labels, threshold).f1();
        let mut drops = Vec::with_capacity(params.groups.len());
        for (index, (name, patterns)) in params.groups.iter().enumerate() {
            let columns = self.columns(patterns);
            let (mut ap, mut at_threshold) = (0.0, 0.0);
            for shuffle in 0..params.shuffles {
                action.checkpoint()?;
                let mut order: Vec<usize> = (0..self.x.rows()).collect();
                Stream::new(action.seed, &[index as u64, shuffle as u64]).shuffle(&mut order);
                let scores = self.scores(&self.dealt(&columns, &order)?)?;
                ap += whole - average_precision(&scores, &self.labels, None).unwrap_or(whole);
                at_threshold += f1(&scores);
            }
            let n = params.shuffles as f64;
            drops.push(GroupDrop {
                group: (*name).into(),
                columns: columns.len(),
                average_precision: ap / n,
                f1: f1(&scores) - at_threshold / n,
            });
        }
        Ok(drops)
    }

    /// The scores of the positive class.
    fn scores(&self, x: &Matrix) -> Result<Vec<f64>, StageError> {
        let model = &self.saved.model;
        let flat = model.predict(x).map_err(|e| {
            StageError::failed("flow::model::predict", e.to_string()).with_source(e)
        })?;
        let own = flat.chunks(model.n_classes()).map(|p| p[self.class]);
        Ok(own.collect())
    }

    /// The model's columns that a group holds. A selection within the folds may leave none.
    fn columns(&self, patterns: &[&str]) -> Vec<usize> {
        let patterns: Vec<glob::Pattern> = patterns
            .iter()
            .filter_map(|pattern| glob::Pattern::new(pattern).ok())
            .collect();
        let names = self.saved.header.columns.iter().enumerate();
        let held = names.filter(|(_, name)| patterns.iter().any(|p| p.matches(name)));
        held.map(|(column, _)| column).collect()
    }

    /// The rows with the values of some columns taken from other rows.
    fn dealt(&self, columns: &[usize], order: &[usize]) -> Result<Matrix, StageError> {
        let mut values = self.x.values().to_vec();
        for (row, &from) in order.iter().enumerate() {
            for &column in columns {
                values[row * self.x.cols() + column] = self.x.row(from)[column];
            }
        }
        Matrix::new(self.x.rows(), self.x.cols(), std::sync::Arc::new(values))
            .map_err(|e| StageError::data("flow::data::features", e.to_string()).with_source(e))
    }
}

/// Averages the drops over the folds.
pub fn mean(action: &mut Action<'_>) -> Result<(), StageError> {
    let mut all: Vec<(String, usize, Vec<f64>, Vec<f64>)> = Vec::new();
    for part in action.input("drops") {
        let bytes = std::fs::read(&part.path)?;
        let drops: Vec<GroupDrop> = serde_json::from_slice(&bytes).map_err(|e| {
            StageError::data("flow::data::schema", "a list of drops is unreadable").because(e)
        })?;
        for drop in drops {
            let at = all.iter().position(|(group, ..)| *group == drop.group);
            let at = at.unwrap_or_else(|| {
                all.push((drop.group, drop.columns, Vec::new(), Vec::new()));
                all.len() - 1
            });
            all[at].1 = all[at].1.max(drop.columns);
            all[at].2.push(drop.average_precision);
            all[at].3.push(drop.f1);
        }
    }
    if let Some((group, ..)) = all.iter().find(|(_, columns, ..)| *columns == 0) {
        let message = format!("the group `{group}` holds none of the columns of any model");
        return Err(StageError::data("flow::reasons::group", message)
            .help("its patterns are those of columns: `*` stands for any text, as in `peak_*`"));
    }
    let worth = |(group, columns, ap, f1): (String, usize, Vec<f64>, Vec<f64>)| GroupWorth {
        group,
        columns,
        folds: ap.len(),
        average_precision: moments(&ap),
        f1: moments(&f1),
    };
    let mut rows: Vec<GroupWorth> = all.into_iter().map(worth).collect();
    rows.sort_by(|a, b| {
        let drops = b.average_precision.0.total_cmp(&a.average_precision.0);
        drops.then_with(|| a.group.cmp(&b.group))
    });
    let attrs = vec![("rows".to_owned(), Value::Int(rows.len() as i64))];
    let mut writer = action.create()?;
    write_worth(&mut writer, &rows)?;
    action.finish("permutation", writer, attrs)
}

/// The mean and the standard deviation (over n - 1; NaN for one value).
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    (mean, (squares / (n - 1.0)).sqrt())
}
