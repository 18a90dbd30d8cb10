//! A second survey through `format = "csv"`: other column names, four bands, several classes, no
//! code changed.

use flow_testkit::survey::Survey;

#[test]
fn another_survey_with_a_positive_class_gives_metrics() {
    let project = Survey::default().project();
    let run = project.run(&["survey.toml"]);
    let metrics = &run.ok()["metrics"]["evaluate"];
    assert!(
        metrics["f1"]["pooled"].as_f64().is_some_and(|v| v > 0.8),
        "{metrics}"
    );
    assert_eq!(
        metrics["confusion"]["classes"],
        serde_json::json!(["rest", "Ia"])
    );
}

#[test]
fn another_survey_without_one_gives_macro_metrics() {
    let project = Survey::of("").project();
    let run = project.run(&["survey.toml"]);
    let metrics = &run.ok()["metrics"]["evaluate"];
    assert!(
        metrics["f1"]["pooled"].as_f64().is_some_and(|v| v > 0.8),
        "{metrics}"
    );
    assert_eq!(
        metrics["confusion"]["classes"],
        serde_json::json!(["Ia", "KN", "other"])
    );
    let submission = project.read("out/submission.csv");
    let mut predicted: Vec<&str> = submission
        .lines()
        .skip(1)
        .filter_map(|l| l.split(',').nth(1))
        .collect();
    predicted.sort_unstable();
    predicted.dedup();
    assert_eq!(predicted, ["Ia", "KN", "other"]);
}
