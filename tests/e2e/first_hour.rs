//! The first hour with flow: a new project, its own light curves, and whether the machine can be trusted.

use flow_testkit::files::entries;
use flow_testkit::survey::csv;
use flow_testkit::{Ended, Project};

/// Light curves in the columns that `own_data.toml` begins with: a decline whose length tells the class.
fn own_data(project: &Project) {
    let label = |i: usize| ["TDE", "AGN", "", "SN Ia"][i % 4];
    let objects = (0..60).map(|i| format!("o{i:03},{},0.{},0.0{}", label(i), 1 + i % 5, i % 7));
    let objects = csv("object_id,type,redshift,ebv", objects);
    project.write("demo/data/objects.csv", objects);
    let visits = (0..60).flat_map(|i| (0..24).map(move |visit| (i, visit)));
    let rows = visits.map(|(i, visit)| {
        let (time, band) = (visit as f64 * 5.0, ["g", "r", "i", "z"][visit % 4]);
        let flux = 60.0 * (-time / [80.0, 500.0, 60.0, 20.0][i % 4]).exp();
        let wobble = ((i * 31 + visit * 17) % 23) as f64 / 23.0;
        format!("o{i:03},{},{band},{:.3},1.0", 59000.0 + time, flux + wobble)
    });
    let curves = csv("object_id,mjd,band,flux,flux_err", rows);
    project.write("demo/data/lightcurves_1.csv", curves);
}

#[test]
fn a_new_project_runs_on_own_light_curves() {
    let project = Project::bare();
    let said = project.flow(&["init", "demo"]).with(0);
    for file in [
        "rocket_domain.toml",
        "own_data.toml",
        "flow.toml",
        "README.md",
        ".github/workflows/check.yml",
        ".gitignore",
    ] {
        said.gives(&format!("wrote demo/{file}"));
        assert!(project.path(&format!("demo/{file}")).is_file(), "{file}");
    }
    project.flow(&["graph", "demo/rocket_domain.toml"]).with(0);
    own_data(&project);
    let set = ["--set", "model.rounds=10"];
    let run = project.run(&["demo/own_data.toml", set[0], set[1]]);
    assert_eq!(run.ok()["status"], "ok");
    let predictions = project.read("demo/out/own_data/predictions.csv");
    assert!(predictions.lines().count() > 60, "{predictions}");
    project
        .flow(&["plan", "demo/own_data.toml", "--variant", "shallow"])
        .with(0);
    assert_eq!(project.read("demo/.gitignore"), "/.flow\n/out\n");
}

#[test]
fn paths_are_said_as_somebody_in_the_folder_would_write_them() {
    let project = Project::bare();
    let root = project.root.display().to_string();
    let short = |ended: &Ended| {
        let words = ended.all();
        assert!(!words.contains(&format!("{root}/")), "{words}");
    };
    let absolute = project.path("demo").display().to_string();
    short(&project.flow(&["init", &absolute]).with(0));
    short(&project.flow(&["init", &absolute]).with(2));
    // There are no data yet.
    let ended = project.flow(&["run", "demo/own_data.toml"]).with(2);
    short(&ended);
    ended
        .says("no file `data/lightcurves*.csv`")
        .says("demo/own_data.toml:16");
    short(&project.flow(&["run", "demo/nothing.toml"]).with(2));
    short(&project.flow(&["runs"]));
    short(&project.flow(&["cache", "stat"]));
}

#[test]
fn a_self_check_finds_the_published_digests_and_leaves_nothing() {
    let project = Project::bare();
    project.folder("tmp");
    let mut command = project.json_command(&["self-check", "--jobs", "3"]);
    command
        .env("TMPDIR", project.path("tmp"))
        .env("FLOW_SIMD", "scalar");
    let ended = Ended::run(&mut command).with(0);
    let event = ended.events().pop().expect("an event");
    assert_eq!(
        (&event["event"], &event["ok"]),
        (&"self-check-finished".into(), &true.into())
    );
    assert_eq!(event["jobs"], serde_json::json!([1, 3]));
    assert_eq!(event["levels"][0]["tried"], true);
    assert_eq!(event["levels"][1]["tried"], false);
    assert!(event["levels"][0]["outputs"].as_u64() > Some(50));
    ended.says("all have the published digests");
    ended.says("not tried: avx2, avx512");
    assert!(entries(&project.path("tmp")).is_empty());
}
