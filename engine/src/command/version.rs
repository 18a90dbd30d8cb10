//! `version`: what a program says of itself, which is part of the recipe.
//!
//! A run asks in the sandbox, at most once for the same question. The answer is remembered in the project
//! for commands that only look, such as `flow plan`. Whether it is still true is not known before the next
//! run asks, since libraries may have changed that no digest covers.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use flow_cache::{ArtifactWriter, Digest, Lasting, NewFile, NotAdopted, PLAIN, Staged, Value};

use super::params::CommandParams;
use super::process::{End, NotRun};
use super::sources;
use super::{CommandKind, claims, items, template};
use crate::kind::action::HOME;
use crate::kind::action::{Action, Host, Usage};
use crate::kind::error::{Fault, StageError};
use crate::kind::lineage::Lineage;
use crate::kind::progress::Progress;
use crate::kind::surroundings::{Question, Start};

/// The time that a program may take to answer.
const LIMIT: Duration = Duration::from_secs(60);
/// The most bytes that an answer may have.
const MOST: usize = 64 << 10;
/// The number of answers that are remembered.
const ANSWERS: usize = 256;
/// The first line of the file of answers.
const FORMAT: &[u8] = b"flow-versions 1\n";

/// Answers of this process, by the project's root and the digest of the question.
pub type Answers = Mutex<HashMap<(PathBuf, Digest), Result<String, StageError>>>;

/// What is known of an answer.
pub enum VersionAnswer {
    /// The program said this, in this process.
    Now(String),
    /// It said this to an earlier run.
    Before(String),
    /// The program has not been asked yet.
    Nothing,
}

/// Returns what a program says of its version, or none for a stage without `version`.
pub fn said(
    kind: &CommandKind,
    question: &Question<'_>,
) -> Result<Option<VersionAnswer>, StageError> {
    let run = CommandParams::read(question.params).version;
    let Some(name) = run.first() else {
        return Ok(None);
    };
    let shown = run.join(" ");
    let program = sources::program(name, question.root);
    let program = program
        .ok_or_else(|| wrong(format!("failed to run `{shown}`: there is no such program")))?;
    let env = environment(question);
    let digest = digest_of(question, &run, &program, &env)?;
    // No other thread asks in the meantime.
    let mut known = kind.versions.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (question.root.to_owned(), digest);
    if let Some(answer) = known.get(&key) {
        return answer.clone().map(|text| Some(VersionAnswer::Now(text)));
    }
    let mut memory = Memory::open(&question.memory);
    let Some(start) = question.start else {
        let text = memory.get(&digest);
        return Ok(Some(
            text.map_or(VersionAnswer::Nothing, VersionAnswer::Before),
        ));
    };
    let call = VersionCall {
        shown: &shown,
        program: &program,
        arguments: &run[1..],
        env: &env,
    };
    let answer = ask(kind, question, start, &call);
    if !matches!(&answer, Err(error) if error.fault == Fault::Interrupted) {
        known.insert(key, answer.clone());
    }
    let text = answer?;
    // If the answer cannot be remembered, `flow plan` only says less.
    let _ = memory.put(digest, &text);
    Ok(Some(VersionAnswer::Now(text)))
}

/// All that the answer may depend on, as far as flow knows.
fn digest_of(
    question: &Question<'_>,
    run: &[&str],
    program: &Path,
    env: &[(&str, String)],
) -> Result<Digest, StageError> {
    let (program, _) = question.stat.digest(program)?;
    let texts = |texts: Vec<&str>| Value::List(texts.into_iter().map(Value::from).collect());
    let env = env.iter().map(|(name, text)| texts(vec![name, text]));
    let files = question.files.iter().zip(question.digests);
    let files = files.map(|(file, digest)| {
        Value::List(vec![
            Value::from(file.role.as_str()),
            Value::Digest(*digest),
        ])
    });
    let all = [
        texts(run.to_vec()),
        Value::Digest(program),
        Value::List(env.collect()),
        Value::List(files.collect()),
    ];
    Ok(Digest::of(&Value::List(all.into()).encode()))
}

/// The declared variables that are the same for all actions.
fn environment<'a>(question: &'a Question<'_>) -> Vec<(&'a str, String)> {
    let params = CommandParams::read(question.params);
    let given = |name: &str| items::lookup(params.params, name);
    let constant = params.env.into_iter().filter(|(_, text)| {
        let mut names = template::names(text);
        names.all(|name| given(name).is_some())
    });
    constant
        .map(|(name, text)| (name, template::fill(text, given)))
        .collect()
}

/// A program that is asked for its version.
struct VersionCall<'a> {
    /// The command line, for people.
    shown: &'a str,
    program: &'a Path,
    arguments: &'a [&'a str],
    env: &'a [(&'a str, String)],
}

/// Asks.
fn ask(
    kind: &CommandKind,
    question: &Question<'_>,
    start: &Start<'_>,
    call: &VersionCall<'_>,
) -> Result<String, StageError> {
    let host = Asked(start);
    let sources = question.files.iter().cloned();
    let sources: Vec<_> = sources.zip(question.digests.iter().copied()).collect();
    let action = Action {
        step: 0,
        params: question.params,
        fold: None,
        shard: None,
        folds: None,
        lineage: &Lineage::default(),
        seed: 0,
        threads: 1,
        gpus: &[],
        scratch: &start.scratch,
        root: question.root,
        artifacts: start.artifacts,
        inputs: &BTreeMap::new(),
        sources: &sources,
        stat: question.stat,
        host: &host,
        unfinished: &|| Err(nothing_to_make()),
        outputs: Vec::new(),
        used: Usage::default(),
        log: Vec::new(),
    };
    fs::create_dir_all(&start.scratch)?;
    let said = hear(kind, &action, call);
    // What cannot be removed now is removed with the scratch folders of the run.
    let _ = fs::remove_dir_all(&start.scratch);
    said
}

/// What a program says in answer.
fn hear(
    kind: &CommandKind,
    action: &Action<'_>,
    call: &VersionCall<'_>,
) -> Result<String, StageError> {
    let home = action.scratch.join(HOME);
    kind.homes.lay_out(action, &home)?;
    let shown = call.shown;
    let env = call.env.iter().map(|(name, text)| (*name, text.into()));
    let arguments = call.arguments.iter().map(|text| text.into());
    let path = call.program.to_owned();
    let program = super::surround(action, &home, path, arguments.collect(), env.collect())?;
    let stop = |said| said > MOST || action.checkpoint().is_err();
    let ran = kind.guards.run(action, &program, Some(LIMIT), stop);
    // Its sandbox is open to a folder that is about to go.
    kind.guards.forget(action.scratch);
    let ran = ran.map_err(|error| match error {
        NotRun::Refused(error) => wrong(format!("failed to run `{shown}`")).because(error),
        error => error.of(shown),
    })?;
    if ran.log.len() > MOST {
        let message = format!("`{shown}` says more than {} KiB", MOST >> 10);
        return Err(wrong(message).help("`version` is for a line or two"));
    }
    let text = String::from_utf8_lossy(&ran.log).into_owned();
    match ran.end {
        End::Stopped => Err(StageError::interrupted()),
        End::TimedOut => {
            let limit = claims::describe(LIMIT);
            let message = format!("`{shown}` did not end within {limit}");
            Err(wrong(message).help("`version` is for a program that says who it is, and ends"))
        }
        End::Exited(status) if status.success() => Ok(text),
        End::Exited(status) => {
            let failed = wrong(format!("`{shown}` failed: {status}"));
            Err(super::trouble::with_words(failed, &text))
        }
    }
}

fn wrong(message: String) -> StageError {
    StageError::failed("flow::command::version", message)
}

/// The host of a version call, which makes no artifacts.
struct Asked<'a>(&'a Start<'a>);

impl Host for Asked<'_> {
    fn create(&self) -> Result<ArtifactWriter, StageError> {
        Err(nothing_to_make())
    }

    fn adopt(
        &self,
        _folder: &Path,
        _path: &Path,
        _go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Staged, NotAdopted> {
        Err(NotAdopted::Unfit("no output of anything".to_owned()))
    }

    fn cancelled(&self) -> bool {
        self.0.cancel.load(Ordering::Relaxed)
    }

    fn progress(&self, _progress: Progress) {}
}

fn nothing_to_make() -> StageError {
    let message = "a question after a version makes an artifact";
    StageError::new(Fault::Bug, "flow::bug::output", message)
}

/// Answers to questions of earlier runs, by the digest of the question. The newest are last.
struct Memory {
    path: PathBuf,
    answers: Vec<(Digest, String)>,
}

impl Memory {
    /// A file that is missing or damaged holds no answers.
    fn open(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap_or_default();
        Self {
            path: path.to_owned(),
            answers: decode(&bytes).unwrap_or_default(),
        }
    }

    fn get(&self, question: &Digest) -> Option<String> {
        let answer = self.answers.iter().find(|(known, _)| known == question);
        answer.map(|(_, text)| text.clone())
    }

    /// Writes an answer down, unless it is there.
    fn put(&mut self, question: Digest, text: &str) -> io::Result<()> {
        if self.get(&question).as_deref() == Some(text) {
            return Ok(());
        }
        self.answers.retain(|(known, _)| *known != question);
        self.answers.push((question, text.to_owned()));
        let old = self.answers.len().saturating_sub(ANSWERS);
        let entries = self.answers.drain(..).skip(old);
        let entries = entries
            .map(|(digest, text)| Value::List(vec![Value::Digest(digest), Value::Str(text)]));
        let mut bytes = FORMAT.to_vec();
        bytes.extend_from_slice(&Value::List(entries.collect()).encode());
        let mut new = NewFile::create(PLAIN, &self.path, 0o666)?;
        new.write_all(&bytes)?;
        Ok(new.publish(Lasting::Soon)?)
    }
}

fn decode(bytes: &[u8]) -> Option<Vec<(Digest, String)>> {
    let Value::List(entries) = Value::decode(bytes.strip_prefix(FORMAT)?).ok()? else {
        return None;
    };
    let entry = |entry: Value| match entry {
        Value::List(pair) => match <[Value; 2]>::try_from(pair).ok()? {
            [Value::Digest(digest), Value::Str(text)] => Some((digest, text)),
            _ => None,
        },
        _ => None,
    };
    entries.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_remembered_and_the_oldest_forgotten() {
        let temp = flow_testkit::files::folder();
        let path = temp.path().join("versions");
        let question = |n: usize| Digest::of(&n.to_le_bytes());
        for n in 0..=ANSWERS {
            Memory::open(&path).put(question(n), "1.0\n").unwrap();
        }
        Memory::open(&path).put(question(1), "1.1\n").unwrap();
        let memory = Memory::open(&path);
        assert_eq!(memory.get(&question(0)), None);
        assert_eq!(memory.get(&question(1)).as_deref(), Some("1.1\n"));
        assert_eq!(memory.get(&question(2)).as_deref(), Some("1.0\n"));
        fs::write(&path, "flow-versions 1\nx").unwrap();
        assert_eq!(Memory::open(&path).get(&question(1)), None);
    }
}
