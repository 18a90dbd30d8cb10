//! Estimators and transformers that leak. An interpreter that only pretends to be one is enough, since nothing of
//! this comes so far that it would be started for a fit.

use flow_engine::kind::Fault;
use flow_testkit::Project;
use flow_testkit::files::script;

use crate::survey::{fails, load, survey};

const ESTIMATOR: &str = r#"
[stages.estimator]
use = "estimator"
python = "./python"
class = "package.Class"
inputs = { features = "flux", folds = "folds" }
"#;

const TRANSFORMER: &str = r#"
[stages.transformer]
use = "transformer"
python = "./python"
class = "package.Class"
inputs = { features = "flux", folds = "folds" }
"#;

fn project(more: &str) -> Project {
    let project = survey(more);
    script(&project.path("python"), "echo pretends 1.0");
    project
}

/// The pipeline must be refused before anything runs, with this code alone, at a place, with a remedy.
fn refused(more: &str, sets: &[&str], code: &str) {
    let Err(diags) = load(&project(more), sets) else {
        panic!("{code}: not refused:\n{more}");
    };
    let mut codes: Vec<&str> = diags.iter().map(|diag| diag.code.as_str()).collect();
    codes.dedup();
    assert_eq!(codes, [code], "{diags:?}");
    assert!(
        !diags[0].labels.is_empty() && !diags[0].help.is_empty(),
        "{:?}",
        diags[0]
    );
}

#[test]
fn neither_is_fitted_outside_of_folds() {
    for text in [ESTIMATOR, TRANSFORMER] {
        load(&project(text), &[]).unwrap_or_else(|diags| panic!("{diags:?}"));
        let without = text.replace(", folds = \"folds\"", "");
        refused(&without, &[], "flow::pipeline::missing_input");
    }
}

#[test]
fn neither_is_fitted_on_out_of_fold_predictions_or_on_fits_of_all_rows() {
    let turned = "[stages.turned]\nuse = \"turned\"\ninputs = { predictions = \"model\" }\n";
    let scaled = "[stages.scale_all]\nuse = \"scale_all\"\ninputs = { features = \"flux\" }\n";
    for text in [ESTIMATOR, TRANSFORMER] {
        let on =
            |stage: &str| text.replace("features = \"flux\"", &format!("features = {stage:?}"));
        refused(
            &(turned.to_owned() + &on("turned")),
            &[],
            "flow::leakage::joined",
        );
        refused(
            &(scaled.to_owned() + &on("scale_all")),
            &[],
            "flow::leakage::whole_fit",
        );
    }
}

/// The predictions of an estimator are those of any model: no model of the same folds learns from them.
#[test]
fn predictions_of_an_estimator_train_no_model_of_the_same_folds() {
    let turned = "[stages.turned]\nuse = \"turned\"\ninputs = { predictions = \"estimator\" }\n";
    let more = format!("{ESTIMATOR}{turned}");
    refused(
        &more,
        &["model.inputs.features=[\"turned\"]"],
        "flow::leakage::joined",
    );
}

#[test]
fn neither_sees_a_label() {
    let table = "[stages.answers]\nuse = \"table\"\npath = \"answers.csv\"\n";
    for (text, name) in [(ESTIMATOR, "estimator"), (TRANSFORMER, "transformer")] {
        let more = format!(
            "{table}{}",
            text.replace("\"flux\"", "[\"flux\", \"answers\"]")
        );
        let set = match name {
            "estimator" => "evaluate.inputs.predictions=\"estimator\"",
            _ => "model.inputs.features=[\"transformer\"]",
        };
        fails(
            &project(&more),
            &[set],
            Fault::Data,
            "flow::leakage::label_column",
        );
    }
}
