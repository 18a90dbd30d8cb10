//! Makes the results of workers durable. Only then do they count.

use crate::run::job::{Done, Message};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use flow_cache::{ActionLock, Committed, Record, Staged, Store};

use crate::base::trace::{EndedBar, Track};
use crate::kind::error::StageError;

/// An action that ran and is to be committed.
pub struct Uncommitted<'t> {
    pub(crate) action: usize,
    pub(crate) forced: bool,
    pub(crate) record: Record,
    pub(crate) staged: Vec<Staged>,
    pub(crate) lock: ActionLock,
    /// What the trace shows of it.
    pub(crate) span: EndedBar<'t>,
}

/// How long a finished action waits for others to be committed with it, if there is other work. A batch
/// costs a few syncs, whatever its size.
const GATHER: Duration = Duration::from_millis(40);

/// Commits what workers finish, as many actions at a time as have gathered. `ready` says that workers have
/// more to do, so that none of them waits while actions gather.
pub fn commit(
    store: &Store,
    track: Track<'_>,
    ready: &AtomicBool,
    finished: &mpsc::Receiver<Uncommitted<'_>>,
    to_coordinator: &mpsc::Sender<Message>,
) {
    while let Ok(first) = finished.recv() {
        let started = Instant::now();
        let mut batch = vec![first];
        while ready.load(Ordering::Relaxed) && started.elapsed() < GATHER {
            batch.extend(finished.recv_timeout(GATHER / 8));
        }
        batch.extend(finished.try_iter());
        let mut span = track.span("io", || "commit".to_owned());
        span.arg("actions", || batch.len());
        let mut rows = Vec::with_capacity(batch.len());
        let mut waiting = Vec::with_capacity(batch.len());
        let mut bytes = 0;
        for done in batch {
            // The record of a forced action is kept, since it has to count if its bytes are new ones.
            let forced = done.forced.then(|| done.record.clone());
            bytes += written(&done.record);
            waiting.push((done.action, done.record.key, forced, done.lock, done.span));
            rows.push((done.record, done.staged));
        }
        span.arg("bytes", || bytes);
        let published = {
            let _span = track.span("io", || "sync outputs".to_owned());
            store.publish(rows)
        };
        let committed = published.and_then(|published| {
            let _span = track.span("io", || "append records".to_owned());
            store.record(published)
        });
        let results = match committed {
            Ok(committed) => committed.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(error) => {
                let error = StageError::from(error);
                waiting.iter().map(|_| Err(error.clone())).collect()
            }
        };
        drop(span);
        for ((action, key, forced, lock, span), result) in waiting.into_iter().zip(results) {
            let done = result
                .and_then(|committed| outcome(store, committed, forced))
                .unwrap_or_else(Done::Failed);
            drop(lock);
            span.arg("outcome", || done.word());
            if to_coordinator
                .send(Message::Done { action, key, done })
                .is_err()
            {
                return;
            }
        }
    }
}

/// Commits one action.
pub(crate) fn commit_one(
    store: &Store,
    record: Record,
    staged: Vec<Staged>,
    forced: bool,
) -> Result<Done, StageError> {
    let kept = forced.then(|| record.clone());
    let committed = store.commit(vec![(record, staged)])?.pop();
    committed.map_or_else(
        || Err(StageError::environment("the store committed nothing")),
        |committed| outcome(store, committed, kept),
    )
}

/// Returns the number of bytes that an action made.
pub(crate) fn written(record: &Record) -> u64 {
    record.artifacts().map(|output| output.size).sum()
}

/// Returns the record as [`Store::find`] gives it. The run keeps it to its end.
fn bare(record: Arc<Record>) -> Arc<Record> {
    match Arc::try_unwrap(record) {
        Ok(record) => Arc::new(Record {
            provenance: None,
            ..record
        }),
        Err(shared) => shared,
    }
}

fn outcome(
    store: &Store,
    committed: Committed,
    forced: Option<Record>,
) -> Result<Done, StageError> {
    Ok(match (committed, forced) {
        (Committed::New(record), _) | (Committed::Existing(record), Some(_)) => {
            Done::Ran(bare(record))
        }
        (Committed::Existing(record), None) => Done::Hit(record),
        // The old bytes are gone, and the new ones are in the store by now.
        (Committed::Nondeterministic { differing, .. }, Some(new)) => Done::Different {
            record: store.supersede(new, Vec::new())?,
            outputs: differing,
        },
        (Committed::Nondeterministic { kept, differing }, None) => Done::Different {
            record: kept,
            outputs: differing,
        },
    })
}
