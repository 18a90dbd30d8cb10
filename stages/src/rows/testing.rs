//! Predictions for the tests of cross-fitted kinds.

use std::fs::File;

use flow_engine::StageError;
use flow_testkit::files::{TempDir, folder};

use super::CrossedPredictions;
use crate::numeric::rng::Stream;
use crate::table::Predictions;

/// What a cross-fitted step reads of tables, and the folder that their files are in.
pub fn crossed(tables: &[Predictions]) -> Result<(TempDir, CrossedPredictions), StageError> {
    let folder = folder();
    let paths = tables.iter().enumerate().map(|(at, table)| {
        let path = folder.path().join(at.to_string());
        table.write(File::create(&path)?)?;
        Ok(path)
    });
    let paths = paths.collect::<Result<_, StageError>>()?;
    Ok((folder, CrossedPredictions::read(paths)?))
}

/// The table with the numbers that `of` gives for each row.
pub fn rewritten(
    crossed: &CrossedPredictions,
    mut of: impl FnMut(&[Predictions], usize) -> Result<Vec<f64>, StageError>,
) -> Result<Predictions, StageError> {
    let mut all = crossed.models[0].none_of();
    crossed.each_row(&|| Ok(()), |models, row| {
        all.push_with(&models[0], row, of(models, row)?);
        Ok(())
    })?;
    Ok(all)
}

/// Out-of-fold predictions of `n` objects in four folds, and of a tenth as many unlabelled ones. The classes `A`,
/// `B` and `C` (as many as asked for) are predicted with too much certainty, by the third power of the odds.
pub fn doubtful(n: usize, n_classes: usize) -> Predictions {
    let names = ["A", "B", "C"];
    // One column of probabilities stands for two classes.
    let n_true = n_classes.max(2);
    let mut stream = Stream::new(17, &[n_classes as u64]);
    let mut all = Predictions {
        classes: names[..n_classes].iter().map(|&name| name.into()).collect(),
        positive: Some("A".into()),
        probability: vec![Vec::new(); n_classes],
        ..Predictions::default()
    };
    for i in 0..n + n / 10 {
        let weights: Vec<f64> = (0..n_true).map(|_| stream.uniform() + 0.02).collect();
        let cubes: Vec<f64> = weights.iter().map(|w| w * w * w).collect();
        let sum: f64 = weights.iter().sum();
        let mut left = stream.uniform() * sum;
        let class = weights.iter().position(|w| {
            left -= w;
            left < 0.0
        });
        let total: f64 = cubes.iter().sum();
        for (column, cube) in all.probability.iter_mut().zip(&cubes) {
            column.push(cube / total);
        }
        let labelled = i < n;
        all.object_id.push(format!("o{i:05}"));
        all.repeat.push(0);
        all.fold.push(labelled.then_some((i % 4) as i32));
        let name = names[class.unwrap_or(n_true - 1)];
        all.label.push(labelled.then(|| name.to_owned()));
    }
    all
}

/// The same with other labels in fold 0: each object of `A` is a `B`, all others are `A`.
pub fn flipped(predictions: &Predictions) -> Predictions {
    let mut flipped = predictions.clone();
    for (label, fold) in flipped.label.iter_mut().zip(&predictions.fold) {
        if *fold == Some(0) {
            let other = if label.as_deref() == Some("A") {
                "B"
            } else {
                "A"
            };
            *label = Some(other.into());
        }
    }
    flipped
}
