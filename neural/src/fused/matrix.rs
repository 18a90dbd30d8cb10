//! Products of matrices, with sums in an order that no machine decides.

use flow_stages::numeric::simd::{Kernel, SimdLevel};
use gemm::{Parallelism, gemm};

/// The most terms of a sum that are added to each other before they are added to the rest. The library would decide by
/// the sizes of the caches, but never on fewer than these.
const DEPTH: usize = 512;

/// Numbers of a slice as a matrix.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    /// From a row to the next, and from a column to the next.
    strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// Rows of `columns` numbers, `stride` apart from each other. They may overlap.
    pub fn new(values: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        let end = match rows {
            0 => 0,
            rows => (rows - 1) * stride + columns,
        };
        assert!(end <= values.len(), "a matrix within its numbers");
        Self {
            values,
            rows,
            columns,
            strides: [stride, 1],
        }
    }

    /// Rows behind each other.
    pub fn dense(values: &'a [f32], columns: usize) -> Self {
        Self::new(values, values.len() / columns.max(1), columns, columns)
    }

    /// The rows as columns.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            strides: [self.strides[1], self.strides[0]],
            ..self
        }
    }

    fn row_range(self, first: usize, count: usize) -> Self {
        Self {
            values: &self.values[(first * self.strides[0]).min(self.values.len())..],
            rows: count,
            ..self
        }
    }

    fn column_range(self, first: usize, count: usize) -> Self {
        self.transposed().row_range(first, count).transposed()
    }

    /// A copy in which no two numbers of a column are neighbors.
    fn spread(self) -> Vec<f32> {
        let stride = self.columns.max(2);
        let mut copy = vec![0.0; self.rows * stride];
        for (row, copy) in copy.chunks_exact_mut(stride).enumerate() {
            for (column, copy) in copy.iter_mut().take(self.columns).enumerate() {
                *copy = self.values[row * self.strides[0] + column * self.strides[1]];
            }
        }
        copy
    }
}

/// A place for a matrix.
pub struct MatrixMut<'a> {
    values: &'a mut [f32],
    stride: usize,
}

impl<'a> MatrixMut<'a> {
    /// Rows that begin `stride` apart from each other.
    pub fn new(values: &'a mut [f32], stride: usize) -> Self {
        Self { values, stride }
    }
}

/// Computes a product. With `add`, it is added to what is there.
///
/// The terms of each sum are added in the order of the inner dimension, in blocks of equal size of at most 512, each from
/// zero, by fused multiply-adds where the processor has them.
pub fn product(left: Matrix<'_>, right: Matrix<'_>, into: MatrixMut<'_>, add: bool) {
    assert_eq!(left.columns, right.rows, "the inner dimension of a product");
    // The library adds in another order if both are contiguous along the inner dimension.
    let spread;
    let right = match left.strides[1] == 1 && right.strides[0] == 1 {
        true => {
            spread = right.spread();
            Matrix::new(&spread, right.rows, right.columns, right.columns.max(2))
        }
        false => right,
    };
    let depth = left.columns;
    let blocks = depth.div_ceil(DEPTH).max(1);
    let size = depth.div_ceil(blocks);
    for block in 0..blocks {
        let first = (block * size).min(depth);
        let count = size.min(depth - first);
        let into = MatrixMut::new(&mut *into.values, into.stride);
        let left = left.column_range(first, count);
        unblocked_product(left, right.row_range(first, count), into, add || block > 0);
    }
}

/// The same in the order of the library.
pub fn unblocked_product(left: Matrix<'_>, right: Matrix<'_>, into: MatrixMut<'_>, add: bool) {
    let (rows, columns) = (left.rows, right.columns);
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(columns <= into.stride, "rows of a product do not overlap");
    let end = (rows - 1) * into.stride + columns;
    assert!(end <= into.values.len(), "a product within its place");
    let [left_row, left_column] = left.strides.map(|stride| stride as isize);
    let [right_row, right_column] = right.strides.map(|stride| stride as isize);
    // SAFETY: `Matrix` and the assertion have checked that all numbers are within the slices, and nothing else reads or
    // writes the place of the product, which is borrowed mutably.
    unsafe {
        gemm(
            rows,
            columns,
            left.columns,
            into.values.as_mut_ptr(),
            1,
            into.stride as isize,
            add,
            left.values.as_ptr(),
            left_column,
            left_row,
            right.values.as_ptr(),
            right_column,
            right_row,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// Returns rows of `columns` numbers as columns.
pub fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len() / columns.max(1);
    let mut turned = vec![0.0; values.len()];
    for (row, values) in values.chunks_exact(columns.max(1)).enumerate() {
        for (column, &value) in values.iter().enumerate() {
            turned[column * rows + row] = value;
        }
    }
    turned
}

/// Adds each number to the one in its place.
pub fn add_to(sums: &mut [f32], terms: &[f32]) {
    for (sum, term) in sums.iter_mut().zip(terms) {
        *sum += term;
    }
}

/// Adds to each sum its column of rows that lie behind each other, from the first row to the last.
pub fn add_rows(sums: &mut [f32], rows: &[f32]) {
    SimdLevel::active().run(Rows { sums, rows });
}

struct Rows<'a> {
    sums: &'a mut [f32],
    rows: &'a [f32],
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for row in self.rows.chunks_exact(self.sums.len()) {
            for (sum, term) in self.sums.iter_mut().zip(row) {
                *sum += term;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, numbers};
    use super::*;

    fn plain(left: Matrix<'_>, right: Matrix<'_>) -> Vec<f32> {
        let at = |matrix: Matrix<'_>, row: usize, column: usize| {
            f64::from(matrix.values[row * matrix.strides[0] + column * matrix.strides[1]])
        };
        let mut out = Vec::new();
        for row in 0..left.rows {
            for column in 0..right.columns {
                let terms = (0..left.columns).map(|k| at(left, row, k) * at(right, k, column));
                out.push(terms.sum::<f64>() as f32);
            }
        }
        out
    }

    #[test]
    fn products_of_all_layouts_are_right() {
        for [rows, columns, depth] in [
            [1, 1, 1],
            [3, 1, 700],
            [1, 5, 600],
            [40, 30, 1100],
            [4, 4, 9],
            [2, 3, 2],
            [3, 2, 0],
        ] {
            let a = numbers("a", rows * depth);
            let b = numbers("b", depth * columns);
            let lefts = [
                Matrix::new(&a, rows, depth, depth),
                Matrix::new(&a, depth, rows, rows).transposed(),
            ];
            let rights = [
                Matrix::new(&b, depth, columns, columns),
                Matrix::new(&b, columns, depth, depth).transposed(),
            ];
            for left in lefts {
                for right in rights {
                    let expected = plain(left, right);
                    let mut out = vec![7.0; rows * columns];
                    product(left, right, MatrixMut::new(&mut out, columns), false);
                    assert_near("product", &out, &expected, 2e-6);
                    let twice: Vec<f32> = expected.iter().map(|x| 2.0 * x).collect();
                    product(left, right, MatrixMut::new(&mut out, columns), true);
                    assert_near("sum of products", &out, &twice, 2e-6);
                }
            }
        }
    }

    /// What the order of the sums is, in plain code, for processors with fused multiply-adds.
    #[test]
    fn sums_have_the_order_that_is_promised() {
        if !super::super::arithmetic::fuses() {
            return;
        }
        for [rows, columns, depth] in [[5, 1, 40], [3, 3, 30], [30, 50, 1100], [65, 70, 513]] {
            let a = numbers("a", rows * depth);
            let b = numbers("b", depth * columns);
            let mut out = vec![0.0; rows * columns];
            let left = Matrix::new(&a, rows, depth, depth);
            let right = Matrix::new(&b, depth, columns, columns);
            product(left, right, MatrixMut::new(&mut out, columns), false);
            let size = depth.div_ceil(depth.div_ceil(DEPTH));
            for (at, &got) in out.iter().enumerate() {
                let (row, column) = (at / columns, at % columns);
                let mut sum: Option<f32> = None;
                for first in (0..depth).step_by(size) {
                    let block = (first..depth.min(first + size)).fold(0.0_f32, |sum, k| {
                        a[row * depth + k].mul_add(b[k * columns + column], sum)
                    });
                    sum = Some(sum.map_or(block, |sum| sum + block));
                }
                assert_eq!(got.to_bits(), sum.unwrap().to_bits(), "{row} {column}");
            }
        }
    }

    #[test]
    fn rows_are_added_up() {
        let mut sums = [1.0, 2.0];
        add_rows(&mut sums, &[10.0, 20.0, 30.0, 40.0]);
        assert_eq!(sums, [41.0, 62.0]);
    }

    #[test]
    fn rows_become_columns() {
        let turned = transposed(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3);
        assert_eq!(turned, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert!(transposed(&[], 3).is_empty());
    }
}
