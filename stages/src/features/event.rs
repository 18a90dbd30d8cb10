//! An object's light curve as models see it: unusable points dropped, nights merged, and the time of its event.

/// The number of points above which longer times than a night are merged. Models cost more than linear time
/// in the points, and the fits of a long survey need no more.
const MANY_POINTS: usize = 400;

/// The widths in days of the bins that are merged, from the first that leaves at most [`MANY_POINTS`].
const WIDTHS: [f64; 4] = [1.0, 5.0, 10.0, 20.0];

/// The number of points above which even longer times are merged, at the cost of what events look like.
const MOST_POINTS: usize = 1000;

/// The signal to noise from which on a band's peak counts for the reference time.
pub const PEAK_SNR: f64 = 3.0;

/// The merged observations of one object, in the order of time and then band. All columns have the same
/// length, fluxes are finite, and errors are finite and positive.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nights {
    /// Modified Julian dates, days.
    pub time: Vec<f64>,
    /// The place of the band in the survey's list.
    pub band: Vec<u16>,
    /// Flux in the unit of the survey, microjansky.
    pub flux: Vec<f64>,
    /// One standard deviation of the flux.
    pub err: Vec<f64>,
}

#[derive(Clone, Copy)]
struct Observation {
    time: f64,
    band: u16,
    flux: f64,
    err: f64,
}

impl Observation {
    fn usable(&self) -> bool {
        let finite = self.time.is_finite() && self.flux.is_finite() && self.err.is_finite();
        finite && self.err > 0.0
    }
}

impl Nights {
    /// Merges the observations of each band in each night, which is a whole number of the Modified Julian
    /// Date, into their mean, weighted by inverse variance. If more than 400 points are left, bins of 5, 10 or
    /// 20 days take the place of nights, and if more than 1,000 are left then, bins of 40, 80 and so on days.
    ///
    /// The slices have equal lengths (excess values are ignored) and may be in any order. Points that are
    /// not finite or have no positive error are dropped. There are at most 1,000 points in the result, or
    /// two for each band if that is more.
    pub fn merge(time: &[f64], band: &[u16], flux: &[f64], err: &[f64]) -> Nights {
        let points = time.iter().zip(band).zip(flux.iter().zip(err));
        let mut points: Vec<Observation> = points
            .map(|((&time, &band), (&flux, &err))| Observation {
                time,
                band,
                flux,
                err,
            })
            .filter(Observation::usable)
            .collect();
        points.sort_by(|a, b| {
            (a.time.total_cmp(&b.time))
                .then(a.band.cmp(&b.band))
                .then(a.flux.total_cmp(&b.flux))
                .then(a.err.total_cmp(&b.err))
        });
        let span = points.last().map_or(0.0, |last| last.time - points[0].time);
        let mut width = WIDTHS[0];
        let mut merged = bins(&points, width);
        let mut longer = WIDTHS[1..].iter();
        while merged.len() > MANY_POINTS && width < span {
            width = match longer.next() {
                Some(next) => *next,
                None if merged.len() > MOST_POINTS => 2.0 * width,
                None => break,
            };
            merged = bins(&points, width);
        }
        Nights::of(&merged)
    }

    fn of(points: &[Observation]) -> Nights {
        Nights {
            time: points.iter().map(|p| p.time).collect(),
            band: points.iter().map(|p| p.band).collect(),
            flux: points.iter().map(|p| p.flux).collect(),
            err: points.iter().map(|p| p.err).collect(),
        }
    }

    /// The number of points.
    pub fn len(&self) -> usize {
        self.time.len()
    }

    /// Returns true if no point was usable.
    pub fn is_empty(&self) -> bool {
        self.time.is_empty()
    }

    /// The time of the event: the [`reference_time`] of the bands' peaks, or the time of the point with the
    /// largest signal to noise if no band has a peak of [`PEAK_SNR`]. `None` without points.
    pub fn reference_time(&self) -> Option<f64> {
        let bands = usize::from(*self.band.iter().max()?) + 1;
        let mut peaks: Vec<Option<usize>> = vec![None; bands];
        let low = |i: usize| self.flux[i] - self.err[i];
        let snr = |i: usize| self.flux[i] / self.err[i];
        for (i, &band) in self.band.iter().enumerate() {
            let peak = &mut peaks[usize::from(band)];
            if peak.is_none_or(|best| low(i) > low(best)) {
                *peak = Some(i);
            }
        }
        let peaks = peaks.into_iter().flatten().map(|i| (self.time[i], snr(i)));
        reference_time(peaks, PEAK_SNR).or_else(|| {
            let best = (0..self.len()).reduce(|best, i| if snr(i) > snr(best) { i } else { best });
            best.map(|i| self.time[i])
        })
    }
}

/// Merges the observations of each band in each bin of `width` days. Bins begin at multiples of `width`.
fn bins(points: &[Observation], width: f64) -> Vec<Observation> {
    let bin = |p: &Observation| (p.time / width).floor();
    let mut merged = Vec::with_capacity(points.len());
    let mut of_bin: Vec<Observation> = Vec::new();
    for all in points.chunk_by(|a, b| bin(a) == bin(b)) {
        of_bin.clear();
        of_bin.extend(all);
        // The sort is stable, so each band keeps the order of time.
        of_bin.sort_by_key(|p| p.band);
        merged.extend(of_bin.chunk_by(|a, b| a.band == b.band).map(mean));
    }
    merged.retain(Observation::usable);
    merged.sort_by(|a, b| a.time.total_cmp(&b.time).then(a.band.cmp(&b.band)));
    merged
}

/// The mean of the points of one band, weighted by inverse variance.
fn mean(points: &[Observation]) -> Observation {
    if let [point] = points {
        return *point;
    }
    // Weights are relative to that of the best point, so that none of them is infinite.
    let least = points.iter().fold(f64::INFINITY, |e, p| e.min(p.err));
    let weight = |p: &Observation| (least / p.err) * (least / p.err);
    let total: f64 = points.iter().map(weight).sum();
    let share = |value: fn(&Observation) -> f64| -> f64 {
        let parts = points.iter().map(|p| weight(p) / total * value(p));
        parts.sum()
    };
    Observation {
        time: share(|p| p.time),
        band: points[0].band,
        flux: share(|p| p.flux),
        err: least / total.sqrt(),
    }
}

/// The median of the bands' peak times, weighted by peak signal to noise, over the bands whose peak reaches
/// `min_snr`; `None` if there is no such band. `peaks` has the time and the signal to noise of each band's
/// peak.
pub fn reference_time(peaks: impl IntoIterator<Item = (f64, f64)>, min_snr: f64) -> Option<f64> {
    let peaks = peaks.into_iter();
    let mut peaks: Vec<(f64, f64)> = peaks.filter(|&(_, snr)| snr >= min_snr).collect();
    peaks.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let half = peaks.iter().map(|p| p.1).sum::<f64>() / 2.0;
    let mut below = 0.0;
    peaks
        .into_iter()
        .find(|&(_, snr)| {
            below += snr;
            below >= half
        })
        .map(|(time, _)| time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(points: &[(f64, u16, f64, f64)]) -> Nights {
        let time: Vec<f64> = points.iter().map(|p| p.0).collect();
        let band: Vec<u16> = points.iter().map(|p| p.1).collect();
        let flux: Vec<f64> = points.iter().map(|p| p.2).collect();
        let err: Vec<f64> = points.iter().map(|p| p.3).collect();
        Nights::merge(&time, &band, &flux, &err)
    }

    #[test]
    fn a_night_is_merged_band_by_band() {
        let nights = merged(&[
            (60_000.5, 1, 20.0, 2.0),
            (60_000.25, 1, 10.0, 1.0),
            (60_000.35, 0, 7.0, 1.0),
            (60_001.0, 1, 5.0, 1.0),
        ]);
        // Weights 1 and 1/4.
        assert_eq!(nights.band, [1, 0, 1]);
        assert!((nights.time[0] - 60_000.3).abs() < 1e-9, "{nights:?}");
        assert!((nights.flux[0] - 12.0).abs() < 1e-12, "{nights:?}");
        assert!((nights.err[0] - 1.0 / 1.25f64.sqrt()).abs() < 1e-12);
        assert_eq!((nights.flux[1], nights.flux[2]), (7.0, 5.0));
    }

    #[test]
    fn the_order_of_points_and_unusable_points_change_nothing() {
        let points = [
            (10.2, 0, 1.0, 0.5),
            (10.2, 0, 2.0, 0.25),
            (10.3, 0, 3.0, 0.5),
            (40.0, 1, 9.0, 1.0),
        ];
        let mut others = points.to_vec();
        others.reverse();
        others.extend([
            (20.0, 0, f64::NAN, 1.0),
            (21.0, 0, 1e6, 0.0),
            (22.0, 1, 1.0, -1.0),
            (23.0, 1, 1.0, f64::INFINITY),
            (f64::NAN, 1, 1.0, 1.0),
        ]);
        assert_eq!(merged(&points), merged(&others));
        assert_eq!(merged(&points).len(), 2);
        assert!(merged(&others[4..]).is_empty());
        assert_eq!(merged(&others[4..]).reference_time(), None);
    }

    #[test]
    fn many_points_are_merged_over_longer_times() {
        let every = |days: f64, n: usize| -> Nights {
            let points: Vec<_> = (0..n)
                .map(|i| (days * i as f64 + 0.5, (i % 2) as u16, 1.0, 1.0))
                .collect();
            merged(&points)
        };
        assert_eq!(every(1.0, 400).len(), 400);
        assert_eq!(every(1.0, 401).len(), 2 * 80 + 1);
        // 5,000 days leave 500 points with 20 d, which are not too many. 20,000 days leave 2,000.
        assert_eq!(every(1.0, 5000).len(), 2 * 250);
        assert_eq!(every(1.0, 20_000).len(), 2 * 500);
        assert!(every(1e304, 5000).len() <= MOST_POINTS);
        // Bins that hold one point each keep it as it is.
        assert_eq!(every(1.0, 400).err, vec![1.0; 400]);
    }

    #[test]
    fn extreme_values_stay_finite() {
        let nights = merged(&[
            (1.1, 0, f64::MAX, 1e-200),
            (1.2, 0, -f64::MAX, 1e-200),
            (1.3, 0, 1.0, 1e30),
            (-f64::MAX, 0, 1.0, 1e300),
            (f64::MAX, 0, 1.0, 5e-324),
        ]);
        assert_eq!(nights.len(), 3);
        for i in 0..3 {
            assert!(
                nights.flux[i].is_finite() && nights.err[i] > 0.0,
                "{nights:?}"
            );
        }
        assert!(nights.reference_time().is_some());
    }

    #[test]
    fn reference_time_is_the_weighted_median_of_significant_peaks() {
        // The band at day 500 peaks below S/N 3; days 0 and 8 together weigh less than day 5.
        let peaks = [(8.0, 10.0), (0.0, 10.0), (5.0, 30.0), (500.0, 2.0)];
        assert_eq!(reference_time(peaks, 3.0), Some(5.0));
        assert_eq!(reference_time(peaks[3..].to_vec(), 3.0), None);
        let points = peaks.map(|(time, snr)| (time, time as u16, snr, 1.0));
        assert_eq!(merged(&points).reference_time(), Some(5.0));
    }

    #[test]
    fn without_a_significant_peak_the_largest_signal_to_noise_decides() {
        // The brightest point, at day 9, has the larger error.
        let points = [(1.0, 0, 1.0, 1.0), (5.0, 0, 2.0, 1.0), (9.0, 0, 9.0, 8.0)];
        assert_eq!(merged(&points).reference_time(), Some(5.0));
    }
}
