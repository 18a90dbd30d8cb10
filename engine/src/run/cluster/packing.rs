//! Packs actions into tasks by the time that they are expected to take, and tasks into batches by what they ask for.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use flow_cache::{Record, Value};

use super::scheduler::TaskNeeds;

/// What it takes to begin an action, in seconds.
const BEGIN_S: f64 = 0.05;

/// The most actions of a sort in flight while nothing is known of how long they take.
const PROBES: usize = 16;

/// The actions of a task while nothing is known of how long they take.
const PROBE_TASK: usize = 2;

/// The most actions of a task, however short they are.
const MOST_ACTIONS: usize = 2_000;

/// The time that a task may take besides its actions.
const MARGIN: Duration = Duration::from_secs(120);

/// A kind and one of its steps: actions of one sort take about the same time.
pub(super) type Sort = (String, String);

/// How long actions take, by their sort.
#[derive(Default)]
pub(super) struct Estimates {
    /// Sum of seconds and number of actions.
    known: HashMap<Sort, (f64, u32)>,
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
            self.add((kind, step), record.wall_s.max(record.cpu_s));
        }
    }

    /// Learns that an action took this many seconds.
    pub(super) fn add(&mut self, sort: Sort, seconds: f64) {
        let (sum, count) = self.known.entry(sort).or_default();
        *sum += seconds;
        *count += 1;
    }

    /// The seconds that an action of a sort takes, if any of its sort is known.
    pub(super) fn of(&self, sort: &Sort) -> Option<f64> {
        let (sum, count) = self.known.get(sort)?;
        Some(sum / f64::from(*count))
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
    pub(super) tasks: Vec<Vec<T>>,
}

/// What limits the packing.
pub(super) struct Limits<'a> {
    pub(super) task_time: Duration,
    /// How many tasks may be submitted now.
    pub(super) room: usize,
    /// The time limit of a task whose actions have none.
    pub(super) time: Option<Duration>,
    /// By sort, the actions in flight of which nothing is known, and for how long the oldest has been.
    pub(super) probing: &'a HashMap<Sort, (usize, Duration)>,
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
    /// By sort, the actions that this call has placed without knowing how long they take.
    probes: HashMap<Sort, usize>,
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
            *self.probes.entry(waiting.sort).or_default() += 1;
        }
        None
    }

    /// The seconds that an action may take in the packing. It is none if too many of its sort are in flight already of
    /// which nothing is known.
    fn expected(&self, sort: &Sort, task_s: f64) -> Option<f64> {
        if let Some(seconds) = self.limits.estimates.of(sort) {
            return Some(seconds);
        }
        let (flying, since) = self.limits.probing.get(sort).copied().unwrap_or_default();
        if flying > 0 && since.as_secs_f64() > task_s / 4.0 {
            // They take long, so each has a task of its own.
            return Some(task_s);
        }
        let placed = self.probes.get(sort).copied().unwrap_or_default();
        (flying + placed < PROBES).then_some(task_s / PROBE_TASK as f64 - BEGIN_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sort(name: &str) -> Sort {
        (name.to_owned(), "step".to_owned())
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
        let probing = probing.map(|(name, n, s)| (sort(name), (*n, Duration::from_secs(*s))));
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
            arrays[0].needs.time,
            Some(Duration::from_secs(7_200) + MARGIN)
        );
    }
}
