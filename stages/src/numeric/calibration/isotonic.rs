//! Isotonic regression: the map that does not decrease and is nearest to the outcomes.

use super::super::rank;

/// A map that does not decrease. Between its knots it is a straight line, beyond them it is constant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Isotonic {
    /// The places of the knots, ascending.
    pub x: Vec<f64>,
    /// The values at the knots.
    pub y: Vec<f64>,
}

/// Scores that share a fitted value.
struct Block {
    weight: f64,
    /// The sum of weight times outcome.
    sum: f64,
    first: f64,
    last: f64,
}

impl Block {
    fn mean(&self) -> f64 {
        self.sum / self.weight
    }
}

impl Isotonic {
    /// Minimises `sum_i w_i (y_i - f(x_i))^2` over all maps f that do not decrease, by pooling adjacent
    /// violators (Ayer et al. 1955; Zadrozny and Elkan 2002 for probabilities). Rows of equal score are
    /// averaged first. All weights are 1 unless given. Rows with a score that is NaN, or without
    /// a positive weight, are left out. Without rows, there are no knots.
    ///
    /// # Panics
    /// If lengths differ.
    pub fn fit(x: &[f64], y: &[f64], weights: Option<&[f64]>) -> Self {
        assert!(x.len() == y.len() && weights.is_none_or(|weights| weights.len() == x.len()));
        let weight = |row: usize| weights.map_or(1.0, |weights| weights[row]);
        let mut order = rank::ascending(x);
        order.retain(|&row| !x[row].is_nan() && weight(row) > 0.0);
        let mut blocks: Vec<Block> = Vec::new();
        for run in order.chunk_by(|&a, &b| x[a] == x[b]) {
            let mut block = Block {
                weight: run.iter().map(|&row| weight(row)).sum(),
                sum: run.iter().map(|&row| weight(row) * y[row]).sum(),
                first: x[run[0]],
                last: x[run[0]],
            };
            while let Some(before) = blocks.pop_if(|before| before.mean() >= block.mean()) {
                block.weight += before.weight;
                block.sum += before.sum;
                block.first = before.first;
            }
            blocks.push(block);
        }
        let mut map = Self::default();
        for block in &blocks {
            map.x.push(block.first);
            map.y.push(block.mean());
            if block.last > block.first {
                map.x.push(block.last);
                map.y.push(block.mean());
            }
        }
        map
    }

    /// The value at `x`; NaN if there are no knots.
    pub fn value(&self, x: f64) -> f64 {
        let above = self.x.partition_point(|&knot| knot <= x);
        match (above.checked_sub(1), self.x.get(above)) {
            (None, None) => f64::NAN,
            (None, Some(_)) => self.y[0],
            (Some(below), None) => self.y[below],
            (Some(below), Some(&right)) => {
                let (left, low, high) = (self.x[below], self.y[below], self.y[above]);
                low + (high - low) * ((x - left) / (right - left))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{numbers, oracle};
    use super::*;

    fn near(ours: &[f64], theirs: &[f64]) {
        assert_eq!(ours.len(), theirs.len());
        for (a, b) in ours.iter().zip(theirs) {
            assert!((a - b).abs() < 1e-12, "{a} is not {b}");
        }
    }

    #[test]
    fn maps_equal_scikit_learn() {
        let oracle = &oracle()["isotonic"];
        let [x, y, w, query] = ["x", "y", "w", "query"].map(|name| numbers(&oracle[name]));
        let plain = Isotonic::fit(&x, &y, None);
        near(&plain.x, &numbers(&oracle["x_thresholds"]));
        near(&plain.y, &numbers(&oracle["y_thresholds"]));
        let at = |map: &Isotonic| query.iter().map(|&x| map.value(x)).collect::<Vec<_>>();
        near(&at(&plain), &numbers(&oracle["predict"]));
        let weighted = Isotonic::fit(&x, &y, Some(&w));
        near(&at(&weighted), &numbers(&oracle["predict_w"]));
        assert_ne!(plain, weighted);
    }

    #[test]
    fn the_order_of_rows_does_not_count() {
        let x = [0.5, 0.1, 0.5, 0.9, 0.3];
        let y = [1.0, 0.0, 0.0, 1.0, 1.0];
        let map = Isotonic::fit(&x, &y, None);
        let reversed = |values: &[f64]| values.iter().rev().copied().collect::<Vec<_>>();
        assert_eq!(map, Isotonic::fit(&reversed(&x), &reversed(&y), None));
        assert!(map.y.is_sorted());
        // 0.3 and the pair at 0.5 violate the order: all three have their mean.
        assert_eq!(map.value(0.4), 2.0 / 3.0);
        assert_eq!(map.value(0.95), 1.0);
    }

    #[test]
    fn odd_rows_do_no_harm() {
        let none = Isotonic::fit(&[], &[], None);
        assert!(none.value(0.5).is_nan() && none.x.is_empty());
        let one = Isotonic::fit(&[0.4], &[1.0], None);
        assert_eq!([0.0, 0.4, 1.0].map(|x| one.value(x)), [1.0; 3]);
        let ties = Isotonic::fit(&[0.4; 4], &[1.0, 0.0, 0.0, 0.0], None);
        assert_eq!(
            (ties.x.as_slice(), ties.value(9.0)),
            ([0.4].as_slice(), 0.25)
        );
        let x = [0.2, f64::NAN, 0.6, 0.8];
        let weights = [1.0, 1.0, 1.0, 0.0];
        let map = Isotonic::fit(&x, &[0.0, 1.0, 1.0, 0.0], Some(&weights));
        assert_eq!((map.x, map.y), (vec![0.2, 0.6], vec![0.0, 1.0]));
        let huge = Isotonic::fit(&[-f64::MAX, f64::MAX], &[0.0, 1.0], None);
        assert!(
            (0.0..=1.0).contains(&huge.value(0.0)),
            "{}",
            huge.value(0.0)
        );
    }
}
