//! Slurm: `sbatch --array`, `squeue` for what it knows, `sacct` for what it has forgotten, `scancel`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::options::SiteWords;
use super::scheduler::{
    Cause, NO_MEMORY, Scheduler, SchedulerError, Submission, TaskEnd, TaskState, TaskStates, call,
};

/// Slurm.
pub(super) struct Slurm {
    pub(super) site: SiteWords,
}

/// Returns a command of Slurm. A run that is itself in a job must not pass its own allocation on.
fn slurm(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("SLURM_") && text != "SLURM_CONF" {
            command.env_remove(&name);
        }
    }
    command
}

impl Scheduler for Slurm {
    fn submit(&self, array: &Submission<'_>) -> Result<String, SchedulerError> {
        let script = std::fs::read(array.script)
            .map_err(|error| SchedulerError::new(format!("the script cannot be read: {error}")))?;
        let said = call(
            slurm("sbatch").args(arguments(array, &self.site)),
            Some(&script),
        )
        .map_err(refused)?;
        // `ID` or `ID;CLUSTER`, after whatever a site lets sbatch say.
        let last = said.lines().rev().find(|line| !line.trim().is_empty());
        let id = last.and_then(|line| line.trim().split(';').next());
        match id.filter(|id| id.bytes().all(|b| b.is_ascii_digit())) {
            Some(id) => Ok(id.to_owned()),
            None => Err(SchedulerError::new(format!(
                "`sbatch` printed no id: {}",
                said.trim()
            ))),
        }
    }

    fn states(&self, ids: &[String]) -> Result<TaskStates, SchedulerError> {
        let asked = ids.join(",");
        let said = call(
            slurm("squeue")
                .args([
                    "--noheader",
                    "--array",
                    "--states=all",
                    "--format=%F|%K|%T|%N|%r",
                ])
                .arg(format!("--jobs={asked}")),
            None,
        );
        let mut states = match said {
            Ok(said) => queue(&said),
            // That is what it says if it knows none of them any more.
            Err(error) if error.to_string().contains("Invalid job id") => TaskStates::new(),
            Err(error) => return Err(error),
        };
        let known = |id: &String| states.keys().any(|(known, _)| known == id);
        let forgotten: Vec<&str> = ids
            .iter()
            .filter(|id| !known(id))
            .map(|id| id.as_str())
            .collect();
        if !forgotten.is_empty() {
            let mut sacct = slurm("sacct");
            sacct.args([
                "--noheader",
                "--parsable2",
                "--allocations",
                "--format=JobID,State,NodeList",
            ]);
            sacct.arg(format!("--jobs={}", forgotten.join(",")));
            // Not every site keeps accounts.
            if let Ok(said) = call(&mut sacct, None) {
                states.extend(accounts(&said));
            }
        }
        Ok(states)
    }

    fn find(&self, name: &str) -> Result<Option<String>, SchedulerError> {
        let mut squeue = slurm("squeue");
        squeue.args(["--noheader", "--states=all", "--format=%F"]);
        let said = call(squeue.arg(format!("--name={name}")), None)?;
        let first = |text: &str| text.split_whitespace().next().map(str::to_owned);
        if let Some(id) = first(&said) {
            return Ok(Some(id));
        }
        let mut sacct = slurm("sacct");
        sacct.args([
            "--noheader",
            "--parsable2",
            "--allocations",
            "--format=JobID",
        ]);
        let said = call(sacct.arg(format!("--name={name}")), None).unwrap_or_default();
        let array = |id: String| id.split('_').next().map(str::to_owned);
        Ok(first(&said).and_then(array))
    }

    /// A site that watches memory without control groups calls such an end a failure.
    fn refined(&self, cause: Cause, words: &str) -> Cause {
        let memory = [
            NO_MEMORY,
            "exceeded memory limit",
            "Exceeded job memory limit",
            "oom-kill",
            "oom_kill",
        ];
        match memory.iter().any(|text| words.contains(text)) {
            true if cause == Cause::Failed => Cause::OutOfMemory,
            _ => cause,
        }
    }

    fn cancel(&self, ids: &[String]) -> Result<(), SchedulerError> {
        call(slurm("scancel").args(ids), None).map(drop)
    }

    fn remedy(&self) -> Option<&'static str> {
        None
    }

    fn machines(&self) -> Option<BTreeSet<String>> {
        let mut sinfo = slurm("sinfo");
        sinfo.args(["--noheader", "--Node", "--format=%N|%t"]);
        let partition = value_of(&self.site.options, "--partition", "-p");
        sinfo.args(partition.map(|name| format!("--partition={name}")));
        Some(usable(&call(&mut sinfo, None).ok()?))
    }
}

/// Reads what `sinfo` prints, a machine and its state on each line. Returns the machines that take jobs, now or later.
fn usable(said: &str) -> BTreeSet<String> {
    let out = ["down", "drain", "drng", "fail", "maint", "unk", "err"];
    let line = |line: &str| {
        let (name, state) = line.trim().split_once('|')?;
        // A star says that the machine does not answer.
        let gone = state.ends_with('*') || out.iter().any(|word| state.starts_with(word));
        (!gone).then(|| name.to_owned())
    };
    said.lines().filter_map(line).collect()
}

/// The value of an option of `sbatch` among words such as `--partition=short`, `-p short` or `-pshort`.
fn value_of<'w>(words: &'w [String], long: &str, short: &str) -> Option<&'w str> {
    let mut found = None;
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let value = match word {
            word if word == long || word == short => words.next(),
            word => match word.strip_prefix(long) {
                Some(rest) => rest.strip_prefix('='),
                None => word.strip_prefix(short).filter(|_| !word.starts_with("--")),
            },
        };
        // The last one counts, as for `sbatch`.
        found = value.or(found);
    }
    found
}

/// Tells what `sbatch` refuses from what it may take a moment later.
fn refused(error: SchedulerError) -> SchedulerError {
    let words = error.to_string().to_lowercase();
    // It has asked the controller, or has not understood its own arguments.
    let final_words = [
        "batch job submission failed",
        "error: invalid",
        "unrecognized option",
    ];
    let passing = [
        "contact",
        "timed out",
        "communication",
        "connection",
        "transport endpoint",
        "zero bytes",
        "temporar",
        // As many jobs as the site allows are in the queue.
        "submit limit",
    ];
    let has = |all: &[&str]| all.iter().any(|text| words.contains(text));
    match has(&final_words) && !has(&passing) {
        true => error.refused(),
        false => error,
    }
}

/// The arguments of `sbatch`. The script comes on its standard input.
fn arguments(array: &Submission<'_>, site: &SiteWords) -> Vec<String> {
    let needs = &array.needs;
    let mut words = vec![
        "--parsable".to_owned(),
        format!("--job-name={}", array.name),
        format!("--array=0-{}", array.tasks - 1),
        format!("--cpus-per-task={}", needs.cpus),
        // Retries are counted by cause, so Slurm must not start a task again by itself.
        "--no-requeue".to_owned(),
        format!("--output={}", output(array.dir)),
        "--open-mode=append".to_owned(),
    ];
    words.extend(needs.memory_mb().map(|mb| format!("--mem={mb}M")));
    words.extend((needs.gpus > 0).then(|| format!("--gpus={}", needs.gpus)));
    words.extend(needs.minutes().map(|minutes| format!("--time={minutes}")));
    // The words of the site come last, so that they win.
    words.extend(site.options.iter().cloned());
    if !array.avoid.is_empty() {
        // Of two such options, the last one counts.
        let own = value_of(&site.options, "--exclude", "-x").into_iter();
        let names = own.chain(array.avoid.iter().map(String::as_str));
        words.push(format!("--exclude={}", Vec::from_iter(names).join(",")));
    }
    words
}

/// Where Slurm itself says what it does to a task. It is not in the folder of the batch, since Slurm fails a task on a
/// machine that does not see that folder yet. A pattern of file names cannot hold every path.
fn output(dir: &Path) -> String {
    match dir.to_str().filter(|dir| !dir.contains('\\')) {
        Some(dir) => format!("{}.%a.out", dir.replace('%', "%%")),
        None => "/dev/null".to_owned(),
    }
}

/// Stands for the state of a job that no machine can run. It is no word of Slurm's.
const REFUSED: &str = "refused";

/// Reads what `squeue` prints: id, number, state, machines and a reason, for each task.
fn queue(said: &str) -> TaskStates {
    let line = |line: &str| {
        let mut fields = line.trim().split('|');
        let (id, task) = (fields.next()?, fields.next()?.parse().ok()?);
        let (word, node) = (fields.next()?, fields.next());
        // Slurm may take a job that no machine can run, and fails it when its turn comes.
        let word = match fields.next() {
            Some("BadConstraints") if word == "FAILED" => REFUSED,
            _ => word,
        };
        Some(((id.to_owned(), task), state(word, node)))
    };
    said.lines().filter_map(line).collect()
}

/// Reads what `sacct` prints. Tasks that never started may be on one line, as `12_[3-5,8]`.
fn accounts(said: &str) -> TaskStates {
    let mut states = TaskStates::new();
    for line in said.lines() {
        let mut fields = line.trim().split('|');
        let (Some(job), Some(word)) = (fields.next(), fields.next()) else {
            continue;
        };
        let Some((id, tasks)) = job.split_once('_') else {
            continue;
        };
        let state = state(word, fields.next());
        for task in numbers(tasks) {
            states.insert((id.to_owned(), task), state.clone());
        }
    }
    states
}

/// Reads `7` or `[3-5,8%2]`.
fn numbers(text: &str) -> Vec<usize> {
    let text = text.trim_start_matches('[').split(['%', ']']).next();
    let ranges = text.unwrap_or_default().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse().ok()?..=last.parse().ok()?)
    });
    ranges.flatten().collect()
}

fn state(word: &str, node: Option<&str>) -> TaskState {
    // `CANCELLED by 1000`
    let cause = match word.split_whitespace().next().unwrap_or_default() {
        "PENDING" | "CONFIGURING" | "REQUEUED" | "REQUEUE_FED" | "REQUEUE_HOLD"
        | "RESV_DEL_HOLD" | "SPECIAL_EXIT" => return TaskState::Waiting,
        "RUNNING" | "COMPLETING" | "STAGE_OUT" | "SIGNALING" | "RESIZING" | "STOPPED"
        | "SUSPENDED" => return TaskState::Running,
        "COMPLETED" => Cause::Ok,
        "FAILED" => Cause::Failed,
        "OUT_OF_MEMORY" => Cause::OutOfMemory,
        "TIMEOUT" | "DEADLINE" => Cause::TimeLimit,
        "NODE_FAIL" | "BOOT_FAIL" | "LAUNCH_FAILED" => Cause::NodeFailure,
        "PREEMPTED" | "REVOKED" => Cause::Preempted,
        word if word.starts_with("CANCELLED") => Cause::Cancelled,
        REFUSED => Cause::Refused,
        _ => Cause::Unknown,
    };
    let node = node.filter(|node| !node.is_empty() && *node != "None assigned");
    TaskState::Ended(TaskEnd {
        cause,
        node: node.map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::cluster::scheduler::{Failure, TaskNeeds};
    use std::time::Duration;

    fn ended(cause: Cause, node: Option<&str>) -> TaskState {
        let node = node.map(str::to_owned);
        TaskState::Ended(TaskEnd { cause, node })
    }

    #[test]
    fn what_slurm_refuses_is_not_tried_again() {
        let failure = |words: &str| refused(SchedulerError::new(words)).failure;
        for words in [
            "sbatch: error: Memory specification can not be satisfied\n\
             sbatch: error: Batch job submission failed: Requested node configuration is not available",
            "sbatch: error: invalid partition specified: short\n\
             sbatch: error: Batch job submission failed: Invalid partition name specified",
            "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
            "sbatch: error: Invalid --time specification",
            "sbatch: unrecognized option '--nonsense'",
        ] {
            assert_eq!(failure(words), Failure::Refused, "{words}");
        }
        for words in [
            "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
            "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
            "sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received",
            "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, \
             user's size and/or time limits)",
            "`sbatch` did not answer within 120 s",
        ] {
            assert_eq!(failure(words), Failure::Other, "{words}");
        }
    }

    #[test]
    fn the_queue_is_read() {
        let said = "41|0|RUNNING|fn1\n41|1|PENDING|\n42|0|OUT_OF_MEMORY|fn2\n42|1|NODE_FAIL|fn3\n\
                    43|0|COMPLETING|fn1\n43|1|CANCELLED|\n44|N/A|RUNNING|fn1\n45|0|MADE_UP|fn1\n\
                    46|0|FAILED||BadConstraints\n46|1|FAILED|fn1|NonZeroExitCode\n";
        let states = queue(said);
        let of = |id: &str, task| states.get(&(id.to_owned(), task)).cloned();
        assert_eq!(of("41", 0), Some(TaskState::Running));
        assert_eq!(of("41", 1), Some(TaskState::Waiting));
        assert_eq!(of("42", 0), Some(ended(Cause::OutOfMemory, Some("fn2"))));
        assert_eq!(of("42", 1), Some(ended(Cause::NodeFailure, Some("fn3"))));
        assert_eq!(of("43", 0), Some(TaskState::Running));
        assert_eq!(of("43", 1), Some(ended(Cause::Cancelled, None)));
        assert_eq!(of("45", 0), Some(ended(Cause::Unknown, Some("fn1"))));
        assert_eq!(of("46", 0), Some(ended(Cause::Refused, None)));
        assert_eq!(of("46", 1), Some(ended(Cause::Failed, Some("fn1"))));
        assert_eq!(states.len(), 9, "a job that is no array is none of ours");
    }

    #[test]
    fn accounts_are_read() {
        let said = "41_0|COMPLETED|fn1\n41_1|CANCELLED by 1000|None assigned\n41_[3-5,8%2]|CANCELLED by 0|\n\
                    42_0|TIMEOUT|fn2\n42_1|PREEMPTED|fn2\n50|COMPLETED|fn1\n";
        let states = accounts(said);
        let of = |id: &str, task| states.get(&(id.to_owned(), task)).cloned();
        assert_eq!(of("41", 0), Some(ended(Cause::Ok, Some("fn1"))));
        for task in [1, 3, 4, 5, 8] {
            assert_eq!(
                of("41", task),
                Some(ended(Cause::Cancelled, None)),
                "{task}"
            );
        }
        assert_eq!(of("42", 0), Some(ended(Cause::TimeLimit, Some("fn2"))));
        assert_eq!(of("42", 1), Some(ended(Cause::Preempted, Some("fn2"))));
        assert_eq!(states.len(), 8);
    }

    #[test]
    fn a_kill_for_want_of_memory_is_told_by_what_slurm_writes() {
        let slurm = Slurm {
            site: SiteWords::default(),
        };
        let words = "slurmstepd: error: Exceeded job memory limit";
        for words in [words, "memory allocation of 32 bytes failed"] {
            assert_eq!(slurm.refined(Cause::Failed, words), Cause::OutOfMemory);
        }
        assert_eq!(slurm.refined(Cause::Failed, "Killed"), Cause::Failed);
        assert_eq!(slurm.refined(Cause::NodeFailure, words), Cause::NodeFailure);
        assert_eq!(output(Path::new("/a b/100%")), "/a b/100%%.%a.out");
        assert_eq!(output(Path::new("/a\\b")), "/dev/null");
    }

    #[test]
    fn resources_become_arguments() {
        let array = Submission {
            name: "flow-1",
            script: Path::new("/s"),
            dir: Path::new("/d"),
            tasks: 3,
            needs: TaskNeeds {
                cpus: 4,
                memory: 3 << 30,
                gpus: 1,
                time: Some(Duration::from_secs(90)),
            },
            avoid: &[],
        };
        let site = SiteWords {
            options: vec!["--partition=short".to_owned()],
        };
        let words = arguments(&array, &site);
        for wanted in [
            "--job-name=flow-1",
            "--array=0-2",
            "--cpus-per-task=4",
            "--mem=3072M",
            "--gpus=1",
            "--time=2",
        ] {
            assert!(
                words.iter().any(|word| word == wanted),
                "{wanted}: {words:?}"
            );
        }
        assert_eq!(words.last().map(String::as_str), Some("--partition=short"));
        let site = SiteWords {
            options: ["-x", "n9", "--exclusive"].map(str::to_owned).into(),
        };
        let avoid = ["n1".to_owned(), "n2".to_owned()];
        let picky = Submission {
            avoid: &avoid,
            ..array
        };
        let last = |site: &SiteWords| arguments(&picky, site).pop().unwrap();
        assert_eq!(last(&site), "--exclude=n9,n1,n2");
        assert_eq!(last(&SiteWords::default()), "--exclude=n1,n2");
    }

    #[test]
    fn options_of_a_site_are_found_however_they_are_written() {
        let value = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            value_of(&words, "--partition", "-p").map(str::to_owned)
        };
        for words in [
            vec!["--partition=short"],
            vec!["-pshort"],
            vec!["--qos=a", "-p", "short", "--exclusive"],
            vec!["-p", "long", "--partition", "short"],
        ] {
            assert_eq!(value(&words).as_deref(), Some("short"), "{words:?}");
        }
        assert_eq!(value(&["--parsable", "--power=x", "--partitions=b"]), None);
    }

    #[test]
    fn machines_that_take_no_jobs_are_none() {
        let said =
            "n1|idle\nn2|mix\nn3|alloc\nn4|down\nn5|drain\nn6|idle*\nn7|drng\nn8|idle~\nn9|maint\n";
        let names = ["n1", "n2", "n3", "n8"].map(str::to_owned);
        assert_eq!(usable(said), BTreeSet::from(names));
    }
}
