//! Sigma clipping: values far from the middle of the others are left out, again and again.

/// What the middle of values is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClipCenter {
    /// Their mean.
    Mean,
    /// Their median.
    Median,
}

/// How values are clipped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClipOptions {
    /// Values more than this many standard deviations from the mean are left out first, once.
    pub outlier: f64,
    /// Then those that are more than this many standard deviations from the center of what is left.
    pub sigma: f64,
    /// The most cycles of the second kind; the cycles end when nothing is left out.
    pub cycles: usize,
    /// The center of the cycles.
    pub center: ClipCenter,
}

/// Which values are kept, and how many were left out first and in the cycles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clipped {
    /// Says of each value whether it is kept.
    pub kept: Vec<bool>,
    /// The number of values that were too far from the mean.
    pub outliers: usize,
    /// The number of values that the cycles left out.
    pub in_cycles: usize,
}

/// Clips values. The standard deviation is over n, so that of n values none is farther from the mean than
/// `(n - 1) / sqrt(n)` standard deviations: fewer than 51 values have no outlier beyond 7, and fewer than 11 none
/// beyond 3. Values whose spread has no number are kept.
pub fn clip(values: &[f64], options: &ClipOptions) -> Clipped {
    let mut kept = vec![true; values.len()];
    let outliers = pass(values, &mut kept, options.outlier, ClipCenter::Mean);
    let mut in_cycles = 0;
    for _ in 0..options.cycles {
        let dropped = pass(values, &mut kept, options.sigma, options.center);
        in_cycles += dropped;
        if dropped == 0 {
            break;
        }
    }
    Clipped {
        kept,
        outliers,
        in_cycles,
    }
}

/// Leaves out values that are too far from the center of those that are kept, and returns their number.
fn pass(values: &[f64], kept: &mut [bool], most: f64, center: ClipCenter) -> usize {
    let pairs = values.iter().zip(kept.iter());
    let mut left: Vec<f64> = pairs.filter(|(_, kept)| **kept).map(|(v, _)| *v).collect();
    let n = left.len() as f64;
    let mean = left.iter().sum::<f64>() / n;
    let squares: f64 = left.iter().map(|v| (v - mean) * (v - mean)).sum();
    let limit = most * (squares / n).sqrt();
    let center = match center {
        ClipCenter::Mean => mean,
        ClipCenter::Median => median(&mut left),
    };
    let mut dropped = 0;
    for (value, kept) in values.iter().zip(kept) {
        if *kept && (value - center).abs() > limit {
            *kept = false;
            dropped += 1;
        }
    }
    dropped
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => 0.5 * (values[n / 2 - 1] + values[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: ClipOptions = ClipOptions {
        outlier: 7.0,
        sigma: 3.0,
        cycles: 5,
        center: ClipCenter::Mean,
    };

    /// A saw between -1 and 1, and then the given values.
    fn saw(n: usize, more: &[f64]) -> Vec<f64> {
        let saw = (0..n).map(|i| (i % 5) as f64 / 2.0 - 1.0);
        saw.chain(more.iter().copied()).collect()
    }

    #[test]
    fn an_outlier_goes_first_and_cycles_find_what_it_hid() {
        // The first pass sees a deviation of 98, the cycles 1.39 and then 0.81: 10 and 6 go, and then 4.
        let found = clip(&saw(100, &[1000.0, 10.0, 6.0, 4.0]), &OPTIONS);
        assert_eq!((found.outliers, found.in_cycles), (1, 3));
        assert_eq!(found.kept[..100], [true; 100]);
        assert_eq!(found.kept[100..], [false; 4]);
        let once = ClipOptions {
            cycles: 1,
            ..OPTIONS
        };
        assert_eq!(
            clip(&saw(100, &[1000.0, 10.0, 6.0, 4.0]), &once).in_cycles,
            2
        );
        let none = ClipOptions {
            cycles: 0,
            ..OPTIONS
        };
        assert_eq!(clip(&saw(100, &[1000.0, 10.0]), &none).in_cycles, 0);
    }

    #[test]
    fn few_values_have_no_outlier() {
        let with = |n: usize| clip(&saw(n - 1, &[1e9]), &OPTIONS).outliers;
        assert_eq!([with(50), with(52)], [0, 1]);
    }

    #[test]
    fn the_center_may_be_the_median() {
        // The mean is 2.5 and the deviation 2.06, so 9 is 3.15 deviations from the mean and 3.40 from the median.
        let values = [2.0, 2.0, 2.0, 1.0, 3.0, 2.0, 1.0, 3.0, 2.0, 1.0, 2.0, 9.0];
        let with = |sigma: f64, center| {
            let options = ClipOptions {
                sigma,
                cycles: 1,
                center,
                ..OPTIONS
            };
            clip(&values, &options).in_cycles
        };
        assert_eq!(with(3.22, ClipCenter::Mean), 0);
        assert_eq!(with(3.22, ClipCenter::Median), 1);
    }

    #[test]
    fn something_is_always_left_and_nothing_panics() {
        let tight = ClipOptions {
            outlier: 1.5,
            sigma: 1.5,
            cycles: 1000,
            center: ClipCenter::Median,
        };
        for values in [
            vec![],
            vec![1.0],
            vec![1.0, 2.0],
            vec![0.1; 7],
            vec![f64::MAX, -f64::MAX, 1.0],
            vec![f64::NAN, 1.0, 2.0],
            saw(5_000, &[1e300, -1e300]),
        ] {
            let found = clip(&values, &tight);
            let left = found.kept.iter().filter(|kept| **kept).count();
            assert_eq!(left + found.outliers + found.in_cycles, values.len());
            assert!(left > 0 || values.is_empty(), "{values:?}");
        }
    }
}
