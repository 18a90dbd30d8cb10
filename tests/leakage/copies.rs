//! Copies of objects belong to their objects: a fit reads those of its training rows, and nothing else takes them.

use flow_engine::kind::Fault;
use flow_stages::table::FeatureWriter;
use flow_testkit::Project;

use crate::survey::{OBJECTS, evaluate, fails, id, passes, refused, survey};
use crate::{BOTH, evaluate_on, model_on, stage};

const COPIES: &str = r#"
[stages.copies]
use = "augment"
inputs = { curves = "ingest" }
copies = 2
[stages.flux_copies]
use = "flux"
inputs = { curves = "copies" }
"#;

fn augmented(stage: &str) -> String {
    format!("model.inputs.augmented=[\"{stage}\"]")
}

#[test]
fn a_fit_may_see_the_copies_of_its_rows() {
    let plain = passes(COPIES, &[]);
    let with = passes(COPIES, &[&augmented("flux_copies")]);
    assert_ne!(plain, with);
    // Through a choice of columns, too.
    let select = COPIES.to_owned() + &stage("select", BOTH) + "method = \"variance\"\n";
    passes(&select, &[&augmented("flux_copies"), &model_on("select")]);
}

#[test]
fn copies_are_no_objects() {
    let code = "flow::leakage::copies";
    for set in [
        model_on("flux_copies"),
        "model.inputs.features=[\"flux\", \"flux_copies\"]".to_owned(),
        "model.inputs.apply=[\"flux_copies\"]".to_owned(),
        "model.inputs.unlabelled=[\"flux_copies\"]".to_owned(),
    ] {
        refused(COPIES, &[&set], code);
    }
    // Nor do they choose columns, or fit a scaling.
    for kind in ["select", "scale", "impute", "scale_fold"] {
        let fitted =
            COPIES.to_owned() + &stage(kind, r#"features = "flux_copies", folds = "folds""#);
        refused(&fitted, &[], code);
    }
    // They are dealt to no folds, scored by nothing, and have no copies.
    let listed = COPIES.to_owned() + &stage("listed", r#"curves = "copies""#);
    refused(&listed, &["folds.inputs.objects=\"listed\""], code);
    let guess = COPIES.to_owned() + &stage("guess", r#"curves = "copies""#);
    refused(&guess, &[&evaluate_on("guess")], code);
    let again = "[stages.again]\nuse = \"augment\"\ninputs = { curves = \"copies\" }\n";
    refused(&format!("{COPIES}{again}"), &[], code);
}

#[test]
fn objects_are_no_copies() {
    refused("", &[&augmented("flux")], "flow::leakage::no_copies");
    // What a program made is looked at when it is there.
    let program = "[stages.mine]\nuse = \"command\"\nrun = [\"cp\", \"mine.arrow\", \"{out}\"]\n\
                   files = [\"mine.arrow\"]\noutputs = { out = \"f.arrow\" }\n";
    let made = |name: &dyn Fn(usize) -> String| {
        let project = survey(program);
        let file = std::fs::File::create(project.path("mine.arrow")).expect("a file");
        let columns = ["max".to_owned(), "first".to_owned()];
        let mut writer = FeatureWriter::new(file, &columns).expect("a writer");
        for i in 0..OBJECTS {
            writer.push(&[name(i)], &[i as f32, 1.0]).expect("writes");
        }
        writer.finish().expect("writes");
        project
    };
    let set = augmented("mine");
    for name in [&id as &dyn Fn(usize) -> String, &|i| format!("x{i:02}~1")] {
        fails(
            &made(name),
            &[&set],
            Fault::Data,
            "flow::leakage::no_copies",
        );
    }
    let (failures, report) = evaluate(&made(&|i| format!("o{i:02}~1")), &[&set]);
    assert!(failures.is_empty(), "{failures:?}");
    assert!(report.contains("held out by its fold"), "{report}");
}

#[test]
fn copies_keep_the_rules_of_their_objects() {
    let set = augmented("scale_all");
    let scaled = COPIES.to_owned() + &stage("scale_all", r#"features = "flux_copies""#);
    refused(&scaled, &[&set], "flow::leakage::whole_fit");
    // A scaling that was fitted in folds is not that of copies.
    let scaled = COPIES.to_owned() + &stage("scale_fold", BOTH);
    let sets = [model_on("scale_fold"), augmented("flux_copies")];
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    refused(&scaled, &sets, "flow::pipeline::copies");
}

/// A scaling that is a view is applied to copies as well: trees split both at the same rows as without it.
#[test]
fn copies_are_seen_through_the_views_of_their_objects() {
    let set = augmented("flux_copies");
    let plain = passes(COPIES, &[&set]);
    for kind in ["scale", "impute"] {
        let scaled = COPIES.to_owned() + &stage(kind, BOTH);
        assert_eq!(passes(&scaled, &[&set, &model_on(kind)]), plain, "{kind}");
    }
}

/// A survey whose last four objects have no label, with a pipeline that has a stage of the kind `careful`.
fn careful() -> Project {
    let project = survey(
        &(COPIES.to_owned()
            + &stage(
                "careful",
                r#"features = "flux", augmented = "flux_copies", unlabelled = "flux", folds = "folds""#,
            )),
    );
    crate::unlabelled::hide_last(&project);
    project
}

#[test]
fn a_fit_sees_the_copies_of_its_rows_alone() {
    let (failures, report) = evaluate(&careful(), &[&evaluate_on("careful")]);
    assert!(failures.is_empty(), "{failures:?}");
    assert!(report.contains("held out by its fold"), "{report}");
}

#[test]
fn early_stopping_is_not_judged_on_copies() {
    let sets = [
        augmented("flux_copies"),
        "model.early_stopping=3".to_owned(),
    ];
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    refused(COPIES, &sets, "flow::params::combination");
}
