//! A line on the terminal while bytes come from a remote outside of the passes of a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use flow_cache::Traffic;
use indicatif::{ProgressBar, ProgressStyle};

use crate::ui::Ui;
use crate::wording::bytes;

/// How often the line changes.
const TICK: Duration = Duration::from_millis(100);

/// The line. It is removed at the latest with this value.
pub struct FetchBar {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FetchBar {
    /// Shows what is being fetched, as long as anything is and if somebody watches.
    pub fn start(ui: &Ui, traffic: impl Fn() -> Traffic + Send + 'static) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        let thread = (ui.live && !ui.quiet).then(|| {
            std::thread::spawn(move || {
                let bar = spinner();
                while !stop.load(Ordering::Relaxed) {
                    let now = traffic();
                    if now.fetched_bytes < now.wanted_bytes {
                        let (came, all) = (bytes(now.fetched_bytes), bytes(now.wanted_bytes));
                        bar.set_message(format!("fetching from the remote: {came} of {all}"));
                        bar.tick();
                    }
                    std::thread::sleep(TICK);
                }
                bar.finish_and_clear();
            })
        });
        Self { over, thread }
    }

    /// Removes the line.
    pub fn end(self) {}
}

impl Drop for FetchBar {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been shown, and the line is not what matters.
            let _ = thread.join();
        }
    }
}

/// A line that somebody else fills.
pub fn spinner() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg}");
    // The template is a constant, so it parses; the fallback is indicatif's own style.
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::new_spinner().with_style(style)
}
