//! Tiny kinds over text files, whose rows are lines `ID LABEL VALUE` (`-` is no label). The first
//! letter of an id is its group.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flow_cache::{Digest, Value};
use flow_engine::Diags;
use flow_engine::command::CommandKind;
use flow_engine::kind::{
    Action, InputPort, Layout, ParamSpec, ParamType, Params, Part, Registry, Rows, Scope, Shard,
    Shards, SourceFile, Sources, StageError, Step,
};
use flow_testkit::files::entries;
use flow_testkit::kinds::FakeKind;

pub use crate::control::Control;
use crate::rows::TextRows;
use crate::views;

type Run = fn(&Control, &mut Action<'_>) -> Result<(), StageError>;

/// `source`, `map`, `folds`, `learner`, `join`, `tweak`, `choose`, `pick`, `items`, `moody`, and the
/// engine's own `command`.
pub fn registry(control: &Arc<Control>) -> Registry {
    let kinds: [(FakeKind, Run); 9] = [
        (source(control), run_source),
        (map(control), run_map),
        (folds(), run_folds),
        (learner(), run_learner),
        (join(), run_join),
        (tweak(), run_tweak),
        (views::choose(), views::run_choose),
        (views::pick(), views::run_pick),
        (items(), run_items),
    ];
    let mut registry = Registry::default();
    for (kind, run) in kinds {
        let control = Arc::clone(control);
        registry.add(kind.runs(move |action| {
            control.begin()?;
            run(&control, action)
        }));
    }
    registry.add(CommandKind::new(
        Box::new(TextRows),
        vec![env!("CARGO_BIN_EXE_program-guard").into()],
    ));
    registry.add(crate::process::Moody);
    registry.add(crate::epochs::kind());
    registry
}

/// The lines of a part, seen through its views.
pub fn text(part: &Part) -> Result<String, StageError> {
    views::seen(std::fs::read_to_string(&part.path)?, part)
}

/// A row: id, label, value.
pub fn row(line: &str) -> (&str, &str, &str) {
    let mut words = line.splitn(3, ' ');
    let mut next = || words.next().unwrap_or("");
    (next(), next(), next())
}

fn digest_of<'a>(lines: impl IntoIterator<Item = &'a str>) -> Digest {
    Digest::of(Vec::from_iter(lines).join("\n").as_bytes())
}

/// What stands for the ids of a shard's rows.
fn ids_of(text: &str) -> String {
    digest_of(text.lines().map(|line| row(line).0)).hex()
}

// `source`: every .txt file of a folder is a shard.

fn source(control: &Arc<Control>) -> FakeKind {
    let read = Step::new("read", Scope::Shard).writes("rows");
    let collect = Step::new("collect", Scope::Whole);
    let steps = vec![
        read.sources(Sources::Shard),
        collect.after(0, "rows").writes("objects"),
    ];
    let control = Arc::clone(control);
    FakeKind::new("source", steps)
        .gives("rows", "rows", 0)
        .gives("objects", "objects", 1)
        .takes(ParamSpec::new("dir", ParamType::Path, "The folder.").unkeyed())
        .laid_out(move |params| Ok(files_of(params, control.shuffle.load(Ordering::SeqCst))))
}

fn files_of(params: &Params, shuffle: u32) -> Layout {
    let paths = entries(Path::new(params.read::<&str>("dir"))).into_iter();
    let shards = paths.map(|path| Shard {
        label: path.file_stem().unwrap().to_string_lossy().into_owned(),
        item: Value::Null,
        files: vec![SourceFile {
            role: "rows".into(),
            path,
        }],
    });
    let mut shards = Vec::from_iter(shards);
    if shuffle > 0 {
        shards.sort_by_key(|shard| Digest::of(format!("{shuffle} {}", shard.label).as_bytes()));
    }
    Layout {
        shards: Shards::from_iter(shards),
        ..Layout::default()
    }
}

fn run_source(control: &Control, action: &mut Action<'_>) -> Result<(), StageError> {
    if action.step == 0 {
        let path = action.sources("rows").next().unwrap().to_owned();
        let text = std::fs::read_to_string(path)?;
        control.call();
        return write_rows(action, &text);
    }
    // Ids and labels without values, and which shard each row is of.
    let mut lines = Vec::new();
    for part in action.input("rows") {
        let text = text(part)?;
        let shard = ids_of(&text);
        for line in text.lines() {
            let (id, label, _) = row(line);
            lines.push(format!("{id} {label} {shard}\n"));
        }
    }
    lines.sort();
    action.write("objects", lines.concat().as_bytes(), Vec::new())
}

fn write_rows(action: &mut Action<'_>, text: &str) -> Result<(), StageError> {
    let ids = Value::Str(ids_of(text));
    action.write("rows", text.as_bytes(), vec![("ids".into(), ids)])
}

// `map`: changes the values, row by row.

fn map(control: &Control) -> FakeKind {
    let steps = vec![Step::new("apply", Scope::Shard).port("rows").writes("rows")];
    let ops = &["copy", "upper", "first"];
    let about = "`first` keeps the first letter.";
    let mut map = FakeKind::new("map", steps)
        .one("rows", "rows")
        .gives("rows", "rows", 0)
        .takes(ParamSpec::choice("op", "copy", ops, about))
        .takes(ParamSpec::new("suffix", ParamType::Str, "Added.").or(Value::Str(String::new())))
        .takes(ParamSpec::int("speed", 1, 0, 9, "Changes nothing.").unkeyed());
    map.spec.version = control.version.load(Ordering::SeqCst);
    map
}

fn run_map(control: &Control, action: &mut Action<'_>) -> Result<(), StageError> {
    let text = text(action.one("rows")?)?;
    control.call();
    let (op, suffix) = (
        action.params.read::<&str>("op"),
        action.params.read::<&str>("suffix"),
    );
    let mut changed = String::new();
    for line in text.lines() {
        let (id, label, value) = row(line);
        let value = match op {
            "upper" => value.to_uppercase(),
            "first" => value.chars().take(1).collect(),
            _ => value.to_owned(),
        };
        changed.push_str(&format!("{id} {label} {value}{suffix}\n"));
    }
    write_rows(action, &changed)
}

// `folds`: groups go to folds by their letter.

fn folds() -> FakeKind {
    let split = Step::new("split", Scope::Whole);
    FakeKind::new("folds", vec![split.port("objects").writes("folds")])
        .one("objects", "objects")
        .gives("folds", "folds", 0)
        .takes(ParamSpec::int("k", 2, 2, 9, "How many."))
        .laid_out(folds_of)
}

fn folds_of(params: &Params) -> Result<Layout, Diags> {
    let folds = (0..params.read::<i64>("k")).map(|fold| fold.to_string());
    Ok(Layout {
        folds: folds.chain(["final".to_owned()]).collect(),
        ..Layout::default()
    })
}

/// The role of a row in a fold.
fn role(id: &str, label: &str, fold: &str, k: i64) -> Option<Rows> {
    let own = i64::from(id.bytes().next().unwrap_or(b'a') - b'a') % k;
    match (label, fold) {
        ("-", "final") => Some(Rows::Apply),
        ("-", _) => None,
        (_, "final") => Some(Rows::Train),
        _ if own.to_string() == fold => Some(Rows::Apply),
        _ => Some(Rows::Train),
    }
}

fn run_folds(_: &Control, action: &mut Action<'_>) -> Result<(), StageError> {
    let objects = text(action.one("objects")?)?;
    let k = action.params.read::<i64>("k");
    let mut slices = BTreeMap::<String, BTreeMap<String, Vec<String>>>::new();
    let mut shards = BTreeSet::new();
    let mut table = String::new();
    for line in objects.lines() {
        let (id, label, shard) = row(line);
        shards.insert(shard.to_owned());
        for fold in (0..k).map(|fold| fold.to_string()).chain(["final".into()]) {
            let Some(rows) = role(id, label, &fold, k) else {
                continue;
            };
            let name = rows.name();
            table.push_str(&format!("{fold} {id} {name}\n"));
            let slice = slices.entry(format!("{name}/{fold}")).or_default();
            for key in ["*", shard] {
                slice
                    .entry(key.into())
                    .or_default()
                    .push(format!("{id} {label}"));
            }
        }
    }
    let slices = slices.into_iter().map(|(name, slice)| {
        let digests = slice.into_iter().map(|(key, rows)| {
            let digest = digest_of(rows.iter().map(String::as_str));
            (key, Value::Digest(digest))
        });
        (name, Value::map(digests))
    });
    let attrs = vec![
        ("slices".to_owned(), Value::map(slices)),
        (
            "shards".to_owned(),
            Value::map(shards.into_iter().map(|shard| (shard, Value::Null))),
        ),
    ];
    action.write("folds", table.as_bytes(), attrs)
}

// `learner`: a model is the training values in order; a prediction is the model and the own value.

fn learner() -> FakeKind {
    let fit = Step::new("fit", Scope::Fold).rows("rows", Rows::Train);
    let apply = Step::new("apply", Scope::FoldShard).after(0, "model");
    let gather = Step::new("gather", Scope::Whole).after(1, "part");
    let steps = vec![
        fit.writes("model").seeded(),
        apply.rows("rows", Rows::Apply).writes("part"),
        gather.writes("predictions"),
    ];
    FakeKind::new("learner", steps)
        .one("rows", "rows")
        .one("folds", "folds")
        .gives("predictions", "rows", 2)
        .takes(ParamSpec::int("depth", 3, 1, 9, "A parameter."))
}

/// The rows of all parts that have this role in the action's fold, in order of id.
pub fn rows_of(action: &Action<'_>, rows: Rows) -> Result<Vec<String>, StageError> {
    let table = text(action.folds.as_ref().unwrap())?;
    let fold = action.fold.unwrap();
    let wanted: BTreeSet<&str> = table
        .lines()
        .map(row)
        .filter(|(f, _, role)| *f == fold && *role == rows.name())
        .map(|(_, id, _)| id)
        .collect();
    let mut found = Vec::new();
    for part in action.input("rows") {
        let text = text(part)?;
        let lines = text.lines().filter(|line| wanted.contains(row(line).0));
        found.extend(lines.map(str::to_owned));
    }
    found.sort();
    Ok(found)
}

fn run_learner(_: &Control, action: &mut Action<'_>) -> Result<(), StageError> {
    match action.step {
        0 => {
            let rows = rows_of(action, Rows::Train)?;
            let depth = action.params.read::<i64>("depth");
            let model = format!("{depth} {} {}", action.seed % 1000, rows.join(","));
            let model = digest_of([model.as_str()]).short();
            action.write("model", model.as_bytes(), Vec::new())
        }
        1 => {
            let model = text(action.one("model")?)?;
            let mut part = String::new();
            for line in rows_of(action, Rows::Apply)? {
                part.push_str(&format!("{line} {model}\n"));
            }
            action.write("part", part.as_bytes(), Vec::new())
        }
        _ => {
            let mut lines = Vec::new();
            for part in action.input("part") {
                let fold = part.fold.clone().unwrap();
                let text = text(part)?;
                lines.extend(text.lines().map(|line| format!("{line} {fold}\n")));
            }
            lines.sort();
            action.write("predictions", lines.concat().as_bytes(), Vec::new())
        }
    }
}

// `join`: all rows in order of id.

fn join() -> FakeKind {
    let join = Step::new("join", Scope::Whole).port("rows");
    FakeKind::new("join", vec![join.writes("rows").apart()])
        .many("rows", "rows")
        .gives("rows", "rows", 0)
}

fn run_join(_: &Control, action: &mut Action<'_>) -> Result<(), StageError> {
    let mut lines = Vec::new();
    for part in action.input("rows") {
        let text = text(part)?;
        lines.extend(text.lines().map(|l| format!("{l} {}\n", part.reference)));
    }
    lines.sort();
    write_rows(action, &lines.concat())
}

// `tweak`: a stage that behaves as it is told.

fn tweak() -> FakeKind {
    let tweak = Step::new("tweak", Scope::Whole).port("rows");
    let mut rows = InputPort::many("rows", "rows");
    rows.optional = true;
    let hows = &["pass", "fail", "panic", "sleep", "sleep_long", "random"];
    let about = "Tells equals apart.";
    FakeKind::new("tweak", vec![tweak.writes("rows").apart()])
        .input(rows)
        .gives("rows", "rows", 0)
        .takes(ParamSpec::choice("how", "pass", hows, "What it does."))
        .takes(ParamSpec::int("tag", 0, 0, 1_000_000, about))
}

fn run_tweak(control: &Control, action: &mut Action<'_>) -> Result<(), StageError> {
    control.call();
    let mut text_out = format!("tag {}\n", action.params.read::<i64>("tag"));
    // Not the texts themselves: at the end of a long chain they would be long.
    for part in action.input("rows") {
        text_out.push_str(&format!(
            "of {}\n",
            digest_of([text(part)?.as_str()]).short()
        ));
    }
    match action.params.read::<&str>("how") {
        "fail" => return Err(StageError::failed("flow::test::told", "told to fail")),
        "panic" => panic!("told to panic"),
        how @ ("sleep" | "sleep_long") => {
            let moments = if how == "sleep" { 50 } else { 150 };
            for _ in 0..moments {
                action.checkpoint()?;
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        "random" => {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let count = COUNT.fetch_add(1, Ordering::SeqCst);
            let process = std::process::id();
            text_out.push_str(&format!("count {count} of process {process}\n"));
        }
        _ => {}
    }
    write_rows(action, &text_out)
}

// `items`: a list of numbers, one action each.

fn items() -> FakeKind {
    let make = Step::new("make", Scope::Shard).writes("rows");
    FakeKind::new("items", vec![make])
        .gives("rows", "rows", 0)
        .takes(ParamSpec::int("n", 2, 1, 1_000_000, "How many.").unkeyed())
        .laid_out(items_of)
}

fn items_of(params: &Params) -> Result<Layout, Diags> {
    let shards = (0..params.read::<i64>("n")).map(|i| Shard {
        label: i.to_string(),
        item: Value::Int(i),
        files: Vec::new(),
    });
    Ok(Layout {
        shards: shards.collect(),
        items: true,
        ..Layout::default()
    })
}

fn run_items(control: &Control, action: &mut Action<'_>) -> Result<(), StageError> {
    control.call();
    let item = &action.shard.unwrap().item;
    let text = format!("i{item} - item\n");
    write_rows(action, &text)
}
