//! The held-out part of the training rows that early stopping looks at, and per-round row samples.

use super::LearnError;
use crate::numeric::rng::Stream;

/// Paths of the random streams, one for each use, so that no two uses share draws.
const HOLDOUT: u64 = 1;
const SUBSAMPLE: u64 = 2;

/// Splits the rows of classes `y` into (kept, held out), both ascending, stratified by class.
///
/// Of each class with `n` rows, `fraction * n` rounded are held out, at least 1 and at most `n - 1`. A
/// class of one row stays in the kept part. The split depends only on `seed` and the order of the rows.
///
/// # Errors
/// [`LearnError::Data`] when nothing can be held out.
pub fn holdout(
    y: &[usize],
    n_classes: usize,
    fraction: f64,
    seed: u64,
) -> Result<(Vec<usize>, Vec<usize>), LearnError> {
    let (mut kept, mut held) = (Vec::new(), Vec::new());
    for class in 0..n_classes {
        let mut rows: Vec<usize> = (0..y.len()).filter(|&r| y[r] == class).collect();
        Stream::new(seed, &[HOLDOUT, class as u64]).shuffle(&mut rows);
        let most = rows.len().saturating_sub(1);
        let take = ((fraction * rows.len() as f64).round() as usize)
            .max(1)
            .min(most);
        held.extend_from_slice(&rows[..take]);
        kept.extend_from_slice(&rows[take..]);
    }
    if held.is_empty() {
        return Err(LearnError::Data(format!(
            "early stopping cannot hold out rows: no class has two of the {} training rows",
            y.len()
        )));
    }
    kept.sort_unstable();
    held.sort_unstable();
    Ok((kept, held))
}

/// Draws the rows of boosting round `round`: `fraction` of `rows` (rounded, at least 1), without
/// replacement, ascending; all of them if `fraction` is 1.
pub fn subsample(rows: &[usize], fraction: f64, seed: u64, round: usize) -> Vec<usize> {
    let mut drawn = rows.to_vec();
    if fraction < 1.0 {
        Stream::new(seed, &[SUBSAMPLE, round as u64]).shuffle(&mut drawn);
        drawn.truncate(((fraction * rows.len() as f64).round() as usize).max(1));
        drawn.sort_unstable();
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holdout_is_a_stratified_partition() {
        let y: Vec<usize> = (0..103).map(|i| usize::from(i % 10 == 0)).collect();
        let (kept, held) = holdout(&y, 2, 0.2, 7).unwrap();
        let mut all = [kept.clone(), held.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..103).collect::<Vec<_>>());
        assert_eq!(held.iter().filter(|&&r| y[r] == 1).count(), 2);
        assert_eq!(held.len(), 2 + 18);
        assert_eq!(holdout(&y, 2, 0.2, 7).unwrap(), (kept, held.clone()));
        assert_ne!(holdout(&y, 2, 0.2, 8).unwrap().1, held);
    }

    #[test]
    fn rare_classes_stay_in_training() {
        let (kept, held) = holdout(&[0, 0, 0, 0, 1, 2, 2], 4, 0.1, 0).unwrap();
        assert!(kept.contains(&4), "the only row of class 1");
        assert_eq!(held.len(), 2, "one row each of classes 0 and 2: {held:?}");
        assert!(matches!(
            holdout(&[0, 1], 2, 0.5, 0),
            Err(LearnError::Data(_))
        ));
    }

    #[test]
    fn samples_differ_by_round_and_keep_their_size() {
        let rows: Vec<usize> = (5..105).collect();
        let a = subsample(&rows, 0.3, 1, 0);
        assert_eq!(a.len(), 30);
        assert!(a.is_sorted() && a.iter().all(|r| rows.contains(r)));
        assert_ne!(a, subsample(&rows, 0.3, 1, 1));
        assert_eq!(subsample(&rows, 1.0, 1, 0), rows);
    }
}
