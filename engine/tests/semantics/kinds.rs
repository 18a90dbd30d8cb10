//! Tiny kinds over text files, whose rows are lines `ID LABEL VALUE` (`-` is no label). The first
//! letter of an id is its group.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::views;
use flow_cache::{Digest, Value};
use flow_engine::base::diag::Diag;
use flow_engine::command::CommandKind;
use flow_engine::kind::{
    Action, InputPort, KindSpec, Layout, OutputPort, Part, Ports, Project, Registry, Rows, Scope,
    Shard, Shards, SourceFile, Sources, Stage, StageError, Step,
};
use flow_engine::kind::{ParamSpec, ParamType, Params};

use crate::rows::TextRows;

/// Called in the middle of an action of `source`, `map` or `tweak`, with the number of calls so far.
type Hook = Box<dyn Fn(u32) + Send>;

/// Called once instead of an action, or before it.
type Nth = Box<dyn Fn() -> Result<(), StageError> + Send>;

/// What a test can change about the kinds.
pub struct Control {
    /// Version of kind `map`.
    pub version: AtomicU32,
    /// How often any kind ran.
    pub ran: AtomicU32,
    /// Not zero: folders are listed in an order that this number decides.
    pub shuffle: AtomicU32,
    nth: Mutex<Option<(u32, Nth)>>,
    hook: Mutex<Option<Hook>>,
    hooked: AtomicU32,
}

impl Control {
    /// Version 1, no hook.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            version: AtomicU32::new(1),
            ran: AtomicU32::new(0),
            shuffle: AtomicU32::new(0),
            nth: Mutex::default(),
            hook: Mutex::default(),
            hooked: AtomicU32::new(0),
        })
    }

    /// Sets the hook.
    pub fn hook(&self, hook: impl Fn(u32) + Send + 'static) {
        self.hooked.store(0, Ordering::SeqCst);
        *self.hook.lock().unwrap() = Some(Box::new(hook));
    }

    /// Has the `n`-th action from now on begin with this, once.
    pub fn nth(&self, n: u32, act: impl Fn() -> Result<(), StageError> + Send + 'static) {
        let at = self.ran.load(Ordering::SeqCst) + n;
        *self.nth.lock().unwrap() = Some((at, Box::new(act)));
    }

    /// Takes that back; false if it was called.
    pub fn never(&self) -> bool {
        self.nth.lock().unwrap().take().is_some()
    }

    /// Counts an action.
    fn begin(&self) -> Result<(), StageError> {
        let count = self.ran.fetch_add(1, Ordering::SeqCst) + 1;
        let act = self.nth.lock().unwrap().take_if(|(at, _)| *at <= count);
        act.map_or(Ok(()), |(_, act)| act())
    }

    /// Removes the hook.
    pub fn unhook(&self) {
        *self.hook.lock().unwrap() = None;
    }

    fn call(&self) {
        if let Some(hook) = &*self.hook.lock().unwrap() {
            hook(self.hooked.fetch_add(1, Ordering::SeqCst) + 1);
        }
    }
}

type Run = fn(&Control, &mut Action<'_>) -> Result<(), StageError>;

/// A kind made of its description and two functions.
struct Fake {
    control: Arc<Control>,
    spec: KindSpec,
    layout: fn(&Params) -> Layout,
    run: Run,
}

impl Stage for Fake {
    fn spec(&self) -> KindSpec {
        let mut spec = self.spec.clone();
        if spec.name == "map" {
            spec.version = self.control.version.load(Ordering::SeqCst);
        }
        spec
    }

    fn layout(
        &self,
        params: &Params,
        _project: &Project<'_>,
        _paired: &Shards,
    ) -> Result<Layout, Vec<Diag>> {
        let mut layout = (self.layout)(params);
        let shuffle = self.control.shuffle.load(Ordering::SeqCst);
        if shuffle > 0 {
            let place = |shard: &Shard| Digest::of(format!("{shuffle} {}", shard.label).as_bytes());
            let mut shards = Vec::from_iter(layout.shards.iter().map(|shard| shard.to_shard()));
            shards.sort_by_key(place);
            layout.shards = Shards::from_iter(shards);
        }
        Ok(layout)
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        self.control.begin()?;
        (self.run)(&self.control, action)
    }
}

/// `source`, `map`, `folds`, `learner`, `join`, `tweak`, `choose`, `pick`, `items`, `moody`, and the
/// engine's own `command`.
pub fn registry(control: &Arc<Control>) -> Registry {
    let mut registry = Registry::default();
    let mut add = |spec, layout, run| {
        let control = Arc::clone(control);
        registry.add(Fake {
            control,
            spec,
            layout,
            run,
        });
    };
    add(source(), files_of, run_source);
    add(map(), |_| Layout::default(), run_map);
    add(folds(), folds_of, run_folds);
    add(learner(), |_| Layout::default(), run_learner);
    add(join(), |_| Layout::default(), run_join);
    add(tweak(), |_| Layout::default(), run_tweak);
    add(views::choose(), |_| Layout::default(), views::run_choose);
    add(views::pick(), |_| Layout::default(), views::run_pick);
    add(items(), items_of, run_items);
    registry.add(CommandKind::new(
        Box::new(TextRows),
        vec![env!("CARGO_BIN_EXE_program-guard").into()],
    ));
    registry.add(crate::process::Moody);
    registry
}

pub fn kind(name: &'static str, inputs: Vec<InputPort>, steps: Vec<Step>) -> KindSpec {
    KindSpec {
        name,
        version: 1,
        about: "A kind for tests.",
        ports: Ports {
            inputs,
            outputs: Vec::new(),
        },
        params: Vec::new(),
        steps,
    }
}

fn gives(mut spec: KindSpec, name: &str, ty: &'static str, step: usize) -> KindSpec {
    let port = OutputPort::of(name, ty, step, "An output.");
    spec.ports.outputs.push(port);
    spec
}

pub fn takes(mut spec: KindSpec, param: ParamSpec) -> KindSpec {
    spec.params.push(param);
    spec
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

fn source() -> KindSpec {
    let read = Step::new("read", Scope::Shard).writes("rows");
    let collect = Step::new("collect", Scope::Whole);
    let steps = vec![
        read.sources(Sources::Shard),
        collect.after(0, "rows").writes("objects"),
    ];
    let spec = gives(kind("source", Vec::new(), steps), "rows", "rows", 0);
    let spec = gives(spec, "objects", "objects", 1);
    takes(
        spec,
        ParamSpec::new("dir", ParamType::Path, "The folder.").unkeyed(),
    )
}

fn files_of(params: &Params) -> Layout {
    let entries = std::fs::read_dir(params.str("dir")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let shards = paths.into_iter().map(|path| Shard {
        label: path.file_stem().unwrap().to_string_lossy().into_owned(),
        item: Value::Null,
        files: vec![SourceFile {
            role: "rows".into(),
            path,
        }],
    });
    Layout {
        shards: shards.collect(),
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

fn map() -> KindSpec {
    let steps = vec![Step::new("apply", Scope::Shard).port("rows").writes("rows")];
    let inputs = vec![InputPort::one("rows", "rows")];
    let spec = gives(kind("map", inputs, steps), "rows", "rows", 0);
    let ops = &["copy", "upper", "first"];
    let spec = takes(
        spec,
        ParamSpec::choice("op", "copy", ops, "`first` keeps the first letter."),
    );
    let spec = takes(
        spec,
        ParamSpec::new("suffix", ParamType::Str, "Added.").or(Value::Str(String::new())),
    );
    takes(
        spec,
        ParamSpec::int("speed", 1, 0, 9, "Changes nothing.").unkeyed(),
    )
}

fn run_map(control: &Control, action: &mut Action<'_>) -> Result<(), StageError> {
    let text = text(action.one("rows")?)?;
    control.call();
    let (op, suffix) = (action.params.str("op"), action.params.str("suffix"));
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

fn folds() -> KindSpec {
    let split = Step::new("split", Scope::Whole);
    let steps = vec![split.port("objects").writes("folds")];
    let inputs = vec![InputPort::one("objects", "objects")];
    let spec = gives(kind("folds", inputs, steps), "folds", "folds", 0);
    takes(spec, ParamSpec::int("k", 2, 2, 9, "How many."))
}

fn folds_of(params: &Params) -> Layout {
    let folds = (0..params.int("k")).map(|fold| fold.to_string());
    Layout {
        folds: folds.chain(["final".to_owned()]).collect(),
        ..Layout::default()
    }
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
    let k = action.params.int("k");
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

fn learner() -> KindSpec {
    let fit = Step::new("fit", Scope::Fold).rows("rows", Rows::Train);
    let apply = Step::new("apply", Scope::FoldShard).after(0, "model");
    let gather = Step::new("gather", Scope::Whole).after(1, "part");
    let steps = vec![
        fit.writes("model").seeded(),
        apply.rows("rows", Rows::Apply).writes("part"),
        gather.writes("predictions"),
    ];
    let inputs = vec![
        InputPort::one("rows", "rows"),
        InputPort::one("folds", "folds"),
    ];
    let spec = gives(kind("learner", inputs, steps), "predictions", "rows", 2);
    takes(spec, ParamSpec::int("depth", 3, 1, 9, "A parameter."))
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
            let depth = action.params.int("depth");
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

fn join() -> KindSpec {
    let steps = vec![
        Step::new("join", Scope::Whole)
            .port("rows")
            .writes("rows")
            .apart(),
    ];
    let inputs = vec![InputPort::many("rows", "rows")];
    gives(kind("join", inputs, steps), "rows", "rows", 0)
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

fn tweak() -> KindSpec {
    let steps = vec![
        Step::new("tweak", Scope::Whole)
            .port("rows")
            .writes("rows")
            .apart(),
    ];
    let mut rows = InputPort::many("rows", "rows");
    rows.optional = true;
    let spec = gives(kind("tweak", vec![rows], steps), "rows", "rows", 0);
    let hows = &["pass", "fail", "panic", "sleep", "random"];
    let spec = takes(
        spec,
        ParamSpec::choice("how", "pass", hows, "What it does."),
    );
    takes(
        spec,
        ParamSpec::int("tag", 0, 0, 1_000_000, "Tells equals apart."),
    )
}

fn run_tweak(control: &Control, action: &mut Action<'_>) -> Result<(), StageError> {
    control.call();
    let mut text_out = format!("tag {}\n", action.params.int("tag"));
    // Not the texts themselves: at the end of a long chain they would be long.
    for part in action.input("rows") {
        text_out.push_str(&format!(
            "of {}\n",
            digest_of([text(part)?.as_str()]).short()
        ));
    }
    match action.params.str("how") {
        "fail" => return Err(StageError::failed("flow::test::told", "told to fail")),
        "panic" => panic!("told to panic"),
        "sleep" => {
            for _ in 0..50 {
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

fn items() -> KindSpec {
    let steps = vec![Step::new("make", Scope::Shard).writes("rows")];
    let spec = gives(kind("items", Vec::new(), steps), "rows", "rows", 0);
    takes(
        spec,
        ParamSpec::int("n", 2, 1, 1_000_000, "How many.").unkeyed(),
    )
}

fn items_of(params: &Params) -> Layout {
    let shards = (0..params.int("n")).map(|i| Shard {
        label: i.to_string(),
        item: Value::Int(i),
        files: Vec::new(),
    });
    Layout {
        shards: shards.collect(),
        items: true,
        ..Layout::default()
    }
}

fn run_items(control: &Control, action: &mut Action<'_>) -> Result<(), StageError> {
    control.call();
    let item = &action.shard.unwrap().item;
    let text = format!("i{item} - item\n");
    write_rows(action, &text)
}
