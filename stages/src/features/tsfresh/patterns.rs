//! How varied a series is: entropies and complexity.

use super::arrays::{entropy, equal_parts};
use super::series::Series;

/// The numbers of bins of `lempel_ziv_complexity`.
pub const SYMBOLS: [usize; 5] = [2, 3, 5, 10, 100];
/// The lengths of the patterns of `permutation_entropy`.
pub const DIMENSIONS: [usize; 5] = [3, 4, 5, 6, 7];
/// The number of bins of `binned_entropy`.
pub const BINS: usize = 10;

pub fn binned_entropy(s: &Series<'_>) -> f64 {
    histogram_entropy(s.x, BINS)
}

/// Returns the entropy of the shares of values in equal bins from the least to the largest, as `numpy.histogram` counts
/// them; NaN if the bounds of the bins are not all different numbers.
pub fn histogram_entropy(values: &[f64], bins: usize) -> f64 {
    let mut low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let mut high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if low == high {
        (low, high) = (low - 0.5, high + 0.5);
    }
    let bounds = equal_parts(low, high, bins);
    // Also true for NaN.
    let ascend = bounds.windows(2).all(|pair| pair[0] < pair[1]);
    if !ascend || values.iter().any(|v| v.is_nan()) {
        return f64::NAN;
    }
    let mut counts = vec![0; bins];
    for value in values {
        let place = (value - low) / (high - low) * bins as f64;
        let mut bin = (place as usize).min(bins - 1);
        // The place may be a rounding error off.
        if *value < bounds[bin] {
            bin = bin.saturating_sub(1);
        }
        if *value >= bounds[bin + 1] && bin + 1 < bins {
            bin += 1;
        }
        counts[bin] += 1;
    }
    entropy(&counts, values.len())
}

/// The number of words into which the series is parsed, each the shortest that is new, over its length. The letters
/// are equal bins (Lempel and Ziv 1978, IEEE Trans. Inf. Theory 24, 530).
pub fn lempel_ziv_complexity(s: &Series<'_>, out: &mut [f64]) {
    for (symbols, out) in SYMBOLS.iter().zip(out) {
        let bounds = equal_parts(s.min(), s.max(), *symbols);
        let letters = s.x.iter().map(|x| bounds[1..].partition_point(|b| b < x));
        *out = words(letters) as f64 / s.n();
    }
}

/// A word as the last letter of another one: the tree of all words.
struct Word {
    letter: usize,
    /// The first of the words that are longer by a letter, and the next of those that are as long.
    longer: Option<usize>,
    next: Option<usize>,
}

fn words(letters: impl Iterator<Item = usize>) -> usize {
    // The first is the empty word.
    let mut tree = vec![Word {
        letter: 0,
        longer: None,
        next: None,
    }];
    let mut at = 0;
    for letter in letters {
        let mut known = tree[at].longer;
        while let Some(word) = known.filter(|word| tree[*word].letter != letter) {
            known = tree[word].next;
        }
        match known {
            Some(word) => at = word,
            None => {
                let new = tree.len();
                let next = tree[at].longer.replace(new);
                tree.push(Word {
                    letter,
                    longer: None,
                    next,
                });
                at = 0;
            }
        }
    }
    tree.len() - 1
}

/// The entropy of the orders in which the values of a window stand. Of equal values, the earlier one counts as less.
pub fn permutation_entropy(s: &Series<'_>, out: &mut [f64]) {
    for (dimension, out) in DIMENSIONS.iter().zip(out) {
        let mut codes: Vec<u32> = s.x.windows(*dimension).map(order_of).collect();
        if codes.is_empty() {
            *out = f64::NAN;
            continue;
        }
        codes.sort_unstable();
        let runs = codes.chunk_by(|a, b| a == b);
        let counts: Vec<usize> = runs.map(<[u32]>::len).collect();
        *out = entropy(&counts, codes.len());
    }
}

/// Returns the ranks of the values of a window as the digits of a number.
fn order_of(window: &[f64]) -> u32 {
    let mut code = 0;
    for (i, x) in window.iter().enumerate() {
        let before = window[..i].iter().filter(|y| *y <= x).count();
        let after = window[i + 1..].iter().filter(|y| *y < x).count();
        code = code * 8 + (before + after) as u32;
    }
    code
}
