//! Kind `novelty`: says how unlike the training rows of a fold an object is, whatever its class.
//!
//! An isolation forest is fitted on each fold's training rows, and one more without each class. So the report can say
//! how well a class would stand out that nobody had labeled.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use flow_cache::Value;
use flow_engine::kind::{
    Action, InputPort, KindSpec, OutputPort, Ports, Rows, Scope, Stage, StageError, Step,
};
use flow_engine::{Params, params};

use crate::numeric::isolation::{ForestOptions, IsolationForest};
use crate::numeric::metrics::roc_auc;
use crate::rows::{self, ApplyRows, TrainRows};
use crate::table::{Folds, Predictions, row_attrs};

/// The kind.
pub struct NoveltyKind;

const FIT: usize = 0;
const APPLY: usize = 1;
const GATHER: usize = 2;
const SCORE: usize = 3;

params! {
    struct NoveltyParams {
        trees: usize = int(200, 1, 10_000, "Trees of each forest.");
        sample: usize = int(256, 2, 65_536, "Training rows that are drawn for each tree.");
    }
}

impl Stage for NoveltyKind {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "novelty",
            version: 1,
            about: "Scores how unlike all training rows an object is, and how well that finds a class nobody labeled",
            ports: Ports {
                inputs: vec![
                    InputPort::many("features", "features"),
                    InputPort::one("folds", "folds"),
                    InputPort {
                        optional: true,
                        ..InputPort::one("predictions", "predictions")
                    },
                ],
                outputs: vec![
                    OutputPort::of(
                        "scores",
                        "novelty",
                        GATHER,
                        "object_id, repeat, fold (null for the final fit), label, novelty, novelty_without_<class>...",
                    ),
                    OutputPort::of(
                        "report",
                        "report",
                        SCORE,
                        "how well each class is found if it is left out, as Markdown",
                    ),
                ],
            },
            params: NoveltyParams::specs(),
            steps: steps(false),
        }
    }

    fn shape(&self, _params: &Params, inputs: &[String]) -> (Ports, Vec<Step>) {
        let compared = inputs.iter().any(|input| input == "predictions");
        (self.spec().ports, steps(compared))
    }

    fn opaque(&self, _params: &Params, output: &str) -> bool {
        output == "report"
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        match action.step {
            FIT => fit(action),
            APPLY => apply(action),
            GATHER => gather(action),
            _ => score(action),
        }
    }
}

/// The steps; `compared` if there are predictions to compare with.
fn steps(compared: bool) -> Vec<Step> {
    let gathered = |name| {
        Step::new(name, Scope::Whole)
            .after(APPLY, "part")
            .port("folds")
    };
    let score = gathered("score").scored();
    vec![
        Step::new("fit", Scope::Fold)
            .rows("features", Rows::Train)
            .writes("forests")
            .seeded(),
        Step::new("apply", Scope::FoldShard)
            .rows("features", Rows::Apply)
            .after(FIT, "forests")
            .writes("part"),
        gathered("gather").writes("scores"),
        match compared {
            true => score.port("predictions"),
            false => score,
        }
        .writes("report"),
    ]
}

/// The header before the forests, as one line of JSON.
#[derive(serde::Serialize, serde::Deserialize)]
struct ForestsHeader {
    columns: Vec<String>,
    /// The classes that one forest each was fitted without, after the forest that was fitted on all.
    classes: Vec<String>,
}

fn fit(action: &mut Action<'_>) -> Result<(), StageError> {
    let rows = TrainRows::read(action)?;
    let params = NoveltyParams::read(action.params);
    let columns: Vec<usize> = (0..rows.features.names().len()).collect();
    let matrix = rows.features.matrix(&columns)?;
    let options = ForestOptions {
        trees: params.trees,
        sample: params.sample,
    };
    let header = ForestsHeader {
        columns: rows.features.names().to_vec(),
        classes: rows.classes.clone(),
    };
    let mut bytes = serde_json::to_vec(&header).map_err(std::io::Error::from)?;
    bytes.push(b'\n');
    let all = std::iter::once(None).chain((0..rows.classes.len()).map(Some));
    for without in all {
        action.checkpoint()?;
        let kept = (0..rows.label.len()).filter(|&i| Some(rows.label[i]) != without);
        let kept: Vec<usize> = kept.collect();
        let (values, width) = (matrix.values(), matrix.cols());
        let forest = IsolationForest::fit(values, width, &kept, &options, action.seed);
        bytes.extend(forest.to_bytes());
    }
    action.write("forests", &bytes, Vec::new())
}

/// Reads what [`fit`] wrote.
fn read_forests(bytes: &[u8]) -> Result<(ForestsHeader, Vec<IsolationForest>), StageError> {
    let unreadable = || StageError::data("flow::data::schema", "the forests are unreadable");
    let split = bytes.iter().position(|&b| b == b'\n');
    let split = split.ok_or_else(unreadable)?;
    let header: ForestsHeader =
        serde_json::from_slice(&bytes[..split]).map_err(|e| unreadable().because(e))?;
    let mut rest = &bytes[split + 1..];
    let forests = (0..=header.classes.len())
        .map(|_| IsolationForest::from_bytes(&mut rest, header.columns.len()));
    let forests: Option<Vec<_>> = forests.collect();
    Ok((header, forests.ok_or_else(unreadable)?))
}

fn apply(action: &mut Action<'_>) -> Result<(), StageError> {
    let bytes = std::fs::read(&action.one("forests")?.path)?;
    let (header, forests) = read_forests(&bytes)?;
    let rows = ApplyRows::read(action)?;
    let columns = rows.features.indices(&header.columns)?;
    let n = rows.object_id.len();
    let mut probability = vec![Vec::with_capacity(n); forests.len()];
    let mut row = Vec::with_capacity(columns.len());
    for i in 0..n {
        row.clear();
        rows.features.gather(i, &columns, &mut row);
        for (scores, forest) in probability.iter_mut().zip(&forests) {
            scores.push(forest.score(&row));
        }
    }
    let part = Predictions {
        classes: names(&header.classes),
        positive: None,
        repeat: vec![0; n],
        fold: vec![None; n],
        label: vec![None; n],
        object_id: rows.object_id,
        probability,
    };
    let attrs = row_attrs(&part.object_id);
    let mut writer = action.create()?;
    part.write(&mut writer)?;
    action.finish("part", writer, attrs)
}

/// The names of the columns of scores.
fn names(classes: &[String]) -> Vec<String> {
    let without = classes
        .iter()
        .map(|class| format!("novelty_without_{class}"));
    std::iter::once("novelty".to_owned())
        .chain(without)
        .collect()
}

fn gather(action: &mut Action<'_>) -> Result<(), StageError> {
    let folds = Folds::read(&action.one("folds")?.path)?;
    let scores = rows::gathered(action, "part", &folds, |_| {})?;
    let attrs = vec![("rows".to_owned(), Value::Int(scores.len() as i64))];
    let mut writer = action.create()?;
    scores.write_as(&mut writer, &scores.classes, &[])?;
    action.finish("scores", writer, attrs)
}

/// The area under the ROC curve of a class against all others, in three ways.
#[derive(Debug, PartialEq)]
struct Found {
    class: String,
    objects: usize,
    /// By the novelty of a forest that has not seen the class.
    left_out: Option<f64>,
    /// By the novelty of a forest that has.
    known: Option<f64>,
    /// By 1 - the largest probability of a model, which has seen the class.
    unsure: Option<f64>,
}

fn score(action: &mut Action<'_>) -> Result<(), StageError> {
    let folds = Folds::read(&action.one("folds")?.path)?;
    let scores = rows::gathered(action, "part", &folds, |_| {})?;
    let unsure = match action.input("predictions") {
        [] => None,
        _ => {
            let predictions = Predictions::read(&action.one("predictions")?.path)?;
            rows::held_out(&predictions, &folds)?;
            Some(unsure(&scores, &predictions))
        }
    };
    let found = find(&scores, &folds.classes, unsure.as_deref());
    action.write("report", report(&found).as_bytes(), Vec::new())
}

/// Returns 1 minus the largest probability for each row of `scores`; NaN where there is no prediction of the same
/// object in the same repeat.
fn unsure(scores: &Predictions, predictions: &Predictions) -> Vec<f64> {
    let mut by_row = BTreeMap::new();
    for i in (0..predictions.len()).filter(|&i| predictions.fold[i].is_some()) {
        let probabilities = predictions.probability.iter().map(|column| column[i]);
        let largest = match predictions.classes.len() {
            // Only the probability of the positive class is there.
            1 => probabilities.fold(0.0, |_, p| f64::max(p, 1.0 - p)),
            _ => probabilities.fold(0.0, f64::max),
        };
        by_row.insert(
            (predictions.repeat[i], &predictions.object_id[i]),
            1.0 - largest,
        );
    }
    let row = |i: usize| by_row.get(&(scores.repeat[i], &scores.object_id[i]));
    (0..scores.len())
        .map(|i| row(i).copied().unwrap_or(f64::NAN))
        .collect()
}

/// Returns how well each class is found among the rows that were held out, averaged over the repeats.
fn find(scores: &Predictions, classes: &[String], unsure: Option<&[f64]>) -> Vec<Found> {
    let held_out: Vec<usize> = (0..scores.len())
        .filter(|&i| scores.fold[i].is_some())
        .collect();
    let repeats = held_out.chunk_by(|&a, &b| scores.repeat[a] == scores.repeat[b]);
    let repeats: Vec<&[usize]> = repeats.collect();
    let is = |i: usize, class: &String| scores.label[i].as_ref() == Some(class);
    let area = |values: &[f64], class: &String| {
        let mut sum = 0.0;
        for rows in &repeats {
            let known: Vec<usize> = rows
                .iter()
                .copied()
                .filter(|&i| !values[i].is_nan())
                .collect();
            let labels: Vec<bool> = known.iter().map(|&i| is(i, class)).collect();
            let values: Vec<f64> = known.iter().map(|&i| values[i]).collect();
            sum += roc_auc(&values, &labels, None)?;
        }
        (!repeats.is_empty()).then(|| sum / repeats.len() as f64)
    };
    let first = repeats.first().copied().unwrap_or_default();
    let found = classes.iter().enumerate().map(|(k, class)| Found {
        objects: first.iter().filter(|&&i| is(i, class)).count(),
        left_out: area(&scores.probability[k + 1], class),
        known: area(&scores.probability[0], class),
        unsure: unsure.and_then(|unsure| area(unsure, class)),
        class: class.clone(),
    });
    found.collect()
}

fn report(found: &[Found]) -> String {
    let mut text = String::from(
        "# Novelty\n\n\
         How well a class is found among all rows that were held out, as the area under the ROC curve of that class \
         against all others, averaged over repeats. 0.5 is chance.\n\n\
         - `left out`: by the novelty of forests that have not seen the class, as if nobody had labeled it;\n\
         - `known`: by the novelty of forests that have seen it;\n\
         - `unsure`: by 1 - max P of the predictions, whose models have seen the class.\n\n\
         | class | objects | left out | known | unsure |\n|---|---|---|---|---|\n",
    );
    let show = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.4}"));
    for class in found {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            class.class,
            class.objects,
            show(class.left_out),
            show(class.known),
            show(class.unsure)
        );
    }
    let values: Option<Vec<f64>> = found.iter().map(|class| class.left_out).collect();
    if let Some(values) = values.filter(|values| !values.is_empty()) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let _ = writeln!(text, "\nMean over classes, each left out: {mean:.4}.");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(labels: &[&str], columns: &[&[f64]]) -> Predictions {
        Predictions {
            classes: names(&["A".into(), "B".into()])[..columns.len()].to_vec(),
            positive: None,
            object_id: (0..labels.len()).map(|i| format!("o{i}")).collect(),
            repeat: vec![0; labels.len()],
            fold: vec![Some(0); labels.len()],
            label: labels
                .iter()
                .map(|label| Some((*label).to_owned()))
                .collect(),
            probability: columns.iter().map(|column| column.to_vec()).collect(),
        }
    }

    #[test]
    fn a_class_is_found_by_the_forest_that_has_not_seen_it() {
        let all = [0.5, 0.5, 0.5, 0.5];
        let without_a = [0.9, 0.8, 0.3, 0.2];
        let without_b = [0.9, 0.2, 0.8, 0.1];
        let scores = table(&["A", "A", "B", "B"], &[&all, &without_a, &without_b]);
        let classes = ["A".to_owned(), "B".to_owned(), "C".to_owned()];
        let unsure = [0.1, f64::NAN, 0.3, 0.4];
        let found = find(&scores, &classes[..2], Some(&unsure));
        assert_eq!((found[0].left_out, found[0].known), (Some(1.0), Some(0.5)));
        assert_eq!((found[0].unsure, found[0].objects), (Some(0.0), 2));
        // Of the four pairs of a B and an A, the B has the larger score in one.
        assert_eq!(found[1].left_out, Some(0.25));
        let text = report(&found);
        assert!(
            text.contains("| A | 2 | 1.0000 | 0.5000 | 0.0000 |"),
            "{text}"
        );
        assert!(text.contains("each left out: 0.6250."), "{text}");
        // A class without held-out objects has no figures, and the final fit does not count.
        let mut scores = table(&["A", "A"], &[&all[..2], &all[..2], &all[..2]]);
        scores.fold[0] = None;
        let found = find(&scores, &classes[..2], None);
        assert_eq!((found[0].left_out, found[0].objects), (None, 1));
        assert!(report(&found).contains("| B | 0 | - | - | - |"));
    }

    #[test]
    fn predictions_are_matched_by_object_and_repeat() {
        let scores = table(&["A", "A", "B"], &[&[0.1, 0.2, 0.3]]);
        let mut predictions = table(&["A", "B"], &[&[0.9, 0.2], &[0.1, 0.8]]);
        assert_eq!(unsure(&scores, &predictions)[..2], [1.0 - 0.9, 1.0 - 0.8]);
        assert!(unsure(&scores, &predictions)[2].is_nan());
        // One column is the probability of the positive class.
        predictions.classes.truncate(1);
        predictions.probability.truncate(1);
        assert_eq!(unsure(&scores, &predictions)[..2], [1.0 - 0.9, 1.0 - 0.8]);
        predictions.repeat[0] = 1;
        assert!(unsure(&scores, &predictions)[0].is_nan());
    }
}
