//! Performs an action, from the check of what it reads to the record of what it made. The code is the same
//! for threads of this process and for a child.

use crate::run::scratch::Scratch;
use std::any::Any;
use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use flow_cache::{
    Digest, Lasting, NewFile, Output, PLAIN, Provenance, Record, Staged, StatCache, Store, Value,
};

use crate::base::meter::{self, METER};
use crate::base::trace::Track;
use crate::kind::action::{Action, Host, Usage};
use crate::kind::error::{Fault, StageError};
use crate::kind::stage::Loops;
use crate::plan::keys::digest_source;
use crate::run::pool::Pool;
use crate::run::unfinished::Unfinished;
use crate::run::work::Work;

/// Where actions are performed.
pub(crate) struct Workplace<'a> {
    pub(crate) store: &'a Store,
    /// Digests of source files.
    pub(crate) stat: &'a StatCache,
    /// Threads for the loops inside stages.
    pub(crate) pool: &'a Pool,
    pub(crate) host: &'a dyn Host,
    pub(crate) track: Track<'a>,
    /// The folder for what is left when the action is over.
    pub(crate) scratch: &'a Scratch,
}

/// How an action that did not fail ended.
pub(crate) enum Performed {
    /// These outputs are to be committed.
    Made(Box<Record>, Vec<Staged>),
    /// These source files changed while it ran.
    Tainted(Vec<PathBuf>),
    /// These artifacts that it read are gone, or corrupt (true) and set aside.
    Lost(Vec<(Digest, bool)>),
}

/// Checks the bytes that an action reads, and fetches what a remote has of them. Returns those that are gone,
/// or that were corrupt (true) and are now set aside.
pub(crate) fn verify(
    store: &Store,
    needs: &[Digest],
    track: Track<'_>,
) -> Result<Vec<(Digest, bool)>, StageError> {
    let mut span = track.span("verify", || "check what it reads".to_owned());
    span.arg("artifacts", || needs.len());
    Ok(store.ensure(needs.iter().copied())?)
}

/// Returns whether a record has all outputs that its action writes, and all their bytes are there. What a
/// remote has of them is fetched.
pub(crate) fn is_whole(
    store: &Store,
    record: &Record,
    writes: &[String],
) -> Result<bool, StageError> {
    if !record.has(writes) {
        return Ok(false);
    }
    let outputs = record.outputs.iter().map(|output| output.digest);
    Ok(store.ensure(outputs)?.is_empty())
}

/// Runs an action whose inputs are verified.
pub(crate) fn perform(work: &Work<'_>, place: &Workplace<'_>) -> Result<Performed, StageError> {
    let done = attempt(work, place);
    // What an attempt leaves is for the next one, unless that might only fail again, or what was read is not
    // what it should be. After a success, the commit removes it.
    let is_kept = match &done {
        Ok(Performed::Made(..)) => true,
        Ok(Performed::Tainted(_) | Performed::Lost(_)) => false,
        Err(error) => matches!(error.fault, Fault::Interrupted | Fault::Environment),
    };
    if !is_kept {
        place.store.remove_unfinished(&work.prepared.key);
    }
    done
}

fn attempt(work: &Work<'_>, place: &Workplace<'_>) -> Result<Performed, StageError> {
    let _entered = place.scratch.enter()?;
    let (read_bytes, readers) = look_at_inputs(work, place.store);
    let ran = run(work, place);
    if let Err(error) = &ran.result
        && error.fault == Fault::Interrupted
    {
        return Err(error.clone());
    }
    let bug = matches!(&ran.result, Err(error) if error.fault == Fault::Bug);
    let tainted = if bug {
        Vec::new()
    } else {
        changed(work, place)?
    };
    if !tainted.is_empty() {
        // This holds for a failure too, which may come from a file that was half written.
        return Ok(Performed::Tainted(tainted));
    }
    // What was read must be what was verified, or the result does not count. If nothing touched the files,
    // their times show it.
    let lost = if bug {
        Vec::new()
    } else {
        verify(place.store, &work.prepared.needs, Track::default())?
    };
    if !lost.is_empty() {
        return Ok(Performed::Lost(lost));
    }
    if let Err(error) = ran.result {
        return Err(with_log(error, &ran.log, work, readers));
    }
    let (record, staged) = record(work, place.store, ran, read_bytes)?;
    if readers != ALL {
        staged.iter().try_for_each(|file| file.narrow(readers))?;
    }
    Ok(Performed::Made(Box::new(record), staged))
}

/// Makes the record of an action that ran, with the files that it names.
fn record(
    work: &Work<'_>,
    store: &Store,
    ran: StageRan,
    read_bytes: u64,
) -> Result<(Record, Vec<Staged>), StageError> {
    let mut outputs = Vec::with_capacity(work.writes.len());
    for name in &*work.writes {
        let Some((_, file, attrs)) = ran.outputs.iter().find(|(n, ..)| n == name) else {
            return Err(StageError::new(
                Fault::Bug,
                "flow::bug::output",
                format!("stage `{}` did not write `{name}`", work.stage),
            ));
        };
        outputs.push(described(name, file, attrs.clone()));
    }
    let mut staged: Vec<Staged> = ran.outputs.into_iter().map(|(_, file, _)| file).collect();
    let mut log = None;
    if !ran.log.is_empty() {
        let mut writer = store.create()?;
        writer.write_all(&ran.log)?;
        let file = writer.finish()?;
        log = Some(Box::new(described("log", &file, Value::Null)));
        staged.push(file);
    }
    let peak_rss = match ran.used.peak_rss {
        0 => meter::peak_rss(),
        of_child => of_child,
    };
    let record = Record {
        key: work.prepared.key,
        provenance: Some(Box::new(Provenance {
            recipe: work.prepared.recipe.clone(),
            stage: work.stage.clone().into_owned(),
            action: work.action.clone(),
            pipeline: work.pipeline.clone().into_owned(),
        })),
        outputs,
        wall_s: ran.wall_s,
        cpu_s: ran.cpu_s + ran.used.cpu_s,
        peak_rss,
        read_bytes,
        log,
        finished_unix: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_secs()),
    };
    Ok((record, staged))
}

fn described(name: &str, file: &Staged, attrs: Value) -> Output {
    Output {
        name: name.to_owned(),
        digest: file.digest,
        size: file.size,
        attrs,
    }
}

struct StageRan {
    result: Result<(), StageError>,
    outputs: Vec<(String, Staged, Value)>,
    used: Usage,
    log: Vec<u8>,
    wall_s: f64,
    cpu_s: f64,
}

/// Runs the stage's own code.
fn run(work: &Work<'_>, place: &Workplace<'_>) -> StageRan {
    let unfinished = Unfinished {
        store: place.store,
        prepared: &work.prepared,
        scratch: place.scratch.path(),
    };
    let mut action = Action {
        step: work.step,
        params: &work.params,
        fold: work.fold.as_deref(),
        shard: work.shard.as_ref(),
        folds: work.prepared.folds.as_ref(),
        lineage: &work.lineage,
        seed: work.prepared.seed,
        threads: work.threads,
        gpus: &work.gpus,
        scratch: place.scratch.path(),
        root: &work.root,
        artifacts: place.store.artifacts_dir(),
        inputs: &work.prepared.inputs,
        sources: &work.prepared.sources,
        stat: place.stat,
        host: place.host,
        unfinished: &|| unfinished.folder(),
        outputs: Vec::new(),
        used: Usage::default(),
        log: Vec::new(),
    };
    let span = place.track.span("run", || work.kind.spec().name.to_owned());
    let started = Instant::now();
    let metered = METER.start();
    let mut call = || catch_unwind(AssertUnwindSafe(|| work.kind.run(&mut action)));
    let ran = match work.kind.loops(&work.params) {
        Loops::None => Ok(call()),
        Loops::Shared => place.pool.install(call),
        Loops::Own => Pool::new(work.threads).install(call),
    };
    let cpu_s = metered.stop();
    let wall_s = started.elapsed().as_secs_f64();
    drop(span);
    let panicked = |panic: Box<dyn Any + Send>| {
        let text = panic_text(&*panic);
        let message = format!("stage `{}` panicked: {text}", work.stage);
        Err(StageError::new(Fault::Bug, "flow::bug::panic", message)
            .help("this is a bug in flow: please report it with the pipeline that shows it"))
    };
    let result = ran.and_then(|ran| ran.unwrap_or_else(panicked));
    StageRan {
        result,
        outputs: std::mem::take(&mut action.outputs),
        used: action.used,
        log: std::mem::take(&mut action.log),
        wall_s,
        cpu_s,
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

/// Returns the source files that have changed since the action was keyed.
fn changed(work: &Work<'_>, place: &Workplace<'_>) -> Result<Vec<PathBuf>, StageError> {
    let mut tainted = Vec::new();
    if work.prepared.sources.is_empty() {
        return Ok(tainted);
    }
    let mut span = place.track.span("hash", || "check its sources".to_owned());
    span.arg("files", || work.prepared.sources.len());
    for (file, before) in &work.prepared.sources {
        if digest_source(place.stat, &file.path)? != *before {
            tainted.push(file.path.clone());
        }
    }
    Ok(tainted)
}

/// The permission of everybody to read.
const ALL: u32 = 0o444;

/// Returns the bytes of all that an action reads, and the permission to read all of it, since nobody else
/// may read what is made from it. What cannot be asked does not count.
fn look_at_inputs(work: &Work<'_>, store: &Store) -> (u64, u32) {
    let (mut bytes, mut readers) = (0, ALL);
    let mut look = |path: &Path| {
        if let Ok(meta) = std::fs::metadata(path) {
            bytes += meta.len();
            readers &= meta.mode();
        }
    };
    for digest in BTreeSet::from_iter(&work.prepared.needs) {
        look(&store.path(digest));
    }
    work.prepared
        .sources
        .iter()
        .for_each(|(file, _)| look(&file.path));
    (bytes, readers)
}

/// Keeps the log of a failed action, and says where.
fn with_log(mut error: StageError, log: &[u8], work: &Work<'_>, readers: u32) -> StageError {
    if log.is_empty() {
        return error;
    }
    let to = log_path(work);
    let kept = std::fs::create_dir_all(&work.logs).and_then(|()| {
        // A program may print what it read.
        let mut file = NewFile::create_own(PLAIN, &to, 0o666 & (0o600 | readers))?;
        file.write_all(log)?;
        Ok(file.publish(Lasting::Soon)?)
    });
    // The failure of the action is what matters, not that of its log.
    error.log = kept.ok().map(|()| to);
    error
}

/// The file that keeps the log of an action that fails.
pub(super) fn log_path(work: &Work<'_>) -> PathBuf {
    work.logs.join(log_name(&work.stage, &work.action))
}

/// Makes a plain file name, whatever is in a label.
fn log_name(stage: &str, action: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "._-".contains(c);
    let name = format!("{stage}-{action}");
    let name: String = name
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .take(100)
        .collect();
    format!("{name}.log")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_have_plain_names() {
        assert_eq!(
            log_name("clean", "run 0.3 split_01/train"),
            "clean-run_0.3_split_01_train.log"
        );
        assert!(log_name("s", &"ü".repeat(300)).len() < 255);
    }
}
