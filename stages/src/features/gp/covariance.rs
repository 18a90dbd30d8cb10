//! The covariance of a light curve, its likelihood and the derivatives of that.
//!
//! The flux `y` of `n` points is a draw from a normal distribution of mean 0 and covariance
//! `K = a^2 k(r) + diag(e^2)`, where `r^2 = (dt / l_t)^2 + (dw / l_w)^2` for two points whose times
//! differ by `dt` and whose wavelengths differ by `dw`. Its hyper-parameters are
//! `theta = (ln a, ln l_t, ln l_w)` (Rasmussen and Williams, "Gaussian Processes for Machine Learning",
//! 2006, equations 4.17, 5.8 and 5.9; Boone 2019, arXiv:1907.04690, section 3.1):
//!
//! ```text
//! ln L          = -(y^T alpha + ln det K) / 2 - n ln(2 pi) / 2,   alpha = K^-1 y
//! d ln L / d i  = (alpha^T K_i alpha - tr(K^-1 K_i)) / 2,         K_i = dK / d theta_i
//! I_ij          = alpha^T K_i K^-1 K_j alpha / 2
//! ```
//!
//! `I` is the average information (Gilmour, Thompson and Cullis 1995, Biometrics 51, 1440, equation 7):
//! the mean of the observed and the expected one, as far as `K` is linear in its parameters. It needs no
//! product of matrices, has no negative eigenvalue, and leads Newton's method to the optimum in a few steps.

use super::points::Points;
use crate::numeric::cholesky::{Blocks, Cholesky, LANES, Lanes, lanes};
use crate::numeric::exp::exp;
use crate::numeric::simd::{Kernel, SimdLevel};

/// The number of hyper-parameters.
pub(super) const HYPER: usize = 3;

/// How smooth the curves of a process are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Smoothness {
    /// Matern with index 3/2, `k(r) = (1 + sqrt(3) r) exp(-sqrt(3) r)`: curves that have a slope.
    Matern,
    /// `k(r) = exp(-r)`: a damped random walk, which has none.
    Walk,
}

/// A covariance function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Covariance {
    pub smoothness: Smoothness,
    /// The logarithms of amplitude, length in time and length in wavelength.
    pub theta: [f64; HYPER],
}

/// What a covariance function is computed from, for one of its arguments.
#[derive(Clone, Copy)]
struct Rates {
    smoothness: Smoothness,
    /// The variance.
    amplitude: f64,
    /// One over the square of each length.
    time: f64,
    wavelength: f64,
}

/// The covariances of one point with those of a block.
struct Pairs {
    covariance: Lanes,
    /// What the squared distance in time or wavelength has to be multiplied by to give the derivative by
    /// the logarithm of that length.
    slope: Lanes,
}

impl Covariance {
    fn rates(&self) -> Rates {
        let [amplitude, time, wavelength] = self.theta;
        Rates {
            smoothness: self.smoothness,
            amplitude: exp(2.0 * amplitude),
            time: exp(-2.0 * time),
            wavelength: exp(-2.0 * wavelength),
        }
    }
}

impl Rates {
    /// The squared distances of a point from the points of a block.
    #[inline(always)]
    fn distances(&self, (t, w): (f64, f64), times: &Lanes, wavelengths: &Lanes) -> (Lanes, Lanes) {
        let (dt, dw) = (
            lanes!(C => t - times.0[C]),
            lanes!(C => w - wavelengths.0[C]),
        );
        (
            lanes!(C => dt.0[C] * dt.0[C] * self.time),
            lanes!(C => dw.0[C] * dw.0[C] * self.wavelength),
        )
    }

    #[inline(always)]
    fn pairs(&self, at: (f64, f64), times: &Lanes, wavelengths: &Lanes) -> Pairs {
        let (time, wavelength) = self.distances(at, times, wavelengths);
        match self.smoothness {
            Smoothness::Matern => {
                let q = lanes!(C => (3.0 * (time.0[C] + wavelength.0[C])).sqrt());
                let decay = lanes!(C => self.amplitude * exp(-q.0[C]));
                Pairs {
                    covariance: lanes!(C => (1.0 + q.0[C]) * decay.0[C]),
                    slope: lanes!(C => 3.0 * decay.0[C]),
                }
            }
            Smoothness::Walk => {
                let r = lanes!(C => (time.0[C] + wavelength.0[C]).sqrt());
                let decay = lanes!(C => self.amplitude * exp(-r.0[C]));
                Pairs {
                    covariance: decay,
                    // Points at no distance have no derivative there, and a product of 0.
                    slope: lanes!(C => if r.0[C] > 0.0 { decay.0[C] / r.0[C] } else { 0.0 }),
                }
            }
        }
    }
}

/// The derivatives of the log-likelihood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Derivatives {
    /// The gradient.
    pub gradient: [f64; HYPER],
    /// The average information.
    pub information: [[f64; HYPER]; HYPER],
}

/// A likelihood at some hyper-parameters. It has no derivatives if it was below what was asked for.
#[derive(Clone, Debug)]
pub(super) struct Likelihood {
    /// The log-likelihood of the scaled fluxes, without the constant `-n ln(2 pi) / 2`.
    pub value: f64,
    pub derivatives: Option<Derivatives>,
    /// `K^-1 y`, if there are derivatives.
    pub alpha: Vec<Lanes>,
}

/// The matrices of a likelihood. Their room is used again for the next one.
#[derive(Clone, Debug, Default)]
pub(super) struct Matrices {
    cholesky: Cholesky,
    slopes: Blocks,
    columns: Blocks,
}

impl Matrices {
    /// Computes the likelihood, and its derivatives if its logarithm is at least `least`. Returns `None`
    /// if the covariance matrix is not positive definite in f64.
    pub(super) fn likelihood(
        &mut self,
        covariance: &Covariance,
        points: &Points,
        least: f64,
    ) -> Option<Likelihood> {
        SimdLevel::active().run(Evaluate {
            rates: covariance.rates(),
            matrices: self,
            points,
            least,
        })
    }

    /// Returns mean and variance of the process at times and wavelengths. Needs the factor of the last
    /// [`Matrices::likelihood`], with the same arguments, and its `alpha`.
    pub(super) fn predict(
        &mut self,
        covariance: &Covariance,
        (points, alpha): (&Points, &[Lanes]),
        at: &[(f64, f64)],
    ) -> Vec<(f64, f64)> {
        SimdLevel::active().run(Predict {
            rates: covariance.rates(),
            matrices: self,
            points,
            alpha,
            at,
        })
    }
}

/// Returns the mean of the process at times and wavelengths.
pub(super) fn means(
    covariance: &Covariance,
    (points, alpha): (&Points, &[Lanes]),
    at: &[(f64, f64)],
) -> Vec<f64> {
    SimdLevel::active().run(Means {
        rates: covariance.rates(),
        points,
        alpha,
        at,
    })
}

struct Evaluate<'a> {
    rates: Rates,
    matrices: &'a mut Matrices,
    points: &'a Points,
    least: f64,
}

impl Kernel for Evaluate<'_> {
    type Output = Option<Likelihood>;

    #[inline(always)]
    fn run(mut self) -> Option<Likelihood> {
        self.fill();
        let n = self.points.len();
        let Matrices {
            cholesky, columns, ..
        } = &mut *self.matrices;
        if !cholesky.factor() {
            return None;
        }
        columns.resize(n, 1);
        for i in 0..self.points.padded() {
            let mut lanes = Lanes::ZERO;
            lanes.0[0] = self.points.flux(i);
            columns.row_mut(i)[0] = lanes;
        }
        cholesky.forward(columns);
        let mut value = 0.0;
        for i in 0..n {
            let z = columns.row(i)[0].0[0];
            value -= 0.5 * (z * z);
        }
        // Rows that fill the last block are no points.
        let product: f64 = cholesky.reciprocals()[..n]
            .iter()
            .map(|&r| libm::log(r))
            .sum();
        value += product;
        if value.is_nan() || value < self.least {
            let finite = value.is_finite();
            return finite.then_some(Likelihood {
                value,
                derivatives: None,
                alpha: Vec::new(),
            });
        }
        cholesky.invert();
        let z = (0..self.points.padded()).map(|i| columns.row(i)[0].0[0]);
        let alpha = cholesky.backward(z);
        let derivatives = Some(self.derivatives(&alpha));
        Some(Likelihood {
            value,
            derivatives,
            alpha,
        })
    }
}

impl Evaluate<'_> {
    /// Fills the covariance matrix and its slopes.
    #[inline(always)]
    fn fill(&mut self) {
        let (points, n) = (self.points, self.points.len());
        let slopes = &mut self.matrices.slopes;
        slopes.resize(n, n);
        let matrix = self.matrices.cholesky.matrix(n);
        for i in 0..points.padded() {
            let (row, slopes) = (matrix.row_mut(i), slopes.row_mut(i));
            let at = points.at(i);
            for j in i / LANES..points.blocks() {
                let pairs = self.rates.pairs(at, &points.time[j], &points.wavelength[j]);
                row[j] = pairs.covariance;
                slopes[j] = pairs.slope;
            }
            row[i / LANES].0[i % LANES] += points.variance(i);
        }
    }

    #[inline(always)]
    fn derivatives(&mut self, alpha: &[Lanes]) -> Derivatives {
        let sums = self.sums(alpha);
        let points = self.points;
        let n = points.len() as f64;
        // K_i alpha for the three parameters. For the amplitude it is 2 (K - diag(e^2)) alpha.
        let Matrices {
            cholesky, columns, ..
        } = &mut *self.matrices;
        let mut quadratic = [0.0; HYPER];
        for i in 0..points.padded() {
            let (block, lane) = (i / LANES, i % LANES);
            let alpha = alpha[block].0[lane];
            let mut column = Lanes::ZERO;
            column.0[0] = 2.0 * (points.flux(i) - points.variance(i) * alpha);
            column.0[1] = sums.by_time[block].0[lane];
            column.0[2] = sums.by_wavelength[block].0[lane];
            for (sum, value) in quadratic.iter_mut().zip(&column.0) {
                *sum += alpha * value;
            }
            columns.row_mut(i)[0] = column;
        }
        let traces = [2.0 * (n - sums.noise), sums.traces[0], sums.traces[1]];
        let gradient = std::array::from_fn(|p| 0.5 * (quadratic[p] - traces[p]));
        cholesky.forward(columns);
        let mut information = [[0.0; HYPER]; HYPER];
        for i in 0..points.padded() {
            let column = columns.row(i)[0].0;
            for p in 0..HYPER {
                for q in 0..HYPER {
                    information[p][q] += 0.5 * (column[p] * column[q]);
                }
            }
        }
        Derivatives {
            gradient,
            information,
        }
    }

    /// The sums over pairs of points that the derivatives need, block by block.
    #[inline(always)]
    fn sums(&self, alpha: &[Lanes]) -> Sums {
        let (points, blocks) = (self.points, self.points.blocks());
        let mut sums = Sums::new(blocks);
        let mut traces = [Lanes::ZERO; 2];
        for i in 0..blocks {
            for j in i..blocks {
                // A pair of different blocks stands for itself and its mirror image.
                let count = if i == j { 1.0 } else { 2.0 };
                for half in 0..2 {
                    let inverse = self.matrices.cholesky.inverse_rows((i, j), half);
                    for (r, inverse) in inverse.iter().enumerate() {
                        let lane = half * (LANES / 2) + r;
                        let row = i * LANES + lane;
                        let at = points.at(row);
                        let (times, wavelengths) = (&points.time[j], &points.wavelength[j]);
                        let (time, wavelength) = self.rates.distances(at, times, wavelengths);
                        let slope = &self.matrices.slopes.row(row)[j];
                        let by_time = product(slope, &time);
                        let by_wavelength = product(slope, &wavelength);
                        let weighted = lanes!(C => inverse.0[C] * count);
                        traces[0].add_product(&by_time, &weighted);
                        traces[1].add_product(&by_wavelength, &weighted);
                        sums.by_time[i].0[lane] += product(&by_time, &alpha[j]).sum();
                        sums.by_wavelength[i].0[lane] += product(&by_wavelength, &alpha[j]).sum();
                        if i == j {
                            if row < points.len() {
                                sums.noise += points.variance(row) * inverse.0[lane];
                            }
                        } else {
                            let alpha = alpha[i].0[lane];
                            sums.by_time[j].add_scaled(alpha, &by_time);
                            sums.by_wavelength[j].add_scaled(alpha, &by_wavelength);
                        }
                    }
                }
            }
        }
        sums.traces = [traces[0].sum(), traces[1].sum()];
        sums
    }
}

/// Sums over pairs of points.
struct Sums {
    /// `K_i alpha` for the length in time.
    by_time: Vec<Lanes>,
    /// `K_i alpha` for the length in wavelength.
    by_wavelength: Vec<Lanes>,
    /// `tr(K^-1 K_i)` for both lengths.
    traces: [f64; 2],
    /// `tr(K^-1 diag(e^2))`
    noise: f64,
}

impl Sums {
    fn new(blocks: usize) -> Sums {
        Sums {
            by_time: vec![Lanes::ZERO; blocks],
            by_wavelength: vec![Lanes::ZERO; blocks],
            traces: [0.0; 2],
            noise: 0.0,
        }
    }
}

#[inline(always)]
fn product(a: &Lanes, b: &Lanes) -> Lanes {
    lanes!(C => a.0[C] * b.0[C])
}

struct Means<'a> {
    rates: Rates,
    points: &'a Points,
    alpha: &'a [Lanes],
    at: &'a [(f64, f64)],
}

impl Kernel for Means<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run(self) -> Vec<f64> {
        let mut means = Vec::with_capacity(self.at.len());
        for &at in self.at {
            let mut sum = Lanes::ZERO;
            for (j, alpha) in self.alpha.iter().enumerate() {
                let (times, wavelengths) = (&self.points.time[j], &self.points.wavelength[j]);
                let pairs = self.rates.pairs(at, times, wavelengths);
                sum.add_product(&pairs.covariance, alpha);
            }
            means.push(sum.sum());
        }
        means
    }
}

struct Predict<'a> {
    rates: Rates,
    matrices: &'a mut Matrices,
    points: &'a Points,
    alpha: &'a [Lanes],
    at: &'a [(f64, f64)],
}

impl Kernel for Predict<'_> {
    type Output = Vec<(f64, f64)>;

    #[inline(always)]
    fn run(self) -> Vec<(f64, f64)> {
        let mut found = Vec::with_capacity(self.at.len());
        let Matrices {
            cholesky, columns, ..
        } = self.matrices;
        for at in self.at.chunks(LANES) {
            // The covariances of a point with each of the times and wavelengths: these are the lanes.
            let (mut times, mut wavelengths) = (Lanes::ZERO, Lanes::ZERO);
            for (c, &(t, w)) in at.iter().enumerate() {
                (times.0[c], wavelengths.0[c]) = (t, w);
            }
            columns.resize(self.points.len(), 1);
            let mut mean = Lanes::ZERO;
            for i in 0..self.points.padded() {
                let pairs = self.rates.pairs(self.points.at(i), &times, &wavelengths);
                mean.add_scaled(self.alpha[i / LANES].0[i % LANES], &pairs.covariance);
                columns.row_mut(i)[0] = pairs.covariance;
            }
            cholesky.forward(columns);
            let mut explained = Lanes::ZERO;
            for i in 0..self.points.padded() {
                let column = columns.row(i)[0];
                explained.add_product(&column, &column);
            }
            let variance = |c: usize| (self.rates.amplitude - explained.0[c]).max(0.0);
            found.extend((0..at.len()).map(|c| (mean.0[c], variance(c))));
        }
        found
    }
}
