//! Parameters of stage kinds: one declarative list per kind yields the check of a pipeline, the
//! defaults, the recipe's fields, the reference page and the JSON Schema.

use std::collections::BTreeMap;

use flow_cache::Value;

use crate::base::diag::Span;

/// One parameter of a kind.
#[derive(Clone, Debug)]
pub struct ParamSpec {
    /// Its TOML key.
    pub name: &'static str,
    /// What it accepts.
    pub ty: ParamType,
    /// The value if it is left out.
    pub default: Default,
    /// Other values if it is left out and another parameter has some value.
    pub presets: Vec<Preset>,
    /// One or two sentences: meaning, unit, effect.
    pub about: &'static str,
    /// It applies only if parameter `.0` has one of the values `.1`. Otherwise it is an error to give it.
    pub only: Option<(&'static str, &'static [&'static str])>,
    /// It is part of the recipe. This is false for a parameter that cannot change a result, such as the
    /// path of a file whose contents are in the recipe.
    pub keyed: bool,
    /// The kind reads it as a type that has room for whatever it accepts. A test holds every kind to it.
    pub typed: bool,
}

/// A default that takes the place of the usual one if a parameter has some value.
#[derive(Clone, Debug)]
pub struct Preset {
    /// The other parameter.
    pub on: &'static str,
    /// Its value.
    pub word: &'static str,
    /// The default that it brings.
    pub value: Value,
}

/// What a parameter accepts.
#[derive(Clone, Debug, PartialEq)]
pub enum ParamType {
    /// `true` or `false`.
    Bool,
    /// A whole number within bounds, both included.
    Int {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: i64,
    },
    /// A finite number within bounds, both included; whole numbers are accepted.
    Float {
        /// Smallest value.
        min: f64,
        /// Largest value.
        max: f64,
    },
    /// Any text.
    Str,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A path, relative to the project root (in `--set`, to the working directory). `${env:NAME}` is
    /// replaced, and the result is absolute.
    Path,
    /// A path or a pattern for [`crate::base::files::Project::find`], read like `Path`. Parts that are not
    /// in the pipeline's own text are escaped, see [`crate::base::files::escape`].
    Glob,
    /// A list.
    List(Box<ParamType>),
    /// A table with free keys, whose order does not count.
    Map(Box<ParamType>),
    /// A table with free keys whose order counts: its value is a list of pairs.
    Ordered(Box<ParamType>),
    /// The first of these types that fits.
    OneOf(Vec<ParamType>),
}

/// The value of a parameter that a pipeline leaves out.
#[derive(Clone, Debug)]
pub enum Default {
    /// There is no value: leaving it out is an error.
    Required,
    /// The parameter is absent if it is left out.
    Absent,
    /// It has this value.
    Is(Value),
}

impl ParamSpec {
    /// A required parameter.
    pub fn new(name: &'static str, ty: ParamType, about: &'static str) -> Self {
        Self {
            name,
            ty,
            default: Default::Required,
            presets: Vec::new(),
            about,
            only: None,
            keyed: true,
            typed: false,
        }
    }

    /// A whole number with a default.
    pub fn int(name: &'static str, default: i64, min: i64, max: i64, about: &'static str) -> Self {
        Self::new(name, ParamType::Int { min, max }, about).or(Value::Int(default))
    }

    /// A number with a default.
    pub fn float(
        name: &'static str,
        default: f64,
        min: f64,
        max: f64,
        about: &'static str,
    ) -> Self {
        Self::new(name, ParamType::Float { min, max }, about).or(Value::Float(default))
    }

    /// A switch with a default.
    pub fn bool(name: &'static str, default: bool, about: &'static str) -> Self {
        Self::new(name, ParamType::Bool, about).or(Value::Bool(default))
    }

    /// One of several words, with a default that may stand anywhere among them.
    pub fn choice(
        name: &'static str,
        default: &'static str,
        words: &'static [&'static str],
        about: &'static str,
    ) -> Self {
        Self::new(name, ParamType::Choice(words), about).or(Value::Str(default.into()))
    }

    /// Sets the default.
    #[must_use]
    pub fn or(mut self, default: Value) -> Self {
        self.default = Default::Is(default);
        self
    }

    /// Lets it be left out. It is then absent.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.default = Default::Absent;
        self
    }

    /// Sets the default for the case that parameter `on` has the value `word`. The value itself enters the
    /// recipe, so a pipeline that sets it by hand has the same one.
    #[must_use]
    pub fn with(mut self, on: &'static str, word: &'static str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.presets.push(Preset { on, word, value });
        self
    }

    /// Makes it apply only if `param` has one of `values`.
    #[must_use]
    pub fn only(mut self, param: &'static str, values: &'static [&'static str]) -> Self {
        self.only = Some((param, values));
        self
    }

    /// Keeps it out of the recipe.
    #[must_use]
    pub fn unkeyed(mut self) -> Self {
        self.keyed = false;
        self
    }
}

/// The parameters of one stage, checked against its kind, defaults filled in.
///
/// A parameter that does not apply (see [`ParamSpec::only`]) or is absent has no value.
#[derive(Clone, Debug, std::default::Default)]
pub struct Params {
    values: BTreeMap<String, Value>,
    spans: BTreeMap<String, Span>,
    unkeyed: Vec<&'static str>,
}

impl Params {
    /// Adds a checked value.
    pub fn insert(&mut self, spec: &ParamSpec, value: Value, span: Option<Span>) {
        if !spec.keyed {
            self.unkeyed.push(spec.name);
        }
        if let Some(span) = span {
            self.spans.insert(spec.name.into(), span);
        }
        self.values.insert(spec.name.into(), value);
    }

    /// Returns the value of `name`, if it has one.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// Returns where the pipeline gives `name`, or none for a default.
    pub fn span(&self, name: &str) -> Option<Span> {
        self.spans.get(name).copied()
    }

    /// Returns the parameters that go into a recipe, by name.
    pub fn keyed(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values
            .iter()
            .filter(|(name, _)| !self.unkeyed.contains(&name.as_str()))
            .map(|(name, value)| (name.as_str(), value))
    }

    /// Returns true if all values are equal, including those that are in no recipe.
    pub fn same(&self, other: &Self) -> bool {
        self.values == other.values
    }
}
