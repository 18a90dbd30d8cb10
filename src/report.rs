//! What a run came to: the last event, the run record and the tables for people are all made from
//! this one account.

use flow_cache::{Digest, Output, Store, Value};
use flow_engine::deliver::{self, Port};
use flow_engine::keys::Slot;
use flow_engine::pipeline::PortRef;
use flow_engine::plan::{FOLDS, Plan};
use flow_engine::summary::{StageSummary, Summary};
use flow_engine::{Pipeline, Span};
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
    /// Its output ports; none where something of one is not known.
    pub ports: Vec<(String, Option<Port>)>,
    /// Rows of its first output, if that has rows.
    pub rows: Option<i64>,
    /// The keys of its actions, as far as they are known.
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
            metrics: metrics(pipeline, &stages),
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

    /// The run record: the last event, with what `flow export` and gc need besides.
    pub fn record(&self, pipeline: &Pipeline) -> Json {
        let mut record = self.event(pipeline);
        if let Json::Object(fields) = &mut record {
            fields.remove("event");
        }
        record["file"] = pipeline.file.display().to_string().into();
        let outputs = pipeline.outputs.iter();
        record["outputs"] = outputs
            .map(|o| Json::from(o.path.display().to_string()))
            .collect();
        for stage in &self.stages {
            let fields = &mut record["stages"][&stage.name];
            fields["keys"] = stage.keys.clone().into();
            if let Some(folds) = &stage.folds {
                fields["folds"] = folds.to_string().into();
            }
            let ports = stage.ports.iter();
            let ports: Map<String, Json> = ports
                .filter_map(|(name, port)| Some((name.clone(), artifacts(port.as_ref()?))))
                .collect();
            fields["artifacts"] = ports.into();
        }
        record
    }
}

impl StageReport {
    fn figures(&self) -> Map<String, Json> {
        let figures = &self.figures;
        let outputs: Map<String, Json> = self
            .ports
            .iter()
            .filter_map(|(name, port)| {
                let digest = port.as_ref()?.digest()?;
                Some((name.clone(), digest.to_string().into()))
            })
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

/// The artifacts of a port for the run record. `view` is true where the port shows a part of them
/// only, which needs more than the artifacts.
fn artifacts(port: &Port) -> Json {
    let parts: Vec<Json> = port
        .parts
        .iter()
        .map(|part| {
            json!({
                "digest": part.digest.to_string(),
                "reference": part.reference,
                "fold": part.fold,
            })
        })
        .collect();
    json!({
        "type": port.ty,
        "view": port.needs.len() > port.parts.len(),
        "parts": parts,
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
    let ports: Vec<(String, Option<Port>)> = decl
        .ports
        .outputs
        .iter()
        .enumerate()
        .map(|(port, output)| {
            let reference = PortRef {
                stage,
                port,
                span: Span::default(),
            };
            let port = deliver::port(plan, slots, store, reference);
            (output.name.clone(), port)
        })
        .collect();
    let mut keys = Vec::new();
    let mut notes = Vec::new();
    for action in plan.of_stage(stage) {
        if let Slot::Done(record) = &slots[action] {
            keys.push(record.key.to_string());
            notes.extend(record.outputs.iter().flat_map(notes_of));
        }
    }
    let rows = ports.first().and_then(|(_, port)| rows(port.as_ref()?));
    StageReport {
        name: decl.name.clone(),
        figures: summary.stage(stage),
        ports,
        rows,
        keys,
        folds: decl
            .ports
            .outputs
            .iter()
            .any(|output| output.ty == METRICS)
            .then(|| folds(plan, slots, store, stage)?.digest())
            .flatten(),
        notes,
    }
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
    deliver::port(plan, slots, store, reference)
}

/// The rows of a port: those of its shards together, in one fold, of the first stage it shows.
fn rows(port: &Port) -> Option<i64> {
    let fold = port.parts.first()?.fold.clone();
    let parts = port
        .parts
        .iter()
        .filter(|part| part.fold == fold && part.reference == 0);
    parts
        .map(|part| part.attrs.get("rows").and_then(Value::as_int))
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

fn metrics(pipeline: &Pipeline, stages: &[StageReport]) -> Map<String, Json> {
    let mut all = Map::new();
    for (decl, report) in pipeline.stages.iter().zip(stages) {
        for (output, (_, port)) in decl.ports.outputs.iter().zip(&report.ports) {
            let first = port.as_ref().and_then(|port| port.parts.first());
            if output.ty == METRICS
                && let Some(metrics) = first.and_then(|part| part.attrs.get("metrics"))
            {
                all.insert(report.name.clone(), metrics.to_json());
            }
        }
    }
    all
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
    /// Reads what [`Report::record`] wrote. None if it is something else.
    pub fn read(port: &Json) -> Option<Self> {
        let parts = port.get("parts")?.as_array()?.iter().map(|part| {
            let digest = part.get("digest")?.as_str()?.parse().ok()?;
            let reference = usize::try_from(part.get("reference")?.as_u64()?).ok()?;
            let fold = part.get("fold")?.as_str().map(str::to_owned);
            Some((digest, reference, fold))
        });
        Some(Self {
            ty: port.get("type")?.as_str()?.to_owned(),
            view: port.get("view")?.as_bool()?,
            parts: parts.collect::<Option<_>>()?,
        })
    }
}
