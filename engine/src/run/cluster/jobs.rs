//! Batches that are under way: which there are, how far they are, and how they are cancelled.

use std::collections::HashSet;

use flow_cache::{JobDir, Store};

use super::batch::{Batch, id_of, name_of, note_id, scheduler_of};
use super::options::SchedulerChoice;
use super::scheduler::{TaskState, TaskStates};
use crate::kind::error::{Fault, StageError};

/// A batch, as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchState {
    /// Its name.
    pub batch: String,
    /// The scheduler, as `--executor` takes it.
    pub scheduler: &'static str,
    /// The scheduler's id, if it is known.
    pub id: Option<String>,
    /// Name of the pipeline.
    pub pipeline: String,
    /// Names of the stages.
    pub stages: Vec<String>,
    /// When it was made, in seconds since 1970 (UTC).
    pub made_unix: u64,
    /// Tasks that wait, run, and are over; tasks that the scheduler does not know count as over.
    pub tasks: [usize; 3],
    /// Actions that have a record.
    pub done: usize,
    /// All its actions.
    pub actions: usize,
    /// Why the scheduler could not be asked. All tasks count as waiting then.
    pub trouble: Option<String>,
}

/// Batches whose scheduler is asked in one call.
struct Group {
    choice: SchedulerChoice,
    found: Vec<(JobDir, Batch, Option<String>)>,
}

/// Lists the batches of a store, those that were made first at the beginning.
///
/// # Errors
/// The store could not be read.
pub fn list(store: &Store) -> Result<Vec<BatchState>, StageError> {
    store.refresh()?;
    let mut all = Vec::new();
    for group in groups(store)? {
        let ids: Vec<String> = group
            .found
            .iter()
            .filter_map(|(.., id)| id.clone())
            .collect();
        let states = match ids.is_empty() {
            true => Ok(TaskStates::new()),
            false => scheduler_of(&group.choice).states(&ids),
        };
        for (dir, batch, id) in group.found {
            all.push(match &states {
                Ok(states) => state(store, &dir, &batch, (id, states, None)),
                Err(error) => {
                    let none = TaskStates::new();
                    state(store, &dir, &batch, (id, &none, Some(error.to_string())))
                }
            });
        }
    }
    all.sort_by(|a, b| (a.made_unix, &a.batch).cmp(&(b.made_unix, &b.batch)));
    Ok(all)
}

/// Cancels batches by their names, or all of them, and removes them from the store. What their tasks have made is
/// kept. Returns the names of those that were cancelled.
///
/// # Errors
/// There is no batch of a name, or the scheduler could not cancel one. It stays in the store then.
pub fn cancel(store: &Store, names: Option<&[String]>) -> Result<Vec<String>, StageError> {
    let groups = groups(store)?;
    let there = groups.iter().flat_map(|group| &group.found);
    let there: HashSet<String> = there.map(|(dir, ..)| dir.name()).collect();
    if let Some(unknown) = names
        .into_iter()
        .flatten()
        .find(|name| !there.contains(*name))
    {
        let message = format!("there is no batch `{unknown}`");
        return Err(
            StageError::data("flow::cli::batch", message).help("`flow jobs` lists what there is")
        );
    }
    let mut cancelled = Vec::new();
    for group in groups {
        let wanted = |dir: &JobDir| names.is_none_or(|names| names.contains(&dir.name()));
        let doomed: Vec<_> = group
            .found
            .into_iter()
            .filter(|(dir, ..)| wanted(dir))
            .collect();
        let ids: Vec<String> = doomed.iter().filter_map(|(.., id)| id.clone()).collect();
        if !ids.is_empty() {
            scheduler_of(&group.choice).cancel(&ids).map_err(|error| {
                StageError::new(
                    Fault::Environment,
                    "flow::executor::cancel",
                    format!("a batch could not be cancelled: {error}"),
                )
                .help("try again, or cancel it with the scheduler's own command")
            })?;
        }
        for (dir, ..) in doomed {
            dir.remove();
            cancelled.push(dir.name());
        }
    }
    cancelled.sort();
    Ok(cancelled)
}

/// Reads the batches of a store, together by scheduler.
fn groups(store: &Store) -> Result<Vec<Group>, StageError> {
    let mut groups: Vec<Group> = Vec::new();
    for dir in store.jobs()? {
        let Some(batch) = Batch::read(&dir)? else {
            continue;
        };
        let mut id = id_of(&dir)?;
        if id.is_none() {
            id = scheduler_of(&batch.scheduler)
                .find(&name_of(&dir))
                .unwrap_or_default();
            if let Some(id) = &id {
                note_id(&dir, id)?;
            }
        }
        let choice = batch.scheduler.clone();
        match groups.iter_mut().find(|group| group.choice == choice) {
            Some(group) => group.found.push((dir, batch, id)),
            None => groups.push(Group {
                choice,
                found: vec![(dir, batch, id)],
            }),
        }
    }
    Ok(groups)
}

fn state(
    store: &Store,
    dir: &JobDir,
    batch: &Batch,
    (id, states, trouble): (Option<String>, &TaskStates, Option<String>),
) -> BatchState {
    let mut tasks = [0; 3];
    for task in 0..batch.tasks.len() {
        let state = id.as_ref().and_then(|id| states.get(&(id.clone(), task)));
        tasks[match state {
            _ if trouble.is_some() => 0,
            Some(TaskState::Waiting) => 0,
            Some(TaskState::Running) => 1,
            Some(TaskState::Ended(_)) | None => 2,
        }] += 1;
    }
    let keys = batch.tasks.iter().flatten();
    BatchState {
        batch: dir.name(),
        scheduler: batch.scheduler.name(),
        id,
        pipeline: batch.pipeline.clone(),
        stages: batch.stages.clone(),
        made_unix: batch.made_unix,
        tasks,
        done: keys
            .clone()
            .filter(|key| store.place(key).is_some())
            .count(),
        actions: keys.count(),
        trouble,
    }
}
