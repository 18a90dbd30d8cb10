//! `ingest`: any survey becomes `curves` and `objects`, with a report of what was dropped.
//!
//! Two steps: `read` turns each light-curve file into a shard; `collect` joins the parts' reports
//! and checks what only the whole shows, such as an object in two files. Rows are read one by one;
//! what is wrong is counted with its reason and a few places, never passed on and never silent.
//!
//! | row | what happens |
//! |---|---|
//! | observation: empty or impossible time, flux or error; error <= 0; unknown band; not UTF-8; wrong number of fields; unknown object; exact repeat | dropped and counted |
//! | object: a number that is none; wrong number of fields; empty name | dropped and counted |
//! | object: empty redshift, E(B-V) or label, or a sentinel such as -9 | kept without, unless `nulls` says otherwise |
//! | object: without light curve, or without a usable observation | left out and counted |
//! | object listed twice, or in two files; no such column; empty file; open quote | error |
//! | more than `max_rejected` of a file's rows dropped | error |

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
#[cfg(test)]
pub(crate) mod tests;

use std::path::{Path, PathBuf};

use flow_cache::Value;
use flow_engine::kind::{Layout, OutputPort, Ports, Project, Scope, Shards, Sources, Step};
use flow_engine::{Action, Diag, KindSpec, ParamSpec, ParamType, Params, Stage, StageError};

use crate::table::{Curves, Objects, Survey, is_no_value, is_parquet, row_attrs};

use build::Builder;
use catalogue::Catalogue;
use columns::{Mapping, Regroup};
use layout::{CURVES, LOGS, OBJECTS, SETS};
use reject::Tally;
use report::{ShardReport, collect};

/// The kind.
pub struct Ingest;

const READ: usize = 0;
const LSST: [&str; 6] = ["u", "g", "r", "i", "z", "y"];
const MAPPED: &[&str] = &["csv", "parquet"];
const DEMO: &[&str] = &["demo"];
/// MALLORN's columns; see its data description.
const MALLORN: [(&str, &str); 9] = [
    ("time", "Time (MJD)"),
    ("band", "Filter"),
    ("flux", "Flux"),
    ("flux_err", "Flux_err"),
    ("label", "SpecType"),
    ("redshift", "Z"),
    ("redshift_err", "Z_err"),
    ("ebv", "EBV"),
    ("split", "split"),
];

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
        let mut bands = params.strs("bands");
        if let Some(word) = bands.iter().find(|band| is_no_value(band.trim())) {
            wrong(
                "bands",
                format!("`{word}` as a band's name means that there is none"),
                "call the band otherwise, in the file too".into(),
            );
        }
        bands.sort_unstable();
        if let Some(pair) = bands.windows(2).find(|pair| pair[0] == pair[1]) {
            wrong(
                "bands",
                format!("band `{}` is listed twice", pair[0]),
                "remove one of the two".into(),
            );
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
        let item = action.shard.map_or(&Value::Null, |shard| &shard.item);
        let sources = action.all_sources().iter();
        let request = Request {
            params: action.params,
            item,
            sources: sources
                .map(|(file, _)| (file.role.clone(), file.path.clone()))
                .collect(),
            seed: action.seed,
            checkpoint: &|| action.checkpoint(),
        };
        let (curves, part) = request.read()?;
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

fn collect_step(action: &mut Action<'_>) -> Result<(), StageError> {
    let mut parts: Vec<ShardReport> = Vec::new();
    for part in action.input("part") {
        let text = std::fs::read(&part.path)?;
        let part = serde_json::from_slice(&text);
        parts.push(
            part.map_err(|error| {
                StageError::environment(format!("the report of a file: {error}"))
            })?,
        );
    }
    let shards = action
        .input("objects")
        .iter()
        .map(|part| Objects::read(&part.path));
    let shards = shards.collect::<Result<Vec<_>, _>>()?;
    let request = Request {
        params: action.params,
        item: &Value::Null,
        sources: action
            .all_sources()
            .iter()
            .map(|(file, _)| (file.role.clone(), file.path.clone()))
            .collect(),
        seed: 0,
        checkpoint: &|| action.checkpoint(),
    };
    let catalogue = request.everybody()?;
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
        .map_err(|error| StageError::environment(format!("cannot write a report: {error}")))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads the files of a shard, by role, and gives the number of their objects.
///
/// # Errors
/// As the step that reads.
pub fn read_files(
    params: &Params,
    item: &Value,
    sources: Vec<(String, PathBuf)>,
) -> Result<usize, StageError> {
    let request = Request {
        params,
        item,
        sources,
        seed: 0,
        checkpoint: &|| Ok(()),
    };
    let (curves, _) = request.read()?;
    Ok(curves.objects.object_id.len())
}

/// The class that binary metrics score.
fn positive(params: &Params) -> Option<String> {
    let own = params.opt_str("positive").map(String::from);
    match MAPPED.contains(&params.str("format")) {
        true => own,
        false => own.or(Some("TDE".into())),
    }
}

/// What one action is asked for.
struct Request<'a> {
    params: &'a Params,
    item: &'a Value,
    /// Role and path.
    sources: Vec<(String, PathBuf)>,
    seed: u64,
    checkpoint: &'a dyn Fn() -> Result<(), StageError>,
}

impl Request<'_> {
    /// Reads one shard.
    fn read(&self) -> Result<(Curves, ShardReport), StageError> {
        let format = self.params.str("format");
        let bands: Vec<String> = match format {
            "csv" | "parquet" => self
                .params
                .strs("bands")
                .into_iter()
                .map(String::from)
                .collect(),
            _ => LSST.map(String::from).to_vec(),
        };
        let survey = Survey {
            bands,
            classes: Vec::new(),
            positive: positive(self.params),
        };
        if format == "demo" {
            let (curves, tally) = demo::read(
                self.params,
                self.text("split"),
                self.seed,
                survey,
                self.checkpoint,
            )?;
            let part = part(self.text("split").into(), &curves, tally, Vec::new());
            return Ok((curves, part));
        }

        let mapping = self.mapping();
        let file = match format {
            "mallorn" => format!(
                "{}/{}_full_lightcurves.csv",
                self.text("split"),
                self.text("set")
            ),
            _ => self.text("file").to_string(),
        };
        let path = self
            .paths(CURVES)
            .next()
            .ok_or_else(|| StageError::environment("a shard without its file"))?;
        let (catalogue, classes) = self.catalogue(path, &file)?;
        let mut builder = Builder::new(&file, &catalogue, &survey.bands);
        match format {
            "parquet" => parquet::observations(path, &mapping, &mut builder, self.checkpoint)?,
            _ => csv::observations(path, &mapping, &mut builder, self.checkpoint)?,
        }
        let survey = Survey {
            classes,
            ..survey.clone()
        };
        let bands = survey.bands.join(", ");
        let (curves, unusable, tally) = builder.finish(survey);
        let limit = self.params.float("max_rejected");
        if let Err(mut error) = tally.check("observations", &file, limit) {
            // The first cause first: objects that were dropped take their observations with them.
            catalogue
                .tally
                .check("objects", "the objects table", limit)?;
            if tally.dropped.contains_key(catalogue::DROPPED) {
                error.help.splice(..0, catalogue.tally.places());
            }
            if tally.dropped.contains_key(reject::UNKNOWN_BAND) {
                error = error.help(format!("the bands of the pipeline are: {bands}"));
            }
            if let Some(count) = tally.dropped.get(catalogue::SPELLED)
                && let Some(example) = count.examples.first()
                && let Some(other) = catalogue.other_spelling(&example.value)
            {
                error = error.help(format!(
                    "`{}` is `{other}` in the objects table: a data frame makes floats of whole numbers \
                     where one is missing, and drops leading zeros. Write ids as texts, in pandas with \
                     `.astype(\"Int64\").astype(str)`",
                    example.value
                ));
            }
            return Err(error);
        }
        let mut part = part(file.clone(), &curves, tally, unusable);
        if self.lists_no_objects() && catalogue.tally.is_notable() {
            part.catalogue = Some(catalogue.tally);
        }
        Ok((curves, part))
    }

    /// True if each light-curve file brings its own objects.
    fn lists_no_objects(&self) -> bool {
        LOGS.into_iter()
            .chain([OBJECTS])
            .all(|role| self.paths(role).next().is_none())
    }

    fn mapping(&self) -> Mapping {
        if self.params.str("format") == "mallorn" {
            Mapping::fixed(&MALLORN)
        } else {
            Mapping::of(self.params)
        }
    }

    /// The objects that a shard's file may hold, and the classes of the whole survey.
    fn catalogue(&self, path: &Path, file: &str) -> Result<(Catalogue, Vec<String>), StageError> {
        let mapping = self.mapping();
        if self.params.str("format") == "mallorn" {
            let log = |set: usize| -> Result<Catalogue, StageError> {
                let mut catalogue = Catalogue::new(self.params)?;
                for path in self.paths(LOGS[set]) {
                    csv::objects(
                        path,
                        &format!("{}.csv", LOGS[set]),
                        &mapping,
                        &mut catalogue,
                    )?;
                }
                Ok(catalogue)
            };
            let train = log(0)?;
            let classes = train.classes(mapping.name("label"))?;
            let own = if self.text("set") == SETS[0] {
                train
            } else {
                log(1)?
            };
            return Ok((own, classes));
        }
        let catalogue = match self.everybody()? {
            Some(catalogue) => catalogue,
            None => {
                let mut own = Catalogue::new(self.params)?;
                parquet::objects(path, file, &mapping, &mut own)?;
                own
            }
        };
        let classes = catalogue.classes(mapping.name("label"))?;
        Ok((catalogue, classes))
    }

    /// All objects that the survey lists, if it does.
    fn everybody(&self) -> Result<Option<Catalogue>, StageError> {
        let mapping = self.mapping();
        let mut catalogue = Catalogue::new(self.params)?;
        let mut any = false;
        for role in LOGS.into_iter().chain([OBJECTS]) {
            for path in self.paths(role) {
                any = true;
                let name = if role == OBJECTS {
                    "the objects table".to_string()
                } else {
                    format!("{role}.csv")
                };
                match is_parquet(path)? {
                    true => parquet::objects(path, &name, &mapping, &mut catalogue)?,
                    false => csv::objects(path, &name, &mapping, &mut catalogue)?,
                }
            }
        }
        Ok(any.then_some(catalogue))
    }

    fn paths<'a>(&'a self, role: &'a str) -> impl Iterator<Item = &'a Path> {
        self.sources
            .iter()
            .filter(move |(r, _)| r == role)
            .map(|(_, path)| path.as_path())
    }

    /// A text of the shard's item.
    fn text(&self, name: &str) -> &str {
        self.item
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

fn part(file: String, curves: &Curves, observations: Tally, unusable: Vec<String>) -> ShardReport {
    let mut bands = vec![0; curves.bands().len()];
    for &band in &curves.band {
        bands[usize::from(band)] += 1;
    }
    let bands = curves.bands().iter().cloned().zip(bands).collect();
    ShardReport {
        file,
        objects: curves.len() as u64,
        observations,
        bands,
        unusable,
        catalogue: None,
    }
}

fn params() -> Vec<ParamSpec> {
    let paths = || {
        ParamType::OneOf(vec![
            ParamType::Glob,
            ParamType::List(Box::new(ParamType::Glob)),
        ])
    };
    let texts = || ParamType::List(Box::new(ParamType::Str));
    let map = |ty: ParamType| ParamType::Map(Box::new(ty));
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
        ParamSpec::new("bands", texts(), "Names of the bands, in the order that features use. Observations in others are dropped and counted.")
            .only("format", MAPPED),
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
        ParamSpec::int("labelled", 3043, 0, 1_000_000, "Labelled objects of the demo.").only("format", DEMO),
        ParamSpec::int("positives", 148, 0, 1_000_000, "TDE among the labelled objects of the demo.").only("format", DEMO),
        ParamSpec::int("unlabelled", 1000, 0, 1_000_000, "Unlabelled objects of the demo.").only("format", DEMO),
        ParamSpec::int("copies", 3, 1, 100, "How often the demo observes each physical source; copies share a group.").only("format", DEMO),
        ParamSpec::float("difficulty", 43.45, 42.6, 44.8, "Mean log10 of the peak luminosity of the demo's TDE, in erg/s: lower is harder.").only("format", DEMO),
    ]
}
