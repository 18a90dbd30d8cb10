//! When the actions of a run ran. This is in a file of its own beside the record, because only a report needs it.

use serde::{Deserialize, Serialize, Serializer};

use super::ByName;

/// The actions that ran, by stage, in the order in which they ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunTimes(pub ByName<Vec<ActionTime>>);

/// When an action ran. It is written as a list of these five.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ActionTime {
    /// The action within its stage.
    pub label: String,
    /// Seconds from the start of the run to the start of the action.
    pub start_s: f64,
    /// Seconds from then to its end.
    pub wall_s: f64,
    /// Its CPU seconds.
    pub cpu_s: f64,
    /// True if it failed.
    pub failed: bool,
}

impl Serialize for ActionTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let [start, wall, cpu] = [self.start_s, self.wall_s, self.cpu_s].map(milliseconds);
        (&self.label, start, wall, cpu, self.failed).serialize(serializer)
    }
}

/// Seconds to the nearest millisecond.
fn milliseconds(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

impl RunTimes {
    /// Adds an action of a stage.
    pub fn push(&mut self, stage: &str, time: ActionTime) {
        match self.0.get_mut(stage) {
            Some(known) => known.push(time),
            None => self.0.push(stage.to_owned(), vec![time]),
        }
    }

    /// Returns true if no action ran.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short_and_are_read_again() {
        let mut times = RunTimes::default();
        let time = |label: &str, start_s| ActionTime {
            label: label.to_owned(),
            start_s,
            wall_s: 0.25,
            cpu_s: 0.5,
            failed: false,
        };
        times.push("model", time("fit 0.0", 1.0));
        times.push("evaluate", time("score", 2.0));
        times.push("model", time("fit 0.1", 1.000_49));
        let text = serde_json::to_string(&times).expect("JSON");
        assert_eq!(
            text,
            r#"{"model":[["fit 0.0",1.0,0.25,0.5,false],["fit 0.1",1.0,0.25,0.5,false]],"evaluate":[["score",2.0,0.25,0.5,false]]}"#
        );
        let read: RunTimes = serde_json::from_str(&text).expect("times");
        assert_eq!(serde_json::to_string(&read).expect("JSON"), text);
        assert!(RunTimes::default().is_empty() && !read.is_empty());
    }
}
