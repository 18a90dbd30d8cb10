//! What a pipeline may say of a command.

use flow_cache::Value;

use super::{PATH, template};
use crate::kind::params::ParamType;

/// Over what the program runs.
#[derive(Clone, Copy, PartialEq)]
pub enum CommandScope {
    Whole,
    Fold,
}

crate::words!(CommandScope { Whole = "whole", Fold = "fold" });

crate::params! {
    pub struct CommandParams<'a> {
        run: Vec<&'a str> = new(texts(), "Program and arguments. `{port}` is the path of an input (one argument a file where it has several parts, if the argument is exactly that), `{port.list}` a file with one path a line, `{output}` the path to write, `{seed}` a number; `{{` is a brace.");
        outputs: Vec<(&'a str, &'a str)> = new(table(), "Output ports and the file names under which the program writes them.");
        files: Vec<&'a str> = new(list(ParamType::Glob), "Project files (or globs) that the program may read; copied into its directory under their project-relative paths.").optional().unkeyed();
        code: Option<&'a str> = new(ParamType::Choice(&["import-closure"]), "Adds to `files` the Python scripts in `run` and `files`, and the modules of the project that they import.").optional().unkeyed();
        tools: Vec<&'a str> = new(texts(), "Programs that the program starts, such as `[\"samtools\"]`: found as `run[0]` is, in the recipe by their contents, and before all others in its PATH.").optional().unkeyed();
        env: Vec<(&'a str, &'a str)> = new(table(), "Environment variables; besides them the program gets PATH (/usr/local/bin:/usr/bin:/bin), TMPDIR, FLOW_CPUS and FLOW_GPUS.").optional();
        params: &'a Value = new(numbers_and_texts(), "Numbers, texts and switches by name: `{name}` stands for them in `run` and `env`. `--set`, variants and `[tune]` can replace each.").optional();
        version: Vec<&'a str> = new(texts(), "A command whose output is part of the recipe, such as `[\"python3\", \"--version\"]`.").optional();
        resources: Vec<(&'a str, &'a Value)> = new(claims_type(), "`cpus`, `memory` (\"2GiB\") and `gpu` that an action claims, its `timeout` (\"10min\"), and how many `retries` it has. Changes no result.").optional().unkeyed();
        each: Option<&'a Value> = new(items(), "One action an item: `{ i = { range = [0, 100] } }` (upper end excluded) or `{ band = [\"g\", \"r\"] }`, several keys for all combinations, or the name of a stage whose items these pair with. `{i}` works in `run`, `files`, `env` and the names of `outputs`.").optional().unkeyed();
        scope: CommandScope = word(CommandScope::Whole, "`fold` runs once a fold: `{train}` is Parquet of its training rows with labels, `{apply}` of the rows to predict, and the output `predictions` is joined over the folds.");
    }
}

impl<'a> CommandParams<'a> {
    /// True where a stage runs once a fold.
    pub fn in_folds(&self) -> bool {
        self.scope == CommandScope::Fold
    }

    /// The texts in which the names of ports and parameters may stand.
    pub fn texts(&self) -> impl Iterator<Item = &'a str> {
        let env = self.env.iter().map(|(_, text)| *text);
        self.run.iter().copied().chain(env)
    }

    /// Whether `name` stands in one of the texts.
    pub fn uses(&self, name: &str) -> bool {
        self.texts()
            .any(|text| template::names(text).any(|n| n == name))
    }

    /// Where a program finds others besides its tools: as declared, else the fixed place.
    pub fn path(&self) -> &'a str {
        let mut env = self.env.iter();
        let declared = env.find(|(name, _)| *name == "PATH");
        declared.map_or(PATH, |(_, path)| *path)
    }
}

fn list(ty: ParamType) -> ParamType {
    ParamType::List(Box::new(ty))
}

fn map(ty: ParamType) -> ParamType {
    ParamType::Map(Box::new(ty))
}

fn texts() -> ParamType {
    list(ParamType::Str)
}

fn table() -> ParamType {
    map(ParamType::Str)
}

/// What `params` accepts.
fn numbers_and_texts() -> ParamType {
    let (min, max) = (i64::MIN, i64::MAX);
    let whole = ParamType::Int { min, max };
    let (min, max) = (f64::MIN, f64::MAX);
    let number = ParamType::Float { min, max };
    let any = vec![ParamType::Bool, whole, number, ParamType::Str];
    map(ParamType::OneOf(any))
}

/// What `resources` accepts: a table of whole numbers and texts.
pub fn claims_type() -> ParamType {
    let whole = ParamType::Int {
        min: 0,
        max: i64::from(u32::MAX),
    };
    map(ParamType::OneOf(vec![whole, ParamType::Str]))
}

/// What `each` accepts.
fn items() -> ParamType {
    let whole = ParamType::Int {
        min: i64::MIN,
        max: i64::MAX,
    };
    let range = ParamType::Map(Box::new(list(whole.clone())));
    let values = list(ParamType::OneOf(vec![whole, ParamType::Str]));
    ParamType::OneOf(vec![
        ParamType::Str,
        ParamType::Ordered(Box::new(ParamType::OneOf(vec![values, range]))),
    ])
}
