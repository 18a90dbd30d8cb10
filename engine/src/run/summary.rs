//! A run in figures, added up from its events.

use crate::run::event::{Event, Outcome};

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
    /// CPU seconds of the actions that ran, added up.
    pub cpu_s: f64,
    /// The most memory that one of the actions that ran held, in bytes.
    pub peak_rss: u64,
    /// Bytes that the actions that ran read.
    pub read_bytes: u64,
    /// Bytes of all outputs.
    pub size: u64,
}

impl StageSummary {
    /// All actions: `hit + ran + failed + skipped`.
    pub fn actions(&self) -> usize {
        self.hit + self.ran + self.failed + self.skipped
    }
}

#[derive(Debug)]
enum Settled {
    /// Bytes of its outputs.
    Hit(u64),
    Ran(Box<Figures>),
    Failed,
    Skipped,
}

/// What an action that ran used.
#[derive(Debug)]
struct Figures {
    wall_s: f64,
    cpu_s: f64,
    peak_rss: u64,
    read_bytes: u64,
    /// Bytes of its outputs.
    size: u64,
}

/// Follows the events of a run.
#[derive(Debug, Default)]
pub struct Summary {
    /// By action: its stage, and how it ended.
    actions: Vec<Option<(u32, Settled)>>,
}

impl Summary {
    /// Takes in one event.
    pub fn observe(&mut self, event: &Event) {
        if let Event::Started { actions } = event {
            let all: usize = actions.iter().sum();
            self.actions
                .reserve_exact(all.saturating_sub(self.actions.len()));
        }
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
            self.actions.resize_with(*action + 1, || None);
        }
        let size = record
            .as_ref()
            .map_or(0, |r| r.outputs.iter().map(|o| o.size).sum());
        let settled = match outcome {
            Outcome::Hit => Settled::Hit(size),
            Outcome::Ran => Settled::Ran(Box::new(Figures {
                wall_s: record.as_ref().map_or(0.0, |r| r.wall_s),
                cpu_s: record.as_ref().map_or(0.0, |r| r.cpu_s),
                peak_rss: record.as_ref().map_or(0, |r| r.peak_rss),
                read_bytes: record.as_ref().map_or(0, |r| r.read_bytes),
                size,
            })),
            Outcome::Failed(_) => Settled::Failed,
            Outcome::Skipped => Settled::Skipped,
            Outcome::Vacant => return,
        };
        // What ran stays counted as run, even if the plan is gone through a second time.
        if matches!(settled, Settled::Hit(_)) && self.ran(*action) {
            return;
        }
        self.actions[*action] = Some((*stage as u32, settled));
    }

    /// Returns true if an action ran, rather than being a hit.
    pub fn ran(&self, action: usize) -> bool {
        matches!(self.actions.get(action), Some(Some((_, Settled::Ran(_)))))
    }

    /// The figures of one stage.
    pub fn stage(&self, stage: usize) -> StageSummary {
        let mut sum = StageSummary::default();
        let actions = self.actions.iter().flatten();
        for (_, settled) in actions.filter(|(of, _)| *of as usize == stage) {
            match settled {
                Settled::Hit(size) => {
                    sum.hit += 1;
                    sum.size += size;
                }
                Settled::Ran(used) => {
                    sum.ran += 1;
                    sum.size += used.size;
                    sum.wall_s += used.wall_s;
                    sum.cpu_s += used.cpu_s;
                    sum.peak_rss = sum.peak_rss.max(used.peak_rss);
                    sum.read_bytes += used.read_bytes;
                }
                Settled::Failed => sum.failed += 1,
                Settled::Skipped => sum.skipped += 1,
            }
        }
        sum
    }
}
