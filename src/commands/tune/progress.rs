//! The progress of a study: lines for people, and events.

use flow_stages::tuning::{Best, ObjectiveScores, TrialOutcome};

use super::bench::Bench;
use super::figures::{by_path, study_cost, study_figures, trial_figures};
use super::findings::{Findings, OuterFold, Searched};
use crate::error::Exit;
use crate::event::{
    BaseFinished, OuterFoldFinished, StudyFinished, StudyFinishedWord, StudyStarted, StudyStopped,
    TrialFinished, TrialFinishedWord,
};
use crate::record::Status;
use crate::render::table;
use crate::wording::count;

/// Reports that the study begins.
pub fn started(bench: &Bench<'_>) {
    let problem = bench.problem;
    let design = &problem.design;
    let axes: Vec<&str> = problem.axes.iter().map(|axis| axis.path.as_str()).collect();
    bench.ui.event(|| StudyStarted {
        run: bench.id.clone(),
        pipeline: problem.name.clone(),
        objective: bench.problem.objective(),
        direction: design.direction.name().to_owned(),
        sampler: bench.problem.tune.sampler.name().to_owned(),
        trials: design.trials,
        parallel: design.parallel,
        space: axes.iter().copied().map(str::to_owned).collect(),
    });
    bench.ui.progress(&format!(
        "study of `{}`: {} of {}, to {} {} ({}, {} at a time)",
        problem.name,
        count(design.trials, "trial"),
        axes.join(", "),
        design.direction.name(),
        bench.problem.objective(),
        bench.problem.tune.sampler.name(),
        design.parallel,
    ));
}

/// Reports that the pipeline as it is was evaluated.
pub fn base(bench: &Bench<'_>, within: Option<usize>, scores: Option<&ObjectiveScores>) {
    bench.ui.event(|| BaseFinished {
        within,
        value: scores.map(|scores| scores.pooled),
    });
    let value = scores.map_or("failed".into(), |scores| table::figure(Some(scores.pooled)));
    bench
        .ui
        .progress(&format!("{}as it is: {value}", place(within)));
}

fn place(within: Option<usize>) -> String {
    within.map_or(String::new(), |fold| format!("within fold {fold}, "))
}

/// Reports the end of a generation of trials, those from number `first` on.
pub fn generation(bench: &Bench<'_>, within: Option<usize>, searched: &Searched, first: usize) {
    let best = searched.study.best();
    for (number, trial) in searched.study.trials().iter().enumerate().skip(first) {
        let candidate = &searched.candidates[number];
        bench.ui.event(|| TrialFinished {
            trial: trial_figures(bench, searched, number),
            event: TrialFinishedWord::TrialFinished,
            within,
            cpu_s: searched.cpu_s[number],
            best: best.map(|(_, scores)| scores.pooled),
        });
        let what = match &trial.outcome {
            TrialOutcome::Complete(scores) => table::figure(Some(scores.pooled)),
            TrialOutcome::Pruned { folds, .. } => format!("pruned after {}", count(*folds, "fold")),
            TrialOutcome::Failed(_) => "failed".into(),
        };
        let star = match best {
            Some((Best::Trial(best), _)) if best == number => ", the best so far",
            _ => "",
        };
        let line = format!(
            "{}trial {number}: {what}{star} ({})",
            place(within),
            candidate.text(&bench.problem.axes)
        );
        bench.ui.progress(&line);
        if let TrialOutcome::Failed(message) = &trial.outcome {
            bench.ui.warning(&format!(
                "{}trial {number} failed: {message}",
                place(within)
            ));
        }
    }
}

/// Reports the end of the study within an outer fold.
pub fn outer_fold(bench: &Bench<'_>, fold: usize, outer: &OuterFold) {
    bench.ui.event(|| OuterFoldFinished {
        fold,
        inner: outer.inner,
        values: by_path(&outer.chosen.values),
    });
}

/// Reports that the study ended early.
pub fn stopped(bench: &Bench<'_>, exit: Exit) {
    let status = match exit {
        Exit::Interrupted => Status::Interrupted,
        _ => Status::Failed,
    };
    bench.ui.event(|| StudyStopped {
        status,
        pipeline: bench.problem.name.clone(),
        run: bench.id.clone(),
    });
}

/// Sends the last event of a study.
pub fn finished(bench: &Bench<'_>, findings: &Findings, wall_s: f64) {
    bench.ui.event(|| StudyFinished {
        found: study_figures(bench, findings),
        event: StudyFinishedWord::StudyFinished,
        status: Status::Ok,
        run: bench.id.clone(),
        wall_s,
        cost: study_cost(bench, findings),
    });
}
