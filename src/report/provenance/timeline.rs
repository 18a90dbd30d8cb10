//! Which actions ran when, and what they cost, in few enough numbers to be drawn.
//!
//! The records do not say which worker ran an action. So the actions are dealt to as few lanes as there were
//! actions at the same time, each to the first lane that is free.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::record::{ActionTime, RunTimes};

/// The most actions that have a bar of their own: the longest ones.
const BARS: usize = 500;
/// The parts of the run in which the other actions of a stage and a lane are drawn as one bar.
const PARTS: usize = 150;
/// The points of a curve of CPU seconds.
const POINTS: usize = 80;
/// The most stages that have a color of their own: those that cost most.
const COLORS: usize = 7;
/// By how much two actions of a lane may overlap, in seconds.
const SLACK_S: f64 = 0.005;
/// The longest actions that are named.
const NAMED: usize = 10;

/// A timeline, for a script that draws it. Times are in seconds from the start of the run.
#[derive(Debug, PartialEq, Serialize)]
pub struct Timeline {
    /// The stages that ran actions, in the order of the pipeline.
    pub stages: Vec<String>,
    /// By stage, its color, or `None` for those that share the last one.
    pub colors: Vec<Option<usize>>,
    /// The number of lanes.
    pub lanes: usize,
    /// When the last action ended.
    pub end_s: f64,
    /// The bars.
    pub bars: Vec<TimelineBar>,
    /// The times of the points of [`Timeline::cpu_s`].
    pub times_s: Vec<f64>,
    /// By stage, the CPU seconds that it had used by each time.
    pub cpu_s: Vec<Vec<f64>>,
    /// The number of actions.
    #[serde(skip)]
    pub actions: usize,
    /// The longest actions: stage, label, wall seconds and CPU seconds.
    #[serde(skip)]
    pub longest: Vec<(String, String, f64, f64)>,
}

/// An action, or several of one stage. It is written as a list of its fields.
#[derive(Clone, Debug, PartialEq)]
pub struct TimelineBar {
    /// The lane.
    pub lane: usize,
    /// The number of the stage.
    pub stage: usize,
    /// When it begins.
    pub start_s: f64,
    /// When it ends.
    pub end_s: f64,
    /// The actions.
    pub actions: usize,
    /// The label of a single one.
    pub label: Option<String>,
}

impl Serialize for TimelineBar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let times = [self.start_s, self.end_s].map(rounded);
        (self.lane, self.stage, times, self.actions, &self.label).serialize(serializer)
    }
}

/// An action in a lane.
struct Placed<'a> {
    lane: usize,
    stage: usize,
    time: &'a ActionTime,
}

impl Placed<'_> {
    fn end(&self) -> f64 {
        self.time.start_s + self.time.wall_s
    }
}

/// Makes a timeline of the actions that ran, if any did. `order` has the names of all stages.
pub fn timeline(times: &RunTimes, order: &[&str]) -> Option<Timeline> {
    let mut stages: Vec<&(String, Vec<ActionTime>)> = times.0.iter().collect();
    // Stages that the record does not know come last.
    let place = |name: &str| order.iter().position(|known| *known == name);
    stages.sort_by_key(|(name, _)| place(name).unwrap_or(usize::MAX));
    let all = deal(&stages);
    let end_s = all.iter().map(Placed::end).fold(0.0, f64::max);
    let cpu = |stage: usize| -> f64 { stages[stage].1.iter().map(|time| time.cpu_s).sum() };
    let mut by_cost: Vec<usize> = (0..stages.len()).collect();
    by_cost.sort_by(|a, b| cpu(*b).total_cmp(&cpu(*a)));
    let mut shown: Vec<usize> = by_cost.into_iter().take(COLORS).collect();
    shown.sort_unstable();
    let colors = (0..stages.len()).map(|stage| shown.iter().position(|known| *known == stage));
    let mut longest: Vec<&Placed<'_>> = all.iter().collect();
    longest.sort_by(|a, b| b.time.wall_s.total_cmp(&a.time.wall_s));
    let named = longest.iter().take(NAMED).map(|placed| {
        let (name, _) = stages[placed.stage];
        let ActionTime {
            label,
            wall_s,
            cpu_s,
            ..
        } = placed.time;
        (name.clone(), label.clone(), *wall_s, *cpu_s)
    });
    let least = longest.get(BARS).map_or(0.0, |placed| placed.time.wall_s);
    (!all.is_empty()).then(|| Timeline {
        stages: stages.iter().map(|(name, _)| name.clone()).collect(),
        colors: colors.collect(),
        lanes: all.iter().map(|placed| placed.lane + 1).max().unwrap_or(0),
        end_s: rounded(end_s),
        bars: bars(&all, least, end_s),
        times_s: (0..=POINTS)
            .map(|at| rounded(end_s * at as f64 / POINTS as f64))
            .collect(),
        cpu_s: stages.iter().map(|(_, times)| used(times, end_s)).collect(),
        actions: all.len(),
        longest: named.collect(),
    })
}

/// Deals the actions of all stages to lanes, in the order of their starts.
fn deal<'a>(stages: &[&'a (String, Vec<ActionTime>)]) -> Vec<Placed<'a>> {
    let actions = stages.iter().enumerate();
    let actions =
        actions.flat_map(|(stage, (_, times))| times.iter().map(move |time| (stage, time)));
    let mut actions: Vec<(usize, &ActionTime)> = actions.collect();
    actions.sort_by(|(_, a), (_, b)| a.start_s.total_cmp(&b.start_s));
    let mut free: Vec<f64> = Vec::new();
    let mut placed = Vec::with_capacity(actions.len());
    for (stage, time) in actions {
        // Times are rounded to milliseconds, and an action starts a moment after the run has sent it to a worker. So
        // the end of one may lie behind the start of the next.
        let lane = free.iter().position(|end| *end <= time.start_s + SLACK_S);
        let lane = lane.unwrap_or_else(|| {
            free.push(0.0);
            free.len() - 1
        });
        free[lane] = time.start_s + time.wall_s;
        placed.push(Placed { lane, stage, time });
    }
    placed
}

/// A bar for each action that is longer than `least`. What the others of a stage and a lane did in a part of the
/// run becomes one bar.
fn bars(all: &[Placed<'_>], least: f64, end_s: f64) -> Vec<TimelineBar> {
    let mut bars = Vec::new();
    let mut short: BTreeMap<(usize, usize, usize), TimelineBar> = BTreeMap::new();
    for placed in all {
        let start_s = placed.time.start_s;
        let mut bar = TimelineBar {
            lane: placed.lane,
            stage: placed.stage,
            start_s,
            end_s: placed.end(),
            actions: 1,
            label: None,
        };
        if placed.time.wall_s > least || all.len() <= BARS {
            bar.label = Some(placed.time.label.clone());
            bars.push(bar);
            continue;
        }
        let part = start_s / end_s.max(f64::MIN_POSITIVE) * PARTS as f64;
        let joined = short.entry((placed.lane, placed.stage, part as usize));
        // It is as long as the actions were together, without the gaps between them.
        joined
            .and_modify(|joined| {
                joined.end_s += placed.time.wall_s;
                joined.actions += 1;
            })
            .or_insert(bar);
    }
    bars.extend(short.into_values());
    bars
}

/// The CPU seconds that actions had used by each point of the run, each evenly while it ran.
fn used(times: &[ActionTime], end_s: f64) -> Vec<f64> {
    let by = |now: f64| -> f64 {
        let parts = times.iter().map(|time| {
            let part = (now - time.start_s) / time.wall_s.max(1e-9);
            time.cpu_s * part.clamp(0.0, 1.0)
        });
        parts.sum()
    };
    let points = 0..=POINTS;
    points
        .map(|at| rounded(by(end_s * at as f64 / POINTS as f64)))
        .collect()
}

/// To a millisecond.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(label: &str, start_s: f64, wall_s: f64, cpu_s: f64) -> ActionTime {
        ActionTime {
            label: label.to_owned(),
            start_s,
            wall_s,
            cpu_s,
            failed: false,
        }
    }

    #[test]
    fn actions_are_dealt_to_the_first_free_lane() {
        let mut times = RunTimes::default();
        times.push("model", time("fit 1", 1.0, 2.0, 4.0));
        times.push("model", time("fit 0", 1.0, 1.0, 1.0));
        times.push("ingest", time("read", 0.0, 1.0, 0.5));
        times.push("model", time("apply", 2.0, 1.0, 1.0));
        let made = timeline(&times, &["ingest", "model"]).expect("a timeline");
        assert_eq!(made.stages, ["ingest", "model"]);
        assert_eq!((made.lanes, made.end_s, made.actions), (2, 3.0, 4));
        let bars: Vec<_> = made
            .bars
            .iter()
            .map(|bar| (bar.lane, bar.stage, bar.start_s, bar.end_s))
            .collect();
        assert_eq!(
            bars,
            [
                (0, 0, 0.0, 1.0),
                (0, 1, 1.0, 3.0),
                (1, 1, 1.0, 2.0),
                (1, 1, 2.0, 3.0)
            ]
        );
        assert_eq!((made.cpu_s[0][POINTS], made.cpu_s[1][POINTS]), (0.5, 6.0));
        assert_eq!(made.cpu_s[1][0], 0.0);
        assert_eq!(made.longest[0].1, "fit 1");
        assert_eq!(made.colors, [Some(0), Some(1)]);
        assert_eq!(timeline(&RunTimes::default(), &[]), None);
    }

    #[test]
    fn ten_thousand_actions_become_few_bars_and_none_is_lost() {
        let mut times = RunTimes::default();
        for at in 0..10_000 {
            let stage = format!("stage_{}", at % 20);
            let start = f64::from(at / 16) * 0.1;
            let wall = if at % 1000 == 0 { 0.099 } else { 0.05 };
            times.push(&stage, time(&at.to_string(), start, wall, 0.05));
        }
        let made = timeline(&times, &[]).expect("a timeline");
        assert_eq!((made.lanes, made.actions), (16, 10_000));
        assert_eq!(
            made.bars.iter().map(|bar| bar.actions).sum::<usize>(),
            10_000
        );
        assert!(made.bars.len() < 10_000, "{}", made.bars.len());
        assert_eq!(made.colors.iter().flatten().count(), COLORS);
        let total: f64 = made.cpu_s.iter().map(|used| used[POINTS]).sum();
        assert!((total - 500.0).abs() < 0.1, "{total}");
        // The longest ones have their own bars.
        let single = made.bars.iter().filter(|bar| bar.label.is_some());
        assert_eq!(single.count(), 10);
    }

    #[test]
    fn an_instant_run_has_a_timeline_too() {
        let mut times = RunTimes::default();
        for at in 0..600 {
            times.push("a", time(&at.to_string(), 0.0, 0.0, 0.0));
        }
        let made = timeline(&times, &["a"]).expect("a timeline");
        assert!(
            made.bars
                .iter()
                .all(|bar| bar.start_s.is_finite() && bar.end_s.is_finite())
        );
        assert_eq!(made.end_s, 0.0);
    }
}
