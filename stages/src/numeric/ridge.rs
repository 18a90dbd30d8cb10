//! Ridge regression with an intercept, several targets, and the strength of its penalty chosen by leaving
//! each row out in turn.
//!
//! The left-out residuals need no further fits: they are e_i / (1 - h_i) with the leverages h_i (Golub, Heath
//! and Wahba 1979, Technometrics 21, 215; Hastie et al. 2009, equation 7.52). With more columns than
//! rows, the equations are solved for a number a row, and not for one a column (Saunders, Gammerman
//! and Vovk 1998, ICML, 515), so thousands of columns cost little more than hundreds.

use super::cholesky::{Blocks, Cholesky, LANES, Lanes};
use super::linear::FitError;
use super::simd::{Kernel, SimdLevel};

/// The rows of a fit.
#[derive(Clone, Copy, Debug)]
pub struct RidgeRows<'a> {
    /// Row-major, `dimension` finite values a row.
    pub features: &'a [f64],
    /// The number of columns, at least 1.
    pub dimension: usize,
    /// How much each row counts, above 0.
    pub weights: &'a [f64],
}

/// A fitted model: target `t` of a row is `intercepts[t] + coefficients[t] . x`.
#[derive(Clone, Debug, PartialEq)]
pub struct Ridge {
    /// The strength of the penalty that was chosen.
    pub alpha: f64,
    /// For each target, a coefficient for each column.
    pub coefficients: Vec<Vec<f64>>,
    /// For each target, its value where all columns are 0.
    pub intercepts: Vec<f64>,
    /// For each target, what each row gets from a fit without it.
    pub left_out: Vec<Vec<f64>>,
}

impl Ridge {
    /// Minimises `sum_i w_i (y_i - b - x_i . beta)^2 + alpha |beta|^2` for each target, with the one of
    /// `alphas` that has the least sum of weighted squared left-out residuals over all targets; the first of
    /// equals. `stop` is asked before each of them.
    ///
    /// # Errors
    /// [`FitError::NotFinite`] if a value is not finite, or an alpha or a weight not positive;
    /// [`FitError::Overflow`] if the equations cannot be solved with any alpha. `Ok(None)` if it was stopped.
    ///
    /// # Panics
    /// If the lengths do not fit together.
    pub fn fit(
        rows: RidgeRows<'_>,
        targets: &[Vec<f64>],
        alphas: &[f64],
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Ridge>, FitError> {
        let n = rows.weights.len();
        assert_eq!(rows.features.len(), n * rows.dimension);
        assert!(targets.iter().all(|target| target.len() == n));
        let positive = |values: &[f64]| values.iter().all(|&v| v > 0.0 && v.is_finite());
        let finite = rows.features.iter().chain(targets.iter().flatten());
        if !finite.copied().all(f64::is_finite) || !positive(rows.weights) || !positive(alphas) {
            return Err(FitError::NotFinite);
        }
        let centred = Centred::of(rows, targets);
        let gram = SimdLevel::active().run(GramKernel(&centred));
        let mut best: Option<(f64, Ridge)> = None;
        for &alpha in alphas {
            if stop() {
                return Ok(None);
            }
            let solver = Solver {
                centred: &centred,
                gram: &gram,
                alpha,
            };
            let Some((loss, ridge)) = SimdLevel::active().run(solver) else {
                continue;
            };
            if best.as_ref().is_none_or(|(least, _)| loss < *least) {
                best = Some((loss, ridge));
            }
        }
        best.map(|(_, ridge)| Some(ridge)).ok_or(FitError::Overflow)
    }

    /// The value of each target for a row.
    pub fn decision(&self, row: &[f64]) -> Vec<f64> {
        let of = |(b, beta): (&f64, &Vec<f64>)| {
            b + beta.iter().zip(row).map(|(b, x)| b * x).sum::<f64>()
        };
        self.intercepts
            .iter()
            .zip(&self.coefficients)
            .map(of)
            .collect()
    }
}

/// Features and targets less their weighted means, times the root of the weight of their row.
struct Centred<'a> {
    rows: RidgeRows<'a>,
    /// The roots of the weights.
    roots: Vec<f64>,
    /// The sum of the weights.
    total: f64,
    means: Vec<f64>,
    target_means: Vec<f64>,
    /// By target and row.
    targets: Vec<Vec<f64>>,
}

impl<'a> Centred<'a> {
    fn of(rows: RidgeRows<'a>, targets: &[Vec<f64>]) -> Self {
        let total: f64 = rows.weights.iter().sum();
        let mut means = vec![0.0; rows.dimension];
        for (row, weight) in rows.features.chunks(rows.dimension).zip(rows.weights) {
            for (mean, x) in means.iter_mut().zip(row) {
                *mean += weight * x / total;
            }
        }
        let roots: Vec<f64> = rows.weights.iter().map(|w| w.sqrt()).collect();
        let mean = |target: &Vec<f64>| {
            let terms = target.iter().zip(rows.weights);
            terms.map(|(y, w)| w * y).sum::<f64>() / total
        };
        let target_means: Vec<f64> = targets.iter().map(mean).collect();
        let scaled = targets.iter().zip(&target_means).map(|(target, mean)| {
            let terms = target.iter().zip(&roots);
            terms.map(|(y, root)| (y - mean) * root).collect()
        });
        Centred {
            targets: scaled.collect(),
            rows,
            roots,
            total,
            means,
            target_means,
        }
    }

    /// The element of row `i` and column `j`.
    fn at(&self, i: usize, j: usize) -> f64 {
        (self.rows.features[i * self.rows.dimension + j] - self.means[j]) * self.roots[i]
    }

    /// Whether there are more columns than rows, so that the unknowns are the rows.
    fn wide(&self) -> bool {
        self.rows.dimension > self.roots.len()
    }

    /// The number of unknowns, and of what the sums of the equations run over.
    fn sizes(&self) -> (usize, usize) {
        let (n, d) = (self.roots.len(), self.rows.dimension);
        if self.wide() { (n, d) } else { (d, n) }
    }

    /// Writes the values of all unknowns at place `k` of the sums.
    fn fill(&self, k: usize, out: &mut [Lanes]) {
        let (unknowns, _) = self.sizes();
        for u in 0..unknowns {
            let value = if self.wide() {
                self.at(u, k)
            } else {
                self.at(k, u)
            };
            out[u / LANES].0[u % LANES] = value;
        }
    }
}

/// The terms of the sums that are added at a time. They stay in the processor's cache.
const CHUNK: usize = 256;

/// Computes the matrix of the equations without the penalty: the products of all unknowns' values.
struct GramKernel<'a>(&'a Centred<'a>);

impl Kernel for GramKernel<'_> {
    type Output = Blocks;

    #[inline(always)]
    fn run(self) -> Blocks {
        let (unknowns, terms) = self.0.sizes();
        let mut gram = Blocks::default();
        gram.resize(unknowns, unknowns);
        let mut part = Blocks::default();
        for first in (0..terms).step_by(CHUNK) {
            let count = CHUNK.min(terms - first);
            part.resize(count, unknowns);
            for k in 0..count {
                self.0.fill(first + k, part.row_mut(k));
            }
            gram.add_products(&part, count);
        }
        gram
    }
}

/// Solves the equations for one alpha.
struct Solver<'a> {
    centred: &'a Centred<'a>,
    gram: &'a Blocks,
    alpha: f64,
}

impl Kernel for Solver<'_> {
    /// The sum of squared left-out residuals, and the model.
    type Output = Option<(f64, Ridge)>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        let (unknowns, _) = self.centred.sizes();
        let mut cholesky = Cholesky::default();
        let matrix = cholesky.matrix(unknowns);
        let padded = unknowns.next_multiple_of(LANES);
        for i in 0..padded {
            matrix.row_mut(i).copy_from_slice(self.gram.row(i));
            let diagonal = &mut matrix.row_mut(i)[i / LANES].0[i % LANES];
            *diagonal += if i < unknowns { self.alpha } else { 1.0 };
        }
        if !cholesky.factor() {
            return None;
        }
        cholesky.invert();
        let solve = |rhs: &[f64]| {
            let mut column = Blocks::default();
            column.resize(unknowns, 1);
            for i in 0..padded {
                let value = rhs.get(i).copied().unwrap_or(0.0);
                column.row_mut(i)[0] = Lanes::ZERO;
                column.row_mut(i)[0].0[0] = value;
            }
            cholesky.forward(&mut column);
            let solved = cholesky.backward((0..padded).map(|i| column.row(i)[0].0[0]));
            let flat = solved.iter().flat_map(|lanes| lanes.0);
            flat.take(unknowns).collect::<Vec<f64>>()
        };
        let (coefficients, residuals) = match self.centred.wide() {
            true => self.by_rows(solve),
            false => self.by_columns(solve),
        };
        let free = match self.centred.wide() {
            true => self.freedom_of_rows(&cholesky),
            false => self.freedom_of_columns(&cholesky),
        };
        Some(self.model(coefficients, &residuals, &free))
    }
}

impl Solver<'_> {
    /// Solves for a number for each row: G a = y, beta = Z^T a, and the residual is alpha a.
    fn by_rows(&self, solve: impl Fn(&[f64]) -> Vec<f64>) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
        let d = self.centred.rows.dimension;
        let each = self.centred.targets.iter().map(|target| {
            let a = solve(target);
            let mut beta = vec![0.0; d];
            for (i, a) in a.iter().enumerate() {
                for (j, beta) in beta.iter_mut().enumerate() {
                    *beta += a * self.centred.at(i, j);
                }
            }
            (beta, a.iter().map(|a| self.alpha * a).collect())
        });
        each.unzip()
    }

    /// Solves for a number for each column: (Z^T Z + alpha) beta = Z^T y.
    fn by_columns(&self, solve: impl Fn(&[f64]) -> Vec<f64>) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
        let d = self.centred.rows.dimension;
        let each = self.centred.targets.iter().map(|target| {
            let mut products = vec![0.0; d];
            for (i, y) in target.iter().enumerate() {
                for (j, product) in products.iter_mut().enumerate() {
                    *product += y * self.centred.at(i, j);
                }
            }
            let beta = solve(&products);
            let fitted = |i: usize| (0..d).map(|j| beta[j] * self.centred.at(i, j)).sum::<f64>();
            let residuals = target.iter().enumerate().map(|(i, y)| y - fitted(i));
            let residuals = residuals.collect();
            (beta, residuals)
        });
        each.unzip()
    }

    /// One minus the leverage of each row, without the intercept's: alpha times the diagonal of the inverse.
    #[inline(always)]
    fn freedom_of_rows(&self, cholesky: &Cholesky) -> Vec<f64> {
        let n = self.centred.roots.len();
        let mut free = Vec::with_capacity(n);
        for block in 0..n.div_ceil(LANES) {
            for half in 0..2 {
                let rows = cholesky.inverse_rows((block, block), half);
                for (r, row) in rows.iter().enumerate() {
                    free.push(self.alpha * row.0[half * rows.len() + r]);
                }
            }
        }
        free.truncate(n);
        free
    }

    /// The same for unknowns that are columns: the leverage is |L^-1 z|^2.
    #[inline(always)]
    fn freedom_of_columns(&self, cholesky: &Cholesky) -> Vec<f64> {
        let (n, d) = (self.centred.roots.len(), self.centred.rows.dimension);
        let mut free = Vec::with_capacity(n);
        let mut rows = Blocks::default();
        for first in (0..n).step_by(CHUNK) {
            let count = CHUNK.min(n - first);
            rows.resize(d, count);
            for j in 0..d.next_multiple_of(LANES) {
                for i in 0..count.next_multiple_of(LANES) {
                    let inside = j < d && i < count;
                    let value = if inside {
                        self.centred.at(first + i, j)
                    } else {
                        0.0
                    };
                    rows.row_mut(j)[i / LANES].0[i % LANES] = value;
                }
            }
            cholesky.forward(&mut rows);
            let mut leverage = vec![Lanes::ZERO; count.div_ceil(LANES)];
            for j in 0..d {
                for (sum, z) in leverage.iter_mut().zip(rows.row(j)) {
                    sum.add_product(z, z);
                }
            }
            let flat = leverage.iter().flat_map(|lanes| lanes.0);
            free.extend(flat.take(count).map(|leverage| 1.0 - leverage));
        }
        free
    }

    /// Puts the model together.
    fn model(
        &self,
        coefficients: Vec<Vec<f64>>,
        residuals: &[Vec<f64>],
        free: &[f64],
    ) -> (f64, Ridge) {
        let centred = self.centred;
        let mut loss = 0.0;
        let mut left_out = Vec::with_capacity(residuals.len());
        for (t, residuals) in residuals.iter().enumerate() {
            let row = |(i, residual): (usize, &f64)| {
                let root = centred.roots[i];
                // The intercept has a leverage of its own. A row that decides its own value has no other.
                let free = (free[i] - root * root / centred.total).max(1e-12);
                let error = residual / free;
                loss += error * error;
                let target = centred.targets[t][i] / root + centred.target_means[t];
                target - error / root
            };
            left_out.push(residuals.iter().enumerate().map(row).collect());
        }
        let intercept = |(beta, mean): (&Vec<f64>, &f64)| {
            mean - beta
                .iter()
                .zip(&centred.means)
                .map(|(b, m)| b * m)
                .sum::<f64>()
        };
        let intercepts = coefficients.iter().zip(&centred.target_means);
        let ridge = Ridge {
            alpha: self.alpha,
            intercepts: intercepts.map(intercept).collect(),
            coefficients,
            left_out,
        };
        (loss, ridge)
    }
}

#[cfg(test)]
mod tests;
