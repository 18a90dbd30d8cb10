//! Where the time of a run goes.

use std::collections::BTreeMap;

use flow_engine::base::trace::Trace;
use serde_json::Value as Json;

use flow_testkit::files::read;

use crate::harness::{Project, Ran};
use crate::{ALL, LEARN, fresh, process};

/// The events of a project's trace.
fn events(project: &Project) -> Vec<Json> {
    let path = project.root.join("trace.json");
    project
        .trace
        .as_ref()
        .unwrap()
        .write(&path, "flow run p")
        .unwrap();
    let text = read(&path);
    let json: Json = serde_json::from_str(&text).unwrap();
    json["traceEvents"].as_array().unwrap().clone()
}

fn spans<'e>(events: &'e [Json], category: &str) -> Vec<&'e Json> {
    let of = |event: &&Json| event["cat"] == category;
    events.iter().filter(of).collect()
}

/// The bars of a track lie side by side or one within another.
fn assert_nested(events: &[Json]) {
    let mut tracks: BTreeMap<u64, Vec<(f64, f64)>> = BTreeMap::new();
    for event in events.iter().filter(|event| event["ph"] == "X") {
        let (start, length) = (
            event["ts"].as_f64().unwrap(),
            event["dur"].as_f64().unwrap(),
        );
        let track = tracks.entry(event["tid"].as_u64().unwrap()).or_default();
        track.push((start, start + length));
    }
    for bars in tracks.values_mut() {
        bars.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
        let mut open: Vec<f64> = Vec::new();
        for &(start, end) in bars.iter() {
            // A nanosecond for what rounding does.
            open.retain(|&until| until > start + 0.001);
            assert!(open.last().is_none_or(|&until| end <= until + 0.001));
            open.push(end);
        }
    }
}

fn assert_every_action(events: &[Json], ran: &Ran, names: &[&str]) {
    let actions = spans(events, "action");
    assert_eq!(actions.len(), names.len());
    for name in names {
        let action = actions.iter().find(|action| action["name"] == *name);
        let action = action.unwrap_or_else(|| panic!("no {name}"));
        let record = &ran.records[*name];
        assert_eq!(action["args"]["outcome"], "ran", "{name}");
        assert_eq!(action["args"]["key"], record.key.to_string());
        assert_eq!(action["args"]["bytes"], record.outputs[0].size);
        assert!(action["args"]["reason"].is_string());
    }
}

#[test]
fn every_action_that_ran_is_a_bar_of_its_worker() {
    for executor in [
        flow_engine::run::options::Executor::Local,
        process::executor(),
    ] {
        let local = matches!(executor, flow_engine::run::options::Executor::Local);
        let mut project = fresh();
        project.executor = executor;
        project.trace = Some(Trace::new());
        let ran = project.expect(&ALL);
        let found = events(&project);
        assert_nested(&found);
        assert_every_action(&found, &ran, &ALL);
        let names = found.iter().filter(|event| event["name"] == "thread_name");
        let names: Vec<&str> = names.map(|n| n["args"]["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["coordinator", "worker 1", "worker 2", "committer"]);
        assert_eq!(found[0]["args"]["name"], "flow run p");
        // Three files, each looked at before its action and after; a child does the latter.
        let hashed = spans(&found, "hash");
        let (after, before): (Vec<&Json>, Vec<&Json>) = hashed
            .into_iter()
            .partition(|span| span["name"] == "check its sources");
        let files: std::collections::BTreeSet<&str> = before
            .iter()
            .filter_map(|span| span["name"].as_str())
            .collect();
        assert_eq!((files.len(), after.len()), (3, if local { 3 } else { 0 }));
        assert_eq!(spans(&found, "run").len(), ALL.len());
        if local {
            assert_eq!(spans(&found, "verify").len(), ALL.len());
            assert!(
                spans(&found, "io")
                    .iter()
                    .any(|io| io["name"] == "sync outputs")
            );
            assert!(
                spans(&found, "io")
                    .iter()
                    .any(|io| io["name"] == "append records")
            );
        }
        let counters: Vec<&Json> = found.iter().filter(|event| event["ph"] == "C").collect();
        assert!(counters.iter().any(|count| count["args"]["running"] == 2));
        let last = counters.last().unwrap();
        assert_eq!(
            (&last["args"]["ready"], &last["args"]["running"]),
            (&0.into(), &0.into())
        );
        // What the store answers is no bar.
        project.trace = Some(Trace::new());
        project.expect(&[]);
        assert!(spans(&events(&project), "action").is_empty());
    }
}

#[test]
fn reasons_and_failures_are_told() {
    let mut project = fresh();
    project.expect(&ALL);
    project.trace = Some(Trace::new());
    project.edit("use = \"learner\"", "use = \"learner\"\ndepth = 4");
    let ran = project.expect(&LEARN);
    let found = events(&project);
    assert_every_action(&found, &ran, &LEARN);
    let fit = spans(&found, "action");
    let fit = fit.iter().find(|action| action["name"] == "learn: fit 0");
    assert_eq!(fit.unwrap()["args"]["reason"], "changed: params.depth");

    let mut project = Project::new("[stages.s]\nuse = \"tweak\"\nhow = \"fail\"\n");
    project.trace = Some(Trace::new());
    project.run();
    let found = events(&project);
    assert_eq!(spans(&found, "action")[0]["args"]["outcome"], "failed");
}

#[test]
fn an_action_that_waits_for_lost_bytes_is_started_once() {
    let project = fresh();
    let ran = project.expect(&ALL);
    for name in ["clean: apply a rows", "read: read a rows"] {
        std::fs::remove_file(project.artifact(&ran, name)).unwrap();
    }
    project.edit("use = \"learner\"", "use = \"learner\"\ndepth = 4");
    let mut ran = project.run();
    ran.started.sort();
    assert_eq!(ran.started, ran.ran);
}
