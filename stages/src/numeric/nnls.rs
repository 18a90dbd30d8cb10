//! Least squares with coefficients that are not negative, for a handful of unknowns.

use super::linear::solve_in_place;

/// A slope below this share of the largest counts as none.
const TOLERANCE: f64 = 1e-12;

/// Minimises `|A x - b|^2` over all x without negative elements (Lawson and Hanson 1974, "Solving least
/// squares problems", chapter 23). Takes `gram` = A^T A, row-major, and `target` = A^T b, so that its
/// cost does not depend on the number of rows. Columns that others make up get 0.
///
/// # Panics
/// If lengths do not fit.
pub fn nonnegative(gram: &[f64], target: &[f64]) -> Vec<f64> {
    let n = target.len();
    assert_eq!(gram.len(), n * n);
    let scale = target.iter().fold(0.0, |most: f64, t| most.max(t.abs()));
    let mut x = vec![0.0; n];
    let mut free: Vec<usize> = Vec::new();
    let mut barred: Vec<usize> = Vec::new();
    // The loop ends by itself, since the loss falls in every round. The bound is against rounding.
    for _ in 0..3 * n + 10 {
        let slope = |i: usize| -> f64 {
            let fitted: f64 = (0..n).map(|j| gram[i * n + j] * x[j]).sum();
            target[i] - fitted
        };
        let steepest = (0..n)
            .filter(|i| !free.contains(i) && !barred.contains(i))
            .map(|i| (i, slope(i)))
            .filter(|(_, slope)| *slope > TOLERANCE * scale)
            .reduce(|best, next| if next.1 > best.1 { next } else { best });
        let Some((enters, _)) = steepest else { break };
        free.push(enters);
        if !settle(gram, target, &mut x, &mut free) {
            free.retain(|&i| i != enters);
            barred.push(enters);
            x[enters] = 0.0;
        }
    }
    x
}

/// Solves for the free unknowns, and fixes those that would become negative at 0. Returns false if
/// there is no solution, because the columns depend on each other or overflow.
fn settle(gram: &[f64], target: &[f64], x: &mut [f64], free: &mut Vec<usize>) -> bool {
    let n = target.len();
    while !free.is_empty() {
        let mut matrix: Vec<f64> = free
            .iter()
            .flat_map(|&i| free.iter().map(move |&j| gram[i * n + j]))
            .collect();
        let mut solved: Vec<f64> = free.iter().map(|&i| target[i]).collect();
        if !solve_in_place(&mut matrix, &mut solved) || solved.iter().any(|s| !s.is_finite()) {
            return false;
        }
        let bounds = free.iter().zip(&solved).filter(|(_, s)| **s <= 0.0);
        let share = bounds.map(|(&i, &s)| x[i] / (x[i] - s)).fold(1.0, f64::min);
        // Without a negative element, the whole way is free.
        let whole = solved.iter().all(|&s| s > 0.0);
        for (&i, &s) in free.iter().zip(&solved) {
            x[i] = if whole { s } else { x[i] + share * (s - x[i]) };
        }
        if whole {
            return true;
        }
        let blocked = |&(&i, &s): &(&usize, &f64)| s <= 0.0 && x[i] <= 1e-15;
        let mut out: Vec<usize> = free
            .iter()
            .zip(&solved)
            .filter(blocked)
            .map(|p| *p.0)
            .collect();
        if out.is_empty() {
            let lowest = free
                .iter()
                .copied()
                .reduce(|a, b| if x[b] < x[a] { b } else { a });
            out.extend(lowest);
        }
        out.iter().for_each(|&i| x[i] = 0.0);
        free.retain(|i| !out.contains(i));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// A^T A and A^T b of rows.
    fn normal(rows: &[Vec<f64>], b: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let n = rows[0].len();
        let mut gram = vec![0.0; n * n];
        let mut target = vec![0.0; n];
        for (row, b) in rows.iter().zip(b) {
            for i in 0..n {
                target[i] += row[i] * b;
                for j in 0..n {
                    gram[i * n + j] += row[i] * row[j];
                }
            }
        }
        (gram, target)
    }

    #[test]
    fn coefficients_equal_scipy() {
        let fixture = include_str!("../../tests/fixtures/calibration.json");
        let oracle: Value = serde_json::from_str(fixture).unwrap();
        let list = |value: &Value| -> Vec<f64> { serde_json::from_value(value.clone()).unwrap() };
        let rows = oracle["nnls"]["a"].as_array().unwrap().iter().map(list);
        let (gram, target) = normal(&rows.collect::<Vec<_>>(), &list(&oracle["nnls"]["b"]));
        let x = nonnegative(&gram, &target);
        let expected = list(&oracle["nnls"]["x"]);
        assert!(expected.contains(&0.0));
        for (ours, theirs) in x.iter().zip(&expected) {
            assert!((ours - theirs).abs() < 1e-9, "{x:?}");
        }
    }

    #[test]
    fn no_slope_is_left_where_it_is_free() {
        let rows: Vec<Vec<f64>> = (0..40)
            .map(|i| {
                (0..6)
                    .map(|j| ((i * 7 + j * 11) % 13) as f64 - 3.0)
                    .collect()
            })
            .collect();
        let b: Vec<f64> = (0..40).map(|i| ((i * 5) % 17) as f64 - 8.0).collect();
        let (gram, target) = normal(&rows, &b);
        let x = nonnegative(&gram, &target);
        for i in 0..6 {
            let fitted: f64 = (0..6).map(|j| gram[i * 6 + j] * x[j]).sum();
            let slope = target[i] - fitted;
            assert!(x[i] >= 0.0 && slope < 1e-6, "{i}: {slope} {x:?}");
            assert!(x[i] == 0.0 || slope.abs() < 1e-6, "{i}: {slope} {x:?}");
        }
    }

    #[test]
    fn odd_problems_have_an_answer() {
        assert!(nonnegative(&[], &[]).is_empty());
        assert_eq!(nonnegative(&[0.0; 4], &[0.0; 2]), [0.0; 2]);
        assert_eq!(nonnegative(&[2.0], &[-3.0]), [0.0]);
        // Equal columns share nothing: one of them does it alone.
        let same = nonnegative(&[4.0; 4], &[2.0; 2]);
        assert_eq!(same.iter().sum::<f64>(), 0.5, "{same:?}");
        for bad in [f64::NAN, f64::MAX, f64::INFINITY] {
            let x = nonnegative(&[bad, 1.0, 1.0, 1.0], &[bad, 1.0]);
            assert!(x.iter().all(|x| x.is_finite() && *x >= 0.0), "{x:?}");
        }
    }
}
