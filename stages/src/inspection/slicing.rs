//! The rows of an evaluation, put into slices.

use crate::evaluation::Repeat;

/// The rows of all repeats, put into slices.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Slicing {
    /// What the rows are sliced by.
    pub by: &'static str,
    /// The names of the slices, in order.
    pub names: Vec<String>,
    /// By repeat and row, the slice.
    pub slices: Vec<Vec<usize>>,
}

/// The most slices of a number.
const MOST: usize = 5;
/// The values that a slice should have.
const LEAST: usize = 10;

impl Slicing {
    /// Puts rows into at most five slices by a number, `values[repeat][row]`, and those without one into a slice of
    /// their own. The slices have the same number of `typical` values, up to rounding of their bounds to two digits
    /// of the mean width. `None` if that makes fewer than two slices.
    pub fn by_value(
        by: &'static str,
        values: &[Vec<Option<f64>>],
        typical: &[f64],
    ) -> Option<Self> {
        let (bounds, decimals) = bounds(typical);
        let text = |bound: f64| format!("{bound:.decimals$}");
        let mut names: Vec<String> = match (bounds.first(), bounds.last()) {
            (Some(&first), Some(&last)) => {
                let between = bounds.windows(2);
                let between = between.map(|ends| format!("{} to {}", text(ends[0]), text(ends[1])));
                std::iter::once(format!("below {}", text(first)))
                    .chain(between)
                    .chain([format!("{} and above", text(last))])
                    .collect()
            }
            _ => vec!["known".to_owned()],
        };
        let unknown = names.len();
        let place = |value: &Option<f64>| match value {
            Some(value) => bounds.partition_point(|bound| bound <= value),
            None => unknown,
        };
        let slices: Vec<Vec<usize>> = (values.iter())
            .map(|values| values.iter().map(place).collect())
            .collect();
        if slices.iter().flatten().any(|slice| *slice == unknown) {
            names.push("unknown".to_owned());
        }
        let known = slices.iter().flatten().any(|slice| *slice < unknown);
        (known && names.len() > 1).then_some(Self { by, names, slices })
    }

    /// Makes a slice of each fold; `None` if there is one.
    pub fn by_fold(repeats: &[Repeat]) -> Option<Self> {
        let mut names = Vec::new();
        let slices = repeats.iter().map(|repeat| {
            let first = names.len();
            names.extend(repeat.folds.iter().map(|fold| match repeats.len() {
                1 => fold.to_string(),
                _ => format!("{}.{fold}", repeat.number),
            }));
            let rows = repeat.rows.iter();
            rows.map(|&(_, fold)| first + fold as usize).collect()
        });
        let slices = slices.collect();
        let by = "fold";
        (names.len() > 1).then_some(Self { by, names, slices })
    }

    /// Makes a slice of each repeat; `None` if there is one.
    pub fn by_repeat(repeats: &[Repeat]) -> Option<Self> {
        let numbered = repeats.iter().enumerate();
        let slicing = Self {
            by: "repeat",
            names: repeats.iter().map(|r| r.number.to_string()).collect(),
            slices: numbered.map(|(i, r)| vec![i; r.rows.len()]).collect(),
        };
        (repeats.len() > 1).then_some(slicing)
    }
}

/// The bounds between slices of equally many values, and the decimals that they have.
fn bounds(typical: &[f64]) -> (Vec<f64>, usize) {
    let mut values: Vec<f64> = typical.iter().copied().filter(|v| v.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let n = (values.len() / LEAST).clamp(1, MOST);
    let at = |share: f64| values[(share * (values.len() - 1) as f64) as usize];
    if n < 2 || at(0.95) <= at(0.05) {
        return (Vec::new(), 0);
    }
    let digits = libm::floor(libm::log10((at(0.95) - at(0.05)) / n as f64)) as i32 - 1;
    let digits = match values.iter().all(|value| value.fract() == 0.0) {
        true => digits.max(0),
        false => digits,
    };
    let step = libm::pow(10.0, f64::from(digits));
    if !step.is_normal() {
        return (Vec::new(), 0);
    }
    let quantiles = (1..n).map(|i| values[i * values.len() / n]);
    let mut bounds: Vec<f64> = quantiles.map(|q| libm::round(q / step) * step).collect();
    bounds.dedup();
    (bounds, digits.min(0).unsigned_abs() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_have_as_many_typical_values_and_round_bounds() {
        let typical: Vec<f64> = (0..100).map(|i| 0.013 * f64::from(i)).collect();
        let values = vec![vec![Some(-1.0), Some(0.26), Some(0.259), Some(77.0), None]];
        let slicing = Slicing::by_value("redshift", &values, &typical).unwrap();
        assert_eq!(
            slicing.names,
            [
                "below 0.26",
                "0.26 to 0.52",
                "0.52 to 0.78",
                "0.78 to 1.04",
                "1.04 and above",
                "unknown"
            ]
        );
        assert_eq!(slicing.slices, [[0, 1, 0, 4, 5]]);
        let all = vec![typical.iter().map(|v| Some(*v)).collect::<Vec<_>>()];
        let whole = Slicing::by_value("redshift", &all, &typical).unwrap();
        assert_eq!(whole.names.len(), 5);
        for slice in 0..5 {
            let n = whole.slices[0].iter().filter(|s| **s == slice).count();
            assert!((19..=21).contains(&n), "{n}");
        }
    }

    #[test]
    fn a_bound_belongs_to_the_slice_above() {
        let typical: Vec<f64> = (0..20).map(f64::from).collect();
        let values = vec![vec![Some(9.0), Some(10.0), Some(11.0)]];
        let slicing = Slicing::by_value("points", &values, &typical).unwrap();
        assert_eq!(slicing.names, ["below 10", "10 and above"]);
        assert_eq!(slicing.slices, [[0, 1, 1]]);
    }

    #[test]
    fn what_has_no_slices_is_left_out() {
        let none = vec![vec![None, None]];
        let by = |values: &[Vec<Option<f64>>], typical: &[f64]| {
            Slicing::by_value("redshift", values, typical)
        };
        assert_eq!(by(&none, &[]), None);
        assert_eq!(by(&[vec![Some(1.0); 50]], &[1.0; 50]), None);
        assert_eq!(by(&[vec![Some(f64::MAX)]], &[f64::NAN; 50]), None);
        let partly = by(&[vec![Some(1.0), None]], &[1.0]).unwrap();
        assert_eq!(partly.names, ["known", "unknown"]);
        let wide = [-f64::MAX, f64::MAX].repeat(30);
        assert_eq!(by(&[vec![Some(0.0)]], &wide), None);
    }
}
