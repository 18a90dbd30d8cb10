//! When to stop a trial that falls behind: a race between two configurations over folds.
//!
//! Both are scored on the same first folds of cross-validation, and the differences are paired. With
//! mean d and standard deviation s of the m differences, the trial is stopped if even the upper end of
//! a one-sided confidence interval of the mean difference,
//!
//! ```text
//! d + t(0.95, m - 1) s / sqrt(m),
//! ```
//!
//! lies below 0: the paired t-test of a race (Maron and Moore, "The racing algorithm", Artificial
//! Intelligence Review 11, 1997; Birattari, Stutzle, Paquete and Varrentrapp, "A racing algorithm
//! for configuring metaheuristics", GECCO 2002). Training sets overlap, so the folds are not
//! independent and the level is nominal: this is a rule for saving work, not a test to report.

/// The 95th percentiles of Student's t for 1 to 30 degrees of freedom (from any table), then the normal
/// percentile beyond 30.
const T95: [f64; 30] = [
    6.313752, 2.919986, 2.353363, 2.131847, 2.015048, 1.943180, 1.894579, 1.859548, 1.833113,
    1.812461, 1.795885, 1.782288, 1.770933, 1.761310, 1.753050, 1.745884, 1.739607, 1.734064,
    1.729133, 1.724718, 1.720743, 1.717144, 1.713872, 1.710882, 1.708141, 1.705618, 1.703288,
    1.701131, 1.699127, 1.697261,
];
const NORMAL95: f64 = 1.644854;

/// The result of the first folds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Race {
    /// The trial may still win.
    Open,
    /// The trial cannot be expected to win: even the upper end of the interval, this difference (below
    /// 0), falls short of the best configuration so far.
    Lost(f64),
}

/// Compares the scores of a trial with those of the best configuration so far, fold by fold; higher is
/// better. Folds in which either has no score are left out.
pub fn race(trial: &[Option<f64>], best: &[Option<f64>]) -> Race {
    let differences: Vec<f64> = trial
        .iter()
        .zip(best)
        .filter_map(|(trial, best)| Some((*trial)? - (*best)?))
        .collect();
    let m = differences.len();
    if m < 2 {
        return Race::Open;
    }
    let mean = differences.iter().sum::<f64>() / m as f64;
    let squares: f64 = differences.iter().map(|d| (d - mean) * (d - mean)).sum();
    let error = libm::sqrt(squares / (m - 1) as f64 / m as f64);
    let bound = mean + T95.get(m - 2).unwrap_or(&NORMAL95) * error;
    if bound < 0.0 {
        Race::Lost(bound)
    } else {
        Race::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(values: &[f64]) -> Vec<Option<f64>> {
        values.iter().copied().map(Some).collect()
    }

    #[test]
    fn only_a_clear_lag_ends_a_race() {
        let best = some(&[0.60, 0.70, 0.65]);
        assert_eq!(race(&best, &best), Race::Open);
        assert_eq!(race(&some(&[0.70, 0.80, 0.75]), &best), Race::Open);
        // The trial is behind on the mean, but not by more than the folds differ.
        assert_eq!(race(&some(&[0.40, 0.71, 0.60]), &best), Race::Open);
        let Race::Lost(bound) = race(&some(&[0.50, 0.59, 0.55]), &best) else {
            panic!("the trial is clearly behind")
        };
        // d = -0.10333, s = 0.0057735, t = 2.919986: -0.10333 + 2.919986 x 0.0033333
        assert!((bound + 0.0936).abs() < 1e-4, "{bound}");
    }

    #[test]
    fn folds_without_a_score_do_not_count() {
        let best = [Some(0.6), None, Some(0.7), Some(0.8)];
        let trial = [Some(0.1), Some(0.0), Some(0.2), None];
        assert!(matches!(race(&trial, &best), Race::Lost(bound) if (bound + 0.5).abs() < 1e-12));
        assert_eq!(race(&trial[..2], &best[..2]), Race::Open);
    }
}
