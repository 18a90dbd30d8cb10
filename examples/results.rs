//! Runs every pipeline of `pipelines/mallorn/` that stands for a published system, and writes `docs/results.md`:
//!
//! ```sh
//! cargo build --release && cargo run --release --example results -- FOLDER_OF_MALLORN [PIPELINE...]
//! ```
//!
//! With names of pipelines, only those run, and the page stays as it is.

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

/// A published system: the pipeline that stands for it, and what was published of it.
struct System {
    pipeline: &'static str,
    published: &'static str,
}

const fn system(pipeline: &'static str, published: &'static str) -> System {
    System {
        pipeline,
        published,
    }
}

/// In the order of the table. Figures are F1 as the authors count it.
const SYSTEMS: [System; 17] = [
    system("basic_stats", "0.428"),
    system("tsfresh_select", "0.523"),
    system("tsfresh_colors", "0.497"),
    system("tsfresh_robust_colors", "0.521"),
    system("rocket_2k", "0.462"),
    system("rocket_5k", "0.458"),
    system("rocket_domain", "0.481"),
    system("rocket_domain_tuned", "0.541"),
    system("lightgbm", "0.458"),
    system("lightgbm_native", "0.458"),
    system("xgboost", "-"),
    system("xgboost_native", "-"),
    system("calibrated", "-"),
    system("pseudo_label", "-"),
    system("augmented", "-"),
    system("stack", "-"),
    system("best", "0.718"),
];

/// How folds are dealt: the title of the table, and what the run is told.
const SCHEMES: [(&str, &[&str]); 2] = [
    ("Random folds", &[]),
    ("Folds by `split`", &["--set", "folds.group_by=\"split\""]),
];

/// Where the page has what this program writes.
const BEGIN: &str = "<!-- written by examples/results.rs -->\n";
const END: &str = "<!-- end -->\n";

/// What a run came to.
struct Outcome {
    metrics: Value,
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
    let chosen: Vec<&System> = (SYSTEMS.iter())
        .filter(|s| names.is_empty() || names.iter().any(|name| name == s.pipeline))
        .collect();
    let mut text = String::new();
    let mut together: HashMap<String, f64> = HashMap::new();
    let mut separate = 0.0;
    for (title, sets) in SCHEMES {
        let _ = writeln!(
            text,
            "\n### {title}\n\n| pipeline | F1 | pooled best | mean of fold best | AP | ROC-AUC | CPU s | published F1 |\n|---|---|---|---|---|---|---:|---|"
        );
        for system in &chosen {
            eprintln!("{title}: {}", system.pipeline);
            let outcome = match run(system.pipeline, &data, sets) {
                Ok(outcome) => outcome,
                Err(reason) => {
                    eprintln!("{}: {reason}", system.pipeline);
                    return ExitCode::FAILURE;
                }
            };
            let _ = writeln!(text, "{}", row(system, &outcome));
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
    print!("{text}");
    match names.is_empty() {
        true => write_page(&text),
        false => ExitCode::SUCCESS,
    }
}

fn row(system: &System, outcome: &Outcome) -> String {
    let link = format!("[{0}](../pipelines/mallorn/{0}.toml)", system.pipeline);
    format!(
        "| {link} | {} | {} | {} | {} | {} | {:.0} | {} |",
        outcome.pooled("f1"),
        outcome.figure("f1_oracle", "pooled"),
        outcome.figure("f1_oracle", "mean"),
        outcome.pooled("pr_auc"),
        outcome.pooled("roc_auc"),
        outcome.cold_s(),
        system.published
    )
}

/// Runs a pipeline up to its evaluation, with five repeats.
fn run(pipeline: &str, data: &Path, sets: &[&str]) -> Result<Outcome, String> {
    let flow = std::env::current_exe()
        .ok()
        .and_then(|here| Some(here.parent()?.parent()?.join("flow")))
        .filter(|flow| flow.is_file())
        .ok_or("build it first: cargo build --release")?;
    let output = Command::new(flow)
        .arg("run")
        .arg(format!("pipelines/mallorn/{pipeline}.toml"))
        .args(["--to", "evaluate", "--message-format", "json", "--quiet"])
        .args(["--set", "folds.repeats=5", "--set"])
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
        metrics: events.last().map_or(Value::Null, |e| e["metrics"].clone()),
    })
}

/// Puts the tables into the page, between its marks.
fn write_page(text: &str) -> ExitCode {
    let page = Path::new("docs/results.md");
    let old = std::fs::read_to_string(page).unwrap_or_default();
    let Some((before, after)) = old
        .split_once(BEGIN)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)))
    else {
        eprintln!("{} has no marks to write between", page.display());
        return ExitCode::FAILURE;
    };
    match std::fs::write(page, format!("{before}{BEGIN}{text}\n{END}{after}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{}: {e}", page.display());
            ExitCode::FAILURE
        }
    }
}
