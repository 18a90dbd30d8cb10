//! What actions use of the machine.
//!
//! The loops of all actions share one pool of threads, so no clock tells the actions of a process apart.
//! The meter reads the processor time of the whole process whenever an action starts or ends. It divides
//! what was used since the last reading equally among the actions that ran in between. The figure is exact
//! for an action that runs alone, and the sum over all actions is always right. An action that only waits
//! for a child process gets its share too.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The meter of this process.
pub static METER: Meter = Meter::new();

/// Divides processor time among the actions that run.
pub struct Meter(Mutex<MeterState>);

struct MeterState {
    running: usize,
    /// Processor time at the last reading, in seconds.
    read: f64,
    /// The seconds that an action would have got if it had run from the beginning to the last reading.
    each: f64,
}

impl MeterState {
    fn advance(&mut self, now: f64) -> f64 {
        if self.running > 0 {
            self.each += (now - self.read) / self.running as f64;
        }
        self.read = now;
        self.each
    }

    fn start(&mut self, now: f64) -> f64 {
        let from = self.advance(now);
        self.running += 1;
        from
    }

    fn stop(&mut self, now: f64) -> f64 {
        let to = self.advance(now);
        self.running -= 1;
        to
    }
}

impl Meter {
    const fn new() -> Self {
        Self(Mutex::new(MeterState {
            running: 0,
            read: 0.0,
            each: 0.0,
        }))
    }

    fn state(&self) -> MutexGuard<'_, MeterState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts an action. It ends when the returned value is dropped, at the latest.
    pub fn start(&self) -> Metered<'_> {
        let mut state = self.state();
        Metered {
            meter: self,
            from: state.start(process_cpu()),
            running: true,
        }
    }
}

/// A running action.
pub struct Metered<'m> {
    meter: &'m Meter,
    from: f64,
    running: bool,
}

impl Metered<'_> {
    /// Ends the action, and returns its share of processor time in seconds.
    pub fn stop(mut self) -> f64 {
        self.running = false;
        self.meter.state().stop(process_cpu()) - self.from
    }
}

impl Drop for Metered<'_> {
    fn drop(&mut self) {
        if self.running {
            self.meter.state().stop(process_cpu());
        }
    }
}

/// Returns the processor time of all threads of this process so far, in seconds, without its children.
pub fn process_cpu() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid timespec to write to; on failure it stays zero.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Returns the most memory that this process ever held, in bytes, or 0 if the system does not say.
/// (`getrusage` would give the parent's figure if the parent was larger.)
pub fn peak_rss() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.map_or(0, |kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_in_equal_shares_to_what_runs() {
        let mut state = MeterState {
            running: 0,
            read: 0.0,
            each: 0.0,
        };
        // The time before anything runs belongs to no action.
        let a = state.start(5.0);
        let b = state.start(7.0);
        let a = state.stop(10.0) - a;
        let b = state.stop(11.0) - b;
        assert_eq!((a, b), (2.0 + 1.5, 1.5 + 1.0));
        let c = state.start(20.0);
        assert_eq!(state.stop(20.5) - c, 0.5);
    }

    #[test]
    fn what_is_used_is_measured() {
        let meter = Meter::new();
        let (idle, busy) = (meter.start(), meter.start());
        drop(idle);
        let before = process_cpu();
        let mut sum = 0u64;
        while process_cpu() - before < 0.02 {
            sum = std::hint::black_box(sum.wrapping_mul(3) + 1);
        }
        assert!(busy.stop() >= 0.02);
        assert_eq!(meter.state().running, 0);
        if cfg!(target_os = "linux") {
            assert!(peak_rss() > 1 << 20);
        }
    }
}
