//! What is known of a task that was submitted: what it says, and what the scheduler says of it.

use std::time::{Duration, Instant};

use flow_cache::{ActionKey, JobDir};
use serde_json::Value as Json;

use super::batch::said_by;
use super::scheduler::{Cause, TaskEnd, TaskState};
use crate::kind::error::StageError;

/// The longest time between two questions about a silent task.
const LONGEST: Duration = Duration::from_secs(180);

/// The time between two questions about a task that was stopped, until the scheduler says why.
const SOON: Duration = Duration::from_secs(2);

/// After how many answers of a scheduler that does not know a task the task is gone. They are spread over the time for
/// which a task may be silent: some schedulers write down how a task ended only seconds after its end.
const ABSENCES: u32 = 3;

/// Something that a task said.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// It runs, on this machine.
    Started(String),
    /// It begins with an action.
    Action(ActionKey),
    /// The action that it runs has made progress.
    Progress(Json),
    /// An action ended, as the line says.
    Ended(ActionKey, Json),
    /// It got to its end after this many seconds.
    Over(f64),
    /// It was stopped.
    Stopped,
}

/// A task that was submitted.
#[derive(Debug)]
pub(super) struct LiveTask {
    /// Its actions that are not settled.
    pub(super) left: Vec<ActionKey>,
    /// It has begun at least one of its actions.
    pub(super) begun: bool,
    /// The action that it runs.
    pub(super) current: Option<ActionKey>,
    /// The machine that it runs on.
    pub(super) node: Option<String>,
    /// When it was first seen to run.
    pub(super) started: Option<Instant>,
    /// Other tasks were given some of its actions.
    pub(super) relieved: bool,
    /// Its machine was blamed for how it, or an action of it, ended.
    pub(super) blamed: bool,
    /// Nothing more comes from it.
    pub(super) over: bool,
    /// How it ended, once that is known, and since when.
    pub(super) ended: Option<(TaskEnd, Instant)>,
    file: String,
    /// Bytes of its file that were read.
    read: u64,
    /// The beginning of a line whose end has not been seen yet.
    unread: Vec<u8>,
    last_sign: Instant,
    /// For how long it may be silent before the scheduler is asked.
    silence: Duration,
    stopped: bool,
    /// How often in a row the scheduler did not know it.
    absent: u32,
}

impl LiveTask {
    /// A task that was just submitted or found.
    pub(super) fn new(task: usize, left: Vec<ActionKey>, ask_after: Duration) -> Self {
        Self {
            left,
            begun: false,
            current: None,
            node: None,
            started: None,
            relieved: false,
            blamed: false,
            over: false,
            ended: None,
            file: said_by(task),
            read: 0,
            unread: Vec::new(),
            last_sign: Instant::now(),
            silence: ask_after,
            stopped: false,
            absent: 0,
        }
    }

    /// Reads what the task has said since the last look.
    pub(super) fn listen(
        &mut self,
        dir: &JobDir,
        ask_after: Duration,
    ) -> Result<Vec<Said>, StageError> {
        let new = dir.read(&self.file, self.read)?;
        if new.is_empty() {
            return Ok(Vec::new());
        }
        self.read += new.len() as u64;
        self.unread.extend(new);
        (self.last_sign, self.silence) = (Instant::now(), ask_after);
        let mut all = Vec::new();
        while let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            let said = serde_json::from_slice(&line).ok().and_then(of_line);
            all.extend(said.inspect(|said| self.heard(said)));
        }
        Ok(all)
    }

    fn heard(&mut self, said: &Said) {
        match said {
            Said::Started(node) => {
                self.node = Some(node.clone());
                self.started.get_or_insert_with(Instant::now);
                // A scheduler may start a task a second time.
                (self.over, self.stopped, self.ended) = (false, false, None);
            }
            Said::Action(key) => {
                self.current = Some(*key);
                self.begun = true;
            }
            Said::Ended(key, _) => {
                self.current = self.current.filter(|current| current != key);
                self.begun = true;
            }
            Said::Over(_) => self.over = true,
            // Why it was stopped, the scheduler knows.
            Said::Stopped => (self.stopped, self.silence) = (true, SOON),
            Said::Progress(_) => {}
        }
    }

    /// Returns true if the scheduler should be asked about the task now.
    pub(super) fn is_overdue(&self) -> bool {
        self.is_open() && self.last_sign.elapsed() >= self.silence
    }

    /// Returns true if more may come of the task, or something is left of it.
    pub(super) fn is_open(&self) -> bool {
        !self.over && self.ended.is_none()
    }

    /// When something was last heard of it.
    pub(super) fn heard_at(&self) -> Instant {
        self.last_sign
    }

    /// Lets it be asked about at the next occasion.
    pub(super) fn make_overdue(&mut self) {
        self.silence = Duration::ZERO;
    }

    /// Lets it be asked about later, since the scheduler did not answer.
    pub(super) fn put_off(&mut self) {
        self.last_sign = Instant::now();
        self.silence = self.silence.max(SOON);
    }

    /// Takes in what the scheduler says of it, or that it does not know the task. It may know a new task a moment
    /// later than its id, so only several such answers are an end.
    pub(super) fn told(&mut self, state: Option<&TaskState>, ask_after: Duration) {
        self.last_sign = Instant::now();
        self.absent = if state.is_none() { self.absent + 1 } else { 0 };
        match state {
            Some(TaskState::Ended(end)) => {
                let node = end.node.clone().or_else(|| self.node.clone());
                let end = TaskEnd {
                    node,
                    ..end.clone()
                };
                self.ended = Some((end, Instant::now()));
            }
            None if self.absent >= ABSENCES => {
                let (cause, node) = (Cause::Unknown, self.node.clone());
                self.ended = Some((TaskEnd { cause, node }, Instant::now()));
            }
            None => self.silence = ask_after / (ABSENCES - 1),
            _ if self.stopped => self.silence = SOON.min(ask_after),
            _ => {
                self.silence =
                    (self.silence + self.silence / 2).clamp(ask_after, LONGEST.max(ask_after))
            }
        }
    }
}

fn of_line(json: Json) -> Option<Said> {
    let key = || json.get("key")?.as_str()?.parse().ok();
    Some(match json.get("event")?.as_str()? {
        "task-started" => Said::Started(json.get("node")?.as_str()?.to_owned()),
        "action-started" => Said::Action(key()?),
        "progress" => Said::Progress(json),
        "stage-exec-finished" => Said::Ended(key()?, json),
        "task-finished" => match json.get("stopped")?.as_bool()? {
            true => Said::Stopped,
            false => Said::Over(json.get("wall_s")?.as_f64()?),
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::cluster::scheduler::Cause;
    use flow_cache::Digest;

    const NEVER: Duration = Duration::from_secs(3_600);

    #[test]
    fn lines_are_heard_once_and_only_when_they_are_whole() {
        let temp = flow_testkit::files::folder();
        let dir = JobDir::at(temp.path());
        let key = ActionKey(Digest::of(b"1"));
        let mut task = LiveTask::new(0, vec![key], NEVER);
        assert_eq!(task.listen(&dir, NEVER).unwrap(), []);
        let begin = format!(
            "\n{{\"event\":\"task-started\",\"node\":\"fn1\"}}\nnoise\n\n{{\"event\":\"action-started\",\"key\":\"{key}\""
        );
        dir.append("0.jsonl", begin.as_bytes()).unwrap();
        assert_eq!(
            task.listen(&dir, NEVER).unwrap(),
            [Said::Started("fn1".to_owned())]
        );
        dir.append("0.jsonl", b"}\n").unwrap();
        assert_eq!(task.listen(&dir, NEVER).unwrap(), [Said::Action(key)]);
        assert_eq!((task.current, task.begun), (Some(key), true));
        dir.append(
            "0.jsonl",
            b"{\"event\":\"task-finished\",\"stopped\":false,\"wall_s\":2.5}\n",
        )
        .unwrap();
        assert_eq!(task.listen(&dir, NEVER).unwrap(), [Said::Over(2.5)]);
        assert!(!task.is_open());
    }

    #[test]
    fn a_silent_task_is_asked_about_less_and_less_often() {
        let ask_after = Duration::from_secs(40);
        let mut task = LiveTask::new(0, Vec::new(), ask_after);
        assert!(!task.is_overdue());
        for wanted in [60, 90, 135, 180, 180] {
            task.told(Some(&TaskState::Waiting), ask_after);
            assert_eq!(task.silence.as_secs(), wanted);
        }
        task.make_overdue();
        assert!(task.is_overdue());
        let end = TaskEnd {
            cause: Cause::NodeFailure,
            node: None,
        };
        task.node = Some("fn2".to_owned());
        task.told(Some(&TaskState::Ended(end)), ask_after);
        let (end, _) = task.ended.clone().unwrap();
        assert_eq!(end.node.as_deref(), Some("fn2"));
        assert!(!task.is_overdue());
    }

    #[test]
    fn a_task_that_its_scheduler_does_not_know_is_gone_after_several_answers() {
        let mut task = LiveTask::new(0, Vec::new(), NEVER);
        task.told(None, NEVER);
        task.told(None, NEVER);
        assert_eq!(task.silence, NEVER / 2);
        task.told(Some(&TaskState::Running), NEVER);
        for _ in 0..ABSENCES {
            assert!(task.is_open());
            task.told(None, NEVER);
        }
        assert_eq!(
            task.ended.as_ref().map(|(end, _)| end.cause),
            Some(Cause::Unknown)
        );
    }

    #[test]
    fn a_stopped_task_is_asked_about_soon() {
        let temp = flow_testkit::files::folder();
        let dir = JobDir::at(temp.path());
        let mut task = LiveTask::new(0, Vec::new(), NEVER);
        dir.append(
            "0.jsonl",
            b"{\"event\":\"task-finished\",\"stopped\":true,\"wall_s\":1.0}\n",
        )
        .unwrap();
        assert_eq!(task.listen(&dir, NEVER).unwrap(), [Said::Stopped]);
        assert!(task.is_open() && task.silence == SOON);
    }
}
