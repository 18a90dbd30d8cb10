//! A batch in the store: what a scheduler was given. It is written before it is submitted, so that a run that comes
//! after the death of this one finds what is under way.
//!
//! ```text
//! jobs/<batch>/batch        scheduler, resources, keys by task, what they have been through: one JSON object
//! jobs/<batch>/scratch      the folder for unfinished work, as bytes
//! jobs/<batch>/run.sh       what a task runs, with its number in the environment or as first argument
//! jobs/<batch>/id           the id that the scheduler gave, once it is known
//! jobs/<batch>/<task>.jsonl what a task says
//! jobs/<batch>/<task>.out   whatever else it prints
//! jobs/<batch>/<key>.failed is there if a run has told the user that the action failed
//! jobs/<batch>.<task>.out   what the scheduler says of it, if the scheduler writes such a file
//! ```

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flow_cache::{ActionKey, JobDir};
use serde_json::{Value as Json, json};

use super::command::ByTemplates;
use super::hq::Hq;
use super::options::{ClusterOptions, SchedulerChoice, SiteWords, Template, Templates};
use super::retries::Tries;
use super::scheduler::{Scheduler, TaskNeeds};
use super::slurm::Slurm;
use super::template::quoted;
use crate::kind::error::StageError;

const FORMAT: u64 = 2;

/// What a batch is, as its file says it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Batch {
    /// Enough of it to ask and to cancel.
    pub(crate) scheduler: SchedulerChoice,
    /// Name of the pipeline, for people.
    pub(crate) pipeline: String,
    /// Names of the stages, for people.
    pub(crate) stages: Vec<String>,
    pub(crate) needs: TaskNeeds,
    /// The time limit of each action, if they have one.
    pub(crate) each: Option<Duration>,
    /// How long a task waits for what it does not see yet.
    pub(crate) visible_within: Duration,
    /// When it was made, in seconds since 1970 (UTC), for people.
    pub(crate) made_unix: u64,
    /// The actions of each task, in the order in which it runs them.
    pub(crate) tasks: Vec<Vec<ActionKey>>,
    /// What those actions have been through that were submitted before.
    pub(super) past: BTreeMap<ActionKey, Past>,
}

/// What an action has been through. It goes from one run to the next with the batch that the action is in.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Past {
    /// How often it was submitted.
    pub(super) submitted: u32,
    pub(super) tries: Tries,
    /// The time limit of the task that it was in last.
    pub(super) limit: Option<Duration>,
}

impl Past {
    fn to_json(self) -> Json {
        json!({
            "submitted": self.submitted,
            "tries": self.tries.to_json(),
            "limit_s": self.limit.map(|limit| limit.as_secs_f64()),
        })
    }

    fn of_json(json: &Json) -> Option<Self> {
        Some(Self {
            submitted: u32::try_from(json.get("submitted")?.as_u64()?).ok()?,
            tries: Tries::of_json(json.get("tries")?),
            limit: seconds(json, "limit_s"),
        })
    }
}

impl Batch {
    /// Writes all files of a batch but its id.
    pub(crate) fn write(
        &self,
        dir: &JobDir,
        options: &ClusterOptions,
        scratch: &Path,
    ) -> Result<(), StageError> {
        dir.write("scratch", scratch.as_os_str().as_bytes())?;
        dir.write(SCRIPT, &script(dir, options))?;
        Ok(dir.write("batch", self.to_json().to_string().as_bytes())?)
    }

    /// Reads the file of a batch. It is none if the file is not there, or is of another version of flow.
    pub(crate) fn read(dir: &JobDir) -> Result<Option<Self>, StageError> {
        let bytes = dir.read("batch", 0)?;
        let json = serde_json::from_slice(&bytes).ok();
        Ok(json.and_then(|json: Json| Self::of_json(&json)))
    }

    fn to_json(&self) -> Json {
        let tasks = self.tasks.iter().map(|keys| {
            let keys = keys.iter().map(ActionKey::to_string);
            Json::from_iter(keys)
        });
        let past = self.past.iter();
        let past = past.map(|(key, past)| (key.to_string(), past.to_json()));
        json!({
            "format": FORMAT,
            "scheduler": of_choice(&self.scheduler),
            "pipeline": self.pipeline,
            "stages": self.stages,
            "cpus": self.needs.cpus,
            "memory": self.needs.memory,
            "gpus": self.needs.gpus,
            "seconds": self.needs.time.map(|time| time.as_secs()),
            "each_s": self.each.map(|each| each.as_secs_f64()),
            "visible_within_s": self.visible_within.as_secs_f64(),
            "made_unix": self.made_unix,
            "tasks": Json::from_iter(tasks),
            "past": Json::from_iter(past),
        })
    }

    fn of_json(json: &Json) -> Option<Self> {
        if json.get("format")?.as_u64()? != FORMAT {
            return None;
        }
        let number = |name: &str| json.get(name)?.as_u64();
        let tasks = json.get("tasks")?.as_array()?.iter().map(|keys| {
            let keys = keys.as_array()?.iter();
            keys.map(|key| key.as_str()?.parse().ok())
                .collect::<Option<Vec<_>>>()
        });
        let past = json.get("past")?.as_object()?.iter();
        let past = past.map(|(key, past)| Some((key.parse().ok()?, Past::of_json(past)?)));
        Some(Self {
            scheduler: to_choice(json.get("scheduler")?)?,
            pipeline: json.get("pipeline")?.as_str()?.to_owned(),
            stages: texts(json.get("stages")?)?,
            needs: TaskNeeds {
                cpus: usize::try_from(number("cpus")?).ok()?,
                memory: number("memory")?,
                gpus: usize::try_from(number("gpus")?).ok()?,
                time: number("seconds").map(Duration::from_secs),
            },
            each: seconds(json, "each_s"),
            visible_within: seconds(json, "visible_within_s")?,
            made_unix: number("made_unix")?,
            tasks: tasks.collect::<Option<_>>()?,
            past: past.collect::<Option<_>>()?,
        })
    }
}

fn seconds(json: &Json, name: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(json.get(name)?.as_f64()?).ok()
}

/// The name under which a scheduler knows a batch.
pub(crate) fn name_of(dir: &JobDir) -> String {
    format!("flow-{}", dir.name())
}

/// The script of a batch.
pub(crate) const SCRIPT: &str = "run.sh";

/// The scheduler's id of a batch, if it is known.
pub(crate) fn id_of(dir: &JobDir) -> Result<Option<String>, StageError> {
    let id = String::from_utf8_lossy(&dir.read("id", 0)?)
        .trim()
        .to_owned();
    Ok((!id.is_empty()).then_some(id))
}

/// Notes the scheduler's id of a batch.
pub(crate) fn note_id(dir: &JobDir, id: &str) -> Result<(), StageError> {
    Ok(dir.write("id", id.as_bytes())?)
}

/// Notes that a user was told that an action failed. The tries of the action are over with that.
pub(super) fn note_failure(dir: &JobDir, key: &ActionKey) {
    // Without the note, the next run tells it once more.
    let _ = dir.write(&failed(key), b"\n");
}

/// Returns true if a user was told that an action failed.
pub(super) fn is_told(dir: &JobDir, key: &ActionKey) -> bool {
    dir.read(&failed(key), 0).is_ok_and(|note| !note.is_empty())
}

fn failed(key: &ActionKey) -> String {
    format!("{key}.failed")
}

/// The folder for unfinished work of the run that made the batch.
pub(crate) fn scratch_of(dir: &JobDir) -> Result<PathBuf, StageError> {
    Ok(OsString::from_vec(dir.read("scratch", 0)?).into())
}

/// The scheduler that a batch was given to.
pub(crate) fn scheduler_of(choice: &SchedulerChoice) -> Box<dyn Scheduler> {
    match choice {
        SchedulerChoice::Slurm(site) => Box::new(Slurm { site: site.clone() }),
        SchedulerChoice::Hq(site) => Box::new(Hq { site: site.clone() }),
        SchedulerChoice::Command(templates) => Box::new(ByTemplates {
            templates: templates.clone(),
        }),
    }
}

/// The script that every task of a batch runs.
fn script(dir: &JobDir, options: &ClusterOptions) -> Vec<u8> {
    let index = match &options.scheduler {
        SchedulerChoice::Slurm(_) => "SLURM_ARRAY_TASK_ID",
        SchedulerChoice::Hq(_) => "HQ_TASK_ID",
        SchedulerChoice::Command(templates) => &templates.index,
    };
    let folder = quoted(dir.path().as_os_str());
    let mut script = format!("#!/bin/sh\ntask=${{1:-${index}}}\n").into_bytes();
    // The machine of the task may see a new folder late.
    let seconds = options.visible_within.as_secs();
    script.extend(b"waited=0\nuntil [ -d ");
    script.extend(&folder);
    let wait =
        format!(" ] || [ $waited -ge {seconds} ]; do sleep 1; waited=$((waited + 1)); done\n");
    script.extend(wait.into_bytes());
    script.extend([b"exec >>".as_slice(), &folder, b"/\"$task\".out 2>&1\n"].concat());
    for line in &options.before {
        script.extend([line.as_bytes(), b"\n"].concat());
    }
    script.extend(b"exec");
    for word in &options.command {
        script.extend([b" ".as_slice(), &quoted(word)].concat());
    }
    script.extend([b" --batch ".as_slice(), &folder, b" \"$task\"\n"].concat());
    script
}

fn of_choice(choice: &SchedulerChoice) -> Json {
    let mut json = json!({"use": choice.name()});
    if let SchedulerChoice::Command(templates) = choice {
        json["status"] = json!(templates.status);
        json["cancel"] = json!(templates.cancel);
        json["find"] = json!(templates.find);
        json["states"] = json!(templates.states);
    }
    json
}

fn to_choice(json: &Json) -> Option<SchedulerChoice> {
    let template = |name: &str| -> Option<Template> {
        json.get(name)?.as_array()?.iter().map(texts).collect()
    };
    Some(match json.get("use")?.as_str()? {
        "slurm" => SchedulerChoice::Slurm(SiteWords::default()),
        "hq" => SchedulerChoice::Hq(SiteWords::default()),
        "command" => {
            let states = json.get("states")?.as_object()?.iter();
            let state =
                |(word, means): (&String, &Json)| Some((word.clone(), means.as_str()?.to_owned()));
            SchedulerChoice::Command(Templates {
                status: template("status")?,
                cancel: template("cancel")?,
                find: template("find")?,
                states: states.map(state).collect::<Option<_>>()?,
                ..Templates::default()
            })
        }
        _ => return None,
    })
}

fn texts(json: &Json) -> Option<Vec<String>> {
    let items = json.as_array()?.iter();
    items.map(|item| item.as_str().map(str::to_owned)).collect()
}

/// The name of the file in which a task says what it does.
pub(crate) fn said_by(task: usize) -> String {
    format!("{task}.jsonl")
}

/// The last lines of whatever else a task has printed.
pub(crate) fn last_words(dir: &JobDir, task: usize) -> String {
    let file = format!("{task}.out");
    let mut printed = dir.read(&file, 0).unwrap_or_default();
    printed.extend(dir.read_beside(&file).unwrap_or_default());
    let text = String::from_utf8_lossy(&printed);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// A program with its first arguments that runs the tasks of batches.
pub fn task_command(program: &OsStr, container: &[String]) -> Vec<OsString> {
    let container = container.iter().map(OsString::from);
    container
        .chain([program.to_owned(), "stage-exec".into()])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flow_cache::Digest;
    use std::process::Command;

    fn batch(scheduler: SchedulerChoice) -> Batch {
        let past = Past {
            submitted: 2,
            tries: Tries::of_json(&json!({"out_of_memory": 1, "failed": 3})),
            limit: Some(Duration::new(7, 123_456_789)),
        };
        Batch {
            scheduler,
            pipeline: "p".to_owned(),
            stages: vec!["a".to_owned()],
            needs: TaskNeeds {
                cpus: 2,
                memory: 7,
                gpus: 0,
                time: Some(Duration::from_secs(60)),
            },
            each: Some(Duration::from_millis(29_999)),
            visible_within: Duration::from_millis(1500),
            made_unix: 5,
            tasks: vec![vec![ActionKey(Digest::of(b"1"))], vec![]],
            past: [(ActionKey(Digest::of(b"1")), past)].into(),
        }
    }

    #[test]
    fn a_batch_is_read_as_it_was_written() {
        let templates = Templates {
            status: vec![vec!["qstat".to_owned(), "{ids}".to_owned()]],
            cancel: vec![vec!["qdel".to_owned()]],
            states: [("Q".to_owned(), "waiting".to_owned())].into(),
            ..Templates::default()
        };
        for scheduler in [
            SchedulerChoice::Slurm(SiteWords::default()),
            SchedulerChoice::Hq(SiteWords::default()),
            SchedulerChoice::Command(templates),
        ] {
            let batch = batch(scheduler);
            assert_eq!(Batch::of_json(&batch.to_json()), Some(batch));
        }
        assert_eq!(Batch::of_json(&json!({"format": 1})), None);
    }

    #[test]
    fn the_script_runs_a_task_whatever_its_path() {
        let temp = flow_testkit::files::folder();
        let path = temp.path().join("it's a \"store\" $x\n*");
        std::fs::create_dir(&path).unwrap();
        let dir = JobDir::at(&path);
        let choice = SchedulerChoice::Command(Templates {
            index: "MY_INDEX".to_owned(),
            ..Templates::default()
        });
        let words = ["printf", "<%s>", "two words"].map(OsString::from);
        let mut options = ClusterOptions::new(choice, words.into());
        options.before = vec!["echo before".to_owned()];
        batch(options.scheduler.clone())
            .write(&dir, &options, Path::new("/scratch"))
            .unwrap();
        let script = path.join(SCRIPT);
        let by_name = Command::new("sh")
            .arg(&script)
            .env("MY_INDEX", "3")
            .status()
            .unwrap();
        let by_argument = Command::new("sh").arg(&script).arg("4").status().unwrap();
        assert!(by_name.success() && by_argument.success());
        for task in ["3", "4"] {
            let said = std::fs::read_to_string(path.join(format!("{task}.out"))).unwrap();
            let wanted = format!("before\n<two words><--batch><{}><{task}>", path.display());
            assert_eq!(said, wanted);
        }
        assert_eq!(scratch_of(&dir).unwrap(), Path::new("/scratch"));
        assert_eq!(id_of(&dir).unwrap(), None);
        note_id(&dir, "12").unwrap();
        assert_eq!(id_of(&dir).unwrap().as_deref(), Some("12"));
    }
}
