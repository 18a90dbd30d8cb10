//! Judges a survey of which few objects are shown, without holding all of those that have no label.

use std::collections::BTreeSet;
use std::path::Path;

use flow_engine::StageError;

use super::judged::{Judgement, Unshown};
use crate::table::Predictions;

/// Which objects without a label are shown, if there are many.
pub struct UnlabelledChoice<'a> {
    /// If there are no more than this, all of them are judged.
    pub all: usize,
    /// The number of candidates: the objects of the highest scores.
    pub candidates: usize,
    /// The number of objects at even steps of the scores.
    pub sampled: usize,
    /// The names of further objects.
    pub asked: &'a [String],
}

impl Judgement {
    /// Reads predictions and judges their objects as [`Judgement::of`] does. Of many objects without a label, those are
    /// judged that `choice` says, which takes 16 bytes for each of the others.
    ///
    /// # Errors
    /// If the file is unreadable, or as for [`Judgement::of`].
    pub fn read(predictions: &Path, choice: &UnlabelledChoice<'_>) -> Result<Self, StageError> {
        let labelled = Predictions::read_where(predictions, |rows, row| !is_unlabelled(rows, row))?;
        let scores = scores(predictions, &labelled)?;
        let Some(scores) = scores.filter(|scores| scores.len() > choice.all) else {
            return Self::of(&Predictions::read(predictions)?);
        };
        let order = ascending(&scores);
        let highest = first_of_list(&order, &scores, choice.candidates);
        let sampled = even_steps(&order, choice.sampled);
        let kept: BTreeSet<u32> = highest.into_iter().chain(sampled.iter().copied()).collect();
        let (mut next, mut unshown) = (0, Unshown::default());
        let rows = Predictions::read_where(predictions, |rows, row| {
            if !is_unlabelled(rows, row) {
                return true;
            }
            let place = next;
            next += 1;
            let id = &rows.object_id[row];
            if sampled.contains(&place) {
                unshown.sample.insert(id.clone());
            }
            let is_kept = kept.contains(&place) || choice.asked.contains(id);
            unshown.objects += usize::from(!is_kept);
            is_kept
        })?;
        Ok(Self {
            unshown,
            ..Self::of(&rows)?
        })
    }
}

/// Returns true for a row of the final fit whose class nobody knows.
fn is_unlabelled(rows: &Predictions, row: usize) -> bool {
    rows.fold[row].is_none() && rows.label[row].is_none()
}

/// The scores of the objects without a label, in the order of their names; `None` if the rows are in another order, or a
/// row is not all that there is of its object.
fn scores(predictions: &Path, labelled: &Predictions) -> Result<Option<Vec<f64>>, StageError> {
    let column = labelled.positive_column()?.map(|(column, _)| column);
    let known: BTreeSet<&str> = labelled.object_id.iter().map(String::as_str).collect();
    let (mut last, mut alone) = (None::<String>, true);
    let mut scores = Vec::new();
    Predictions::read_where(predictions, |rows, row| {
        if is_unlabelled(rows, row) {
            let id = &rows.object_id[row];
            alone &= last.as_ref().is_none_or(|last| last < id) && !known.contains(id.as_str());
            last = Some(id.clone());
            let columns = rows.probability.iter().map(|values| values[row]);
            scores.push(match column {
                Some(column) => rows.probability[column][row],
                None => columns.fold(0.0, f64::max),
            });
        }
        false
    })?;
    Ok(alone.then_some(scores))
}

/// The places of the scores, the lowest first. Places that tie keep their order.
fn ascending(scores: &[f64]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_by(|&a, &b| scores[a as usize].total_cmp(&scores[b as usize]));
    order
}

/// The first places of a list that has the highest scores first. Places that tie keep their order.
fn first_of_list(order: &[u32], scores: &[f64], most: usize) -> Vec<u32> {
    let runs = order.chunk_by(|&a, &b| scores[a as usize] == scores[b as usize]);
    runs.rev().flatten().take(most).copied().collect()
}

/// Some places at even steps of the scores.
fn even_steps(order: &[u32], some: usize) -> Vec<u32> {
    let n = some.min(order.len());
    (0..n)
        .map(|k| order[(2 * k + 1) * order.len() / (2 * n)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::judged::ListKind;
    use super::*;
    use crate::rows::testing::doubtful;

    fn file(table: &Predictions) -> flow_testkit::files::NamedTempFile {
        let mut bytes = Vec::new();
        table.write(&mut bytes).unwrap();
        flow_testkit::files::file_of(&bytes)
    }

    /// The names of the lists, of how many objects these are, and the names of the sample.
    type Shown = (Vec<(ListKind, Vec<String>, usize)>, Vec<String>);

    fn shown(judgement: &Judgement) -> Shown {
        let name = |&place: &usize| judgement.objects[place].id.clone();
        let lists = judgement.kinds().into_iter().map(|kind| {
            let list = judgement.list(kind, 7);
            (kind, list.objects.iter().map(name).collect(), list.of)
        });
        let sample = judgement.sample(5);
        (lists.collect(), sample.iter().map(name).collect())
    }

    #[test]
    fn what_is_shown_is_the_same_as_if_all_were_judged() {
        for (classes, ties) in [(1, false), (3, false), (3, true)] {
            let mut table = doubtful(2_000, classes);
            table.positive = table.positive.filter(|_| classes == 1);
            for (i, p) in table.probability[0].iter_mut().enumerate().filter(|_| ties) {
                *p = (i % 3) as f64 / 2.0;
            }
            let whole = Judgement::of(&table).unwrap();
            let asked = ["o02100".to_owned(), "nowhere".to_owned()];
            let choice = |all| UnlabelledChoice {
                all,
                candidates: 7,
                sampled: 5,
                asked: &asked,
            };
            let file = file(&table);
            let all = Judgement::read(file.path(), &choice(200)).unwrap();
            assert_eq!(all, whole);
            let few = Judgement::read(file.path(), &choice(199)).unwrap();
            assert!(few.objects.len() <= 2_000 + 7 + 5 + 1);
            assert_eq!(few.objects.len() + few.unshown.objects, 2_200);
            assert_eq!(shown(&few), shown(&whole));
            let of = |judgement: &Judgement| {
                let place = judgement.place("o02100").unwrap();
                judgement.objects[place].clone()
            };
            assert_eq!(of(&few), of(&whole));
        }
    }

    #[test]
    fn objects_of_several_rows_are_all_judged() {
        let none = UnlabelledChoice {
            all: 0,
            candidates: 1,
            sampled: 1,
            asked: &[],
        };
        let mut twice = doubtful(100, 1);
        twice.object_id[105] = "o00104".into();
        // A row of the final fit does not count for an object that a fold holds out.
        let mut held_out = doubtful(100, 1);
        held_out.object_id[100] = "o00099".into();
        for table in [twice, held_out] {
            let whole = Judgement::of(&table).unwrap();
            let file = file(&table);
            assert_eq!(Judgement::read(file.path(), &none).unwrap(), whole);
        }
    }
}
