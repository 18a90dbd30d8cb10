//! What all schedulers have in common: an array of tasks is submitted, asked about and cancelled. A new scheduler
//! is one file with these functions.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The longest that a command of a scheduler may take.
const LIMIT: Duration = Duration::from_secs(120);

/// How long the output of a command is waited for once it has ended. A process that it has started may keep it open.
const OUTPUT: Duration = Duration::from_millis(500);

/// The last words of a program that could not get memory.
pub(super) const NO_MEMORY: &str = "memory allocation of ";

/// A scheduler.
pub(crate) trait Scheduler: Send + Sync {
    /// Submits an array of tasks, and returns its id.
    fn submit(&self, array: &Submission<'_>) -> Result<String, SchedulerError>;

    /// Returns the states of the tasks of these arrays, as far as the scheduler knows them.
    fn states(&self, ids: &[String]) -> Result<TaskStates, SchedulerError>;

    /// Returns the id of the array with a name, if the scheduler knows one.
    fn find(&self, name: &str) -> Result<Option<String>, SchedulerError>;

    /// Returns the cause of an end once the last words of the task are known, which may say more than the scheduler.
    fn refined(&self, cause: Cause, words: &str) -> Cause {
        // A limit on the size of a process lets the program end itself.
        match cause {
            Cause::Failed if words.contains(NO_MEMORY) => Cause::OutOfMemory,
            cause => cause,
        }
    }

    /// Cancels what is left of these arrays.
    fn cancel(&self, ids: &[String]) -> Result<(), SchedulerError>;

    /// Returns what a user can do about a machine that fails, if the scheduler cannot be told to leave it out.
    fn remedy(&self) -> Option<&'static str>;

    /// Returns the machines that may run tasks, if the scheduler says which these are.
    fn machines(&self) -> Option<BTreeSet<String>> {
        None
    }
}

/// States by id of an array and number of a task in it.
pub(crate) type TaskStates = HashMap<(String, usize), TaskState>;

/// An array of tasks, numbered from 0.
#[derive(Clone, Copy)]
pub(crate) struct Submission<'a> {
    /// Its name, by which it can be found.
    pub(crate) name: &'a str,
    /// The script that a task runs.
    pub(crate) script: &'a Path,
    /// The folder of the batch.
    pub(crate) dir: &'a Path,
    pub(crate) tasks: usize,
    pub(crate) needs: TaskNeeds,
    /// The machines that no task is to run on.
    pub(crate) avoid: &'a [String],
}

/// What each task of an array asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct TaskNeeds {
    pub(crate) cpus: usize,
    /// In bytes; 0 for no claim.
    pub(crate) memory: u64,
    pub(crate) gpus: usize,
    /// The time limit, or none.
    pub(crate) time: Option<Duration>,
}

impl TaskNeeds {
    /// Memory in MiB, or none without a claim.
    pub(crate) fn memory_mb(&self) -> Option<u64> {
        (self.memory > 0).then(|| self.memory.div_ceil(1 << 20))
    }

    /// The time limit in whole minutes.
    pub(crate) fn minutes(&self) -> Option<u64> {
        self.time.map(|time| time.as_secs().div_ceil(60).max(1))
    }
}

impl fmt::Display for TaskNeeds {
    /// What a task asks for, for people: `2 processors, 2048 MiB of memory`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let several = |count: usize, what: &str| match count {
            1 => format!("1 {what}"),
            _ => format!("{count} {what}s"),
        };
        f.write_str(&several(self.cpus, "processor"))?;
        if let Some(mb) = self.memory_mb() {
            write!(f, ", {mb} MiB of memory")?;
        }
        if self.gpus > 0 {
            write!(f, ", {}", several(self.gpus, "GPU"))?;
        }
        if let Some(minutes) = self.minutes() {
            write!(f, ", {minutes} min")?;
        }
        Ok(())
    }
}

/// The state of a task.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TaskState {
    /// It has not started.
    Waiting,
    Running,
    Ended(TaskEnd),
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TaskEnd {
    pub(crate) cause: Cause,
    /// The machine that it ran on, if that is known.
    pub(crate) node: Option<String>,
}

/// Why a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It got to its end.
    Ok,
    /// Its process failed.
    Failed,
    OutOfMemory,
    TimeLimit,
    NodeFailure,
    Preempted,
    Cancelled,
    /// It never ran: no machine has what it asks for.
    Refused,
    /// The scheduler does not say, or does not know the task any more.
    Unknown,
}

impl TaskState {
    /// Returns the state for one of flow's words.
    pub(crate) fn of_word(word: &str, node: Option<String>) -> Option<Self> {
        let cause = match word {
            "waiting" => return Some(Self::Waiting),
            "running" => return Some(Self::Running),
            "ok" => Cause::Ok,
            "failed" => Cause::Failed,
            "out-of-memory" => Cause::OutOfMemory,
            "time-limit" => Cause::TimeLimit,
            "node-failure" => Cause::NodeFailure,
            "preempted" => Cause::Preempted,
            "cancelled" => Cause::Cancelled,
            "refused" => Cause::Refused,
            "unknown" => Cause::Unknown,
            _ => return None,
        };
        Some(Self::Ended(TaskEnd { cause, node }))
    }
}

/// Flow's words for states.
pub const STATE_WORDS: [&str; 11] = [
    "waiting",
    "running",
    "ok",
    "failed",
    "out-of-memory",
    "time-limit",
    "node-failure",
    "preempted",
    "cancelled",
    "refused",
    "unknown",
];

/// Why a command of a scheduler failed.
#[derive(Clone, Debug)]
pub(crate) struct SchedulerError {
    message: String,
    pub(crate) failure: Failure,
}

/// What sort of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// This machine has no such command.
    Absent,
    /// The scheduler says no, and will say it again.
    Refused,
    /// Another try may succeed.
    Other,
}

impl SchedulerError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            failure: Failure::Other,
        }
    }

    /// The same error as one of what the scheduler refuses.
    pub(crate) fn refused(self) -> Self {
        Self {
            failure: Failure::Refused,
            ..self
        }
    }

    /// The same error in other words.
    pub(crate) fn reworded(self, words: impl FnOnce(&str) -> String) -> Self {
        Self {
            message: words(&self.message),
            ..self
        }
    }
}

impl fmt::Display for SchedulerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Secrets of a remote. Only the head of a run needs them, and schedulers may pass their surroundings on to jobs.
const SECRETS: [&str; 2] = ["FLOW_SIGNING_KEY", "FLOW_REMOTE_AUTHORIZATION"];

/// Runs a command of a scheduler, and returns what it prints.
pub(crate) fn call(command: &mut Command, input: Option<&[u8]>) -> Result<String, SchedulerError> {
    let name = command.get_program().to_string_lossy().into_owned();
    for secret in SECRETS {
        command.env_remove(secret);
    }
    let failed = |error: io::Error| SchedulerError {
        failure: match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Failure::Absent,
            _ => Failure::Other,
        },
        ..SchedulerError::new(format!("failed to run `{name}`: {error}"))
    };
    command
        .stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C is for the run, which decides what becomes of its tasks.
        .process_group(0);
    let mut child = command.spawn().map_err(failed)?;
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        // A command that does not read its input says itself what is wrong.
        let _ = pipe.write_all(input);
    }
    let said = Output::of(child.stdout.take());
    let errors = Output::of(child.stderr.take());
    let status = wait(&mut child).map_err(failed)?;
    let (said, errors) = (said.text(), errors.text());
    match status {
        Some(status) if status.success() => Ok(said),
        Some(status) => {
            let why = [errors.trim(), said.trim()]
                .into_iter()
                .find(|text| !text.is_empty());
            let why = why.map_or_else(|| status.to_string(), str::to_owned);
            Err(SchedulerError::new(format!("`{name}` failed: {why}")))
        }
        None => Err(SchedulerError::new(format!(
            "`{name}` did not answer within {} s",
            LIMIT.as_secs()
        ))),
    }
}

/// Waits for a command, and ends it if it takes too long.
fn wait(child: &mut Child) -> io::Result<Option<std::process::ExitStatus>> {
    let since = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if since.elapsed() > LIMIT {
            let _ = child.kill();
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What a command prints, read by a thread of its own.
struct Output {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Output {
    fn of(pipe: Option<impl Read + Send + 'static>) -> Self {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let shared = Arc::clone(&bytes);
        let reader = pipe.map(|mut pipe| {
            std::thread::spawn(move || {
                let mut block = [0; 4096];
                while let Ok(n @ 1..) = pipe.read(&mut block) {
                    let mut all = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    all.extend_from_slice(&block[..n]);
                }
            })
        });
        Self { bytes, reader }
    }

    fn text(self) -> String {
        let since = Instant::now();
        while let Some(reader) = &self.reader
            && !reader.is_finished()
            && since.elapsed() < OUTPUT
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_command_says_what_it_prints_or_why_it_failed() {
        assert_eq!(
            call(&mut shell("cat; echo b"), Some(b"a\n")).unwrap(),
            "a\nb\n"
        );
        let failed = call(&mut shell("echo out; echo why >&2; exit 3"), None).unwrap_err();
        assert_eq!(failed.to_string(), "`sh` failed: why");
        assert_eq!(failed.failure, Failure::Other);
        for secret in SECRETS {
            let mut show = shell(&format!("echo ${{{secret}-none}}"));
            assert_eq!(call(show.env(secret, "s"), None).unwrap(), "none\n");
        }
        let silent = call(&mut shell("exit 3"), None).unwrap_err();
        assert!(silent.to_string().contains("exit status: 3"), "{silent}");
        let none = call(&mut Command::new("/no/such/scheduler"), None).unwrap_err();
        assert!(none.to_string().starts_with("failed to run"), "{none}");
        assert_eq!(none.failure, Failure::Absent);
    }

    #[test]
    fn a_process_that_stays_behind_is_not_waited_for() {
        let since = Instant::now();
        assert_eq!(
            call(&mut shell("echo 7; sleep 30 & exit 0"), None).unwrap(),
            "7\n"
        );
        assert!(since.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn needs_are_rounded_up() {
        let needs = TaskNeeds {
            memory: (1 << 20) + 1,
            time: Some(Duration::from_secs(61)),
            ..TaskNeeds::default()
        };
        assert_eq!((needs.memory_mb(), needs.minutes()), (Some(2), Some(2)));
        assert_eq!(
            (
                TaskNeeds::default().memory_mb(),
                TaskNeeds::default().minutes()
            ),
            (None, None)
        );
    }

    #[test]
    fn needs_are_told_in_words() {
        let needs = TaskNeeds {
            cpus: 1,
            memory: 2 << 30,
            gpus: 2,
            time: Some(Duration::from_secs(90)),
        };
        assert_eq!(
            needs.to_string(),
            "1 processor, 2048 MiB of memory, 2 GPUs, 2 min"
        );
        let least = TaskNeeds {
            cpus: 4,
            ..TaskNeeds::default()
        };
        assert_eq!(least.to_string(), "4 processors");
    }

    #[test]
    fn every_word_is_a_state() {
        assert!(
            STATE_WORDS
                .iter()
                .all(|word| TaskState::of_word(word, None).is_some())
        );
        assert_eq!(TaskState::of_word("done", None), None);
    }
}
