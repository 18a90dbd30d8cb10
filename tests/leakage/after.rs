//! The kinds that come after a model, `calibrate`, `threshold` and `stack`: what they may learn from.

use flow_engine::kind::Fault;
use flow_testkit::Project;

use crate::survey::{class, evaluate, fails, load, passes, refused, run, survey};
use crate::{BOTH, RANDOM, evaluate_on, model_on, stage};

/// The kinds that learn from out-of-fold predictions.
const AFTER: [&str; 3] = ["calibrate", "threshold", "stack"];

/// A stage of the kind on the predictions of `of`.
fn after(kind: &str, of: &str) -> String {
    match kind {
        "stack" => stage(kind, &format!("predictions = [\"{of}\"]")),
        _ => stage(kind, &format!("predictions = \"{of}\"")),
    }
}

#[test]
fn nothing_is_learned_from_predictions_of_rows_that_were_in_sight() {
    for (leaky, inputs) in [
        ("calibrate_all", r#"predictions = "model""#),
        ("lookup", r#"curves = "ingest""#),
        ("final_fit", BOTH),
    ] {
        for kind in AFTER {
            let more = stage(leaky, inputs) + &after(kind, leaky);
            refused(&more, &[], "flow::leakage::in_sample");
            // The message names both stages.
            let diags = load(&survey(&more), &[]).err().expect("refused");
            let message = &diags[0].message;
            assert!(message.contains(&format!("`{kind}`")), "{message}");
            assert!(message.contains(&format!("`{leaky}`")), "{message}");
        }
    }
}

#[test]
fn nothing_is_learned_from_rows_that_were_fitted_on() {
    for kind in AFTER {
        let shifted = stage("shifted", r#"predictions = "model""#) + &after(kind, "shifted");
        let careless = stage("careless", BOTH) + &after(kind, "careless");
        for more in [shifted, careless] {
            fails(&survey(&more), &[], Fault::Data, "flow::leakage::fit_row");
        }
        // The stage refuses a torn group, and so does the evaluation of the model.
        let torn = stage("torn_folds", r#"objects = "ingest""#) + &after(kind, "model");
        let project = survey(&torn);
        project.replace("objects.csv", "o04,A,g2", "o04,A,g0");
        let (failures, _) = run(&project, &["model.inputs.folds=\"torn_folds\""], kind);
        let codes: Vec<&str> = failures.iter().map(|error| error.code.as_str()).collect();
        assert_eq!(codes, ["flow::leakage::sibling"; 2]);
    }
}

#[test]
fn predictions_of_other_folds_do_not_come_in() {
    let code = "flow::pipeline::two_folds";
    for kind in ["calibrate", "threshold"] {
        // Learned on random folds, stacked or judged with grouped ones.
        let stacked = RANDOM.to_owned()
            + &after(kind, "other")
            + "[stages.both]\nuse = \"stack\"\ninputs = { predictions = [\"model\", \"KIND.predictions\"] }\n"
                .replace("KIND", kind)
                .as_str();
        refused(&stacked, &[], code);
        // A program cannot pass them off as others.
        let program = "[stages.program]\nuse = \"command\"\nrun = [\"cp\", \"{p}\", \"{out}\"]\n\
                       inputs = { p = \"other.predictions\", by = \"folds\" }\noutputs = { out = \"p.parquet\" }\n";
        let more = format!("{RANDOM}{program}{}", after(kind, "program"));
        let diags = load(&survey(&more), &[]).err().expect("refused");
        assert!(
            diags.iter().any(|diag| diag.code.as_str() == code),
            "{diags:?}"
        );
    }
}

#[test]
fn what_they_learned_trains_no_model_of_the_same_folds() {
    for kind in AFTER {
        let turned = after(kind, "model")
            + &stage("turned", &format!("predictions = \"{kind}.predictions\""));
        refused(&turned, &[&model_on("turned")], "flow::pipeline::cycle");
        let second = turned
            + "[stages.second]\nuse = \"model\"\ninputs = { features = [\"turned\"], folds = \"folds\" }\n";
        refused(&second, &[], "flow::leakage::joined");
    }
    // Nor do the maps and thresholds of all folds reach a program below them.
    for (kind, output) in [
        ("calibrate", "model"),
        ("threshold", "threshold"),
        ("stack", "model"),
    ] {
        for (file, code) in [
            ("m", "flow::command::fold_rows"),
            ("train", "flow::leakage::joined"),
        ] {
            let program = format!(
                "{}[stages.program]\nuse = \"command\"\nscope = \"fold\"\nrun = [\"cp\", \"{{{file}}}\", \"{{out}}\"]\n\
                 inputs = {{ m = \"{kind}.{output}\", features = \"flux\", folds = \"folds\" }}\noutputs = {{ out = \"m\" }}\n",
                after(kind, "model")
            );
            refused(&program, &[], code);
        }
    }
}

/// Decisions at the final threshold were made with all rows in sight; what a program makes of decisions is not scored.
#[test]
fn decisions_are_no_predictions() {
    let program = "[stages.program]\nuse = \"command\"\nrun = [\"cp\", \"{d}\", \"{out}\"]\n\
                   inputs = { d = \"threshold.decisions\" }\noutputs = { out = \"p.parquet\" }\n";
    let more = after("threshold", "model") + program;
    refused(
        &more,
        &[&evaluate_on("program")],
        "flow::leakage::in_sample",
    );
    let direct = after("threshold", "model");
    refused(
        &direct,
        &[&evaluate_on("threshold.decisions")],
        "flow::pipeline::port_type",
    );
}

/// The class of an object, another one in fold 0.
fn other_labels(project: &Project, fold: &dyn Fn(usize) -> bool) {
    let objects = (0..crate::OBJECTS).map(|i| {
        let class = match (fold(i), class(i)) {
            (false, class) => class,
            (true, "A") => "B",
            (true, _) => "A",
        };
        format!("{},{class},g{}", crate::id(i), i / 2)
    });
    let text = flow_testkit::survey::csv("object_id,label,group", objects);
    project.write("objects.csv", text);
}

#[test]
fn honest_pipelines_calibrate_and_choose() {
    for kind in AFTER {
        let sets = [evaluate_on(&format!("{kind}.predictions"))];
        let report = passes(&after(kind, "model"), &[&sets[0]]);
        assert!(report.contains("- Cross-fitted"), "{kind}: {report}");
    }
    // One after the other, and with everything set.
    let chain = after("stack", "model")
        + "[stages.calibrate]\nuse = \"calibrate\"\ninputs = { predictions = \"stack\" }\nmethod = \"platt\"\n"
        + "[stages.threshold]\nuse = \"threshold\"\ninputs = { predictions = \"calibrate\" }\nprior = { A = 0.1 }\n"
        + "[metrics]\nheadline = \"threshold.f1_decided\"\n";
    let report = passes(&chain, &[&evaluate_on("threshold.predictions")]);
    assert!(report.contains("- Cross-fitted"), "{report}");
    // Other labels are other figures, but the pipeline stays honest.
    let project = survey(&chain);
    other_labels(&project, &|i| i < 6);
    let (failures, other) = evaluate(&project, &[&evaluate_on("threshold.predictions")]);
    assert!(failures.is_empty() && other != report, "{failures:?}");
    let (failures, threshold) = run(&project, &[], "threshold");
    assert!(failures.is_empty(), "{failures:?}");
    let text = String::from_utf8(threshold).expect("text");
    assert!(text.contains("\"rule\": \"f1\""), "{text}");
}
