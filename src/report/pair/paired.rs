//! The evaluations that two runs have in common, compared object by object.

use flow_engine::StageError;
use flow_engine::kind::spec::FOLDS;
use flow_stages::comparison::{
    Arm, Comparison, ComparisonOptions, KeptScores, Pair, PairedDifference, Sides, compare, sides,
};
use flow_stages::evaluation::Metric;

use super::super::Recorded;
use crate::wording::count;

/// One evaluation in two runs.
pub struct Paired {
    /// The name of the stage, of both if they differ.
    pub stage: String,
    /// The differences, if the scores can be paired.
    pub comparison: Option<Comparison>,
    /// The objects that are classified otherwise.
    pub sides: Option<Sides>,
    /// What people should know, or why something is missing.
    pub notes: Vec<String>,
    /// Differences within this do not matter.
    pub margin: f64,
}

impl Paired {
    /// The difference in a metric.
    pub fn found(&self, metric: Metric) -> Option<&PairedDifference> {
        self.comparison.as_ref()?.metrics.get(&metric)
    }
}

/// Compares the evaluations of two runs that have the same name. Where each run has only one, they are
/// compared whatever they are called.
///
/// # Errors
/// The store cannot be read.
pub fn paired(first: &Recorded<'_>, second: &Recorded<'_>) -> Result<Vec<Paired>, StageError> {
    let (a, b) = (first.of_kind("evaluate"), second.of_kind("evaluate"));
    let names: Vec<(&str, &str)> = match (&a[..], &b[..]) {
        ([a], [b]) => vec![(a, b)],
        _ => (a.iter().filter(|name| b.contains(name)))
            .map(|name| (*name, *name))
            .collect(),
    };
    let pairs = names.into_iter().map(|(a, b)| {
        let mut pair = Paired {
            stage: if a == b {
                a.to_owned()
            } else {
                format!("{a} and {b}")
            },
            comparison: None,
            sides: None,
            notes: Vec::new(),
            margin: ComparisonOptions::default().margin,
        };
        let arms = [arm(first, a)?, arm(second, b)?];
        match arms {
            [Ok(a), Ok(b)] => pair.compare(&a, &b),
            [a, b] => {
                let notes = [a.err(), b.err()].into_iter().flatten();
                pair.notes.extend(notes);
            }
        }
        Ok(pair)
    });
    pairs.collect()
}

/// The scores of an evaluation, or why there are none.
fn arm(run: &Recorded<'_>, stage: &str) -> Result<Result<Arm, String>, StageError> {
    let lost = |what: &str| {
        format!(
            "The store no longer has the {what} of `{stage}` in run {}. `flow run` with the same options makes them again.",
            run.id
        )
    };
    let Some((from, port)) = run.inputs(stage, "predictions").first().copied() else {
        return Ok(Err(format!(
            "The record of run {} does not say what `{stage}` reads.",
            run.id
        )));
    };
    let parts = run.parts(from, port)?;
    let Some([predictions]) = parts.as_deref() else {
        return Ok(Err(lost("predictions")));
    };
    let above = run.upstream(stage);
    let mut tables = above.iter().flat_map(|stage| {
        let ports = run.ports(stage).filter(|(_, port)| port.ty == FOLDS);
        ports.map(move |(port, _)| (*stage, port))
    });
    let folds = match tables.next() {
        Some((stage, port)) => match run.parts(stage, port)?.as_deref() {
            Some([part]) => Some(part.path.clone()),
            _ => return Ok(Err(lost("table of folds"))),
        },
        None => None,
    };
    Ok(Arm::read(stage, &predictions.path, folds.as_deref()).map_err(|error| error.message))
}

impl Paired {
    fn compare(&mut self, a: &Arm, b: &Arm) {
        let options = ComparisonOptions::default();
        let found = match a.comparable(b) {
            Ok(()) => compare(a, std::slice::from_ref(b), &options),
            // On the objects in common, as `flow check` does it.
            Err(_) => Pair::new(&KeptScores::of(a), b).and_then(|pair| {
                self.notes.extend(of_pair(&pair));
                compare(&pair.base, std::slice::from_ref(&pair.now), &options)
            }),
        };
        match found {
            Ok(mut found) => self.comparison = found.pop(),
            Err(error) => self.notes.push(format!("Not compared: {}.", error.message)),
        }
        if self.comparison.is_some() {
            self.sides = Some(sides(a, b));
        }
    }
}

/// What people should know of scores that come from other folds or objects.
fn of_pair(pair: &Pair) -> Vec<String> {
    let mut notes = vec![
        "The folds or the objects are not the same, so part of the difference is the luck of the deal. Scores are compared on the objects that both runs have."
            .to_owned(),
    ];
    for (n, what) in [
        (pair.gone, "only in A"),
        (pair.appeared, "only in B"),
        (pair.relabelled, "of another class in B"),
    ] {
        if n > 0 {
            notes.push(format!("{} {what}: left out.", count(n, "object")));
        }
    }
    notes
}
