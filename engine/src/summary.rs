//! A run in figures: a fold over its events.

use crate::event::{Event, Outcome};

/// What became of the actions of one stage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StageSummary {
    /// Answered from the store, or by another run.
    pub hit: usize,
    /// Run here.
    pub ran: usize,
    /// Failed.
    pub failed: usize,
    /// Not attempted.
    pub skipped: usize,
    /// Wall seconds of the actions that ran, added up.
    pub wall_s: f64,
    /// Bytes of all outputs.
    pub size: u64,
}

impl StageSummary {
    /// All actions: `hit + ran + failed + skipped`.
    pub fn actions(&self) -> usize {
        self.hit + self.ran + self.failed + self.skipped
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Settled {
    Hit,
    Ran(f64),
    Failed,
    Skipped,
}

/// Follows the events of a run.
#[derive(Debug, Default)]
pub struct Summary {
    /// By action: its stage, how it ended, bytes.
    actions: Vec<Option<(usize, Settled, u64)>>,
}

impl Summary {
    /// Takes in one event.
    pub fn observe(&mut self, event: &Event) {
        let Event::ActionFinished {
            action,
            stage,
            outcome,
            record,
            ..
        } = event
        else {
            return;
        };
        if self.actions.len() <= *action {
            self.actions.resize(*action + 1, None);
        }
        let wall_s = record.as_ref().map_or(0.0, |r| r.wall_s);
        let size = record
            .as_ref()
            .map_or(0, |r| r.outputs.iter().map(|o| o.size).sum());
        let settled = match outcome {
            Outcome::Hit => Settled::Hit,
            Outcome::Ran => Settled::Ran(wall_s),
            Outcome::Failed(_) => Settled::Failed,
            Outcome::Skipped => Settled::Skipped,
            Outcome::Vacant => return,
        };
        // What ran stays counted as run, even where the plan is gone through a second time.
        if matches!(
            (&self.actions[*action], settled),
            (Some((_, Settled::Ran(_), _)), Settled::Hit)
        ) {
            return;
        }
        self.actions[*action] = Some((*stage, settled, size));
    }

    /// The figures of one stage.
    pub fn stage(&self, stage: usize) -> StageSummary {
        let mut sum = StageSummary::default();
        for (_, settled, size) in self.actions.iter().flatten().filter(|a| a.0 == stage) {
            match settled {
                Settled::Hit => sum.hit += 1,
                Settled::Ran(wall_s) => {
                    sum.ran += 1;
                    sum.wall_s += wall_s;
                }
                Settled::Failed => sum.failed += 1,
                Settled::Skipped => sum.skipped += 1,
            }
            sum.size += size;
        }
        sum
    }
}
