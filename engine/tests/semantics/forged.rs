//! A manifest is run only where it says what its key stands for.

use std::sync::atomic::AtomicBool;

use flow_cache::{Digest, Store, Value};
use flow_engine::run::options::Executor;
use flow_engine::run::options::ProcessOptions;
use flow_engine::run::process::StageExec;
use flow_engine::run::report::Report;

use crate::harness::Project;
use crate::kinds::{Control, registry};
use crate::process::executor;

const HEAD: &[u8] = b"flow-manifest 1\n";

fn read(bytes: &[u8]) -> Value {
    Value::decode(&bytes[HEAD.len() + 32..]).unwrap()
}

fn write(value: &Value) -> Vec<u8> {
    let body = value.encode();
    [HEAD, Digest::of(&body).as_bytes(), &body].concat()
}

/// The entry of a map, to be changed.
fn entry<'v>(value: &'v mut Value, path: &[&str]) -> &'v mut Value {
    path.iter().fold(value, |value, part| match value {
        Value::Map(entries) => &mut entries.iter_mut().find(|(name, _)| name == part).unwrap().1,
        Value::List(items) => &mut items[part.parse::<usize>().unwrap()],
        other => panic!("{other:?} has no {part}"),
    })
}

#[test]
fn a_manifest_that_was_changed_is_refused() {
    let mut project = Project::new(
        r#"
[pipeline]
seed = 3
[stages.make]
use = "command"
run = ["/bin/sh", "make.sh", "{i}", "{seed}", "{out}"]
files = ["make.sh"]
each = { i = [7] }
outputs = { out = "o.txt" }
[stages.use_]
use = "command"
run = ["/bin/cp", "{make}", "{used}"]
inputs = { make = "make" }
outputs = { used = "u.txt" }
each = "make"
[outputs]
"result.txt" = "use_"
"#,
    );
    project.write("make.sh", "echo $1 $2 > $3\n");
    // Manifests are gone after a run: whoever runs them keeps copies.
    let kept = project.outside();
    let Executor::Process(options) = executor() else {
        unreachable!("it is made of processes");
    };
    let keep = format!(
        "for last; do :; done; cp \"$5/manifests/$last\" {}; exec \"$0\" \"$@\"",
        kept.display()
    );
    let mut command = vec!["/bin/sh".into(), "-c".into(), keep.into()];
    command.extend(options.command);
    project.executor = Executor::Process(ProcessOptions { command });
    let ran = project.expect(&["make: run i=7", "use_: run i=7"]);
    let store = Store::open(&project.store()).unwrap();
    let registry = registry(&Control::new());
    let never = AtomicBool::new(false);
    let text = |text: &str| Value::Str(text.into());
    let digest = Value::Digest(Digest::of(b"other"));
    let forgeries: [(&str, &[&str], Value); 9] = [
        ("make", &["params", "run", "1"], text("other.sh")),
        ("make", &["params", "outputs", "out"], text("other.txt")),
        ("make", &["seed"], Value::Int(5)),
        ("make", &["shard", "item", "i"], Value::Int(8)),
        ("make", &["sources", "0", "1"], digest.clone()),
        ("make", &["sources", "1", "0", "role"], text("other.sh")),
        ("make", &["writes"], Value::List(vec![text("other")])),
        ("use_", &["inputs", "make", "0", "digest"], digest),
        ("use_", &["inputs", "make"], Value::List(Vec::new())),
    ];
    for (stage, path, other) in forgeries {
        let key = ran.keys[&format!("{stage}: run i=7")];
        let mut value = read(&std::fs::read(kept.join(key.to_string())).unwrap());
        *entry(&mut value, &["forced"]) = Value::Bool(true);
        let exec = |value: &Value| {
            store.put_manifest(&key, &write(value)).unwrap();
            StageExec {
                store: &store,
                registry: &registry,
                jobs: 1,
                cancel: &never,
                progress: &|_| {},
                scratch: None,
                gpus: &[],
            }
            .run(&key)
        };
        let honest = exec(&value);
        assert!(matches!(honest, Report::Ran | Report::Hit), "{path:?}");
        *entry(&mut value, path) = other;
        let Report::Failed(error) = exec(&value) else {
            panic!("{path:?} was not noticed");
        };
        assert_eq!(error.code.as_str(), "flow::executor::manifest", "{path:?}");
        assert!(error.message.contains("was changed"), "{path:?}: {error}");
    }
}
