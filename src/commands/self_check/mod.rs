//! `flow self-check`: whether this machine gives the published digests.
//!
//! A pipeline of all sorts of computations (`pipeline.toml`) runs at each SIMD level that the processor
//! has, with one action at a time and with several, each time in a store of its own. `published.txt` has
//! the digests of all output ports. A test compares it with what the code gives, so a change of bytes
//! changes it too.

mod text;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use clap::Args;
use flow_cache::{StatCache, Store};
use flow_engine::Span;
use flow_engine::kind::Registry;
use flow_engine::pipeline::file;
use flow_engine::pipeline::load::LoadOptions;
use flow_engine::pipeline::{Pipeline, PortRef};
use flow_engine::plan::Plan;
use flow_engine::run::options::{Executor, Options, Setting};
use flow_stages::numeric::simd::SimdLevel;
use tempfile::TempDir;

use super::run::{jobs, stop_on_signals};
use crate::args::values;
use crate::error::{self, CliError, Exit};
use crate::evaluation::Artifacts;
use crate::event::{CheckedLevel, DifferingOutput, SelfCheckFinished};
use crate::ui::Ui;
use crate::wording::{count, seconds};

/// `flow self-check`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flow self-check
  flow self-check --message-format json | tail -1")]
pub struct SelfCheckArgs {
    /// Actions at a time in every second run [default: the processors there are, at least 2]
    #[arg(short, long, value_name = "N", value_parser = values::jobs)]
    pub jobs: Option<NonZeroUsize>,
}

const PIPELINE: &str = include_str!("pipeline.toml");
/// The digests of all output ports: `stage kind version port digest`, one a line.
const PUBLISHED: &str = include_str!("published.txt");

/// An output port as [`PUBLISHED`] names it, and its digest.
type Digests = BTreeMap<String, String>;

/// Runs the command.
pub fn run(args: &SelfCheckArgs, ui: &Ui) -> Result<Exit, CliError> {
    let started = Instant::now();
    let cancel = stop_on_signals()?;
    let highest = SimdLevel::active();
    let jobs = [1, jobs(args.jobs).max(2)];
    let place = Place::new()?;
    let pipeline = place.pipeline(&flow_neural::kinds::registry())?;
    let published = digests_of(PUBLISHED);
    let mut levels = Vec::new();
    let mut differing = Vec::new();
    for level in SimdLevel::ALL {
        let mut checked = CheckedLevel {
            level: level.to_string(),
            tried: level <= highest,
            outputs: 0,
            differing: 0,
        };
        for jobs in jobs.into_iter().filter(|_| checked.tried) {
            let at = Instant::now();
            SimdLevel::set_cap(level);
            let found = place.digests(&pipeline, &format!("{level}-{jobs}"), jobs, &cancel)?;
            let others = compare(&published, &found, level, jobs);
            checked.outputs += found.len();
            checked.differing += others.len();
            let took = seconds(at.elapsed().as_secs_f64());
            let threads = count(jobs, "thread");
            let found = format!("{} of {}", others.len(), count(found.len(), "output"));
            ui.progress(&format!("{level}, {threads}: {found} differ, in {took}"));
            differing.extend(others);
        }
        levels.push(checked);
    }
    SimdLevel::set_cap(highest);
    let finished = SelfCheckFinished {
        ok: differing.is_empty(),
        wall_s: started.elapsed().as_secs_f64(),
        jobs: jobs.to_vec(),
        levels,
        differing,
    };
    ui.result(&text::text(&pipeline, &finished));
    let exit = if finished.ok { Exit::Ok } else { Exit::Stage };
    ui.event(|| finished);
    Ok(exit)
}

fn digests_of(text: &str) -> Digests {
    let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
    lines
        .map(|(port, digest)| (port.to_owned(), digest.to_owned()))
        .collect()
}

/// The outputs whose digests are not the published ones.
fn compare(
    published: &Digests,
    found: &Digests,
    level: SimdLevel,
    jobs: usize,
) -> Vec<DifferingOutput> {
    let known = |port: &String| published.get(port).map_or("", String::as_str);
    let others = found
        .iter()
        .filter(|(port, digest)| known(port) != digest.as_str());
    let others = others.map(|(port, digest)| {
        let mut words = port.split(' ').map(str::to_owned);
        let mut word = || words.next().unwrap_or_default();
        let (stage, kind, _, name) = (word(), word(), word(), word());
        DifferingOutput {
            stage,
            kind,
            port: name,
            level: level.to_string(),
            jobs,
            published: known(port).to_owned(),
            found: digest.clone(),
        }
    });
    others.collect()
}

/// A temporary folder with the pipeline. It goes when this does.
struct Place {
    dir: TempDir,
}

const NAME: &str = "self_check.toml";

impl Place {
    fn new() -> Result<Self, CliError> {
        let dir = tempfile::Builder::new()
            .prefix("flow-self-check-")
            .tempdir();
        let dir = dir.map_err(|e| CliError::unwritten(&std::env::temp_dir(), e))?;
        // The marker makes it a project, whatever it lies in.
        for (name, text) in [("flow.toml", ""), (NAME, PIPELINE)] {
            let path = dir.path().join(name);
            fs::write(&path, text).map_err(|e| CliError::unwritten(&path, e))?;
        }
        Ok(Self { dir })
    }

    fn pipeline(&self, registry: &Registry) -> Result<Pipeline, CliError> {
        let options = LoadOptions {
            sets: Vec::new(),
            cwd: self.dir.path().to_owned(),
        };
        Ok(file::load(Path::new(NAME), &options, registry)?)
    }

    /// Runs the pipeline in a store of its own, and returns the digests of its output ports.
    fn digests(
        &self,
        pipeline: &Pipeline,
        name: &str,
        jobs: usize,
        cancel: &AtomicBool,
    ) -> Result<Digests, CliError> {
        let home = self.dir.path().join(name);
        let store = Store::open(&home.join("store"))?;
        let plan = Plan::new(pipeline);
        let options = Options {
            jobs,
            gpus: Some(0),
            memory: None,
            keep_going: false,
            audit: false,
            cancel,
            scratch: home.join("scratch"),
            logs: home.join("logs"),
            executor: Executor::Local,
            trace: None,
        };
        let setting = Setting {
            plan: &plan,
            store: &store,
            stat: &StatCache::open(&home.join("stat")),
            options: &options,
        };
        let finished = flow_engine::run::run(setting, HashSet::new(), &mut |_| {})?;
        if finished.interrupted {
            return Err(CliError {
                exit: Exit::Interrupted,
                diags: Vec::new(),
            });
        }
        if let Some((action, error)) = finished.failures.first() {
            let stage = plan.coords(*action).stage;
            let diag = error::of_action(pipeline, stage, &plan.label(*action), error);
            return Err(CliError::new(error.fault.into(), diag));
        }
        let artifacts = Artifacts {
            plan: &plan,
            slots: &finished.slots,
            store: &store,
        };
        Ok(ports(&artifacts))
    }
}

/// The digests of all output ports.
fn ports(artifacts: &Artifacts<'_>) -> Digests {
    let mut digests = Digests::new();
    for (number, stage) in artifacts.plan.pipeline.stages.iter().enumerate() {
        for (port, output) in stage.ports.outputs.iter().enumerate() {
            let from = PortRef {
                stage: number,
                port,
                span: Span::default(),
            };
            let digest = artifacts.port(from).and_then(|port| port.digest());
            let (kind, version) = (stage.spec.name, stage.spec.version);
            let name = format!("{} {kind} {version} {}", stage.name, output.name);
            let digest = digest.map_or_else(String::new, |digest| digest.to_string());
            digests.insert(name, digest);
        }
    }
    digests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_digests_are_those_of_this_version() {
        let place = Place::new().unwrap();
        let pipeline = place.pipeline(&flow_neural::kinds::registry()).unwrap();
        let found = place
            .digests(&pipeline, "x", 2, &AtomicBool::new(false))
            .unwrap();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            let lines = found
                .iter()
                .map(|(port, digest)| format!("{port} {digest}\n"));
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands/self_check");
            fs::write(folder.join("published.txt"), lines.collect::<String>()).unwrap();
            return;
        }
        let advice = "outputs changed: raise the versions of kinds, then run with UPDATE_GOLDEN=1";
        assert_eq!(digests_of(PUBLISHED), found, "{advice}");
        assert!(found.len() > 25 && found.values().all(|digest| digest.starts_with("b3:")));
    }

    #[test]
    fn other_digests_are_found_and_named() {
        let published = digests_of("a rocket 1 features b3:1\nb gp 2 curves b3:2\n");
        let mut found = published.clone();
        assert!(compare(&published, &found, SimdLevel::Scalar, 1).is_empty());
        found.insert("b gp 2 curves".to_owned(), "b3:3".to_owned());
        found.insert("c new 1 report".to_owned(), "b3:4".to_owned());
        let others = compare(&published, &found, SimdLevel::Avx2, 2);
        let named = others.iter().map(|other| {
            let (stage, kind, port) = (&other.stage, &other.kind, &other.port);
            format!(
                "{stage} {kind} {port} {} {} {} {}",
                other.level, other.jobs, other.published, other.found
            )
        });
        let named: Vec<String> = named.collect();
        assert_eq!(
            named,
            ["b gp curves avx2 2 b3:2 b3:3", "c new report avx2 2  b3:4"]
        );
    }
}
