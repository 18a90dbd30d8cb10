//! Profiles: how a site runs actions. A profile is a file `profiles/NAME.toml` of the project. Nothing of it is in a
//! recipe, so results do not depend on it.
//!
//! This file has the profile and what a run makes of it, and `values` reads single values. Begin with [`Profile::read`].

mod values;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::diag::{Diag, Diags, SourceMap};
use crate::base::suggest::did_you_mean;
use crate::run::cluster::options::{
    Asked, ClusterOptions, Retry, SchedulerChoice, SiteWords, Template, Templates, WithMore,
};
use crate::run::cluster::{STATE_WORDS, task_command};
use crate::text::expect::{table, unknown_key, wrong};
use crate::text::node::{self, Item, Table};
use values::Reader;

/// What may run actions, as `use` in a profile and `--executor` take it.
pub const EXECUTORS: [&str; 5] = ["local", "process", "slurm", "hq", "command"];

const SECTIONS: [&str; 3] = ["executor", "retry", "stages"];

const EXECUTOR: [&str; 21] = [
    "use",
    "task_minutes",
    "most_tasks",
    "memory",
    "time",
    "ask_seconds",
    "visible_seconds",
    "program",
    "container",
    "before",
    "partition",
    "account",
    "constraint",
    "qos",
    "options",
    "submit",
    "status",
    "cancel",
    "find",
    "index",
    "states",
];

const RETRY: [&str; 6] = [
    "out_of_memory",
    "time_limit",
    "node_failure",
    "preempted",
    "cancelled",
    "failed",
];

const RESOURCES: [&str; 4] = ["cpus", "memory", "gpus", "timeout"];

/// The words of Slurm for a site, which are also the names of arguments of `sbatch`.
const SITE: [&str; 4] = ["partition", "account", "constraint", "qos"];

/// A profile as read.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// What runs actions, one of [`EXECUTORS`], if the profile says so.
    pub executor: Option<String>,
    /// The program on the machines of the cluster, if it is not where this program is.
    program: Option<String>,
    container: Vec<String>,
    before: Vec<String>,
    task_minutes: Option<f64>,
    most_tasks: Option<usize>,
    memory: Option<u64>,
    time: Option<Duration>,
    ask_seconds: Option<f64>,
    visible_seconds: Option<f64>,
    /// Arguments of `sbatch` from the words for a site.
    site: Vec<String>,
    options: Vec<String>,
    templates: Templates,
    retry: Retry,
    stages: BTreeMap<String, Asked>,
}

/// The folder with the profiles of a project.
fn folder(root: &Path) -> PathBuf {
    root.join("profiles")
}

/// The names of the profiles that a project has, sorted.
pub fn names(root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder(root)).into_iter().flatten();
    let names = entries.flatten().filter_map(|entry| {
        let file = entry.file_name().into_string().ok()?;
        file.strip_suffix(".toml").map(str::to_owned)
    });
    let mut names = Vec::from_iter(names);
    names.sort_unstable();
    names
}

impl Profile {
    /// Reads the profile `name` of the project in `root`. Paths in messages are relative to `cwd`.
    ///
    /// # Errors
    /// There is no such file, or something in it is wrong. All mistakes are reported at once.
    pub fn read(root: &Path, name: &str, cwd: &Path) -> Result<Self, Diags> {
        let folder = folder(root);
        let path = folder.join(format!("{name}.toml"));
        if !path.is_file() {
            return Err(vec![missing(root, name)]);
        }
        let text = std::fs::read_to_string(&path).map_err(|error| {
            let message = format!("cannot read the profile {}: {error}", path.display());
            vec![Diag::new("flow::profile::missing", message).with_source(error)]
        })?;
        let mut sources = SourceMap::default();
        let shown = path.strip_prefix(cwd).unwrap_or(&path);
        let source = sources.add(shown.display().to_string(), text.clone());
        let mut diags = Diags::new();
        let tree = node::parse(source, &text, &mut diags);
        let profile = Self::of(&tree, &mut diags);
        if diags.is_empty() {
            return Ok(profile);
        }
        Err(diags
            .into_iter()
            .map(|diag| diag.resolve(&sources))
            .collect())
    }

    fn of(tree: &Table, diags: &mut Diags) -> Self {
        let mut profile = Self::default();
        for entry in tree
            .iter()
            .filter(|entry| !SECTIONS.contains(&entry.key.as_str()))
        {
            diags.push(unknown_key(entry, "a profile", &SECTIONS));
        }
        if let Some(executor) = table(tree, "executor", diags) {
            profile.read_executor(&mut Reader::new(executor, "[executor]", &EXECUTOR, diags));
        }
        if let Some(retry) = table(tree, "retry", diags) {
            profile.retry = read_retry(&mut Reader::new(retry, "[retry]", &RETRY, diags));
        }
        if let Some(stages) = table(tree, "stages", diags) {
            profile.stages = read_stages(stages, diags);
        }
        profile
    }

    fn read_executor(&mut self, reader: &mut Reader<'_>) {
        self.executor = reader.one_of("use", &EXECUTORS);
        self.task_minutes = reader.number("task_minutes", 0.01, 1440.0);
        self.most_tasks = reader.whole("most_tasks", 1).map(|n| n as usize);
        self.memory = reader.size("memory");
        self.time = reader.duration("time");
        self.ask_seconds = reader.number("ask_seconds", 0.1, 3600.0);
        self.visible_seconds = reader.number("visible_seconds", 0.0, 3600.0);
        self.program = reader.text("program");
        self.container = reader.texts("container");
        self.before = reader.texts("before");
        for word in SITE {
            let value = reader.text(word);
            self.site
                .extend(value.map(|value| format!("--{word}={value}")));
        }
        self.options = reader.texts("options");
        self.templates = Templates {
            submit: reader.template("submit"),
            status: reader.template("status"),
            cancel: reader.template("cancel"),
            find: reader.template("find"),
            index: reader
                .variable("index")
                .unwrap_or_else(|| "FLOW_TASK".to_owned()),
            states: reader.words("states", &STATE_WORDS),
        };
    }

    /// How a run uses a cluster by `executor`, one of `slurm`, `hq` and `command`. `program` is this program.
    ///
    /// # Errors
    /// `command` needs commands that the profile does not have.
    pub fn cluster(&self, executor: &str, program: &OsStr) -> Result<ClusterOptions, Diag> {
        let mut options = self.site.clone();
        options.extend(self.options.iter().cloned());
        let scheduler = match executor {
            "slurm" => SchedulerChoice::Slurm(SiteWords { options }),
            "hq" => SchedulerChoice::Hq(SiteWords {
                options: self.options.clone(),
            }),
            _ => SchedulerChoice::Command(self.complete_templates()?),
        };
        let program = self.program.as_deref().map_or(program, OsStr::new);
        let mut cluster = ClusterOptions::new(scheduler, task_command(program, &self.container));
        let seconds = |value: Option<f64>, or: Duration| value.map_or(or, Duration::from_secs_f64);
        cluster.task_time = seconds(
            self.task_minutes.map(|minutes| minutes * 60.0),
            cluster.task_time,
        );
        cluster.ask_after = seconds(self.ask_seconds, cluster.ask_after);
        cluster.visible_within = seconds(self.visible_seconds, cluster.visible_within);
        cluster.most_tasks = self.most_tasks.unwrap_or(cluster.most_tasks);
        cluster.memory = self.memory.unwrap_or(0);
        cluster.time = self.time;
        cluster.before.clone_from(&self.before);
        cluster.retry = self.retry;
        cluster.stages.clone_from(&self.stages);
        Ok(cluster)
    }

    fn complete_templates(&self) -> Result<Templates, Diag> {
        let needed: [(&str, &Template); 3] = [
            ("submit", &self.templates.submit),
            ("status", &self.templates.status),
            ("cancel", &self.templates.cancel),
        ];
        match needed.into_iter().find(|(_, template)| template.is_empty()) {
            None => Ok(self.templates.clone()),
            Some((name, _)) => Err(Diag::new(
                "flow::profile::template",
                format!("`--executor command` needs a profile with `{name}` under [executor]"),
            )
            .help("docs/cluster.md has such profiles for PBS, HTCondor and Kubernetes")),
        }
    }
}

fn missing(root: &Path, name: &str) -> Diag {
    let there = names(root);
    let message = format!(
        "there is no profile `{name}`: {} has no file `{name}.toml`",
        folder(root).display()
    );
    let diag = Diag::new("flow::profile::missing", message);
    did_you_mean(diag, name, there.iter().map(String::as_str), "profiles")
}

fn read_retry(reader: &mut Reader<'_>) -> Retry {
    let or = Retry::default();
    let count = |reader: &mut Reader<'_>, key, or: u32| {
        let given = reader.whole(key, 0);
        given.map_or(or, |n| u32::try_from(n).unwrap_or(u32::MAX))
    };
    Retry {
        out_of_memory: with_more(reader, "out_of_memory", "memory", or.out_of_memory),
        time_limit: with_more(reader, "time_limit", "time", or.time_limit),
        node_failure: count(reader, "node_failure", or.node_failure),
        preempted: count(reader, "preempted", or.preempted),
        cancelled: count(reader, "cancelled", or.cancelled),
        failed: count(reader, "failed", or.failed),
    }
}

/// Reads `{ times = 2, memory = 2.0 }`.
fn with_more(reader: &mut Reader<'_>, key: &str, factor: &str, or: WithMore) -> WithMore {
    let keys = ["times", factor];
    reader
        .inner(key, &keys, |inner| WithMore {
            times: inner
                .whole("times", 0)
                .map_or(or.times, |n| u32::try_from(n).unwrap_or(u32::MAX)),
            factor: inner.number(factor, 1.0, 100.0).unwrap_or(or.factor),
        })
        .unwrap_or(or)
}

fn read_stages(stages: &Table, diags: &mut Diags) -> BTreeMap<String, Asked> {
    let mut all = BTreeMap::new();
    for entry in stages.iter() {
        let Item::Table(stage) = &entry.node.item else {
            diags.push(wrong(entry, "a table"));
            continue;
        };
        let name = format!("[stages.{}]", entry.key);
        let mut reader = Reader::new(stage, &name, &["resources"], diags);
        let asked = reader.inner("resources", &RESOURCES, |inner| Asked {
            cpus: inner.whole("cpus", 1).map(|n| n as usize),
            memory: inner.size("memory"),
            gpus: inner.whole("gpus", 0).map(|n| n as usize),
            timeout: inner.duration("timeout"),
        });
        all.insert(entry.key.clone(), asked.unwrap_or_default());
    }
    all
}
