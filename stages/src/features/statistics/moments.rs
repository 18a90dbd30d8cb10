//! Statistics of moments: means, standard deviations, and how values follow each other.

use super::measurements::Measurements;
use super::statistic::{Statistic, statistic};
use crate::numeric::stats::distribution::ln_normal_cdf;

const ISANTO: &str = "[D'Isanto et al. 2016](https://doi.org/10.1093/mnras/stw157)";
const KIM: &str = "[Kim et al. 2014](https://doi.org/10.1051/0004-6361/201323252)";

#[rustfmt::skip]
pub(super) const MOMENTS: &[Statistic] = &[
    statistic("observation_count", "", "N", 1, |s| s.n()),
    statistic("sum", "value", "sum of v", 1, |s| s.value.iter().sum()),
    statistic("mean", "value", "m = (sum of v) / N", 1, |s| s.mean()),
    statistic("standard_deviation", "value", "s = sqrt(sum of (v - m)^2 / (N - 1))", 2, |s| s.std()),
    statistic("mean_variance", "", "s / m", 2, |s| s.std() / s.mean()),
    statistic("skew", "", "N / ((N - 1)(N - 2)) sum of (v - m)^3 / s^3", 3, skew),
    statistic("kurtosis", "", "N (N + 1) / ((N - 1)(N - 2)(N - 3)) sum of (v - m)^4 / s^4 - 3 (N - 1)^2 / ((N - 2)(N - 3))", 4, kurtosis),
    statistic("beyond_1_std", "", "share of the points with abs(v - m) > s", 2, beyond).from(ISANTO),
    statistic("cusum", "", "max(S) - min(S) with S_j = (sum of (v_i - m) for i up to j) / (N s)", 2, cusum).from(KIM),
    statistic("eta", "", "sum of (v_(i+1) - v_i)^2 / ((N - 1) s^2)", 2, eta).from(KIM),
    statistic("anderson_darling_normal", "", "(1 + 4/N - 25/N^2) (-N - (1/N) sum of ((2 i - 1) ln Phi(z_i) + (2 (N - i) + 1) ln(1 - Phi(z_i)))) with z = (v - m) / s in ascending order, i from 1", 4, anderson_darling).from("[Stephens 1974](https://doi.org/10.1080/01621459.1974.10480196)"),
];

fn skew(s: &Measurements<'_>) -> f64 {
    let (n, std) = (s.n(), s.std());
    n / ((n - 1.0) * (n - 2.0)) * s.central(3) / (std * std * std)
}

fn kurtosis(s: &Measurements<'_>) -> f64 {
    let (n, std) = (s.n(), s.std());
    let variance = std * std;
    let scale = n * (n + 1.0) / ((n - 1.0) * (n - 2.0) * (n - 3.0));
    let normal = 3.0 * (n - 1.0) * (n - 1.0) / ((n - 2.0) * (n - 3.0));
    scale * s.central(4) / (variance * variance) - normal
}

fn beyond(s: &Measurements<'_>) -> f64 {
    let (mean, std) = (s.mean(), s.std());
    let far = |v: &&f64| std > 0.0 && (**v - mean).abs() > std;
    s.value.iter().filter(far).count() as f64 / s.n()
}

fn cusum(s: &Measurements<'_>) -> f64 {
    let mean = s.mean();
    let (mut sum, mut least, mut most) = (0.0, f64::INFINITY, f64::NEG_INFINITY);
    for v in s.value.iter() {
        sum += v - mean;
        least = f64::min(least, sum);
        most = f64::max(most, sum);
    }
    (most - least) / (s.n() * s.std())
}

fn eta(s: &Measurements<'_>) -> f64 {
    let steps = s.value.windows(2).map(|pair| pair[1] - pair[0]);
    let squares: f64 = steps.map(|d| d * d).sum();
    squares / ((s.n() - 1.0) * s.std() * s.std())
}

fn anderson_darling(s: &Measurements<'_>) -> f64 {
    let (n, mean, std) = (s.n(), s.mean(), s.std());
    let terms = s.sorted().iter().enumerate().map(|(i, v)| {
        let z = (v - mean) / std;
        let below = 2.0 * i as f64 + 1.0;
        below * ln_normal_cdf(z) + (2.0 * n - below) * ln_normal_cdf(-z)
    });
    let sum: f64 = terms.sum();
    (1.0 + 4.0 / n - 25.0 / (n * n)) * (-n - sum / n)
}
