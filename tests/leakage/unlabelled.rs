//! Labels that a model gives train a model, and are never what it is scored by.

use flow_engine::kind::Fault;
use flow_testkit::Project;

use crate::survey::{OBJECTS, class, evaluate, fails, id, refused, survey};
use crate::{BOTH, FEATURES, evaluate_on, stage};

const UNLABELLED: &str = "model.inputs.unlabelled=[\"flux\"]";

/// Takes the labels of the last four objects, which are two groups, from the survey.
pub fn hide_last(project: &Project) {
    for i in OBJECTS - 4..OBJECTS {
        let row = |label: &str| format!("{},{label},g{}", id(i), i / 2);
        project.replace("objects.csv", &row(class(i)), &row(""));
    }
}

fn with_unlabelled(more: &str) -> Project {
    let project = survey(more);
    hide_last(&project);
    project
}

#[test]
fn a_model_may_label_what_has_no_label() {
    let report = |sets: &[&str]| {
        let (failures, report) = evaluate(&with_unlabelled(""), sets);
        assert!(failures.is_empty(), "{failures:?}");
        assert!(report.contains("held out by its fold"), "{report}");
        report
    };
    let plain = report(&[]);
    let sure = [UNLABELLED, "model.pseudo_confidence=0.5"];
    assert_ne!(plain, report(&sure));
    // It is never sure beyond doubt, and so nothing changes.
    let never = [
        UNLABELLED,
        "model.pseudo_confidence=1.0",
        "model.pseudo_rounds=3",
    ];
    assert_eq!(plain, report(&never));
}

#[test]
fn there_must_be_something_to_label() {
    fails(
        &survey(""),
        &[UNLABELLED],
        Fault::Data,
        "flow::data::no_unlabelled",
    );
    refused("", &["model.pseudo_rounds=2"], "flow::params::combination");
    refused(
        "",
        &[UNLABELLED, "model.early_stopping=2"],
        "flow::params::combination",
    );
}

#[test]
fn no_object_is_scored_by_the_label_that_a_model_gave_it() {
    let project = with_unlabelled(&stage("own_labels", r#"predictions = "model""#));
    let sets = [UNLABELLED, &evaluate_on("own_labels")];
    fails(&project, &sets, Fault::Data, "flow::leakage::own_label");
}

#[test]
fn unlabelled_rows_keep_the_rules_of_the_others() {
    let to = |stage: &str| format!("model.inputs.unlabelled=[\"{stage}\"]");
    refused(
        &stage("scale_all", FEATURES),
        &[&to("scale_all")],
        "flow::leakage::whole_fit",
    );
    refused(
        &stage("scale_peek", BOTH),
        &[&to("scale_peek")],
        "flow::leakage::all_rows",
    );
    // What the other folds' models say of an object is no feature of it, with or without a label.
    let second = "[stages.second]\nuse = \"model\"\ninputs = { features = [\"flux\"], unlabelled = [\"turned\"], folds = \"folds\" }\n";
    let turned = stage("turned", r#"predictions = "model""#) + second;
    refused(&turned, &[], "flow::leakage::joined");
}
