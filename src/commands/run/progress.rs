//! Shows the progress of a run: on a terminal, one line with a bar for each running stage, or else a
//! plain line for each action that ran. A run in which nothing runs draws nothing and starts no thread.

use std::collections::BTreeMap;
use std::time::Duration;

use flow_cache::Traffic;
use flow_engine::explain::Reason;
use flow_engine::kind::Progress;
use flow_engine::plan::Plan;
use flow_engine::run::event::{Event, Outcome, SubmittedBatch};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::screen::Screen;
use crate::render::reason;
use crate::ui::Ui;
use crate::ui::escape::escaped;
use crate::wording::{bytes, count, figure, seconds};

/// Steps of a bar for each action.
const STEPS: u64 = 1000;

/// Follows the events of a run on stderr.
pub struct RunProgress<'a> {
    ui: &'a Ui,
    plan: &'a Plan<'a>,
    /// Whether each action has settled.
    settled: Vec<bool>,
    /// The progress of each stage.
    stages: Vec<StageProgress>,
    bars: Option<MultiProgress>,
    /// The line of the remote.
    remote: Option<ProgressBar>,
    /// True once the run is stopping. No bar is drawn any more, so that whatever ends the run leaves a
    /// clean screen.
    stopping: bool,
}

#[derive(Default)]
struct StageProgress {
    settled: usize,
    ran: usize,
    wall_s: f64,
    /// The running actions.
    running: BTreeMap<usize, RunningAction>,
    /// The seconds that an action took in an earlier run, from the last action whose record names one.
    earlier_s: Option<f64>,
    bar: Option<ProgressBar>,
}

/// A running action.
#[derive(Default)]
struct RunningAction {
    label: String,
    /// What it last reported.
    progress: Progress,
}

impl<'a> RunProgress<'a> {
    /// A run of which nothing has happened yet.
    pub fn new(ui: &'a Ui, plan: &'a Plan<'a>) -> Self {
        Self {
            ui,
            plan,
            settled: vec![false; plan.len()],
            stages: plan
                .pipeline
                .stages
                .iter()
                .map(|_| StageProgress::default())
                .collect(),
            bars: None,
            remote: None,
            stopping: false,
        }
    }

    /// Handles one event.
    pub fn observe(&mut self, event: &Event) {
        match event {
            Event::Started { .. } => {}
            Event::ActionStarted {
                action,
                stage,
                reason,
            } => {
                let label = self.plan.label(*action);
                if self.ui.verbose {
                    let why = reason::text(reason);
                    self.line(&format!("{}: {label} starts ({why})", self.name(*stage)));
                }
                let progress = &mut self.stages[*stage];
                progress.running.insert(
                    *action,
                    RunningAction {
                        label,
                        progress: Progress::default(),
                    },
                );
                if let Reason::Changed(changed) = reason {
                    progress.earlier_s = Some(changed.earlier.wall_s);
                }
                self.draw(*stage);
            }
            Event::Progress {
                action,
                stage,
                progress,
            } => {
                if let Some(running) = self.stages[*stage].running.get_mut(action) {
                    running.progress.clone_from(progress);
                }
                self.draw(*stage);
            }
            Event::ActionFinished {
                action,
                stage,
                outcome,
                record,
            } => {
                let wall_s = record.as_ref().map_or(0.0, |record| record.wall_s);
                self.settle(*action, *stage, outcome, wall_s);
                self.say(*action, *stage, outcome, wall_s);
                self.draw(*stage);
            }
            Event::Traffic(traffic) => self.draw_traffic(traffic),
            Event::Stopping { running } => self.stop(*running),
            Event::BatchSubmitted(batch) => self.line(&submitted(batch)),
            Event::Warning { message } => match &self.bars {
                Some(bars) => bars.suspend(|| self.ui.warning(message)),
                None => self.ui.warning(message),
            },
        }
    }

    /// Draws nothing more, and says what is waited for.
    fn stop(&mut self, running: usize) {
        self.finish();
        self.stopping = true;
        self.ui.progress(&match running {
            0 => "stopping; again to stop now".to_owned(),
            n => format!(
                "stopping after {}; again to stop now",
                count(n, "running action")
            ),
        });
    }

    fn name(&self, stage: usize) -> &str {
        &self.plan.pipeline.stages[stage].name
    }

    fn settle(&mut self, action: usize, stage: usize, outcome: &Outcome, wall_s: f64) {
        let progress = &mut self.stages[stage];
        progress.running.remove(&action);
        // Actions settle again if a run goes through the plan a second time.
        if !std::mem::replace(&mut self.settled[action], true) {
            progress.settled += 1;
        }
        if matches!(outcome, Outcome::Ran) {
            progress.ran += 1;
            progress.wall_s += wall_s;
        }
    }

    fn say(&self, action: usize, stage: usize, outcome: &Outcome, wall_s: f64) {
        let name = self.name(stage);
        let label = || self.plan.label(action);
        match outcome {
            Outcome::Ran if !self.ui.live || self.ui.verbose => {
                self.line(&format!("{name}: {} ran in {}", label(), seconds(wall_s)));
            }
            Outcome::Failed(_) => self.line(&format!("{name}: {} failed", label())),
            Outcome::Hit if self.ui.verbose => self.line(&format!("{name}: {} hit", label())),
            _ => {}
        }
    }

    fn line(&self, line: &str) {
        match &self.bars {
            Some(bars) => bars.suspend(|| self.ui.progress(line)),
            None => self.ui.progress(line),
        }
    }

    /// Draws the bar of a stage, or removes it once nothing of the stage is left.
    fn draw(&mut self, stage: usize) {
        if !self.ui.live || self.ui.quiet || self.stopping {
            return;
        }
        let total = self.plan.of_stage(stage).len();
        let progress = &mut self.stages[stage];
        if progress.running.is_empty() && progress.settled >= total {
            if let Some(bar) = progress.bar.take() {
                bar.finish_and_clear();
                if progress.ran > 0 {
                    let ran = count(progress.ran, "action");
                    let took = seconds(progress.wall_s);
                    self.line(&format!("{}: {ran} ran in {took}", self.name(stage)));
                }
            }
            return;
        }
        if progress.bar.is_none() && !progress.running.is_empty() {
            let bars = self.bars.get_or_insert_with(new_bars);
            progress.bar = Some(bars.add(new_bar(&self.plan.pipeline.stages[stage].name, total)));
        }
        if let Some(bar) = &progress.bar {
            let parts = progress.parts();
            bar.set_position(progress.settled as u64 * STEPS + (parts * STEPS as f64) as u64);
            let last = progress.running.values().next_back();
            if last.is_some_and(|last| !last.progress.figures.is_empty()) {
                bar.set_style(bar_style(NARROW));
            }
            let last = last.map_or_else(|| "waiting".to_owned(), RunningAction::text);
            let last = escaped(&last);
            let left = match progress.left_s(total) {
                Some(left) => format!(", about {} left", seconds(left)),
                None => String::new(),
            };
            bar.set_message(format!("{}/{total}: {last}{left}", progress.settled));
        }
    }

    /// Draws what is on its way from the remote and to it, as long as anything is.
    fn draw_traffic(&mut self, traffic: &Traffic) {
        if !self.ui.live || self.ui.quiet || self.stopping {
            return;
        }
        let fetching = traffic.fetched_bytes < traffic.wanted_bytes;
        if !fetching && traffic.waiting == 0 {
            if let Some(bar) = self.remote.take() {
                bar.finish_and_clear();
            }
            return;
        }
        let mut parts = Vec::new();
        if fetching {
            let (came, all) = (traffic.fetched_bytes, traffic.wanted_bytes);
            parts.push(format!("fetching {} of {}", bytes(came), bytes(all)));
        }
        if traffic.waiting > 0 {
            let records = count(traffic.waiting as usize, "record");
            parts.push(format!("writing {records}"));
        }
        let bars = self.bars.get_or_insert_with(new_bars);
        let bar = self.remote.get_or_insert_with(|| {
            let style = bar_style("{prefix:>16} {wide_msg}");
            bars.add(ProgressBar::new(1).with_style(style).with_prefix("remote"))
        });
        bar.set_message(parts.join(", "));
    }

    /// Removes all bars.
    pub fn finish(&mut self) {
        if let Some(bar) = self.remote.take() {
            bar.finish_and_clear();
        }
        for stage in &mut self.stages {
            if let Some(bar) = stage.bar.take() {
                bar.finish_and_clear();
            }
        }
        self.bars = None;
    }
}

impl RunningAction {
    /// Its label, and the figures that it last reported: `fit 0.3 12/100 loss 0.0213`.
    fn text(&self) -> String {
        let Progress {
            done,
            total,
            figures,
        } = &self.progress;
        let mut text = self.label.clone();
        if !figures.is_empty() {
            text += &format!(" {done}/{total}");
        }
        for (name, value) in figures {
            text += &format!(" {name} {}", figure(*value));
        }
        text
    }
}

impl StageProgress {
    /// The sum of the parts of the running actions that are done.
    fn parts(&self) -> f64 {
        let running = self.running.values();
        running.map(|running| running.progress.part()).sum()
    }

    /// Estimates the seconds that are left, if as many actions go on running at a time as do now. It
    /// uses the time that an action took so far in this run, or else in an earlier one.
    fn left_s(&self, total: usize) -> Option<f64> {
        let each = match self.ran {
            0 => self.earlier_s?,
            n => self.wall_s / n as f64,
        };
        let left = total.saturating_sub(self.settled) as f64 - self.parts();
        Some(each * left.max(0.0) / self.running.len().max(1) as f64)
    }
}

/// The template of a bar, in columns.
const WIDE: &str = "{prefix:>12} [{bar:24}] {elapsed:>4} {wide_msg}";
/// That of a stage whose actions report figures. These say how far it is, and need the columns of a bar.
const NARROW: &str = "{prefix:>12} {elapsed:>4} {wide_msg}";

fn new_bars() -> MultiProgress {
    let screen = Box::<Screen>::default();
    MultiProgress::with_draw_target(ProgressDrawTarget::term_like_with_hz(screen, 20))
}

fn bar_style(template: &str) -> ProgressStyle {
    // The templates are constants, so they parse; the fallback is indicatif's own style.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

fn new_bar(name: &str, total: usize) -> ProgressBar {
    let bar = ProgressBar::new(total as u64 * STEPS)
        .with_style(bar_style(WIDE))
        .with_prefix(name.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// What people hear of a batch.
fn submitted(batch: &SubmittedBatch) -> String {
    let id = batch
        .id
        .as_ref()
        .map_or(String::new(), |id| format!(" as {id}"));
    let what = match batch.attached {
        true => "an earlier run left with",
        false => "given to",
    };
    format!(
        "batch {} {what} {}{id}: {} in {}",
        batch.batch,
        batch.scheduler,
        count(batch.actions, "action"),
        count(batch.tasks, "task"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(label: &str, done: u64, figures: &[(&str, f64)]) -> RunningAction {
        let figures = figures.iter();
        RunningAction {
            label: label.to_owned(),
            progress: Progress {
                done,
                total: 10,
                figures: figures.map(|&(name, n)| (name.to_owned(), n)).collect(),
            },
        }
    }

    #[test]
    fn figures_are_behind_the_label() {
        assert_eq!(running("fit 0.3", 5, &[]).text(), "fit 0.3");
        let figures = [("loss", 0.021_34), ("validation_loss", f64::NAN)];
        assert_eq!(
            running("fit 0.3", 5, &figures).text(),
            "fit 0.3 5/10 loss 0.02134 validation_loss -"
        );
    }

    #[test]
    fn both_losses_of_a_fit_are_within_80_columns() {
        let figures = [("loss", 0.021_34), ("validation_loss", 0.033_45)];
        let text = running("fit final", 5, &figures).text();
        let line = NARROW
            .replace("{prefix:>12}", &format!("{:>12}", "model"))
            .replace("{elapsed:>4}", &format!("{:>4}", "12m"))
            .replace("{wide_msg}", &format!("3/6: {text}"));
        // `Screen` keeps three columns free.
        assert!(!line.contains('{') && line.len() <= 77, "{line}");
        assert!(
            line.ends_with("loss 0.02134 validation_loss 0.03345"),
            "{line}"
        );
    }

    #[test]
    fn what_is_left_goes_by_this_run_and_else_by_an_earlier_one() {
        let mut stage = StageProgress::default();
        stage.running.insert(0, running("a", 0, &[]));
        assert_eq!(stage.left_s(10), None);
        stage.earlier_s = Some(3.0);
        assert_eq!(stage.left_s(10), Some(30.0));
        stage.running.insert(1, running("b", 5, &[]));
        assert_eq!(stage.left_s(10), Some(14.25));
        (stage.ran, stage.settled, stage.wall_s) = (4, 6, 8.0);
        assert_eq!(stage.left_s(10), Some(3.5));
        (stage.settled, stage.running) = (10, BTreeMap::new());
        assert_eq!(stage.left_s(10), Some(0.0));
    }
}
