//! How the circumstances of two recorded runs differ: what was asked for, the resolved pipeline, versions and
//! machines. What only one record says is no difference, unless the other one would say it too.

use std::collections::BTreeMap;

use super::{Host, RunRecord};

/// Something that two runs did not have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordDifference {
    /// What it is about.
    pub about: About,
    /// Its name: `set`, `rocket.kernels`, `numpy`, `cpu`.
    pub name: String,
    /// The values in the old and in the new run, or `None` where there is none.
    pub values: [Option<String>; 2],
}

/// What a difference of records is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// How the run was started.
    Asked,
    /// A value of the pipeline.
    Pipeline,
    /// The version of a program or a package.
    Version,
    /// The machine.
    Host,
}

impl About {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Pipeline => "pipeline",
            Self::Version => "version",
            Self::Host => "host",
        }
    }
}

/// Values by name, in order.
type Named = Vec<(String, String)>;

/// The differences between two runs.
pub fn differences(old: &RunRecord, new: &RunRecord) -> Vec<RecordDifference> {
    let mut found = Vec::new();
    let mut add = |about, pair: [Option<Named>; 2]| {
        if let [Some(old), Some(new)] = pair {
            found.extend(between(about, &old, &new));
        }
    };
    let commands = old.by().is_some() && new.by().is_some();
    add(
        About::Asked,
        [old, new].map(|run| Some(asked(run, commands))),
    );
    add(About::Pipeline, [old, new].map(values));
    add(
        About::Version,
        [old, new].map(|run| run.flow.as_ref().map(|_| run.versions())),
    );
    add(
        About::Host,
        [old, new].map(|run| run.host.as_ref().map(facts)),
    );
    found
}

fn between(about: About, old: &Named, new: &Named) -> Vec<RecordDifference> {
    let by_name = |all: &Named| -> BTreeMap<String, String> { all.iter().cloned().collect() };
    let (before, now) = (by_name(old), by_name(new));
    let gone = old.iter().filter(|(name, _)| !now.contains_key(name));
    let names = new.iter().chain(gone).map(|(name, _)| name);
    names
        .map(|name| RecordDifference {
            about,
            name: name.clone(),
            values: [before.get(name).cloned(), now.get(name).cloned()],
        })
        .filter(|difference| difference.values[0] != difference.values[1])
        .collect()
}

fn asked(run: &RunRecord, commands: bool) -> Named {
    let set = (!run.set.is_empty()).then(|| run.set.join(" "));
    let facts = [
        ("command", run.by().filter(|_| commands).map(str::to_owned)),
        ("set", set),
        ("variant", run.variant.clone()),
        ("to", run.to.clone()),
        ("commit", run.git.as_ref().map(|git| git.short())),
    ];
    let known = facts.into_iter();
    known
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

fn facts(host: &Host) -> Named {
    let facts = host.facts().into_iter();
    facts.map(|(name, fact)| (name.to_owned(), fact)).collect()
}

/// The values of the resolved pipeline by dotted path, without `stages.` before those of stages.
fn values(run: &RunRecord) -> Option<Named> {
    let table: toml::Table = run.resolved.as_ref()?.parse().ok()?;
    let mut found = Vec::new();
    for (key, value) in &table {
        match (key.as_str(), value) {
            ("stages", toml::Value::Table(stages)) => {
                let stages = stages.iter();
                stages.for_each(|(name, stage)| leaves(name.clone(), stage, &mut found));
            }
            _ => leaves(key.clone(), value, &mut found),
        }
    }
    Some(found)
}

fn leaves(path: String, value: &toml::Value, found: &mut Named) {
    match value {
        toml::Value::Table(table) if !table.is_empty() => {
            for (key, value) in table {
                leaves(format!("{path}.{key}"), value, found);
            }
        }
        value => found.push((path, value.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(resolved: &str, versions: serde_json::Value) -> RunRecord {
        let record = json!({
            "flow": "0.1.0", "set": ["a.k=1"], "command": ["-q", "run", "p.toml"],
            "resolved": resolved, "host": {"name": "one", "cores": 2},
            "stages": {"a": {"versions": versions}},
        });
        serde_json::from_value(record).expect("a record")
    }

    fn told(old: &RunRecord, new: &RunRecord) -> Vec<String> {
        let told = differences(old, new).into_iter().map(|found| {
            let [old, new] = found.values.map(|value| value.unwrap_or("-".to_owned()));
            format!("{} {}: {old} -> {new}", found.about.name(), found.name)
        });
        told.collect()
    }

    #[test]
    fn what_two_runs_do_not_share_is_found() {
        let old = record(
            "[pipeline]\nname = \"p\"\n[stages.a]\nuse = \"x\"\nk = 1\nm = { p = 1, q = 2 }",
            json!({"numpy": "1.0"}),
        );
        assert_eq!(differences(&old, &old), []);
        let mut new = record(
            "[pipeline]\nname = \"p\"\n[stages.a]\nuse = \"x\"\nk = 2\nm = { p = 1 }\nn = [1]",
            json!({"numpy": "2.0", "scipy": "1"}),
        );
        new.set.clear();
        new.command[1] = "check".to_owned();
        new.host.as_mut().expect("a host").cores = 4;
        assert_eq!(
            told(&old, &new),
            [
                "asked command: run -> check",
                "asked set: a.k=1 -> -",
                "pipeline a.k: 1 -> 2",
                "pipeline a.n: - -> [1]",
                "pipeline a.m.q: 2 -> -",
                "version numpy: 1.0 -> 2.0",
                "version scipy: - -> 1",
                "host cores: 2 -> 4",
            ]
        );
    }

    #[test]
    fn an_older_record_says_nothing_of_what_it_does_not_have() {
        let new = record("[stages.a]\nk = 1", json!({}));
        let old: RunRecord = serde_json::from_value(json!({"set": ["a.k=2"]})).expect("a record");
        assert_eq!(told(&old, &new), ["asked set: a.k=2 -> a.k=1"]);
    }
}
