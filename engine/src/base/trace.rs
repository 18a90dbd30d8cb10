//! Records where the time of a run goes, as Chrome trace events: a file that chrome://tracing and Perfetto
//! open. Clocks are read for this file alone; nothing else depends on what they say.
//!
//! A [`Track`] is a row of the picture, such as a worker. A [`Bar`] is a bar in it, which ends when it is
//! dropped. Without a trace both are empty, and names and figures are not even built.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flow_cache::{Lasting, NewFile, PLAIN};
use serde_json::{Map, Value as Json, json};

/// All events of a run so far.
pub struct Trace {
    started: Instant,
    state: Mutex<TraceState>,
}

#[derive(Default)]
struct TraceState {
    /// Names of tracks. The number of a track is its index here.
    tracks: Vec<String>,
    events: Vec<TraceEvent>,
}

struct TraceEvent {
    track: usize,
    name: String,
    at: Duration,
    what: EventKind,
    args: Map<String, Json>,
}

enum EventKind {
    Bar {
        category: &'static str,
        length: Duration,
    },
    Counter,
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

impl Trace {
    /// Starts a trace at time 0.
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            state: Mutex::default(),
        }
    }

    /// Returns the track of this name, and adds it if there is none.
    pub fn track(&self, name: &str) -> Track<'_> {
        let mut state = self.state();
        let known = state.tracks.iter().position(|track| track == name);
        let track = known.unwrap_or_else(|| {
            state.tracks.push(name.to_owned());
            state.tracks.len() - 1
        });
        Track(Some((self, track)))
    }

    /// A panic cannot leave the state half changed, since every change is one push.
    fn state(&self) -> MutexGuard<'_, TraceState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the events to a temporary file beside `path` and renames it. `process` is the name that
    /// people know the run by.
    pub fn write(&self, path: &Path, process: &str) -> io::Result<()> {
        let mut new = NewFile::create(PLAIN, path, 0o666)?;
        self.write_to(&mut new, process)?;
        Ok(new.publish(Lasting::Soon)?)
    }

    fn write_to(&self, file: &mut NewFile, process: &str) -> io::Result<()> {
        let mut file = BufWriter::new(file);
        let pid = std::process::id();
        let state = self.state();
        writeln!(file, "{{\"displayTimeUnit\": \"ms\", \"traceEvents\": [")?;
        let name = |what: &str, track: usize, name: &str| json!({"ph": "M", "name": what, "pid": pid, "tid": track, "args": {"name": name}});
        write!(file, "{}", name("process_name", 0, process))?;
        for (track, called) in state.tracks.iter().enumerate() {
            write!(file, ",\n{}", name("thread_name", track, called))?;
        }
        for event in &state.events {
            write!(file, ",\n{}", event.json(pid))?;
        }
        writeln!(file, "\n]}}")?;
        file.flush()
    }
}

impl TraceEvent {
    fn json(&self, pid: u32) -> Json {
        let micros = |time: Duration| time.as_nanos() as f64 / 1e3;
        let mut json = json!({
            "name": self.name,
            "pid": pid,
            "tid": self.track,
            "ts": micros(self.at),
            "args": self.args,
        });
        match &self.what {
            EventKind::Bar { category, length } => {
                json["ph"] = "X".into();
                json["cat"] = (*category).into();
                json["dur"] = micros(*length).into();
            }
            EventKind::Counter => json["ph"] = "C".into(),
        }
        json
    }
}

/// A row of the picture. It is empty for a run that keeps no trace.
#[derive(Clone, Copy, Default)]
pub struct Track<'t>(Option<(&'t Trace, usize)>);

impl<'t> Track<'t> {
    /// Returns the track `name` of a trace, or an empty one if there is no trace.
    pub fn of(trace: Option<&'t Trace>, name: impl FnOnce() -> String) -> Self {
        trace.map_or(Self(None), |trace| trace.track(&name()))
    }

    /// Starts a bar.
    pub fn span(self, category: &'static str, name: impl FnOnce() -> String) -> Bar<'t> {
        Bar(self.0.map(|(trace, track)| Open {
            trace,
            track,
            category,
            name: name(),
            at: trace.started.elapsed(),
            args: Map::new(),
        }))
    }

    /// Notes how many of some things there are from now on.
    pub fn count(self, name: &str, figures: &[(&str, usize)]) {
        let Some((trace, track)) = self.0 else { return };
        let args = figures
            .iter()
            .map(|(name, n)| ((*name).to_owned(), (*n).into()));
        let event = TraceEvent {
            track,
            name: name.to_owned(),
            at: trace.started.elapsed(),
            what: EventKind::Counter,
            args: args.collect(),
        };
        trace.state().events.push(event);
    }
}

/// A bar that ends when it is dropped.
pub struct Bar<'t>(Option<Open<'t>>);

struct Open<'t> {
    trace: &'t Trace,
    track: usize,
    category: &'static str,
    name: String,
    at: Duration,
    args: Map<String, Json>,
}

impl<'t> Bar<'t> {
    /// Adds a fact.
    pub fn arg<V: Into<Json>>(&mut self, name: &str, value: impl FnOnce() -> V) {
        if let Some(open) = &mut self.0 {
            open.args.insert(name.to_owned(), value().into());
        }
    }

    /// Ends the bar, and returns a handle for facts that are known only later.
    pub fn end(mut self) -> EndedBar<'t> {
        EndedBar(self.close())
    }

    fn close(&mut self) -> Option<(&'t Trace, usize)> {
        let open = self.0.take()?;
        let length = open.trace.started.elapsed().saturating_sub(open.at);
        let mut state = open.trace.state();
        state.events.push(TraceEvent {
            track: open.track,
            name: open.name,
            at: open.at,
            what: EventKind::Bar {
                category: open.category,
                length,
            },
            args: open.args,
        });
        Some((open.trace, state.events.len() - 1))
    }
}

impl Drop for Bar<'_> {
    fn drop(&mut self) {
        self.close();
    }
}

/// A bar that has ended.
#[derive(Clone, Copy)]
pub struct EndedBar<'t>(Option<(&'t Trace, usize)>);

impl EndedBar<'_> {
    /// Adds or replaces a fact.
    pub fn arg<V: Into<Json>>(self, name: &str, value: impl FnOnce() -> V) {
        if let Some((trace, index)) = self.0 {
            let value = value().into();
            trace.state().events[index]
                .args
                .insert(name.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_counters_and_names_are_written() {
        let trace = Trace::new();
        let one = trace.track("one");
        {
            let mut outer = one.span("action", || "outer".to_owned());
            outer.arg("key", || "k");
            drop(one.span("verify", || "inner".to_owned()));
            let outer = outer.end();
            outer.arg("outcome", || "ran");
        }
        trace.track("two").count("actions", &[("ready", 3)]);
        assert_eq!(trace.track("one").0.map(|t| t.1), Some(0));
        let dir = flow_testkit::files::folder();
        let path = dir.path().join("trace.json");
        trace.write(&path, "flow run x").unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        let json: Json = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let events = json["traceEvents"].as_array().unwrap();
        let phases: Vec<&str> = events.iter().map(|e| e["ph"].as_str().unwrap()).collect();
        assert_eq!(phases, ["M", "M", "M", "X", "X", "C"]);
        let (inner, outer) = (&events[3], &events[4]);
        assert_eq!(outer["args"], json!({"key": "k", "outcome": "ran"}));
        let end = |e: &Json| e["ts"].as_f64().unwrap() + e["dur"].as_f64().unwrap();
        assert!(outer["ts"].as_f64() <= inner["ts"].as_f64() && end(inner) <= end(outer));
        assert_eq!(events[5]["args"], json!({"ready": 3}));
    }

    #[test]
    fn without_a_trace_nothing_is_built() {
        let track = Track::of(None, || unreachable!());
        let mut span = track.span("action", || unreachable!());
        span.arg("key", || -> Json { unreachable!() });
        span.end().arg("outcome", || -> Json { unreachable!() });
        track.count("actions", &[]);
    }
}
