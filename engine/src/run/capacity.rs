//! Decides what may run at the same time, by the processors, memory and GPUs that stages claim.

use std::collections::BTreeSet;

use crate::base::machine;
use crate::kind::error::{Fault, StageError};
use crate::kind::stage::Resources;
use crate::plan::Plan;
use crate::run::options::Options;

/// What is free, and what each stage asks for.
pub struct Capacity {
    /// What the actions of each stage ask for.
    wanted: Vec<Resources>,
    jobs: usize,
    running: usize,
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
        let wanted = Vec::from_iter(stages.map(|s| s.kind.resources(&s.params)));
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
            jobs: options.jobs,
            running: 0,
            cpus: options.jobs,
            memory,
            memory_in_all: memory,
            gpus: (0..gpus).collect(),
            gpus_in_all: gpus,
        }
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
