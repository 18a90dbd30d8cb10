//! p-values of two-sample tests from counts and rank sums; all two-sided.

/// A sample split in two: the rows of one class and the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Rows of the class.
    pub class: usize,
    /// All other rows.
    pub rest: usize,
}

/// The Mann-Whitney U test (Mann and Whitney 1947) by the normal approximation, corrected for ties and
/// continuity. It equals scipy's `mannwhitneyu(method="asymptotic")`, which scipy's default also uses
/// if both samples have more than 8 rows or there are ties.
///
/// `doubled_rank_sum` is twice the sum of the class's midranks; `ties` is the sum of t^3 - t over the
/// runs of t equal values.
pub fn mann_whitney(sizes: Sizes, doubled_rank_sum: u64, ties: f64) -> f64 {
    let (n1, n2) = (sizes.class as f64, sizes.rest as f64);
    let n = n1 + n2;
    let u = doubled_rank_sum as f64 / 2.0 - n1 * (n1 + 1.0) / 2.0;
    let variance = n1 * n2 / 12.0 * ((n + 1.0) - ties / (n * (n - 1.0)));
    let z = (u.max(n1 * n2 - u) - n1 * n2 / 2.0 - 0.5) / variance.sqrt();
    libm::erfc(z / std::f64::consts::SQRT_2).min(1.0)
}

/// Tables whose probabilities differ by less than this share count as equally likely.
const LIKELY_TIE: f64 = 1e-7;

/// Fisher's exact test of a two-valued feature (Fisher 1922): the probability, with both margins
/// fixed, of the tables that are at most as likely as the one seen.
///
/// `high` counts the rows with the higher of the two values, of which `high_in_class` belong to the
/// class.
pub fn fisher(sizes: Sizes, high: usize, high_in_class: usize) -> f64 {
    let lowest = high.saturating_sub(sizes.rest);
    let highest = high.min(sizes.class);
    // Weights are relative to the most likely table and go outwards by the ratio of neighbours.
    // Products of ratios need no factorials and lose nothing to cancellation.
    let ratio = |k: usize| {
        let (class, rest) = (sizes.class as f64, sizes.rest as f64);
        let (k, high) = (k as f64, high as f64);
        (class - k) * (high - k) / ((k + 1.0) * (rest - high + k + 1.0))
    };
    let mut weights = vec![1.0; highest - lowest + 1];
    let mode =
        ((high + 1) * (sizes.class + 1) / (sizes.class + sizes.rest + 2)).clamp(lowest, highest);
    for k in mode..highest {
        weights[k + 1 - lowest] = weights[k - lowest] * ratio(k);
    }
    for k in (lowest..mode).rev() {
        weights[k - lowest] = weights[k + 1 - lowest] / ratio(k);
    }
    let limit = weights[high_in_class - lowest] * (1.0 + LIKELY_TIE);
    let unlikely: f64 = weights.iter().filter(|&&w| w <= limit).sum();
    (unlikely / weights.iter().sum::<f64>()).min(1.0)
}

/// Above this sample size the Kolmogorov-Smirnov test uses its limiting distribution.
const KS_EXACT_ROWS: usize = 10_000;

/// Two-sample Kolmogorov-Smirnov test (Smirnov 1939). `gap` is the largest difference of the two
/// distribution functions, times both sample sizes (which makes it an integer).
///
/// Up to 10,000 rows in either sample the p-value is exact for untied data (and too high with ties), as
/// in scipy's `ks_2samp`. Above, it is that of the limiting distribution.
pub fn kolmogorov_smirnov(sizes: Sizes, gap: u64) -> f64 {
    if gap == 0 {
        1.0
    } else if sizes.class.max(sizes.rest) <= KS_EXACT_ROWS {
        ks_exact(sizes, gap as i64)
    } else {
        let (n1, n2) = (sizes.class as f64, sizes.rest as f64);
        ks_limit(gap as f64 / (n1 * n2).sqrt() / (n1 + n2).sqrt())
    }
}

/// The share of lattice paths from (0, 0) to (n1, n2) that reach a point (i, j) with `|i n2 - j n1| >=
/// gap` (Hodges 1958). A path comes to (i, j) through (i - 1, j) with probability i / (i + j). The
/// share that *has* touched the limit is followed, rather than its complement, to keep small p-values
/// accurate.
fn ks_exact(sizes: Sizes, gap: i64) -> f64 {
    let (n1, n2) = (sizes.class as i64, sizes.rest as i64);
    let mut touched = vec![1.0; sizes.rest + 1];
    for i in 0..=n1 {
        // The points of row i within the limit. Beyond them the share is 1.
        let first = (i * n2 - gap).div_euclid(n1) + 1;
        let last = (i * n2 + gap - 1).div_euclid(n1);
        let mut before = 1.0;
        for j in first.max(0)..=last.min(n2) {
            let here = &mut touched[j as usize];
            *here = if i + j == 0 {
                0.0
            } else {
                let through_i = i as f64 / (i + j) as f64;
                through_i * *here + (1.0 - through_i) * before
            };
            before = *here;
        }
    }
    touched[sizes.rest].clamp(0.0, 1.0)
}

/// Kolmogorov's limiting distribution (1933), `2 sum_k (-1)^(k-1) exp(-2 k^2 x^2)`.
fn ks_limit(x: f64) -> f64 {
    // Here the sum differs from 1 by less than 1e-12, and smaller arguments need ever more terms.
    if x < 0.2 {
        return 1.0;
    }
    let mut sum = 0.0;
    for k in 1..=30 {
        let sign = if k % 2 == 1 { 2.0 } else { -2.0 };
        let kx = f64::from(k) * x;
        sum += sign * libm::exp(-2.0 * kx * kx);
    }
    sum.clamp(0.0, 1.0)
}
