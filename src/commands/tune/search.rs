//! One study: generation by generation, each evaluated as one graph.

use flow_stages::tuning::{Best, TrialOutcome, TuningStudy};

use super::bench::{Bench, Found};
use super::problem::{Candidate, Part};
use super::render;
use crate::error::CliError;
use crate::record::TuneRecord;

/// A study that was made.
pub struct Searched {
    /// Points and outcomes.
    pub study: TuningStudy,
    /// By trial, its configuration.
    pub candidates: Vec<Candidate>,
    /// By trial, CPU seconds of a run of it alone with nothing in the store.
    pub cpu_s: Vec<f64>,
    /// CPU seconds that pruned trials would have cost on the folds that were left out, at the rate of
    /// those that were not: an estimate.
    pub saved_s: f64,
}

impl Searched {
    /// The best configuration, if anything could be evaluated.
    pub fn best(&self, bench: &Bench<'_>) -> Option<Candidate> {
        Some(match self.study.best()?.0 {
            Best::Base => bench.problem.base(),
            Best::Trial(number) => self.candidates[number].clone(),
        })
    }
}

/// Makes a study, of the labelled objects or of those that train in an outer fold.
///
/// `after` is called after each generation.
pub fn search(
    bench: &mut Bench<'_>,
    within: Option<usize>,
    after: &mut dyn FnMut(&Bench<'_>, &Searched) -> Result<(), CliError>,
) -> Result<Searched, CliError> {
    let problem = bench.problem;
    let base = problem.base();
    let mut found = bench.evaluate(std::slice::from_ref(&base), within, Part::Crossed, false)?;
    let base_found = found.remove(0);
    if let Err(message) = &base_found.scores {
        let line = format!("the pipeline as it is cannot be evaluated: {message}");
        bench.ui.warning(&line);
    }
    let mut same_folds = SameFolds(None);
    same_folds.check(&base_found);
    let base_scores = base_found.scores.ok();
    render::base(bench, within, base_scores.as_ref());
    let mut searched = Searched {
        study: TuningStudy::new(problem.design.clone(), base_scores),
        candidates: Vec::new(),
        cpu_s: Vec::new(),
        saved_s: 0.0,
    };
    loop {
        let points = searched.study.next_generation();
        if points.is_empty() {
            return Ok(searched);
        }
        let first = searched.candidates.len();
        let numbered = points.iter().enumerate();
        let candidates: Vec<Candidate> = numbered
            .map(|(i, point)| problem.candidate(first + i, point))
            .collect();
        let mut outcomes: Vec<Option<TrialOutcome>> = vec![None; candidates.len()];
        let mut cpu_s = vec![0.0; candidates.len()];
        for folds in problem.looks() {
            let Some((best, scores)) = searched.study.best() else {
                break;
            };
            let best_on_all = scores.pooled;
            let mut arms = vec![match best {
                Best::Base => base.clone(),
                Best::Trial(number) => searched.candidates[number].clone(),
            }];
            let alive = open(&outcomes);
            arms.extend(alive.iter().map(|&i| candidates[i].clone()));
            let mut found = bench.evaluate(&arms, within, Part::First(folds), false)?;
            let best = found.remove(0).scores;
            for (i, found) in alive.into_iter().zip(found) {
                cpu_s[i] = found.cpu_s;
                outcomes[i] = match (&found.scores, &best) {
                    (Err(message), _) => Some(TrialOutcome::Failed(message.clone())),
                    (Ok(scores), Ok(best)) => searched.study.race(scores, best, best_on_all),
                    // What is the best on all folds may have no value on the first ones.
                    (Ok(_), Err(_)) => None,
                };
                if let Some(TrialOutcome::Pruned { folds: done, .. }) = &mut outcomes[i] {
                    *done = folds;
                    let all = problem.folds.as_ref().map_or(folds, |f| f.names.len());
                    let left = all.saturating_sub(folds) as f64;
                    searched.saved_s += found.folds_cpu_s * left / folds as f64;
                }
            }
        }
        let alive = open(&outcomes);
        let arms: Vec<Candidate> = alive.iter().map(|&i| candidates[i].clone()).collect();
        let found = bench.evaluate(&arms, within, Part::Crossed, false)?;
        for (i, found) in alive.into_iter().zip(found) {
            cpu_s[i] = found.cpu_s;
            let same = same_folds.check(&found);
            outcomes[i] = Some(match found.scores {
                Ok(scores) if same => TrialOutcome::Complete(scores),
                Ok(_) => TrialOutcome::Failed(
                    "it was scored on other objects or folds than the pipeline as it is".into(),
                ),
                Err(message) => TrialOutcome::Failed(message),
            });
        }
        searched.candidates.extend(candidates);
        searched.cpu_s.extend(cpu_s);
        let outcomes = points.into_iter().zip(outcomes.into_iter().flatten());
        searched.study.tell(outcomes);
        render::generation(bench, within, &searched, first);
        after(bench, &searched)?;
    }
}

/// The trials of a generation whose outcome is open.
fn open(outcomes: &[Option<TrialOutcome>]) -> Vec<usize> {
    (0..outcomes.len())
        .filter(|&i| outcomes[i].is_none())
        .collect()
}

/// Scores can be compared on the same objects and folds only.
struct SameFolds(Option<flow_cache::Digest>);

impl SameFolds {
    /// True where the folds are those of the first evaluation that went well.
    fn check(&mut self, found: &Found) -> bool {
        let Some((folds, _)) = found.folds.as_ref().filter(|_| found.scores.is_ok()) else {
            return true;
        };
        *self.0.get_or_insert(*folds) == *folds
    }
}

/// What the run record keeps of a search.
pub fn record(bench: &Bench<'_>, searched: &Searched) -> TuneRecord {
    TuneRecord {
        objective: format!("{}.{}", bench.problem.stage, bench.problem.metric.key()),
        trials: searched.study.trials().len(),
        best: searched.study.best().map(|(_, scores)| scores.pooled),
    }
}
