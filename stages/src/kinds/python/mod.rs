//! A Python class of the user's as a program below folds, for the kinds `estimator` and `transformer`.
//!
//! [`PythonClass`] turns the parameters of such a stage into those of a `command` with `scope = "fold"`, and
//! has that kind do the work. So sandbox, files, time limits, tables and the check of outputs are those of any
//! program. The program is Python text that flow brings along and hands to the interpreter:
//! `common.py`, then `estimator.py`, `transformer.py` and `main.py`. What the program says of a mistake is read by
//! `trouble`.

use std::path::Path;
use std::sync::Arc;

use flow_cache::Value;
use flow_engine::base::files::escape;
use flow_engine::kind::{Action, Layout, Project, Question, Resources, Shards, Surroundings};
use flow_engine::{Diag, ParamSpec, ParamType, Params, Span, Stage, StageError, params};

mod trouble;

/// The program.
const PROGRAM: &str = concat!(
    include_str!("common.py"),
    include_str!("estimator.py"),
    include_str!("transformer.py"),
    include_str!("main.py"),
);

/// What a class sees of its surroundings unless `env` says otherwise. Libraries that use threads behind the
/// back of a class sum in an order that depends on their number, and sets in one that depends on the hash seed.
const ENV: [(&str, &str); 5] = [
    ("MKL_NUM_THREADS", "1"),
    ("OMP_NUM_THREADS", "1"),
    ("OPENBLAS_NUM_THREADS", "1"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("PYTHONHASHSEED", "0"),
];

/// Parameters that are those of `command`.
const OF_COMMAND: [&str; 3] = ["files", "env", "resources"];

params! {
    /// What every stage with a Python class has.
    pub(super) struct ClassParams<'a> {
        class: &'a str = new(ParamType::Str, "The class: its dotted name, such as `lightgbm.LGBMClassifier`, or `my_model.py:MyClass` for one of a file of the project. A function that returns an instance will do.");
        params: &'a Value = new(keywords(), "Keyword arguments for the class. `--set`, variants and `[tune]` can replace each. If the class takes a seed (`random_state`, `random_seed`, `seed`) or a number of threads (`n_jobs`, `thread_count`, `nthread`, `num_threads`) and none is given here, it gets flow's.").optional();
        python: &'a str = new(ParamType::Str, "The interpreter, found in PATH or, if it is a path, below the project root. Its contents, its version and those of the packages in use are in the recipe.").or("python3".into());
        requirements: Option<&'a str> = new(ParamType::Glob, "The file that pins the packages, such as `requirements.txt` or `uv.lock`. Its contents are in the recipe.").optional().unkeyed();
        table: &'a str = choice("array", &["array", "frame"], "The class gets its rows as a NumPy `array`, or as a pandas data `frame` with the names of the features.");
        dtype: &'a str = choice("float64", &["float64", "float32"], "The type of the values in the table. Features have 32 bits, so trees lose nothing with `float32`, and it takes half the memory.");
    }
}

impl ClassParams<'_> {
    /// The file of the class, if it is one of the project's.
    fn file(&self) -> Option<&str> {
        let (file, _) = self.class.rsplit_once(':')?;
        Some(file)
    }
}

/// What keyword arguments may be: numbers, texts and switches, lists of them, and tables of them.
fn keywords() -> ParamType {
    let (min, max) = (i64::MIN, i64::MAX);
    let whole = ParamType::Int { min, max };
    let (min, max) = (f64::MIN, f64::MAX);
    let number = ParamType::Float { min, max };
    let mut any = vec![ParamType::Bool, whole, number, ParamType::Str];
    let one = ParamType::OneOf(any.clone());
    any.push(ParamType::List(Box::new(one.clone())));
    any.push(ParamType::Map(Box::new(one)));
    ParamType::Map(Box::new(ParamType::OneOf(any)))
}

/// A kind whose work a Python class does.
pub(super) struct PythonClass {
    /// The kind `command`.
    pub command: Arc<dyn Stage>,
    /// The kind.
    pub kind: &'static str,
}

/// What is asked of a class: the outputs with their file names, in the order in which the program gets their
/// paths, and what the program is told besides the parameters of every class.
pub(super) struct Work {
    pub outputs: Vec<(&'static str, &'static str)>,
    pub more: Vec<(&'static str, serde_json::Value)>,
}

impl PythonClass {
    /// The parameters of the kind: those of every class, and `more`.
    pub fn specs(&self, more: Vec<ParamSpec>) -> Vec<ParamSpec> {
        let theirs = self.command.spec().params;
        let theirs = theirs.into_iter();
        let theirs = theirs.filter(|spec| OF_COMMAND.contains(&spec.name));
        ClassParams::specs()
            .into_iter()
            .chain(more)
            .chain(theirs)
            .collect()
    }

    /// Checks what the list of parameters cannot express.
    pub fn check(&self, params: &Params, work: &Work, inputs: &[String]) -> Vec<Diag> {
        let class = ClassParams::read(params).class;
        let mut diags = self
            .command
            .check(&self.command_params(params, work, None), inputs);
        let sound = match class.rsplit_once(':') {
            Some((file, name)) => file.ends_with(".py") && is_name(name),
            None => class.contains('.') && class.split('.').all(is_name),
        };
        if !sound {
            let message = format!("`{class}` is not the name of a class");
            let diag = Diag::new("flow::python::class", message).help(
                "class = \"package.module.Name\", or class = \"file.py:Name\" for a class of the project",
            );
            diags.push(at(diag, params.span("class")));
        }
        diags
    }

    /// Finds the interpreter and the files that the class may see.
    pub fn layout(
        &self,
        params: &Params,
        work: &Work,
        project: &Project<'_>,
    ) -> Result<Layout, Vec<Diag>> {
        let given = ClassParams::read(params);
        let command = self.command_params(params, work, Some(project.root));
        let found = self.command.layout(&command, project, &Shards::default());
        found.map_err(|diags| {
            let ours = |diag: Diag| match diag.code.as_str() {
                "flow::command::program" => {
                    let message = format!("there is no interpreter `{}`", given.python);
                    let diag = Diag::new("flow::python::interpreter", message).help(
                        "python = \".venv/bin/python\" is that of an environment in the project; \
                         python3 -m venv .venv makes one",
                    );
                    at(diag, params.span("python").or(params.span("class")))
                }
                _ => diag,
            };
            diags.into_iter().map(ours).collect()
        })
    }

    /// What an action occupies.
    pub fn resources(&self, params: &Params, work: &Work) -> Resources {
        let command = self.command_params(params, work, None);
        self.command.resources(&command)
    }

    /// Asks for the versions of Python and of the packages in use.
    pub fn surroundings(
        &self,
        question: &Question<'_>,
        work: &Work,
    ) -> Result<Surroundings, StageError> {
        let command = self.command_params(question.params, work, Some(question.root));
        let asked = Question {
            params: &command,
            root: question.root,
            files: question.files,
            digests: question.digests,
            stat: question.stat,
            memory: question.memory.clone(),
            start: question.start,
        };
        let python = ClassParams::read(question.params).python;
        let answer = self.command.surroundings(&asked);
        let answer = answer.map_err(|error| named(error, &command, "version", python))?;
        let told = |facts: &Value| {
            facts
                .get("version")
                .and_then(Value::as_str)
                .and_then(trouble::told)
        };
        match &answer {
            Surroundings::Known(facts) => told(facts).map_or(Ok(answer), Err),
            // It may have been mended since.
            Surroundings::Remembered(facts) if told(facts).is_some() => Ok(Surroundings::Unknown),
            _ => Ok(answer),
        }
    }

    /// Fits the class on the training rows of the action's fold and applies it to the others.
    pub fn run(&self, action: &mut Action<'_>, work: &Work) -> Result<(), StageError> {
        let command = self.command_params(action.params, work, Some(action.root));
        let ran = action.with_params(&command, |action| self.command.run(action));
        ran.map_err(|error| {
            let printed = String::from_utf8_lossy(action.printed());
            match trouble::told(&printed) {
                Some(told) if error.code.as_str() == "flow::command::failed" => {
                    // The last lines of the log say it again, and hints of `command` do not.
                    let hints = error.help.into_iter();
                    let hints = hints.filter(|hint| !hint.starts_with("the last it said:"));
                    hints.fold(told, StageError::help)
                }
                _ => named(
                    error,
                    &command,
                    "run",
                    ClassParams::read(action.params).class,
                ),
            }
        })
    }

    /// The parameters of a command that does the work. Without `root`, files that are relative to it are left
    /// out.
    fn command_params(&self, params: &Params, work: &Work, root: Option<&Path>) -> Params {
        let given = ClassParams::read(params);
        let class = spec_of_class(&given, root);
        let asked = class.to_string();
        let spec = self.spec_of_work(&given, work, class);
        let text = |text: &str| Value::Str(text.to_owned());
        let program = [given.python, "-c"].map(text);
        let braced = |text: &str| Value::Str(text.replace('{', "{{"));
        let mut run = program.to_vec();
        run.extend([braced(PROGRAM), text("run"), braced(&spec)]);
        run.extend(["{train}", "{apply}", "{seed}"].map(text));
        run.extend(
            work.outputs
                .iter()
                .map(|(name, _)| Value::Str(format!("{{{name}}}"))),
        );
        let mut version = program.to_vec();
        version.extend([text(PROGRAM), text("versions"), Value::Str(asked)]);
        let outputs = work.outputs.iter().map(|(name, file)| (*name, text(file)));
        let mut set = Setting {
            specs: self.command.spec().params,
            params: Params::default(),
        };
        let class = params.span("class");
        set.put("run", Value::List(run), params.span("python").or(class));
        set.put("outputs", Value::map(outputs), class);
        set.put("version", Value::List(version), class);
        set.put("scope", text("fold"), class);
        set.put("code", text("import-closure"), class);
        let files = files(params, &given, root);
        set.put("files", Value::List(files), params.span("files").or(class));
        set.put("env", env(params), params.span("env").or(class));
        if let Some(claims) = params.get("resources") {
            set.put("resources", claims.clone(), params.span("resources"));
        }
        set.params
    }

    /// What the program is told of the stage, as JSON. The versions in use depend on the `class` part alone.
    fn spec_of_work(
        &self,
        given: &ClassParams<'_>,
        work: &Work,
        class: serde_json::Value,
    ) -> String {
        let params = match given.params {
            Value::Null => serde_json::json!({}),
            params => params.to_json(),
        };
        let mut spec = class;
        spec["kind"] = self.kind.into();
        spec["params"] = params;
        spec["dtype"] = given.dtype.into();
        for (name, value) in &work.more {
            spec[*name] = value.clone();
        }
        spec.to_string()
    }
}

/// What the program is told of a class, as JSON.
fn spec_of_class(given: &ClassParams<'_>, root: Option<&Path>) -> serde_json::Value {
    let requirements = given.requirements.map(|file| {
        let root = root.map(|root| escape(&root.to_string_lossy()));
        let below = root.and_then(|root| Path::new(file).strip_prefix(root).ok());
        below.unwrap_or(Path::new(file)).display().to_string()
    });
    serde_json::json!({
        "class": given.class,
        "python": given.python,
        "requirements": requirements.unwrap_or_default(),
        "table": given.table,
    })
}

/// The parameters of a command, as they are put together.
struct Setting {
    specs: Vec<ParamSpec>,
    params: Params,
}

impl Setting {
    fn put(&mut self, name: &str, value: Value, span: Option<Span>) {
        if let Some(spec) = self.specs.iter().find(|spec| spec.name == name) {
            self.params.insert(spec, value, span);
        }
    }
}

/// The files that the class may see, as patterns: what is declared, the file of the class, and that with the
/// versions of packages.
fn files(params: &Params, given: &ClassParams<'_>, root: Option<&Path>) -> Vec<Value> {
    let declared = match params.get("files") {
        Some(Value::List(files)) => files.clone(),
        _ => Vec::new(),
    };
    let own = root.zip(given.file());
    let own = own.map(|(root, file)| escape(&root.join(file).to_string_lossy()));
    let pins = given.requirements.map(str::to_owned);
    let more = own.into_iter().chain(pins).map(Value::Str);
    declared.into_iter().chain(more).collect()
}

/// The environment: that of every class, over it what is declared.
fn env(params: &Params) -> Value {
    let ours = ENV.map(|(name, text)| (name.to_owned(), Value::from(text)));
    let mut all: std::collections::BTreeMap<String, Value> = ours.into();
    if let Some(Value::Map(declared)) = params.get("env") {
        all.extend(declared.iter().cloned());
    }
    Value::map(all)
}

/// An error of `command` with a name in the place of the whole command line, which holds the program.
fn named(mut error: StageError, command: &Params, line: &str, name: &str) -> StageError {
    let words: Vec<&str> = command.read(line);
    error.message = error.message.replace(&words.join(" "), name);
    error
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    let first = chars.next().is_some_and(|c| c.is_alphabetic() || c == '_');
    first && chars.all(|c| c.is_alphanumeric() || c == '_')
}

fn at(diag: Diag, span: Option<Span>) -> Diag {
    match span {
        Some(span) => diag.label(span, "here"),
        None => diag,
    }
}
