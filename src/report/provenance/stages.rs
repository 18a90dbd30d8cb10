//! The recipe of every stage: where a number comes from, and how to ask for it.

use flow_cache::{Recipe, Value as RecipeValue};
use maud::{Markup, html};

use super::anchor;
use crate::record::{PortRecord, StageRecord};
use crate::report::Recorded;
use crate::wording::{bytes, count, quoted, seconds};

/// The keys of a stage that are listed.
const KEYS: usize = 3;
/// The most characters of a value.
const VALUE: usize = 400;

/// What is known of one stage.
pub struct StageFacts<'a> {
    /// The run.
    pub run: &'a Recorded<'a>,
    /// The name of the stage.
    pub name: &'a str,
    /// What the record says of it.
    pub stage: &'a StageRecord,
    /// The recipe of one of its actions, if the store still has it.
    pub recipe: Option<Recipe>,
}

impl StageFacts<'_> {
    /// What became of the actions: `ran 3 of 127`, `failed 1, ran 2 of 5`, `127 hits`.
    pub fn verdict(&self) -> String {
        let figures = &self.stage.figures;
        let some = [
            ("failed", figures.failed),
            ("ran", figures.ran),
            ("skipped", figures.skipped),
        ];
        let some = some.into_iter().filter(|(_, n)| *n > 0);
        let some: Vec<(&str, usize)> = some.collect();
        let words: Vec<String> = some.iter().map(|(word, n)| format!("{word} {n}")).collect();
        match some.as_slice() {
            [] => count(figures.hit, "hit"),
            [(_, n)] if *n == figures.actions => words.join(", "),
            _ => format!("{} of {}", words.join(", "), figures.actions),
        }
    }

    /// The worst that became of an action, in a word.
    pub fn worst(&self) -> &'static str {
        let figures = &self.stage.figures;
        match figures {
            _ if figures.failed > 0 => "failed",
            _ if figures.skipped > 0 => "skipped",
            _ if figures.ran > 0 => "ran",
            _ => "hit",
        }
    }

    /// What it cost and left, in a line: `ran 3 of 127, 2.1 s, 5.4 MB`.
    pub fn line(&self) -> String {
        let time = (self.stage.figures.ran > 0).then(|| seconds(self.stage.figures.wall_s));
        let size = self.stage.size.filter(|size| *size > 0).map(bytes);
        let parts = std::iter::once(self.verdict()).chain(time).chain(size);
        parts.collect::<Vec<_>>().join(", ")
    }

    /// All that is known of the stage, folded up.
    pub fn details(&self) -> Markup {
        html! {
            details .stage id=(anchor(self.name)) {
                summary {
                    strong { (self.name) } " "
                    @if let Some(kind) = &self.stage.kind { span .dim { (kind) } }
                    " " span .verdict.(self.worst()) { (self.line()) }
                }
                (self.facts())
                (self.ports())
                (self.params())
                (self.commands())
            }
        }
    }

    fn facts(&self) -> Markup {
        let figures = &self.stage.figures;
        let field = |name: &str| self.recipe.as_ref()?.get(name);
        let version = field("version").and_then(|version| version.as_int());
        let inputs = self.stage.inputs.iter();
        html! {
            dl {
                @for (port, from) in inputs {
                    dt { "reads " code { (port) } }
                    dd {
                        @for (at, reference) in from.iter().enumerate() {
                            @if at > 0 { ", " }
                            @let stage = reference.rsplit_once('.').map_or("", |(stage, _)| stage);
                            a href={ "#" (anchor(stage)) } { code { (reference) } }
                        }
                    }
                }
                @if let Some(version) = version { dt { "version of the kind" } dd { (version) } }
                @if let Some(seed) = field("seed") { dt { "seeds" } dd { code { (shown(&seed)) } } }
                @if !self.stage.versions.is_empty() {
                    dt { "versions" }
                    dd {
                        @for (at, (name, version)) in self.stage.versions.iter().enumerate() {
                            @if at > 0 { ", " } (name) " " (version)
                        }
                    }
                }
                @if figures.ran > 0 {
                    dt { "time of the actions that ran" }
                    dd {
                        (seconds(figures.wall_s)) ", " (seconds(figures.cpu_s)) " of CPU, at most "
                        (bytes(figures.peak_rss)) " of memory, " (bytes(figures.read_bytes)) " read"
                    }
                }
                @if let Some(rows) = self.stage.rows { dt { "rows" } dd { (rows) } }
                @if !self.stage.notes.is_empty() {
                    dt { "notes" }
                    dd { @for note in &self.stage.notes { (note) br; } }
                }
                (self.keys())
            }
        }
    }

    fn keys(&self) -> Markup {
        let actions = self.run.actions(self.name);
        html! {
            @if !actions.is_empty() {
                dt { "keys" }
                dd {
                    @for action in actions.iter().take(KEYS) {
                        (action.label) " " code .digest { (action.key) } br;
                    }
                    @if actions.len() > KEYS { "and " (actions.len() - KEYS) " more" }
                }
            }
        }
    }

    fn ports(&self) -> Markup {
        let outputs = &self.stage.figures.outputs;
        html! {
            @if !outputs.is_empty() {
                table {
                    thead { tr { th { "output" } th { "digest" } } }
                    tbody {
                        @for (port, digest) in outputs.iter() {
                            tr { td { code { (self.name) "." (port) } } td { code .digest { (digest) } } }
                        }
                    }
                }
            }
        }
    }

    /// The parameters of the recipe, defaults included.
    fn params(&self) -> Markup {
        let params = self.recipe.as_ref().and_then(|recipe| recipe.get("params"));
        let Some(RecipeValue::Map(params)) = params else {
            return html! {
                p .dim { "Its parameters are not shown: the store no longer has a record of its actions." }
            };
        };
        html! {
            @if !params.is_empty() {
                table {
                    thead { tr { th { "parameter" } th { "value" } } }
                    tbody {
                        @for (name, value) in &params {
                            tr { td { code { (name) } } td { code { (shown(value)) } } }
                        }
                    }
                }
            }
        }
    }

    /// The commands that explain the stage and export its outputs.
    fn commands(&self) -> Markup {
        let record = &self.run.record;
        let file = record.file.as_deref().unwrap_or_default();
        let asked = record.asked(true);
        let explain = format!(
            "flow explain {} {} {asked}",
            quoted(file),
            quoted(self.name)
        );
        let exports = self.run.ports(self.name).filter_map(|(port, known)| {
            let reference = format!("{}.{port}", self.name);
            let extension = self.extension(port, known)?;
            let name = self.name.rsplit('/').next().unwrap_or_default();
            let file = format!("{name}_{port}.{extension}");
            let (run, reference) = (&self.run.id, quoted(&reference));
            Some(format!(
                "flow export {run} {reference} -o {}",
                quoted(&file)
            ))
        });
        html! {
            pre .commands {
                (explain.trim_end()) "\n"
                @for line in exports { (line) "\n" }
            }
        }
    }

    /// The format in which an output is best taken away; none for a view, which has no bytes of its own.
    fn extension(&self, port: &str, known: &PortRecord) -> Option<&'static str> {
        let kind = self.stage.kind.as_deref().unwrap_or_default();
        Some(match (known.ty.as_str(), port) {
            _ if known.view => return None,
            ("model", _) if kind == "estimator" => "pkl",
            ("report", _) if kind == "evaluate" => "md",
            ("metrics" | "threshold" | "model" | "report", _) => "json",
            ("submission" | "curves" | "fitted", _) => "csv",
            ("any", _) => return None,
            _ => "parquet",
        })
    }
}

/// A value of a recipe as JSON, cut where it is very long.
fn shown(value: &RecipeValue) -> String {
    let text = value.to_json().to_string();
    match text.chars().count() > VALUE {
        true => text.chars().take(VALUE).chain(['…']).collect(),
        false => text,
    }
}
