//! `flow errors`: the objects that an evaluation has wrong.

use serde_json::Value as Json;

use flow_testkit::Project;
use flow_testkit::files::{entries, read, write};
use flow_testkit::program::Ended;
use flow_testkit::store::artifact;
use flow_testkit::survey::Survey;

/// A survey in which some objects have the label of another class, so that something has to be wrong; it has run
/// with some values set.
fn ran(survey: &Survey, sets: &[&str]) -> Project {
    let project = survey.project();
    let objects = project.read("data/objects.csv");
    let lines = objects.lines().enumerate().map(|(at, line)| match at % 9 {
        4 => line.replace("Ia-norm", "KN").replace("II-P", "Ia-norm") + "\n",
        _ => format!("{line}\n"),
    });
    project.write("data/objects.csv", lines.collect::<String>());
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let run = ["survey.toml", "--to", "evaluate"];
    project.run(&[&run, &sets[..]].concat()).ok();
    project
}

fn listed(project: &Project, args: &[&str]) -> Json {
    let ended = project.json(&[&["errors"], args].concat()).with(0);
    ended.event("errors-listed").clone()
}

fn of(list: &Json) -> u64 {
    list["of"].as_u64().expect("a number")
}

fn scores(list: &Json) -> Vec<f64> {
    let objects = list["objects"].as_array().expect("objects").iter();
    objects
        .map(|object| object["score"].as_f64().expect("a score"))
        .collect()
}

/// The counts of the confusion matrix of the last run.
fn counts(project: &Project) -> Json {
    let shown = project.json(&["runs", "show", "last"]).with(0).events;
    shown[0]["metrics"]["evaluate"]["confusion"]["counts"].clone()
}

#[test]
fn errors_are_those_of_the_confusion_matrix_the_worst_first() {
    let project = ran(&Survey::of("Ia"), &[]);
    let event = listed(&project, &["last", "evaluate", "--top", "1000"]);
    let counts = counts(&project);
    let lists = event["lists"].as_array().expect("lists");
    let names: Vec<&str> = lists
        .iter()
        .filter_map(|list| list["list"].as_str())
        .collect();
    assert_eq!(names, ["false_positives", "false_negatives"]);
    assert_eq!(
        [of(&lists[0]), of(&lists[1])],
        [&counts[0][1], &counts[1][0]].map(|n| n.as_u64().expect("a count"))
    );
    assert!(of(&lists[0]) > 0 && of(&lists[1]) > 0, "{event}");
    assert!(scores(&lists[0]).is_sorted_by(|a, b| a >= b), "{event}");
    assert!(scores(&lists[1]).is_sorted(), "{event}");
    assert_eq!(
        (&event["objects"], &event["positive"]),
        (&120.into(), &"Ia".into())
    );
    assert_eq!(
        (&event["predictions"], &event["curves"]),
        (&"model".into(), &"deredden".into())
    );
    for (list, is_positive) in [(&lists[0], false), (&lists[1], true)] {
        for object in list["objects"].as_array().expect("objects") {
            assert_eq!(object["class"] == "Ia", is_positive, "{object}");
            assert_eq!(object["predicted"] == "Ia", !is_positive, "{object}");
            let at_least = object["score"].as_f64() >= object["threshold"].as_f64();
            assert_eq!(at_least, !is_positive, "{object}");
            // Every object of the survey has a decline from 50 microjansky in 30 visits.
            assert_eq!(
                (&object["points"], &object["wrong"]),
                (&30.into(), &1.into())
            );
            let magnitude = object["peak"]["magnitude"].as_f64().expect("a magnitude");
            assert!((19.0..21.0).contains(&magnitude), "{object}");
        }
    }
    let one = listed(&project, &["--top", "0"]);
    assert_eq!(
        (of(&one["lists"][0]), scores(&one["lists"][0])),
        (of(&lists[0]), vec![])
    );
}

#[test]
fn people_see_light_curves_in_colors_if_they_want() {
    let project = ran(&Survey::of("Ia"), &[]);
    let plain = project.flow(&["errors"]).with(0).stdout;
    assert!(
        plain.contains("false positives: taken for Ia and of another class"),
        "{plain}"
    );
    assert!(
        plain.contains("light curves of `deredden`, up to 100 days before the peak and 300 after")
    );
    assert!(plain.contains("  g ") && plain.contains('█'), "{plain}");
    assert!(!plain.contains('\u{1b}'));
    for line in plain.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let colored = project
        .flow(&["errors", "--color", "always"])
        .with(0)
        .stdout;
    assert!(colored.contains("\u{1b}[32mg "), "{colored}");
    let mut no_color = project.command(&["errors"]);
    assert_eq!(Ended::run(no_color.env("NO_COLOR", "1")).stdout, plain);
}

#[test]
fn repeats_are_pooled_and_classes_need_no_positive_one() {
    let project = ran(&Survey::of(""), &["folds.repeats=3"]);
    let event = listed(&project, &[]);
    assert_eq!(event["positive"], Json::Null);
    let [list] = event["lists"].as_array().expect("lists").as_slice() else {
        panic!("{event}");
    };
    assert_eq!(list["list"], "wrong");
    assert!(
        scores(list).is_sorted_by(|a, b| a >= b) && of(list) > 0,
        "{event}"
    );
    for object in list["objects"].as_array().expect("objects") {
        assert_ne!(object["class"], object["predicted"]);
        assert_eq!(
            (&object["repeats"], &object["threshold"]),
            (&3.into(), &Json::Null)
        );
    }
    let text = project.flow(&["errors"]).with(0).stdout;
    assert!(
        text.contains("wrong in") && text.contains(" of 3 "),
        "{text}"
    );
}

#[test]
fn an_evaluation_is_named_where_several_could_be_meant() {
    let project = Survey::of("Ia").project();
    project.replace("survey.toml", "[outputs]", "[stages.again]\nuse = \"evaluate\"\ninputs = { predictions = \"model\" }\nthreshold = 0.4\n\n[outputs]");
    project.run(&["survey.toml"]).ok();
    let said = project.flow(&["errors"]).with(2).words();
    assert!(
        said.contains("flow::cli::evaluation") && said.contains("name one of evaluate, again"),
        "{said}"
    );
    assert_eq!(listed(&project, &["last", "again"])["evaluation"], "again");
    let offered = super::completion::words(&project, &["errors", "last", ""]);
    assert_eq!(offered, ["evaluate", "again"]);
    let said = project.flow(&["errors", "last", "model"]).with(2).words();
    assert!(
        said.contains("its evaluations are evaluate, again"),
        "{said}"
    );
    project.append("survey.toml", "\n[metrics]\nheadline = \"again.f1\"\n");
    project.run(&["survey.toml"]).ok();
    assert_eq!(listed(&project, &[])["evaluation"], "again");
    project.run(&["survey.toml", "--to", "domain"]).ok();
    let said = project.flow(&["errors"]).with(2).words();
    assert!(
        said.contains("has no evaluation") && said.contains("use = \"evaluate\""),
        "{said}"
    );
    let said = project.flow(&["errors", "nothing"]).with(2).words();
    assert!(said.contains("there is no run `nothing`"), "{said}");
}

#[test]
fn a_record_of_an_earlier_version_says_what_to_do() {
    let project = ran(&Survey::of("Ia"), &[]);
    let folder = project.path(".flow/runs");
    let records = entries(&folder).into_iter();
    for path in records.filter(|path| path.extension().is_some_and(|e| e == "json")) {
        let mut record: Json = serde_json::from_str(&read(&path)).expect("JSON");
        for (_, stage) in record["stages"].as_object_mut().expect("stages") {
            let fields = stage.as_object_mut().expect("an object");
            assert!(fields.remove("kind").is_some());
            fields.remove("inputs");
        }
        write(&path, record.to_string());
    }
    let said = project.flow(&["errors"]).with(2).words();
    assert!(said.contains("an earlier version recorded run"), "{said}");
    project.flow(&["report"]).with(0);
    let page = project.read("report.html");
    assert!(page.contains("its objects cannot be found") && !page.contains("data-objects"));
}

/// The path of a part of the light curves in the store.
fn light_curves(project: &Project) -> std::path::PathBuf {
    let folder = project.path(".flow/runs/actions");
    let [long] = &entries(&folder)[..] else {
        panic!("{}", folder.display());
    };
    let long: Json = serde_json::from_str(&read(long)).expect("JSON");
    let mut stages = long["stages"].as_array().expect("stages").iter();
    let deredden = stages.find(|stage| stage["name"] == "deredden");
    let part = &deredden.expect("the stage")["ports"]["curves"]["parts"][0][0];
    artifact(project, part)
}

#[test]
fn evicted_bytes_come_with_the_command_that_makes_them_again() {
    let project = ran(&Survey::of("Ia"), &[]);
    let before = listed(&project, &[]);
    let all = project.store().join("artifacts");
    let curves = light_curves(&project);
    for (port, evict) in [
        (
            "model.predictions",
            Box::new(|| std::fs::remove_dir_all(&all)) as Box<dyn Fn() -> _>,
        ),
        (
            "deredden.curves",
            Box::new(|| std::fs::remove_file(&curves)),
        ),
    ] {
        evict().expect("artifacts");
        let said = project.flow(&["errors"]).with(2).words();
        assert!(
            said.contains("flow::cli::evicted") && said.contains(port),
            "{said}"
        );
        let (_, command) = said.split_once("flow export ").expect("a command");
        let command: Vec<&str> = command.split(' ').take(4).collect();
        project.flow(&[&["export"], &command[..]].concat()).with(0);
        assert_eq!(listed(&project, &[]), before, "{port}");
    }
}
