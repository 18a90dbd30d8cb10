//! Handles the events of a run: it counts them, shows progress, and sends JSON.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use flow_engine::StageError;
use flow_engine::plan::Plan;
use flow_engine::plan::keys::Slot;
use flow_engine::run::event::{Event, Outcome};
use flow_engine::run::options::Setting;
use flow_engine::run::summary::Summary;
use flow_engine::run::{self, Finished};

use super::clock::ActionClock;
use super::progress::RunProgress;
use super::{AskedFor, Circumstances, Pace, Run, git, json};
use crate::evaluation::Artifacts;
use crate::outcome::{RunAccount, RunOutcome};
use crate::project::ProjectState;
use crate::record::{RunRecord, Status};
use crate::remote::ProjectRemote;
use crate::ui::Ui;

impl Run<'_> {
    /// Executes the plan. The first pass reports everything, a second one only what runs. `watch` sees
    /// every event as well.
    pub fn execute(
        &mut self,
        forced: HashSet<usize>,
        first: bool,
        watch: &mut dyn FnMut(&Event),
    ) -> Result<Finished, StageError> {
        let (plan, store) = (self.plan, &self.state.store);
        let mut follower = Follower {
            ui: self.ui,
            plan,
            state: self.state,
            id: &self.id,
            started: self.started,
            asked: &self.asked,
            first,
            clock: &mut self.clock,
            dirty: &mut self.dirty,
            summary: &mut self.summary,
            progress: &mut self.progress,
            paces: &mut self.paces,
            traffic_pace: Pace::default(),
            warnings: &mut self.warnings,
        };
        let mut on_event = |event: Event| {
            watch(&event);
            follower.observe(&event);
        };
        let setting = Setting {
            plan,
            store,
            stat: self.stat,
            options: &self.options,
        };
        let finished = run::run(setting, forced, &mut on_event);
        for warning in store.take_warnings() {
            on_event(Event::Warning {
                message: warning.to_string(),
            });
        }
        self.progress.finish();
        finished
    }
}

/// Follows the events of one pass over the plan.
struct Follower<'r, 'a> {
    ui: &'a Ui,
    plan: &'a Plan<'a>,
    state: &'a ProjectState,
    id: &'r str,
    started: Instant,
    asked: &'r AskedFor,
    /// True if hits are reported too.
    first: bool,
    clock: &'r mut ActionClock,
    dirty: &'r mut Option<git::Dirty>,
    summary: &'r mut Summary,
    progress: &'r mut RunProgress<'a>,
    paces: &'r mut HashMap<usize, Pace>,
    /// How often programs are told of what goes on with the remote.
    traffic_pace: Pace,
    warnings: &'r mut Vec<String>,
}

impl Follower<'_, '_> {
    fn observe(&mut self, event: &Event) {
        if matches!(event, Event::ActionStarted { .. }) && self.dirty.is_none() {
            *self.dirty = Some(git::Dirty::ask(&self.plan.pipeline.root));
        }
        let known = matches!(
            event,
            Event::Started { .. }
                | Event::ActionFinished {
                    outcome: Outcome::Hit | Outcome::Vacant,
                    ..
                }
        );
        if known && !self.first {
            return;
        }
        self.clock.observe(self.plan, self.started, event);
        self.summary.observe(event);
        self.progress.observe(event);
        match event {
            Event::Warning { message } => self.warnings.push(message.clone()),
            Event::Stopping { .. } => self.save_what_there_is(),
            _ => {}
        }
        if self.ui.json
            && self.is_told(event)
            && let Some(event) = json::event(self.plan, self.id, event)
        {
            self.ui.event(|| event);
        }
    }

    /// Returns whether programs are told of an event now.
    fn is_told(&mut self, event: &Event) -> bool {
        match event {
            Event::Progress {
                action, progress, ..
            } => self.paces.entry(*action).or_default().lets(progress),
            Event::Traffic(_) => self.traffic_pace.lets_more(),
            Event::ActionFinished { action, .. } => {
                self.paces.remove(action);
                true
            }
            _ => true,
        }
    }

    /// Saves a record when a run is told to stop, for a caller that does not wait for its end.
    fn save_what_there_is(&self) {
        let account = RunAccount {
            artifacts: Artifacts {
                plan: self.plan,
                slots: &vec![Slot::Waiting; self.plan.len()],
                store: &self.state.store,
            },
            summary: self.summary,
            run: self.id,
            status: Status::Interrupted,
            wall_s: self.started.elapsed().as_secs_f64(),
            remote: self.state.remote.as_ref().map(ProjectRemote::figures),
        };
        let outcome = RunOutcome::new(&account);
        let begun = Circumstances {
            asked: self.asked,
            pipeline: self.plan.pipeline,
            store: &self.state.store,
        };
        let record = RunRecord {
            warnings: self.warnings.clone(),
            ..outcome.record(self.plan.pipeline, begun.record(None))
        };
        if let Err(error) = self.state.runs().save(self.id, &record) {
            self.ui.warning(&error.to_string());
        }
    }
}
