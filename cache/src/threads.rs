//! Pools of threads, as large as the system allows.

use std::sync::OnceLock;

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

/// Makes a pool of this many threads. If a limit of the system is reached, it has half as many, a
/// quarter, or one.
pub fn thread_pool(threads: usize) -> Result<ThreadPool, ThreadPoolBuildError> {
    let built = ThreadPoolBuilder::new().num_threads(threads).build();
    match built {
        Err(_) if threads > 1 => thread_pool(threads / 2),
        built => built,
    }
}

/// Runs `work` where its loops find a pool: that of the caller, or else one of this process.
/// Rayon's own pool would end the process if it could not start all of its threads.
pub(crate) fn with_pool<R: Send>(work: impl FnOnce() -> R + Send) -> Option<R> {
    static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();
    if rayon::current_thread_index().is_some() {
        return Some(work());
    }
    let pool = POOL.get_or_init(|| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        thread_pool(threads).ok()
    });
    pool.as_ref().map(|pool| pool.install(work))
}
