//! The kind `novelty`: what it may see, and what it says of surveys with few classes.

use flow_engine::kind::Fault;
use flow_testkit::Project;
use flow_testkit::survey::csv;

use crate::survey::{OBJECTS, class, fails, id, refused, run, survey};
use crate::{BOTH, FEATURES, stage};

/// A stage of the kind on `features`.
fn on(features: &str, more: &str) -> String {
    stage(
        "novelty",
        &format!("features = [\"{features}\"], folds = \"folds\"{more}"),
    )
}

/// The survey with other labels and without models, for this method.
fn relabeled(method: &str, label: impl Fn(usize) -> &'static str) -> Project {
    let project = survey("");
    let object = |i| format!("{},{},g{}", id(i), label(i), i / 2);
    let objects = csv("object_id,label,group", (0..OBJECTS).map(object));
    project.write("objects.csv", objects);
    let text = std::fs::read_to_string(project.path("p.toml")).expect("a pipeline");
    let (text, _) = text.split_once("[stages.model]").expect("a model");
    let method = format!("method = \"{method}\"\n");
    project.write("p.toml", text.to_owned() + &on("flux", "") + &method);
    project
}

/// The report of a project.
fn report(project: &Project) -> String {
    let (failures, report) = run(project, &[], "novelty");
    assert!(failures.is_empty(), "{failures:?}");
    String::from_utf8(report).expect("text")
}

/// The figures of a class in a report: objects, then areas.
fn figures(report: &str, class: &str) -> Vec<String> {
    let row = report
        .lines()
        .find_map(|line| line.strip_prefix(&format!("| {class} | ")));
    let row = row.unwrap_or_else(|| panic!("no {class}: {report}"));
    row.trim_end_matches(" |")
        .split(" | ")
        .map(str::to_owned)
        .collect()
}

/// Novelty is fitted inside the folds, and is compared with out-of-fold predictions alone.
#[test]
fn novelty_keeps_the_rules() {
    refused(
        &(stage("scale_all", FEATURES) + &on("scale_all", "")),
        &[],
        "flow::leakage::whole_fit",
    );
    refused(
        &(stage("scale_peek", BOTH) + &on("scale_peek", "")),
        &[],
        "flow::leakage::all_rows",
    );
    let table = "[stages.table]\nuse = \"table\"\npath = \"answers.csv\"\n";
    let labels = table.to_owned() + &on("table", "");
    let code = "flow::leakage::label_column";
    fails(&survey(&labels), &[], Fault::Data, code);
    let greedy = stage("greedy", BOTH) + &on("flux", ", predictions = \"greedy\"");
    let code = "flow::leakage::fit_row";
    fails(&survey(&greedy), &[], Fault::Data, code);
    // Its scores train no model of the same folds.
    let second = on("flux", "")
        + "[stages.second]\nuse = \"model\"\ninputs = { features = [\"novelty.scores\"], folds = \"folds\" }\n";
    refused(&second, &[], "flow::pipeline::port_type");
}

/// Without one of two classes, a classifier has nothing to tell apart, and the forest stands in for it.
#[test]
fn two_classes_leave_the_forest_alone() {
    let with_model = report(&survey(&on("flux", ", predictions = \"model\"")));
    let row = figures(&with_model, "A");
    assert!(row[0] == "30" && row[5] != "-", "{with_model}");
    assert!(
        with_model.contains("fewer than three classes"),
        "{with_model}"
    );
    let both = report(&relabeled("both", class));
    let row = figures(&both, "A");
    assert_eq!((&row[1], row[3].as_str()), (&row[2], "-"), "{both}");
    assert!(row[1] != "-" && row[4] != "-" && row[5] == "-", "{both}");
    let forest = report(&relabeled("forest", class));
    assert_eq!(figures(&forest, "A")[1], row[2]);
    let classifier = report(&relabeled("classifier", class));
    let row = figures(&classifier, "A");
    assert!(row[1] == "-" && row[2] != "-", "{classifier}");
}

/// A class of two objects, which only one fold holds out, is left out as well as the others.
#[test]
fn a_class_may_have_few_objects() {
    let label = |i| if i < 2 { "C" } else { class(i) };
    let both = report(&relabeled("both", label));
    let classifier = report(&relabeled("classifier", label));
    let forest = report(&relabeled("forest", label));
    for class in ["A", "B", "C"] {
        let row = figures(&both, class);
        assert!(row[..5].iter().all(|figure| figure != "-"), "{both}");
        assert_eq!(row[2], figures(&forest, class)[1]);
        assert_eq!(row[3], figures(&classifier, class)[1]);
    }
    assert_eq!(figures(&both, "C")[0], "2");
    assert!(!both.contains("fewer than three classes"), "{both}");
}

/// Among objects of one class, only a forest finds anything unusual.
#[test]
fn one_class_needs_a_forest() {
    let one = |method| relabeled(method, |_| "A");
    let code = "flow::novelty::classes";
    fails_alone(&one("classifier"), code);
    for method in ["forest", "both"] {
        let (failures, _) = run(&one(method), &[], "novelty");
        assert!(failures.is_empty(), "{method}: {failures:?}");
    }
}

/// The project fails by the fault of its data, with a remedy.
fn fails_alone(project: &Project, code: &str) {
    let (failures, _) = run(project, &[], "novelty");
    assert!(!failures.is_empty(), "{code}: nothing failed");
    for error in failures {
        assert_eq!(
            (error.code.as_str(), error.fault),
            (code, Fault::Data),
            "{error:?}"
        );
        assert!(
            error.help.iter().any(|help| help.contains("forest")),
            "{error:?}"
        );
    }
}
