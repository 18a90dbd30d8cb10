//! `flow run`: brings the outputs of a pipeline up to date.

mod audit;
mod machine;
mod outputs;

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use flow_cache::StatCache;
use flow_engine::event::{Event, Outcome};
use flow_engine::exec::{self, Executor, Finished, Options};
use flow_engine::keys::Slot;
use flow_engine::plan::Plan;
use flow_engine::process::ProcessOptions;
use flow_engine::summary::Summary;
use flow_engine::trace::Trace;
use flow_engine::{Diag, StageError};
use serde_json::json;

use crate::cli::{ExecutorChoice, RunArgs};
use crate::error::{self, CliError, Exit};
use crate::history;
use crate::project::{State, load_pipeline, working_dir};
use crate::render::progress::Progress;
use crate::render::{json, table};
use crate::report::{Long, Report, Status};
use crate::ui::Ui;

/// Runs the command.
pub fn run(args: &RunArgs, ui: &Ui) -> Result<Exit, CliError> {
    let started = Instant::now();
    args.tags
        .iter()
        .try_for_each(|tag| history::check_tag(tag))?;
    let pipeline = load_pipeline(&args.target.pipeline, args.target.to.as_deref())?;
    let trace = args.trace.as_deref().map(trace_file).transpose()?;
    let cancel = stop_on_signals()?;
    let state = State::open(&pipeline.root, &args.store)?;
    let scratch = state.scratch();
    let stat = state.stat();
    let plan = Plan::new(&pipeline);
    let runs = state.runs();
    let options = Options {
        jobs: jobs(args.jobs),
        gpus: args.gpus.unwrap_or_else(machine::gpus),
        memory: args.memory.unwrap_or_else(machine::memory),
        keep_going: args.keep_going,
        audit: false,
        cancel: &cancel,
        scratch: scratch.0.clone(),
        logs: state.logs(),
        executor: executor(args.executor)?,
        trace: trace.as_ref().map(|(_, trace)| trace),
    };
    let mut run = Run {
        ui,
        plan: &plan,
        state: &state,
        stat: &stat,
        options,
        id: runs.new_id(),
        tags: &args.tags,
        summary: Summary::default(),
        progress: Progress::new(ui, &plan),
        slots: vec![Slot::Waiting; plan.len()],
        warnings: Vec::new(),
        exit: Exit::Ok,
    };
    run.bring_up_to_date();
    if let Some(audited) = args.audit.filter(|_| run.exit == Exit::Ok) {
        audit::audit(&mut run, audited);
    }
    let saved = stat.save();
    run.check(saved.map_err(CliError::from));
    if let Some((path, trace)) = &trace {
        let written = trace.write(path, &format!("flow run {}", pipeline.name));
        run.check(written.map_err(|e| {
            CliError::environment(format!("failed to write {}: {e}", path.display()))
        }));
    }
    run.finish(started)
}

/// A trace and its file, in a folder that is there: nobody wants to hear of it after the run.
fn trace_file(path: &Path) -> Result<(PathBuf, Trace), CliError> {
    let path = working_dir()?.join(path);
    if path.is_dir() || !path.parent().is_some_and(Path::is_dir) {
        let message = format!("no file can be written at {}", path.display());
        let diag = Diag::new("flow::cli::trace", message);
        return Err(CliError::usage(
            diag.help("name a file in a folder that exists: --trace trace.json"),
        ));
    }
    Ok((path, Trace::new()))
}

/// What runs actions.
fn executor(asked: ExecutorChoice) -> Result<Executor, CliError> {
    match asked {
        ExecutorChoice::Local => Ok(Executor::Local),
        ExecutorChoice::Process => {
            let program = std::env::current_exe().map_err(|e| {
                CliError::environment(format!("this program is not to be found: {e}"))
            })?;
            Ok(Executor::Process(ProcessOptions {
                command: vec![program.into(), "stage-exec".into()],
            }))
        }
    }
}

/// Actions at a time.
pub(super) fn jobs(asked: Option<NonZeroUsize>) -> usize {
    asked
        .or_else(|| std::thread::available_parallelism().ok())
        .map_or(1, NonZeroUsize::get)
}

/// Sets the returned flag at the first signal to stop; the second one ends the process at once.
pub(super) fn stop_on_signals() -> Result<Arc<AtomicBool>, CliError> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let code = i32::from(Exit::Interrupted.code());
        // The order matters: the first handler ends the process only if the second has set the flag.
        signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .map_err(|e| CliError::environment(format!("failed to catch signals: {e}")))?;
    }
    Ok(stop)
}

/// A run on its way.
struct Run<'a> {
    ui: &'a Ui,
    plan: &'a Plan<'a>,
    state: &'a State,
    stat: &'a StatCache,
    options: Options<'a>,
    id: String,
    tags: &'a [String],
    summary: Summary,
    progress: Progress<'a>,
    /// What is known of every action.
    slots: Vec<Slot>,
    /// What was warned of.
    warnings: Vec<String>,
    exit: Exit,
}

impl Run<'_> {
    fn bring_up_to_date(&mut self) {
        let finished = self.execute(HashSet::new(), true);
        if !self.settle(finished) {
            outputs::deliver(self);
        }
    }

    /// Executes the plan. The first pass is told whole; of a second one, only what runs.
    fn execute(&mut self, forced: HashSet<usize>, first: bool) -> Result<Finished, StageError> {
        let Self {
            ui,
            plan,
            id,
            summary,
            progress,
            warnings,
            ..
        } = self;
        let mut on_event = |event: Event| {
            let known = matches!(
                event,
                Event::Started { .. }
                    | Event::ActionFinished {
                        outcome: Outcome::Hit | Outcome::Vacant,
                        ..
                    }
            );
            if known && !first {
                return;
            }
            summary.observe(&event);
            progress.observe(&event);
            if let Event::Warning { message } = &event {
                warnings.push(message.clone());
            }
            if ui.json
                && let Some(event) = json::event(plan, id, &event)
            {
                ui.event(|| event);
            }
        };
        let store = &self.state.store;
        let finished = exec::run(plan, store, self.stat, &self.options, forced, &mut on_event);
        for warning in store.take_warnings() {
            on_event(Event::Warning {
                message: warning.to_string(),
            });
        }
        progress.finish();
        finished
    }

    /// Takes in what a pass left. True if the run has to end here.
    fn settle(&mut self, finished: Result<Finished, StageError>) -> bool {
        let finished = match finished {
            Ok(finished) => finished,
            Err(error) => {
                self.fail(error.into());
                return true;
            }
        };
        for (action, error) in &finished.failures {
            let stage = self.plan.coords(*action).stage;
            let label = self.plan.label(*action);
            let diag = error::of_action(self.plan.pipeline, stage, &label, error);
            self.ui.diag(&diag);
            self.exit = self.exit.worse(error.fault.into());
        }
        self.slots = finished.slots;
        if finished.interrupted {
            self.exit = Exit::Interrupted;
            let line =
                "interrupted: what had finished is kept, and the next run goes on from there";
            self.ui.progress(line);
        }
        finished.interrupted
    }

    fn fail(&mut self, error: CliError) {
        error.diags.iter().for_each(|diag| self.ui.diag(diag));
        self.exit = self.exit.worse(error.exit);
    }

    fn fail_with(&mut self, exit: Exit, diag: Diag) {
        self.fail(CliError {
            exit,
            diags: vec![diag],
        });
    }

    fn check(&mut self, result: Result<(), CliError>) {
        if let Err(error) = result {
            self.fail(error);
        }
    }

    fn status(&self) -> Status {
        match self.exit {
            Exit::Ok => Status::Ok,
            Exit::Interrupted => Status::Interrupted,
            _ => Status::Failed,
        }
    }

    /// Saves the record of the run and says what it came to.
    fn finish(mut self, started: Instant) -> Result<Exit, CliError> {
        let pipeline = self.plan.pipeline;
        let mut report = Report::new(
            self.plan,
            &self.slots,
            &self.state.store,
            &self.summary,
            self.id.clone(),
            self.status(),
            started.elapsed().as_secs_f64(),
        );
        let long = Long {
            plan: self.plan,
            slots: &self.slots,
            report: &report,
        };
        let actions = long.digest();
        let record = report.record(pipeline, &self.state.store, &actions, self.tags);
        let runs = self.state.runs();
        let saved = runs.save_with(&self.id, &record, &actions, || long.text());
        self.check(saved.map_err(CliError::from));
        report.status = self.status();
        if !self.ui.quiet {
            self.ui.progress("");
            self.ui.result(&table::run(&report));
        }
        self.ui.event(|| report.event(pipeline));
        Ok(self.exit)
    }

    /// Says that an output file was written.
    fn wrote(&self, path: &Path) {
        let shown = path.strip_prefix(&self.plan.pipeline.root).unwrap_or(path);
        self.ui.progress(&format!("wrote {}", shown.display()));
        self.ui
            .event(|| json!({"event": "output-written", "path": path.display().to_string()}));
    }
}
