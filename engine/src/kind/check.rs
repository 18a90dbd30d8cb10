//! Checks the parameters of a stage against the list of its kind, and fills in the defaults.

use crate::kind::describe::describe;
use std::path::Path;

use flow_cache::Value;

use crate::base::code::Code;
use crate::base::diag::{Diag, Diags, Span};
use crate::base::files;
use crate::base::suggest::{closest, did_you_mean};
use crate::kind::params::{Default, ParamSpec, ParamType, Params};
use crate::kind::place::{Unexpanded, absolute, expand};
use crate::kind::spec::KindSpec;
use crate::text::node::{Entry, Item, Node};

/// What a check needs to know besides the parameters.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The folder to which paths in the pipeline are relative.
    pub root: &'a Path,
    /// The folder to which paths in a `--set` are relative.
    pub cwd: &'a Path,
    /// Returns true for a place in a `--set`.
    pub is_set: &'a dyn Fn(Span) -> bool,
    /// Keys that every stage of the kind has besides its parameters, for hints.
    pub keys: &'a [&'a str],
    /// Returns the value of an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
}

/// The outcome of a check.
#[derive(Debug)]
pub struct Checked {
    /// All values that could be read, and defaults for the others.
    pub params: Params,
    /// Nothing was wrong.
    pub clean: bool,
    /// Every parameter that must have a value has one, so that the kind may be asked for its ports.
    pub usable: bool,
}

/// Checks `given` (the stage's keys but `use`, `inputs` and `seed`) against the parameters of its kind.
///
/// `at` is the place to name if something is missing. All mistakes are added to `diags`.
pub fn check(
    kind: &KindSpec,
    given: &[&Entry],
    at: Span,
    context: Context<'_>,
    diags: &mut Diags,
) -> Checked {
    let before = diags.len();
    let mut checker = Checker {
        kind: kind.name,
        specs: &kind.params,
        values: vec![GivenParam::Left; kind.params.len()],
        context,
        diags,
    };
    checker.read(given);
    let (params, usable) = checker.settle(at);
    Checked {
        params,
        clean: diags.len() == before,
        usable,
    }
}

/// What is known of a parameter.
#[derive(Clone)]
enum GivenParam {
    /// It is not given.
    Left,
    /// It is given. The value is none if it is wrong.
    Given(Option<Value>, Span),
    /// It is not given, but a misspelt key was meant to be it.
    Misspelt,
}

/// Says whether the condition of a parameter holds.
#[derive(Clone, Copy, PartialEq)]
enum Applies {
    Yes,
    No,
    /// The parameter that the condition is about is wrong.
    Unknown,
}

struct Checker<'a, 'd> {
    kind: &'a str,
    specs: &'a [ParamSpec],
    values: Vec<GivenParam>,
    context: Context<'a>,
    diags: &'d mut Diags,
}

impl Checker<'_, '_> {
    fn read(&mut self, given: &[&Entry]) {
        for entry in given {
            match self.specs.iter().position(|spec| spec.name == entry.key) {
                Some(i) => {
                    let value = self.value(&self.specs[i], &entry.node);
                    self.values[i] = GivenParam::Given(value, entry.node.span);
                }
                None => self.unknown(entry),
            }
        }
    }

    fn unknown(&mut self, entry: &Entry) {
        let names: Vec<&str> = self.specs.iter().map(|spec| spec.name).collect();
        let diag = Diag::new(
            "flow::pipeline::unknown_key",
            format!("`{}` is not a parameter of `{}`", entry.key, self.kind),
        )
        .label(entry.key_span, "unknown parameter");
        let meant = closest(&entry.key, names.iter().copied());
        if let Some(i) = names.iter().position(|name| Some(*name) == meant)
            && matches!(self.values[i], GivenParam::Left)
        {
            self.values[i] = GivenParam::Misspelt;
        }
        let known = names
            .iter()
            .copied()
            .chain(self.context.keys.iter().copied());
        let diag = did_you_mean(diag, &entry.key, known, "parameters");
        self.diags
            .push(diag.help(format!("`flow stages {}` lists the parameters", self.kind)));
    }

    /// Decides which parameters apply, and gives each its value or default.
    fn settle(mut self, at: Span) -> (Params, bool) {
        let mut params = Params::default();
        let mut usable = true;
        for (i, spec) in self.specs.iter().enumerate() {
            let applies = self.applies(spec);
            let default = match self.preset(spec) {
                Some(value) => &Default::Is(value.clone()),
                None => &spec.default,
            };
            match (self.values[i].clone(), default) {
                (GivenParam::Given(_, span), _) if applies == Applies::No => {
                    self.not_applicable(spec, span)
                }
                _ if applies == Applies::No => {}
                (GivenParam::Given(Some(value), span), _) => params.insert(spec, value, Some(span)),
                (_, Default::Is(value)) => params.insert(spec, self.default_of(spec, value), None),
                (GivenParam::Left, Default::Absent) => {}
                (slot, _) => {
                    usable = false;
                    if matches!(slot, GivenParam::Left) && applies == Applies::Yes {
                        self.missing(spec, at);
                    }
                }
            }
        }
        (params, usable)
    }

    /// Returns the default that the value of another parameter brings.
    fn preset<'s>(&self, spec: &'s ParamSpec) -> Option<&'s Value> {
        let given = |on: &str| {
            let at = self.specs.iter().position(|s| s.name == on)?;
            match &self.values[at] {
                GivenParam::Given(Some(value), _) => Some(word_of(value)),
                _ => None,
            }
        };
        let mut presets = spec.presets.iter();
        let preset = presets.find(|preset| given(preset.on).as_deref() == Some(preset.word))?;
        Some(&preset.value)
    }

    fn applies(&self, spec: &ParamSpec) -> Applies {
        let mut spec = spec;
        // Conditions may depend on conditional parameters. A chain of them is no longer than the list.
        for _ in 0..=self.specs.len() {
            let Some((on, words)) = spec.only else {
                return Applies::Yes;
            };
            let Some(i) = self.specs.iter().position(|s| s.name == on) else {
                return Applies::Yes;
            };
            let value = match (&self.values[i], &self.specs[i].default) {
                (GivenParam::Given(None, _) | GivenParam::Misspelt, _) => return Applies::Unknown,
                (GivenParam::Given(Some(value), _), _) | (GivenParam::Left, Default::Is(value)) => {
                    value
                }
                (GivenParam::Left, _) => return Applies::No,
            };
            if !words.contains(&word_of(value).as_str()) {
                return Applies::No;
            }
            spec = &self.specs[i];
        }
        Applies::Yes
    }

    fn not_applicable(&mut self, spec: &ParamSpec, span: Span) {
        let Some((on, words)) = spec.only else {
            return;
        };
        let mut diag = Diag::new(
            Code::NotApplicable,
            format!(
                "`{}` applies only with {}",
                spec.name,
                condition((on, words))
            ),
        )
        .label(span, "has no effect here");
        let other = self
            .specs
            .iter()
            .position(|s| s.name == on)
            .map(|i| &self.values[i]);
        diag = match other {
            Some(GivenParam::Given(Some(value), at)) => {
                diag.label(*at, format!("`{on}` is {}", word_of(value)))
            }
            _ => diag,
        };
        self.diags
            .push(diag.help(format!("remove `{}`, or change `{on}`", spec.name)));
    }

    fn missing(&mut self, spec: &ParamSpec, at: Span) {
        let condition = spec
            .only
            .map_or(String::new(), |only| format!(" with {}", condition(only)));
        self.diags.push(
            Diag::new(
                "flow::params::missing",
                format!(
                    "`{}` needs the parameter `{}`{condition}",
                    self.kind, spec.name
                ),
            )
            .label(at, "missing here")
            .help(format!(
                "{} = ... takes {}: {}",
                spec.name,
                describe(&spec.ty),
                spec.about
            )),
        );
    }

    /// Returns a default as it would be read from the pipeline, with absolute paths.
    fn default_of(&self, spec: &ParamSpec, value: &Value) -> Value {
        match (&spec.ty, value) {
            (ParamType::Path, Value::Str(path)) => Value::Str(absolute(self.context.root, path)),
            _ => value.clone(),
        }
    }

    fn value(&mut self, spec: &ParamSpec, node: &Node) -> Option<Value> {
        let before = self.diags.len();
        match self.convert(&spec.ty, node) {
            Ok(value) => (self.diags.len() == before).then_some(value),
            Err(misfit) => {
                self.diags.push(wrong_type(spec, &misfit));
                None
            }
        }
    }

    /// Reads a node as a type. The error is the innermost node that does not fit.
    fn convert<'n>(&mut self, ty: &ParamType, node: &'n Node) -> Result<Value, Misfit<'n>> {
        Ok(match (ty, &node.item) {
            (ParamType::Bool, Item::Bool(v)) => Value::Bool(*v),
            (ParamType::Int { min, max }, Item::Int(v)) if (min..=max).contains(&v) => {
                Value::Int(*v)
            }
            (ParamType::Float { min, max }, Item::Float(v))
                if v.is_finite() && (min..=max).contains(&v) =>
            {
                // Adding zero turns -0.0 into 0.0. They are equal, but -0.0 would have a key of its own.
                Value::Float(v + 0.0)
            }
            (ParamType::Float { min, max }, Item::Int(v))
                if (min..=max).contains(&&(*v as f64)) =>
            {
                Value::Float(*v as f64)
            }
            (ParamType::Str, Item::Str(v)) => {
                self.no_env(v, node.span);
                Value::Str(v.clone())
            }
            (ParamType::Choice(words), Item::Str(v)) if words.contains(&v.as_str()) => {
                Value::Str(v.clone())
            }
            (ParamType::Path, Item::Str(v)) => self.path(v, node.span, str::to_owned),
            (ParamType::Glob, Item::Str(v)) => self.path(v, node.span, files::escape),
            _ => return self.convert_parts(ty, node),
        })
    }

    /// Reads a node as a type that is made of others.
    fn convert_parts<'n>(&mut self, ty: &ParamType, node: &'n Node) -> Result<Value, Misfit<'n>> {
        match (ty, &node.item) {
            (ParamType::List(inner), Item::List(items)) => {
                let items = items.iter().map(|item| self.convert(inner, item));
                return Ok(Value::List(items.collect::<Result<_, _>>()?));
            }
            (ParamType::Map(inner), Item::Table(table)) => {
                let mut entries = Vec::with_capacity(table.len());
                for entry in table.iter() {
                    entries.push((entry.key.clone(), self.convert(inner, &entry.node)?));
                }
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                return Ok(Value::Map(entries));
            }
            (ParamType::Ordered(inner), Item::Table(table)) => {
                let mut pairs = Vec::with_capacity(table.len());
                for entry in table.iter() {
                    let value = self.convert(inner, &entry.node)?;
                    pairs.push(Value::List(vec![Value::Str(entry.key.clone()), value]));
                }
                return Ok(Value::List(pairs));
            }
            (ParamType::OneOf(types), _) => {
                for ty in types {
                    let before = self.diags.len();
                    match self.convert(ty, node) {
                        Ok(value) => return Ok(value),
                        // The complaints of a type that did not fit are of no interest.
                        Err(_) => self.diags.truncate(before),
                    }
                }
            }
            _ => {}
        }
        let ty = ty.clone();
        Err(Misfit { node, ty })
    }

    fn no_env(&mut self, text: &str, span: Span) {
        if text.contains("${env:") {
            self.diags.push(
                Diag::new(
                    "flow::params::env",
                    "`${env:...}` works only in parameters that are paths",
                )
                .label(span, "not a path")
                .help("write the value itself, or give it on the command line with --set"),
            );
        }
    }

    /// Makes a path absolute. Parts that are not in the pipeline's own text are passed through `literal`.
    fn path(&mut self, text: &str, span: Span, literal: fn(&str) -> String) -> Value {
        let env = |name: &str| (self.context.env)(name).map(|value| literal(&value));
        let expanded = match expand(text, &env) {
            Ok(expanded) => expanded,
            Err(Unexpanded::Unset(name)) => {
                self.diags.push(
                    Diag::new(
                        "flow::params::env",
                        format!("the environment variable `{name}` is not set"),
                    )
                    .label(span, "needed here")
                    .help(format!("set it before the run: export {name}=...")),
                );
                return Value::Str(text.into());
            }
            Err(Unexpanded::Open) => {
                self.diags.push(
                    Diag::new("flow::params::env", "`${env:` is not closed")
                        .label(span, "in this path")
                        .help(match word_after(text) {
                            "" => "write ${env:NAME}".to_owned(),
                            name => format!("write ${{env:{name}}}"),
                        }),
                );
                return Value::Str(text.into());
            }
        };
        if expanded.is_empty() || expanded == "~" || expanded.starts_with("~/") {
            let (what, help) = if expanded.is_empty() {
                ("a path is empty", "`.` is the project root")
            } else {
                (
                    "`~` is not expanded in a pipeline",
                    "write ${env:HOME} instead of ~",
                )
            };
            self.diags.push(
                Diag::new("flow::params::path", what)
                    .label(span, "this path")
                    .help(help),
            );
            return Value::Str(expanded);
        }
        let base = if (self.context.is_set)(span) {
            self.context.cwd
        } else {
            self.context.root
        };
        // `build` has checked that it is valid text.
        let base = literal(&base.to_string_lossy());
        Value::Str(absolute(Path::new(&base), &expanded))
    }
}

/// Returns the name in an unclosed `${env:NAME`.
fn word_after(text: &str) -> &str {
    let rest = text.rsplit_once("${env:").map_or("", |(_, rest)| rest);
    let end = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric());
    &rest[..end.unwrap_or(rest.len())]
}

/// A node that does not fit a type.
struct Misfit<'n> {
    node: &'n Node,
    ty: ParamType,
}

fn wrong_type(spec: &ParamSpec, misfit: &Misfit<'_>) -> Diag {
    let given = misfit.node.item.describe();
    let whole = misfit.ty == spec.ty;
    let subject = if whole {
        format!("`{}`", spec.name)
    } else {
        format!("an entry of `{}`", spec.name)
    };
    let diag = Diag::new(
        "flow::params::type",
        format!("{subject} must be {}, not {given}", describe(&misfit.ty)),
    )
    .label(misfit.node.span, format!("is {given}"));
    match (&misfit.ty, &misfit.node.item) {
        (ParamType::Choice(words), Item::Str(v)) => match closest(v, words.iter().copied()) {
            Some(word) => diag.help(format!("did you mean {word:?}?")),
            None => diag,
        },
        (ParamType::Int { .. } | ParamType::Float { .. }, Item::Str(v))
            if v.trim().parse::<f64>().is_ok() =>
        {
            diag.help(format!(
                "numbers have no quotes: {} = {}",
                spec.name,
                v.trim()
            ))
        }
        (ParamType::Bool, Item::Str(v)) if v == "true" || v == "false" => {
            diag.help(format!("switches have no quotes: {} = {v}", spec.name))
        }
        (ParamType::List(_), item) if whole && !matches!(item, Item::Table(_)) => {
            diag.help(format!(
                "a list has brackets: {} = [{}]",
                spec.name,
                crate::text::node::value(misfit.node)
            ))
        }
        _ => diag,
    }
}

/// Returns a scalar as a word, to compare it with the words of a condition.
fn word_of(value: &Value) -> String {
    match value {
        Value::Str(v) => v.clone(),
        Value::Bool(v) => v.to_string(),
        Value::Int(v) => v.to_string(),
        _ => String::new(),
    }
}

fn toml_word(word: &str) -> String {
    if word == "true" || word == "false" {
        word.into()
    } else {
        format!("{word:?}")
    }
}

/// Writes a condition, as in `format = "csv" or format = "parquet"`.
fn condition((on, words): (&str, &[&str])) -> String {
    let words: Vec<String> = words
        .iter()
        .map(|w| format!("{on} = {}", toml_word(w)))
        .collect();
    words.join(" or ")
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
