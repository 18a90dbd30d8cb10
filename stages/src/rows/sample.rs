//! Draws the training rows of a fit that is to see no more than so many of them.

use flow_cache::{Digest, Value};
use flow_engine::kind::Action;
use flow_engine::{ParamType, StageError};

use super::fold;
use crate::numeric::rng::Stream;
use crate::table::Folds;

/// What the parameter `sample` of a kind does whose fits may draw rows.
pub const SAMPLE_ABOUT: &str = "Fit on at most this many training rows, drawn without replacement: the same number of each class, and all rows of a class that has fewer. With `target` = binary, the positive class has as many as all others together. So rare classes are kept whole as far as they fit, and are more frequent in the sample than in the survey. All rows unless given.";
/// The first word of the paths of the random streams.
const STREAM: u64 = 0x7361_6d70_6c65;

/// A word for an object in the paths of random streams. It depends on the name alone, so that neither shards nor other
/// objects change what is drawn for it.
pub fn object_word(object_id: &str) -> u64 {
    let digest = Digest::of(object_id.as_bytes());
    let mut word = [0; 8];
    word.copy_from_slice(&digest.as_bytes()[..8]);
    u64::from_le_bytes(word)
}

/// The type of the parameter.
pub fn sample_type() -> ParamType {
    let max = 1_000_000_000;
    ParamType::Int { min: 1, max }
}

/// Returns those of the training rows `rows` of a table of folds that the action's fit sees, in the same order: at most
/// `sample`, or all.
///
/// # Errors
/// If so small a sample cannot have all classes, or a row has no class.
pub fn drawn(
    action: &Action<'_>,
    folds: &Folds,
    rows: Vec<usize>,
    sample: Option<usize>,
) -> Result<Vec<usize>, StageError> {
    match sample {
        Some(most) if most < rows.len() => {
            stratified(folds, &rows, apart(action, folds), (most, action.seed))
        }
        _ => Ok(rows),
    }
}

/// Returns those of these objects without labels that the action's fit sees, in the same order: at most `sample`, or all.
pub fn drawn_unlabelled(
    action: &Action<'_>,
    objects: Vec<String>,
    sample: Option<usize>,
) -> Vec<String> {
    let Some(most) = sample.filter(|most| *most < objects.len()) else {
        return objects;
    };
    let mut drawn = Vec::from_iter(0..objects.len());
    draw(&mut drawn, most, |&i| word(action.seed, &objects[i]));
    drawn.sort_unstable();
    let mut drawn = drawn.into_iter().peekable();
    let all = objects.into_iter().enumerate();
    all.filter(|(i, _)| drawn.next_if_eq(i).is_some())
        .map(|(_, id)| id)
        .collect()
}

/// Returns the attribute with a note on how many of how many training rows a fit saw, if it did not see all. Only the
/// first fold and the final fit have one, because the others hardly differ.
pub fn sample_note(action: &Action<'_>, rows: usize, of: usize) -> Option<(String, Value)> {
    let fit = match action.fold {
        Some(fold::FINAL) | None => "the final fit".to_owned(),
        Some(fold) if fold == fold::name(0, 0) => format!("the fit of fold {fold}"),
        Some(_) => return None,
    };
    let note = format!("{fit} used {rows} of {of} training rows");
    let notes = Value::List(vec![Value::Str(note)]);
    (rows < of).then(|| ("notes".to_owned(), notes))
}

/// The class that counts as much as all others together, if the fit tells it from the rest.
fn apart(action: &Action<'_>, folds: &Folds) -> Option<usize> {
    let target = action.params.get("target").and_then(Value::as_str);
    folds.positive_class().filter(|_| target == Some("binary"))
}

/// Draws `most` of these rows, as [`quotas`] says of each class.
fn stratified(
    folds: &Folds,
    rows: &[usize],
    apart: Option<usize>,
    (most, seed): (usize, u64),
) -> Result<Vec<usize>, StageError> {
    let mut by_class = vec![Vec::new(); folds.classes.len()];
    for &row in rows {
        let label = fold::label(folds, row)?;
        let class = folds.classes.binary_search_by(|c| c.as_str().cmp(label));
        by_class[class.unwrap_or_default()].push(row);
    }
    let sizes = Vec::from_iter(by_class.iter().map(Vec::len));
    let quotas = quotas(&sizes, apart, most);
    if sizes
        .iter()
        .zip(&quotas)
        .any(|(size, quota)| *size > 0 && *quota == 0)
    {
        let classes = sizes.iter().filter(|size| **size > 0).count();
        let text = format!(
            "`sample = {most}` is too small for the {classes} classes of the training rows, none of which may be lost"
        );
        return Err(StageError::data("flow::data::sample", text)
            .help(format!("sample = {}", classes * ROWS_A_CLASS)));
    }
    for (of_class, quota) in by_class.iter_mut().zip(quotas) {
        draw(of_class, quota, |&row| word(seed, &folds.object_id[row]));
    }
    let mut drawn = by_class.concat();
    drawn.sort_unstable();
    Ok(drawn)
}

/// Deals `most` places to classes of these sizes, first to the class `apart` and all others, and then to these.
fn quotas(sizes: &[usize], apart: Option<usize>, most: usize) -> Vec<usize> {
    let Some(apart) = apart else {
        return shares(sizes, most);
    };
    let mut others = sizes.to_vec();
    let own = others.remove(apart);
    let two = shares(&[own, others.iter().sum()], most);
    let mut quotas = shares(&others, two[1]);
    quotas.insert(apart, two[0]);
    quotas
}

/// The number of rows of each class that a hint proposes.
const ROWS_A_CLASS: usize = 1000;

/// What is drawn for an object. It depends on its name alone, so that neither shards nor other objects change it.
fn word(seed: u64, object_id: &str) -> u64 {
    Stream::new(seed, &[STREAM, object_word(object_id)]).next_u64()
}

/// Keeps the `count` items with the smallest words, in any order. Of equal words, the smaller item counts.
fn draw(items: &mut Vec<usize>, count: usize, word: impl Fn(&usize) -> u64) {
    if count >= items.len() {
        return;
    }
    let mut words = Vec::from_iter(items.iter().map(|item| (word(item), *item)));
    words.select_nth_unstable(count);
    items.clear();
    items.extend(words[..count].iter().map(|(_, item)| *item));
}

/// Deals `most` places to classes of these sizes: each gets the same number, and what a small class does not need goes
/// to the others. What is left when that does not come out even goes to the largest ones.
fn shares(sizes: &[usize], most: usize) -> Vec<usize> {
    let mut order = Vec::from_iter(0..sizes.len());
    order.sort_by_key(|&class| sizes[class]);
    let mut shares = vec![0; sizes.len()];
    let mut left = most;
    for (place, &class) in order.iter().enumerate() {
        // The classes that are still to come share what is left, the largest one rounded up.
        shares[class] = sizes[class].min(left / (order.len() - place));
        left -= shares[class];
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of folds with objects of these classes, in the order of their names.
    fn folds(objects: &[(&str, usize)]) -> Folds {
        let mut rows: Vec<(String, String)> = Vec::new();
        for (class, n) in objects {
            rows.extend(
                (0..*n).map(|i| (format!("o{:05}{class}", i * 7919 % 99_991), (*class).into())),
            );
        }
        rows.sort();
        let mut folds = Folds::default();
        for (id, class) in rows {
            folds.object_id.push(id);
            folds.label.push(Some(class.clone()));
            folds.classes.push(class);
        }
        folds.classes.sort();
        folds.classes.dedup();
        folds
    }

    fn sample(folds: &Folds, rows: &[usize], most: usize, seed: u64) -> Vec<String> {
        let drawn = stratified(folds, rows, None, (most, seed)).unwrap();
        assert!(drawn.is_sorted());
        drawn.iter().map(|&i| folds.object_id[i].clone()).collect()
    }

    #[test]
    fn rare_classes_are_kept_whole_as_far_as_they_fit() {
        assert_eq!(shares(&[50, 950], 400), [50, 350]);
        assert_eq!(shares(&[50, 950], 60), [30, 30]);
        assert_eq!(shares(&[950, 3, 50], 100), [49, 3, 48]);
        assert_eq!(shares(&[9, 9, 9], 11), [3, 4, 4]);
        assert_eq!(shares(&[5, 2, 1], 3), [1, 1, 1]);
        assert_eq!(shares(&[5, 2], 7), [5, 2]);
        assert_eq!(shares(&[5, 2], 9), [5, 2]);
        assert_eq!(shares(&[], 9), [0; 0]);
        // A positive class counts as much as all others together.
        assert_eq!(quotas(&[600, 50, 300, 50], Some(1), 120), [24, 50, 23, 23]);
        assert_eq!(quotas(&[600, 50, 300, 50], Some(1), 60), [10, 30, 10, 10]);
        assert_eq!(quotas(&[600, 50, 300, 50], None, 60), [15; 4]);
        assert_eq!(quotas(&[5, 0, 7], Some(1), 8), [4, 0, 4]);
    }

    #[test]
    fn a_sample_has_all_classes_and_no_row_twice() {
        let folds = folds(&[("AGN", 400), ("KN", 3), ("TDE", 40)]);
        let all = Vec::from_iter(0..443);
        let drawn = sample(&folds, &all, 60, 1);
        let of = |class: &str| drawn.iter().filter(|id| id.ends_with(class)).count();
        assert_eq!(
            (drawn.len(), of("KN"), of("TDE"), of("AGN")),
            (60, 3, 28, 29)
        );
        assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]));
        assert_ne!(drawn, sample(&folds, &all, 60, 2));
        // More rows are the same ones and others.
        let more = sample(&folds, &all, 200, 1);
        assert!(drawn.iter().all(|id| more.contains(id)));
        let error = stratified(&folds, &all, None, (2, 1)).unwrap_err();
        assert_eq!(error.code.as_str(), "flow::data::sample");
        assert_eq!(error.help, ["sample = 3000"]);
        // Of two places for the others, both classes get one.
        assert!(stratified(&folds, &all, Some(2), (3, 1)).is_ok());
        assert!(stratified(&folds, &all, Some(2), (2, 1)).is_err());
    }

    #[test]
    fn rows_that_a_fit_does_not_see_change_nothing() {
        let large = folds(&[("A", 300), ("B", 100)]);
        let seen = Vec::from_iter((0..400).filter(|i| i % 5 != 0));
        let mut small = large.clone();
        small.object_id = seen.iter().map(|&i| large.object_id[i].clone()).collect();
        small.label = seen.iter().map(|&i| small.label[i].clone()).collect();
        let alone = Vec::from_iter(0..seen.len());
        assert_eq!(sample(&large, &seen, 90, 5), sample(&small, &alone, 90, 5));
    }

    #[test]
    fn each_row_is_drawn_as_often_as_any_other() {
        let folds = folds(&[("A", 100)]);
        let all = Vec::from_iter(0..100);
        let mut counts = vec![0; 100];
        for seed in 0..1000 {
            for row in stratified(&folds, &all, None, (20, seed)).unwrap() {
                counts[row] += 1;
            }
        }
        // 200 draws each, with a standard deviation of 12.6.
        assert!(counts.iter().all(|n| (140..=260).contains(n)), "{counts:?}");
    }
}
