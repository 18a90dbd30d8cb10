//! Cleaned series and the small weighted fits that the features are made of.

use super::Band;

/// Visits within this many days are merged into one: a night's repeats show no evolution, and slopes
/// over minutes would only measure noise.
const NIGHT: f64 = 0.5;

/// One band after cleaning: values are finite, errors positive, nights merged and times strictly
/// increasing.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    /// Days: absolute after [`Series::clean`], phases in frame days after [`Series::set_phase`].
    pub time: Vec<f64>,
    /// Microjansky.
    pub flux: Vec<f64>,
    /// Errors in microjansky, one standard deviation, positive.
    pub err: Vec<f64>,
}

impl Series {
    /// Drops points that are not finite or have no positive error, sorts by time, and merges each
    /// night into its inverse-variance weighted mean. The order of equal times does not matter.
    pub fn clean(band: &Band) -> Series {
        let mut points: Vec<[f64; 3]> = (band.time.iter().zip(band.flux).zip(band.err))
            .map(|((&t, &f), &e)| [t, f, e])
            .filter(|[t, f, e]| t.is_finite() && f.is_finite() && e.is_finite() && *e > 0.0)
            .collect();
        points.sort_by(|a, b| {
            let by = |k: usize| a[k].total_cmp(&b[k]);
            by(0).then(by(1)).then(by(2))
        });
        let mut series = Series::default();
        let mut rest = points.as_slice();
        while let Some(first) = rest.first() {
            let same = rest.partition_point(|p| p[0] - first[0] <= NIGHT);
            let (night, later) = rest.split_at(same);
            series.push_merged(night);
            rest = later;
        }
        series
    }

    fn push_merged(&mut self, night: &[[f64; 3]]) {
        if let [[t, f, e]] = night {
            self.time.push(*t);
            self.flux.push(*f);
            self.err.push(*e);
            return;
        }
        let (mut w_sum, mut wt, mut wf) = (0.0, 0.0, 0.0);
        for [t, f, e] in night {
            let w = 1.0 / (e * e);
            w_sum += w;
            wt += w * t;
            wf += w * f;
        }
        self.time.push(wt / w_sum);
        self.flux.push(wf / w_sum);
        self.err.push(1.0 / w_sum.sqrt());
    }

    /// Replaces times by `(time - reference) / stretch`.
    pub fn set_phase(&mut self, reference: f64, stretch: f64) {
        for t in &mut self.time {
            *t = (*t - reference) / stretch;
        }
    }

    pub fn len(&self) -> usize {
        self.time.len()
    }

    /// The signal to noise of point `i`.
    pub fn snr(&self, i: usize) -> f64 {
        self.flux[i] / self.err[i]
    }

    /// The index of the brightest point, by flux minus one error, so that one bad visit does not become
    /// the peak. Of equal points the earliest. `None` without points.
    pub fn peak(&self) -> Option<usize> {
        let low = |i: usize| self.flux[i] - self.err[i];
        (0..self.len()).reduce(|best, i| if low(i) > low(best) { i } else { best })
    }

    /// The indices of the points with `from <= time <= to`.
    pub fn within(&self, from: f64, to: f64) -> std::ops::Range<usize> {
        let start = self.time.partition_point(|&t| t < from);
        let end = self.time.partition_point(|&t| t <= to);
        start..end.max(start)
    }

    /// The inverse-variance weighted mean flux of `range` and its error; `None` if it is empty.
    pub fn weighted_mean(&self, range: std::ops::Range<usize>) -> Option<(f64, f64)> {
        let (mut w_sum, mut wf) = (0.0, 0.0);
        for i in range {
            let w = 1.0 / (self.err[i] * self.err[i]);
            w_sum += w;
            wf += w * self.flux[i];
        }
        (w_sum > 0.0).then(|| (wf / w_sum, 1.0 / w_sum.sqrt()))
    }

    /// The flux and error at time `t`: on the straight line between the neighbours if they are at most
    /// `gap` apart, else at the nearest point if it is within `near`, else `None`.
    pub fn at(&self, t: f64, gap: f64, near: f64) -> Option<(f64, f64)> {
        let right = self.time.partition_point(|&s| s < t);
        if right > 0 && right < self.len() && self.time[right] - self.time[right - 1] <= gap {
            let u = (t - self.time[right - 1]) / (self.time[right] - self.time[right - 1]);
            let v = 1.0 - u;
            let (a, b) = (v * self.err[right - 1], u * self.err[right]);
            let flux = v * self.flux[right - 1] + u * self.flux[right];
            return Some((flux, (a * a + b * b).sqrt()));
        }
        let distance = |i: usize| (self.time[i] - t).abs();
        let nearest = [right.wrapping_sub(1), right]
            .into_iter()
            .filter(|&i| i < self.len())
            .reduce(|a, b| if distance(b) < distance(a) { b } else { a })?;
        (distance(nearest) <= near).then(|| (self.flux[nearest], self.err[nearest]))
    }
}

/// The slope of the weighted straight line through `(x, y, weight)`; NaN unless two `x` differ.
pub(super) fn slope(points: &[(f64, f64, f64)]) -> f64 {
    let (mut w_sum, mut wx, mut wy) = (0.0, 0.0, 0.0);
    for &(x, y, w) in points {
        w_sum += w;
        wx += w * x;
        wy += w * y;
    }
    let (x0, y0) = (wx / w_sum, wy / w_sum);
    let (mut sxx, mut sxy) = (0.0, 0.0);
    for &(x, y, w) in points {
        sxx += w * (x - x0) * (x - x0);
        sxy += w * (x - x0) * (y - y0);
    }
    if sxx > 0.0 { sxy / sxx } else { f64::NAN }
}

/// Fall-back exponent of tidal disruption events (Rees 1988, Nature 333, 523; Phinney 1989).
pub(super) const FALLBACK: f64 = 5.0 / 3.0;

/// The prior of `ln t0`, with `t0` the days from disruption to peak: about a month, within a factor of
/// two.
const LN_T0: (f64, f64) = (3.4, 0.7);
/// The prior of the exponent. It is wide, so that only fits to uninformative data are pulled to 5/3.
const ALPHA: (f64, f64) = (FALLBACK, 2.0);

/// A fitted decline `A (1 + x / t0)^-alpha`, with `x` the days since peak.
#[derive(Clone, Copy, Debug)]
pub(super) struct PowerLaw {
    pub alpha: f64,
    /// The sum of squared residuals over errors, without priors.
    pub chi2: f64,
}

/// Fits `A (1 + x / t0)^-alpha` to fluxes at `x >= 0` days since peak by least squares in flux, so that
/// negative fluxes count. With `alpha` given, only `A` and `t0` are free.
///
/// `A` is eliminated (variable projection, Golub & Pereyra 1973, with Kaufman's 1975 derivative); `ln t0`
/// and `alpha` follow from damped Gauss-Newton steps (Levenberg 1944, Marquardt 1963) under Gaussian
/// priors, without which `t0` and `alpha` of a few noisy points run off together.
pub(super) fn power_law(x: &[f64], flux: &[f64], err: &[f64], alpha: Option<f64>) -> PowerLaw {
    let problem = LeastSquares {
        x,
        flux,
        err,
        free_alpha: alpha.is_none(),
    };
    let mut at = [LN_T0.0, alpha.unwrap_or(ALPHA.0)];
    let mut now = problem.step(at);
    let mut damping = 1e-3;
    for _ in 0..60 {
        let d0 = now.hessian[0] * (1.0 + damping);
        let d1 = now.hessian[2] * (1.0 + damping);
        let off = now.hessian[1];
        let det = d0 * d1 - off * off;
        let step = [
            (d1 * now.gradient[0] - off * now.gradient[1]) / det,
            (d0 * now.gradient[1] - off * now.gradient[0]) / det,
        ];
        let next = [
            at[0] - step[0].clamp(-1.0, 1.0),
            at[1] - step[1].clamp(-1.0, 1.0),
        ];
        let trial = problem.step(next);
        if trial.cost <= now.cost {
            let gain = now.cost - trial.cost;
            at = next;
            let done = gain <= 1e-10 * (1.0 + trial.cost);
            now = trial;
            damping = (damping * 0.2).max(1e-12);
            if done {
                break;
            }
        } else {
            damping *= 8.0;
            if damping > 1e8 {
                break;
            }
        }
    }
    PowerLaw {
        alpha: at[1],
        chi2: now.chi2,
    }
}

struct LeastSquares<'a> {
    x: &'a [f64],
    flux: &'a [f64],
    err: &'a [f64],
    free_alpha: bool,
}

/// Cost, half its gradient and the Gauss-Newton matrix (three distinct entries) at one point.
struct FitStep {
    chi2: f64,
    cost: f64,
    gradient: [f64; 2],
    hessian: [f64; 3],
}

impl LeastSquares<'_> {
    fn step(&self, [ln_t0, alpha]: [f64; 2]) -> FitStep {
        let t0 = libm::exp(ln_t0);
        // Weighted sums over points of model m, flux f and derivatives p = dm/d ln t0, q = dm/d alpha.
        let [mut mm, mut mf, mut ff, mut mp, mut mq] = [0.0; 5];
        let [mut pp, mut pq, mut qq, mut pf, mut qf] = [0.0; 5];
        for ((&x, &f), &e) in self.x.iter().zip(self.flux).zip(self.err) {
            let w = 1.0 / (e * e);
            let ln = libm::log1p(x / t0);
            let m = libm::exp(-alpha * ln);
            let p = alpha * m * x / (t0 + x);
            let q = if self.free_alpha { -m * ln } else { 0.0 };
            mm += w * m * m;
            mf += w * m * f;
            ff += w * f * f;
            mp += w * m * p;
            mq += w * m * q;
            pp += w * p * p;
            pq += w * p * q;
            qq += w * q * q;
            pf += w * p * f;
            qf += w * q * f;
        }
        let a = mf / mm;
        // Residual r = a m - f is orthogonal to m, so the projected derivatives need no extra terms.
        let (rp, rq) = (a * mp - pf, a * mq - qf);
        let chi2 = (ff - a * mf).max(0.0);
        let prior =
            |value: f64, (mean, sd): (f64, f64)| ((value - mean) / (sd * sd), 1.0 / (sd * sd));
        let (g0, h0) = prior(ln_t0, LN_T0);
        let (g1, h1) = prior(alpha, ALPHA);
        let pull =
            |value: f64, (mean, sd): (f64, f64)| ((value - mean) / sd) * ((value - mean) / sd);
        FitStep {
            chi2,
            cost: chi2
                + pull(ln_t0, LN_T0)
                + if self.free_alpha {
                    pull(alpha, ALPHA)
                } else {
                    0.0
                },
            gradient: [a * rp + g0, if self.free_alpha { a * rq + g1 } else { 0.0 }],
            hessian: [
                a * a * (pp - mp * mp / mm) + h0,
                a * a * (pq - mp * mq / mm),
                a * a * (qq - mq * mq / mm) + h1,
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nights_are_merged_by_weight() {
        let s = Series::clean(&Band {
            time: &[5.0, 5.25, 9.0],
            flux: &[10.0, 20.0, 1.0],
            err: &[1.0, 2.0, 1.0],
        });
        // Weights 1 and 1/4.
        assert_eq!(s.time, [5.05, 9.0]);
        assert_eq!(s.flux, [12.0, 1.0]);
        assert_eq!(s.err, [1.0 / 1.25f64.sqrt(), 1.0]);
    }

    #[test]
    fn flux_between_points_beside_one_and_nowhere() {
        let s = Series {
            time: vec![0.0, 10.0, 100.0],
            flux: vec![4.0, 8.0, 2.0],
            err: vec![3.0, 4.0, 1.0],
        };
        assert_eq!(s.at(5.0, 60.0, 3.0), Some((6.0, 2.5)));
        assert_eq!(s.at(10.0, 60.0, 3.0), Some((8.0, 4.0)));
        assert_eq!(s.at(98.0, 60.0, 3.0), Some((2.0, 1.0)));
        assert_eq!(s.at(50.0, 60.0, 3.0), None);
        assert_eq!(s.at(-2.0, 60.0, 3.0), Some((4.0, 3.0)));
    }

    #[test]
    fn slope_needs_two_times() {
        assert_eq!(slope(&[(0.0, 1.0, 1.0), (2.0, 5.0, 3.0)]), 2.0);
        assert!(slope(&[(1.0, 1.0, 1.0), (1.0, 2.0, 1.0)]).is_nan());
        assert!(slope(&[]).is_nan());
    }

    #[test]
    fn noise_without_information_stays_near_the_prior() {
        let fit = power_law(&[0.0, 20.0, 40.0], &[5.0, 3.0, 2.0], &[50.0; 3], None);
        assert!((fit.alpha - FALLBACK).abs() < 0.05, "{}", fit.alpha);
    }

    #[test]
    fn wild_fluxes_give_finite_fits() {
        for flux in [
            [1e9, -1e9, 1e9, -1e9],
            [5.0, 0.0, 0.0, 0.0],
            [1.0, 1.0, 1.0, 1.0],
        ] {
            let fit = power_law(&[0.0, 1e-3, 10.0, 150.0], &flux, &[1e-3; 4], None);
            assert!(fit.alpha.is_finite() && fit.chi2.is_finite(), "{fit:?}");
        }
    }
}
