//! Groupings of classes as values that a study searches, and that variants compare.

use flow_testkit::Project;
use flow_testkit::survey::Survey;

/// The same rules in another order are another grouping: in the last one, all KN are `other`.
const CHOICES: &str = r#"choice = [
    { Ia = ["Ia", "Ia-*"], rest = ["*"] },
    { Ia = ["Ia", "Ia-*"], II = ["II*"], KN = ["KN"], rest = ["*"] },
    { Ia = ["Ia", "Ia-*"], "II or KN" = ["II*", "KN"] },
    { Ia = ["Ia", "Ia-*"], other = ["*"], KN = ["KN"] },
]"#;

fn project(stratify: &str, choices: &str) -> Project {
    let project = Survey::of("Ia").project();
    project.replace("survey.toml", "k = 3", &format!("k = 3\n{stratify}"));
    project.replace("survey.toml", "rounds = 20", "rounds = 5");
    let text = project.read("survey.toml");
    let text = format!(
        "{text}\n[metrics]\nheadline = \"evaluate.f1\"\n\n[tune]\nsampler = \"grid\"\n\n\
         [tune.space]\n\"ingest.classes\" = {{ {choices} }}\n"
    );
    project.write("survey.toml", text);
    project
}

#[test]
fn a_study_searches_groupings_of_classes() {
    let project = project("stratify = \"label\"", CHOICES);
    let run = project.json(&["tune", "survey.toml", "--apply", "tuned.toml"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let study = run.events.last().expect("an event");
    let trials = study["trials"].as_array().expect("trials");
    assert_eq!(trials.len(), 4);
    for trial in trials {
        assert_eq!(trial["state"], "complete", "{trial}");
    }
    // The rules keep their order, in which the first match wins.
    let classes = trials[3]["values"]["ingest.classes"].as_object();
    let names: Vec<&String> = classes.expect("classes").keys().collect();
    assert_eq!(names, ["Ia", "other", "KN"]);
    assert_eq!(study["configurations"], 5, "the pipeline and four trials");
    let table = project.flow(&["tune", "survey.toml"]).with(0);
    table.says("Ia+II+KN+rest");
    let csv = project.read("out/tune/survey/trials.csv");
    assert!(csv.contains("\"\"II or KN\"\" = "), "{csv}");

    let tuned = project.run(&["tuned.toml"]);
    let value = tuned.ok()["metrics"]["evaluate"]["pr_auc"]["pooled"].clone();
    assert_eq!(value, study["best"]["value"]);
}

#[test]
fn a_grouping_with_other_positives_is_not_compared() {
    let choices =
        "choice = [{ Ia = [\"Ia*\"], rest = [\"*\"] }, { Ia = [\"Ia-norm\"], rest = [\"*\"] }]";
    let project = project("stratify = \"label\"", choices);
    let run = project.json(&["tune", "survey.toml"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let trials = &run.events.last().expect("an event")["trials"];
    assert_eq!(trials[0]["state"], "complete");
    let error = trials[1]["error"].as_str().expect("a reason");
    assert!(
        error.contains("other objects, positives or folds"),
        "{error}"
    );
}

#[test]
fn folds_must_not_follow_the_classes_that_are_searched() {
    let run = project("", CHOICES).json(&["tune", "survey.toml"]);
    run.with(2)
        .says("flow::tune::folds")
        .says("stratify = \"label\"");
}

#[test]
fn variants_compare_groupings_on_the_same_folds() {
    let project = project("stratify = \"label\"", CHOICES);
    let text = project.read("survey.toml");
    let grid = "\n[variants.group.grid]\n\"ingest.classes\" = [\n\
                { Ia = [\"Ia*\"], rest = [\"*\"] },\n\
                { Ia = [\"Ia*\"], II = [\"II*\"], KN = [\"KN\"] },\n]\n";
    project.write("survey.toml", text + grid);
    let ended = project.flow(&["ablate", "survey.toml"]).with(0);
    ended.says("group[classes=Ia+rest]");
    let json = project.read("out/ablation/survey/ablation.json");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let rows = json["schemes"][0]["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 3);
    for row in &rows[1..] {
        assert!(row["comparison"].is_object(), "{row}");
    }
}
