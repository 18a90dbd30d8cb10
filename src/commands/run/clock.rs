//! Notes when actions run, for the report of a run. No result depends on it.

use std::collections::HashMap;
use std::time::Instant;

use flow_engine::plan::Plan;
use flow_engine::run::event::{Event, Outcome};

use crate::record::{ActionTime, RunTimes};

/// Follows the events of a run.
#[derive(Default)]
pub struct ActionClock {
    running: HashMap<usize, Instant>,
    done: RunTimes,
}

impl ActionClock {
    /// Takes in an event of a run that began at `started`.
    pub fn observe(&mut self, plan: &Plan<'_>, started: Instant, event: &Event) {
        match event {
            Event::ActionStarted { action, .. } => {
                self.running.insert(*action, Instant::now());
            }
            Event::ActionFinished {
                action,
                stage,
                outcome,
                record,
            } => {
                // An action that another run has finished in the meantime was started, too.
                let began = self.running.remove(action);
                let ran = matches!(outcome, Outcome::Ran | Outcome::Failed(_));
                let Some(began) = began.filter(|_| ran) else {
                    return;
                };
                // The event comes once the results of several actions are durable, so the action itself says
                // how long it took.
                let elapsed = || began.elapsed().as_secs_f64();
                let time = ActionTime {
                    label: plan.label(*action),
                    start_s: began.duration_since(started).as_secs_f64(),
                    wall_s: record.as_ref().map_or_else(elapsed, |record| record.wall_s),
                    cpu_s: record.as_ref().map_or(0.0, |record| record.cpu_s),
                    failed: matches!(outcome, Outcome::Failed(_)),
                };
                self.done.push(&plan.pipeline.stages[*stage].name, time);
            }
            _ => {}
        }
    }

    /// Gives what was noted so far, and forgets it.
    pub fn take(&mut self) -> RunTimes {
        std::mem::take(&mut self.done)
    }
}
