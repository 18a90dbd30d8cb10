//! Colors of light curves as differences and ratios of fluxes in two bands, in two ways: of fluxes interpolated to
//! the same times, and of robust aggregates of each band.
//!
//! Fluxes may be negative, so a color in magnitudes is not always there. The difference of two fluxes is, and their
//! ratio is if both are positive. The colors of [`domain`](super::domain) are something else: those of an event, in
//! magnitudes, weighted by errors.

use std::borrow::Cow;

use super::interpolate::{Outside, Walk, average_by_time};
use super::statistics::{Contrast, Measurements, Statistic, find};

/// How the fluxes of two bands are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColorMethod {
    /// Statistics of the differences and ratios of fluxes that are interpolated to the times of either band.
    Interpolated,
    /// Differences and ratios of aggregates of each band on which single points have little influence. Nothing is
    /// interpolated.
    Robust,
}

/// The statistics of differences and ratios over time.
const OVER_TIME: [&str; 7] = [
    "mean",
    "median",
    "standard_deviation",
    "minimum",
    "maximum",
    "skew",
    "linear_trend",
];
/// The aggregates of a band that are compared.
const AGGREGATES: [&str; 4] = [
    "median",
    "quantile_90",
    "inter_percentile_range_25",
    "median_absolute_deviation",
];

/// Measures the colors of light curves.
#[derive(Clone, Debug)]
pub struct ColorMeter {
    method: ColorMethod,
    /// The places of the two bands of each pair.
    pairs: Vec<(usize, usize)>,
    /// The longest time in days between two observations that is interpolated over.
    max_gap: f64,
    statistics: Vec<&'static Statistic>,
}

/// A band of a light curve: times and fluxes in the order of time.
pub type BandCurve = Vec<(f64, f64)>;

impl ColorMeter {
    /// Returns what measures pairs of bands, given by their places in the survey's list. With the method
    /// `interpolated`, there is no color between observations of a band that are more than `max_gap` days apart.
    pub fn new(method: ColorMethod, pairs: Vec<(usize, usize)>, max_gap: f64) -> Self {
        let names: &[&str] = match method {
            ColorMethod::Interpolated => &OVER_TIME,
            ColorMethod::Robust => &AGGREGATES,
        };
        ColorMeter {
            method,
            pairs,
            max_gap,
            statistics: names.iter().filter_map(|name| find(name)).collect(),
        }
    }

    /// Returns the names of the features, as in `color_g_r_median_ratio`: pair by pair, and within a pair the
    /// difference and then the ratio.
    pub fn names(&self, bands: &[&str]) -> Vec<String> {
        let mut names = Vec::new();
        for &(first, second) in &self.pairs {
            for contrast in Contrast::ALL {
                for statistic in &self.statistics {
                    let (first, second) = (bands[first], bands[second]);
                    let (statistic, contrast) = (statistic.name, contrast.name());
                    names.push(match self.method {
                        ColorMethod::Interpolated => {
                            format!("color_{first}_{second}_{contrast}_{statistic}")
                        }
                        ColorMethod::Robust => {
                            format!("color_{first}_{second}_{statistic}_{contrast}")
                        }
                    });
                }
            }
        }
        names
    }

    /// Writes the features of an object into `out`, in the order of the names. A feature is NaN if a band has too
    /// few points, the bands share no time, or the statistic is not defined.
    ///
    /// # Panics
    /// If `out` has fewer places than there are names, or a band of a pair is not there.
    pub fn measure(&self, bands: &[BandCurve], out: &mut [f64]) {
        let mut values = out.iter_mut();
        for &(first, second) in &self.pairs {
            let curves = [&bands[first], &bands[second]];
            for contrast in Contrast::ALL {
                let found = match self.method {
                    ColorMethod::Interpolated => self.over_time(curves, contrast),
                    ColorMethod::Robust => self.of_aggregates(curves, contrast),
                };
                for (from, to) in found.into_iter().zip(values.by_ref()) {
                    *to = from;
                }
            }
        }
    }

    fn of_aggregates(&self, curves: [&BandCurve; 2], contrast: Contrast) -> Vec<f64> {
        let [first, second] = curves.map(|curve| {
            let (time, flux): (Vec<f64>, Vec<f64>) = curve.iter().copied().unzip();
            Measurements::new(time, flux, None)
        });
        let each = self.statistics.iter();
        each.map(|statistic| contrast.of(statistic.measure(&first), statistic.measure(&second)))
            .collect()
    }

    fn over_time(&self, curves: [&BandCurve; 2], contrast: Contrast) -> Vec<f64> {
        let curves = curves.map(|curve| average_by_time(curve.clone()));
        let mut times: Vec<f64> = curves.iter().flatten().map(|&(time, _)| time).collect();
        times.sort_unstable_by(f64::total_cmp);
        times.dedup();
        let [mut first, mut second] = curves.each_ref().map(|curve| Walk::new(curve));
        let (mut at, mut values) = (Vec::new(), Vec::new());
        for time in times {
            let both = [&mut first, &mut second].map(|walk| self.flux_at(walk, time));
            if let [Some(one), Some(other)] = both {
                let value = contrast.of(one, other);
                if value.is_finite() {
                    at.push(time);
                    values.push(value);
                }
            }
        }
        let points = Measurements::new(at, Cow::from(values), None);
        let each = self.statistics.iter();
        each.map(|statistic| statistic.measure(&points)).collect()
    }

    /// The flux of a band at a time, if it was observed then, or shortly enough before and after it.
    fn flux_at(&self, walk: &mut Walk<'_>, time: f64) -> Option<f64> {
        let flux = walk.at(time, Outside::Nan)?;
        (walk.gap(time) <= self.max_gap).then_some(flux)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BANDS: [&str; 2] = ["g", "r"];

    fn measured(
        method: ColorMethod,
        max_gap: f64,
        bands: [&[(f64, f64)]; 2],
    ) -> Vec<(String, f64)> {
        let meter = ColorMeter::new(method, vec![(0, 1)], max_gap);
        let names = meter.names(&BANDS);
        let mut out = vec![0.5; names.len()];
        meter.measure(&bands.map(<[_]>::to_vec), &mut out);
        names.into_iter().zip(out).collect()
    }

    fn of(found: &[(String, f64)], name: &str) -> f64 {
        found.iter().find(|(known, _)| known == name).expect(name).1
    }

    #[test]
    fn robust_colors_compare_aggregates() {
        let g: Vec<(f64, f64)> = [1.0, 2.0, 3.0, 4.0, 1e6].iter().map(|&f| (f, f)).collect();
        let r: Vec<(f64, f64)> = [-5.0, 1.0, 1.5, 2.0, 2.5].iter().map(|&f| (f, f)).collect();
        let found = measured(ColorMethod::Robust, 0.0, [&g, &r]);
        assert_eq!(found.len(), 8);
        assert_eq!(of(&found, "color_g_r_median_difference"), 1.5);
        assert_eq!(of(&found, "color_g_r_median_ratio"), 2.0);
        assert_eq!(
            of(&found, "color_g_r_median_absolute_deviation_ratio"),
            1.0 / 0.5
        );
        let found = measured(ColorMethod::Robust, 0.0, [&g, &[(0.0, -1.0)]]);
        assert_eq!(of(&found, "color_g_r_median_difference"), 4.0);
        assert!(of(&found, "color_g_r_median_ratio").is_nan());
    }

    #[test]
    fn interpolated_colors_are_taken_where_both_bands_are_known() {
        // Both are known at 1, 2, 3 and 4, with differences 1, 0, -1, -2.
        let g = [(0.0, 1.0), (2.0, 3.0), (4.0, 5.0)];
        let r = [(1.0, 1.0), (3.0, 5.0), (3.0, 5.0), (9.0, 17.0)];
        let found = measured(ColorMethod::Interpolated, 100.0, [&g, &r]);
        assert_eq!(found.len(), 14);
        assert_eq!(of(&found, "color_g_r_difference_mean"), -0.5);
        assert_eq!(of(&found, "color_g_r_difference_maximum"), 1.0);
        assert_eq!(of(&found, "color_g_r_difference_linear_trend"), -1.0);
        assert_eq!(of(&found, "color_g_r_ratio_maximum"), 2.0);
        // Without the last gap of r, nothing is known after day 3.
        let found = measured(ColorMethod::Interpolated, 5.0, [&g, &r]);
        assert_eq!(of(&found, "color_g_r_difference_mean"), 0.0);
        // With no gap at all, only times at which both were observed count: there are none.
        let found = measured(ColorMethod::Interpolated, 0.0, [&g, &r]);
        assert!(found.iter().all(|(_, value)| value.is_nan()));
    }

    #[test]
    fn the_order_of_observations_at_one_time_does_not_matter() {
        let g = [(0.0, 1.0), (1.0, 2.0), (1.0, 4.0), (2.0, 9.0)];
        let turned = [(0.0, 1.0), (1.0, 4.0), (1.0, 2.0), (2.0, 9.0)];
        let r = [(0.0, 1.0), (2.0, 2.0)];
        let [one, other] = [g, turned].map(|g| measured(ColorMethod::Interpolated, 9.0, [&g, &r]));
        assert_eq!(one, other);
    }

    #[test]
    fn bands_without_points_have_no_colors_and_nothing_panics() {
        let odd = [
            (0.0, f64::MAX),
            (0.0, -f64::MAX),
            (1.0, f64::NAN),
            (2.0, 0.0),
        ];
        for method in [ColorMethod::Interpolated, ColorMethod::Robust] {
            let found = measured(method, 9.0, [&[], &[(0.0, 1.0)]]);
            assert!(found.iter().all(|(_, value)| value.is_nan()));
            let found = measured(method, 9.0, [&odd, &odd]);
            assert!(found.iter().all(|(_, value)| !value.is_infinite()));
        }
    }
}
