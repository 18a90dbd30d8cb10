//! Linear least squares by orthogonal transformations, which loses half as many digits as normal equations do.
//!
//! A matrix is stored by columns. Householder reflections make it triangular (Golub and Van Loan, Matrix Computations,
//! algorithm 5.2.1), and one-sided Jacobi rotations give the singular values of the triangle (Demmel and Veselic 1992,
//! SIAM J. Matrix Anal. Appl. 13, 1204).

/// The most sweeps of rotations. Seven are enough for any matrix that was seen.
const SWEEPS: usize = 60;

/// A matrix by columns.
#[derive(Clone, Debug)]
pub struct Matrix {
    rows: usize,
    data: Vec<f64>,
}

impl Matrix {
    /// Returns a matrix with `rows` rows and no columns.
    pub fn new(rows: usize) -> Matrix {
        Matrix {
            rows,
            data: Vec::new(),
        }
    }

    /// Appends a column, whose missing values are 0.
    pub fn push(&mut self, column: impl IntoIterator<Item = f64>) {
        let end = self.data.len() + self.rows;
        self.data.extend(column.into_iter().take(self.rows));
        self.data.resize(end, 0.0);
    }

    /// Returns the number of columns.
    pub fn columns(&self) -> usize {
        self.data.len().checked_div(self.rows).unwrap_or(0)
    }

    /// Returns a column.
    pub fn column(&self, j: usize) -> &[f64] {
        &self.data[j * self.rows..(j + 1) * self.rows]
    }

    /// Returns true if all values are finite.
    pub fn is_finite(&self) -> bool {
        self.data.iter().all(|v| v.is_finite())
    }

    /// Makes the matrix upper triangular by reflections, and reflects `rhs`, which has a value for each row, along with
    /// it. What was the least squares problem is now a triangular one: the sum of squares that the first k columns leave
    /// is that of `rhs[k..]`.
    pub fn triangularize(&mut self, rhs: &mut [f64]) {
        let (rows, columns) = (self.rows, self.columns());
        for k in 0..columns.min(rows) {
            let (left, right) = self.data.split_at_mut((k + 1) * rows);
            let column = &mut left[k * rows + k..];
            let norm = length(column);
            if norm == 0.0 {
                continue;
            }
            let diagonal = if column[0] > 0.0 { -norm } else { norm };
            column[0] -= diagonal;
            let half = diagonal * -column[0];
            for other in right.chunks_exact_mut(rows).chain([&mut *rhs]) {
                let factor = dot(column, &other[k..]) / half;
                for (to, from) in other[k..].iter_mut().zip(&*column) {
                    *to -= factor * from;
                }
            }
            column.fill(0.0);
            column[0] = diagonal;
        }
    }

    /// Returns the coefficients with the least sum of squares of `rhs` minus the columns, and of these the ones with
    /// the least norm. Singular values that are not larger than `cutoff` times the largest count as 0.
    pub fn least_squares(mut self, mut rhs: Vec<f64>, cutoff: f64) -> Vec<f64> {
        let columns = self.columns();
        self.triangularize(&mut rhs);
        rhs.resize(columns, 0.0);
        let mut triangle = Matrix::new(columns);
        let mut right = Matrix::new(columns);
        for j in 0..columns {
            triangle.push(self.column(j).iter().copied());
            right.push((0..columns).map(|i| f64::from(i == j)));
        }
        diagonalize(&mut triangle, &mut right);
        let singular: Vec<f64> = (0..columns).map(|j| length(triangle.column(j))).collect();
        let least = cutoff * singular.iter().copied().fold(0.0, f64::max);
        let mut solution = vec![0.0; columns];
        for (j, singular) in singular.iter().enumerate() {
            if *singular > least {
                let part = dot(triangle.column(j), &rhs) / singular / singular;
                for (to, from) in solution.iter_mut().zip(right.column(j)) {
                    *to += part * from;
                }
            }
        }
        solution
    }
}

/// Rotates pairs of columns until all are at right angles to each other, and those of `right` in the same way.
fn diagonalize(matrix: &mut Matrix, right: &mut Matrix) {
    let columns = matrix.columns();
    for _ in 0..SWEEPS {
        let mut turned = false;
        for i in 0..columns {
            for j in i + 1..columns {
                let (a, b) = (matrix.column(i), matrix.column(j));
                let (aa, bb, ab) = (dot(a, a), dot(b, b), dot(a, b));
                if ab == 0.0 || ab.abs() <= f64::EPSILON * (aa * bb).sqrt() {
                    continue;
                }
                turned = true;
                let slope = (bb - aa) / (2.0 * ab);
                let tan = slope.signum() / (slope.abs() + (1.0 + slope * slope).sqrt());
                let cos = 1.0 / (1.0 + tan * tan).sqrt();
                rotate(matrix, (i, j), (cos, cos * tan));
                rotate(right, (i, j), (cos, cos * tan));
            }
        }
        if !turned {
            return;
        }
    }
}

fn rotate(matrix: &mut Matrix, (i, j): (usize, usize), (cos, sin): (f64, f64)) {
    let rows = matrix.rows;
    let (left, right) = matrix.data.split_at_mut(j * rows);
    let first = &mut left[i * rows..(i + 1) * rows];
    for (a, b) in first.iter_mut().zip(&mut right[..rows]) {
        (*a, *b) = (cos * *a - sin * *b, sin * *a + cos * *b);
    }
}

/// Returns the sum of products.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b)
}

/// Returns the root of the sum of squares, without overflow.
fn length(values: &[f64]) -> f64 {
    let largest = values.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    let square = |sum: f64, v: &f64| sum + (v / largest) * (v / largest);
    largest * values.iter().fold(0.0, square).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(columns: &[&[f64]]) -> Matrix {
        let mut matrix = Matrix::new(columns[0].len());
        for column in columns {
            matrix.push(column.iter().copied());
        }
        matrix
    }

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    // The figures are those of numpy.linalg.lstsq, NumPy 2.3.5.
    #[test]
    fn coefficients_are_those_of_numpy() {
        let tall = matrix(&[
            &[1.0; 5],
            &[0.0, 1.0, 2.0, 3.0, 5.0],
            &[1.0, -1.0, 4.0, 2.0, 0.5],
        ]);
        let found = tall.least_squares(vec![1.0, 2.0, 0.5, 3.0, 7.0], 1e-15);
        close(
            &found,
            &[0.8202662721893492, 1.218934911242604, -0.6168639053254434],
        );
    }

    #[test]
    fn of_many_solutions_the_shortest_is_taken() {
        // The third column is the sum of the others.
        let dependent = matrix(&[
            &[1.0, 0.0, 2.0, 1.0],
            &[0.0, 1.0, 1.0, 3.0],
            &[1.0, 1.0, 3.0, 4.0],
        ]);
        let found = dependent.least_squares(vec![1.0, 2.0, 3.0, 5.0], 1e-13);
        close(
            &found,
            &[0.032520325203252515, 0.7154471544715447, 0.7479674796747969],
        );
        let wide = matrix(&[&[1.0, 0.0], &[2.0, 1.0], &[3.0, -1.0]]);
        let found = wide.least_squares(vec![1.0, 2.0], 1e-15);
        close(
            &found,
            &[0.14814814814814803, 1.37037037037037, -0.6296296296296293],
        );
        let nothing = matrix(&[&[0.0; 3], &[0.0; 3]]);
        close(&nothing.least_squares(vec![1.0; 3], 1e-15), &[0.0, 0.0]);
    }

    #[test]
    fn numbers_that_overflow_end_too() {
        let huge = matrix(&[&[f64::MAX, 1.0, 2.0], &[1.0, f64::NAN, -f64::MAX]]);
        assert_eq!(huge.least_squares(vec![1.0; 3], 1e-15).len(), 2);
    }
}
