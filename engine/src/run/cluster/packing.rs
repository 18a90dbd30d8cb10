//! Packs actions into tasks by the time that they are expected to take, and tasks into batches by what they ask for.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Duration;

use flow_cache::{Record, Value};

use super::scheduler::TaskNeeds;

/// What it takes to begin an action, in seconds.
const BEGIN_S: f64 = 0.05;

/// The most actions of a step in flight while nothing is known of how long they take.
const PROBES: usize = 16;

/// The actions of a task while nothing is known of how long they take.
const PROBE_TASK: usize = 2;

/// The most actions of a task, however short they are.
const MOST_ACTIONS: usize = 2_000;

/// The time that a task may take besides its actions.
const MARGIN: Duration = Duration::from_secs(120);

/// The longest that actions wait for others while tasks run and none wait.
const HOLD: Duration = Duration::from_secs(30);

/// A kind and one of its steps.
pub(super) type Step = (String, String);

/// Actions of one sort take about the same time. Those of one step may not, if their stages differ.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sort {
    pub(super) step: Step,
    /// Name of the stage, with its variant.
    pub(super) stage: String,
}

/// How long actions take: for each, the sum of seconds and the number of actions.
#[derive(Default)]
pub(super) struct Estimates {
    steps: HashMap<Step, (f64, u32)>,
    /// What this run has seen.
    sorts: HashMap<Sort, (f64, u32)>,
}

impl Estimates {
    /// Learns from a record.
    pub(super) fn learn(&mut self, record: &Record) {
        let recipe = record.recipe();
        let text = |field: &str| match recipe.get(field) {
            Some(Value::Str(text)) => Some(text),
            _ => None,
        };
        if let (Some(kind), Some(step)) = (text("kind"), text("step")) {
            count(
                &mut self.steps,
                (kind, step),
                record.wall_s.max(record.cpu_s),
            );
        }
    }

    /// Learns that an action took this many seconds.
    pub(super) fn add(&mut self, sort: Sort, seconds: f64) {
        count(&mut self.steps, sort.step.clone(), seconds);
        count(&mut self.sorts, sort, seconds);
    }

    /// The seconds that an action of a sort takes, or else of its step, if any is known.
    pub(super) fn of(&self, sort: &Sort) -> Option<f64> {
        let known = self.sorts.get(sort).or_else(|| self.steps.get(&sort.step));
        known.map(|(sum, count)| sum / f64::from(*count))
    }
}

fn count<K: Eq + Hash>(known: &mut HashMap<K, (f64, u32)>, what: K, seconds: f64) {
    let (sum, count) = known.entry(what).or_default();
    *sum += seconds;
    *count += 1;
}

/// How long actions wait for others while tasks run. It is the longer the more `tasks` like theirs wait for a machine,
/// since a task that is submitted now would start after these.
pub(super) fn hold(task_time: Duration, tasks: usize) -> Duration {
    let tasks = u32::try_from(tasks).unwrap_or(u32::MAX);
    let each = (task_time / 20).min(HOLD);
    each.saturating_mul(tasks.saturating_add(1))
        .min(task_time / 2)
}

/// How long the actions of a task may take together. While no task like theirs waits for a machine, others may be free,
/// so shorter tasks are over sooner.
pub(super) fn filling(task_time: Duration, tasks: usize) -> Duration {
    match tasks {
        0 => task_time / 5,
        _ => task_time,
    }
}

/// An action that waits to be submitted.
#[derive(Clone, Debug)]
pub(super) struct Waiting<T> {
    pub(super) item: T,
    pub(super) sort: Sort,
    /// What it asks for; its time limit is its own.
    pub(super) needs: TaskNeeds,
}

/// Tasks that ask for the same.
#[derive(Debug, PartialEq)]
pub(super) struct Array<T> {
    pub(super) needs: TaskNeeds,
    /// The time limit of each action, if they have one.
    pub(super) each: Option<Duration>,
    pub(super) tasks: Vec<Vec<T>>,
}

/// What limits the packing.
pub(super) struct Limits<'a> {
    pub(super) task_time: Duration,
    /// How many tasks may be submitted now.
    pub(super) room: usize,
    /// The time limit of a task whose actions have none.
    pub(super) time: Option<Duration>,
    /// By step, the actions in flight of which nothing is known, and for how long the oldest has been.
    pub(super) probing: &'a HashMap<Step, (usize, Duration)>,
    pub(super) estimates: &'a Estimates,
}

/// Packs as much as fits. What does not fit stays in `queue`, in its order.
pub(super) fn pack<T>(queue: &mut Vec<Waiting<T>>, limits: &Limits<'_>) -> Vec<Array<T>> {
    let mut packer = Packer {
        limits,
        probes: HashMap::new(),
        open: BTreeMap::new(),
        tasks: 0,
    };
    let mut left = Vec::new();
    for waiting in std::mem::take(queue) {
        if let Some(waiting) = packer.place(waiting) {
            left.push(waiting);
        }
    }
    *queue = left;
    packer.open.into_values().map(|open| open.array).collect()
}

struct Packer<'a, T> {
    limits: &'a Limits<'a>,
    /// By step, the actions that this call has placed without knowing how long they take.
    probes: HashMap<Step, usize>,
    /// Arrays by what their tasks ask for.
    open: BTreeMap<(usize, u64, usize, Option<Duration>), Open<T>>,
    tasks: usize,
}

struct Open<T> {
    array: Array<T>,
    /// The seconds that the last task is expected to take.
    seconds: f64,
}

impl<T> Packer<'_, T> {
    /// Puts an action into a task, or gives it back.
    fn place(&mut self, waiting: Waiting<T>) -> Option<Waiting<T>> {
        let task_s = self.limits.task_time.as_secs_f64();
        let seconds = match self.expected(&waiting.sort, task_s) {
            Some(seconds) => seconds + BEGIN_S,
            None => return Some(waiting),
        };
        let needs = waiting.needs;
        // Each action of a task with a time limit has the same one, so that an array has one limit.
        let group = (needs.cpus, needs.memory, needs.gpus, needs.time);
        let full = self.open.get(&group).is_none_or(|open| {
            let last = open.array.tasks.last().map_or(0, Vec::len);
            last >= MOST_ACTIONS || (last > 0 && open.seconds + seconds > task_s)
        });
        if full && self.tasks >= self.limits.room {
            return Some(waiting);
        }
        let open = self.open.entry(group).or_insert_with(|| Open {
            array: Array {
                needs: TaskNeeds {
                    time: needs.time.map_or(self.limits.time, |_| None),
                    ..needs
                },
                each: needs.time,
                tasks: Vec::new(),
            },
            seconds: 0.0,
        });
        if full {
            open.array.tasks.push(Vec::new());
            open.seconds = 0.0;
            self.tasks += 1;
        }
        open.seconds += seconds;
        if let Some(task) = open.array.tasks.last_mut() {
            task.push(waiting.item);
            if let Some(each) = needs.time {
                let limit = each * task.len() as u32 + MARGIN;
                open.array.needs.time = open.array.needs.time.max(Some(limit));
            }
        }
        if self.limits.estimates.of(&waiting.sort).is_none() {
            *self.probes.entry(waiting.sort.step).or_default() += 1;
        }
        None
    }

    /// The seconds that an action may take in the packing. It is none if too many of its step are in flight already of
    /// which nothing is known.
    fn expected(&self, sort: &Sort, task_s: f64) -> Option<f64> {
        if let Some(seconds) = self.limits.estimates.of(sort) {
            return Some(seconds);
        }
        let (flying, since) = self
            .limits
            .probing
            .get(&sort.step)
            .copied()
            .unwrap_or_default();
        if flying > 0 && since.as_secs_f64() > task_s / 4.0 {
            // They take long, so each has a task of its own.
            return Some(task_s);
        }
        let placed = self.probes.get(&sort.step).copied().unwrap_or_default();
        (flying + placed < PROBES).then_some(task_s / PROBE_TASK as f64 - BEGIN_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sort(name: &str) -> Sort {
        Sort {
            step: (name.to_owned(), "step".to_owned()),
            stage: name.to_owned(),
        }
    }

    fn queue(name: &str, count: usize, needs: TaskNeeds) -> Vec<Waiting<usize>> {
        let waiting = |item| Waiting {
            item,
            sort: sort(name),
            needs,
        };
        (0..count).map(waiting).collect()
    }

    const ONE: TaskNeeds = TaskNeeds {
        cpus: 1,
        memory: 0,
        gpus: 0,
        time: None,
    };

    fn packed(
        queue: &mut Vec<Waiting<usize>>,
        estimates: &Estimates,
        probing: &[(&str, usize, u64)],
        room: usize,
    ) -> Vec<Array<usize>> {
        let probing = probing.iter();
        let probing = probing.map(|(name, n, s)| (sort(name).step, (*n, Duration::from_secs(*s))));
        pack(
            queue,
            &Limits {
                task_time: Duration::from_secs(600),
                room,
                time: None,
                probing: &probing.collect(),
                estimates,
            },
        )
    }

    #[test]
    fn short_actions_share_tasks_of_the_wanted_time() {
        let mut estimates = Estimates::default();
        estimates.add(sort("short"), 2.0);
        estimates.add(sort("short"), 3.9);
        let mut waiting = queue("short", 1_000, ONE);
        let arrays = packed(&mut waiting, &estimates, &[], 100);
        assert_eq!(arrays.len(), 1);
        let sizes: Vec<usize> = arrays[0].tasks.iter().map(Vec::len).collect();
        assert_eq!(sizes, [200, 200, 200, 200, 200]);
        let all: Vec<usize> = arrays[0].tasks.concat();
        assert!(
            waiting.is_empty() && all.into_iter().eq(0..1_000),
            "each once, in order"
        );
    }

    #[test]
    fn what_is_known_of_a_stage_goes_before_what_is_known_of_its_step() {
        let mut estimates = Estimates::default();
        let of_stage = |stage: &str| Sort {
            stage: stage.to_owned(),
            ..sort("fit")
        };
        assert_eq!(estimates.of(&of_stage("a")), None);
        estimates.add(of_stage("a"), 1.0);
        estimates.add(of_stage("b"), 29.0);
        let known = ["a", "b", "c"].map(|stage| estimates.of(&of_stage(stage)));
        assert_eq!(known, [Some(1.0), Some(29.0), Some(15.0)]);
    }

    #[test]
    fn a_long_action_has_a_task_of_its_own_and_no_more_tasks_than_there_is_room_for() {
        let mut estimates = Estimates::default();
        estimates.add(sort("long"), 3_000.0);
        let mut waiting = queue("long", 5, ONE);
        let arrays = packed(&mut waiting, &estimates, &[], 3);
        assert_eq!(arrays[0].tasks, [[0], [1], [2]]);
        assert_eq!(waiting.iter().map(|w| w.item).collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn of_unknown_actions_only_a_few_start() {
        let none = Estimates::default();
        let mut waiting = queue("new", 1_000, ONE);
        let arrays = packed(&mut waiting, &none, &[], 100);
        assert_eq!(arrays[0].tasks.len(), PROBES / PROBE_TASK);
        assert_eq!(waiting.len(), 1_000 - PROBES);
        // While these run, no others do. If they run for long, the others need not wait.
        assert!(packed(&mut waiting, &none, &[("new", PROBES, 10)], 100).is_empty());
        let arrays = packed(&mut waiting, &none, &[("new", PROBES, 200)], 100);
        assert_eq!(arrays[0].tasks.len(), 100);
        assert!(arrays[0].tasks.iter().all(|task| task.len() == 1));
    }

    #[test]
    fn tasks_are_shorter_while_none_wait() {
        let filled = [0, 1, 50].map(|tasks| filling(Duration::from_secs(600), tasks).as_secs());
        assert_eq!(filled, [120, 600, 600]);
    }

    #[test]
    fn actions_wait_longer_for_others_while_tasks_wait_for_machines() {
        let held = |task_s, tasks| hold(Duration::from_secs(task_s), tasks).as_secs_f64();
        assert_eq!(
            [held(600, 0), held(60, 0), held(6_000, 0)],
            [30.0, 3.0, 30.0]
        );
        assert_eq!([held(600, 3), held(60, 3)], [120.0, 12.0]);
        assert_eq!([held(600, 100), held(60, usize::MAX)], [300.0, 30.0]);
    }

    #[test]
    fn tasks_of_an_array_ask_for_the_same() {
        let mut estimates = Estimates::default();
        estimates.add(sort("a"), 1.0);
        let big = TaskNeeds {
            memory: 8 << 30,
            ..ONE
        };
        let mut waiting = queue("a", 2, ONE);
        waiting.extend(queue("a", 3, big));
        let arrays = packed(&mut waiting, &estimates, &[], 100);
        let shape = arrays
            .iter()
            .map(|array| (array.needs.memory, array.tasks.concat().len()));
        assert_eq!(shape.collect::<Vec<_>>(), [(0, 2), (8 << 30, 3)]);
    }

    #[test]
    fn the_time_limit_of_a_task_is_the_sum_of_its_actions() {
        let mut estimates = Estimates::default();
        estimates.add(sort("a"), 250.0);
        let limited = TaskNeeds {
            time: Some(Duration::from_secs(3_600)),
            ..ONE
        };
        let mut waiting = queue("a", 5, limited);
        let arrays = packed(&mut waiting, &estimates, &[], 100);
        assert_eq!(arrays[0].tasks.len(), 3);
        assert_eq!(
            (arrays[0].needs.time, arrays[0].each),
            (Some(Duration::from_secs(7_200) + MARGIN), limited.time)
        );
    }
}
