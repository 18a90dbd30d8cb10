//! Reads the rows of an action's fold: those that a fit sees, and those that its model is applied to.

use std::path::Path;

use flow_engine::StageError;
use flow_engine::kind::{Action, Fault, Rows};

use super::alike::seen_alike;
use super::fold::{FINAL, parse, rows_of};
use super::label_column::{RowLabels, no_label};
use super::sample::{drawn, drawn_unlabelled};
use super::view::{FeatureView, objects_of};
use crate::table::{FoldObjects, Folds, no_positive};

/// The number of values that are transposed and judged at a time: a few tens of megabytes, and well
/// below a second of work.
const BLOCK: usize = 4 << 20;

/// The rows that a fit sees.
pub struct TrainRows {
    /// The objects, in the order of their bytes.
    pub object_id: Vec<String>,
    /// The index of each object's class in `classes`.
    pub label: Vec<usize>,
    /// The names of the classes.
    pub classes: Vec<String>,
    /// The class that binary metrics score.
    pub positive: Option<String>,
    /// The features of the objects.
    pub features: FeatureView,
    /// The number of training rows of the fold, of which these may be a sample.
    pub of: usize,
}

/// The rows that an apply sees.
pub struct ApplyRows {
    /// The objects, in the order of their bytes.
    pub object_id: Vec<String>,
    /// The features of the objects.
    pub features: FeatureView,
}

/// The rows without a label, which a fit may see in every fold.
pub struct UnlabelledRows {
    /// The objects, in the order of their bytes.
    pub object_id: Vec<String>,
    /// The features of the objects.
    pub features: FeatureView,
}

impl TrainRows {
    /// Reads the training rows of the action's fold.
    ///
    /// # Errors
    /// If a table is unreadable, lacks an object, or has a feature that is the label.
    pub fn read(action: &Action<'_>) -> Result<Self, StageError> {
        Self::sampled(action, None)
    }

    /// Reads at most `sample` training rows of the action's fold, or all.
    ///
    /// # Errors
    /// As for [`TrainRows::read`], or if so small a sample cannot have all classes.
    pub fn sampled(action: &Action<'_>, sample: Option<usize>) -> Result<Self, StageError> {
        let (folds, wanted) = of_action(action, Rows::Train)?;
        let of = wanted.len();
        let wanted = drawn(action, &folds, wanted, sample)?;
        let labels = RowLabels::of(&folds, &wanted)?;
        let object_id: Vec<String> = wanted.iter().map(|&i| folds.object_id[i].clone()).collect();
        let features = FeatureView::open(action.input("features"), &object_id)?;
        no_label(action, &features, &labels)?;
        // What a model is asked about may not tell the label either.
        let asked = action.input(ApplyRows::PORT);
        if !asked.is_empty() {
            no_label(action, &FeatureView::open(asked, &object_id)?, &labels)?;
        }
        Ok(Self {
            features,
            object_id,
            label: labels.into_classes(),
            classes: folds.classes,
            positive: folds.positive,
            of,
        })
    }

    /// Calls `judge` with blocks of transposed columns: (columns of the block, values one column after the
    /// other).
    ///
    /// # Errors
    /// If the run was interrupted.
    pub fn in_blocks(
        &self,
        action: &Action<'_>,
        columns: &[usize],
        mut judge: impl FnMut(&[usize], &[f32]),
    ) -> Result<(), StageError> {
        let width = (BLOCK / self.object_id.len().max(1)).max(1);
        for (index, block) in columns.chunks(width).enumerate() {
            action.checkpoint()?;
            let done = index * width;
            action.progress(done as u64, columns.len() as u64);
            judge(block, &self.features.transposed(block));
        }
        Ok(())
    }
}

impl ApplyRows {
    /// The port with the features of these rows, if they differ from those that fits see.
    pub const PORT: &str = "apply";

    /// Reads the rows of the action's shard that the fold's model is applied to, from the port `apply` if
    /// it is given, or else from `features`.
    ///
    /// # Errors
    /// If a table is unreadable, or lacks an object.
    pub fn read(action: &Action<'_>) -> Result<Self, StageError> {
        let parts = match action.input(Self::PORT) {
            [] => action.input("features"),
            parts => parts,
        };
        let first = parts.iter().find(|part| part.reference == 0);
        let here = match first {
            Some(part) => objects_of(part)?,
            None => Vec::new(),
        };
        let object_id = applied_among(action, &here)?;
        Ok(Self {
            features: FeatureView::open(parts, &object_id)?,
            object_id,
        })
    }
}

impl UnlabelledRows {
    /// The port with the features of these rows.
    pub const PORT: &str = "unlabelled";

    /// Reads the rows without a label, at most `sample` of them, or none if nothing is connected to the port `unlabelled`.
    ///
    /// # Errors
    /// If a table is unreadable or lacks an object, or every object has a label.
    pub fn read(action: &Action<'_>, sample: Option<usize>) -> Result<Option<Self>, StageError> {
        if !action.ports().any(|port| port == Self::PORT) {
            return Ok(None);
        }
        let (folds, wanted) = of_action(action, Rows::Unlabelled)?;
        let object_id: Vec<String> = wanted.iter().map(|&i| folds.object_id[i].clone()).collect();
        if object_id.is_empty() {
            let text = "every object has a label: there is nothing to label by a model";
            return Err(StageError::data("flow::data::no_unlabelled", text).help(format!(
                "leave `{}` out of the inputs of the stage, or let `ingest` read objects without labels too",
                Self::PORT
            )));
        }
        let object_id = drawn_unlabelled(action, object_id, sample);
        let parts = action.input(Self::PORT);
        let alike = seen_alike(action.input("features"), Self::PORT, parts)?;
        Ok(Some(Self {
            features: FeatureView::open(&alike, &object_id)?,
            object_id,
        }))
    }
}

/// Returns true for each row whose label is the positive class, for a binary target.
///
/// # Errors
/// If the survey names no positive class.
pub fn binary_labels(rows: &TrainRows) -> Result<Vec<usize>, StageError> {
    let positive = rows.positive.as_ref();
    let column = positive.and_then(|positive| rows.classes.binary_search(positive).ok());
    let column = column.ok_or_else(|| no_positive(positive.map(String::as_str), &rows.classes))?;
    Ok(rows
        .label
        .iter()
        .map(|&c| usize::from(c == column))
        .collect())
}

/// Returns the table of folds, and the indices of its rows with this role in the action's fold. The table lacks
/// unlabelled objects where none of them can have the role.
///
/// # Errors
/// If the table is unreadable.
pub fn of_action(action: &Action<'_>, role: Rows) -> Result<(Folds, Vec<usize>), StageError> {
    let (path, fold) = (table(action)?, parse(action.fold.unwrap_or(FINAL))?);
    let folds = match role {
        Rows::Train => Folds::labelled(path)?,
        Rows::Apply if fold.is_some() => Folds::labelled(path)?,
        Rows::Apply | Rows::Copies | Rows::Unlabelled => Folds::read(path)?,
    };
    let wanted = rows_of(&folds, fold, role);
    Ok((folds, wanted))
}

/// Returns those of the objects `here`, which are in the order of their bytes, that the models of the action's fold are
/// applied to: those that have [`Rows::Apply`] by [`has_role`](super::fold::has_role).
///
/// Every action of a shard asks this of a table of all objects, so both are gone through side by side.
///
/// # Errors
/// If the table of folds is unreadable.
pub fn applied_among(action: &Action<'_>, here: &[String]) -> Result<Vec<String>, StageError> {
    let (path, fold) = (table(action)?, parse(action.fold.unwrap_or(FINAL))?);
    let mut objects = FoldObjects::open(path, fold.map(|(repeat, _)| repeat))?;
    let mut applied = Vec::new();
    for id in here {
        let is_applied = objects.find(id)?.is_some_and(|object| match fold {
            Some((_, fold)) => object.labelled && object.fold == Some(fold),
            None => !object.labelled,
        });
        if is_applied {
            applied.push(id.clone());
        }
    }
    Ok(applied)
}

/// Returns the table of folds.
fn table<'a>(action: &Action<'a>) -> Result<&'a Path, StageError> {
    let part = action.folds.ok_or_else(|| {
        StageError::new(
            Fault::Bug,
            "flow::bug::folds",
            "an action over folds has no table of folds",
        )
    })?;
    Ok(&part.path)
}
