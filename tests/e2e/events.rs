//! The events of `--message-format json`: all of them are sent by some command, and each line is as the schema
//! has it. The latter is checked wherever a test reads events; here it is made sure that none is missing.

use std::collections::BTreeSet;

use flow_testkit::Project;
use flow_testkit::files::{read, repository};
use serde_json::Value as Json;

/// A survey, a model and everything that can be asked of them.
const PIPELINE: &str = r#"
[pipeline]
name = "p"

[stages.ingest]
use = "ingest"
format = "demo"
labelled = 150
positives = 40
unlabelled = 0

[stages.domain]
use = "domain"
inputs = { curves = "ingest" }

[stages.folds]
use = "folds"
inputs = { objects = "ingest" }
k = 3

[stages.select]
use = "select"
method = "variance"
inputs = { features = ["domain"], folds = "folds" }

[stages.model]
use = "model"
inputs = { features = ["select"], folds = "folds" }
rounds = 5

[stages.evaluate]
use = "evaluate"
inputs = { predictions = "model" }

[outputs]
"metrics.json" = "evaluate.metrics"

[variants.shallow]
"model.max_depth" = 2

[tune]
trials = 2
parallel = 2
nested = true

[tune.space]
"model.rounds" = { int = [1, 8] }
"#;

/// What is asked, one command a line. The events that only a signal brings about are not among them.
const COMMANDS: &str = "
init new
self-check
stages
stages folds
plan p.toml
run p.toml --tag first
plan p.toml --set model.rounds=4
explain p.toml model
explain p.toml folds --set folds.k=4
explain p.toml folds --hit
run p.toml --set model.rounds=4 --audit=3
compare first last
check p.toml --baseline b.toml --update
check p.toml --baseline b.toml --set model.rounds=4
ablate p.toml
tune p.toml
runs
runs show first
report first -o report.html
errors first
cache keygen team.key
cache push
run p.toml --set model.rounds=3 --remote-mode read_write
cache pull p.toml
cache stat --remote
cache gc --remote --max-age 0
runs pin first
export first model.predictions -o predictions.csv
cache stat
cache verify
cache gc --max-size 0 --yes
plan p.toml
explain p.toml model
export first domain -o features.csv
plan missing.toml
";

#[test]
fn every_event_is_sent() {
    let project = Project::with(PIPELINE);
    project.write("flow.toml", "[cache]\nremote = \"file:team\"\n");
    // Other tests stop runs, and give them to a scheduler (`cluster`).
    let elsewhere = [
        "run-stopping",
        "batch-submitted",
        "cluster-used",
        "batch-listed",
        "batch-cancelled",
    ];
    let mut sent = BTreeSet::from(elsewhere.map(str::to_owned));
    for command in COMMANDS.lines().filter(|line| !line.is_empty()) {
        let run = project.json(&Vec::from_iter(command.split(' ')));
        let expected = if command.contains("missing") { 2 } else { 0 };
        let run = run.with(expected);
        let names = run.events.iter().map(|event| event["event"].as_str());
        sent.extend(names.flatten().map(str::to_owned));
        project.write("metrics.json", "not what a run wrote");
    }
    let examples = read(&repository().join("docs/examples/events.jsonl"));
    let examples = examples.lines().map(|line| {
        let event: Json = serde_json::from_str(line).expect("JSON");
        event["event"].as_str().expect("a name").to_owned()
    });
    assert_eq!(sent, examples.collect());
}
