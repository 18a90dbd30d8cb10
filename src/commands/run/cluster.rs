//! What runs actions: threads, processes, or a cluster as a profile describes it. On a terminal, somebody who stops a
//! run is asked what becomes of its tasks.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use flow_engine::profile::Profile;
use flow_engine::run::cluster::ClusterFigures;
use flow_engine::run::cluster::options::OnStop;
use flow_engine::run::options::{Executor, ProcessOptions};

use super::signals::take_time;
use crate::args::ExecArgs;
use crate::error::CliError;
use crate::event::ClusterUsed;
use crate::project::working_dir;
use crate::wording::{count, seconds};

/// What runs actions, as the options say it, or else the profile.
pub fn executor(root: &Path, args: &ExecArgs) -> Result<Executor, CliError> {
    let profile = match &args.profile {
        Some(name) => Profile::read(root, name, &working_dir()?)?,
        None => Profile::default(),
    };
    let asked = args.executor.map(|asked| asked.name().to_owned());
    let asked = asked.or_else(|| profile.executor.clone());
    let asked = asked.as_deref().unwrap_or("local");
    if asked == "local" {
        return Ok(Executor::Local);
    }
    let program = std::env::current_exe()
        .map_err(|e| CliError::environment("this program is not to be found", e))?;
    if asked == "process" {
        return Ok(Executor::Process(ProcessOptions {
            command: vec![program.into(), "stage-exec".into()],
        }));
    }
    let mut cluster = profile
        .cluster(asked, program.as_os_str())
        .map_err(CliError::usage)?;
    cluster.on_stop = on_stop;
    Ok(Executor::Cluster(Box::new(cluster)))
}

/// Decides what becomes of the tasks of a run that is stopped.
fn on_stop(tasks: usize) -> OnStop {
    let say = |text: &str| {
        let mut stderr = io::stderr();
        let _ = stderr
            .write_all(text.as_bytes())
            .and_then(|()| stderr.flush());
    };
    let tasks = count(tasks, "task");
    let terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
    let mut cancel = false;
    if terminal {
        // A second Ctrl-C ends this process, which leaves the tasks.
        take_time();
        say(&format!(
            "{tasks} with the scheduler: [l]eave or [c]ancel? Ctrl-C leaves. [l] "
        ));
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        cancel = read.is_ok() && answer.trim().to_lowercase().starts_with('c');
    }
    if cancel {
        return OnStop::Cancel;
    }
    say(&format!(
        "{tasks} left with the scheduler; the next run attaches to them, `flow jobs` lists them, `flow jobs --cancel --all` ends them\n"
    ));
    OnStop::Leave
}

/// What a run has used of a cluster, in a line.
pub fn used(figures: &ClusterFigures) -> String {
    format!(
        "the cluster: {} with {}, {}; {} of waiting and {} of overhead, over all tasks",
        count(figures.batches, "job"),
        count(figures.tasks, "task"),
        count(figures.calls, "scheduler call"),
        seconds(figures.waiting_s),
        seconds(figures.overhead_s),
    )
}

/// The same for programs.
pub fn event(figures: &ClusterFigures) -> ClusterUsed {
    ClusterUsed {
        batches: figures.batches,
        tasks: figures.tasks,
        calls: figures.calls,
        waiting_s: figures.waiting_s,
        overhead_s: figures.overhead_s,
    }
}
