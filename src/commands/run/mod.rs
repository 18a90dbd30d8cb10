//! `flow run`: brings the outputs of a pipeline up to date. Other commands that run pipelines, such as
//! `ablate`, `tune` and `check`, do so by [`Run`].
//!
//! [`setup`] opens what a run needs and applies the options of execution, and [`signals`] stop a run. [`follow`] passes on what
//! happens: to [`progress`], which draws on [`screen`], and through [`json`] to programs. [`summary`]
//! shows the results of a run. [`outputs`] writes the files under `[outputs]`, and [`audit`] runs
//! actions again to compare their bytes. [`circumstances`] has what a record says of how the
//! run came about: [`git`] says which commit the project is at, and [`host`] describes the machine. [`clock`]
//! notes when actions run, and [`cluster`] says what runs them. The engine
//! schedules and runs the actions.
//!
//! Begin with [`run`], then [`Run::execute`].

mod audit;
mod circumstances;
mod clock;
mod cluster;
mod follow;
mod git;
mod host;
mod json;
pub mod outputs;
mod pace;
mod progress;
mod screen;
mod setup;
mod signals;
mod summary;

use std::collections::{HashMap, HashSet};
use std::mem::ManuallyDrop;
use std::num::NonZeroUsize;
use std::time::Instant;

use clap::Args;
use flow_cache::{StatCache, StoreError};
use flow_engine::pipeline::OutputDecl;
use flow_engine::plan::Plan;
use flow_engine::plan::keys::Slot;
use flow_engine::run::Finished;
use flow_engine::run::options::Options;
use flow_engine::run::summary::Summary;
use flow_engine::{Diag, StageError};

pub use circumstances::Circumstances;
pub use pace::Pace;
pub use setup::{Setup, jobs};
pub use signals::{WATCHER, stop_on_signals};

use crate::args::{ExecArgs, PipelineArgs, StoreArgs, TargetArgs};
use crate::error::{self, CliError, Exit};
use crate::evaluation::{Artifacts, evaluations};
use crate::event::OutputWritten;
use crate::history;
use crate::outcome::{RunAccount, RunOutcome};
use crate::project::{ProjectState, in_project, load_pipeline, shown};
use crate::record::{Long, RunRecord, Status};
use crate::remote::ProjectRemote;
use crate::report::{self, Findings, Page};
use crate::ui::Ui;
use clock::ActionClock;
use progress::RunProgress;

/// `flow run`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flow run pipelines/rocket_domain.toml
  flow run pipelines/rocket_domain.toml --set rocket.kernels=2000 --to select
  flow run pipelines/mallorn/rocket_domain.toml --set 'ingest.path=\"../data/mallorn\"'
  flow run pipelines/rocket_domain.toml --trace trace.json
  flow run pipelines/rocket_domain.toml --message-format json | tail -1")]
pub struct RunArgs {
    /// The pipeline.
    #[command(flatten)]
    pub target: TargetArgs,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// How to run.
    #[command(flatten)]
    pub exec: ExecArgs,
    /// After a failure, go on with what does not depend on it
    #[arg(short, long)]
    pub keep_going: bool,
    /// Give the run a tag, by which it can be named later; may be repeated
    #[arg(long = "tag", value_name = "NAME")]
    pub tags: Vec<String>,
    /// Run N actions again that the store answers, at least one of each stage if N allows, and
    /// compare the results; others end with exit code 1
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "10")]
    pub audit: Option<NonZeroUsize>,
}

/// Runs the command.
pub fn run(args: &RunArgs, ui: &Ui) -> Result<Exit, CliError> {
    let started = Instant::now();
    let mut tags = args.tags.iter();
    tags.try_for_each(|tag| history::check_tag(tag))?;
    // Freeing all that is known of every action would take longer than ending the process.
    let pipeline = ManuallyDrop::new(load_pipeline(
        &args.target.pipeline,
        args.target.to.as_deref(),
    )?);
    let setup = Setup::new(&pipeline.root, &args.store, &args.exec)?;
    let plan = Plan::new(&pipeline);
    outputs::check(&setup.state.delivery(&plan, &setup.stat), &setup.state)?;
    let mut run = ManuallyDrop::new(Run::new(ui, &plan, &setup, args.keep_going));
    run.asked = AskedFor {
        to: args.target.to.clone(),
        tags: args.tags.clone(),
        ..AskedFor::new(&args.target.pipeline)
    };
    run.bring_up_to_date();
    run.audit(args.audit);
    run.close(&setup, "run");
    run.finish(started);
    // A store that was named once would have to be named again.
    let finds_it = args.store.store.is_none() || std::env::var_os("FLOW_STORE").is_some();
    if run.exit == Exit::Ok && finds_it && !ui.json {
        let objects = match evaluations(&pipeline).is_empty() {
            true => "",
            false => "; flow errors",
        };
        let look = in_project(&pipeline.root, "flow report");
        ui.progress(&format!("look at it: {look}{objects}"));
    }
    Ok(run.exit)
}

/// What a run was asked for besides the file. It is kept in the record, for people and for `flow
/// export`.
#[derive(Default)]
pub struct AskedFor {
    /// Values that were set.
    pub sets: Vec<String>,
    /// The variant that runs instead of the pipeline.
    pub variant: Option<String>,
    /// The stage that runs, with what it needs, instead of all stages.
    pub to: Option<String>,
    /// Tags by which the run can be named.
    pub tags: Vec<String>,
}

impl AskedFor {
    /// What a run of a pipeline was asked for.
    pub fn new(args: &PipelineArgs) -> Self {
        Self {
            sets: args.file.sets.clone(),
            variant: args.variant.clone(),
            ..Self::default()
        }
    }
}

/// A run in progress.
pub struct Run<'a> {
    ui: &'a Ui,
    plan: &'a Plan<'a>,
    state: &'a ProjectState,
    stat: &'a StatCache,
    options: Options<'a>,
    /// Its id.
    pub id: String,
    /// When it began.
    pub started: Instant,
    /// When its actions ran.
    pub clock: ActionClock,
    /// What it was asked for.
    pub asked: AskedFor,
    /// Whether files differ from the commit. It is asked once something runs.
    dirty: Option<git::Dirty>,
    /// Its figures so far.
    pub summary: Summary,
    progress: RunProgress<'a>,
    /// How often programs are told of the progress of each running action.
    paces: HashMap<usize, Pace>,
    /// What is known of every action.
    pub slots: Vec<Slot>,
    /// Actions that failed in the last pass.
    pub failures: Vec<(usize, StageError)>,
    /// The warnings so far.
    pub warnings: Vec<String>,
    /// The messages of the failures so far.
    told: Vec<String>,
    /// True if the user was told that the project's folder cannot be written.
    told_read_only: bool,
    /// How the run would end now.
    pub exit: Exit,
}

impl<'a> Run<'a> {
    /// A run in which nothing has run yet.
    pub fn new(ui: &'a Ui, plan: &'a Plan<'a>, setup: &'a Setup, keep_going: bool) -> Self {
        Self {
            ui,
            plan,
            state: &setup.state,
            stat: &setup.stat,
            options: setup.options(keep_going),
            id: setup.state.runs().new_id(),
            started: Instant::now(),
            clock: ActionClock::default(),
            asked: AskedFor::default(),
            dirty: None,
            summary: Summary::default(),
            progress: RunProgress::new(ui, plan),
            paces: HashMap::new(),
            slots: vec![Slot::Waiting; plan.len()],
            failures: Vec::new(),
            warnings: Vec::new(),
            told: Vec::new(),
            told_read_only: false,
            exit: Exit::Ok,
        }
    }

    /// Runs what is not up to date, and writes `[outputs]`.
    pub fn bring_up_to_date(&mut self) {
        let finished = self.execute(HashSet::new(), true, &mut |_| {});
        if !self.settle(finished) {
            outputs::deliver(self);
        }
    }

    /// After a run that went well, runs this many actions again and compares the results. Differences
    /// fail the run.
    pub fn audit(&mut self, actions: Option<NonZeroUsize>) {
        if let Some(actions) = actions.filter(|_| self.exit == Exit::Ok) {
            audit::audit(self, actions);
        }
    }

    /// Records what a pass left. Returns true if the run has to end here.
    pub fn settle(&mut self, finished: Result<Finished, StageError>) -> bool {
        let finished = match finished {
            Ok(finished) => finished,
            Err(error) => {
                self.fail(error.into());
                return true;
            }
        };
        if let Some(figures) = &finished.cluster {
            self.ui.progress(&cluster::used(figures));
            self.ui.event(|| cluster::event(figures));
        }
        for (action, error, others) in error::alike(self.plan, &finished.failures) {
            let stage = self.plan.coords(action).stage;
            let label = self.plan.label(action);
            let diag = error::of_action(self.plan.pipeline, stage, &label, error);
            let more = error::more_like_it(self.plan, &others);
            self.tell(&more.into_iter().fold(diag, Diag::help));
            self.exit = self.exit.worse(error.fault.into());
        }
        self.failures = finished.failures;
        self.slots = finished.slots;
        if finished.interrupted {
            self.exit = Exit::Interrupted;
            let line =
                "interrupted: what had finished is kept, and the next run goes on from there";
            self.ui.progress(line);
        }
        finished.interrupted
    }

    fn warn(&mut self, message: String) {
        self.ui.warn(&message);
        self.warnings.push(message);
    }

    fn tell(&mut self, diag: &Diag) {
        self.ui.diag(diag);
        self.told.push(diag.message.clone());
    }

    fn fail(&mut self, error: CliError) {
        error.diags.iter().for_each(|diag| self.tell(diag));
        self.exit = self.exit.worse(error.exit);
    }

    fn fail_with(&mut self, exit: Exit, diag: Diag) {
        self.fail(CliError::new(exit, diag));
    }

    /// Records a failure that does not end the run at once.
    pub fn check(&mut self, result: Result<(), CliError>) {
        if let Err(error) = result {
            self.fail(error);
        }
    }

    /// Records how flow's own account of the run was saved. If the user may not write in the project,
    /// that is not a failure of the run, and is said once.
    pub fn noted(&mut self, saved: Result<(), StoreError>) {
        match saved {
            Err(error) if error.is_refused() => {
                if !std::mem::replace(&mut self.told_read_only, true) {
                    self.warn(format!("this run leaves no note in the project: {error}"));
                }
            }
            saved => self.check(saved.map_err(CliError::from)),
        }
    }

    /// Waits for what is written to the remote. Saves what is known of source files, and the trace.
    pub fn close(&mut self, setup: &Setup, command: &str) {
        self.check(setup.finish_remote(self.ui));
        for warning in self.state.store.take_warnings() {
            self.warn(warning.to_string());
        }
        self.check(setup.stat.save().map_err(CliError::from));
        if let Some((path, trace)) = &setup.trace {
            let name = format!("flow {command} {}", self.plan.pipeline.name);
            let written = trace.write(path, &name);
            self.check(written.map_err(|e| CliError::unwritten(path, e)));
        }
    }

    /// Returns whether files of the project differ from the commit, if anything ran so that git was asked.
    pub fn is_dirty(&self) -> Option<bool> {
        self.dirty.as_ref().and_then(git::Dirty::answer)
    }

    /// How the run would end now, for JSON.
    pub fn status(&self) -> Status {
        match self.exit {
            Exit::Ok => Status::Ok,
            Exit::Interrupted => Status::Interrupted,
            _ => Status::Failed,
        }
    }

    /// Saves the record of the run and takes stock.
    pub fn take_stock(&mut self, started: Instant) -> RunOutcome {
        let mut outcome = RunOutcome::new(&RunAccount {
            artifacts: self.artifacts(),
            summary: &self.summary,
            run: &self.id,
            status: self.status(),
            wall_s: started.elapsed().as_secs_f64(),
            remote: self.state.remote.as_ref().map(ProjectRemote::figures),
        });
        if let Some(diag) = outcome.lost_headline().filter(|_| self.exit == Exit::Ok) {
            self.fail_with(Exit::Usage, diag);
            outcome.status = self.status();
        }
        let artifacts = self.artifacts();
        let long = Long(artifacts);
        let digest = long.digest();
        let begun = Circumstances {
            asked: &self.asked,
            pipeline: self.plan.pipeline,
            store: &self.state.store,
        };
        let record = RunRecord {
            actions: Some(digest),
            warnings: self.warnings.clone(),
            failures: self.told.clone(),
            ..outcome.record(self.plan.pipeline, begun.record(self.is_dirty()))
        };
        let runs = self.state.runs();
        let saved = runs.save_with(&self.id, &record, (&digest, &long));
        let times = self.clock.take();
        let saved = saved.and_then(|()| match times.is_empty() {
            true => Ok(()),
            false => runs.save_times(&self.id, &times),
        });
        self.noted(saved);
        outcome.status = self.status();
        outcome
    }

    /// Saves the record of the run and shows the results.
    pub fn finish(&mut self, started: Instant) -> RunOutcome {
        let outcome = self.take_stock(started);
        if !self.ui.quiet {
            self.ui.progress("");
            self.ui.result(&summary::text(&outcome));
        }
        self.ui.event(|| outcome.event());
        outcome
    }

    /// Keeps what was found in the record of the run.
    pub fn keep_findings(&mut self, found: &Findings) {
        let kept = self.state.runs().attach(&self.id, found);
        self.noted(kept.map(drop));
    }

    /// The report of the run, with what was found.
    pub fn page(&self, found: &Findings) -> Result<Page, CliError> {
        report::of_command((&self.state.runs(), &self.state.store), &self.id, found)
    }

    /// What is known of the plan's actions.
    pub fn artifacts(&self) -> Artifacts<'_> {
        Artifacts {
            plan: self.plan,
            slots: &self.slots,
            store: &self.state.store,
        }
    }

    /// Reports that an output file was written, and which pipeline it comes from.
    fn wrote(&self, output: &OutputDecl) {
        let path = &output.path;
        let whose = match &output.base {
            Some(base) => format!(" (an output of {base})"),
            None => String::new(),
        };
        self.ui.progress(&format!("wrote {}{whose}", shown(path)));
        self.ui.event(|| OutputWritten {
            path: path.display().to_string(),
            base: output.base.clone(),
        });
    }
}
