//! Decides what becomes of an action whose task ended without its record.

use serde_json::{Value as Json, json};

use super::options::{ClusterOptions, WithMore};
use super::scheduler::{Cause, TaskEnd};
use crate::kind::error::{Fault, StageError};
use crate::run::process::OUT_OF_MEMORY;

/// How often an action was tried again, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tries {
    out_of_memory: u32,
    time_limit: u32,
    node_failure: u32,
    preempted: u32,
    cancelled: u32,
    failed: u32,
}

impl Tries {
    /// What a batch says of them.
    pub(super) fn to_json(self) -> Json {
        json!({
            "out_of_memory": self.out_of_memory,
            "time_limit": self.time_limit,
            "node_failure": self.node_failure,
            "preempted": self.preempted,
            "cancelled": self.cancelled,
            "failed": self.failed,
        })
    }

    /// Reads them from what a batch says. A count that is not there is 0.
    pub(super) fn of_json(json: &Json) -> Self {
        let count = |cause: &str| {
            let count = json.get(cause).and_then(Json::as_u64);
            count.map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX))
        };
        Self {
            out_of_memory: count("out_of_memory"),
            time_limit: count("time_limit"),
            node_failure: count("node_failure"),
            preempted: count("preempted"),
            cancelled: count("cancelled"),
            failed: count("failed"),
        }
    }

    /// By how much more memory than at first the next try asks for.
    pub(super) fn memory_factor(&self, options: &ClusterOptions) -> f64 {
        power(options.retry.out_of_memory, self.out_of_memory)
    }

    /// By how much more time than at first the next try asks for.
    pub(super) fn time_factor(&self, options: &ClusterOptions) -> f64 {
        power(options.retry.time_limit, self.time_limit)
    }

    /// Counts a try. Returns false if there is none left for this cause.
    fn take(&mut self, cause: Cause, options: &ClusterOptions) -> bool {
        let retry = &options.retry;
        let (tried, allowed) = match cause {
            Cause::OutOfMemory => (&mut self.out_of_memory, retry.out_of_memory.times),
            Cause::TimeLimit => (&mut self.time_limit, retry.time_limit.times),
            Cause::NodeFailure => (&mut self.node_failure, retry.node_failure),
            Cause::Preempted => (&mut self.preempted, retry.preempted),
            Cause::Cancelled => (&mut self.cancelled, retry.cancelled),
            // It would be refused again.
            Cause::Refused => return false,
            Cause::Ok | Cause::Failed | Cause::Unknown => (&mut self.failed, retry.failed),
        };
        let left = *tried < allowed;
        *tried += u32::from(left);
        left
    }
}

fn power(more: WithMore, tried: u32) -> f64 {
    more.factor.powi(tried.min(64).cast_signed())
}

/// What was known of an action when its task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// It had not begun, and others of the task had.
    NotBegun,
    /// It was running, or nothing of the task ever ran.
    Struck,
}

/// Returns none if the action is to be submitted again, or else the error that it ends with.
pub(super) fn verdict(
    end: &TaskEnd,
    part: Part,
    tries: &mut Tries,
    options: &ClusterOptions,
) -> Option<StageError> {
    // An action that the end did not strike loses no try. But somebody who cancels or refuses a task means all of it.
    let all = matches!(end.cause, Cause::Cancelled | Cause::Refused);
    if part == Part::NotBegun && !all {
        return None;
    }
    (!tries.take(end.cause, options)).then(|| error(end))
}

/// What happened to a task, for people.
pub(super) fn described(end: &TaskEnd) -> String {
    let node = end.node.as_deref();
    let on = node.map_or(String::new(), |node| format!(" on {node}"));
    match end.cause {
        Cause::OutOfMemory => format!("its task ran out of memory{on}"),
        Cause::TimeLimit => format!("its task reached its time limit{on}"),
        Cause::NodeFailure => match node {
            Some(node) => format!("the machine {node} failed"),
            None => "the machine of its task failed".to_owned(),
        },
        Cause::Preempted => format!("its task was preempted{on}"),
        Cause::Cancelled => "its task was cancelled".to_owned(),
        Cause::Refused => "no machine of the cluster has what its task asks for".to_owned(),
        Cause::Ok => format!("its task ended{on} and left no record"),
        Cause::Failed => format!("its task failed{on}"),
        Cause::Unknown => "its task is gone, and the scheduler does not know why".to_owned(),
    }
}

fn error(end: &TaskEnd) -> StageError {
    let (code, help) = match end.cause {
        Cause::OutOfMemory => (
            OUT_OF_MEMORY,
            "give the stage more memory in the profile: [stages.NAME.resources] memory = \"8GiB\"",
        ),
        Cause::TimeLimit => (
            "flow::executor::time_limit",
            "give the stage more time in the profile: [stages.NAME.resources] timeout = \"4h\"",
        ),
        Cause::NodeFailure => (
            "flow::executor::node_failure",
            "run again; `[retry] node_failure` in the profile allows more tries",
        ),
        Cause::Preempted => (
            "flow::executor::preempted",
            "run again; `[retry] preempted` in the profile allows more tries",
        ),
        Cause::Cancelled => ("flow::executor::cancelled", "run again to go on"),
        Cause::Refused => (
            "flow::executor::refused",
            "ask for less in the profile: [stages.NAME.resources] has `cpus`, `memory`, `gpus` and `timeout`, and [executor] has `memory` and `time`",
        ),
        Cause::Ok | Cause::Failed | Cause::Unknown => (
            "flow::executor::task",
            "can the machines of the cluster run flow, and do they see the store and the project under the same paths?",
        ),
    };
    StageError::new(Fault::Environment, code, described(end)).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::cluster::options::{SchedulerChoice, SiteWords};

    fn options() -> ClusterOptions {
        ClusterOptions::new(SchedulerChoice::Slurm(SiteWords::default()), Vec::new())
    }

    fn end(cause: Cause) -> TaskEnd {
        let node = Some("fn1".to_owned());
        TaskEnd { cause, node }
    }

    #[test]
    fn each_cause_has_tries_of_its_own_and_an_error_after_them() {
        let options = options();
        for (cause, times, code) in [
            (Cause::OutOfMemory, 2, "flow::executor::out_of_memory"),
            (Cause::TimeLimit, 1, "flow::executor::time_limit"),
            (Cause::NodeFailure, 3, "flow::executor::node_failure"),
            (Cause::Preempted, 10, "flow::executor::preempted"),
            (Cause::Cancelled, 0, "flow::executor::cancelled"),
            (Cause::Refused, 0, "flow::executor::refused"),
            (Cause::Failed, 1, "flow::executor::task"),
            (Cause::Unknown, 1, "flow::executor::task"),
            (Cause::Ok, 1, "flow::executor::task"),
        ] {
            let mut tries = Tries::default();
            for _ in 0..times {
                assert!(verdict(&end(cause), Part::Struck, &mut tries, &options).is_none());
            }
            let error = verdict(&end(cause), Part::Struck, &mut tries, &options);
            assert_eq!(error.unwrap().code.as_str(), code);
        }
    }

    #[test]
    fn what_had_not_begun_loses_no_try_unless_somebody_cancelled_it() {
        let (options, mut tries) = (options(), Tries::default());
        for _ in 0..100 {
            let lost = verdict(
                &end(Cause::NodeFailure),
                Part::NotBegun,
                &mut tries,
                &options,
            );
            assert!(lost.is_none());
        }
        assert!(verdict(&end(Cause::Cancelled), Part::NotBegun, &mut tries, &options).is_some());
    }

    #[test]
    fn memory_and_time_grow_with_each_try() {
        let (options, mut tries) = (options(), Tries::default());
        assert_eq!(
            (tries.memory_factor(&options), tries.time_factor(&options)),
            (1.0, 1.0)
        );
        for cause in [Cause::OutOfMemory, Cause::OutOfMemory, Cause::TimeLimit] {
            verdict(&end(cause), Part::Struck, &mut tries, &options);
        }
        assert_eq!(
            (tries.memory_factor(&options), tries.time_factor(&options)),
            (4.0, 2.0)
        );
    }

    #[test]
    fn the_machine_that_failed_is_named() {
        assert_eq!(
            described(&end(Cause::NodeFailure)),
            "the machine fn1 failed"
        );
    }
}
