//! Kind `ingest`: any survey becomes `curves` and `objects`, with a report of what was dropped.
//!
//! Two steps: `read` turns each light-curve file into a shard; `collect` joins the parts' reports
//! and checks what only the whole shows, such as an object in two files.
//!
//! - `layout`: which files are which shards; `columns`, `labels`: what they mean to the pipeline;
//! - `request`: the files of one action, read; begin here;
//! - `csv`, `parquet`, `demo`: rows from each kind of file, handed to
//! - `build` and `catalogue`, which make light curves and objects of them;
//! - `reject`: what becomes of a row that is wrong, with the table of all cases; `report`: their sum.
//!
//! Rows are read one by one; what is wrong is counted with its reason and a few places, never passed on and
//! never silent.

mod build;
mod catalogue;
mod columns;
mod csv;
mod demo;
mod labels;
mod layout;
mod parquet;
mod reject;
mod report;
mod request;
#[cfg(test)]
pub(crate) mod tests;

use flow_cache::Value;
use flow_engine::kind::{Layout, OutputPort, Ports, Project, Scope, Shards, Sources, Step};
use flow_engine::{Action, Diag, KindSpec, ParamSpec, ParamType, Params, Stage, StageError};

use crate::table::{Objects, is_no_value, row_attrs};

use columns::Regroup;
use report::{ShardReport, collect};
use request::{Request, positive};

pub use request::read_files;

/// The kind.
pub struct Ingest;

const READ: usize = 0;
const MAPPED: &[&str] = &["csv", "parquet"];
const DEMO: &[&str] = &["demo"];
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
                ],
            },
            params: params(),
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
        for (key, _) in params.map("columns") {
            if !columns::known().any(|known| known == key) {
                let known: Vec<_> = columns::known().collect();
                wrong(
                    "columns",
                    format!("`columns` knows no `{key}`"),
                    format!("it knows: {}", known.join(", ")),
                );
            }
        }
        for (key, _) in params.map("nulls") {
            if !catalogue::NULLABLE.contains(&key.as_str()) {
                let help = format!("they are: {}", catalogue::NULLABLE.join(", "));
                wrong(
                    "nulls",
                    format!("`{key}` is no column that may be empty"),
                    help,
                );
            }
        }
        if let Err(text) = Regroup::of(params) {
            wrong(
                "classes",
                text,
                "`*` stands for any text, `?` for one character".into(),
            );
        }
        for (text, help) in wrong_bands(params.strs("bands")) {
            wrong("bands", text, help.into());
        }
        if params.str("format") == "csv" && params.strs("objects").is_empty() {
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
            ports, mut steps, ..
        } = self.spec();
        // Only the generator draws random numbers: a new seed must not read a survey again.
        steps[READ].seeded = params.str("format") == "demo";
        // Regrouped labels come with what they were. Stores know results without, under the step's
        // other name.
        if params.get("classes").is_some() {
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
        if action.step != READ {
            return collect_step(action);
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

/// What is wrong with the names of bands, and what helps.
fn wrong_bands(mut bands: Vec<&str>) -> Vec<(String, &'static str)> {
    let mut found = Vec::new();
    if let Some(word) = bands.iter().find(|band| is_no_value(band.trim())) {
        let text = format!("`{word}` as a band's name means that there is none");
        found.push((text, "call the band otherwise, in the file too"));
    }
    bands.sort_unstable();
    if let Some(pair) = bands.windows(2).find(|pair| pair[0] == pair[1]) {
        let text = format!("band `{}` is listed twice", pair[0]);
        found.push((text, "remove one of the two"));
    }
    found
}

fn collect_step(action: &mut Action<'_>) -> Result<(), StageError> {
    let mut parts: Vec<ShardReport> = Vec::new();
    for part in action.input("part") {
        let text = std::fs::read(&part.path)?;
        let part = serde_json::from_slice(&text);
        parts.push(
            part.map_err(|error| StageError::environment("the report of a file").because(error))?,
        );
    }
    let shards = action
        .input("objects")
        .iter()
        .map(|part| Objects::read(&part.path));
    let shards = shards.collect::<Result<Vec<_>, _>>()?;
    let checkpoint = || action.checkpoint();
    let catalogue = Request::of(action, &checkpoint).everybody()?;
    let report = collect(
        &parts,
        &shards,
        catalogue.as_ref(),
        action.params.float("max_rejected"),
    )?;
    // Without a word of it, what the demo makes is as wanted.
    if action.params.str("format") != "demo" || action.params.get("positive").is_some() {
        let labels = catalogue
            .map(|catalogue| catalogue.labels)
            .unwrap_or_default();
        let positive = positive(action.params);
        labels::check(action.params, positive.as_deref(), &report.labels, &labels)?;
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

fn params() -> Vec<ParamSpec> {
    let mut params = file_params();
    params.extend(object_params());
    params.extend(demo_params());
    params
}

/// Where the survey is.
fn file_params() -> Vec<ParamSpec> {
    let paths = || {
        ParamType::OneOf(vec![
            ParamType::Glob,
            ParamType::List(Box::new(ParamType::Glob)),
        ])
    };
    vec![
        ParamSpec::new(
            "format",
            ParamType::Choice(&["mallorn", "csv", "parquet", "demo"]),
            "What is read: MALLORN as it is published, any survey as CSV or Parquet, or the built-in simulated survey.",
        ),
        ParamSpec::new("path", ParamType::Path, "The folder that holds train_log.csv, test_log.csv and split_01 to split_20.")
            .only("format", &["mallorn"])
            .unkeyed(),
        ParamSpec::new(
            "curves",
            paths(),
            "Light curves: a path, a glob or a list, one shard a file. One row an observation, or (Parquet) one an object with nested lists.",
        )
        .only("format", MAPPED)
        .unkeyed(),
        ParamSpec::new(
            "objects",
            paths(),
            "One row an object: a path, a glob or a list. Parquet with nested light curves may do without.",
        )
        .optional()
        .only("format", MAPPED)
        .unkeyed(),
        ParamSpec::new("bands", ParamType::List(Box::new(ParamType::Str)), "Names of the bands, in the order that features use. Observations in others are dropped and counted.")
            .only("format", MAPPED),
    ]
}

/// What its columns mean, and what may be missing.
fn object_params() -> Vec<ParamSpec> {
    let texts = || ParamType::List(Box::new(ParamType::Str));
    let map = |ty: ParamType| ParamType::Map(Box::new(ty));
    vec![
        ParamSpec::new(
            "positive",
            ParamType::Str,
            "The class that binary metrics score; `TDE` for mallorn and demo. Without it, metrics are macro averages.",
        )
        .optional(),
        ParamSpec::new(
            "columns",
            map(ParamType::Str),
            "Names of the file's columns, by what they hold: object_id, time (days), band, flux, flux_err; lightcurve, the nested column (Parquet); of objects: label, redshift, redshift_err, ebv, split, group. The default is the same name, and `mjd` for time.",
        )
        .optional()
        .only("format", MAPPED),
        ParamSpec::new(
            "classes",
            ParamType::Ordered(Box::new(ParamType::OneOf(vec![ParamType::Str, texts()]))),
            "Regroups labels: class = patterns, the first match in the pipeline's order wins; a label that matches none stays its own class.",
        )
        .optional()
        .only("format", &["mallorn", "csv", "parquet"]),
        ParamSpec::new(
            "nulls",
            map(ParamType::Choice(&["keep", "reject", "error"])),
            "What to do with an object whose label, redshift, redshift_err or ebv is empty, by column; `keep` unless given.",
        )
        .optional()
        .only("format", &["mallorn", "csv", "parquet"]),
        ParamSpec::float("max_rejected", 0.1, 0.0, 1.0, "Largest share of a file's rows that may be dropped; more is an error."),
    ]
}

/// What the demo is like.
fn demo_params() -> Vec<ParamSpec> {
    vec![
        ParamSpec::int(
            "labelled",
            3043,
            0,
            1_000_000,
            "Labelled objects of the demo.",
        )
        .only("format", DEMO),
        ParamSpec::int(
            "positives",
            148,
            0,
            1_000_000,
            "TDE among the labelled objects of the demo.",
        )
        .only("format", DEMO),
        ParamSpec::int(
            "unlabelled",
            1000,
            0,
            1_000_000,
            "Unlabelled objects of the demo.",
        )
        .only("format", DEMO),
        ParamSpec::int(
            "copies",
            3,
            1,
            100,
            "How often the demo observes each physical source; copies share a group.",
        )
        .only("format", DEMO),
        ParamSpec::float(
            "difficulty",
            43.45,
            42.6,
            44.8,
            "Mean log10 of the peak luminosity of the demo's TDE, in erg/s: lower is harder.",
        )
        .only("format", DEMO),
    ]
}
