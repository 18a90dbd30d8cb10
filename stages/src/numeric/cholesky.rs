//! Cholesky factors of symmetric positive definite matrices of some hundred rows.
//!
//! A matrix is cut into blocks of [`LANES`] rows and columns. Nearly all arithmetic is in one
//! `tile` of 4 rows and [`LANES`] columns, whose sums stay in registers. Every element has a sum of
//! its own, over rows in ascending order, and LLVM vectorizes over the columns. So the bits do not
//! depend on the width of the registers: run the functions inside a
//! [`Kernel`](super::simd::Kernel).
//!
//! The factor is the upper one, `A = U^T U`, because it is computed row by row (Golub and Van Loan,
//! "Matrix Computations", 4th edition, section 4.2). `L = U^T` is the lower factor.

/// The columns of a block. Rows are padded to a multiple of it.
pub const LANES: usize = 8;

/// Half of a block's rows, for which the sums of a tile fit the registers of AVX2.
const HALF: usize = LANES / 2;

/// Consecutive columns of one row.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub struct Lanes(pub [f64; LANES]);

/// An expression for each lane `c`. It stands for a loop, which code that is not optimized would pay dearly for.
macro_rules! lanes {
    ($c:ident => $value:expr) => {
        $crate::numeric::cholesky::Lanes([
            {
                const $c: usize = 0;
                $value
            },
            {
                const $c: usize = 1;
                $value
            },
            {
                const $c: usize = 2;
                $value
            },
            {
                const $c: usize = 3;
                $value
            },
            {
                const $c: usize = 4;
                $value
            },
            {
                const $c: usize = 5;
                $value
            },
            {
                const $c: usize = 6;
                $value
            },
            {
                const $c: usize = 7;
                $value
            },
        ])
    };
}

pub(crate) use lanes;

impl Lanes {
    /// Zeros.
    pub const ZERO: Lanes = Lanes([0.0; LANES]);

    /// Adds `weight * other`, lane by lane.
    #[inline(always)]
    pub fn add_scaled(&mut self, weight: f64, other: &Lanes) {
        *self = lanes!(C => self.0[C] + weight * other.0[C]);
    }

    /// Adds the product with `other`, lane by lane.
    #[inline(always)]
    pub fn add_product(&mut self, one: &Lanes, other: &Lanes) {
        *self = lanes!(C => self.0[C] + one.0[C] * other.0[C]);
    }

    /// The sum of all lanes, in a fixed order.
    #[inline(always)]
    pub fn sum(&self) -> f64 {
        let [a, b, c, d, e, f, g, h] = self.0;
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }
}

/// A row-major matrix whose rows consist of blocks of [`LANES`] columns.
#[derive(Clone, Debug, Default)]
pub struct Blocks {
    values: Vec<Lanes>,
    /// Blocks of columns.
    width: usize,
}

impl Blocks {
    /// Makes this a matrix of `rows` rows and `columns` columns, both rounded up to a multiple of
    /// [`LANES`]. Its values are zeros or those of earlier use, so the caller sets them.
    pub fn resize(&mut self, rows: usize, columns: usize) {
        self.width = columns.div_ceil(LANES);
        let rows = rows.next_multiple_of(LANES);
        self.values.resize(rows * self.width, Lanes::ZERO);
    }

    /// The number of blocks that a row has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// A row.
    #[inline(always)]
    pub fn row(&self, i: usize) -> &[Lanes] {
        &self.values[i * self.width..(i + 1) * self.width]
    }

    /// A row, to be changed.
    #[inline(always)]
    pub fn row_mut(&mut self, i: usize) -> &mut [Lanes] {
        &mut self.values[i * self.width..(i + 1) * self.width]
    }

    /// Adds to the blocks from the diagonal on the products of the columns of `part`, summed over its first
    /// `rows` rows.
    #[inline(always)]
    pub fn add_products(&mut self, part: &Blocks, rows: usize) {
        for i in 0..self.width {
            for j in i..self.width {
                for half in 0..2 {
                    let sums = tile((part, i, half), (part, j), 0..rows);
                    for (r, sum) in sums.iter().enumerate() {
                        let to = &mut self.row_mut(i * LANES + half * HALF + r)[j];
                        to.add_scaled(1.0, sum);
                    }
                }
            }
        }
    }

    /// The block at block row `i` and block column `j`.
    #[inline(always)]
    fn block(&self, i: usize, j: usize) -> Block {
        std::array::from_fn(|r| self.row(i * LANES + r)[j])
    }

    #[inline(always)]
    fn set_block(&mut self, i: usize, j: usize, block: &Block) {
        for (r, lanes) in block.iter().enumerate() {
            self.row_mut(i * LANES + r)[j] = *lanes;
        }
    }
}

/// [`LANES`] rows of a block.
type Block = [Lanes; LANES];

/// The sums over rows `k` of `p[k][i] * q[k][j]`, for the columns `i` of one half of block `of_p` and
/// all columns `j` of block `of_q`.
#[inline(always)]
fn tile(
    (p, of_p, half): (&Blocks, usize, usize),
    (q, of_q): (&Blocks, usize),
    rows: std::ops::Range<usize>,
) -> [Lanes; HALF] {
    let mut sums = [Lanes::ZERO; HALF];
    if rows.is_empty() {
        return sums;
    }
    let of = |m: &Blocks| rows.start * m.width..rows.end * m.width;
    let left = p.values[of(p)].chunks_exact(p.width);
    let right = q.values[of(q)].chunks_exact(q.width);
    for (left, right) in left.zip(right) {
        let (a, b) = (&left[of_p].0, &right[of_q]);
        for (r, sum) in sums.iter_mut().enumerate() {
            sum.add_scaled(a[half * HALF + r], b);
        }
    }
    sums
}

/// Subtracts from `block` the product of the rows above it: `p` gives its rows, `q` its columns.
#[inline(always)]
fn subtract_rows(
    block: &mut Block,
    (p, of_p): (&Blocks, usize),
    (q, of_q): (&Blocks, usize),
    rows: std::ops::Range<usize>,
) {
    for half in 0..2 {
        let sums = tile((p, of_p, half), (q, of_q), rows.clone());
        for (to, sum) in block[half * HALF..].iter_mut().zip(&sums) {
            *to = lanes!(C => to.0[C] - sum.0[C]);
        }
    }
}

/// The Cholesky factor of a matrix, and the room for it, which later matrices use again.
#[derive(Clone, Debug, Default)]
pub struct Cholesky {
    /// The matrix, of which block columns from the diagonal on count; then its factor.
    upper: Blocks,
    /// The inverse of the lower factor, in block columns up to the diagonal.
    lower_inverse: Blocks,
    /// One over each element on the diagonal of the factor.
    reciprocals: Vec<f64>,
}

impl Cholesky {
    /// Returns the room for a matrix of `n` rows. The caller sets the blocks from the diagonal on,
    /// including rows and columns that are added to fill the last block: these are to be those of a
    /// positive definite matrix as well.
    pub fn matrix(&mut self, n: usize) -> &mut Blocks {
        self.upper.resize(n, n);
        self.reciprocals.resize(n.next_multiple_of(LANES), 0.0);
        &mut self.upper
    }

    /// Replaces the matrix by its factor. Returns false if the matrix is not positive definite.
    #[inline(always)]
    pub fn factor(&mut self) -> bool {
        for i in 0..self.upper.width {
            let mut diagonal = self.upper.block(i, i);
            let above = 0..i * LANES;
            let u = &self.upper;
            subtract_rows(&mut diagonal, (u, i), (u, i), above.clone());
            let reciprocals = &mut self.reciprocals[i * LANES..][..LANES];
            if !factor_block(&mut diagonal, reciprocals) {
                return false;
            }
            self.upper.set_block(i, i, &diagonal);
            for j in i + 1..self.upper.width {
                let mut block = self.upper.block(i, j);
                let u = &self.upper;
                subtract_rows(&mut block, (u, i), (u, j), above.clone());
                forward_block(&diagonal, &self.reciprocals[i * LANES..], &mut block);
                self.upper.set_block(i, j, &block);
            }
        }
        true
    }

    /// The diagonal of the factor's inverse, whose logarithms sum to minus half of the logarithm of the
    /// determinant. It has the rows that were added.
    pub fn reciprocals(&self) -> &[f64] {
        &self.reciprocals
    }

    /// Solves `L x = rhs` in place, for each column of `rhs`.
    #[inline(always)]
    pub fn forward(&self, rhs: &mut Blocks) {
        for i in 0..self.upper.width {
            for j in 0..rhs.width {
                self.forward_at((i, j), rhs, 0);
            }
        }
    }

    /// Solves for the block row and column `(i, j)` of `rhs`, whose block rows from `first` to `i - 1`
    /// are solved already and whose rows before are zero.
    #[inline(always)]
    fn forward_at(&self, (i, j): (usize, usize), rhs: &mut Blocks, first: usize) {
        let mut block = rhs.block(i, j);
        let rows = first * LANES..i * LANES;
        subtract_rows(&mut block, (&self.upper, i), (rhs, j), rows);
        let diagonal = self.upper.block(i, i);
        forward_block(&diagonal, &self.reciprocals[i * LANES..], &mut block);
        rhs.set_block(i, j, &block);
    }

    /// Computes the inverse of the lower factor, for [`Cholesky::backward`] and
    /// [`Cholesky::inverse_rows`].
    #[inline(always)]
    pub fn invert(&mut self) {
        let mut inverse = std::mem::take(&mut self.lower_inverse);
        let width = self.upper.width;
        inverse.resize(width * LANES, width * LANES);
        for i in 0..width {
            for j in 0..=i {
                inverse.set_block(
                    i,
                    j,
                    &if i == j {
                        identity()
                    } else {
                        [Lanes::ZERO; LANES]
                    },
                );
                self.forward_at((i, j), &mut inverse, j);
            }
        }
        self.lower_inverse = inverse;
    }

    /// Returns the solution of `L^T x = z` for one column `z`. Needs [`Cholesky::invert`].
    #[inline(always)]
    pub fn backward(&self, z: impl Iterator<Item = f64>) -> Vec<Lanes> {
        let inverse = &self.lower_inverse;
        let mut solution = vec![Lanes::ZERO; inverse.width];
        for (k, z) in z.enumerate().take(inverse.width * LANES) {
            let row = &inverse.row(k)[..k / LANES + 1];
            for (to, from) in solution.iter_mut().zip(row) {
                to.add_scaled(z, from);
            }
        }
        solution
    }

    /// Returns half of the rows of the block at `(i, j)` of the inverse matrix, for `j >= i`. Needs
    /// [`Cholesky::invert`].
    #[inline(always)]
    pub fn inverse_rows(&self, (i, j): (usize, usize), half: usize) -> [Lanes; LANES / 2] {
        let v = &self.lower_inverse;
        tile((v, i, half), (v, j), j * LANES..v.width * LANES)
    }
}

/// Factors a block on the diagonal. Returns false if it is not positive definite.
#[inline(always)]
fn factor_block(block: &mut Block, reciprocals: &mut [f64]) -> bool {
    for r in 0..LANES {
        let pivot = block[r].0[r];
        // This is false for NaN as well.
        if !(pivot > 0.0 && pivot < f64::INFINITY) {
            return false;
        }
        let reciprocal = 1.0 / pivot.sqrt();
        reciprocals[r] = reciprocal;
        let row = lanes!(C => block[r].0[C] * reciprocal);
        block[r] = row;
        for (s, below) in block.iter_mut().enumerate().skip(r + 1) {
            below.add_scaled(-row.0[s], &row);
        }
    }
    true
}

/// Solves `L x = rhs` for the lower factor of one block on the diagonal.
#[inline(always)]
fn forward_block(diagonal: &Block, reciprocals: &[f64], rhs: &mut Block) {
    for r in 0..LANES {
        let row = lanes!(C => rhs[r].0[C] * reciprocals[r]);
        rhs[r] = row;
        for (s, below) in rhs.iter_mut().enumerate().skip(r + 1) {
            below.add_scaled(-diagonal[r].0[s], &row);
        }
    }
}

fn identity() -> Block {
    std::array::from_fn(|r| Lanes(std::array::from_fn(|c| f64::from(u8::from(r == c)))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::rng::Stream;
    use crate::numeric::simd::{Kernel, SimdLevel};

    /// A positive definite matrix of `n` rows, with ones on the diagonal of the rows that are added.
    fn example(n: usize) -> Vec<Vec<f64>> {
        let mut stream = Stream::new(7, &[n as u64]);
        let factors: Vec<Vec<f64>> = (0..n)
            .map(|_| (0..n).map(|_| stream.normal()).collect())
            .collect();
        let padded = n.next_multiple_of(LANES);
        let element = |i: usize, j: usize| -> f64 {
            if i >= n || j >= n {
                return f64::from(u8::from(i == j));
            }
            let product: f64 = (0..n).map(|k| factors[i][k] * factors[j][k]).sum();
            product / n as f64 + if i == j { 0.5 } else { 0.0 }
        };
        (0..padded)
            .map(|i| (0..padded).map(|j| element(i, j)).collect())
            .collect()
    }

    struct Work<'a>(&'a mut Cholesky, &'a [Vec<f64>], &'a mut Blocks);

    impl Kernel for Work<'_> {
        type Output = bool;

        #[inline(always)]
        fn run(self) -> bool {
            let matrix = self.0.matrix(self.1.len());
            for (i, row) in self.1.iter().enumerate() {
                for (to, from) in matrix.row_mut(i).iter_mut().zip(row.chunks(LANES)) {
                    to.0.copy_from_slice(from);
                }
            }
            let done = self.0.factor();
            self.0.invert();
            self.0.forward(self.2);
            done
        }
    }

    fn rhs(n: usize) -> Blocks {
        let mut rhs = Blocks::default();
        rhs.resize(n, 3);
        for i in 0..n {
            rhs.row_mut(i)[0] = Lanes(std::array::from_fn(|c| (i as f64 - 3.0) * 0.1 + c as f64));
        }
        rhs
    }

    #[test]
    fn the_factor_its_solutions_and_the_inverse_undo_the_matrix() {
        for n in [1, 7, 8, 9, 50] {
            let matrix = example(n);
            let padded = matrix.len();
            let (mut cholesky, mut x) = (Cholesky::default(), rhs(n));
            assert!(SimdLevel::active().run(Work(&mut cholesky, &matrix, &mut x)));
            // A times the solution of L^T L x = b is b.
            for c in 0..3 {
                let z = (0..padded).map(|i| x.row(i)[0].0[c]);
                let solution = cholesky.backward(z);
                for (i, row) in matrix.iter().enumerate().take(n) {
                    let product: f64 = (0..padded)
                        .map(|j| row[j] * solution[j / LANES].0[j % LANES])
                        .sum();
                    assert!((product - rhs(n).row(i)[0].0[c]).abs() < 1e-11);
                }
            }
            for (i, row) in matrix.iter().enumerate().take(n) {
                let from = i / LANES;
                let lanes = cholesky.inverse_rows((0, from), 0)[0];
                let product: f64 = (0..padded)
                    .map(|j| {
                        let value = cholesky.inverse_rows((0, j / LANES), 0)[0].0[j % LANES];
                        row[j] * value
                    })
                    .sum();
                assert!((product - f64::from(u8::from(i == 0))).abs() < 1e-11);
                assert!(lanes.0[i % LANES].is_finite());
            }
        }
    }

    #[test]
    fn all_levels_give_the_same_bits() {
        let matrix = example(43);
        let mut results = Vec::new();
        for level in SimdLevel::available() {
            let (mut cholesky, mut x) = (Cholesky::default(), rhs(43));
            assert!(level.run(Work(&mut cholesky, &matrix, &mut x)));
            results.push((
                cholesky.upper.values,
                cholesky.lower_inverse.values,
                x.values,
            ));
        }
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn what_is_not_positive_definite_is_noticed() {
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let mut matrix = example(20);
            matrix[17][17] = value;
            let mut cholesky = Cholesky::default();
            assert!(!SimdLevel::active().run(Work(&mut cholesky, &matrix, &mut rhs(20))));
        }
    }
}
