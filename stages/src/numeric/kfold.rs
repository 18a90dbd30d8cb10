//! Assignment of rows to cross-validation folds.
//!
//! The rules are scikit-learn's, so that without shuffling the folds equal those of
//! `StratifiedKFold`, `StratifiedGroupKFold` and `GroupKFold`. Shuffled folds have the same class
//! counts but draw from the counter-based [`Stream`]. Each repeat (and class) has a stream of its own,
//! so that repeat r does not depend on how many repeats there are.
//!
//! The result depends on the order of the rows, so callers first sort them by a stable id.

use super::rng::Stream;
use std::collections::BTreeMap;
use std::fmt;

/// Why rows cannot be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoldError {
    /// Cross-validation needs at least two folds.
    TooFewFolds {
        /// The number of folds that was asked for.
        k: usize,
    },
    /// There are fewer rows than folds.
    TooFewRows {
        /// The number of rows.
        rows: usize,
        /// The number of folds that was asked for.
        k: usize,
    },
    /// There are fewer distinct groups than folds. A group is never divided.
    TooFewGroups {
        /// The number of distinct groups.
        groups: usize,
        /// The number of folds that was asked for.
        k: usize,
    },
    /// A label or group is missing for some rows.
    Lengths {
        /// The number of rows with a label.
        labels: usize,
        /// The number of rows with a group.
        groups: usize,
    },
}

impl fmt::Display for FoldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FoldError::TooFewFolds { k } => write!(f, "k = {k}, but at least 2 folds are needed"),
            FoldError::TooFewRows { rows, k } => {
                write!(f, "{rows} rows cannot be split into {k} folds")
            }
            FoldError::TooFewGroups { groups, k } => {
                write!(
                    f,
                    "{groups} groups cannot be split into {k} folds: groups stay whole"
                )
            }
            FoldError::Lengths { labels, groups } => {
                write!(f, "{labels} rows have a label and {groups} a group")
            }
        }
    }
}

impl std::error::Error for FoldError {}

/// The folds that the rows are dealt to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The fold that holds each row out: `0..k`.
    pub folds: Vec<u32>,
    /// The number of rows of the rarest class that occurs. If it is below k, some folds lack that
    /// class.
    pub smallest_class: usize,
}

/// How to shuffle: the seed, and which repeat of the splitting this is.
pub type Shuffle = (u64, u64);

/// Splits rows into `k` folds that have nearly the same share of every class. With `groups`, rows of
/// a group stay in one fold, at the cost of less even shares.
///
/// `labels` has a class number for each row, `groups` any number that identifies the row's group.
/// Groups are taken in the order of these numbers. Without `shuffle`, rows are dealt in their given
/// order.
pub fn assign(
    labels: &[usize],
    groups: Option<&[usize]>,
    k: usize,
    shuffle: Option<Shuffle>,
) -> Result<Assignment, FoldError> {
    check_rows(labels.len(), k)?;
    let (classes, counts) = numbered(labels);
    let folds = match groups {
        None => stratified(&classes, &counts, k, shuffle),
        Some(groups) => stratified_by_group(&classes, &counts, groups, k, shuffle)?,
    };
    Ok(Assignment {
        folds,
        smallest_class: counts.into_iter().min().unwrap_or(0),
    })
}

fn check_rows(rows: usize, k: usize) -> Result<(), FoldError> {
    if k < 2 {
        Err(FoldError::TooFewFolds { k })
    } else if rows < k {
        Err(FoldError::TooFewRows { rows, k })
    } else {
        Ok(())
    }
}

/// scikit-learn's `StratifiedKFold`: the labels, in blocks by class, are dealt to the folds in turn,
/// which fixes how many rows of each class a fold has; a class's rows then fill the folds in row
/// order, or shuffled. Blocks come in the order in which classes first appear, so that renaming
/// classes moves no row.
fn stratified(classes: &[usize], counts: &[usize], k: usize, shuffle: Option<Shuffle>) -> Vec<u32> {
    let mut slots: Vec<Option<std::vec::IntoIter<u32>>> = vec![None; counts.len()];
    let (mut blocks, mut dealt) = (0, 0);
    let mut next_fold = |&class: &usize| {
        let slots = slots[class].get_or_insert_with(|| {
            let block = dealt..dealt + counts[class];
            dealt = block.end;
            let mut folds: Vec<u32> = block.map(|i| (i % k) as u32).collect();
            folds.sort_unstable();
            if let Some((seed, repeat)) = shuffle {
                Stream::new(seed, &[repeat, blocks]).shuffle(&mut folds);
            }
            blocks += 1;
            folds.into_iter()
        });
        slots.next()
    };
    // A class has as many slots as rows, so that every row gets one.
    classes.iter().filter_map(&mut next_fold).collect()
}

/// scikit-learn's `StratifiedGroupKFold`: groups with the most uneven class counts first, each to the
/// fold where it leaves the class shares of the folds most even. Repeats after the first take the groups in
/// random orders ([`most_even_deal`]).
fn stratified_by_group(
    classes: &[usize],
    class_counts: &[usize],
    groups: &[usize],
    k: usize,
    shuffle: Option<Shuffle>,
) -> Result<Vec<u32>, FoldError> {
    if groups.len() != classes.len() {
        let (labels, groups) = (classes.len(), groups.len());
        return Err(FoldError::Lengths { labels, groups });
    }
    let n_classes = class_counts.len();
    let (groups, sizes) = numbered_groups(groups, k)?;
    let n_groups = sizes.len();
    let mut in_group = vec![0.0; n_groups * n_classes];
    for (&group, &class) in groups.iter().zip(classes) {
        in_group[group * n_classes + class] += 1.0;
    }
    let counts = |group: usize| &in_group[group * n_classes..][..n_classes];
    let spread: Vec<f64> = (0..n_groups)
        .map(|group| deviation(counts(group).iter().copied()))
        .collect();
    let deal = |order: &[usize]| {
        let mut in_fold = vec![vec![0.0; n_classes]; k];
        let mut fold_of = vec![0; n_groups];
        for &group in order {
            let best = best_fold(&in_fold, class_counts, counts(group));
            for (total, count) in in_fold[best].iter_mut().zip(counts(group)) {
                *total += count;
            }
            fold_of[group] = best as u32;
        }
        (fold_of, unevenness(&in_fold, class_counts, |_, _| 0.0))
    };
    let fold_of = match shuffle {
        Some((seed, repeat @ 1..)) => most_even_deal(n_groups, seed, repeat, deal),
        first => {
            let mut order = group_order(n_groups, first);
            order.sort_by(|&a, &b| spread[b].total_cmp(&spread[a]));
            deal(&order).0
        }
    };
    Ok(groups.iter().map(|&group| fold_of[group]).collect())
}

/// Deals the groups in several random orders, and returns the most even of the deals. The order by spread would
/// deal nearly the same folds in every repeat, because only groups of equal spread change places.
fn most_even_deal(
    n_groups: usize,
    seed: u64,
    repeat: u64,
    deal: impl Fn(&[usize]) -> (Vec<u32>, f64),
) -> Vec<u32> {
    const ORDERS: u64 = 8;
    let mut best = (Vec::new(), f64::INFINITY);
    for order in 0..ORDERS {
        let mut groups: Vec<usize> = (0..n_groups).collect();
        Stream::new(seed, &[repeat, order]).shuffle(&mut groups);
        let dealt = deal(&groups);
        if best.0.is_empty() || dealt.1 < best.1 {
            best = dealt;
        }
    }
    best.0
}

/// Returns the fold in which a group's rows leave the shares of the classes most even, so that the mean
/// over classes of the deviation of the folds' shares is least. If nearly tied, it is the fold with the
/// fewest rows.
fn best_fold(in_fold: &[Vec<f64>], class_counts: &[usize], group: &[f64]) -> usize {
    let mut best = (0, f64::INFINITY, f64::INFINITY);
    for fold in 0..in_fold.len() {
        let unevenness = unevenness(in_fold, class_counts, |f, class| {
            if f == fold { group[class] } else { 0.0 }
        });
        let rows: f64 = in_fold[fold].iter().sum();
        // The tolerance of numpy's `isclose`, which scikit-learn uses here.
        let tied = (unevenness - best.1).abs() <= 1e-8 + 1e-5 * best.1.abs();
        if unevenness < best.1 || (tied && rows < best.2) {
            best = (fold, unevenness, rows);
        }
    }
    best.0
}

/// The mean over classes of the deviation of the folds' shares, with `added` rows of a class in a fold.
fn unevenness(
    in_fold: &[Vec<f64>],
    class_counts: &[usize],
    added: impl Fn(usize, usize) -> f64 + Copy,
) -> f64 {
    let of_class = |(class, &count): (usize, &usize)| {
        let folds = in_fold.iter().enumerate();
        deviation(folds.map(|(f, totals)| (totals[class] + added(f, class)) / count as f64))
    };
    let sum: f64 = class_counts.iter().enumerate().map(of_class).sum();
    sum / class_counts.len() as f64
}

/// The population standard deviation.
fn deviation(values: impl ExactSizeIterator<Item = f64> + Clone) -> f64 {
    let n = values.len() as f64;
    let mean = values.clone().sum::<f64>() / n;
    (values.map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt()
}

/// Renumbers `values` without gaps in ascending order, and returns the rows of each number.
fn numbered(values: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let mut numbers: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    for &value in values {
        numbers.entry(value).or_default().1 += 1;
    }
    for (number, entry) in numbers.values_mut().enumerate() {
        entry.0 = number;
    }
    (
        values.iter().map(|value| numbers[value].0).collect(),
        numbers.values().map(|&(_, rows)| rows).collect(),
    )
}

/// Returns [`numbered`] groups, of which there must be at least `k`.
fn numbered_groups(groups: &[usize], k: usize) -> Result<(Vec<usize>, Vec<usize>), FoldError> {
    let (groups, sizes) = numbered(groups);
    match sizes.len() {
        found if found < k => Err(FoldError::TooFewGroups { groups: found, k }),
        _ => Ok((groups, sizes)),
    }
}

/// The order in which groups that are otherwise equal are taken.
fn group_order(n_groups: usize, shuffle: Option<Shuffle>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n_groups).collect();
    if let Some((seed, repeat)) = shuffle {
        Stream::new(seed, &[repeat]).shuffle(&mut order);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const FIXTURE: &str = include_str!("../../tests/fixtures/kfold.json");

    fn oracle() -> Value {
        serde_json::from_str(FIXTURE).unwrap()
    }

    fn integers(value: &Value) -> Vec<usize> {
        let integers = value.as_array().unwrap().iter();
        integers.map(|v| v.as_u64().unwrap() as usize).collect()
    }

    /// The rows of each fold.
    fn members(folds: &[u32], k: u32) -> Vec<Vec<usize>> {
        let rows = |fold| (0..folds.len()).filter(|&row| folds[row] == fold).collect();
        (0..k).map(rows).collect()
    }

    /// Labels of three classes, the last of which has three rows only.
    fn labels() -> Vec<usize> {
        (0..103)
            .map(|i| {
                if i % 40 == 7 {
                    9
                } else {
                    usize::from(i % 5 == 0)
                }
            })
            .collect()
    }

    #[test]
    fn folds_in_row_order_equal_scikit_learn() {
        let oracle = oracle();
        let (y, groups) = (integers(&oracle["y"]), integers(&oracle["groups"]));
        let expected = |name: &str| {
            let folds = oracle[name].as_array().unwrap().iter();
            folds.map(integers).collect::<Vec<_>>()
        };
        let plain = assign(&y, None, 5, None).unwrap();
        assert_eq!(members(&plain.folds, 5), expected("stratified_5_noshuffle"));
        assert_eq!(plain.smallest_class, 4);
        let grouped = assign(&y, Some(&groups), 5, None).unwrap();
        assert_eq!(
            members(&grouped.folds, 5),
            expected("stratified_group_5_noshuffle")
        );
    }

    #[test]
    fn uneven_cases_equal_scikit_learn() {
        for case in oracle()["cases"].as_array().unwrap() {
            let (y, groups) = (integers(&case["y"]), integers(&case["groups"]));
            let k = case["k"].as_u64().unwrap() as usize;
            let plain = assign(&y, None, k, None).unwrap().folds;
            assert_eq!(serde_json::json!(plain), case["stratified"]);
            let grouped = assign(&y, Some(&groups), k, None).unwrap().folds;
            assert_eq!(serde_json::json!(grouped), case["stratified_group"]);
        }
    }

    #[test]
    fn shuffled_folds_have_the_class_counts_of_unshuffled_ones() {
        let labels = labels();
        let class_counts = |shuffle| {
            let assignment = assign(&labels, None, 5, shuffle).unwrap();
            let mut counts: BTreeMap<(u32, usize), usize> = BTreeMap::new();
            for (&fold, &label) in assignment.folds.iter().zip(&labels) {
                *counts.entry((fold, label)).or_default() += 1;
            }
            (assignment, counts)
        };
        let (plain, expected) = class_counts(None);
        let (first, counts) = class_counts(Some((42, 0)));
        let (second, _) = class_counts(Some((42, 1)));
        assert_eq!(counts, expected);
        assert_eq!(plain.smallest_class, 3);
        assert_ne!(plain.folds, first.folds);
        assert_ne!(first.folds, second.folds);
        assert_eq!(class_counts(Some((42, 0))).0, first);
        for label in [0, 1] {
            let counts: Vec<usize> = (0..5).map(|fold| expected[&(fold, label)]).collect();
            assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
        }
    }

    #[test]
    fn renaming_classes_moves_no_row() {
        let labels = labels();
        let renamed: Vec<usize> = labels.iter().map(|&label| 20 - label).collect();
        let shuffle = Some((1, 2));
        assert_eq!(
            assign(&labels, None, 4, shuffle),
            assign(&renamed, None, 4, shuffle)
        );
    }

    #[test]
    fn groups_stay_whole_and_no_fold_is_empty() {
        let labels = labels();
        let groups: Vec<usize> = (0..103).map(|i| (i * i) % 23).collect();
        for shuffle in [None, Some((3, 0)), Some((3, 1))] {
            let folds = assign(&labels, Some(&groups), 4, shuffle).unwrap().folds;
            let fold_of: BTreeMap<usize, u32> =
                groups.iter().copied().zip(folds.iter().copied()).collect();
            let mut rows = groups.iter().zip(&folds);
            assert!(rows.all(|(group, fold)| fold_of[group] == *fold));
            assert!(members(&folds, 4).iter().all(|rows| !rows.is_empty()));
        }
    }

    /// Groups of unequal sizes have one order by spread. With it alone, every repeat would have the same folds.
    #[test]
    fn repeats_deal_unequal_groups_differently_and_evenly() {
        // Group g of 14 has g + 20 rows, of which about one in twenty is of the rare class.
        let groups: Vec<usize> = (0..14).flat_map(|g| vec![g; g + 20]).collect();
        let labels: Vec<usize> = (0..groups.len())
            .map(|i| usize::from(i % 19 == 0))
            .collect();
        let deal = |repeat| {
            let all = assign(&labels, Some(&groups), 5, Some((7, repeat)));
            members(&all.unwrap().folds, 5)
        };
        let mut seen = std::collections::BTreeSet::new();
        for repeat in 0..5 {
            let mut folds = deal(repeat);
            for rows in &folds {
                let rare = rows.iter().filter(|&&row| labels[row] == 1).count();
                assert!((40..=120).contains(&rows.len()), "{}", rows.len());
                assert!((2..=6).contains(&rare), "{rare}");
            }
            folds.sort();
            assert!(seen.insert(folds), "repeat {repeat} was dealt before");
        }
        assert_eq!(deal(3), deal(3));
    }

    #[test]
    fn impossible_splits_say_why() {
        let error = |labels: &[usize], groups: Option<&[usize]>, k| {
            assign(labels, groups, k, None).unwrap_err()
        };
        assert_eq!(error(&[0, 1, 1], None, 1), FoldError::TooFewFolds { k: 1 });
        assert_eq!(error(&[], None, 2), FoldError::TooFewRows { rows: 0, k: 2 });
        assert_eq!(
            error(&[0, 1], None, 3),
            FoldError::TooFewRows { rows: 2, k: 3 }
        );
        let too_few = FoldError::TooFewGroups { groups: 2, k: 3 };
        assert_eq!(error(&[0, 1, 1], Some(&[7, 7, 4]), 3), too_few);
        let lengths = FoldError::Lengths {
            labels: 3,
            groups: 1,
        };
        assert_eq!(error(&[0, 1, 1], Some(&[7]), 2), lengths);
        assert_eq!(
            too_few.to_string(),
            "2 groups cannot be split into 3 folds: groups stay whole"
        );
    }
}
