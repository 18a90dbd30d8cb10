//! A second survey through `format = "csv"`: other column names, four bands, several classes, no
//! code changed.

use std::fmt::Write as _;

use crate::harness::Project;

/// How large a survey is.
pub struct Survey {
    /// Labelled objects a file.
    pub labelled: usize,
    /// Unlabelled objects in the last file.
    pub unlabelled: usize,
    /// Objects of a further file, all unlabelled; none for no file.
    pub extra_unlabelled: usize,
    /// The class that counts as positive; empty for macro metrics.
    pub positive: &'static str,
}

impl Default for Survey {
    fn default() -> Self {
        Self {
            labelled: 60,
            unlabelled: 20,
            extra_unlabelled: 0,
            positive: "Ia",
        }
    }
}

const CLASSES: [(&str, f64); 4] = [
    ("Ia-norm", 15.0),
    ("II-P", 60.0),
    ("KN", 4.0),
    ("Ia-91T", 20.0),
];

/// Exponential declines whose time scale tells the class, in other words than MALLORN's.
pub fn write_survey(project: &Project, survey: &Survey) {
    let mut objects = String::from("name,z_final,mwebv,sim_type\n");
    let mut number = 0;
    let mut file = |index: usize, labelled: usize, unlabelled: usize| {
        let mut text = String::from("name,jd,filter,fluxcal,fluxcal_err\n");
        for i in 0..labelled + unlabelled {
            let (class, scale) = CLASSES[number % 4];
            let label = if i < labelled { class } else { "" };
            let _ = writeln!(
                objects,
                "obj{number:04},0.{}{},0.0{},{label}",
                1 + number % 5,
                i % 10,
                number % 7
            );
            for visit in 0..30 {
                let time = f64::from(visit) * 4.0;
                let band = ["g", "r", "i", "z"][visit as usize % 4];
                let wobble = ((number * 31 + visit as usize * 17) % 23) as f64 / 23.0 - 0.5;
                let flux = if time < 20.0 {
                    0.0
                } else {
                    50.0 * (-(time - 20.0) / scale).exp()
                };
                let _ = writeln!(
                    text,
                    "obj{number:04},{},{band},{:.4},1.0",
                    59000.0 + time,
                    flux + wobble
                );
            }
            number += 1;
        }
        project.write(&format!("data/curves_{index}.csv"), text);
    };
    file(0, survey.labelled, 0);
    file(1, survey.labelled, survey.unlabelled);
    if survey.extra_unlabelled > 0 {
        file(2, 0, survey.extra_unlabelled);
    }
    project.write("data/objects.csv", objects);
    let positive = match survey.positive {
        "" => String::new(),
        class => format!("positive = \"{class}\"\n"),
    };
    project.write(
        "survey.toml",
        format!(
            r#"[pipeline]
name = "survey"

[stages.ingest]
use = "ingest"
format = "csv"
curves = "data/curves_*.csv"
objects = "data/objects.csv"
bands = ["g", "r", "i", "z"]
{positive}
[stages.ingest.columns]
object_id = "name"
time = "jd"
band = "filter"
flux = "fluxcal"
flux_err = "fluxcal_err"
label = "sim_type"
redshift = "z_final"
ebv = "mwebv"

[stages.ingest.classes]
Ia = ["Ia", "Ia-*"]
KN = "KN"
other = "*"

[stages.deredden]
use = "extinction"
inputs = {{ curves = "ingest" }}

[stages.domain]
use = "domain"
inputs = {{ curves = "deredden" }}

[stages.folds]
use = "folds"
inputs = {{ objects = "ingest" }}
k = 3

[stages.model]
use = "model"
inputs = {{ features = "domain", folds = "folds" }}
target = "classes"
rounds = 20

[stages.evaluate]
use = "evaluate"
inputs = {{ predictions = "model" }}

[stages.submission]
use = "submission"
inputs = {{ predictions = "model", threshold = "evaluate.threshold" }}

[outputs]
"out/submission.csv" = "submission"
"#
        ),
    );
}

#[test]
fn another_survey_with_a_positive_class_gives_metrics() {
    let project = Project::new();
    write_survey(&project, &Survey::default());
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
    let project = Project::new();
    let survey = Survey {
        positive: "",
        ..Survey::default()
    };
    write_survey(&project, &survey);
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
