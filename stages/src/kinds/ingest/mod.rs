//! Kind `ingest`: turns any survey into `curves` and `objects`, with a report of what was dropped.
//!
//! There are three steps. `read` turns each light-curve file into a shard. `collect` joins the reports of
//! the parts and checks what only the whole survey shows, such as an object in two files. `reveal` gives the
//! classes of objects without a label, if somebody knows them.
//!
//! - `params`: the parameters that describe a survey;
//! - `layout`: which files form which shards; `columns`, `labels`: what they mean to the pipeline;
//! - `request`: reads the files of one action; begin here;
//! - `csv`, `parquet`, `demo`: read rows from each kind of file, and pass them to
//! - `build`, which makes light curves of them, and `catalogue`, which judges objects; `known`: those of a shard;
//! - `reject`: what happens to a wrong row, with the table of all cases; `report`: what is told of the rows;
//! - `collect`: joins the reports of the shards; `ids`: tells the ids of a whole survey apart;
//! - `reveal`: the true classes of unlabelled objects.
//!
//! Rows are read one by one. A wrong row is counted with its reason and a few places. It is never
//! passed on, and never dropped silently.

mod build;
mod catalogue;
mod collect;
mod columns;
mod csv;
mod demo;
mod ids;
mod known;
mod labels;
mod layout;
mod params;
mod parquet;
mod reject;
mod report;
mod request;
mod reveal;
#[cfg(test)]
pub(crate) mod tests;

use flow_cache::Value;
use flow_engine::kind::{Layout, OutputPort, Ports, Project, Scope, Shards, Sources, Step};
use flow_engine::{Action, Diag, KindSpec, Params, Stage, StageError};

use crate::table::{Objects, is_no_value, row_attrs};

use collect::collect;
use columns::{Regroup, TRUTH};
use params::{Format, IngestParams};
use request::Request;

pub use request::read_files;

/// The kind.
pub struct Ingest;

const READ: usize = 0;
const REVEAL: usize = 2;

impl Stage for Ingest {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "ingest",
            version: 1,
            about: "Reads a survey: MALLORN, any CSV or Parquet, or the built-in demo.",
            ports: Ports {
                inputs: Vec::new(),
                outputs: vec![
                    OutputPort::of(
                        "curves",
                        "curves",
                        READ,
                        "One row an object, light curves nested.",
                    ),
                    OutputPort::of("objects", "objects", READ, "The same without light curves."),
                    OutputPort::of(
                        "report",
                        "report",
                        1,
                        "JSON: what was read, kept and dropped, and why.",
                    ),
                    OutputPort::of(
                        TRUTH,
                        "truth",
                        REVEAL,
                        "The classes of unlabelled objects, for `evaluate_new` alone: those of the demo, or a column of `objects`.",
                    ),
                ],
            },
            params: IngestParams::specs(),
            steps: vec![
                Step::new("read", Scope::Shard)
                    .sources(Sources::Shard)
                    .seeded()
                    .writes("curves")
                    .writes("objects")
                    .writes("part"),
                Step::new("collect", Scope::Whole)
                    .sources(Sources::Common)
                    .after(READ, "objects")
                    .after(READ, "part")
                    .writes("report"),
                Step::new("reveal", Scope::Whole)
                    .sources(Sources::Common)
                    .apart()
                    .seeded()
                    .writes(TRUTH),
            ],
        }
    }

    fn check(&self, params: &Params, _inputs: &[String]) -> Vec<Diag> {
        let mut diags = Vec::new();
        let mut wrong = |name: &str, text: String, help: String| {
            let diag = Diag::new("flow::params::ingest", text).help(help);
            diags.push(match params.span(name) {
                Some(span) => diag.label(span, "here"),
                None => diag,
            });
        };
        let ingest = IngestParams::read(params);
        for (key, _) in &ingest.columns {
            if !columns::known().any(|known| known == *key) {
                let known: Vec<_> = columns::known().collect();
                wrong(
                    "columns",
                    format!("`columns` knows no `{key}`"),
                    format!("it knows: {}", known.join(", ")),
                );
            }
        }
        for (key, _) in &ingest.nulls {
            if !catalogue::NULLABLE.contains(key) {
                let help = format!("they are: {}", catalogue::NULLABLE.join(", "));
                wrong(
                    "nulls",
                    format!("`{key}` is no column that may be empty"),
                    help,
                );
            }
        }
        if let Err(text) = Regroup::of(&ingest) {
            wrong(
                "classes",
                text,
                "`*` stands for any text, `?` for one character".into(),
            );
        }
        for (name, text, help) in wrong_bands(&ingest) {
            wrong(name, text, help);
        }
        if ingest.format == Format::Demo
            && let Some((name, text, help)) = demo::contradiction(&ingest)
        {
            wrong(name, text, help);
        }
        if ingest.format != Format::Demo && reveal::is_known(&ingest) && ingest.objects.is_empty() {
            wrong(
                "columns",
                "`truth` is read from `objects`, and there are none".into(),
                "objects = \"objects.parquet\"".into(),
            );
        }
        if ingest.format == Format::Csv && ingest.objects.is_empty() {
            wrong(
                "format",
                "a `csv` survey needs `objects`, one row an object".into(),
                "objects = \"objects.csv\"".into(),
            );
        }
        diags
    }

    fn shape(&self, params: &Params, _inputs: &[String]) -> (Ports, Vec<Step>) {
        let KindSpec {
            mut ports,
            mut steps,
            ..
        } = self.spec();
        let params = IngestParams::read(params);
        // Only the generator draws random numbers, so a new seed must not read a survey again.
        steps[READ].seeded = params.format == Format::Demo;
        steps[REVEAL].seeded = params.format == Format::Demo;
        if !reveal::is_known(&params) {
            steps.truncate(REVEAL);
            ports.outputs.retain(|port| port.name != TRUTH);
        }
        // Regrouped labels come with their original labels. Stores know results without these, under
        // the other name of the step.
        if params.classes.is_some() {
            steps[READ].name = "regroup";
        }
        (ports, steps)
    }

    fn layout(
        &self,
        params: &Params,
        project: &Project<'_>,
        _paired: &Shards,
    ) -> Result<Layout, Vec<Diag>> {
        layout::layout(params, project)
    }

    fn opaque(&self, _params: &Params, output: &str) -> bool {
        output == "report"
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        match action.step {
            READ => {}
            REVEAL => {
                let truth = reveal::truth(action)?;
                let ids: Vec<&String> = truth.class.keys().collect();
                let attrs = row_attrs(&ids);
                let mut writer = action.create()?;
                truth.write(&mut writer)?;
                return action.finish(TRUTH, writer, attrs);
            }
            _ => return collect_step(action),
        }
        let checkpoint = || action.checkpoint();
        let (curves, part) = Request::of(action, &checkpoint).read()?;
        let mut writer = action.create()?;
        curves.write(&mut writer)?;
        let attrs = row_attrs(&curves.objects.object_id);
        action.finish("curves", writer, attrs.clone())?;
        let mut writer = action.create()?;
        curves.objects.write(&mut writer)?;
        action.finish("objects", writer, attrs)?;
        action.write("part", &json(&part)?, Vec::new())
    }
}

/// What is wrong with the names of bands: the parameter, an error and a hint for each mistake.
fn wrong_bands(ingest: &IngestParams<'_>) -> Vec<(&'static str, String, String)> {
    let mut found = Vec::new();
    let known = ingest.bands();
    for (band, _) in &ingest.wavelengths {
        if !known.contains(band) {
            let text = format!("`wavelengths` has `{band}`, which is no band of the survey");
            found.push((
                "wavelengths",
                text,
                format!("they are: {}", known.join(", ")),
            ));
        }
    }
    let mut bands = ingest.bands.clone();
    if let Some(word) = bands.iter().find(|band| is_no_value(band.trim())) {
        let text = format!("`{word}` as a band's name means that there is none");
        let help = "call the band otherwise, in the file too";
        found.push(("bands", text, help.to_owned()));
    }
    bands.sort_unstable();
    if let Some(pair) = bands.windows(2).find(|pair| pair[0] == pair[1]) {
        let text = format!("band `{}` is listed twice", pair[0]);
        found.push(("bands", text, "remove one of the two".to_owned()));
    }
    found
}

fn collect_step(action: &mut Action<'_>) -> Result<(), StageError> {
    let (parts, objects) = (action.input("part"), action.input("objects"));
    let read = |shard: usize| {
        let part = serde_json::from_slice(&std::fs::read(&parts[shard].path)?);
        let part =
            part.map_err(|error| StageError::environment("the report of a file").because(error))?;
        let labels = |name: &str| name == "label";
        Ok((part, Objects::read_columns(&objects[shard].path, labels)?))
    };
    let checkpoint = || action.checkpoint();
    let collected = collect(&Request::of(action, &checkpoint), parts.len(), &read)?;
    let params = IngestParams::read(action.params);
    let report = collected.report;
    let labels = match params.format {
        Format::Demo => demo::labels(&params).map(str::to_owned).collect(),
        _ => collected.labels,
    };
    // Unless told otherwise, the demo has the classes that it should have.
    if params.format != Format::Demo || params.positive.is_some() || params.classes.is_some() {
        labels::check(&params, &report.labels, &labels)?;
    }
    let notes = report.notes.iter().cloned().map(Value::Str).collect();
    action.write(
        "report",
        &json(&report)?,
        vec![("notes".into(), Value::List(notes))],
    )
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, StageError> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| StageError::environment("cannot write a report").because(error))?;
    bytes.push(b'\n');
    Ok(bytes)
}
