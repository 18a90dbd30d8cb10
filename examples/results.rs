//! Runs every pipeline of `pipelines/mallorn/` that stands for a published system, and writes `docs/results.md`:
//!
//! ```sh
//! cargo build --release --features neural && cargo run --release --example results -- FOLDER_OF_MALLORN [NAME...]
//! ```
//!
//! `classical` and `networks` are the two parts of the page, of which both are written without a name. With names of
//! pipelines, those run, and the page stays as it is.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "prints its tables"
)]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use serde_json::Value;

/// A published system: the pipeline that stands for it, what was published of it, and how often folds are dealt.
struct System {
    pipeline: &'static str,
    published: &'static str,
    repeats: usize,
}

const fn system(pipeline: &'static str, published: &'static str, repeats: usize) -> System {
    System {
        pipeline,
        published,
        repeats,
    }
}

/// In the order of the table. Figures are F1 as the authors count it.
const CLASSICAL: [System; 17] = [
    system("basic_stats", "0.428", 5),
    system("tsfresh_select", "0.523", 5),
    system("tsfresh_colors", "0.497", 5),
    system("tsfresh_robust_colors", "0.521", 5),
    system("rocket_2k", "0.462", 5),
    system("rocket_5k", "0.458", 5),
    system("rocket_domain", "0.481", 5),
    system("rocket_domain_tuned", "0.541", 5),
    system("lightgbm", "0.458", 5),
    system("lightgbm_native", "0.458", 5),
    system("xgboost", "-", 5),
    system("xgboost_native", "-", 5),
    system("calibrated", "-", 5),
    system("pseudo_label", "-", 5),
    system("augmented", "-", 5),
    system("stack", "-", 5),
    system("best", "0.718", 5),
];

/// The same for networks.
const NETWORKS: [System; 7] = [
    system("cnn", "0.166", 3),
    system("transformer", "0.191", 3),
    system("gru_attention", "~0.18", 3),
    system("multi_gru", "~0.18", 3),
    system("dense_nn", "-", 3),
    system("network_best", "-", 3),
    system("network_stack", "-", 3),
];

/// A part of the page, between two marks.
struct Part {
    name: &'static str,
    systems: &'static [System],
    begin: &'static str,
    end: &'static str,
}

const PARTS: [Part; 2] = [
    Part {
        name: "classical",
        systems: &CLASSICAL,
        begin: "<!-- written by examples/results.rs -->\n",
        end: "<!-- end -->\n",
    },
    Part {
        name: "networks",
        systems: &NETWORKS,
        begin: "<!-- networks, written by examples/results.rs -->\n",
        end: "<!-- end of networks -->\n",
    },
];

/// How folds are dealt: the title of the table, and what the run is told.
const SCHEMES: [(&str, &[&str]); 2] = [
    ("Random folds", &[]),
    ("Folds by `split`", &["--set", "folds.group_by=\"split\""]),
];

impl Part {
    /// The text in the part of networks, and nothing in the other.
    fn of_networks<'t>(&self, text: &'t str) -> &'t str {
        match self.name == "networks" {
            true => text,
            false => "",
        }
    }
}

/// What a run came to.
struct Outcome {
    metrics: Value,
    /// The mean number of epochs of the folds of a network.
    epochs: Option<f64>,
    /// The CPU seconds of its actions by key, those that the store had included.
    cost: HashMap<String, f64>,
}

impl Outcome {
    /// CPU seconds with an empty store.
    fn cold_s(&self) -> f64 {
        self.cost.values().sum()
    }

    /// The pooled value of a metric with its interval.
    fn pooled(&self, metric: &str) -> String {
        let of = |field: &str| self.metrics["evaluate"][metric][field].as_f64();
        match (of("pooled"), of("low"), of("high")) {
            (Some(value), Some(low), Some(high)) => format!("{value:.3} [{low:.2}, {high:.2}]"),
            (Some(value), ..) => format!("{value:.3}"),
            _ => "-".into(),
        }
    }

    /// A figure without an interval.
    fn figure(&self, metric: &str, field: &str) -> String {
        let value = self.metrics["evaluate"][metric][field].as_f64();
        value.map_or("-".into(), |value| format!("{value:.3}"))
    }
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(data) = args.next().map(PathBuf::from) else {
        eprintln!("the folder of MALLORN's train_log.csv is missing");
        return ExitCode::from(2);
    };
    let names: Vec<String> = args.collect();
    let named = |name: &str| names.iter().any(|known| known == name);
    for part in &PARTS {
        let whole = names.is_empty() || named(part.name);
        let systems = part.systems.iter();
        let chosen: Vec<&System> = systems.filter(|s| whole || named(s.pipeline)).collect();
        if chosen.is_empty() {
            continue;
        }
        let text = match tables(part, &chosen, &data) {
            Ok(text) => text,
            Err(reason) => {
                eprintln!("{reason}");
                return ExitCode::FAILURE;
            }
        };
        print!("{text}");
        if whole && let Err(reason) = write_page(part, &text) {
            eprintln!("{reason}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Runs the pipelines with each kind of folds.
fn tables(part: &Part, chosen: &[&System], data: &Path) -> Result<String, String> {
    let mut text = String::new();
    let mut together: HashMap<String, f64> = HashMap::new();
    let mut separate = 0.0;
    for (title, sets) in SCHEMES {
        let _ = writeln!(
            text,
            "\n### {title}\n\n| pipeline | F1 | pooled best | mean of fold best | AP | ROC-AUC | CPU s | {}published F1 |\n|---|---|---|---|---|---|---:|{}---|",
            part.of_networks("repeats | epochs | "),
            part.of_networks("---:|---:|"),
        );
        for system in chosen {
            eprintln!("{title}: {}", system.pipeline);
            let outcome = run(system, data, sets)
                .map_err(|reason| format!("{}: {reason}", system.pipeline))?;
            let _ = writeln!(text, "{}", row(part, system, &outcome));
            separate += outcome.cold_s();
            together.extend(outcome.cost);
        }
    }
    let shared: f64 = together.values().sum();
    let _ = writeln!(
        text,
        "\nAll runs together took {shared:.0} CPU s with one store. Each by itself with an empty store, they take \
         {separate:.0} CPU s, {:.1} times as much.",
        separate / shared
    );
    Ok(text)
}

fn row(part: &Part, system: &System, outcome: &Outcome) -> String {
    let link = format!("[{0}](../pipelines/mallorn/{0}.toml)", system.pipeline);
    let epochs = outcome.epochs.map_or("-".into(), |n| format!("{n:.0}"));
    let of_fits = format!("{} | {epochs} | ", system.repeats);
    format!(
        "| {link} | {} | {} | {} | {} | {} | {:.0} | {}{} |",
        outcome.pooled("f1"),
        outcome.figure("f1_oracle", "pooled"),
        outcome.figure("f1_oracle", "mean"),
        outcome.pooled("pr_auc"),
        outcome.pooled("roc_auc"),
        outcome.cold_s(),
        part.of_networks(&of_fits),
        system.published
    )
}

/// Runs a pipeline up to its evaluation.
fn run(system: &System, data: &Path, sets: &[&str]) -> Result<Outcome, String> {
    let output = flow()?
        .arg("run")
        .arg(format!("pipelines/mallorn/{}.toml", system.pipeline))
        .args(["--to", "evaluate", "--message-format", "json", "--quiet"])
        .arg("--set")
        .arg(format!("folds.repeats={}", system.repeats))
        .arg("--set")
        .arg(format!("ingest.path={:?}", data.display().to_string()))
        .args(sets)
        .stderr(Stdio::null())
        .output()
        .map_err(|e| e.to_string())?;
    let events: Vec<Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    if !output.status.success() {
        let problem = events.iter().rev().find(|e| e["event"] == "diagnostic");
        return Err(problem.map_or("it failed".into(), |p| p["message"].to_string()));
    }
    let cost = |event: &Value| Some((event["key"].as_str()?.into(), event["cpu_s"].as_f64()?));
    let finished = events.iter().filter(|e| e["event"] == "action-finished");
    Ok(Outcome {
        cost: finished.filter_map(cost).collect(),
        epochs: epochs(),
        metrics: events.last().map_or(Value::Null, |e| e["metrics"].clone()),
    })
}

/// The program beside this one.
fn flow() -> Result<Command, String> {
    let flow = std::env::current_exe()
        .ok()
        .and_then(|here| Some(here.parent()?.parent()?.join("flow")))
        .filter(|flow| flow.is_file());
    flow.map(Command::new)
        .ok_or_else(|| "build it first: cargo build --release --features neural".into())
}

/// The mean number of epochs of the folds in the last run, if its model is a network.
fn epochs() -> Option<f64> {
    let to = std::env::temp_dir().join(format!("history-{}.csv", std::process::id()));
    let exported = flow()
        .ok()?
        .args(["export", "last", "model.history", "--quiet", "-o"])
        .arg(&to)
        .stderr(Stdio::null())
        .status()
        .ok()?;
    let text = std::fs::read_to_string(&to)
        .ok()
        .filter(|_| exported.success());
    // A missing file has nothing to be removed.
    let _ = std::fs::remove_file(&to);
    let text = text?;
    let mut last: HashMap<(&str, &str), u32> = HashMap::new();
    for line in text.lines().skip(1) {
        let mut cells = line.split(',');
        let fit = (cells.next()?, cells.next()?);
        let epoch: u32 = cells.next()?.parse().ok()?;
        let most = last.entry(fit).or_default();
        *most = epoch.max(*most);
    }
    let fits = last.len() as f64;
    (fits > 0.0).then(|| f64::from(last.values().sum::<u32>()) / fits)
}

/// Puts the tables into the page, between its marks.
fn write_page(part: &Part, text: &str) -> Result<(), String> {
    let page = Path::new("docs/results.md");
    let old = std::fs::read_to_string(page).map_err(|e| e.to_string())?;
    let (before, after) = old
        .split_once(part.begin)
        .and_then(|(before, rest)| Some((before, rest.split_once(part.end)?.1)))
        .ok_or_else(|| format!("{} has no marks to write between", page.display()))?;
    let (begin, end) = (part.begin, part.end);
    let page = std::fs::write(page, format!("{before}{begin}{text}\n{end}{after}"));
    page.map_err(|e| e.to_string())
}
