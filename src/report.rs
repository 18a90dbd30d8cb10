//! What a run came to: the last event, the run record and the tables for people are all made from
//! this one account.

use std::collections::BTreeMap;

use flow_cache::{Digest, Digester, Output, Store, Value};
use flow_engine::kind::spec::FOLDS;
use flow_engine::outputs::delivery::{self, Port, Shown};
use flow_engine::pipeline::PortRef;
use flow_engine::plan::Plan;
use flow_engine::plan::keys::Slot;
use flow_engine::run::summary::{StageSummary, Summary};
use flow_engine::{Diag, Pipeline, Span};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json, json};

/// The type of the port whose outputs hold metrics as attribute `metrics`.
pub const METRICS: &str = "metrics";

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All is up to date.
    Ok,
    /// Something failed.
    Failed,
    /// It was stopped.
    Interrupted,
}

impl Status {
    /// The word for it in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What became of one stage.
pub struct StageReport {
    /// Its name.
    pub name: String,
    /// Its actions, time and bytes.
    pub figures: StageSummary,
    /// The digests of its output ports, as far as they are known.
    pub outputs: Vec<(String, Option<Digest>)>,
    /// The metrics of an evaluation.
    metrics: Option<Json>,
    /// Rows of its first output, if that has rows.
    pub rows: Option<i64>,
    /// Of an evaluation, the keys of its actions, as far as they are known.
    pub keys: Vec<String>,
    /// Of an evaluation, the digest of the table of folds that it stems from.
    pub folds: Option<Digest>,
    /// What it wants people to know.
    pub notes: Vec<String>,
}

/// What a run came to.
pub struct Report {
    /// The run's id.
    pub run: String,
    /// How it ended.
    pub status: Status,
    /// Elapsed seconds.
    pub wall_s: f64,
    /// The stages in order.
    pub stages: Vec<StageReport>,
    /// Metrics by stage.
    pub metrics: Map<String, Json>,
    /// The metric to quote, `stage.metric`.
    pub headline: Option<String>,
}

impl Report {
    /// Takes stock after a run.
    pub fn new(
        plan: &Plan<'_>,
        slots: &[Slot],
        store: &Store,
        summary: &Summary,
        run: String,
        status: Status,
        wall_s: f64,
    ) -> Self {
        let pipeline = plan.pipeline;
        let stages: Vec<StageReport> = (0..pipeline.stages.len())
            .map(|stage| stage_report(plan, slots, store, summary, stage))
            .collect();
        let headline = pipeline.headline.as_ref();
        Self {
            run,
            status,
            wall_s,
            metrics: metrics(&stages),
            stages,
            headline: headline
                .map(|(stage, metric)| format!("{}.{metric}", pipeline.stages[*stage].name)),
        }
    }

    /// The metric to quote, as its stage reported it.
    pub fn headline_metric(&self) -> Option<&Json> {
        let (stage, metric) = self.headline.as_ref()?.split_once('.')?;
        self.metrics.get(stage)?.get(metric)
    }

    /// What is wrong with the metric to quote, if its stage has metrics and it is none of them.
    pub fn lost_headline(&self) -> Option<Diag> {
        let (stage, metric) = self.headline.as_ref()?.split_once('.')?;
        let known = self.metrics.get(stage)?.as_object()?;
        if known.contains_key(metric) {
            return None;
        }
        let message =
            format!("the headline is `{stage}.{metric}`, and `{stage}` gives no `{metric}` here");
        let quotable = known.iter().filter(|(_, m)| m.get("pooled").is_some());
        let names: Vec<&str> = quotable.map(|(name, _)| name.as_str()).collect();
        let diag = Diag::new("flow::metrics::unknown", message);
        let classes = || known.get("confusion")?.get("classes")?.get(0)?.as_str();
        let class = classes().unwrap_or("CLASS");
        let diag = match known.values().find_map(|m| m.get("average")?.as_str()) {
            Some(average) => diag.help(format!(
                "without a positive class its figures are {average} averages: name one in the `ingest` stage, positive = {class:?}"
            )),
            None => diag,
        };
        Some(diag.help(format!("it gives {}", names.join(", "))))
    }

    /// The last event of a run.
    pub fn event(&self, pipeline: &Pipeline) -> Json {
        let stages: Map<String, Json> = self
            .stages
            .iter()
            .map(|stage| (stage.name.clone(), Json::Object(stage.figures())))
            .collect();
        let mut event = json!({
            "event": "run-finished",
            "status": self.status.name(),
            "pipeline": pipeline.name,
            "run": self.run,
            "wall_s": self.wall_s,
            "stages": stages,
        });
        if let Some(metric) = &self.headline {
            let value = self.headline_metric().and_then(|m| m.get("pooled"));
            event["headline"] = json!({"metric": metric, "value": value});
        }
        event["metrics"] = Json::Object(self.metrics.clone());
        event
    }

    /// The run record: the last event and a little more. What is long lies beside it ([`Long`]).
    pub fn record(&self, pipeline: &Pipeline) -> Json {
        let mut record = self.event(pipeline);
        if let Json::Object(fields) = &mut record {
            fields.remove("event");
        }
        record["flow"] = env!("CARGO_PKG_VERSION").into();
        record["file"] = pipeline.file.display().to_string().into();
        let outputs = pipeline.outputs.iter();
        record["outputs"] = outputs
            .map(|o| Json::from(o.path.display().to_string()))
            .collect();
        for stage in self.stages.iter().filter(|stage| stage.folds.is_some()) {
            let fields = &mut record["stages"][&stage.name];
            fields["keys"] = stage.keys.clone().into();
            fields["folds"] = stage.folds.map(|folds| folds.to_string()).into();
        }
        record
    }
}

impl StageReport {
    fn figures(&self) -> Map<String, Json> {
        let figures = &self.figures;
        let outputs: Map<String, Json> = self
            .outputs
            .iter()
            .filter_map(|(name, digest)| Some((name.clone(), digest.as_ref()?.to_string().into())))
            .collect();
        let fields = [
            ("actions", Json::from(figures.actions())),
            ("hit", figures.hit.into()),
            ("ran", figures.ran.into()),
            ("failed", figures.failed.into()),
            ("skipped", figures.skipped.into()),
            ("wall_s", figures.wall_s.into()),
            ("cpu_s", figures.cpu_s.into()),
            ("peak_rss", figures.peak_rss.into()),
            ("read_bytes", figures.read_bytes.into()),
            ("outputs", outputs.into()),
        ];
        fields
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect()
    }
}

/// What a run record says of every action and every part of a port. Equal runs have it in common,
/// so that its digest is made first, of what decides it; the JSON only if it is not there yet.
pub struct Long<'a> {
    /// The plan.
    pub plan: &'a Plan<'a>,
    /// What is known of every action.
    pub slots: &'a [Slot],
    /// What the run came to.
    pub report: &'a Report,
}

/// What is digested, in a form that says where each part ends.
#[derive(Default)]
struct Account(Digester);

impl Account {
    fn number(&mut self, number: usize) {
        self.0.put(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.put(text.as_bytes());
    }

    fn digest(&mut self, digest: &Digest) {
        self.0.put(digest.as_bytes());
    }
}

impl Long<'_> {
    /// Its digest.
    pub fn digest(&self) -> Digest {
        let mut out = Account::default();
        out.text("flow run actions 2");
        let pipeline = self.plan.pipeline;
        for (stage, report) in self.report.stages.iter().enumerate() {
            out.text(&report.name);
            // Labels of actions are made of these.
            let decl = &pipeline.stages[stage];
            decl.steps.iter().for_each(|step| out.text(step.name));
            let layout = &decl.layout;
            layout.folds.iter().for_each(|fold| out.text(fold));
            layout.shards.iter().for_each(|s| out.text(s.label()));
            for action in self.plan.of_stage(stage) {
                if let Slot::Done(record) = &self.slots[action] {
                    out.number(action);
                    out.digest(&record.key.0);
                    out.number(record.outputs.len());
                    for output in &record.outputs {
                        out.text(&output.name);
                        out.digest(&output.digest);
                    }
                }
            }
            for (name, port) in shown(self.plan, self.slots, stage) {
                let Some(port) = port else { continue };
                out.text(name);
                out.text(port.ty);
                out.number(usize::from(port.is_a_view()));
                out.number(port.parts().count());
                for (reference, part) in port.parts() {
                    out.digest(&part.output.digest);
                    out.number(reference);
                    out.text(part.fold.unwrap_or(""));
                }
            }
        }
        out.0.finish()
    }

    /// Puts keys and artifacts into the stages of the record itself, for a run of many passes.
    pub fn inline(&self, record: &mut Json) {
        for (stage, report) in self.report.stages.iter().enumerate() {
            let fields = &mut record["stages"][&report.name];
            fields["keys"] = keys(self.plan, self.slots, stage).into();
            fields["artifacts"] = json!(self.ports(stage));
        }
    }

    fn stage(&self, stage: usize) -> impl Serialize {
        let action = move |action| {
            let Slot::Done(record) = &self.slots[action] else {
                return None;
            };
            let outputs = record.outputs.iter();
            let outputs: BTreeMap<&str, Digest> =
                outputs.map(|o| (o.name.as_str(), o.digest)).collect();
            Some((self.plan.label(action), record.key.to_string(), outputs))
        };
        StageText {
            name: &self.report.stages[stage].name,
            actions: Each(move || self.plan.of_stage(stage).filter_map(action)),
            ports: self.ports(stage),
        }
    }

    /// What is known of the ports of a stage, by name.
    fn ports(&self, stage: usize) -> BTreeMap<&str, impl Serialize> {
        let known = shown(self.plan, self.slots, stage).filter_map(|(name, port)| {
            let port = port?;
            let parts = port
                .parts()
                .map(|(n, part)| (part.output.digest, n, part.fold));
            let port = PortText {
                ty: port.ty,
                view: port.is_a_view(),
                parts: parts.collect::<Vec<_>>(),
            };
            Some((name, port))
        });
        known.collect()
    }
}

/// By stage, every action as label, key and outputs, and every port's parts as digest, reference and
/// fold.
impl Serialize for Long<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stages = Each(|| (0..self.report.stages.len()).map(|stage| self.stage(stage)));
        serializer.collect_map([("stages", stages)])
    }
}

#[derive(Serialize)]
struct StageText<'a, A, P> {
    name: &'a str,
    actions: A,
    ports: P,
}

#[derive(Serialize)]
struct PortText<'a, P> {
    #[serde(rename = "type")]
    ty: &'a str,
    view: bool,
    parts: P,
}

/// A list whose items are made as they are written: there may be very many.
struct Each<F>(F);

impl<F: Fn() -> I, I: Iterator<Item: Serialize>> Serialize for Each<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// The output ports of a stage; none where something of one is not known.
fn shown<'s>(
    plan: &'s Plan<'_>,
    slots: &'s [Slot],
    stage: usize,
) -> impl Iterator<Item = (&'s str, Option<Shown<'s>>)> {
    let outputs = plan.pipeline.stages[stage].ports.outputs.iter();
    outputs.enumerate().map(move |(port, output)| {
        let reference = PortRef {
            stage,
            port,
            span: Span::default(),
        };
        let shown = delivery::shown(plan, slots, reference);
        (output.name.as_str(), shown)
    })
}

fn stage_report(
    plan: &Plan<'_>,
    slots: &[Slot],
    store: &Store,
    summary: &Summary,
    stage: usize,
) -> StageReport {
    let decl = &plan.pipeline.stages[stage];
    let (mut digests, mut metrics) = (Vec::new(), None);
    let mut rows_of_first = None;
    for ((name, port), output) in shown(plan, slots, stage).zip(&decl.ports.outputs) {
        let digest = port.as_ref().and_then(Shown::digest);
        if digests.is_empty() {
            rows_of_first = port.as_ref().and_then(rows);
        }
        digests.push((name.to_owned(), digest));
        if output.ty == METRICS
            && let Some((_, part)) = port.as_ref().and_then(|port| port.parts().next())
        {
            metrics = part.output.attrs.get("metrics").map(Value::to_json);
        }
    }
    let mut notes = Vec::new();
    for action in plan.of_stage(stage) {
        if let Slot::Done(record) = &slots[action] {
            notes.extend(record.outputs.iter().flat_map(notes_of));
        }
    }
    let outputs = &decl.ports.outputs;
    let folds = match outputs.iter().any(|output| output.ty == METRICS) {
        true => folds(plan, slots, store, stage).and_then(|port| port.digest()),
        false => None,
    };
    StageReport {
        name: decl.name.clone(),
        figures: summary.stage(stage),
        outputs: digests,
        metrics,
        rows: rows_of_first,
        keys: match folds {
            Some(_) => keys(plan, slots, stage),
            None => Vec::new(),
        },
        folds,
        notes,
    }
}

/// The keys of a stage's actions, as far as they are known.
fn keys(plan: &Plan<'_>, slots: &[Slot], stage: usize) -> Vec<String> {
    let known = plan
        .of_stage(stage)
        .filter_map(|action| match &slots[action] {
            Slot::Done(record) => Some(record.key.to_string()),
            _ => None,
        });
    known.collect()
}

/// The table of folds that a stage stems from.
pub fn folds(plan: &Plan<'_>, slots: &[Slot], store: &Store, stage: usize) -> Option<Port> {
    let root = plan.pipeline.folds_above(stage)?;
    let outputs = &plan.pipeline.stages[root].ports.outputs;
    let reference = PortRef {
        stage: root,
        port: outputs.iter().position(|output| output.ty == FOLDS)?,
        span: Span::default(),
    };
    delivery::port(plan, slots, store, reference)
}

/// The rows of a port: those of its shards together, in one fold, of the first stage it shows.
fn rows(port: &Shown<'_>) -> Option<i64> {
    let (_, first) = port.parts().next()?;
    let parts = port
        .parts()
        .filter(|(reference, part)| part.fold == first.fold && *reference == 0);
    parts
        .map(|(_, part)| part.output.attrs.get("rows").and_then(Value::as_int))
        .sum()
}

fn notes_of(output: &Output) -> Vec<String> {
    match output.attrs.get("notes") {
        Some(Value::List(notes)) => notes
            .iter()
            .filter_map(|note| note.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    }
}

fn metrics(stages: &[StageReport]) -> Map<String, Json> {
    let known = stages.iter().filter_map(|stage| {
        let metrics = stage.metrics.clone()?;
        Some((stage.name.clone(), metrics))
    });
    known.collect()
}

/// What `flow export` finds in a run record: the digests of a port's parts.
pub struct Recorded {
    /// Type of the port.
    pub ty: String,
    /// The port shows a part of its artifacts only.
    pub view: bool,
    /// Digest, reference and fold of each part.
    pub parts: Vec<(Digest, usize, Option<String>)>,
}

impl Recorded {
    /// Reads what [`Long`] wrote, or an earlier version, whose parts have names for their
    /// fields. None if it is something else.
    pub fn read(port: &Json) -> Option<Self> {
        let parts = port.get("parts")?.as_array()?.iter().map(|part| {
            let field = |at: usize, name: &str| part.get(at).or_else(|| part.get(name));
            let digest = field(0, "digest")?.as_str()?.parse().ok()?;
            let reference = usize::try_from(field(1, "reference")?.as_u64()?).ok()?;
            let fold = field(2, "fold")?.as_str().map(str::to_owned);
            Some((digest, reference, fold))
        });
        Some(Self {
            ty: port.get("type")?.as_str()?.to_owned(),
            view: port.get("view")?.as_bool()?,
            parts: parts.collect::<Option<_>>()?,
        })
    }
}
