//! The threads that the loops of all actions share.

use std::sync::{Arc, OnceLock};

use flow_cache::thread_pool;

use crate::base::diag::ErrorSource;
use crate::kind::error::StageError;

/// A pool of threads that start when they are first needed, since many runs only wait for programs.
pub struct Pool {
    threads: usize,
    started: OnceLock<Result<rayon::ThreadPool, ErrorSource>>,
}

impl Pool {
    /// Makes a pool of this many threads, none of which has started yet.
    pub fn new(threads: usize) -> Self {
        Self {
            threads,
            started: OnceLock::new(),
        }
    }

    /// Runs `work` on one of the threads, with the others there for its loops.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> Result<R, StageError> {
        let started = self.started.get_or_init(|| {
            thread_pool(self.threads).map_err(|error| Arc::new(error) as ErrorSource)
        });
        match started {
            Ok(pool) => Ok(pool.install(work)),
            Err(error) => {
                Err(StageError::environment("failed to start threads").because(error.clone()))
            }
        }
    }
}
