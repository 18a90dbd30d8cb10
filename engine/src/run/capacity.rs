//! Decides what may run at the same time, by the processors, memory and GPUs that stages claim.

use std::collections::BTreeSet;

use crate::base::machine;
use crate::kind::error::{Fault, StageError};
use crate::kind::stage::Resources;
use crate::plan::Plan;
use crate::run::options::{Executor, Options};

/// The most actions that run on this machine or wait to be committed at a time.
const MOST_HERE: usize = 1_000;

/// The most actions that are with a scheduler at a time.
const MOST_ELSEWHERE: usize = 20_000;

/// What is free, and what each stage asks for.
pub struct Capacity {
    /// What the actions of each stage ask for.
    wanted: Vec<Resources>,
    jobs: usize,
    running: usize,
    /// Actions run on other machines.
    elsewhere: bool,
    cpus: usize,
    memory: u64,
    memory_in_all: u64,
    /// Numbers of the free GPUs.
    gpus: BTreeSet<usize>,
    gpus_in_all: usize,
}

/// What a running action occupies.
pub struct Claim {
    /// Number of processors.
    pub cpus: usize,
    memory: u64,
    /// Numbers of the GPUs.
    pub gpus: Vec<usize>,
}

/// Says whether an action can start.
pub enum Fit {
    /// It can.
    Now,
    /// Not before something has ended.
    Later,
    /// Not before a GPU is free.
    NoGpu,
    /// Not on this machine.
    Never(StageError),
}

impl Capacity {
    /// Starts with everything free.
    pub fn new(plan: &Plan<'_>, options: &Options<'_>) -> Self {
        let stages = plan.pipeline.stages.iter();
        let wanted = Vec::from_iter(stages.map(|stage| {
            let wanted = stage.kind.resources(&stage.params);
            match &options.executor {
                Executor::Cluster(cluster) => cluster.asked(&stage.name, wanted),
                _ => wanted,
            }
        }));
        if matches!(options.executor, Executor::Cluster(_)) {
            return Self::elsewhere(wanted);
        }
        // The machine is asked only about what some stage claims.
        let claimed = |claim: fn(&Resources) -> bool| wanted.iter().any(claim);
        let gpus = match options.gpus {
            None if claimed(|wanted| wanted.gpus > 0) => machine::gpus(),
            given => given.unwrap_or(0),
        };
        let memory = match options.memory {
            None if claimed(|wanted| wanted.memory > 0) => machine::memory(),
            given => given.unwrap_or(u64::MAX),
        };
        Self {
            wanted,
            elsewhere: false,
            jobs: options.jobs,
            running: 0,
            cpus: options.jobs,
            memory,
            memory_in_all: memory,
            gpus: (0..gpus).collect(),
            gpus_in_all: gpus,
        }
    }

    /// Nothing here limits actions that run on other machines. Their scheduler knows what is free.
    fn elsewhere(wanted: Vec<Resources>) -> Self {
        Self {
            wanted,
            elsewhere: true,
            jobs: usize::MAX,
            running: 0,
            cpus: usize::MAX,
            memory: u64::MAX,
            memory_in_all: u64::MAX,
            gpus: BTreeSet::new(),
            gpus_in_all: 0,
        }
    }

    /// The number of actions that run on this machine.
    pub fn running_here(&self) -> usize {
        if self.elsewhere { 0 } else { self.running }
    }

    /// The most actions that run or wait to be committed at a time.
    pub fn most_in_flight(&self) -> usize {
        if self.elsewhere {
            MOST_ELSEWHERE
        } else {
            MOST_HERE
        }
    }

    /// The number of threads for an action that shares this machine with others, `busy` of them in all.
    pub fn threads(&self, busy: usize, claim: &Claim) -> usize {
        if self.elsewhere {
            return claim.cpus;
        }
        (self.jobs / busy.clamp(1, self.jobs.max(1))).max(claim.cpus)
    }

    /// Returns what an action of a stage asks for.
    pub fn wanted(&self, stage: usize) -> Resources {
        self.wanted[stage]
    }

    /// Returns whether another action may run at all.
    pub fn jobs_free(&self) -> bool {
        self.running < self.jobs
    }

    /// Returns whether an action of a stage can start now. An action that asks for more processors or
    /// memory than the run has waits until all of them are free.
    pub fn fit(&self, stage: usize) -> Fit {
        let wanted = self.wanted[stage];
        if self.elsewhere {
            return Fit::Now;
        }
        if wanted.gpus > self.gpus_in_all {
            return Fit::Never(no_gpu(wanted.gpus, self.gpus_in_all));
        }
        if wanted.gpus > self.gpus.len() {
            return Fit::NoGpu;
        }
        let memory = wanted.memory.min(self.memory_in_all);
        if self.cpus_of(stage) > self.cpus || memory > self.memory {
            return Fit::Later;
        }
        Fit::Now
    }

    /// Occupies what an action of a stage asks for.
    pub fn take(&mut self, stage: usize) -> Claim {
        let wanted = self.wanted[stage];
        if self.elsewhere {
            self.running += 1;
            return Claim {
                cpus: wanted.cpus.max(1),
                memory: 0,
                // Its task counts the GPUs that it is given.
                gpus: (0..wanted.gpus).collect(),
            };
        }
        let claim = Claim {
            cpus: self.cpus_of(stage),
            memory: wanted.memory.min(self.memory_in_all),
            gpus: self.gpus.iter().copied().take(wanted.gpus).collect(),
        };
        self.running += 1;
        self.cpus -= claim.cpus;
        self.memory -= claim.memory;
        claim.gpus.iter().for_each(|gpu| {
            self.gpus.remove(gpu);
        });
        claim
    }

    /// Frees what an action occupied.
    pub fn give_back(&mut self, claim: Claim) {
        self.running -= 1;
        if self.elsewhere {
            return;
        }
        self.cpus += claim.cpus;
        self.memory += claim.memory;
        self.gpus.extend(claim.gpus);
    }

    fn cpus_of(&self, stage: usize) -> usize {
        self.wanted[stage].cpus.clamp(1, self.jobs.max(1))
    }
}

fn no_gpu(wanted: usize, there: usize) -> StageError {
    StageError::new(
        Fault::Environment,
        "flow::resources::gpus",
        format!("an action claims more GPUs ({wanted}) than this run has ({there})"),
    )
    .help(format!("if the machine has them, say so: --gpus {wanted}"))
}
