//! The kind `stack_network`.

use flow_neural::kinds::registry;
use flow_stages::table::Predictions;
use flow_testkit::local;

use crate::common::{ports, predictions, project};

const STACK: &str = r#"
[stages.trees]
use = "model"
inputs = { features = "domain", folds = "folds" }
target = "TARGET"
rounds = 20

[stages.linear]
use = "model"
inputs = { features = "domain", folds = "folds" }
target = "TARGET"
learner = "logistic"

[stages.stack]
use = "stack_network"
inputs = { predictions = ["trees", "linear"] }
epochs = 40
learning_rate = 0.02
"#;

/// The mean probability of the true class over the rows that have a label.
fn of_the_truth(predictions: &Predictions) -> f64 {
    let rows = (0..predictions.len()).filter_map(|row| {
        let label = predictions.label[row].as_ref()?;
        let place = predictions.classes.iter().position(|class| class == label);
        Some(match place {
            Some(place) => predictions.probability[place][row],
            None => 1.0 - predictions.probability[0][row],
        })
    });
    let p: Vec<f64> = rows.collect();
    p.iter().sum::<f64>() / p.len() as f64
}

#[test]
fn a_stack_learns_from_the_other_folds_and_is_as_good_as_its_models() {
    for target in ["binary", "classes"] {
        let project = project(&STACK.replace("TARGET", target));
        let found = ports(&project, "stack", "one", 2);
        let stacked = predictions(&found["predictions"]);
        let trees = predictions(&ports(&project, "trees", "one", 2)["predictions"]);
        assert_eq!(stacked.object_id, trees.object_id);
        assert_eq!(stacked.classes, trees.classes);
        assert_ne!(stacked.probability, trees.probability);
        for row in 0..stacked.len() {
            let sum: f64 = stacked.probability.iter().map(|column| column[row]).sum();
            let whole = stacked.classes.len() == 1 || (sum - 1.0).abs() < 1e-6;
            assert!(whole && sum.is_finite(), "row {row}: {sum}");
        }
        let (stacked_p, trees_p) = (of_the_truth(&stacked), of_the_truth(&trees));
        assert!(stacked_p > trees_p - 0.1, "{target}: {stacked_p} {trees_p}");
        let again = ports(&project, "stack", "two", 1);
        assert_eq!(
            again["predictions"].digest().unwrap(),
            found["predictions"].digest().unwrap(),
            "{target}"
        );
    }
}

#[test]
fn one_fold_leaves_nothing_to_learn_from() {
    let project = project(&STACK.replace("TARGET", "binary"));
    let text = std::fs::read_to_string(project.path("p.toml")).unwrap();
    project.write("p.toml", text.replace("k = 3", "k = 3\nonly = [\"0.0\"]"));
    let pipeline = local::sound(&project, "p.toml", &[], &registry());
    let run = local::run(&pipeline, &project.path(".flow"), 2);
    let (_, error) = run.finished.failures.first().expect("a failure");
    assert_eq!(error.code.as_str(), "flow::data::one_fold");
}
