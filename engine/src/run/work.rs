//! An action with all that any executor needs to run it.

use std::borrow::Cow;
use std::path::Path;

use crate::kind::lineage::Lineage;
use crate::kind::params::Params;
use crate::kind::shards::Shard;
use crate::kind::stage::Stage;
use crate::plan::keys::Prepared;
use crate::run::job::Job;
use crate::run::options::Setting;

/// All that is needed to run an action. A worker of this process borrows it from the plan and the job;
/// only a process of its own gets it written down, as a [manifest](super::manifest).
pub(crate) struct Work<'a> {
    pub(crate) kind: &'a dyn Stage,
    /// Version of the kind.
    pub(crate) version: u32,
    /// Index of the step.
    pub(crate) step: usize,
    /// Names of the outputs that it must write.
    pub(crate) writes: Cow<'a, [String]>,
    /// The stage's parameters, including those that are in no recipe.
    pub(crate) params: Cow<'a, Params>,
    /// Name of the fold.
    pub(crate) fold: Option<Cow<'a, str>>,
    pub(crate) shard: Option<Shard>,
    /// What stands behind the predictions that it reads.
    pub(crate) lineage: Cow<'a, Lineage>,
    /// What it reads, and what decides its result.
    pub(crate) prepared: Cow<'a, Prepared>,
    /// Threads that it may use.
    pub(crate) threads: usize,
    /// GPUs that are its own.
    pub(crate) gpus: Cow<'a, [usize]>,
    /// It runs although it has a record, since its bytes are wanted.
    pub(crate) forced: bool,
    /// Name of the stage, for people.
    pub(crate) stage: Cow<'a, str>,
    /// Label of the action, for people.
    pub(crate) action: String,
    /// Name of the pipeline, for people.
    pub(crate) pipeline: Cow<'a, str>,
    /// The project root.
    pub(crate) root: Cow<'a, Path>,
    /// A directory of its own, made if needed and emptied before and after.
    pub(crate) scratch: Cow<'a, Path>,
    /// Where the log of a failed attempt goes.
    pub(crate) logs: Cow<'a, Path>,
}

impl<'a> Work<'a> {
    /// What a job is to do.
    pub(crate) fn of(setting: Setting<'a>, job: &'a Job, scratch: &'a Path) -> Self {
        let Setting { plan, options, .. } = setting;
        let at = plan.coords(job.action);
        let stage = &plan.pipeline.stages[at.stage];
        let shard = at.shard.and_then(|shard| stage.layout.shards.get(shard));
        Self {
            kind: &*stage.kind,
            version: stage.spec.version,
            step: at.step,
            writes: Cow::Borrowed(&stage.steps[at.step].writes),
            params: Cow::Borrowed(&stage.params),
            fold: plan.fold_name(at).map(Cow::Borrowed),
            shard: shard.map(|shard| shard.to_shard()),
            lineage: Cow::Borrowed(&stage.lineage),
            prepared: Cow::Borrowed(&job.prepared),
            threads: job.threads,
            gpus: Cow::Borrowed(&job.gpus),
            forced: job.forced,
            stage: Cow::Borrowed(&stage.name),
            action: plan.label(job.action),
            pipeline: Cow::Borrowed(&plan.pipeline.name),
            root: Cow::Borrowed(&plan.pipeline.root),
            scratch: Cow::Borrowed(scratch),
            logs: Cow::Borrowed(&options.logs),
        }
    }
}
