//! HyperQueue: `hq submit --array`, `hq task list`, `hq job cancel`. It has its own workers inside an allocation, so
//! that many short tasks are no burden for the scheduler of the site.

use std::process::Command;

use serde_json::Value as Json;

use super::options::SiteWords;
use super::scheduler::{
    Cause, Scheduler, SchedulerError, Submission, TaskEnd, TaskState, TaskStates, call,
};

/// HyperQueue.
pub(super) struct Hq {
    pub(super) site: SiteWords,
}

/// Runs the script whose path follows, as soon as the machine sees it.
const RUN: &str =
    r#"n=0; until [ -e "$0" ] || [ $n -ge 60 ]; do sleep 1; n=$((n + 1)); done; exec sh "$0""#;

fn hq(mode: &str) -> Command {
    let mut command = Command::new("hq");
    command.arg(format!("--output-mode={mode}"));
    command
}

fn ask(command: &mut Command) -> Result<String, SchedulerError> {
    call(command, None).map_err(|error| error.reworded(plain))
}

/// What is wrong, without the stack of `hq` itself, which it always prints, as text or in JSON.
fn plain(said: &str) -> String {
    let (before, rest) = said.split_at(said.find('{').unwrap_or(said.len()));
    let json = serde_json::from_str::<Json>(rest).ok();
    let error = json.as_ref().and_then(|json| json.get("error")?.as_str());
    let text = error.map_or_else(|| said.to_owned(), |error| format!("{before}{error}"));
    let end = text.find("Stack backtrace:").unwrap_or(text.len());
    text[..end].trim_end().to_owned()
}

impl Scheduler for Hq {
    fn submit(&self, array: &Submission<'_>) -> Result<String, SchedulerError> {
        let mut submit = hq("quiet");
        submit.arg("submit").args(arguments(array, &self.site));
        let said = ask(submit.args(["--", "sh", "-c", RUN]).arg(array.script))?;
        let id = said.split_whitespace().last().unwrap_or_default();
        match id.parse::<u64>() {
            Ok(_) => Ok(id.to_owned()),
            Err(_) => Err(SchedulerError::new(format!(
                "`hq submit` printed no id: {}",
                said.trim()
            ))),
        }
    }

    fn states(&self, ids: &[String]) -> Result<TaskStates, SchedulerError> {
        let said = ask(hq("json").args(["task", "list"]).arg(ids.join(",")))?;
        tasks(&said).ok_or_else(|| {
            SchedulerError::new("`hq task list` printed no list of tasks".to_owned())
        })
    }

    fn find(&self, name: &str) -> Result<Option<String>, SchedulerError> {
        let said = ask(hq("json").args(["job", "list", "--all"]))?;
        Ok(named(&said, name))
    }

    fn cancel(&self, ids: &[String]) -> Result<(), SchedulerError> {
        ask(hq("quiet").args(["job", "cancel"]).arg(ids.join(","))).map(drop)
    }

    fn remedy(&self) -> Option<&'static str> {
        Some("`hq worker list` says which worker runs there, and `hq worker stop` ends it")
    }
}

fn arguments(array: &Submission<'_>, site: &SiteWords) -> Vec<String> {
    let needs = &array.needs;
    let mut words = vec![
        format!("--array=0-{}", array.tasks - 1),
        format!("--name={}", array.name),
        format!("--cpus={}", needs.cpus),
        "--stdout=none".to_owned(),
        "--stderr=none".to_owned(),
        // A task whose worker is lost is not started again by itself: retries are counted by cause.
        "--crash-limit=1".to_owned(),
    ];
    words.extend(needs.memory_mb().map(|mb| format!("--resource=mem={mb}")));
    words.extend((needs.gpus > 0).then(|| format!("--resource=gpus/nvidia={}", needs.gpus)));
    words.extend(
        needs
            .minutes()
            .map(|minutes| format!("--time-limit={minutes}min")),
    );
    words.extend(site.options.iter().cloned());
    words
}

/// Reads what `hq task list` prints: for each job its tasks.
fn tasks(said: &str) -> Option<TaskStates> {
    let jobs: Json = serde_json::from_str(said).ok()?;
    let mut states = TaskStates::new();
    for (id, tasks) in jobs.as_object()? {
        for task in tasks.as_array()? {
            let number = usize::try_from(task.get("id")?.as_u64()?).ok()?;
            states.insert((id.clone(), number), state(task)?);
        }
    }
    Some(states)
}

fn state(task: &Json) -> Option<TaskState> {
    let error = task.get("error").and_then(Json::as_str).unwrap_or_default();
    let cause = match task.get("state")?.as_str()? {
        "waiting" => return Some(TaskState::Waiting),
        "running" => return Some(TaskState::Running),
        "finished" => Cause::Ok,
        "canceled" | "aborted" => Cause::Cancelled,
        "failed" if error.contains("Time limit") => Cause::TimeLimit,
        "failed" if error.contains("worker") && error.contains("lost") => Cause::NodeFailure,
        "failed" => Cause::Failed,
        _ => Cause::Unknown,
    };
    Some(TaskState::Ended(TaskEnd { cause, node: None }))
}

/// Finds a job by name in what `hq job list` prints. The last one counts.
fn named(said: &str, name: &str) -> Option<String> {
    let jobs: Json = serde_json::from_str(said).ok()?;
    let mut jobs = jobs.as_array()?.iter().rev();
    let job = jobs.find(|job| job.get("name").and_then(Json::as_str) == Some(name))?;
    Some(job.get("id")?.as_u64()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_tasks_are_read() {
        let said = r#"{"3": [{"id": 0, "state": "running", "worker": 1}, {"id": 1, "state": "waiting"},
            {"id": 2, "state": "finished"}, {"id": 3, "state": "failed", "error": "Time limit reached"},
            {"id": 4, "state": "failed", "error": "Error: Program terminated with exit code 1"},
            {"id": 5, "state": "canceled"}]}"#;
        let states = tasks(said).unwrap();
        let ended = |cause| TaskState::Ended(TaskEnd { cause, node: None });
        let wanted = [
            TaskState::Running,
            TaskState::Waiting,
            ended(Cause::Ok),
            ended(Cause::TimeLimit),
            ended(Cause::Failed),
            ended(Cause::Cancelled),
        ];
        for (task, wanted) in wanted.into_iter().enumerate() {
            assert_eq!(states[&("3".to_owned(), task)], wanted, "{task}");
        }
        assert!(tasks("no JSON").is_none() && tasks("[]").is_none());
    }

    #[test]
    fn errors_are_told_without_a_stack() {
        let text = "Invalid server directory\n\nCaused by:\n    \"/d\" is not a directory";
        let stack = "\n\nStack backtrace:\n   0: main\n  1: _start";
        let failed = format!("`hq` failed: {text}");
        let as_json = serde_json::json!({"error": format!("{text}{stack}")});
        for said in [
            failed.clone(),
            format!("{failed}{stack}"),
            format!("`hq` failed: {as_json}"),
        ] {
            assert_eq!(plain(&said), failed, "{said}");
        }
        assert_eq!(plain("`hq` failed: {no JSON"), "`hq` failed: {no JSON");
    }

    #[test]
    fn a_job_is_found_by_its_name() {
        let said = r#"[{"id": 1, "name": "flow-a"}, {"id": 2, "name": "flow-b"}, {"id": 3, "name": "flow-a"}]"#;
        assert_eq!(named(said, "flow-a"), Some("3".to_owned()));
        assert_eq!(named(said, "flow-c"), None);
    }
}
