//! One search, generation by generation. Each generation is evaluated as one graph.

use flow_stages::tuning::{Point, TrialOutcome, TuningStudy};

use super::bench::{Bench, Evaluated};
use super::findings::Searched;
use super::problem::{Candidate, Coverage};
use super::progress;
use crate::error::CliError;
use crate::record::TuneRecord;

/// Makes a search with the scores of the labelled objects, or of those that train in an outer fold.
///
/// `after` is called after each generation.
pub fn search(
    bench: &mut Bench<'_>,
    within: Option<usize>,
    after: &mut dyn FnMut(&Bench<'_>, &Searched) -> Result<(), CliError>,
) -> Result<Searched, CliError> {
    let mut search = RunningSearch::begin(bench, within)?;
    while let Some(mut generation) = search.next_generation() {
        search.race(&mut generation)?;
        search.complete(&mut generation)?;
        let first = search.searched.candidates.len();
        search.take(generation);
        progress::generation(search.bench, within, &search.searched, first);
        after(search.bench, &search.searched)?;
    }
    Ok(search.searched)
}

/// A search in progress.
struct RunningSearch<'s, 'a> {
    bench: &'s mut Bench<'a>,
    within: Option<usize>,
    same_folds: SameFolds,
    searched: Searched,
}

/// The trials that are proposed together.
struct Generation {
    points: Vec<Point>,
    candidates: Vec<Candidate>,
    /// The outcome of each trial, or `None` while it is open.
    outcomes: Vec<Option<TrialOutcome>>,
    cpu_s: Vec<f64>,
}

impl Generation {
    /// The open trials, with their configurations.
    fn open(&self) -> (Vec<usize>, Vec<Candidate>) {
        let open = (0..self.outcomes.len()).filter(|&trial| self.outcomes[trial].is_none());
        open.map(|trial| (trial, self.candidates[trial].clone()))
            .unzip()
    }
}

impl<'s, 'a> RunningSearch<'s, 'a> {
    /// Evaluates the pipeline as it is.
    fn begin(bench: &'s mut Bench<'a>, within: Option<usize>) -> Result<Self, CliError> {
        let problem = bench.problem;
        let mut found = bench.evaluate(&[problem.base()], within, Coverage::Crossed, false)?;
        let base = found.remove(0);
        if let Err(message) = &base.scores {
            let line = format!("the pipeline as it is cannot be evaluated: {message}");
            bench.ui.warning(&line);
        }
        let mut same_folds = SameFolds(None);
        same_folds.check(&base);
        let folds = base.folds.as_ref().map(|(digest, _)| *digest);
        let scores = base.scores.ok();
        progress::base(bench, within, scores.as_ref());
        Ok(Self {
            bench,
            within,
            same_folds,
            searched: Searched {
                study: TuningStudy::new(problem.design.clone(), scores),
                candidates: Vec::new(),
                cpu_s: Vec::new(),
                saved_s: 0.0,
                folds: folds.into_iter().collect(),
            },
        })
    }

    /// The next trials, or `None` after the last ones.
    fn next_generation(&self) -> Option<Generation> {
        let points = self.searched.study.next_generation();
        if points.is_empty() {
            return None;
        }
        let first = self.searched.candidates.len();
        let numbered = points.iter().enumerate();
        Some(Generation {
            candidates: numbered
                .map(|(i, point)| self.bench.problem.candidate(first + i, point))
                .collect(),
            outcomes: vec![None; points.len()],
            cpu_s: vec![0.0; points.len()],
            points,
        })
    }

    /// Evaluates trials on the first folds, then on more, and stops those that fall behind the best
    /// configuration so far.
    fn race(&mut self, generation: &mut Generation) -> Result<(), CliError> {
        for folds in self.bench.problem.looks() {
            let Some((_, scores)) = self.searched.study.best() else {
                break;
            };
            let best_on_all = scores.pooled;
            let (open, candidates) = generation.open();
            let best = self.searched.best(self.bench);
            let arms: Vec<Candidate> = best.into_iter().chain(candidates).collect();
            let part = Coverage::First(folds);
            let mut found = self.bench.evaluate(&arms, self.within, part, false)?;
            let best = found.remove(0).scores;
            for (trial, found) in open.into_iter().zip(found) {
                generation.cpu_s[trial] = found.cpu_s;
                let mut outcome = match (&found.scores, &best) {
                    (Err(message), _) => Some(TrialOutcome::Failed(message.clone())),
                    (Ok(scores), Ok(best)) => self.searched.study.race(scores, best, best_on_all),
                    // The configuration that is best on all folds may have no value on the first ones.
                    (Ok(_), Err(_)) => None,
                };
                if let Some(TrialOutcome::Pruned { folds: done, .. }) = &mut outcome {
                    *done = folds;
                    self.searched.saved_s += self.saved_s(&found, folds);
                }
                generation.outcomes[trial] = outcome;
            }
        }
        Ok(())
    }

    /// What a trial that was stopped after `folds` folds would have cost on the others.
    fn saved_s(&self, found: &Evaluated, folds: usize) -> f64 {
        let all = self.bench.problem.folds.as_ref();
        let all = all.map_or(folds, |all| all.names.len());
        found.folds_cpu_s * all.saturating_sub(folds) as f64 / folds as f64
    }

    /// Evaluates the trials that are still open on all folds.
    fn complete(&mut self, generation: &mut Generation) -> Result<(), CliError> {
        let (open, arms) = generation.open();
        let found = self
            .bench
            .evaluate(&arms, self.within, Coverage::Crossed, false)?;
        for (trial, found) in open.into_iter().zip(found) {
            generation.cpu_s[trial] = found.cpu_s;
            let same = self.same_folds.check(&found);
            if same && self.within.is_none() {
                let folds = found.folds.as_ref().map(|(digest, _)| *digest);
                self.searched.folds.extend(folds);
            }
            generation.outcomes[trial] = Some(match found.scores {
                Ok(scores) if same => TrialOutcome::Complete(scores),
                Ok(_) => TrialOutcome::Failed(
                    "it was scored on other objects, positives or folds than the pipeline as it is"
                        .into(),
                ),
                Err(message) => TrialOutcome::Failed(message),
            });
        }
        Ok(())
    }

    /// Adds a generation in which no trial is open.
    fn take(&mut self, generation: Generation) {
        self.searched.candidates.extend(generation.candidates);
        self.searched.cpu_s.extend(generation.cpu_s);
        let outcomes = generation.outcomes.into_iter().flatten();
        let outcomes = generation.points.into_iter().zip(outcomes);
        self.searched.study.tell(outcomes);
    }
}

/// The deal of the first evaluation. Scores can be compared only on the same objects, positives and folds.
struct SameFolds(Option<String>);

impl SameFolds {
    /// Returns true if the folds are those of the first evaluation that went well.
    fn check(&mut self, found: &Evaluated) -> bool {
        let Some((folds, _)) = found.folds.as_ref().filter(|_| found.scores.is_ok()) else {
            return true;
        };
        let deal = found.deal.clone().unwrap_or_else(|| folds.to_string());
        *self.0.get_or_insert_with(|| deal.clone()) == deal
    }
}

/// The part of the run record about a search.
pub fn record(bench: &Bench<'_>, searched: &Searched) -> TuneRecord {
    TuneRecord {
        objective: bench.problem.objective(),
        trials: searched.study.trials().len(),
        best: searched.study.best().map(|(_, scores)| scores.pooled),
    }
}
