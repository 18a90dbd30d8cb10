//! The executor whose actions run on the machines of a cluster.
//!
//! Where other executors have a thread for each action, this one has a single thread, the `dispatcher`. It leaves
//! the manifest of each action in the store, packs actions into tasks, gives arrays of tasks to a scheduler, and
//! watches the store. **The truth is the record of an action, never the word of a scheduler.** A task says in a file
//! of the store what it does (`watch`), and the scheduler is asked about silent tasks only, about all in one call.
//!
//! `options` says how a cluster is used. `scheduler` is the interface to schedulers; `slurm`, `hq` and `command`
//! implement it. `template` fills in the commands of users. `batch` is what the store knows of a batch, so that a run
//! can die and another one can go on. `packing`, `retries` and `machines` decide, and touch nothing. [`task`] is the other side:
//! what runs on a machine of the cluster. [`jobs`] lists batches and cancels them.
//!
//! Begin with `dispatcher`, then read `task`.

pub(crate) mod batch;
mod command;
pub(crate) mod dispatcher;
mod hq;
pub mod jobs;
mod machines;
pub mod options;
mod packing;
mod retries;
pub(crate) mod scheduler;
mod slurm;
pub mod task;
pub(crate) mod template;
mod watch;

pub use batch::task_command;
pub use dispatcher::ClusterFigures;
pub use scheduler::STATE_WORDS;
