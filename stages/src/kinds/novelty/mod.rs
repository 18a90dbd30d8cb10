//! Kind `novelty`: says how unlike the training rows of a fold an object is, whatever its class.
//!
//! An isolation forest says what lies outside of all that is known, a classifier what lies between the classes. Both are
//! fitted on each fold's training rows, and once more without each class. So the report can say how well a class would
//! stand out that nobody had labeled.

mod fitted;
mod report;

use flow_engine::kind::{
    Action, InputPort, KindSpec, OutputPort, Ports, Rows, Scope, Stage, StageError, Step,
};
use flow_engine::{Params, params, words};

use self::fitted::Fitted;
use self::report::{find, report, unsure};
use crate::rows::{self, ApplyRows, TrainRows};
use crate::table::{Folds, Predictions, row_attrs};

/// The kind.
pub struct NoveltyKind;

const FIT: usize = 0;
const APPLY: usize = 1;
const GATHER: usize = 2;
const SCORE: usize = 3;

/// What says how novel an object is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum NoveltyMethod {
    /// The product of the other two.
    Both,
    /// How unsure a classifier is.
    Classifier,
    /// How easily an isolation forest tells it apart.
    Forest,
}

words!(NoveltyMethod { Both = "both", Classifier = "classifier", Forest = "forest" });

impl NoveltyMethod {
    fn uses_forest(self) -> bool {
        self != Self::Classifier
    }

    fn uses_classifier(self) -> bool {
        self != Self::Forest
    }

    /// The scores that the method gives, of which the first is the one to use.
    fn scores(self) -> &'static [&'static str] {
        match self {
            Self::Both => &["novelty", "forest", "classifier"],
            Self::Classifier | Self::Forest => &["novelty"],
        }
    }
}

params! {
    struct NoveltyParams {
        method: NoveltyMethod = word(NoveltyMethod::Both, "What is novel: what a `classifier` is unsure of, what an isolation `forest` easily tells apart from the rest, or the product of both.");
        rounds: usize = int(50, 1, 10_000, "Boosting rounds of each classifier.").only("method", &["both", "classifier"]);
        trees: usize = int(200, 1, 10_000, "Trees of each forest.").only("method", &["both", "forest"]);
        sample: usize = int(256, 2, 65_536, "Training rows that are drawn for each tree.").only("method", &["both", "forest"]);
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
                        "object_id, repeat, fold (null for the final fit), label, novelty, novelty_without_<class>..., and with both methods the same of forest and classifier",
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
            GATHER => rows::gather_scores(action, "part", "scores"),
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
            .writes("fitted")
            .seeded(),
        Step::new("apply", Scope::FoldShard)
            .rows("features", Rows::Apply)
            .after(FIT, "fitted")
            .writes("part"),
        gathered("gather").writes("scores"),
        match compared {
            true => score.port("predictions"),
            false => score,
        }
        .writes("report"),
    ]
}

fn fit(action: &mut Action<'_>) -> Result<(), StageError> {
    let rows = TrainRows::read(action)?;
    let bytes = Fitted::fit(action, &rows)?.to_bytes()?;
    action.write("fitted", &bytes, Vec::new())
}

fn apply(action: &mut Action<'_>) -> Result<(), StageError> {
    let fitted = Fitted::from_bytes(&std::fs::read(&action.one("fitted")?.path)?)?;
    let rows = ApplyRows::read(action)?;
    let n = rows.object_id.len();
    let part = Predictions {
        classes: names(fitted.method, &fitted.classes),
        positive: None,
        repeat: vec![0; n],
        fold: vec![None; n],
        label: vec![None; n],
        probability: fitted.scores(&rows.features, n)?,
        object_id: rows.object_id,
    };
    let attrs = row_attrs(&part.object_id);
    let mut writer = action.create()?;
    part.write(&mut writer)?;
    action.finish("part", writer, attrs)
}

/// The names of the columns of scores: each score of the method on all classes and then without each class.
fn names(method: NoveltyMethod, classes: &[String]) -> Vec<String> {
    let mut names = Vec::new();
    for score in method.scores() {
        names.push((*score).to_owned());
        names.extend(
            classes
                .iter()
                .map(|class| format!("{score}_without_{class}")),
        );
    }
    names
}

fn score(action: &mut Action<'_>) -> Result<(), StageError> {
    let path = &action.one("folds")?.path;
    let folds = Folds::labelled(path)?;
    let scores = rows::gathered_out_of_fold(action, "part", &folds)?;
    let unsure = match action.input("predictions") {
        [] => None,
        _ => {
            let predictions = &action.one("predictions")?.path;
            let predictions = Predictions::read_out_of_fold(predictions)?;
            rows::held_out(&predictions, &rows::folds_of(&predictions, path)?)?;
            Some(unsure(&scores, &predictions))
        }
    };
    let method = NoveltyParams::read(action.params).method;
    let found = find(&scores, &folds.classes, unsure.as_deref());
    action.write(
        "report",
        report(method.scores(), &found).as_bytes(),
        Vec::new(),
    )
}
