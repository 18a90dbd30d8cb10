//! Kind `submission`: writes the predictions of the final fit for unlabelled objects, as CSV.

use flow_cache::Value;
use flow_engine::kind::{
    Action, InputPort, KindSpec, OutputPort, Ports, Scope, Stage, StageError, Step,
};
use flow_engine::{ParamType, Params, params};

use crate::evaluation::Estimate;
use crate::table::{PredictionReader, Predictions};

/// The kind.
pub struct Submission;

params! {
    struct SubmissionParams<'a> {
        id_column: &'a str = new(ParamType::Str, "Header of the first column.").or("object_id".into());
        prediction_column: &'a str = new(ParamType::Str, "Header of the second column: 1 or 0 for the positive class at the threshold; the most probable class where there is no positive one.").or("prediction".into());
        probability: bool = bool(false, "Add P(positive) as a third column, `probability`.");
    }
}

impl Stage for Submission {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "submission",
            version: 1,
            about: "Writes the predicted class of every unlabelled object as CSV",
            ports: Ports {
                inputs: vec![
                    InputPort::one("predictions", "predictions"),
                    InputPort::one("threshold", "threshold"),
                ],
                outputs: vec![OutputPort::of(
                    "submission",
                    "submission",
                    0,
                    "one line an object",
                )],
            },
            params: SubmissionParams::specs(),
            steps: vec![
                Step::new("write", Scope::Whole)
                    .port("predictions")
                    .port("threshold")
                    .writes("submission"),
            ],
        }
    }

    fn opaque(&self, _params: &Params, _output: &str) -> bool {
        true
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let mut predictions = PredictionReader::open(&action.one("predictions")?.path)?;
        let chosen = Chosen::read(action)?;
        let classes = predictions.classes();
        let positive = classes.positive.as_ref();
        let positive = positive.and_then(|p| classes.classes.iter().position(|c| c == p));
        let params = SubmissionParams::read(action.params);
        let mut header = vec![params.id_column, params.prediction_column];
        if params.probability {
            header.push("probability");
        }
        let mut csv = csv::Writer::from_writer(action.create()?);
        let broken = |e: csv::Error| StageError::environment(e.to_string()).with_source(e);
        csv.write_record(&header).map_err(broken)?;
        let (mut rows, mut positives) = (0, 0);
        while let Some(some) = predictions.next()? {
            action.checkpoint()?;
            for i in (0..some.len()).filter(|&i| some.fold[i].is_none()) {
                let (prediction, probability) = match positive {
                    Some(column) => {
                        let p = some.probability[column][i];
                        let positive = p >= chosen.threshold.ok_or_else(no_threshold)?;
                        positives += usize::from(positive);
                        (u8::from(positive).to_string(), p)
                    }
                    None => most_probable(&some, i),
                };
                let mut record = vec![some.object_id[i].clone(), prediction];
                if params.probability {
                    record.push(probability.to_string());
                }
                csv.write_record(&record).map_err(broken)?;
                rows += 1;
            }
        }
        let writer = csv.into_inner().map_err(|e| e.into_error())?;
        let mut notes = Vec::new();
        if positive.is_some() {
            let share = 100.0 * positives as f64 / rows.max(1) as f64;
            let finds = chosen.expected(positives);
            let note = format!(
                "{positives} of {rows} unlabelled objects predicted positive ({share:.1} %){finds}"
            );
            notes.push(Value::Str(note));
        }
        let attrs = vec![
            ("notes".to_owned(), Value::List(notes)),
            ("rows".to_owned(), Value::Int(rows)),
        ];
        action.finish("submission", writer, attrs)
    }
}

fn no_threshold() -> StageError {
    StageError::data(
        "flow::data::no_threshold",
        "there is a positive class but no threshold: no labelled object is positive",
    )
    .help("the labelled objects that are scored are all of other classes: check `positive` and `classes` of the `ingest` stage")
}

/// What was chosen on labelled objects: the threshold, and the precision that its choice had there.
#[derive(serde::Deserialize)]
struct Chosen {
    threshold: Option<f64>,
    #[serde(default)]
    precision: Option<Estimate>,
}

impl Chosen {
    fn read(action: &Action<'_>) -> Result<Self, StageError> {
        let bytes = std::fs::read(&action.one("threshold")?.path)?;
        serde_json::from_slice(&bytes).map_err(|e| {
            StageError::data("flow::data::schema", "the threshold is unreadable").because(e)
        })
    }

    /// How many of the objects that are predicted positive are expected to be so.
    fn expected(&self, positives: usize) -> String {
        let count = |share: f64| format!("{:.0}", share * positives as f64);
        self.precision.map_or(String::new(), |precision| {
            format!(
                "; at the precision of the cross-validation, {} of them are true finds (95 %: {} to {})",
                count(precision.value),
                count(precision.low),
                count(precision.high)
            )
        })
    }
}

fn most_probable(predictions: &Predictions, row: usize) -> (String, f64) {
    let mut best = (String::new(), f64::NEG_INFINITY);
    for (class, column) in predictions.classes.iter().zip(&predictions.probability) {
        if column[row] > best.1 {
            best = (class.clone(), column[row]);
        }
    }
    best
}
