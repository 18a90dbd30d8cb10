//! How often programs are told of the progress of an action.

use std::time::{Duration, Instant};

use flow_engine::kind::Progress;

/// The pause between two reports of an action.
const PAUSE: Duration = Duration::from_millis(200);

/// Lets the reports of one action through: the first one, those of a finished action, and between them at most
/// five a second.
#[derive(Default)]
pub struct Pace(Option<Instant>);

impl Pace {
    /// Returns whether a report is to be passed on.
    pub fn lets(&mut self, progress: &Progress) -> bool {
        let last = progress.is_whole();
        if last {
            self.0 = None;
        }
        self.lets_more() || last
    }

    /// Returns whether a report that others will follow is to be passed on.
    pub fn lets_more(&mut self) -> bool {
        let due = self.0.is_none_or(|at| at.elapsed() > PAUSE);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_report_get_through() {
        let mut pace = Pace::default();
        let at = |done| Progress {
            done,
            total: 1000,
            figures: Vec::new(),
        };
        let started = Instant::now();
        let passed: Vec<u64> = (0..=1000).filter(|&done| pace.lets(&at(done))).collect();
        assert_eq!((passed.first(), passed.last()), (Some(&0), Some(&1000)));
        let most = 2 + (started.elapsed().as_secs_f64() / PAUSE.as_secs_f64()) as usize;
        assert!(passed.len() <= most, "{passed:?}");
    }
}
