//! What ran and waits to be committed: a batch costs a few syncs whatever its size.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::stage::{Fault, StageError};
use crate::worker::Finished;

/// Actions to be committed together.
pub type Batch<'t> = Vec<Box<Finished<'t>>>;

/// So long a finished action waits for others, where nothing waits for it.
const LONGEST: Duration = Duration::from_millis(40);

/// The batch that is being gathered.
pub struct Gathered<'t> {
    batch: Batch<'t>,
    /// When its first action came.
    since: Option<Instant>,
    /// Something waits for it.
    is_wanted: bool,
    to_committer: mpsc::Sender<Batch<'t>>,
}

impl<'t> Gathered<'t> {
    /// An empty one.
    pub fn new(to_committer: mpsc::Sender<Batch<'t>>) -> Self {
        Self {
            batch: Vec::new(),
            since: None,
            is_wanted: false,
            to_committer,
        }
    }

    /// Adds an action.
    pub fn add(&mut self, finished: Box<Finished<'t>>, is_wanted: bool) {
        self.batch.push(finished);
        self.since.get_or_insert_with(Instant::now);
        self.is_wanted |= is_wanted;
    }

    /// Whether something waits for one of its actions.
    pub fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// For how long others may still join it; `None` while it is empty.
    pub fn time_left(&self) -> Option<Duration> {
        self.since
            .map(|since| LONGEST.saturating_sub(since.elapsed()))
    }

    /// Hands it to the committer, unless it is empty.
    pub fn commit(&mut self) -> Result<(), StageError> {
        (self.since, self.is_wanted) = (None, false);
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        self.to_committer.send(batch).map_err(|_| {
            let code = "flow::bug::committer";
            StageError::new(Fault::Bug, code, "the committer is gone")
        })
    }
}
